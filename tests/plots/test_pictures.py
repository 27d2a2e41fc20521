"""Pictures: the same bytes every time, what they show, and where they cannot be drawn."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cli_support import Cli

import bnstats
from bnstats.errors import HostError
from bnstats.layers import Law
from bnstats.plots import layers, style, sweeps
from bnstats.specs.spec import parse

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
SWEEP = ("sweep", "elu", "relu", "--over", "x_std=0.5:2", "--points", 5)


def result(spec: str, **how: object) -> bnstats.Result:
    return bnstats.compute(spec, samples=2000, **how)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", style.SUFFIXES)
def test_files_are_the_same_every_time(cli: Cli, tmp_path: Path, suffix: str) -> None:
    import matplotlib as mpl

    for argv in (("compute", "relu", "softmax", "-n", 1000), SWEEP):
        one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
        assert cli(*argv, "--plot", one).code == 0
        with mpl.rc_context({"font.size": 20.0, "svg.hashsalt": None}):  # the user's own
            assert cli(*argv, "--plot", two).code == 0
        assert one.read_bytes() == two.read_bytes()
        assert len(one.read_bytes()) > 5000
        starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
        assert one.read_bytes().startswith(starts[suffix])


def test_a_picture_of_a_layer_says_what_it_shows() -> None:
    text = layers.picture([result("sigmoid"), result("max_pool2d:kernel_size=2")], "svg").decode()
    for said in ("sigmoid", "σ = 0.2083", "feng2016: σ[dx] = 0.2123, last digits are noise", "f′"):
        assert said in text
    assert "max_pool2d:kernel_size=2" in text
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text).groups()
    assert float(width) / 72 * 2.54 == pytest.approx(style.COLUMN, abs=0.01)
    assert float(height) / 72 * 2.54 == pytest.approx(2 * 5.8, abs=0.01)


def test_the_curve_of_a_layer_has_its_gaps() -> None:
    x, y, slope = layers.curve(parse("hardshrink").bound, Law(1.0, 2.0))
    assert (x[0], x[-1]) == (-6.0, 8.0)
    kept = ~np.isnan(y)
    assert np.all(y[kept] == np.where(np.abs(x[kept]) > 0.5, x[kept], 0))
    assert list(x[~kept]) == [-0.5, 0.5]
    assert np.count_nonzero(np.isnan(slope)) == 2
    assert layers.curve(parse("dropout").bound) is None
    assert layers.curve(parse("softmax").bound) is None


def test_densities_are_those_of_the_layer() -> None:
    found = layers.densities(result("relu"))
    for density in found.values():
        ((at, share),) = density.atoms
        assert at == 0
        assert share == pytest.approx(0.5, abs=0.01)
        area = np.sum(density.heights * np.diff(density.edges))
        assert area == pytest.approx(0.5 * 0.996, abs=0.01)
    y = found["y"]
    middles = (y.edges[:-1] + y.edges[1:]) / 2
    normal = np.exp(-0.5 * middles**2) / np.sqrt(2 * np.pi)
    assert y.heights == pytest.approx(normal, abs=0.03)
    only = layers.densities(result("tanh", direction="backward"))
    assert list(only) == ["dx"]


def test_a_constant_is_drawn() -> None:
    assert layers.picture([result("dropout:scaling=none")], "png")
    assert layers.picture([result("threshold:threshold=9,value=1")], "png")


def test_a_sweep_is_drawn_where_it_is_known() -> None:
    found = bnstats.sweep("exponential", over="x_std=1,40", quantities=["std_y"])
    x, values = sweeps.line(found, found.curves[0], "std_y")
    assert x == [1.0]
    assert values == [pytest.approx(2.161197415895088)]
    words = bnstats.sweep("gelu", over="approximate=none,tanh", quantities=["gain_y"])
    assert sweeps.positions(words) == (0.0, 1.0)
    assert b"tanh" in sweeps.picture(words, "svg")
    sampled = bnstats.sweep("sparsemax", over="n=3:6", quantities=["std_dx"], samples=2000)
    assert sweeps.picture(sampled, "pdf")


def test_the_terminal(cli: Cli) -> None:
    pytest.importorskip("plotille", reason="plotille is not installed")
    code, out, err = cli(*SWEEP, "--plot", "-")
    assert (code, err) == (0, "")
    assert "σ[y] over x_std" in out
    assert "⠤⠤ elu" in out
    code, out, err = cli("compute", "gelu", "-n", 1000, "--plot", "-")
    assert (code, err) == (0, "")
    assert "gelu: f and f′ over x" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_is_no_picture_is_told_before_any_work(cli: Cli, tmp_path: Path) -> None:
    for argv in (("compute", "relu", "-n", "1e15"), SWEEP):
        code, out, err = cli(*argv, "--plot", "-", "--format", "csv")
        assert (code, out) == (2, "")
        assert "--plot - does not go with --format csv" in err
        code, out, err = cli("--ascii", *argv, "--plot", "-")
        assert (code, out) == (2, "")
        assert err.startswith("error: --plot - draws in braille, which ascii lacks")
        code, out, err = cli(*argv, "--plot", "a.gif")
        assert (code, out) == (2, "")
        assert "a picture ends in .svg, .png, .pdf" in err
        code, out, err = cli(*argv, "--plot", tmp_path / "no" / "a.svg")
        assert (code, out) == (2, "")
        assert "no such directory" in err


def test_without_its_library_nothing_is_drawn(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing: dict[str, ModuleType | None] = {"matplotlib": None, "plotille": None}
    for name, module in missing.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(HostError, match="matplotlib is not installed"), style.drawing(3):
        pass
    code, out, err = cli("compute", "relu", "--plot", tmp_path / "a.svg")
    assert (code, out) == (4, "")
    assert "pip install 'bnstats[plot]'" in err
    code, out, err = cli("compute", "relu", "--plot", "-")
    assert (code, out) == (4, "")
    assert "plotille is not installed" in err

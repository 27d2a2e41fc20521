"""Runs beside each other, their pictures, and the fixture that makes them a test."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import Cli, read_document
from scipy import stats

import bnstats
from bnstats.cli.propagate_ import command
from bnstats.errors import ArgumentError, HostError
from bnstats.networks import running
from bnstats.networks.comparing import compare, over_widths
from bnstats.networks.propagation import Propagation
from bnstats.networks.start import Outside, StartBounds, check_start, outside

NEAR = pytest.approx
FAR = 4.5
pytest_plugins = ["pytester"]


def run(block: str = "linear relu", **options: object) -> Propagation:
    options = {"width": 32, "depth": 3, "networks": 300, "batch": 1} | options
    return bnstats.propagate(block, **options)  # type: ignore[arg-type]


# --- compare --------------------------------------------------------------------------------------


def test_a_ratio_has_the_error_of_both_runs() -> None:
    a, b = run("linear tanh", init="xavier"), run("linear tanh", init="he", networks=120)
    for row, mine, theirs in zip(compare(a, b).rows, a.rows, b.rows, strict=True):
        assert row.y is not None
        first, second = mine.y.typical, theirs.y.typical
        assert row.y.value == NEAR(first.value / second.value)
        widths = [np.diff(np.log(t.interval))[0] / 2 for t in (first, second)]  # type: ignore[arg-type]
        error = math.hypot(widths[0] / 1.968, widths[1] / 1.980)  # Student's t of 299 and 119
        assert row.y.z == NEAR(math.log(row.y.value) / error, rel=1e-3)
        low, high = np.log(row.y.interval)
        assert (low + high) / 2 == NEAR(math.log(row.y.value))
        assert 1.96 < (high - low) / 2 / error < 1.985


def test_runs_that_do_not_differ_have_a_z_like_a_normal_number() -> None:
    found = []
    for seed in range(60):
        pair = (run(networks=20, depth=1, seed=s) for s in (seed, 1000 + seed))
        rows = compare(*pair).rows
        assert rows[-1].y is not None
        found.append(rows[-1].y)
    assert abs(np.mean([r.z for r in found])) < FAR / math.sqrt(60)
    inside = np.mean([r.interval[0] < 1 < r.interval[1] for r in found])
    assert abs(inside - 0.95) < FAR * math.sqrt(0.95 * 0.05 / 60)


def test_layers_are_paired_by_place_or_else_by_name() -> None:
    same = compare(run("linear relu"), run("linear tanh"))
    assert [(r.first, r.second) for r in same.rows][:2] == [
        ("1.linear", "1.linear"),
        ("1.relu", "1.tanh"),
    ]
    other = compare(run("linear relu"), run("skip linear relu add", depth=2))
    pairs = [(r.first, r.second) for r in other.rows]
    assert pairs == [
        ("1.linear", "1.skip"),
        ("1.linear", "1.linear"),
        ("1.relu", "1.relu"),
        ("2.linear", "2.linear"),
        ("2.relu", "2.relu"),
        ("3.relu", "2.add"),
    ]


def test_two_inits_are_compared_on_the_command_line(cli: Cli) -> None:
    call = ("propagate", "linear", "tanh", "--compare", "xavier", "he", "--depth", 2)
    call += ("--networks", 60, "--width", 32)
    document = read_document(cli(*call, "--json").out)
    assert [r["init"] for r in document["results"]] == ["xavier", "he"]
    assert [r["first"] for r in document["comparison"]] == [
        "1.linear",
        "1.tanh",
        "2.linear",
        "2.tanh",
    ]
    row = document["comparison"][0]
    assert row["y"]["interval"][0] < row["y"]["value"] < row["y"]["interval"][1]
    lines = cli(*call).out.splitlines()
    assert lines[0].startswith("A  linear tanh ×2   width 32 · xavier")
    assert lines[1].startswith("B  linear tanh ×2   width 32 · he")
    assert lines[3].split() == ["forward", "A", "σ[y]", "B", "σ[y]", "A", "/", "B", "interval", "z"]
    assert lines[-1] == "  B  forward steady, backward steady · 60 networks"


def test_two_stacks_are_compared_on_the_command_line(cli: Cli) -> None:
    outcome = cli(
        "propagate", "--compare", "linear relu", "linear gelu", "--depth", 2, "--networks", 60
    )
    assert outcome.code == 0
    assert "1.relu | 1.gelu" in outcome.out


def test_what_ends_the_second_run_leaves_the_first(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = running._engine, []

    def lost(task: Any, *more: Any) -> Any:
        begun.append(task)
        if len(begun) == 2:
            raise HostError("the cluster is lost")
        return real(task, *more)

    monkeypatch.setattr(running, "_engine", lost)
    argv = ("propagate", "linear", "--compare", "he", "lecun", "--depth", 1, "--networks", 20)
    found = cli(*argv)
    assert (found.code, found.err) == (4, "error: the cluster is lost\n")
    assert found.out.startswith("linear ×1   width 256 · he")
    del begun[1:]  # so that the next run is the second again, of a command whose first it is
    found = cli(*argv)
    assert (found.code, found.out) == (4, "")


def test_notebooks_and_data_frames_have_a_row_for_every_layer_and_direction() -> None:
    found = run(depth=2, networks=40)
    assert repr(found) == "Propagation(4 layers, 40 networks: y steady, dx steady)"
    records = list(found.records())
    assert [(r["name"], r["of"]) for r in records][:3] == [
        ("1.linear", "y"),
        ("1.linear", "dx"),
        ("1.relu", "y"),
    ]
    assert records[-2]["typical"] == found.rows[-1].y.typical.value
    table = found._repr_html_()
    assert table.count("<tr>") == 9
    assert f"<td>{found.rows[-1].y.typical.value:.4g}</td>" in table
    pandas = pytest.importorskip("pandas")
    frame = found.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["of"]) == ["y", "dx"] * 4


# --- widths ---------------------------------------------------------------------------------------


def test_a_power_of_the_width_is_found_with_its_error() -> None:
    """Weights of one variance, whatever the width: every layer multiplies σ by √width."""
    widths = (32, 64, 128, 256)
    runs = [
        run("linear", width=w, gain=0.1 * math.sqrt(w), init="lecun", depth=2, networks=400)
        for w in widths
    ]
    first, second = over_widths(widths, runs).rows
    for found, power in ((first.y, 0.5), (second.y, 1.0), (second.dx, 0.5), (first.dx, 1.0)):
        assert found is not None
        # finite width: E ln χ²_n/n is −1/n, which is one at 32 units and not at 256
        assert abs(found.value - power) < FAR * found.stderr + 0.012
        assert found.interval[0] < found.value < found.interval[1]
        assert found.misfit is not None
        assert found.misfit < 3


def test_the_error_of_an_exponent_is_that_of_weighted_least_squares() -> None:
    widths = (16, 64, 128)
    runs = [run(width=w, networks=50) for w in widths]
    found = over_widths(widths, runs).rows[-1].y
    typical = [r.rows[-1].y.typical for r in runs]
    x = np.log(widths)
    y = np.log([t.value for t in typical])
    w = np.array([t.relative for t in typical], float) ** -1
    slope, covariance = np.polyfit(x, y, 1, w=w, cov="unscaled")
    residuals = (y - np.polyval(slope, x)) * w
    assert found is not None
    assert found.value == NEAR(slope[0])
    assert found.misfit == NEAR(math.sqrt(residuals @ residuals))
    assert found.stderr == NEAR(math.sqrt(covariance[0, 0]) * max(1, found.misfit))


def test_widths_are_given_as_a_list_on_the_command_line(cli: Cli) -> None:
    call = ("propagate", "linear", "relu", "--widths", 16, 32, 64, "--depth", 2, "--networks", 50)
    document = read_document(cli(*call, "--json").out)
    assert document["exponents"]["widths"] == [16, 32, 64]
    assert [r["width"] for r in document["results"]] == [16, 32, 64]
    assert document["exponents"]["rows"][0]["name"] == "1.linear"
    text = cli(*call).out
    assert text.startswith("linear relu ×2   width … · he")
    assert "σ[y] 64" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["linear", "--widths", "16"], "an exponent needs at least two widths"),
        (["linear", "--widths", "16", "16"], "an exponent needs at least two widths"),
        (["linear", "--widths", "16", "32", "--compare", "he", "xavier"], "--compare does not go"),
        (["linear", "--compare", "he", "xaver"], "--compare: 'xaver' is no init, and layers"),
        (["relu", "--input", "8", "--widths", "16", "32"], "width has no place beside the input"),
        (["linear", "--plot", "a.gif"], "cannot tell the format of 'a.gif'"),
        (["linear", "--plot", "nowhere/a.svg"], "cannot write"),
    ],
)
def test_what_does_not_go_together_is_told(cli: Cli, arguments: list[str], message: str) -> None:
    outcome = cli("propagate", *arguments)
    assert (outcome.code, outcome.out) == (2, "") or outcome.code == 4
    assert outcome.err.startswith(f"error: {message}"), outcome.err


@pytest.mark.parametrize("widths", [["16"], ["16", "16"]])
def test_one_width_is_told_before_a_network_is_drawn(
    cli: Cli, widths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(*block: str, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr("bnstats.networks.propagate.propagate", drawn)
    assert cli("propagate", "linear", "--widths", *widths).code == 2


# --- pictures -------------------------------------------------------------------------------------


def test_a_picture_has_the_same_bytes_and_shows_what_is_told(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = [tmp_path / f"{name}.svg" for name in "ab"]
    call = ("propagate", "linear", "gelu", "--depth", 6, "--networks", 120, "--range", "fp16")
    for file in files:
        assert cli(*call, "--plot", file).code == 0
    first, second = (file.read_text("utf-8") for file in files)
    assert first == second
    for text in ("forward, σ[y]", "backward, σ[dx]", "infinitely wide", "smallest fp16", "block"):
        assert f">{text}<" in first, text
    # the bands of 120 networks: an interval and a spread in each of two panels, c in the third
    assert len(re.findall('id="FillBetweenPolyCollection_', first)) == 5


def test_a_picture_of_two_runs_has_a_line_for_each(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "a.svg"
    call = ("propagate", "linear", "tanh", "--compare", "xavier", "he", "--depth", 3)
    assert cli(*call, "--networks", 20, "--plot", file).code == 0
    shown = file.read_text("utf-8")
    assert ">linear tanh, xavier, width 256<" in shown
    assert ">linear tanh, he, width 256<" in shown


def test_the_ranges_of_formats_are_numpys_and_the_command_knows_them() -> None:
    from bnstats.plots.networks import RANGES

    (option,) = (p for p in command.params if p.name == "ranges")
    assert set(option.type.choices) == set(RANGES)  # type: ignore[attr-defined]
    half = np.finfo(np.float16)
    assert RANGES["fp16"] == (half.smallest_normal, half.max)
    torch = pytest.importorskip("torch")
    names = {"bf16": "bfloat16", "e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2"}
    for ours, theirs in names.items():
        info = torch.finfo(getattr(torch, theirs))
        assert RANGES[ours] == (info.smallest_normal, info.max), ours


# --- the fixture ----------------------------------------------------------------------------------


def test_the_fixture_passes_what_starts_steady_and_fails_what_does_not(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        def test_steady(bnstats_propagate):
            found = bnstats_propagate("linear relu", width=64, depth=6, networks=40)
            assert found.networks == 40

        def test_vanishes(bnstats_propagate):
            bnstats_propagate("linear sigmoid", width=32, depth=12, networks=40)

        def test_grows(bnstats_propagate):
            grows = {"width": 64, "depth": 6, "networks": 40, "gain": 1.7}
            bounds = {"forward": None, "backward": None, "growth": (0.97, 1.03)}
            bnstats_propagate("linear relu", **grows, **bounds)

        def test_dies(bnstats_propagate):
            bnstats_propagate("linear relu", width=2, depth=60, networks=40, backward=None)
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "σ[[]dx] at the first layer = * is outside 0.5 to 2, z = -*",
            "the factor of y a block = 1.* is outside 0.97 to 1.03, z = +*",
            "σ[[]y] at the output = 0 is outside 0.5 to 2",
        ]
    )


def test_networks_on_their_bound_do_not_fail() -> None:
    """Half of all first stages lie outside; none of these hundred is confirmed."""
    bounds = StartBounds(forward=(1.0, 2.0), backward=None)
    for seed in range(100):
        settings = {"width": 64, "depth": 1, "networks": 20, "seed": seed, "init": "xavier"}
        assert check_start(("linear",), bounds, 1e-6, settings)[1] == []


def test_a_distance_is_as_rare_as_students_t() -> None:
    """Of four networks, t = 10 is no rarer than z = 3.07."""
    found = run(networks=4, depth=1)
    side = found.rows[-1].y.typical
    assert side.relative is not None
    bound = side.value * math.exp(-10 * side.relative)
    (told,) = outside(found, StartBounds((bound / 9, bound), None))
    assert told.z == NEAR(stats.norm.isf(stats.t.sf(10, 3)))


def test_bounds_must_be_two_numbers() -> None:
    with pytest.raises(ArgumentError, match="forward"):
        StartBounds(forward=(2.0, 0.5))
    assert str(Outside("σ", 3.0, (0.5, 2), 5.25)) == "σ = 3 is outside 0.5 to 2, z = +5.2"

"""What code of the user's may do to a run, and what files may have run: trust, and its limits."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_support import Outcome, environment

import bnstats
from bnstats import BnstatsError
from bnstats.custom import finding
from bnstats.layers import USER_LAYERS

Cli = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make an empty directory the current one, and forget what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(finding, "_trusted", set())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would look current after an edit
    modules, layers = set(sys.modules), dict(USER_LAYERS)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
            del sys.modules[name]
    USER_LAYERS.clear()
    USER_LAYERS.update(layers)


# --- false greens ------------------------------------------------------------------------------

LEAVES = """
import sys
import bnstats
class Hidden(BaseException): pass
def at_once(x): sys.exit(0)
def late(x):
    if x.size > 5000: raise SystemExit(0)
    return x
def otherwise(x): raise Hidden("so")
def slope(x): return x, sys.exit(0)
def built(*, p: float = 1.0): sys.exit(0)
@bnstats.register(breakpoints=lambda: sys.exit(0))
def broken(x): return x
@bnstats.register(breakpoints=lambda: 1 / 0)
def wrong(x): return x
"""


@pytest.mark.parametrize("command", ["verify", "compute", "exact"])
@pytest.mark.parametrize(
    ("layer", "raised"),
    [
        ("at_once", "SystemExit: 0"),
        ("late", "SystemExit: 0"),
        ("otherwise", "Hidden: so"),
        ("slope", "SystemExit: 0"),
        ("built", "SystemExit: 0"),
        ("broken", "breakpoints of broken raised SystemExit: 0"),
        ("wrong", "breakpoints of wrong raised ZeroDivisionError: division by zero"),
    ],
)
def test_no_layer_ends_the_program_with_success(
    home: Path, cli: Cli, command: str, layer: str, raised: str
) -> None:
    (home / "leaves.py").write_text(LEAVES)
    (home / "a.csv").write_text(f"layer,quantity,value\nleaves:{layer},std_dx,1.0\n")
    what = ("a.csv", "--import", f"leaves:{layer}") if command == "verify" else (f"leaves:{layer}",)
    code, out, err = cli(command, *what)
    assert (code, out) == (2, "")
    assert raised in err.splitlines()[0]


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x: x + x[::-1],
        lambda x: x + np.roll(x, 1),
        lambda x: np.sort(x),
        lambda x: x + x[0],
        lambda x: x * len(x),
        lambda x: x + np.roll(x, len(x) // 2),
        lambda x: x - x.mean(),
        lambda x: x + np.arange(len(x)) % 3,
    ],
)
def test_what_depends_on_other_draws_is_not_elementwise(
    home: Path, mixed: Callable[..., object]
) -> None:
    bnstats.register(mixed, name="mixed")
    with pytest.raises(BnstatsError, match="is not elementwise"):
        bnstats.exact("mixed")


@pytest.mark.parametrize("step", [3e-2, 1e-3, 1e-4, 3e-5, 1e-5, 1.7e-6, 1e-7, 1e-8])
def test_a_quantiser_has_no_slope_of_1(home: Path, step: float) -> None:
    bnstats.register(lambda x: np.round(x / step) * step, name="quantised")
    found = bnstats.exact("quantised")
    assert "std_dx" not in found.quantities or found.std_dx.value < 1e-6
    if step < 1e-4:  # finer than the differences
        assert "do not believe dx" in found.warnings[-1]


@pytest.mark.parametrize(
    "smooth",
    [np.tanh, lambda x: x**3, lambda x: (1e4 + x) - 1e4, lambda x: np.sin(30 * x), np.square],
)
def test_what_is_smooth_has_its_slope(home: Path, smooth: Callable[..., object]) -> None:
    bnstats.register(smooth, name="smooth")
    assert bnstats.exact("smooth").warnings == ()
    assert "std_dx" in bnstats.exact("smooth").quantities


def test_what_is_reloaded_is_what_is_computed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(home))
    text = "import functools\ndef f(x): return 2 * x\n"
    text += "@functools.wraps(f)\ndef g(x): return f(x)\n"
    (home / "edited.py").write_text(text)
    assert bnstats.exact("edited:f").std_y.value == pytest.approx(2)
    assert bnstats.exact("edited:g").std_y.value == pytest.approx(2)
    before = USER_LAYERS["edited:f"], USER_LAYERS["edited:g"]
    assert bnstats.exact("edited:f").std_y.value == pytest.approx(2)
    assert (USER_LAYERS["edited:f"], USER_LAYERS["edited:g"]) == before
    (home / "edited.py").write_text(text.replace("2 * x", "3 * x"))
    importlib.reload(sys.modules["edited"])
    assert bnstats.exact("edited:f").std_y.value == pytest.approx(3)
    assert bnstats.exact("edited:g").std_y.value == pytest.approx(3)


# --- what a file may have run ------------------------------------------------------------------

TRUSTED = """
from __future__ import annotations
import pathlib
import bnstats
from bnstats.layers import BoundLayer, ExactMoments, Input

def double(x): return 2 * x
def add(xp, x, *, bias: float = 1.0): return x + bias

def _built():
    inputs = {"x": Input(), "dy": Input()}
    forward = lambda xp, draws: (2 * draws["x"], lambda dy: 2 * dy)
    return BoundLayer(inputs, forward, lambda law, expect: ExactMoments())

def touch(*, number: int = 1):
    pathlib.Path("called").touch()
    return _built()
def nothing():
    pathlib.Path("called").touch()
    return _built()
def delete(path: str, *, force: bool = False): pathlib.Path("called").touch()
def count(n: int): pathlib.Path("called").touch()
class Thing:
    def __init__(self, number: int = 1): pathlib.Path("called").touch()

@bnstats.register
def builder(*, number: int = 1): return _built()
"""


@pytest.mark.parametrize(
    ("layer", "trusted"),
    [
        ("trusted:double", True),
        ("trusted:add:bias=0", True),
        ("builder", True),
        ("builder:number=2", True),
        ("trusted:builder:number=2", True),
        ("trusted:touch", False),
        ("trusted:touch:number=2", False),
        ("trusted:nothing", False),
        ("trusted:delete", False),
        ("trusted:delete:force=true", False),
        ("trusted:count", False),
        ("trusted:Thing", False),
        ("trusted:Thing:number=2", False),
    ],
)
def test_a_file_may_have_layers_of_a_trusted_module_called_and_nothing_else(
    cli: Cli, home: Path, layer: str, trusted: bool
) -> None:
    (home / "trusted.py").write_text(TRUSTED)
    (home / "a.csv").write_text(f"layer,quantity,value\n{layer},std_dx,1.0\n")
    outcome = cli("verify", "a.csv", "--import", "trusted", "-n", "2000")
    if trusted:
        assert outcome.code in (0, 1), outcome.err
    else:
        assert outcome.code == 2
        assert "is not loaded" in outcome.err
    assert not (home / "called").exists()
    if layer in ("trusted:touch", "trusted:nothing"):  # a person may name it
        outcome = cli("verify", "a.csv", "--import", layer, "-n", "2000")
        assert outcome.code == 1, outcome.err


def test_the_users_folder_stands_in_for_no_package(home: Path) -> None:
    """Of one name in both, the package is meant: its other modules count on that."""
    (home / "acts.py").write_text("def f(x): return x\n")
    for name in ("scipy", "numpy", "click", "json"):
        (home / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(0)\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "bnstats", "compute", "acts:f", "-n", "2000"],
        cwd=home,
        env={k: v for k, v in environment().items() if k != "PYTHONPATH"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (home / "ran").exists()


ODD = """
import torch
from torch.nested import nested_tensor
class M(torch.nn.Module):
    def forward(self, x): return MADE
class Held(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.eye(2).to_sparse())
    def forward(self, x): return x * self.weight.to_dense()[0, 0]
"""


@pytest.mark.filterwarnings("ignore:The PyTorch API", "ignore:Sparse CSR")
@pytest.mark.parametrize(
    ("made", "what"),
    [
        ("x.to_sparse()", "y"),
        ("x[None].to_sparse_csr()", "y"),
        ("x.to('meta')", "y"),
        ("nested_tensor([x, x[:1]])", "y"),
        ("nested_tensor([x, x[:1]], layout=torch.jagged)", "y"),
        ("(x, x.to_sparse())", "the slope"),
        ("(x, nested_tensor([x, x[:1]]))", "the slope"),
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_tensors_that_hold_no_number_for_each_x_are_refused(
    home: Path, cli: Cli, made: str, what: str, backend: str
) -> None:
    pytest.importorskip("torch")
    (home / "odd.py").write_text(ODD.replace("MADE", made))
    code, out, err = cli("compute", "odd:M", "-n", "2000", "--backend", backend)
    assert (code, out) == (2, "")
    wanted = f"error: odd:M returned a sparse, nested or empty tensor as {what}"
    assert wanted in err.splitlines()
    assert "hint:  a layer returns one number for each x: y.to_dense()" in err.splitlines()


def test_what_a_module_holds_may_be_sparse(home: Path, cli: Cli) -> None:
    pytest.importorskip("torch")
    (home / "odd.py").write_text(ODD.replace("MADE", "x"))
    assert cli("compute", "odd:Held", "-n", "2000", "--get", "samples")[:2] == (0, "2000\n")


def test_a_folder_that_is_gone_is_the_machines_fault(home: Path, cli: Cli) -> None:
    (home / "gone").mkdir()
    os.chdir(home / "gone")
    (home / "gone").rmdir()
    assert cli("compute", "relu", "-n", "2000", "--get", "samples").out == "2000\n"
    for argv in (("verify",), ("compute", "nowhere:f")):
        code, out, err = cli(*argv)
        assert (code, out) == (4, "")
        assert err.startswith("error: the system refuses: No such file or directory")

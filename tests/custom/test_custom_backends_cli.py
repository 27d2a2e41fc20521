"""Layers in torch and jax from the command line: runs, manual pages, and every mistake in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Cli, environment, read_document, spawn

import bnstats

pytest.importorskip("torch")
pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("user_modules")


def test_show_tells_of_a_module(cli: Cli) -> None:
    shown = cli("show", "torch_acts:Swish").out
    assert "torch_acts:Swish — Swish with a learned factor." in shown
    assert "beta  float, default: 1" in shown
    assert "approximate  word, default: none" in cli("show", "torch.nn:GELU").out


@pytest.mark.parametrize(
    ("spec", "backend", "own"),
    [
        ("torch.nn:GELU", "torch", "gelu"),
        ("torch_acts:Swish:beta=1", "numpy", "silu"),
        ("jax_acts:silu", "jax", "silu"),
    ],
)
def test_a_run_in_a_process_of_its_own(
    spec: str, backend: str, own: str, user_modules: Path
) -> None:
    outcome = spawn("compute", spec, "--backend", backend, "-n", "1e5", "--json", cwd=user_modules)
    assert (outcome.code, outcome.err) == (0, "")
    (result,) = read_document(outcome.out)["results"]
    exact = bnstats.exact(own)
    for name in ("mean_y", "std_y", "std_dx"):
        assert result[name]["exact"]["value"] == pytest.approx(
            getattr(exact, name).value, rel=1e-10
        )
        assert abs(result[name]["z"]) < 4.5


def test_neither_library_is_imported_for_a_function_of_numpy(user_modules: Path) -> None:
    code = (
        "import sys; from bnstats.cli.main import main; main(['exact', 'acts:swish']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=user_modules,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "jax"} & set(done.stderr.split())


MISTAKES = [
    ("torch.nn:Dropout", "is not elementwise", "bnstats has this layer: dropout"),
    ("torch.nn:RReLU", "is not elementwise", "bnstats has this layer: rrelu"),
    ("torch.nn:BatchNorm1d:num_features=1", "raised ValueError", "this layer: batch_norm"),
    ("torch.nn:Softmax:dim=0", "is not elementwise", "bnstats has this layer: softmax"),
    ("jax.nn:softmax", "is not elementwise", "bnstats has this layer: softmax"),
    ("torch.nn:Linear", "torch.nn:Linear needs in_features and out_features", "in_features=1"),
    ("torch.nn:GELU:approximate=erf", "argument must be either none or tanh", ""),
    ("torch.nn:GELU:approximate=-;-", "approximate=-;- is not a word", ""),
    ("torch.nn:GELU:alpha=1", "torch.nn:GELU has no parameter 'alpha'", "approximate"),
    ("torch.nn:Softpls", "'torch.nn' has no 'Softpls'", "did you mean 'Softplus'?"),
    ("torch_acts:Fussy:gain=2", "torch_acts:Fussy raised ValueError: gain is above 1", "-v"),
    ("torch_acts:training", "training is not elementwise", "a builder that returns a BoundLayer"),
    ("torch_acts:softmax", "softmax is not elementwise", "a builder that returns a BoundLayer"),
    ("torch_acts:branches", "branches raised RuntimeError: Boolean", "torch.where(x > 0, a, b)"),
    ("torch_acts:halved", "halved returned y of shape (30,) for x of shape (60,)", "one number"),
    ("torch_acts:narrow", "returned y as torch.float32 where x is torch.float64", "x.dtype"),
    ("torch_acts:misspelt", "'Tensor' object has no attribute 'tnh'", "torch_acts.py:"),
    ("torch_acts:array", "array returned a ndarray as y", ""),
    ("torch_acts:no_backward", "no_backward raised NotImplementedError", ""),
    ("jax_acts:branches", "branches raised TracerBoolConversionError", "jnp.where(x > 0, a, b)"),
    ("jax_acts:halved", "halved returned y of shape (30,) for x of shape (60,)", "one number"),
    ("jax_acts:narrow", "returned y as float16 where x is float64", "x.dtype"),
    ("jax_acts:softmax", "softmax is not elementwise", "a builder that returns a BoundLayer"),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES)
def test_each_mistake_gives_one_line(cli: Cli, text: str, message: str, hint: str) -> None:
    outcome = cli("exact", text)
    first, *rest = outcome.err.splitlines()
    assert outcome.code == 2
    assert outcome.out == ""
    assert first.startswith("error: ")
    assert message in first
    assert any(hint in line for line in (first, *rest))
    assert len(rest) <= 3
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("text", "backend", "message", "hint"),
    [
        ("torch.nn:GELU", "jax", "takes torch's arrays and does not run on jax", "--backend torch"),
        ("jax.nn:silu", "torch", "takes jax's arrays and does not run on torch", "--backend jax"),
        ("acts:leaky", "torch", "acts:leaky does not run on torch", "--backend numpy runs it"),
        ("acts:leaky", "jax", "acts:leaky does not run on jax: Tracer", "--backend numpy runs it"),
    ],
)
def test_what_a_backend_cannot_run_is_told(
    cli: Cli, text: str, backend: str, message: str, hint: str
) -> None:
    outcome = cli("compute", text, "--backend", backend, "-n", "1e4")
    assert outcome.code == 2
    assert message in outcome.err
    assert hint in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_library_that_is_not_installed_is_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for path in (f"{library}.nn:silu", f"{library}_acts:silu"):
        outcome = cli("exact", path)
        assert outcome.code == 4
        assert f"{path} needs {library}, which is not installed" in outcome.err
        assert f"hint:  pip install 'bnstats[{library}]'" in outcome.err

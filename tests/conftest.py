"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_support import Outcome
from custom_support import JAX_MODULE, MODULE, TORCH_MODULE

from bnstats.cli.main import main
from bnstats.layers import USER_LAYERS

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras' own default is tensorflow


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run the program in this process, far from any terminal, and return what it left behind."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "_BNSTATS_COMPLETE"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: object) -> Outcome:
        arguments = [str(a) for a in argv]
        monkeypatch.setattr(sys, "argv", ["bnstats", *arguments])
        capsys.readouterr()
        code = main(arguments)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def user_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have acts, torch_acts and jax_acts in the current directory and on the path; forget them."""
    modules = {"acts": MODULE, "torch_acts": TORCH_MODULE, "jax_acts": JAX_MODULE}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(USER_LAYERS)
    yield tmp_path
    for name in modules:
        sys.modules.pop(name, None)
    USER_LAYERS.clear()
    USER_LAYERS.update(before)

"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from cli_support import Outcome

from bnstats.cli.main import main

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

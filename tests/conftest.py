"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from cli_support import Outcome
from custom_support import JAX_MODULE, MODULE, TORCH_MODULE

from bnstats.claims import claim_set
from bnstats.cli.main import main
from bnstats.layers import USER_LAYERS

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras' own default is tensorflow
os.environ["XDG_CACHE_HOME"] = os.devnull  # a test that wants a cache has one of its own


_LIBRARIES = ("torch", "array_api_compat", "jax", "flax", "keras", "matplotlib")
_COMMAND = "python -m pip install -e '.[test,torch,jax,libraries,plot]' && python -m pytest"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own, which starts the workers
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the whole suite in as many processes as there are processors, a part of it in this one.

    So a debugger works wherever a test is named; `-n` says otherwise, and without pytest-xdist
    everything runs in this process.
    """
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return  # a worker starts no workers of its own
    if config.option.numprocesses is None:
        config.option.numprocesses = "auto" if whole else 0
    if config.option.dist == "no":
        config.option.dist = "worksteal"
    config.option.maxprocesses = config.option.maxprocesses or 8


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was skipped, and how it is not."""
    skipped = terminalreporter.stats.get("skipped", [])
    absent = [name for name in _LIBRARIES if find_spec(name) is None]
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in skipped}
    others = [r for r in sorted(reasons) if not any(name in r for name in absent)]
    if skipped and absent:
        text = f"{len(skipped)} tests skipped, for want of {', '.join(absent)}: {_COMMAND}"
        terminalreporter.write_line(text)
    for reason in others:
        terminalreporter.write_line(f"skipped: {reason}")


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
def few_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables audit three sets of claims; all of them take seconds."""
    sets = [claim_set(name) for name in ("feng2016", "feng2016-repost", "torch")]
    monkeypatch.setattr("bnstats.tables.published.audit.claim_sets", lambda: iter(sets))


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

"""Start-up is part of the interface: what a call imports, it makes the user wait for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cli_support import environment

HEAVY = {"numpy", "scipy", "rich"}
PROGRAM = """
import sys
from bnstats.cli.main import main
code = main(sys.argv[1:])
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def modules(program: str, *argv: str) -> set[str]:
    """Return what is imported by the end of a program that prints it on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", program, *argv],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=120,
        check=False,
    )
    code, *names = done.stderr.split()
    assert (done.returncode, code) == (0, "0"), done.stderr
    return set(names)


@pytest.mark.parametrize(
    "argv",
    [
        "--version",
        "--help",
        "compute --help",
        "verify --help",
        "completion bash",
        "list",
        "list claims",
        "help",
        "help conventions",
    ],
)
def test_what_needs_no_numbers_imports_no_heavy_module(argv: str) -> None:
    found = modules(PROGRAM, *argv.split())
    assert "bnstats.cli.main" in found
    assert not HEAVY & found


@pytest.mark.parametrize("argv", ["compute sigmoid -n 1e6", "show sigmoid"])
def test_exact_values_do_without_slow_scipy_and_without_a_progress_bar(argv: str) -> None:
    found = modules(PROGRAM, *argv.split())
    assert "numpy" in found
    slow = {"scipy.stats", "scipy.integrate", "scipy.special", "rich", "jsonschema"}
    assert not slow & found
    assert not {"dask", "distributed", "tornado", "bnstats.sampling.cluster"} & found


def test_import_bnstats_loads_no_numpy() -> None:
    found = modules("import sys, bnstats\nprint(0, *sorted(sys.modules), file=sys.stderr)")
    assert "bnstats.version" in found
    assert not (HEAVY | {"click"}) & found

"""The machine in the way: what cannot be read or had is told in a line, and costs nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Outcome, environment

pytestmark = pytest.mark.slow  # other programs, each

# Root reads everything by CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH. What is begun by a program that
# gave them up, by PR_CAPBSET_DROP, lacks them; of others than root it is refused, and not needed.
_UNPRIVILEGED = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


def run(code: str, *argv: object, cwd: Path, before: str = "") -> Outcome:
    """Run the program after some code, as someone who may not read everything.

    ``before`` runs while everything may be read.
    """
    begun = f"{code}\nimport sys\nfrom bnstats.cli.main import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", before + _UNPRIVILEGED, begun, *map(str, argv)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "acts.py").write_text("def f(x): return 2 * x\n")
    (tmp_path / "a.csv").write_text("layer,quantity,value\nrelu,std_dx,0.7071\n")
    (tmp_path / "pyproject.toml").write_text('[tool.bnstats]\nclaims = ["a.csv"]\n')
    for name in ("kept", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / "constants.json").write_text("{}")
    return tmp_path


# --- what may not be read ----------------------------------------------------------------------

UNREADABLE = [
    ("acts.py", ("compute", "acts:f"), "importing acts raised PermissionError"),
    ("acts.py", ("verify", "a.csv", "--import", "acts"), "importing acts raised PermissionError"),
    ("a.csv", ("verify", "a.csv"), "cannot read a.csv: Permission denied"),
    ("a.csv", ("verify",), "cannot read a.csv: Permission denied"),
    ("pyproject.toml", ("verify",), "cannot read pyproject.toml: Permission denied"),
    ("kept", ("compute", "relu", "--checkpoint", "kept"), "Path 'kept' is not readable"),
    ("results", ("table", "--check"), "Path 'results' is not readable"),
    ("results", ("verify", "results/constants.json"), "constants.json: Permission denied"),
    ("results/constants.json", ("table", "--check"), "constants.json: Permission denied"),
    ("results", ("compute", "relu", "-n", "2000", "--export", "results/a.json"), "cannot write"),
]


@pytest.mark.parametrize(("name", "argv", "told"), UNREADABLE)
def test_what_may_not_be_read_is_named(
    home: Path, name: str, argv: tuple[str, ...], told: str
) -> None:
    (home / name).chmod(0)
    try:
        code, out, err = run("", *argv, cwd=home)
    finally:
        (home / name).chmod(0o755)
    assert (code, out) == (2, ""), err
    assert told in err.splitlines()[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("compute", "relu", "-n", "2000", "--get", "samples"), 0, ""),
        (("exact", "relu", "--get", "mean_y.exact.value"), 0, ""),
        (("propagate", "linear", "relu", "--width", "4", "--depth", "2"), 0, ""),
        (("show", "relu"), 0, ""),
        (("compute", "acts:f"), 2, "hint:  the current directory cannot be read"),
        (("verify",), 4, "error: the system refuses: Permission denied"),
        (("verify", "a.csv"), 4, "error: the system refuses: Permission denied"),
        (("table", "--check"), 2, "cannot read results/constants.json: Permission denied"),
        (("compute", "relu", "-n", "2000", "--export", "b.json"), 2, "cannot write b.json"),
    ],
)
def test_a_working_folder_that_may_not_be_read_is_in_the_way_of_files_alone(
    home: Path, argv: tuple[str, ...], code: int, told: str
) -> None:
    try:
        found = run("", *argv, cwd=home, before="import os; os.chmod('.', 0)")
    finally:
        home.chmod(0o755)
    assert found.code == code, found.err
    assert told in found.err
    assert bool(found.out) == (code == 0)
    assert "Traceback" not in found.err


# --- what cannot be had ------------------------------------------------------------------------

NO_FOLDER = "import tempfile\ntempfile._candidate_tempdir_list = lambda: []"
NO_SEMAPHORES = """
import _multiprocessing
class SemLock(_multiprocessing.SemLock):
    def __new__(cls, *rest): raise OSError(38, "Function not implemented")
_multiprocessing.SemLock = SemLock
"""
FEW_FILES = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))"


@pytest.mark.parametrize("lacking", [NO_FOLDER, NO_SEMAPHORES, FEW_FILES])
def test_without_a_folder_semaphores_or_many_files_the_digits_are_the_same(
    home: Path, lacking: str
) -> None:
    """No writable temporary folder, no /dev/shm, and a limit on open files."""
    argv = ("compute", "relu", "-n", "4000000", "--get", "std_dx.value", "--workers")
    alone, *others = (run(code, *argv, n, cwd=home) for code, n in (("", 1), (lacking, 8)))
    assert others == [alone]
    assert alone.code == 0


@pytest.mark.parametrize(
    "argv",
    [
        ("verify", "a.csv", "-n", "2000", "--no-cache"),
        ("exact", "acts:f", "--export", "b.json"),
        ("table", "constants", "--check", "-n", "2000"),
        ("sweep", "relu", "--over", "x_mean=0,1", "--plot", "b.svg"),
    ],
)
def test_without_a_temporary_folder_nothing_but_a_picture_is_lost(
    home: Path, argv: tuple[str, ...]
) -> None:
    """Matplotlib writes a cache, here with nowhere else to go to."""
    if "--plot" in argv:
        pytest.importorskip("matplotlib")
    alone, lacking = (run(code, *argv, cwd=home) for code in ("", NO_FOLDER))
    assert lacking.out == alone.out
    if "--plot" in argv:
        assert lacking.code == 4
        assert lacking.err.splitlines()[-1].startswith("error: the system refuses: Matplotlib")
    else:
        assert lacking == alone

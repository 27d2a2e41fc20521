"""table takes up where it was cut off, and ends with the files of an uninterrupted run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from cli_support import Cli, Outcome, Terminal, environment

from bnstats.tables import constants, kept

# Those that need scipy come first: the rows of a second process do not, and yet it is named.
SPECS = ("gelu", "max_pool2d:kernel_size=2", "dropout:p=0.25", "relu", "tanh", "identity")
PROGRAM = f"""
import sys
from bnstats.tables import constants
from bnstats.cli.main import main
constants.table_specs = lambda: {SPECS!r}
sys.exit(main(sys.argv[1:]))
"""
SIDE_FILE = ".constants.rows"
N = "20000"
HAS_PICTURE = find_spec("matplotlib") is not None
NO_PICTURE = (
    ""
    if HAS_PICTURE
    else "note: matplotlib is not installed, so published.svg is not drawn: "
    "pip install 'bnstats[plot]'\n"
)


def start(directory: Path, *options: str) -> subprocess.Popen[str]:
    """Begin a table in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "table", "--out", str(directory), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)


def contents(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir()}


def lines(directory: Path) -> list[bytes]:
    path = directory / SIDE_FILE
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a run that nothing happened to."""
    directory = tmp_path_factory.mktemp("whole")
    code, _, err = finish(start(directory, "-n", "2000000"))
    assert (code, err) == (0, NO_PICTURE)
    found = contents(directory)
    picture = {"published.svg"} if HAS_PICTURE else set()
    assert set(found) == {"constants.json", "constants.md", "published.md", *picture}
    document = json.loads(found["constants.json"])
    assert "scipy" in document["provenance"]
    assert [row["layer"] for row in document["results"]] == list(SPECS)
    return found


def test_a_killed_run_is_taken_up_with_identical_files(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    run = start(tmp_path, "-n", "2000000")
    deadline = time.monotonic() + 60
    while len(lines(tmp_path)) < 3:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    run.kill()
    assert finish(run).code == -signal.SIGKILL
    # The kill may have torn the last line; only whole ones count.
    done = sum(line.endswith(b"\n") for line in lines(tmp_path))
    assert 2 <= done < len(SPECS)
    assert set(contents(tmp_path)) == {SIDE_FILE}
    code, out, err = finish(start(tmp_path, "-n", "2000000"))
    assert (code, len(out.splitlines())) == (0, len(uninterrupted))
    note = f"note: {done} of {len(SPECS)} rows were done by a run that was cut off\n"
    assert err == note + NO_PICTURE
    assert contents(tmp_path) == uninterrupted


# The rest in this process, with draws counted.


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in an empty directory with a small catalogue; return the layers as they are drawn."""
    calls: list[str] = []
    true = constants.compute

    def counted(spec: str, **settings: object) -> object:
        calls.append(spec)
        return true(spec, **settings)  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "table_specs", lambda: SPECS)
    monkeypatch.setattr(constants, "compute", counted)
    Path("results").mkdir()
    return calls


def cut_off(cli: Cli, drawn: list[str], monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    """Press Ctrl-C in the third row; return stderr."""
    with monkeypatch.context() as patch:
        counted = constants.compute

        def third(spec: str, **settings: object) -> object:
            if len(drawn) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return counted(spec, **settings)  # type: ignore[arg-type]

        patch.setattr(constants, "compute", third)
        code, out, err = cli("table", "-n", N, *options)
    assert (code, out, drawn) == (130, "", list(SPECS[:3]))
    drawn.clear()
    return err


def test_ctrl_c_keeps_the_rows_and_says_so(
    cli: Cli, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("table", "-n", N).code == 0
    whole = contents(Path("results"))
    drawn.clear()
    err = cut_off(cli, drawn, monkeypatch)
    assert err.splitlines()[-1] == (
        "interrupted: the tables are as they were; the rows done are in results/.constants.rows, "
        "the next run takes them up"
    )
    assert contents(Path("results")) == whole | {SIDE_FILE: b"".join(lines(Path("results")))}
    code, _, err = cli("table", "-n", N, "--workers", "2")  # which change no digit
    note = "note: 2 of 6 rows were done by a run that was cut off\n"
    assert (code, err) == (0, note + NO_PICTURE)
    assert drawn == list(SPECS[2:])
    assert contents(Path("results")) == whole


@pytest.mark.parametrize("keep", [1, 40, -40, -1])
def test_a_torn_line_costs_its_row_and_no_other(
    cli: Cli, drawn: list[str], monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    assert cli("table", "-n", N).code == 0
    whole = contents(Path("results"))
    drawn.clear()
    cut_off(cli, drawn, monkeypatch)
    first, second = lines(Path("results"))
    (Path("results") / SIDE_FILE).write_bytes(first + second[:keep])
    # Cut off once more: the torn line is in the middle now, and only what it held is lost.
    whole_line = keep == -1  # all but the newline
    with monkeypatch.context() as patch:
        patch.setattr(constants, "joined", interrupt)
        assert cli("table", "-n", N).code == 130
    assert drawn == list(SPECS[2 if whole_line else 1 :])
    drawn.clear()
    assert cli("table", "-n", N).code == 0
    assert drawn == []
    assert contents(Path("results")) == whole


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "change"),
    [
        (("--seed", "1"), None),
        (("-n", "20001"), None),
        ((), ("version", lambda name: "0")),
        ((), ("opt_func_info", lambda **which: {})),
    ],
    ids=["seed", "samples", "numpy", "processor"],
)
def test_rows_with_other_digits_are_not_taken_up(
    cli: Cli,
    drawn: list[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    change: tuple[str, object] | None,
) -> None:
    cut_off(cli, drawn, monkeypatch)
    if change:
        where = "numpy.lib.introspect" if change[0] == "opt_func_info" else "bnstats.tables.kept"
        monkeypatch.setattr(f"{where}.{change[0]}", change[1])
    code, _, err = cli("table", "-n", N, *options)
    assert (code, err) == (0, NO_PICTURE)
    assert drawn == list(SPECS)
    assert SIDE_FILE not in contents(Path("results"))


@pytest.mark.parametrize("edited", [False, True])
def test_rows_of_other_sources_are_not_taken_up(
    cli: Cli, drawn: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, edited: bool
) -> None:
    monkeypatch.setattr(kept, "_PACKAGE", tmp_path / "package")
    formulas = tmp_path / "package" / "layers" / "smooth.py"
    formulas.parent.mkdir(parents=True)
    formulas.write_text("y = x * x")
    cut_off(cli, drawn, monkeypatch)
    formulas.write_text("y = x + x" if edited else "y = x * x")
    assert cli("table", "-n", N).code == 0
    assert drawn == list(SPECS if edited else SPECS[2:])


def test_what_is_no_row_is_passed_over(cli: Cli, drawn: list[str]) -> None:
    (Path("results") / SIDE_FILE).write_bytes(
        b'\xff\n[1]\n{"key": 1}\n"x"\n{"layer":\n' + b"[" * 10**5
    )
    assert cli("table", "-n", N)[0] == 0
    assert drawn == list(SPECS)


def test_rows_that_cannot_be_kept_are_an_error_before_any_draw(cli: Cli, drawn: list[str]) -> None:
    (Path("results") / SIDE_FILE).mkdir()
    code, out, err = cli("table", "-n", N)
    assert (code, out) == (2, "")
    assert err == "error: cannot write results/.constants.rows: it is a directory\n"
    assert drawn == []


def test_a_full_disk_is_reported(
    cli: Cli, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = kept.append_line
    monkeypatch.setattr(kept, "append_line", lambda path, line: true(Path("/dev/full"), line))
    code, out, err = cli("table", "-n", N)
    assert (code, out) == (4, "")
    assert err == "error: cannot write /dev/full: No space left on device\n"
    assert drawn == list(SPECS[:1])


def test_the_bar_shows_the_layer_and_its_rate(tmp_path: Path) -> None:
    run = Terminal("table", "-n", "1e12", "--out", tmp_path, "--workers", 1)
    first = constants.table_specs()[0]
    run.wait_for(rf"table .*0%.*{first} at \d[\d.e+]*/s")
    run.process.send_signal(signal.SIGINT)
    code, _ = run.finish()
    assert code == 130
    assert "interrupted: the tables are as they were\r\n" in run.screen

"""Whatever ends a run early leaves what was done: signals, errors, lost workers, time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import COMMAND, ROOT, Outcome, Terminal, environment, read_document

from bnstats import compute
from bnstats.cli.interrupt import interruptible
from bnstats.cli.main import main
from bnstats.errors import HostError
from bnstats.layers import USER_LAYERS
from bnstats.sampling import run as runs

Cli = Callable[..., Outcome]

LATE = """
count = 0
def late(x):
    global count
    count += x.size  # of which each draw takes several
    if count > 20_000_000: raise ValueError("late")
    return 2 * x
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "late.py").write_text(LATE)
    sys.modules.pop("late", None)
    USER_LAYERS.pop("late:late", None)
    return tmp_path


# --- signals -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_all_processes_gives_the_partial_result(
    tmp_path: Path, name: str, workers: int
) -> None:
    """`timeout` sends it twice: to its child, and to the whole group."""
    export = tmp_path / "a.csv"
    argv = ["compute", "relu", "sigmoid", "-n", "1e14", f"--workers={workers}", "--json"]
    run = Terminal(*argv, "--export", export, own_group=True)
    run.wait_for(r"relu .*\d/s")
    for _ in range(1 if name == "SIGINT" else 2):
        os.killpg(run.process.pid, getattr(signal, name))
        time.sleep(0.01)
    code, out = run.finish()
    assert code == 130
    document = read_document(out)
    assert document["status"] == "interrupted"
    (result,) = document["results"]
    assert result["samples"] > 0
    assert "Traceback" not in run.screen
    assert export.read_text().startswith("layer,quantity,")


HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"  # the cursor
LONG = {  # their bars are seen once the first layer of several is done
    "compute": ("compute", "relu", "-n", "1e14"),
    "verify": ("verify", "anyinit", "-n", "1e7", "--no-cache"),
    "sweep": ("sweep", *(f"sparsemax:n={n}" for n in range(3, 30)), "--over", "x_std=1,2"),
    "table": ("table", "constants", "-n", "1e14"),
    "propagate": ("propagate", "linear", "relu", "--networks", "1000000000"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "signals"),
    [
        *(("compute", s) for s in (["SIGINT"], ["SIGHUP"], ["SIGINT", "SIGINT"])),
        *((command, ["SIGTERM"]) for command in LONG),
    ],
)
def test_the_cursor_is_seen_after_an_early_end(
    home: Path, command: str, signals: list[str]
) -> None:
    (home / "results").mkdir()
    run = Terminal(*LONG[command], cwd=home)
    try:
        run.wait_for(re.escape(HIDDEN))
        for name in signals:
            run.process.send_signal(getattr(signal, name))
            time.sleep(0.01)
        assert run.finish()[0] == 130
    finally:
        run.process.kill()
    assert run.screen.rfind(SHOWN) > run.screen.rfind(HIDDEN) >= 0
    assert "Traceback" not in run.screen


def test_control_c_while_the_program_is_loaded_ends_it_without_a_word(home: Path) -> None:
    (home / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [*COMMAND, "compute", "relu"],
        cwd=home,
        env=environment(PYTHONPATH=f"{home}{os.pathsep}{ROOT}"),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not asked()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_program_runs_in_a_thread() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["compute", "relu", "-n", "2000"])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize("kind", [ImportError, HostError])
def test_ctrl_c_while_a_compiled_module_starts_is_no_error_of_it(
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """pybind11 raises an ImportError in its place, and a backend one of its own from that."""

    def started(*arguments: object) -> None:
        try:
            raise ImportError("initialization failed") from KeyboardInterrupt()
        except ImportError as error:
            raise kind("torch cannot be imported") from error

    monkeypatch.setattr("bnstats.runs.drawing.sample", started)
    assert main(["compute", "relu"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_ctrl_c_is_heard_while_files_are_read(home: Path) -> None:
    claims = [
        {"layer": f"elu:alpha={1 + i / 1e5}", "quantity": "std_y", "value": "0.7"}
        for i in range(9000)
    ]
    (home / "a.json").write_text(json.dumps(claims))
    begun = "import sys; from bnstats.cli.main import main; print(flush=True); sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", begun, "verify", "a.json"],
        cwd=home,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert b"Traceback" not in err


# --- errors ------------------------------------------------------------------------------------


def test_a_later_layer_that_raises_leaves_those_before_it(cli: Cli, home: Path) -> None:
    argv = ("compute", "relu", "late:late", "tanh", "-n", "1e7", "--export", "a.csv")
    code, out, err = cli(*argv)
    assert code == 2
    assert "relu " in out
    assert "tanh" not in out
    assert "error: late:late raised ValueError: late" in err
    assert "relu,std_dx" in (home / "a.csv").read_text()


def test_a_layer_that_raises_leaves_what_was_drawn_of_it(cli: Cli, home: Path) -> None:
    code, out, err = cli("compute", "late:late", "-n", "1e7", "--json")
    assert code == 2
    document = read_document(out)
    assert document["status"] == "interrupted"
    (result,) = document["results"]
    assert 0 < result["samples"] < 1e7
    assert result["std_y"]["value"] == pytest.approx(2, rel=0.1)
    assert err.splitlines()[-1].startswith("error: late:late") or "error: late:late" in err


def test_verify_leaves_the_checks_before_an_error(cli: Cli, home: Path) -> None:
    (home / "a.csv").write_text(
        "layer,quantity,value\nrelu,std_dx,0.7071\nlate:late,std_dx,2.0\ntanh,std_y,0.6\n"
    )
    argv = ("verify", "a.csv", "--import", "late", "-n", "1e7")
    code, out, err = cli(*argv)
    assert code == 2
    assert out.splitlines()[-1] == "1 constant of 1 layer: 1 reproduced"
    assert "error: late:late raised ValueError: late" in err
    code, out, _ = cli(*argv, "--json")
    assert code == 2
    document = read_document(out)
    assert [entry["layer"] for entry in document["results"]] == ["relu"]
    assert document["status"] == "interrupted"


@pytest.mark.parametrize(("raised", "message"), [(MemoryError(), "out of memory"), (None, "lost")])
def test_a_machine_that_fails_leaves_what_was_drawn(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, raised: Exception | None, message: str
) -> None:
    real, calls = runs.chunk_tally, []

    def fails(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > 3:
            raise raised or HostError("a worker process was lost")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "chunk_tally", fails)
    code, out, err = cli("compute", "relu", "-n", "1e7", "--workers", 1, "--json")
    assert code == 4
    assert message in err
    assert 0 < read_document(out)["results"][0]["samples"] < 1e7
    calls.clear()
    with pytest.raises(HostError, match=message):  # a program is told
        compute("relu", samples=10**7)


# --- time --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_verify_ends_in_time(cli: Cli, home: Path) -> None:
    (home / "a.csv").write_text("layer,quantity,value\nrelu,std_dx,0.7071\ntanh,std_y,0.6279\n")
    code, out, err = cli("verify", "a.csv", "-n", "1e14", "--max-time", "1s")
    assert code == 3
    assert "0 verified" in out
    assert "the time was over before all was checked" in err
    assert "note: this may take " in err
    assert "--max-time 10m ends it in time" in err
    assert (
        read_document(cli("verify", "a.csv", "-n", "1e12", "--max-time", "1s", "--json").out)[
            "status"
        ]
        == "interrupted"
    )
    code, _, err = cli("verify", "a.csv", "-n", "2000", "--max-time", "1h")
    assert (code, err) == (0, "")


def test_table_ends_in_time(cli: Cli, home: Path) -> None:
    (home / "results").mkdir()
    code, out, err = cli("table", "constants", "-n", "1e12", "--max-time", "1s")
    assert (code, out) == (3, "")
    assert err.splitlines()[-1] == "the time was over: the tables are as they were"
    assert list((home / "results").iterdir()) == []

"""Files are written whole or not at all, where the path leads, and stay whose they were."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import COMMAND, Outcome, environment

from bnstats.errors import BnstatsError, HostError
from bnstats.sampling import files
from bnstats.sampling.files import check_writable, write_atomically, write_together

Cli = Callable[..., Outcome]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.json").write_text("old")
    (tmp_path / "link.json").symlink_to("there/a.json")
    (tmp_path / "dangling.json").symlink_to("there/b.json")
    for name in ("link.json", "dangling.json"):
        write_atomically(tmp_path / name, name)
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there" / "a.json").read_text() == "link.json"
    assert (tmp_path / "there" / "b.json").read_text() == "dangling.json"
    assert left(tmp_path / "there") == {"a.json", "b.json"}


def test_other_names_of_a_file_stay_names_of_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old and longer")
    os.link(tmp_path / "a", tmp_path / "b")
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "b").read_text() == "new"
    assert left(tmp_path) == {"a", "b"}


def test_a_pipe_or_a_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_atomically(tmp_path / "pipe", "text")
    reader.join(10)
    assert got == ["text"]
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "null").symlink_to("/dev/null")
    write_atomically(tmp_path / "null", "text")
    assert Path("/dev/null").is_char_device()


def test_a_file_keeps_its_mode_and_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    write_atomically(path, "new")
    after = path.stat()
    assert path.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino  # renamed: never half a file


def test_the_file_of_another_owner_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    before = path.stat()
    monkeypatch.setattr(files, "_is_ours", lambda file: False)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_ino == before.st_ino


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250 + ".json")
    write_atomically(path, "text")
    assert path.read_text() == "text"
    with pytest.raises(BnstatsError, match="File name too long"):
        check_writable(tmp_path / ("a" * 300))
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(BnstatsError, match="cannot write"):
        check_writable(tmp_path / "round")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_nothing_is_replaced_before_all_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Disks say that they are full when they are told to keep the data, if not before."""
    names = ("a", "b")
    for name in names:
        (tmp_path / name).write_text("old")
    synced: list[int] = []

    def fsync(file: int) -> None:
        synced.append(file)
        if len(synced) == 2:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(HostError, match=f"cannot write {tmp_path}/b: {os.strerror(number)}"):
        write_together({tmp_path / name: "new" for name in names})
    assert [(tmp_path / name).read_text() for name in names] == ["old", "old"]
    assert left(tmp_path) == {"a", "b"}
    monkeypatch.setattr(os, "fsync", _cannot)
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def _cannot(file: int) -> None:
    raise OSError(errno.EINVAL, "of a file system that knows no fsync")


def test_what_cannot_be_exported_costs_neither_the_result_nor_the_other_exports(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    real = files._write_twin

    def full(twin: Path, path: Path, text: str) -> None:
        if path.suffix != ".csv":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(twin, path, text)

    monkeypatch.setattr(files, "_write_twin", full)
    exports = [argument for name in ("a.json", "b.csv", "c.md") for argument in ("--export", name)]
    code, out, err = cli("exact", "relu", "--get", "std_dx.exact.value", *exports)
    assert (code, out) == (4, "0.7071067811865\n")
    assert err.splitlines() == [
        "warning: cannot write c.md: No space left on device",
        "error: cannot write a.json: No space left on device",
    ]
    assert left(tmp_path) == {"b.csv"}


@pytest.mark.parametrize(
    "command", [("compute", "relu", "-n", "2000"), ("sweep", "relu", "--over", "x_std=1,2")]
)
def test_what_cannot_be_exported_costs_no_picture(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    real = files._write_twin

    def full(twin: Path, path: Path, text: str | bytes) -> None:
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(twin, path, text)

    monkeypatch.setattr(files, "_write_twin", full)
    code, out, err = cli(*command, "--export", "a.json", "--plot", "b.svg")
    assert (code, bool(out)) == (4, True)
    assert err.endswith("error: cannot write a.json: No space left on device\n")
    assert left(tmp_path) == {"b.svg"}


def test_a_stdout_that_is_full_costs_no_export(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "exact", "relu", "--export", "a.json"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 4
    assert b"cannot write to stdout: No space left on device" in done.stderr
    assert left(tmp_path) == {"a.json"}


def test_a_stdout_that_is_full_is_told_once_where_a_picture_goes_there_too() -> None:
    pytest.importorskip("plotille")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "compute", "relu", "-n", "2000", "--plot", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert done.returncode == 4
    assert done.stderr == b"error: cannot write to stdout: No space left on device\n"


def test_a_stderr_that_is_full_costs_no_result() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "compute", "relu", "-n", "150", "--get", "std_dx.value"],  # which warns
            stdout=subprocess.PIPE,
            stderr=full,
            env=environment(),
            check=False,
        )
    assert done.returncode == 0
    assert 0.5 < float(done.stdout) < 0.9


TWO_AT_ONCE = """
import sys
from pathlib import Path
from bnstats.sampling.files import write_together
for _ in range(60):
    write_together({Path(f"{i}.txt"): sys.argv[1] for i in range(20)})
"""


@pytest.mark.slow
def test_two_runs_at_once_do_not_mix(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen([sys.executable, "-c", TWO_AT_ONCE, name], cwd=tmp_path, env=environment())
        for name in "ab"
    ]
    for run in runs:
        assert run.wait(60) == 0
    assert len({(tmp_path / f"{i}.txt").read_text() for i in range(20)}) == 1
    assert len(left(tmp_path)) == 20


def test_sigterm_leaves_no_temporary_file(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "os.fsync = lambda file: (os.write(1, b'writing\\n'), time.sleep(60))\n"
        "from bnstats.cli.main import main\n"
        "raise SystemExit(main(['exact', 'relu', '--export', 'a.json']))\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(
        argv, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        while b"writing" not in run.stdout.readline():
            assert run.poll() is None
        assert len(left(tmp_path)) == 1
        time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 130
    assert left(tmp_path) == set()

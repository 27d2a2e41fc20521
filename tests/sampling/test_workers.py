"""Worker processes, forked as on Linux and begun afresh as elsewhere: digits, signals, ends."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cli_support import environment

from bnstats.errors import HostError
from bnstats.sampling import workers
from bnstats.sampling.iid import chunk_draws
from bnstats.sampling.run import run
from bnstats.sampling.settings import Sampling
from bnstats.sampling.sobol import REPLICATES
from bnstats.sampling.watch import Watch
from bnstats.sampling.workers import LARGEST_PARCEL, in_order
from bnstats.specs.spec import Spec, parse

POOL = parse("max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2")
CHUNK = chunk_draws(POOL.bound)

WAYS = ("fork", "spawn")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start worker processes in either way."""
    monkeypatch.setattr(workers, "_FORKS", request.param == "fork")
    return str(request.param)


@pytest.mark.slow
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("spec", "how", "samples"),
    [
        (POOL.text, {}, 3 * CHUNK + 13),
        ("dropout", {"dtype": "float32"}, 1_500_000),
        ("fractional_max_pool2d:kernel_size=2,output_size=3,input_size=7", {}, 30_000),
        ("sigmoid", {"sampler": "sobol"}, REPLICATES << 14),
    ],
)
def test_digits_do_not_depend_on_processes(spec: str, how: Any, samples: int) -> None:
    one, two = (Sampling(seed=5, workers=workers, **how) for workers in (1, 2))
    assert run(parse(spec), two, samples) == run(parse(spec), one, samples)


@pytest.mark.parametrize("processes", [1, 3])
def test_an_exception_in_progress_leaves_no_process_behind(way: str, processes: int) -> None:
    def fail(done: int, tally: object) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError):
        run(POOL, Sampling(workers=processes), 10 * CHUNK, watch=Watch(on_progress=fail))
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("way")
def test_workers_are_told_to_leave_when_nobody_waits() -> None:
    """After an exception, say: the pool must not wait for the work in flight."""
    begin = time.monotonic()
    with closing(in_order(time.sleep, [0, 600, 600, 0, 0], 2, Watch())) as found:
        assert next(found) == (0, None)
    assert not multiprocessing.active_children()
    assert time.monotonic() - begin < 300


@pytest.mark.usefixtures("way")
def test_threads_of_the_caller_earn_no_warning() -> None:
    """From 3.12 on Python warns of a fork beside a thread."""
    leave = threading.Event()
    other = threading.Thread(target=leave.wait)
    other.start()
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            assert list(in_order(abs, [-1, -2], 2, Watch())) == [(-1, 1), (-2, 2)]
    finally:
        leave.set()
        other.join()
    assert not seen


@pytest.mark.usefixtures("way")
def test_a_lost_worker_is_an_error_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnstats.sampling.run.span_tally", _dies)
    with pytest.raises(HostError, match="a worker process was lost"):
        run(POOL, Sampling(workers=2), 10 * CHUNK)
    assert not multiprocessing.active_children()


def _dies(spec: Spec, *rest: object) -> None:
    os._exit(9)


@pytest.mark.usefixtures("way")
def test_work_without_end_is_taken_as_it_is_done() -> None:
    """A few parcels per worker are under way or looked ahead at, however many there are."""
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(5000):
            taken.append(number)
            yield number

    found = in_order(abs, numbers(), 2, Watch(should_stop=lambda: len(taken) >= 1000))
    for expected, (number, result) in enumerate(found):
        assert number == result == expected
        assert len(taken) - number <= (4 * 2 + 1) * LARGEST_PARCEL
    assert number < 1000


@pytest.mark.slow
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("seconds", "pieces", "fewest", "most"),
    [
        (0.15, 12, 12, 12),  # one by one: progress and Ctrl-C do not wait for a whole parcel
        (0.0, 256, 20, 40),  # 13 if the last ones were not smaller
    ],
)
def test_parcels_are_short_and_the_last_ones_shorter(
    seconds: float, pieces: int, fewest: int, most: int
) -> None:
    parcels = 0

    def count() -> bool:
        nonlocal parcels
        parcels += 1
        return False

    assert (
        len(list(in_order(time.sleep, [seconds] * pieces, 2, Watch(should_stop=count)))) == pieces
    )
    assert fewest <= parcels <= most


def script(tmp_path: Path, way: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run a script that starts workers in one way, in a process group of its own.

    Whoever still holds its stdout, a worker left behind, makes this time out.
    """
    path = tmp_path / "script.py"
    head = f"import bnstats.sampling.workers as w\nw._FORKS = {way == 'fork'}\n"
    path.write_text(head + text)
    return subprocess.run(
        [sys.executable, path],
        capture_output=True,
        text=True,
        env=environment(),
        start_new_session=True,
        timeout=60,
        check=False,
    )


UNGUARDED = """
import bnstats
print("once")
result = bnstats.compute("sigmoid", samples=1_500_000, workers={workers})
print(result.std_dx.value)
import __main__
assert __main__.result is result
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_script_needs_no_guard(way: str, tmp_path: Path) -> None:
    two = script(tmp_path, way, UNGUARDED.format(workers=2))
    assert (two.returncode, two.stderr) == (0, "")
    assert two.stdout.startswith("once\n0.21")
    assert two.stdout == script(tmp_path, way, UNGUARDED.format(workers=1)).stdout


TO_ALL = """
import os, signal
def works():
    yield -1
    os.killpg(0, signal.{name})
    yield -2
signal.signal(signal.{name}, lambda *_: os.write(1, b"heard\\n"))
found = list(w.in_order(abs, works(), 2, w.Watch()))
os.write(1, str(found).encode())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_just_begins_leaves_signals_to_its_parent(
    way: str, name: str, tmp_path: Path
) -> None:
    """A terminal, or timeout, sends them to all; who is not forked takes a second to `_serve`."""
    done = script(tmp_path, way, TO_ALL.format(name=name))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "heard\n[(-1, 1), (-2, 2)]"


ORPHANS = """
import os, signal, time
def works():
    yield 0
    yield 600
    yield 600
    yield 0
    yield 0
for _ in w.in_order(time.sleep, works(), 2, w.Watch()):
    print("begun", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("way", WAYS)
def test_workers_do_not_outlive_their_parent(way: str, tmp_path: Path) -> None:
    begin = time.monotonic()
    done = script(tmp_path, way, ORPHANS)
    assert (done.returncode, done.stdout) == (-9, "begun\n")
    assert time.monotonic() - begin < 300  # those at work had 600 s to sleep


def test_the_main_module_is_given_back_to_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_FORKS", False)
    main = sys.modules["__main__"]

    first_inside, second_inside, first_left = (threading.Event() for _ in range(3))

    def first() -> None:
        with workers._starting():
            first_inside.set()
            second_inside.wait(0.2)  # in vain: it must not come in
        first_left.set()

    def second() -> None:
        first_inside.wait()
        with workers._starting():
            second_inside.set()
            first_left.wait(5)

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.modules["__main__"] is main


def test_no_more_workers_than_the_system_can_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    def count() -> bool:
        nonlocal most
        most = max(most, len(multiprocessing.active_children()))
        return False

    monkeypatch.setattr(workers, "MOST_WORKERS", 2)
    assert dict(in_order(abs, range(99), 100, Watch(should_stop=count))) == {
        n: n for n in range(99)
    }
    assert most == 2


def _dies_once(number: int) -> int:
    """Return a number, unless it is 7 and no process has died of it yet."""
    if number == 7:
        with suppress(FileExistsError):
            os.close(os.open(os.environ["DIED"], os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory is short
    return number


@pytest.mark.usefixtures("way")
def test_what_a_lost_worker_had_is_done_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    assert list(in_order(_dies_once, range(50), 2, Watch())) == [(n, n) for n in range(50)]
    assert (tmp_path / "died").exists()
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOSYS])
def test_where_no_process_can_be_had_this_one_computes(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A limit on processes, on files or on memory; a second worker may be the first too many."""
    start = multiprocessing.process.BaseProcess.start

    def refuse(process: Any) -> None:
        if len(multiprocessing.active_children()) == allowed:
            raise OSError(number, os.strerror(number))
        start(process)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    for several in (0, 1):
        allowed = several
        assert list(in_order(abs, range(50), 4, Watch())) == [(n, n) for n in range(50)]


def _in_a_daemon(pipe: Any) -> None:
    pipe.send(list(in_order(abs, [-1, -2], 2, Watch())))


def test_a_daemon_may_have_no_processes_and_computes_itself() -> None:
    """As the workers of multiprocessing.Pool are."""
    ours, theirs = multiprocessing.Pipe()
    daemon = multiprocessing.get_context("fork").Process(target=_in_a_daemon, args=(theirs,))
    daemon.daemon = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        daemon.start()
    assert ours.poll(60)
    assert ours.recv() == [(-1, 1), (-2, 2)]
    daemon.join()


NO_THREADS = """
import threading, _thread
def refuse(*rest, **named): raise RuntimeError("can't start new thread")
threading._start_new_thread = threading._start_joinable_thread = refuse
print(list(w.in_order(abs, [-1, -2, -3], 2, w.Watch())))
"""


def test_where_no_thread_can_be_had_nothing_waits_for_ever(tmp_path: Path) -> None:
    """A limit on them, ulimit -u or a container's, leaves processes without threads."""
    done = script(tmp_path, "fork", NO_THREADS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[(-1, 1), (-2, 2), (-3, 3)]\n"


def test_a_failure_is_told_after_what_came_before_it() -> None:
    done: list[tuple[int, float]] = []
    found = in_order(_inverse, [1, 2, 4, 0, 5], 2, Watch())
    with pytest.raises(ZeroDivisionError) as error:
        done.extend(found)
    assert done == [(1, 1), (2, 0.5), (4, 0.25)]
    assert "in _inverse" in error.value.__notes__[0]
    assert not multiprocessing.active_children()


def _inverse(number: int) -> float:
    time.sleep(0.1 if number else 0)
    return 1 / number


IMPORTING = """
import sys, threading, time
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "numpy.random" or name.startswith("numpy.random."):
            time.sleep(0.05)
sys.meta_path.insert(0, Slow())
threading.Thread(target=lambda: __import__("numpy.random")).start()
import bnstats
print(bnstats.compute("sigmoid", samples=1_500_000, workers=2).samples)
"""


def test_a_thread_that_imports_meanwhile_hangs_no_worker(tmp_path: Path) -> None:
    """A worker is forked with the import's lock held, by a thread that is not in it."""
    path = tmp_path / "script.py"
    path.write_text(IMPORTING)
    argv = [sys.executable, path]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1500000\n", "")

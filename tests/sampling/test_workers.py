"""Worker processes, forked as on Linux and begun afresh as elsewhere: digits, signals, ends."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing
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
    with closing(in_order(time.sleep, [0, 50, 50, 0, 0], 2, Watch())) as found:
        assert next(found) == (0, None)
    assert not multiprocessing.active_children()
    assert time.monotonic() - begin < 40


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
    monkeypatch.setattr("bnstats.sampling.run.chunk_tally", _dies)
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


@pytest.mark.parametrize("way", WAYS)
def test_a_script_needs_no_guard(way: str, tmp_path: Path) -> None:
    two = script(tmp_path, way, UNGUARDED.format(workers=2))
    assert (two.returncode, two.stderr) == (0, "")
    assert two.stdout.startswith("once\n0.21")
    assert two.stdout == script(tmp_path, way, UNGUARDED.format(workers=1)).stdout


CTRL_C = """
import os, signal
def works():
    yield -1
    os.killpg(0, signal.SIGINT)
    yield -2
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"heard\\n"))
found = list(w.in_order(abs, works(), 2, w.Watch()))
os.write(1, str(found).encode())
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_just_begins_leaves_ctrl_c_to_its_parent(way: str, tmp_path: Path) -> None:
    """A terminal sends it to all; one that is not forked takes a second until `_begin`."""
    done = script(tmp_path, way, CTRL_C)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "heard\n[(-1, 1), (-2, 2)]"


ORPHANS = """
import os, signal, time
def works():
    yield 0
    yield 50
    yield 50
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
    assert time.monotonic() - begin < 40  # those at work had 50 s to sleep


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
    asked = []

    class Pool(futures.ProcessPoolExecutor):
        def __init__(self, workers: int, *rest: Any) -> None:
            asked.append(workers)
            super().__init__(workers, *rest)

    monkeypatch.setattr(futures, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(workers, "MOST_WORKERS", 2)
    assert dict(in_order(abs, range(9), 100, Watch())) == {n: n for n in range(9)}
    assert asked == [2]

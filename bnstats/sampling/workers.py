"""Chunks computed by several processes, handed back in order.

Processes, because threads would share the interpreter's lock, and numpy's calls on a block that
fits the cache are shorter than handing it over takes. The pool of `concurrent.futures` needs
threads, semaphores and every worker that it has begun with; this one needs pipes, draws what a lost
worker had again, and computes here where the system gives no process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from threading import Lock, Thread
from types import ModuleType
from typing import Any, TypeVar

from bnstats.errors import HostError
from bnstats.sampling.watch import Watch

Work = TypeVar("Work")
Done = TypeVar("Done")

_FORKS = sys.platform == "linux"  # elsewhere a worker begins afresh and is sent its work
MOST_WORKERS = 61 if sys.platform == "win32" else 1024  # Windows waits for no more at a time

# Handing over a piece and its result takes this process a third of a chunk's time, which workers
# lack: pieces go in parcels that take a worker this long, but of so many at most.
_PARCEL_SECONDS, LARGEST_PARCEL = 0.1, 32
_AHEAD = 2  # parcels that a worker has, one of them in its pipe, which holds far more than that
_MOST_LOSSES = 3  # of one parcel

# A terminal, or timeout, sends them to all. Windows lacks the last.
_LEFT_TO_THE_PARENT = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP")]

_one_at_a_time = Lock()


class _Parcel:
    """Pieces of work that travel together, and what came of them."""

    def __init__(self, works: tuple[Any, ...]) -> None:
        self.works = works
        self.losses = 0
        self.found: list[Any] | BaseException | None = None
        self.seconds = 0.0


def in_order(
    compute: Callable[[Work], Done],
    works: Iterable[Work],
    workers: int,
    watch: Watch,
) -> Iterator[tuple[Work, Done]]:
    """Yield pieces of work with their results, in order, a bounded number of them in flight.

    Parameters
    ----------
    compute
        Where processes are not forked (outside Linux) it must be picklable, and not of the main
        module.
    works
        Picklable pieces of work.
    workers
        Processes, at most; 1 computes here, as do more where none can be started.
    watch
        Asked whether to stop before each piece, or parcel of pieces; those not begun are dropped.

    Raises
    ------
    HostError
        Worker processes were lost, again and again.
    """
    if workers == 1:
        for work in works:
            if watch.stopping():
                return
            yield work, compute(work)
        return
    workers = min(workers, MOST_WORKERS)
    works, size = iter(works), 1
    ahead: deque[Work] = deque()
    furthest = 2 * workers * LARGEST_PARCEL
    pending: deque[_Parcel] = deque()
    crew = _Crew(compute, workers)
    try:
        while True:
            ahead.extend(islice(works, furthest - len(ahead)))
            if not ahead:
                break
            if watch.stopping():
                while pending and crew.takes_back(pending[-1]):  # those not begun, last ones first
                    pending.pop()
                break
            # Towards the end parcels get smaller, so that the workers finish together.
            share = len(ahead) // (2 * workers)
            parcel = _Parcel(tuple(ahead.popleft() for _ in range(max(1, min(size, share)))))
            crew.give(parcel)
            pending.append(parcel)
            if len(pending) > 2 * workers:
                parcel = pending.popleft()
                yield from zip(parcel.works, crew.finished(parcel), strict=True)
                fitting = int(_PARCEL_SECONDS * len(parcel.works) / max(parcel.seconds, 1e-9))
                size = min(fitting, LARGEST_PARCEL)
        for parcel in pending:
            yield from zip(parcel.works, crew.finished(parcel), strict=True)
    finally:  # also after a second Ctrl-C, or when enough is known: nobody waits for the rest
        crew.leave()


class _Worker:
    """A process, this end of its pipe, and the parcels that it has."""

    def __init__(self, context: Any, compute: Callable[[Any], Any]) -> None:
        with _starting():
            self.pipe, theirs = context.Pipe()
            # Who is forked has this end as well, and would not see it close.
            ours = self.pipe if _FORKS else None
            self.process = context.Process(target=_serve, args=(compute, theirs, ours), daemon=True)
            try:
                self.process.start()
            except BaseException:
                self.pipe.close()
                raise
            finally:
                theirs.close()
        self.parcels: deque[_Parcel] = deque()

    def leave(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Crew:
    """Workers, started as work comes, and what waits for them."""

    def __init__(self, compute: Callable[[Any], Any], most: int) -> None:
        import multiprocessing

        self._context = multiprocessing.get_context("fork" if _FORKS else "spawn")
        self._compute, self._most = compute, most
        self._workers: list[_Worker] = []
        self._waiting: deque[_Parcel] = deque()

    def give(self, parcel: _Parcel) -> None:
        """Have a parcel computed, sooner or later."""
        self._waiting.append(parcel)
        self._hand_out()

    def takes_back(self, parcel: _Parcel) -> bool:
        """Whether a parcel, the last one given, is with no worker, and is forgotten now."""
        if self._waiting and self._waiting[-1] is parcel:
            self._waiting.pop()
            return True
        return False

    def finished(self, parcel: _Parcel) -> list[Any]:
        """Wait for the results of a parcel; an exception of its own is raised."""
        from multiprocessing.connection import wait

        while parcel.found is None:
            if not self._workers:  # none can be had
                if parcel.losses:
                    raise _lost()
                self._waiting.remove(parcel)
                parcel.found, parcel.seconds = _computed(self._compute, parcel.works)
                break
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [w for w in self._workers if w.pipe in ready]:
                self._hear(worker)
            self._hand_out()
        if isinstance(parcel.found, BaseException):
            raise parcel.found
        return parcel.found

    def leave(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.process.kill()
        while self._workers:
            self._workers.pop().leave()

    def _hand_out(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=lambda w: len(w.parcels), default=None)
            if (worker is None or worker.parcels) and len(self._workers) < self._most:
                worker = self._start() or worker
            if worker is None or len(worker.parcels) >= _AHEAD:
                return
            worker.parcels.append(self._waiting.popleft())
            try:
                worker.pipe.send(worker.parcels[-1].works)
            except OSError:
                self._lose(worker)

    def _start(self) -> _Worker | None:
        try:
            worker = _Worker(self._context, self._compute)
        except (OSError, RuntimeError, AssertionError):  # too many processes; or we may have none
            self._most = len(self._workers)
            return None
        self._workers.append(worker)
        return worker

    def _hear(self, worker: _Worker) -> None:
        try:
            found = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker)
        else:
            parcel = worker.parcels.popleft()
            parcel.found, parcel.seconds = found

    def _lose(self, worker: _Worker) -> None:
        """Give what a lost worker had to others, of which there is one less: memory may be short.

        Raises
        ------
        HostError
            The parcel that it worked at was lost before.
        """
        self._workers.remove(worker)
        worker.leave()
        self._most = max(1, self._most - 1)
        if worker.parcels:
            worker.parcels[0].losses += 1
            if worker.parcels[0].losses == _MOST_LOSSES:
                raise _lost()
            self._waiting.extendleft(reversed(worker.parcels))


def _lost() -> HostError:
    return HostError(
        "a worker process was lost: no memory, or a crash in it", hint="fewer `workers`"
    )


@contextmanager
def _starting() -> Iterator[None]:
    """Let workers be started that no signal of ours reaches and that run no script of the caller.

    A worker needs nothing of the main module, which would be imported into one that is not forked:
    a script without a guard would call us again from there. Before `_serve`, Ctrl-C would end such
    a worker with a traceback, and a forked one would answer as its parent does.
    """
    with _one_at_a_time, warnings.catch_warnings():
        # Our own code touches nothing that another thread could hold at a fork.
        warnings.filterwarnings("ignore", message=".*fork", category=Warning)
        main = sys.modules["__main__"]
        if sys.platform != "win32":
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_THE_PARENT)
        try:
            if not _FORKS:
                sys.modules["__main__"] = ModuleType("__main__")
            yield
        finally:
            sys.modules["__main__"] = main
            if sys.platform != "win32":
                signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(compute: Callable[[Any], Any], pipe: Any, ours: Any) -> None:
    """Compute what comes in a worker process, until it ends, or its parent does."""
    for number in _LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    if ours is not None:
        ours.close()
    with suppress(RuntimeError):  # no thread can be had: an orphan then finishes its parcel
        Thread(target=_follow, daemon=True).start()
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            pipe.send(_computed_or_raised(compute, pipe.recv()))


def _follow() -> None:
    from multiprocessing import connection, parent_process

    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _computed_or_raised(
    compute: Callable[[Any], Any], works: tuple[Any, ...]
) -> tuple[list[Any] | BaseException, float]:
    try:
        return _computed(compute, works)
    except BaseException as error:
        error.add_note(traceback.format_exc())  # whose frames stay behind
        return error, 0.0


def _computed(compute: Callable[[Any], Any], works: tuple[Any, ...]) -> tuple[list[Any], float]:
    begin = time.perf_counter()
    found = [compute(work) for work in works]
    return found, time.perf_counter() - begin

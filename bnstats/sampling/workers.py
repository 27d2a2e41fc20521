"""Chunks computed by several processes, handed back in order.

Processes, because threads would share the interpreter's lock, and numpy's calls on a block that
fits the cache are shorter than handing it over takes.
"""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Lock, Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from bnstats.errors import HostError
from bnstats.sampling.watch import Watch

if TYPE_CHECKING:
    from concurrent.futures import Future

Work = TypeVar("Work")
Done = TypeVar("Done")

_FORKS = sys.platform == "linux"  # elsewhere a worker begins afresh and is sent its work
MOST_WORKERS = 61 if sys.platform == "win32" else 1024  # Windows waits for no more at a time

# Handing over a piece and its result takes this process a third of a chunk's time, which workers
# lack: pieces go in parcels that take a worker this long, but of so many at most.
_PARCEL_SECONDS, LARGEST_PARCEL = 0.1, 32

_one_at_a_time = Lock()
_compute: Callable[[Any], Any]  # in a worker process: what it was started for


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
        Processes, at most; 1 computes here.
    watch
        Asked whether to stop before each piece, or parcel of pieces; those not begun are dropped.

    Raises
    ------
    HostError
        A worker process was lost.
    """
    if workers == 1:
        for work in works:
            if watch.stopping():
                return
            yield work, compute(work)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("fork" if _FORKS else "spawn")
    workers = min(workers, MOST_WORKERS)
    works, size = iter(works), 1
    ahead: deque[Work] = deque()
    furthest = 2 * workers * LARGEST_PARCEL
    pending: deque[tuple[tuple[Work, ...], Future[tuple[list[Done], float]]]] = deque()
    heard, told = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin, (compute, heard))
    try:
        while True:
            ahead.extend(islice(works, furthest - len(ahead)))
            if not ahead:
                break
            if watch.stopping():
                while pending and pending[-1][1].cancel():  # those not begun, last ones first
                    pending.pop()
                break
            # Towards the end parcels get smaller, so that the workers finish together.
            share = len(ahead) // (2 * workers)
            parcel = tuple(ahead.popleft() for _ in range(max(1, min(size, share))))
            with _starting():
                future = pool.submit(_work, parcel)
            pending.append((parcel, future))
            if len(pending) > 2 * workers:
                parcel, future = pending.popleft()
                done, seconds = future.result()
                yield from zip(parcel, done, strict=True)
                fitting = int(_PARCEL_SECONDS * len(done) / max(seconds, 1e-9))
                size = min(fitting, LARGEST_PARCEL)
        for parcel, future in pending:
            yield from zip(parcel, future.result()[0], strict=True)
    except BrokenProcessPool:
        raise HostError(
            "a worker process was lost: no memory, or a crash in it", hint="fewer `workers`"
        ) from None
    except BaseException:  # a second Ctrl-C, or enough is known: nobody waits for the rest
        told.send_bytes(b"leave")
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        heard.close()
        told.close()


@contextmanager
def _starting() -> Iterator[None]:
    """Let workers be started that no Ctrl-C reaches and that run no script of the caller.

    A worker needs nothing of the main module, which would be imported into one that is not forked:
    a script without a guard would call us again from there. Before `_begin`, Ctrl-C would end such
    a worker with a traceback, and a forked one would answer as its parent does.
    """
    with _one_at_a_time, warnings.catch_warnings():
        # Our own code touches nothing that another thread could hold at a fork.
        warnings.filterwarnings("ignore", message=".*fork", category=Warning)
        main = sys.modules["__main__"]
        if sys.platform != "win32":
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            if not _FORKS:
                sys.modules["__main__"] = ModuleType("__main__")
            yield
        finally:
            sys.modules["__main__"] = main
            if sys.platform != "win32":
                signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(compute: Callable[[Any], Any], heard: Any) -> None:
    """Set a worker process up: it leaves Ctrl-C to its parent, and leaves when told or orphaned."""
    import os
    from multiprocessing import connection, parent_process

    global _compute
    _compute = compute
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        connection.wait([parent.sentinel, heard])
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _work(parcel: tuple[Any, ...]) -> tuple[list[Any], float]:
    begin = time.perf_counter()
    done = [_compute(work) for work in parcel]
    return done, time.perf_counter() - begin

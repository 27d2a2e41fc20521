"""Spans drawn by the workers of a dask cluster, handed back in order.

A task draws one span, merges it where it is drawn, and sends back its tally. A worker that is
lost costs its tasks, which are drawn again. The scheduler holds a few tasks for each worker,
however many draws there are.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future as Handle
from contextlib import suppress
from itertools import count
from typing import Any

from bnstats.errors import BnstatsError, HostError, printable
from bnstats.sampling.cluster_worker import RefusedError, Task, about, draw
from bnstats.sampling.connection import connected
from bnstats.sampling.kept import Drawn
from bnstats.sampling.layout import Layout, Span
from bnstats.sampling.versions import versions
from bnstats.sampling.watch import Watch

PATIENCE = 30.0  # seconds without a single worker, at the beginning or later
_POLL = 0.1  # seconds between two questions whether to stop
_COUNT_EVERY = 2.0  # seconds between two counts of the workers
_UNDER_WAY, _AHEAD = 2, 8  # spans for each thread of a worker: submitted, and not yet merged
_MOST_LOSSES = 5  # of one span, after which the scheduler itself has tried several workers

# A span takes a worker this long. A scheduler spends some 3 ms on a task, and no more than a fifth
# of its time on all of them if a span is the longer, the more workers there are.
_SPAN_SECONDS, _SPAN_SECONDS_PER_WORKER = 1.0, 0.02

_numbers = count()


class _Parcel:
    """A span on its way, and its moments once it is drawn."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.losses = 0
        self.tally: Any = None
        self.future: Any = None


class Crew:
    """The workers of a cluster, at work on a run.

    Parameters
    ----------
    where
        Address, scheduler file or client of the cluster.
    task
        What is drawn.
    layout
        Returns how the run is cut, given the smallest leaf that a worker asks for, if one does.
    watch
        Asked whether to stop, and told of workers that draw nothing.

    Attributes
    ----------
    layout
        How the run is cut.
    device
        Name of the device of the workers.

    Raises
    ------
    HostError
        No cluster is there, or no worker; or a worker has other versions than this process.
    """

    def __init__(
        self, where: Any, task: Task, layout: Callable[[int | None], Layout], watch: Watch
    ) -> None:
        self._client, self._where, self._watch = connected(where), where, watch
        found: dict[str, Any] = {}
        while not found:
            self._threads = self._awaited()
            found = self._examined(task)
        bad = {worker: why for worker, why in found.items() if isinstance(why, str)}
        if bad:
            raise HostError(_refusal(bad), hint="the same versions everywhere")
        facts = list(found.values())
        self.device = facts[0]["device"]
        if len({f["arithmetic"] for f in facts}) > 1:
            watch.note("the workers' arithmetic differs: last digits depend on who draws what")
        self.layout = layout(min((f["leaf"] for f in facts if "leaf" in f), default=None))
        self._task = task.cut(self.layout)
        self._only: list[str] | None = None
        self._done: queue.SimpleQueue[tuple[_Parcel, Handle[Any]]] = queue.SimpleQueue()
        self._run = next(_numbers)
        self._leaf_seconds: float | None = None
        self._counted = self._peopled = time.monotonic()
        self._count: Handle[Any] | None = None

    def wanted(self, left: int) -> int:
        """Return how many leaves a span should have, of those that are left."""
        if self._leaf_seconds is None:
            return 1
        seconds = max(_SPAN_SECONDS, _SPAN_SECONDS_PER_WORKER * self._threads)
        return min(int(seconds / self._leaf_seconds), left // (2 * self._threads))

    def drawn(self, spans: Iterator[Span]) -> Drawn:
        """Yield spans with their moments, in order.

        Raises
        ------
        HostError
            The scheduler or all workers are lost, or workers were lost over one span again and
            again.
        BnstatsError
            The layer cannot be drawn.
        """
        window: deque[_Parcel] = deque()
        left = iter(spans)
        under_way = 0
        try:
            while not self._watch.stopping():
                threads = self._threads
                while under_way < _UNDER_WAY * threads and len(window) < _AHEAD * threads:
                    span = next(left, None)
                    if span is None:
                        break
                    window.append(_Parcel(span))
                    self._submit(window[-1])
                    under_way += 1
                if not window:
                    return
                under_way -= self._hear()
                while window and window[0].tally is not None:
                    parcel = window.popleft()
                    yield parcel.span, parcel.tally
        finally:
            self._cancel([p.future for p in window if p.tally is None])

    def _submit(self, parcel: _Parcel) -> None:
        span = parcel.span
        key = f"bnstats-{self._run}-{span.unit}-{span.first}-{parcel.losses}-{self._client.id}"
        with self._blaming_the_scheduler():
            parcel.future = self._client.submit(
                draw, self._task, span, key=key, pure=False, workers=self._only
            )
            handle = asyncio.run_coroutine_threadsafe(
                _result(parcel.future), self._client.loop.asyncio_loop
            )
        handle.add_done_callback(lambda done: self._done.put((parcel, done)))

    def _blaming_the_scheduler(self) -> Any:
        return _Blaming(self._lost)

    def _hear(self) -> int:
        """Wait a little for results; return how many came."""
        self._look_after()
        heard, timeout = 0, _POLL
        with suppress(queue.Empty):
            while True:
                parcel, handle = self._done.get(timeout=timeout)
                timeout = 0
                heard += self._take(parcel, handle)
        return heard

    def _take(self, parcel: _Parcel, handle: Handle[Any]) -> bool:
        """Take the result of a parcel, or have it drawn again."""
        error = None if handle.cancelled() else handle.exception()
        if error is None and not handle.cancelled():
            parcel.tally, seconds = handle.result()
            parcel.future = None  # the scheduler forgets it
            each = seconds / parcel.span.leaves
            before = self._leaf_seconds or each
            self._leaf_seconds = max((before + each) / 2, 1e-9)
            return True
        if isinstance(error, BnstatsError | MemoryError) and not isinstance(error, RefusedError):
            raise error
        self._look_after()
        if isinstance(error, RefusedError | ImportError | AttributeError):
            self._leave_out()
        parcel.losses += 1
        if parcel.losses > _MOST_LOSSES:
            told = printable(str(error).partition("\n")[0], 160)
            raise HostError(f"workers were lost over the same draws, {parcel.losses} times: {told}")
        self._submit(parcel)
        return False

    def _leave_out(self) -> None:
        """Give no more work to workers that have come since and have other versions."""
        found = self._examined(self._task)
        bad = {worker: why for worker, why in found.items() if isinstance(why, str)}
        self._only = [worker for worker in found if worker not in bad] if bad else None
        if bad:
            self._watch.note(f"{_refusal(bad)}: it draws nothing")
        if bad and not self._only:
            raise HostError(_refusal(bad), hint="the same versions everywhere")

    def _look_after(self) -> None:
        """Count the workers from time to time.

        Raises
        ------
        HostError
            The scheduler is gone, or all workers are, for longer than they need to come back.
        """
        if self._client.status != "running":
            raise self._lost()
        now = time.monotonic()
        if self._count is not None and self._count.done():
            try:
                threads = sum(self._count.result().values())
            except Exception:
                raise self._lost() from None
            self._count, self._counted = None, now
            if threads:
                self._threads, self._peopled = threads, now
            elif now - self._peopled > PATIENCE:
                raise HostError(
                    f"all workers of {self._shown} are lost", hint="what was drawn so far is kept"
                )
        every = min(_COUNT_EVERY, PATIENCE / 4)
        if self._count is None and now - self._counted > every:
            self._count = self._begun(self._client.nthreads)

    def _begun(self, ask: Any, *arguments: Any, **options: Any) -> Handle[Any]:
        """Ask the scheduler something, in the client's own thread, so that nothing here hangs."""

        async def answer() -> Any:
            return await asyncio.wait_for(ask(*arguments, **options), PATIENCE)

        return asyncio.run_coroutine_threadsafe(answer(), self._client.loop.asyncio_loop)

    def _answer(self, ask: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return self._begun(ask, *arguments, **options).result(PATIENCE + 5)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self._lost() from error

    def _awaited(self) -> int:
        """Wait for the first worker, and return how many threads the workers have."""
        deadline = time.monotonic() + PATIENCE
        while not (threads := sum(self._answer(self._client.nthreads).values())):
            if self._watch.stopping():
                raise HostError(f"stopped before a worker came to {self._shown}")
            if time.monotonic() > deadline:
                raise HostError(
                    f"no worker has come to {self._shown} within {PATIENCE:g} s",
                    hint="dask worker SCHEDULER",
                )
            time.sleep(_POLL)
        return int(threads)

    def _examined(self, task: Task) -> dict[str, Any]:
        """Return what each worker says of itself, or in a text why it cannot draw."""
        here, found = versions(), {}
        told = self._answer(self._client.run, about, task, on_error="return")
        for worker, facts in told.items():
            if isinstance(facts, BnstatsError) and not isinstance(facts, HostError):
                raise facts
            if isinstance(facts, OSError):
                continue  # it was lost while it was asked
            if isinstance(facts, BaseException):
                why = printable(f"{type(facts).__name__}: {facts}".partition("\n")[0], 120)
                found[worker] = f"cannot draw: {why}"
                continue
            wrong = [n for n in here if facts["versions"].get(n) != here[n]]
            found[worker] = facts
            if wrong:
                name = wrong[0]
                found[worker] = f"has {name} {facts['versions'].get(name)}, not {here[name]}"
            elif facts["source"] != task.source:
                found[worker] = f"has another source of {task.layer}"
        return found

    def _cancel(self, futures: list[Any]) -> None:
        if futures and self._client.status == "running":
            with suppress(Exception):
                self._begun(self._client.cancel, futures, force=True).result(5)

    @property
    def _shown(self) -> str:
        scheduler = getattr(self._client, "scheduler", None)
        return printable(str(getattr(scheduler, "address", None) or self._where))

    def _lost(self) -> HostError:
        hint = "`checkpoint` keeps what is drawn"
        return HostError(f"the scheduler of {printable(str(self._where))} is lost", hint=hint)


class _Blaming:
    """Turns what a closed connection raises into the error that says so."""

    def __init__(self, lost: Any) -> None:
        self._lost = lost

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError | RuntimeError | ValueError):
            raise self._lost() from error


async def _result(future: Any) -> Any:
    return await future


def _refusal(bad: dict[str, str]) -> str:
    worker, why = next(iter(bad.items()))
    more = f" (and {len(bad) - 1} more workers)" if len(bad) > 1 else ""
    return f"worker {printable(worker)} {why}{more}"

"""Spans drawn by the workers of a dask cluster, handed back in order.

A task draws a parcel of spans, one after another. The moments of each span, merged where it is
drawn, are sent as an event as soon as they are there, so that a task of dask's, which costs some
thousand bytes, is paid once for several spans. A worker that is lost costs what it had not sent,
which is drawn again. The scheduler holds a few tasks for each worker, however many draws there are.
"""

from __future__ import annotations

import asyncio
import hashlib
import queue
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future as Handle
from contextlib import suppress
from functools import partial
from itertools import count, islice
from typing import Any

from bnstats.errors import BnstatsError, HostError, printable
from bnstats.sampling.cluster_worker import RefusedError, Task, draw_parcel
from bnstats.sampling.connection import connected
from bnstats.sampling.kept import Drawn
from bnstats.sampling.layout import Layout, Span
from bnstats.sampling.muster import POLL, Muster
from bnstats.sampling.watch import Watch

_SPANS = 8  # of a parcel, at most
_UNDER_WAY, _AHEAD = 2, 48  # for each thread of a worker: parcels submitted, spans not yet merged
_MOST_LOSSES = 5  # of one parcel, after which the scheduler itself has tried several workers

# A span takes a worker this long. A scheduler spends some 1 ms on it, and no more than a fifth of
# its time on all of them if a span is the longer, the more workers there are.
_SPAN_SECONDS, _SPAN_SECONDS_PER_WORKER = 1.0, 0.01

_numbers = count()
_listeners: dict[int, Callable[[Any], None]] = {}  # by the number of a run


class _Parcel:
    """Spans that one task draws, and the moments of those that are drawn."""

    def __init__(self, spans: list[Span]) -> None:
        self.left = dict.fromkeys(spans)  # as a set in order
        self.losses = 0
        self.future: Any = None


class _Piece:
    """A span on its way, and its moments once it is drawn."""

    def __init__(self, span: Span, parcel: _Parcel) -> None:
        self.span, self.parcel = span, parcel
        self.tally: Any = None


class Crew:
    """The workers of a cluster, at work on a run.

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
        self._client, self._watch = connected(where), watch
        self._muster = Muster(self._client, where, watch)
        facts = self._muster.begin(task)
        self.device = facts[0]["device"]
        if len({f["arithmetic"] for f in facts}) > 1:
            watch.note("the workers' arithmetic differs: last digits depend on who draws what")
        self.layout = layout(min((f["leaf"] for f in facts if "leaf" in f), default=None))
        self._task = task.cut(self.layout)
        self._topic = _topic_of(self._client)
        self._run, self._tasks = next(_numbers), count()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._window: deque[_Piece] = deque()  # in order, from the next to be merged
        self._pieces: dict[tuple[int, int], _Piece] = {}  # the same, by unit and first leaf
        self._parcels: deque[_Parcel] = deque()  # dealt, and not yet submitted
        self._open: set[_Parcel] = set()  # submitted, and not yet drawn
        self._leaf_seconds: float | None = None

    def wanted(self, left: int) -> int:
        """Return how many leaves a span should have, of those that are left."""
        if self._leaf_seconds is None:
            return 1
        threads = self._muster.threads
        seconds = max(_SPAN_SECONDS, _SPAN_SECONDS_PER_WORKER * threads)
        return min(int(seconds / self._leaf_seconds), left // (2 * threads * _SPANS))

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
        left = iter(spans)
        _listeners[self._run] = lambda said: self._inbox.put(partial(self._book, *said))
        self._client.subscribe_topic(self._topic, _deliver)
        try:
            while not self._watch.stopping():
                while len(self._open) < _UNDER_WAY * self._muster.threads and self._dealt(left):
                    parcel = self._parcels.popleft()
                    self._open.add(parcel)
                    self._submit(parcel)
                if not self._window:
                    return
                self._hear()
                while self._window and (tally := self._window[0].tally) is not None:
                    span = self._window.popleft().span
                    del self._pieces[span[:2]]
                    yield span, tally
        finally:
            del _listeners[self._run]
            self._cancel()

    def _dealt(self, spans: Iterator[Span]) -> bool:
        """Return whether a parcel is there to be drawn.

        Spans are dealt like cards, so that those that are merged first are drawn first.
        """
        threads = self._muster.threads
        if not self._parcels and len(self._window) < _AHEAD * threads:
            each = 1 if self._leaf_seconds is None else _SPANS
            dealt = list(islice(spans, threads * each))
            hands = range(min(threads, len(dealt)))
            self._parcels.extend(_Parcel(dealt[n::threads]) for n in hands)
            for n, span in enumerate(dealt):
                piece = _Piece(span, self._parcels[n % threads])
                self._window.append(piece)
                self._pieces[span[:2]] = piece
        return bool(self._parcels)

    def _submit(self, parcel: _Parcel) -> None:
        key = f"{self._topic}-{self._run}-{next(self._tasks)}"
        how = {"key": key, "pure": False, "workers": self._muster.only}
        address = self._topic, self._run
        with self._muster.blamed():
            parcel.future = self._client.submit(
                draw_parcel, self._task, [*parcel.left], address, **how
            )
            handle = asyncio.run_coroutine_threadsafe(
                _ended(parcel.future), self._client.loop.asyncio_loop
            )
        handle.add_done_callback(lambda done: self._inbox.put(partial(self._take, parcel, done)))

    def _hear(self) -> None:
        """Wait a little for what the workers say."""
        self._muster.look_after()
        timeout = POLL
        with suppress(queue.Empty):
            while True:
                self._inbox.get(timeout=timeout)()
                timeout = 0

    def _book(self, unit: int, first: int, seconds: float, numbers: Any) -> None:
        """Take the moments of a span, unless they came before."""
        piece = self._pieces.get((unit, first))
        if piece is None or piece.tally is not None:
            return
        piece.tally = self._task.unpacked(numbers)
        del piece.parcel.left[piece.span]
        if not piece.parcel.left:
            piece.parcel.future = None  # the scheduler forgets the task once it is over
            self._open.discard(piece.parcel)
        each = seconds / piece.span.leaves
        before = self._leaf_seconds or each
        self._leaf_seconds = max((before + each) / 2, 1e-9)

    def _take(self, parcel: _Parcel, handle: Handle[Any]) -> None:
        """Hear that a task is over, and have drawn again what is missing of its parcel."""
        if not parcel.left:
            return
        error = None if handle.cancelled() else handle.exception()
        if isinstance(error, BnstatsError | MemoryError) and not isinstance(error, RefusedError):
            raise error
        self._muster.look_after()
        if isinstance(error, RefusedError | ImportError | AttributeError):
            self._muster.leave_out(self._task)
        parcel.losses += 1
        if parcel.losses > _MOST_LOSSES:
            told = printable(str(error).partition("\n")[0], 160)
            raise HostError(f"workers were lost over the same draws, {parcel.losses} times: {told}")
        self._submit(parcel)

    def _cancel(self) -> None:
        futures = [parcel.future for parcel in self._open if parcel.future is not None]
        if futures and self._client.status == "running":
            with suppress(Exception):
                self._muster.begun(self._client.cancel, futures, force=True).result(5)


def _topic_of(client: Any) -> str:
    """Return the topic of events that the workers send to a client."""
    return f"bnstats-{hashlib.sha256(client.id.encode()).hexdigest()[:12]}"


def _deliver(event: tuple[float, Any]) -> None:
    """Hand what a worker says to the run that it belongs to, if that is not over."""
    run, *said = event[1]
    if run in _listeners:
        _listeners[run](said)


async def _ended(future: Any) -> Any:
    return await future

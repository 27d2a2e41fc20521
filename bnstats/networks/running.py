"""The loop that draws networks until there are enough of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from bnstats.networks.estimates import half_widths, summary
from bnstats.networks.predictions import Predictions
from bnstats.networks.propagation import Propagation
from bnstats.networks.reduce import Label, Tally
from bnstats.result import Status
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.sampling.workers import in_order

MOST_NETWORKS = 10**9
_FIRST_CHECK = 100  # networks


class Chunk(NamedTuple):
    """A piece of work: its number, which its random stream is keyed by, and its networks."""

    number: int
    networks: int


class Task(Protocol):
    """What draws networks of one kind.

    Attributes
    ----------
    subject
        What they are networks of.
    engine
        How they are drawn.
    seed
        Of all random streams.
    size
        Networks of a chunk; the streams depend on it.
    default
        Networks to draw where nothing else says how many.
    """

    @property
    def subject(self) -> Any:
        """What they are networks of."""

    @property
    def engine(self) -> Any:
        """How they are drawn."""

    @property
    def seed(self) -> int:
        """Of all random streams."""

    @property
    def size(self) -> int:
        """Networks of a chunk."""

    @property
    def default(self) -> int:
        """Networks where nothing else says how many."""

    def tally(self, chunk: Chunk) -> Tally:
        """Draw a chunk's networks."""

    def processes(self, workers: int, networks: int) -> int:
        """Return how many processes are worth their start."""

    def labels(self, tally: Tally) -> Sequence[Label]:
        """Return what each row of a tally is of."""

    def per(self, tally: Tally) -> str:
        """Return what a factor is of."""

    def predicted(self) -> Predictions | None:
        """Return what is expected of each row; None of a model of the user's."""


@dataclass(frozen=True)
class Bounds:
    """When to end.

    Attributes
    ----------
    networks
        To draw at most; None for the default, or with a precision or a time, as many as it takes.
    sampling
        Whose seed, workers, precision, max_time and confidence count.
    on_progress, should_stop
        Called with the networks so far; asked before each chunk.
    """

    networks: int | None
    sampling: Sampling
    on_progress: Callable[[int], None] | None
    should_stop: Callable[[], bool]

    def limit(self, default: int) -> int:
        """Networks at most."""
        endless = self.sampling.precision is not None or self.sampling.max_time is not None
        return self.networks or (MOST_NETWORKS if endless else default)


def propagated(task: Task, bounds: Bounds) -> Propagation:
    """Draw networks and return what became of signals in them.

    Raises
    ------
    KeyboardInterrupt
        The end came before the first networks were there.
    """
    tally, status = _drawn(task, bounds)
    confidence = bounds.sampling.confidence
    labels = task.labels(tally)
    return Propagation(
        subject=task.subject,
        engine=task.engine,
        seed=task.seed,
        confidence=confidence,
        status=status,
        per=task.per(tally),
        warnings=tuple(_warnings(tally, labels)),
        **summary(labels, tally, task.predicted(), confidence),
    )


def _drawn(task: Task, bounds: Bounds) -> tuple[Tally, Status]:
    """Draw networks in the order of their streams, and tell how it ended."""
    sampling = bounds.sampling
    deadline = math.inf if sampling.max_time is None else time.monotonic() + sampling.max_time
    limit = bounds.limit(task.default)
    processes = task.processes(sampling.workers, limit)
    merged: Tally | None = None
    check, met = min(_FIRST_CHECK, task.default), False

    def stop() -> bool:
        return bounds.should_stop() or (merged is not None and time.monotonic() > deadline)

    chunks = _chunks(limit, task.size)
    for _, tally in in_order(task.tally, chunks, processes, Watch(should_stop=stop)):
        merged = tally if merged is None else merged.merged(tally)
        if bounds.on_progress is not None:
            bounds.on_progress(merged.networks)
        if sampling.precision is not None and merged.networks >= check:
            check = 2 * merged.networks
            met = half_widths(merged, sampling.confidence) <= sampling.precision
            if met:
                break
    if merged is None:
        raise KeyboardInterrupt
    status: Status = "complete"
    if bounds.should_stop():
        status = "interrupted"
    elif sampling.precision is not None and not met:
        met = half_widths(merged, sampling.confidence) <= sampling.precision
        status = "complete" if met else "target_not_met"
    return merged, status


def _chunks(networks: int, size: int) -> Iterator[Chunk]:
    for number in range(-(-networks // size)):
        yield Chunk(number, min(size, networks - number * size))


def _warnings(tally: Tally, labels: Sequence[Label]) -> Iterator[str]:
    has_dx = [label.has_dx for label in labels]
    for way, direction, rows in (("y", tally.y, slice(None)), ("dx", tally.dx, has_dx)):
        dead = int(direction.dead[rows].max(initial=0))
        odd = int(direction.nonfinite[rows].max(initial=0))
        if dead:
            at = labels[int(direction.dead.argmax())].name
            yield f"{dead} of {tally.networks} networks are dead: their {way} is 0, e.g. at {at}"
        if odd:
            yield f"{odd} of {tally.networks} networks are not finite in {way}: they count nowhere"
    yield from tally.notes

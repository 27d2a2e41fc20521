"""The loop that draws networks until there are enough of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from bnstats.errors import BnstatsError
from bnstats.networks.estimates import half_widths, summary
from bnstats.networks.predictions import Predictions
from bnstats.networks.propagation import Propagation
from bnstats.networks.reduce import Label, Tally
from bnstats.result import Status
from bnstats.sampling.kept import Kept, taken_up
from bnstats.sampling.layout import Chunk, Layout, Merged, Span, pooled
from bnstats.sampling.run import Engine
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.sampling.workers import in_order

MOST_NETWORKS = 10**9
_FIRST_CHECK = 100  # networks


class Task(Protocol):
    """What draws networks of one kind.

    Attributes
    ----------
    subject
        What they are networks of; its ``specs`` are the layers that may be the user's own.
    engine
        How they are drawn.
    seed
        Of all random streams.
    source
        A digest of the user's sources; None without any.
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
    def source(self) -> str | None:
        """Digest of the user's sources."""

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

    def predicted(self, tally: Tally) -> Predictions:
        """Return what is expected of each row of a tally."""


@dataclass(frozen=True)
class Bounds:
    """When to end.

    Attributes
    ----------
    networks
        To draw at most; None for the default, or with a precision or a time, as many as it takes.
    sampling
        Whose seed, workers, cluster, checkpoint, precision, max_time and confidence count.
    on_progress, on_failure, on_note, should_stop
        Called with the networks so far, with what ends the run early, and with what changes no
        digit; asked before each chunk.
    """

    networks: int | None
    sampling: Sampling
    on_progress: Callable[[int], None] | None
    on_failure: Callable[[BnstatsError], None] | None
    on_note: Callable[[str], None] | None
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
        **summary(labels, tally, task.predicted(tally), confidence),
    )


def _drawn(task: Task, bounds: Bounds) -> tuple[Tally, Status]:
    """Draw networks in the order of their streams, and tell how it ended."""
    sampling = bounds.sampling
    deadline = math.inf if sampling.max_time is None else time.monotonic() + sampling.max_time

    def stop() -> bool:
        return bounds.should_stop() or (merged.draws > 0 and time.monotonic() > deadline)

    def precise() -> bool:
        share = sampling.precision
        return share is not None and half_widths(merged.total(), sampling.confidence) <= share

    watch = Watch(should_stop=stop, on_failure=bounds.on_failure, on_note=bounds.on_note)
    engine = _engine(task, sampling, bounds.limit(task.default), watch)
    layout = engine.layout
    merged, kept = Merged(layout), _kept(task, sampling, layout, watch)
    spans = layout.spans(known=kept.known, wanted=engine.wanted)
    try:
        for span, tally in taken_up(spans, kept.known, engine.draw):
            merged.push(span, tally)
            kept.keep(span, tally)
            if bounds.on_progress is not None:
                bounds.on_progress(merged.draws)
            enough = merged.draws >= min(_FIRST_CHECK, task.default) and span.is_milestone
            if enough and precise():
                break
    except BnstatsError as error:
        if not merged.draws:
            raise
        watch.failed(error)
    finally:
        kept.close()
    if not merged.draws:
        raise KeyboardInterrupt
    status: Status = "complete"
    if watch.has_failed or bounds.should_stop():
        status = "interrupted"
    elif sampling.precision is not None and not precise():
        status = "target_not_met"
    return merged.total(), status


def _engine(task: Task, sampling: Sampling, networks: int, watch: Watch) -> Engine:
    layout = Layout(networks, task.size)
    if sampling.cluster is not None:
        from bnstats.networks.cluster_task import task_for
        from bnstats.sampling.cluster import Crew  # here: it needs dask

        crew = Crew(sampling.cluster, task_for(task), lambda leaf: layout, watch)
        return Engine(layout, crew.drawn, wanted=crew.wanted)
    processes = task.processes(sampling.workers, networks)
    compute = partial(span_tally, task, layout)
    return Engine(layout, lambda spans: in_order(compute, spans, processes, watch))


def _kept(task: Task, sampling: Sampling, layout: Layout, watch: Watch) -> Kept:
    if sampling.checkpoint is None:
        return Kept()
    from bnstats.networks.kept import FORM, identity
    from bnstats.sampling.checkpoints.folder import Checkpoint

    facts = identity(task, layout)
    return Checkpoint(sampling.checkpoint, facts, layout, None, watch.note, FORM)


def span_tally(task: Task, layout: Layout, span: Span) -> Tally:
    """Draw the networks of a span."""
    drawn = ((part, task.tally(chunk)) for part, chunk in layout.chunks(span))
    return pooled(drawn)  # type: ignore[no-any-return]


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

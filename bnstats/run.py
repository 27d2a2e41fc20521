"""From chunks to merged moments, in any number of threads, with the same digits."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import STANDARD, Event, Law
from bnstats.moments import Moments, merge, of
from bnstats.quantities import Direction
from bnstats.sampling import DType, blocks, chunk_draws, stream
from bnstats.spec import Spec

Tally = dict[Direction, Moments]


@dataclass(frozen=True)
class Task:
    """Everything that fixes the digits of a run, except how many draws.

    Attributes
    ----------
    spec
        The layer.
    seed
        Of the run; each chunk derives its own stream.
    law
        Of the inputs.
    dtype
        Of the draws and the layer's arithmetic; moments are float64.
    directions
        Which of y and dx to keep. Draws are the same whichever are kept.
    """

    spec: Spec
    seed: int = 0
    law: Law = STANDARD
    dtype: DType = "float64"
    directions: tuple[Direction, ...] = ("y", "dx")


def available_workers() -> int:
    """Return the processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    task: Task,
    samples: int,
    *,
    workers: int = 1,
    on_progress: Callable[[int, Tally], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Tally, int]:
    """Draw ``samples`` events and return their moments and how many were drawn.

    Chunks are merged in a binary tree over their index, so the result depends on the task and on
    ``samples`` alone; memory is constant in ``samples``.

    Parameters
    ----------
    task
        What to draw.
    samples
        Independent draws.
    workers
        Threads.
    on_progress
        Called after each chunk with the draws so far and a function's worth of merged moments.
    should_stop
        Asked between chunks; a true answer ends the run early.
    """
    size = chunk_draws(task.spec.event)
    pivot = y_pivot(task.spec.event, task.law)
    tree = _Tree()
    done = 0

    def draws_of(chunk: int) -> int:
        return min(size, samples - chunk * size)

    def compute(chunk: int) -> Tally:
        return chunk_tally(task, chunk, draws_of(chunk), pivot)

    for chunk, tally in enumerate(_in_order(compute, -(-samples // size), workers, should_stop)):
        tree.push(tally)
        done += draws_of(chunk)
        if on_progress is not None:
            on_progress(done, tree.total())
    return tree.total(), done


def chunk_tally(task: Task, chunk: int, draws: int, pivot: float) -> Tally:
    """Return the moments of one chunk; ``pivot`` is that of y, dx has 0."""
    event = task.spec.event
    generator = stream(task.seed, task.spec.text, chunk)
    tally = empty_tally(task.directions)
    with np.errstate(all="ignore"):  # non-finite values are counted, not warned about
        for block in blocks(event, generator, draws, task.law, task.dtype):
            y, backward = event.forward(numpy_backend, block)
            if "y" in tally:
                tally["y"] = merge(tally["y"], of(numpy_backend, y, pivot))
            if "dx" in tally:
                dx = backward(block["dy"])
                tally["dx"] = merge(tally["dx"], of(numpy_backend, dx, 0.0))
    return tally


def empty_tally(directions: tuple[Direction, ...]) -> Tally:
    """Return the moments of no draws."""
    return dict.fromkeys(directions, Moments())


def y_pivot(event: Event, law: Law) -> float:
    """Return a constant near E[y]: y at the mean of every input, 0 where that is not finite."""
    centre = {"normal": 0.0, "uniform": 0.5}
    at_mean = {name: np.full((*i.shape, 1), centre[i.law]) for name, i in event.inputs.items()}
    at_mean["x"] += law.x_mean
    with np.errstate(all="ignore"):
        value = float(np.mean(event.forward(numpy_backend, at_mean)[0]))
    return value if math.isfinite(value) else 0.0


def merge_tallies(left: Tally, right: Tally) -> Tally:
    """Pool two tallies direction by direction."""
    return {direction: merge(left[direction], right[direction]) for direction in left}


class _Tree:
    """A binary merge tree over chunk indices, in memory logarithmic in their number."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, Tally]] = []

    def push(self, tally: Tally) -> None:
        rank = 0
        while self._stack and self._stack[-1][0] == rank:
            tally = merge_tallies(self._stack.pop()[1], tally)
            rank += 1
        self._stack.append((rank, tally))

    def total(self) -> Tally:
        if not self._stack:
            return {}
        return reduce(
            lambda right, left: merge_tallies(left, right), (t for _, t in self._stack[::-1])
        )


def _in_order(
    compute: Callable[[int], Tally], chunks: int, workers: int, should_stop: Callable[[], bool]
) -> Iterator[Tally]:
    """Yield the chunks' tallies by index, a bounded number of them in flight."""
    if workers == 1 or chunks == 1:
        for chunk in range(chunks):
            if should_stop():
                return
            yield compute(chunk)
        return
    pending: deque[Future[Tally]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="bnstats") as pool:
        try:
            for chunk in range(chunks):
                if should_stop():
                    break
                pending.append(pool.submit(compute, chunk))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

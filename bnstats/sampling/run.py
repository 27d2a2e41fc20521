"""From chunks to merged moments, in any number of processes, with the same digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce

import numpy as np

from bnstats.backends import Device, numpy_backend
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import LAYERS, BoundLayer, Law
from bnstats.sampling.counter.devices import accelerated
from bnstats.sampling.iid import Chunk, chunk_draws, iid_blocks, iid_chunks
from bnstats.sampling.settings import Sampling
from bnstats.sampling.sobol import CHUNK_POINTS, REPLICATES, dimensions, sobol_blocks, sobol_chunks
from bnstats.sampling.watch import Watch
from bnstats.sampling.workers import in_order
from bnstats.specs.spec import Spec
from bnstats.statistics.moments import Moments, Tally, as_unit, merge, of


def run(
    spec: Spec,
    sampling: Sampling,
    samples: int,
    *,
    devices: Sequence[Device] = (),
    enough: Callable[[Tally], bool] = lambda tally: False,
    watch: Watch | None = None,
) -> tuple[Tally, int]:
    """Draw ``samples`` events and return their moments and how many were drawn.

    Chunks are merged in an order fixed by their index, so the result depends on what is drawn and
    on the number of draws alone; memory is constant in that number.

    Parameters
    ----------
    spec, sampling
        What to draw, and how. A short run takes fewer processes than ``sampling.workers``.
    samples
        Independent draws; of the sobol sampler the next higher number of points that it has.
    devices
        Devices of the backend, which take turns; numpy needs none.
    enough
        Asked at checkpoints, whose spacing doubles; a true answer ends the run.
    watch
        Told of each chunk, and asked between them whether to stop.
    """
    watch = watch or Watch()
    merged: _Tree | _Replicates
    pivot = y_pivot(spec.bound, sampling.law)
    if sampling.backend != "numpy":
        merged = _Tree()
        computed = accelerated(spec, sampling, samples, pivot, devices, watch)
        return _merge(computed, merged, enough, watch)
    if sampling.sampler == "sobol":
        import scipy.special  # noqa: F401  # once, before the workers are forked

        dimensions(spec.bound)  # raises where there are too many
        chunks, merged = sobol_chunks(samples), _Replicates()
        workers = min(sampling.workers, 1 + samples // (4 * CHUNK_POINTS))
    else:
        size = chunk_draws(spec.bound)
        chunks, merged = iid_chunks(samples, size), _Tree()
        workers = min(sampling.workers, 1 + samples // (2 * size))
    if spec.layer.name not in LAYERS:
        workers = 1  # a user's function may run threads, torch's or jax's, which no fork survives
    _keep_freed_memory()
    computed = in_order(partial(chunk_tally, spec, sampling, pivot), chunks, workers, watch)
    return _merge(computed, merged, enough, watch)


def _merge(
    computed: Iterable[tuple[Chunk, Tally]],
    merged: _Tree | _Replicates,
    enough: Callable[[Tally], bool],
    watch: Watch,
) -> tuple[Tally, int]:
    try:
        for chunk, tally in computed:
            merged.push(chunk, tally)
            watch.progress(merged.draws, merged.total)
            if chunk.checkpoint and enough(merged.total()):
                break
    except BnstatsError as error:
        watch.failed(error)
    except MemoryError as error:
        full = HostError("out of memory", hint="fewer `workers`, or a smaller layer")
        full.__cause__ = error
        watch.failed(full)
    return merged.total(), merged.draws


def _keep_freed_memory() -> None:
    """Free a large block once: glibc then recycles smaller ones instead of unmapping them.

    The arrays of a block exceed its default threshold of 128 KiB, above which each temporary is
    mapped and page-faulted anew. The memory is never touched.
    """
    np.empty(2**21)


def chunk_tally(spec: Spec, sampling: Sampling, pivot: float, chunk: Chunk) -> Tally:
    """Return the moments of one chunk; ``pivot`` is that of y, dx has 0."""
    blocks = sobol_blocks if sampling.sampler == "sobol" else iid_blocks
    tally = dict.fromkeys(sampling.directions, Moments())
    with np.errstate(all="ignore"):  # non-finite values are counted, not warned about
        for draws, directions, weights in blocks(spec, sampling, chunk):
            y, backward = spec.bound.forward(numpy_backend, draws)
            for direction in directions:
                v = y if direction == "y" else backward(draws["dy"])
                found = of(numpy_backend, v, pivot if direction == "y" else 0.0, weights)
                tally[direction] = merge(tally[direction], found)
            del y, backward, v  # their memory, still in the cache, serves the next block
    return tally


def stream_name(spec: Spec, sampling: Sampling) -> str:
    """Return a name that two runs share if and only if they share draws."""
    engine = "numpy" if sampling.backend == "numpy" else "counter"
    return f"{spec.text} of seed {sampling.seed}, {sampling.sampler} of {engine}"


def y_pivot(bound: BoundLayer, law: Law) -> float:
    """Return a float32 number near E[y]: y at the mean of every input, 0 where not finite."""
    centre = {"normal": 0.0, "uniform": 0.5}
    at_mean = {
        name: np.full((*i.shape, 1), centre[i.distribution]) for name, i in bound.inputs.items()
    }
    at_mean["x"] += law.x_mean
    with np.errstate(all="ignore"):
        value = float(np.float32(np.mean(bound.forward(numpy_backend, at_mean)[0])))
    return value if math.isfinite(value) else 0.0


def merge_tallies(left: Tally, right: Tally) -> Tally:
    """Pool two tallies direction by direction."""
    if not left or not right:
        return left or right
    return {direction: merge(left[direction], right[direction]) for direction in left}


class _Tree:
    """A binary merge tree over chunk indices, in memory logarithmic in their number."""

    def __init__(self) -> None:
        self.draws = 0
        self._stack: list[tuple[int, Tally]] = []

    def push(self, chunk: Chunk, tally: Tally) -> None:
        rank = 0
        while self._stack and self._stack[-1][0] == rank:
            tally = merge_tallies(self._stack.pop()[1], tally)
            rank += 1
        self._stack.append((rank, tally))
        self.draws += chunk.draws

    def total(self) -> Tally:
        tallies = (tally for _, tally in reversed(self._stack))
        return reduce(lambda later, earlier: merge_tallies(earlier, later), tallies, {})


class _Replicates:
    """Scrambles side by side, each a unit; between checkpoints the last whole level counts."""

    def __init__(self) -> None:
        self.draws = 0
        self._points: dict[int, Tally] = {}
        self._level: Tally = {}

    def push(self, chunk: Chunk, tally: Tally) -> None:
        before = self._points.get(chunk.unit, {})
        self._points[chunk.unit] = merge_tallies(before, tally)
        if chunk.checkpoint:
            self.draws = REPLICATES * (chunk.first + chunk.draws)
            units = ({d: as_unit(m) for d, m in t.items()} for t in self._points.values())
            self._level = reduce(merge_tallies, units)

    def total(self) -> Tally:
        return self._level

"""From chunks to merged moments, in any number of processes, with the same digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from bnstats.backends import Device, numpy_backend
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import LAYERS, Array, BoundLayer, Draws, Law
from bnstats.sampling.allocator import keep_freed_memory
from bnstats.sampling.crossings import jumps
from bnstats.sampling.iid import chunk_draws, iid_blocks
from bnstats.sampling.kept import Drawn as DrawnSpans
from bnstats.sampling.kept import Kept, taken_up
from bnstats.sampling.layout import Chunk, Layout, Merged, Span, pooled
from bnstats.sampling.settings import Sampling
from bnstats.sampling.sobol import dimensions, sobol_blocks, sobol_layout
from bnstats.sampling.watch import Watch
from bnstats.sampling.workers import in_order
from bnstats.specs.spec import Spec
from bnstats.statistics.joint import Drawn, Joint, joint_of
from bnstats.statistics.moments import Moments, Tally, merge, of


def run(
    spec: Spec,
    sampling: Sampling,
    samples: int,
    *,
    devices: Sequence[Device] = (),
    enough: Callable[[Tally], bool] = lambda tally: False,
    watch: Watch | None = None,
    keeping: Callable[[Layout, str], Kept] = lambda layout, device: Kept(),
    part: tuple[int, int] | None = None,
) -> tuple[Tally, int]:
    """Draw ``samples`` events and return their moments and how many were drawn.

    Spans are merged in an order fixed by their leaves, so the result depends on what is drawn and
    on the number of draws alone; memory is constant in that number.

    Parameters
    ----------
    spec, sampling
        What to draw, and how. A short run takes fewer processes than ``sampling.workers``; with
        ``sampling.cluster`` the workers of a cluster draw.
    samples
        Independent draws; of the sobol sampler the next higher number of points that it has.
    devices
        Devices of the backend, which take turns; numpy needs none, nor does a cluster.
    enough
        Asked at milestones, whose spacing doubles; a true answer ends the run.
    watch
        Told of each span, and asked between them whether to stop.
    keeping
        Returns, for the layout of the run and the name of the device, what is known of the run and
        what keeps the rest.
    part
        Draw only the ``part[0]``-th of ``part[1]`` parts.
    """
    watch = watch or Watch()
    engine = _engine(spec, sampling, samples, devices, watch)
    kept = keeping(engine.layout, engine.device)
    within = engine.layout.part(*part) if part else None
    spans = engine.layout.spans(known=kept.known, within=within, wanted=engine.wanted)
    drawn = taken_up(spans, kept.known, engine.draw)
    try:
        return _merge(drawn, engine.layout, kept, enough, watch)
    finally:
        kept.close()


class Engine(NamedTuple):
    """How a run is cut, what draws its spans and where, and how many leaves these should have."""

    layout: Layout
    draw: Callable[[Iterator[Span]], DrawnSpans]
    device: str = "cpu"
    wanted: Callable[[int], int] | None = None


def _engine(
    spec: Spec, sampling: Sampling, samples: int, devices: Sequence[Device], watch: Watch
) -> Engine:
    pivot = y_pivot(spec.bound, sampling.law)
    if sampling.cluster is not None:
        from bnstats.sampling.cluster import Crew  # here: it needs dask
        from bnstats.sampling.cluster_worker import task_for

        def layout_for(leaf: int | None) -> Layout:
            return Layout(samples, leaf) if leaf else numpy_layout(spec.bound, sampling, samples)

        crew = Crew(sampling.cluster, task_for(spec, sampling, pivot), layout_for, watch)
        return Engine(crew.layout, crew.drawn, crew.device, crew.wanted)
    if sampling.backend != "numpy":
        from bnstats.sampling.counter.devices import Lane, accelerated, lanes_layout

        lanes = [Lane(spec, sampling, pivot, device, watch) for device in devices]
        layout = lanes_layout(lanes, samples)
        names = ", ".join(device.name for device in devices)
        return Engine(layout, lambda spans: accelerated(lanes, layout, spans, watch), names)
    layout = numpy_layout(spec.bound, sampling, samples)
    workers = min(sampling.workers, 1 + samples // (2 * layout.leaf * layout.largest_chunk))
    if sampling.sampler == "sobol":
        import scipy.special  # noqa: F401  # once, before the workers are forked
    if spec.layer.name not in LAYERS:
        workers = 1  # a user's function may run threads, torch's or jax's, which no fork survives
    keep_freed_memory()
    compute = partial(span_tally, spec, sampling, pivot, layout)
    return Engine(layout, lambda spans: in_order(compute, spans, workers, watch))


def numpy_layout(bound: BoundLayer, sampling: Sampling, samples: int) -> Layout:
    """Return how a run on numpy is cut.

    Raises
    ------
    BnstatsError
        Sobol' points have fewer coordinates than the layer, or there are fewer of them.
    """
    if sampling.sampler == "sobol":
        dimensions(bound)
        return sobol_layout(samples)
    return Layout(samples, chunk_draws(bound))


def _merge(
    drawn: DrawnSpans, layout: Layout, kept: Kept, enough: Callable[[Tally], bool], watch: Watch
) -> tuple[Tally, int]:
    merged = Merged(layout)
    try:
        for span, tally in drawn:
            merged.push(span, tally)
            kept.keep(span, tally)
            watch.progress(merged.draws, merged.total)
            if span.is_milestone and enough(merged.total()):
                break
    except BnstatsError as error:
        watch.failed(error)
    except MemoryError as error:
        full = HostError("out of memory", hint="fewer `workers`, or a smaller layer")
        full.__cause__ = error
        watch.failed(full)
    return merged.total(), merged.draws


def span_tally(spec: Spec, sampling: Sampling, pivot: float, layout: Layout, span: Span) -> Tally:
    """Return the moments of a span on numpy."""
    chunks = layout.chunks(span)
    drawn = ((part, chunk_tally(spec, sampling, pivot, chunk)) for part, chunk in chunks)
    return pooled(drawn)  # type: ignore[no-any-return]


def chunk_tally(spec: Spec, sampling: Sampling, pivot: float, chunk: Chunk) -> Tally:
    """Return the moments of one chunk; ``pivot`` is that of y, dx has 0."""
    blocks = sobol_blocks if sampling.sampler == "sobol" else iid_blocks
    tally = Tally(dict.fromkeys(sampling.directions, Moments()))
    # Where directions have points of their own, y's are those of a scalar x, and dx's have dy, too.
    joint_of_direction = "y" if spec.bound.is_scalar else "dx"
    broken = bool(sampling.of_stack) and jumps(spec.bound, sampling.law)
    with np.errstate(all="ignore"):  # non-finite values are counted, not warned about
        for draws, directions, weights in blocks(spec, sampling, chunk):
            y, backward = spec.bound.forward(numpy_backend, draws)
            for direction in directions:
                v = y if direction == "y" else backward(draws["dy"])
                found = of(numpy_backend, v, pivot if direction == "y" else 0.0, weights)
                tally[direction] = merge(tally[direction], found)
            if sampling.of_stack and joint_of_direction in directions:
                drawn = _drawn(draws, y, backward, sampling.law, broken=broken)
                joint = joint_of(numpy_backend, drawn._replace(weights=weights), pivot)
                tally.joint = (tally.joint or Joint()).merged(joint)
            del y, backward, v  # their memory, still in the cache, serves the next block
    return tally


def _drawn(
    draws: Draws, y: Array, backward: Callable[[Array], Array], law: Law, *, broken: bool
) -> Drawn:
    """Return what joint moments are made of; ``broken`` says whether y jumps in x."""
    if y.ndim > 1 or draws["x"].ndim > 1:
        return Drawn(y, np.square(backward(draws["dy"]) / law.dy_std))
    z = (draws["x"] - law.x_mean) / law.x_std
    slope = backward(np.ones_like(y))
    # By parts, E[z·y·y′·s] is ½·E[(z² − 1)·y²], which holds across a jump but varies more.
    drift = 0.5 * (z * z - 1) * y * y if broken else law.x_std * z * y * slope
    return Drawn(y, slope * slope, z, drift, slope)


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

"""From chunks to moments: devices take turns, and chunks are finished in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from itertools import repeat
from math import frexp, isfinite, ldexp
from typing import Any

import numpy as np

from bnstats.backends import Device, Launch, load
from bnstats.errors import BnstatsError, HostError, described
from bnstats.sampling.counter.draws import round_keys
from bnstats.sampling.counter.reduction import Reduction
from bnstats.sampling.kept import Drawn
from bnstats.sampling.layout import Chunk, Layout, Span
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import Spec
from bnstats.statistics.moments import (
    Tally,
    cancelled,
    constant_share,
    float32_holds,
    float32_suffices,
    from_sums,
)

# Random numbers per block, by kind of device: what a cache holds, or what keeps a GPU busy.
_BLOCK_NUMBERS = {"cpu": 2**16}
_LARGEST_BLOCK = 2**27
_SMALLEST_BLOCK = 2**16  # however little memory seems free; running out halves it
_BYTES_PER_NUMBER = 64  # what a block may take of a device's memory, where nothing is fused
_CHUNK_BLOCKS = 64  # a chunk is some tens of milliseconds of work
_COLUMNS = 256  # of a processor's sums: the adds of one row do not wait for each other


def lanes_layout(lanes: list[Lane], samples: int) -> Layout:
    """Return how a run is cut: a leaf suits the smallest device."""
    return Layout(samples, min(lane.size for lane in lanes) * _CHUNK_BLOCKS)


def accelerated(lanes: list[Lane], layout: Layout, spans: Iterable[Span], watch: Watch) -> Drawn:
    """Yield the leaves of spans of independent draws with their moments, in order.

    The first leaf of a run says about which means all others are summed. So it is drawn first,
    also where it is in none of the spans, and the digits depend on nobody's share in the work.
    Before each leaf, ``watch`` is asked whether to stop.

    Raises
    ------
    BnstatsError
        The backend cannot run this layer.
    HostError
        The smallest block is too large for a device.
    """
    waiting: deque[tuple[Span, Callable[[], Tally]]] = deque()
    for number, (leaf, chunk) in enumerate(part for s in spans for part in layout.chunks(s)):
        if watch.stopping():
            break
        if not number:
            first = _prepared(lanes, layout)
        lane = lanes[chunk.unit % len(lanes)]
        waiting.append((leaf, lane.begin(chunk) if chunk.unit else partial(Tally, first)))
        if len(waiting) > len(lanes):
            leaf, finish = waiting.popleft()
            yield leaf, finish()
    for leaf, finish in waiting:
        yield leaf, finish()


def _prepared(lanes: list[Lane], layout: Layout) -> Tally:
    """Draw the first leaf, have all lanes sum as it says, and return its moments."""
    lead = lanes[0]
    if lead.first is None:
        _, chunk = next(layout.chunks(layout.span(0, 0, 1)))
        lead.first = lead.begin(chunk)()
        for lane in lanes:
            lane.plan = replace(lead.plan, columns=lane.plan.columns)
    return lead.first


class Lane:
    """One device at work on a layer; those of a run take turns.

    Parameters
    ----------
    spec, sampling
        What to draw, and how; this names the backend.
    pivot
        What is subtracted from y.
    device
        A device of the backend.
    watch
        Warned where the device has too little memory, or cannot fuse the layer.

    Attributes
    ----------
    size
        Draws of a block.
    plan
        What it computes.
    first
        Moments of the run's first leaf, once it is drawn.

    Raises
    ------
    HostError
        The backend is missing.
    """

    def __init__(
        self, spec: Spec, sampling: Sampling, pivot: float, device: Device, watch: Watch
    ) -> None:
        self._xp, self._device, self._watch = load(sampling.backend), device, watch
        self._backend, self._keys = sampling.backend, round_keys(sampling.seed, spec.text)
        numbers = _BLOCK_NUMBERS.get(device.kind, _LARGEST_BLOCK)
        if device.memory is not None:
            numbers = min(numbers, max(device.memory // _BYTES_PER_NUMBER, _SMALLEST_BLOCK))
        draws = max(numbers // spec.bound.numbers, 2)
        self.size = 1 << (draws.bit_length() - 1)
        # All of the sampling that a program depends on: one serves every seed.
        how = Sampling(dtype=sampling.dtype, direction=sampling.direction, law=sampling.law)
        columns = _COLUMNS if device.kind == "cpu" else 1
        self.plan = Reduction(spec, how, pivot, self.size, columns, careful=False)
        self.first: Tally | None = None

    def begin(self, chunk: Chunk) -> Callable[[], Tally]:
        """Set the device to work on a chunk; return what waits for it and for its moments."""
        return partial(self._finish, chunk, *self._begun(chunk, self.plan))

    def _begun(self, chunk: Chunk, plan: Reduction) -> tuple[Reduction, Any]:
        """Return the reduction that the device is at work on, and its sums; None for no memory."""
        plan = replace(plan, size=self.size)

        def start() -> Any:
            launch = _launch(plan, self._xp, self._device)
            return launch(self._keys, chunk.first, chunk.draws, self._watch.warn)

        return plan, self._within_memory(start)

    def _finish(self, chunk: Chunk, plan: Reduction, sums: Any) -> Tally:
        while True:
            if sums is not None:
                sums = self._within_memory(partial(_added, self._xp, sums))
            if sums is None:
                if plan.size == self.size:  # or a chunk before this one has halved it by now
                    self._halve()
            elif (found := _moments(plan, sums, chunk.draws)) is None:
                plan = replace(plan, careful=True)
            elif not plan.about and any(map(cancelled, found.values())):
                means = tuple((_rounded(m.mean_a), _rounded(m.mean_b)) for m in found.values())
                plan = replace(plan, careful=True, about=means)
                if not chunk.unit:
                    self.plan = plan
            else:
                return found
            plan, sums = self._begun(chunk, plan)

    def _within_memory(self, compute: Callable[[], Any]) -> Any:
        """Return what a function computes, None if the device has not the memory for it."""
        try:
            return compute()
        except Exception as error:
            if self._xp.is_out_of_memory(error):
                return None
            if isinstance(error, BnstatsError):
                raise
            raise BnstatsError(
                f"{self.plan.spec.text} does not run on {self._backend}: {described(error)}",
                hint="`backend='numpy'` runs every layer",
            ) from error

    def _halve(self) -> None:
        if self.size <= 2:
            raise HostError(
                f"{self._device.name} has not the memory for two draws of {self.plan.spec.text}",
                hint="`backend='numpy'` needs less",
            )
        self.size //= 2
        self._watch.warn(
            f"{self._device.name} ran out of memory: went on with blocks of {self.size:,} draws"
        )


def _added(xp: Any, sums: Any) -> Any:
    """Wait for the sums of a launch; return them with their parts added."""
    with np.errstate(all="ignore"):  # parts may be infinite, of either sign
        return xp.host(sums).sum(axis=-1)


def _moments(plan: Reduction, sums: Any, draws: int) -> Tally | None:
    """Return the moments behind power sums, None where only careful ones would do."""
    tally = Tally()
    constant = constant_share(double=bool(plan.about) and plan.sampling.dtype == "float64")
    abouts = plan.about or repeat((0.0, 0.0))
    for direction, row, about in zip(plan.sampling.directions, sums.tolist(), abouts, strict=False):
        n, *powers = row if plan.careful else (float(draws), *row)
        found = tally[direction] = from_sums(
            n,
            powers,
            pivot=plan.pivot if direction == "y" else 0.0,
            nonfinite=draws - n,
            about=about,
            constant=constant,
        )
        _, aa, _, _, bb = powers
        if not plan.careful and not isfinite(bb):
            return None
        if plan.is_short and not (float32_holds(n, bb) and float32_suffices(found, aa, bb)):
            return None
    return tally


def _rounded(mean: float) -> float:
    """Return a number to 24 bits: a program that subtracts it serves other seeds as well."""
    mantissa, exponent = frexp(mean)
    return ldexp(round(ldexp(mantissa, 24)), exponent - 24)


@lru_cache(maxsize=8)
def _launch(reduction: Reduction, xp: Any, device: Device) -> Launch:
    """Compile a reduction, or find it compiled: verification draws a layer several times."""
    launch: Launch = xp.launcher(partial(reduction, xp), reduction.size, device)
    return launch

"""From chunks to moments: devices take turns, and chunks are finished in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from math import frexp, isfinite, ldexp
from typing import Any, NamedTuple

import numpy as np

from bnstats.backends import Device, Launch, load
from bnstats.errors import BnstatsError, HostError, printable
from bnstats.sampling.counter.draws import round_keys
from bnstats.sampling.counter.reduction import Reduction
from bnstats.sampling.iid import Chunk, iid_chunks
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


def accelerated(
    spec: Spec,
    sampling: Sampling,
    samples: int,
    pivot: float,
    devices: Sequence[Device],
    watch: Watch,
) -> Iterator[tuple[Chunk, Tally]]:
    """Yield chunks of independent draws with their moments, in order.

    Parameters
    ----------
    spec, sampling
        What to draw, and how; this names the backend.
    samples
        Number of draws.
    pivot
        What is subtracted from y.
    devices
        Devices of the backend, which take turns.
    watch
        Asked whether to stop before each chunk is begun; warned where a device had too little
        memory, or could not fuse a layer.

    Raises
    ------
    BnstatsError
        The backend cannot run this layer.
    HostError
        The backend is missing, or the smallest block is too large for a device.
    """
    lanes = [_Lane(spec, sampling, pivot, device, watch) for device in devices]
    waiting: deque[tuple[Chunk, _Lane, _Begun]] = deque()
    for chunk in iid_chunks(samples, min(lane.size for lane in lanes) * _CHUNK_BLOCKS):
        if watch.stopping():
            break
        lane = lanes[chunk.unit % len(lanes)]
        waiting.append((chunk, lane, lane.begin(chunk)))
        if len(waiting) > len(lanes):
            chunk, lane, begun = waiting.popleft()
            yield chunk, lane.finish(chunk, begun)
    for chunk, lane, begun in waiting:
        yield chunk, lane.finish(chunk, begun)


class _Manner(NamedTuple):
    """How sums are formed: see `Reduction`."""

    careful: bool = False
    about: tuple[tuple[float, float], ...] = ()


class _Begun(NamedTuple):
    """A chunk that a device is at work on: its blocks' size, and sums; None for no memory."""

    size: int
    manner: _Manner
    sums: Any


class _Lane:
    """One device at work on a layer."""

    def __init__(
        self, spec: Spec, sampling: Sampling, pivot: float, device: Device, watch: Watch
    ) -> None:
        self._spec, self._sampling, self._pivot = spec, sampling, pivot
        self._xp, self._device, self._watch = load(sampling.backend), device, watch
        self._manner = _Manner()
        self._keys = round_keys(sampling.seed, spec.text)
        # All of the sampling that a program depends on: one serves every seed.
        self._compiled_for = Sampling(
            dtype=sampling.dtype, direction=sampling.direction, law=sampling.law
        )
        numbers = _BLOCK_NUMBERS.get(device.kind, _LARGEST_BLOCK)
        if device.memory is not None:
            numbers = min(numbers, max(device.memory // _BYTES_PER_NUMBER, _SMALLEST_BLOCK))
        draws = max(numbers // spec.bound.numbers, 2)
        self.size = 1 << (draws.bit_length() - 1)

    def begin(self, chunk: Chunk, manner: _Manner | None = None) -> _Begun:
        """Set the device to work on a chunk."""
        manner = self._manner if manner is None else manner
        try:
            launch = _launch(self._reduction(manner), self._xp, self._device)
            sums = launch(self._keys, chunk.first, chunk.draws, self._watch.warn)
            return _Begun(self.size, manner, sums)
        except Exception as error:
            if self._xp.is_out_of_memory(error):
                return _Begun(self.size, manner, None)
            if isinstance(error, BnstatsError):
                raise
            raise self._refused(error) from error

    def _reduction(self, manner: _Manner) -> Reduction:
        columns = _COLUMNS if self._device.kind == "cpu" else 1
        return Reduction(self._spec, self._compiled_for, self._pivot, self.size, columns, *manner)

    def finish(self, chunk: Chunk, begun: _Begun) -> Tally:
        """Wait for a chunk; return its moments."""
        found = self._moments(chunk, begun)
        if found is None:
            begun = self.begin(chunk, _Manner(careful=True))
            found = self._moments(chunk, begun)
        assert found is not None
        if not begun.manner.about and any(map(cancelled, found.values())):
            means = [(_rounded(m.mean_a), _rounded(m.mean_b)) for m in found.values()]
            self._manner = _Manner(careful=True, about=tuple(means))  # for later chunks, too
            found = self._moments(chunk, self.begin(chunk))
            assert found is not None
        return found

    def _wait(self, chunk: Chunk, begun: _Begun) -> Any:
        while True:
            if begun.sums is not None:
                try:
                    with np.errstate(all="ignore"):  # parts may be infinite, of either sign
                        return self._xp.host(begun.sums).sum(axis=-1)
                except Exception as error:
                    if not self._xp.is_out_of_memory(error):
                        raise self._refused(error) from error
            if begun.size == self.size:  # or a chunk before this one has halved it by now
                self._halve()
            begun = self.begin(chunk, begun.manner)

    def _halve(self) -> None:
        if self.size <= 2:
            raise HostError(
                f"{self._device.name} has not the memory for two draws of {self._spec.text}",
                hint="`backend='numpy'` needs less",
            )
        self.size //= 2
        self._watch.warn(
            f"{self._device.name} ran out of memory: went on with blocks of {self.size:,} draws"
        )

    def _refused(self, error: Exception) -> BnstatsError:
        told = printable(str(error).partition("\n")[0], 160)
        return BnstatsError(
            f"{self._spec.text} does not run on {self._sampling.backend}: "
            f"{type(error).__name__}: {told}",
            hint="`backend='numpy'` runs every layer",
        )

    def _moments(self, chunk: Chunk, begun: _Begun) -> Tally | None:
        """Wait; return the moments behind power sums, None where only careful ones would do."""
        tally: Tally = {}
        sums, (careful, about) = self._wait(chunk, begun), begun.manner
        constant = constant_share(double=bool(about) and self._sampling.dtype == "float64")
        for i, (direction, row) in enumerate(
            zip(self._sampling.directions, sums.tolist(), strict=True)
        ):
            n, a, aa, ab, b, bb = row if careful else (float(chunk.draws), *row)
            found = from_sums(
                n,
                (a, aa, ab, b, bb),
                pivot=self._pivot if direction == "y" else 0.0,
                nonfinite=chunk.draws - n,
                about=about[i] if about else (0.0, 0.0),
                constant=constant,
            )
            if not careful:
                if not isfinite(bb):
                    return None
                if self._reduction(begun.manner).is_short and not (
                    float32_holds(n, bb) and float32_suffices(found, aa, bb)
                ):
                    return None
            tally[direction] = found
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

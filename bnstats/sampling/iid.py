"""Random draws: seed, layer and chunk in, named arrays out.

Every chunk of every layer has a stream of its own, so that a result depends neither on who computes
a chunk nor on which other layers are run. A chunk is drawn in blocks that fit the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import pi, prod
from typing import Any, NamedTuple

import numpy as np
import numpy.random  # now: a worker forked while a thread imports it waits for ever

from bnstats.errors import BnstatsError
from bnstats.layers import BoundLayer, Law
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import DType, Sampling
from bnstats.specs.describe import typed
from bnstats.specs.spec import Spec
from bnstats.statistics.quantities import Direction

MAX_NUMBERS = 2**26  # random numbers of one draw; 2^26 float64 are 512 MB, and copied are more

# Random numbers per block: most of its arrays stay in a core's L2, yet its fixed cost, some 40 µs
# of Python, counts for little.
_BLOCK_NUMBERS = 2**17
_BLOCKS_PER_CHUNK = 8

# Pairs of normals that have shifts of their own; the next as many have the same ones. No power of
# two: else the elements of a draw, which lie a power of two apart, would share theirs.
_SHIFTS = 1010


class Block(NamedTuple):
    """Draws for some directions: arrays (event..., n) by input name, and weights (n,) or None."""

    draws: dict[str, Any]
    directions: tuple[Direction, ...]
    weights: Any = None


def is_too_wide(spec: Spec) -> bool:
    """Whether a draw of a layer does not fit into memory, a GB of it for the largest."""
    return spec.bound.numbers > MAX_NUMBERS


def check_size(spec: Spec) -> None:
    """Raise BnstatsError for a layer that is too wide."""
    if is_too_wide(spec):
        raise BnstatsError(
            f"{spec.layer.name}: one draw would hold {spec.bound.numbers:,} random numbers, "
            f"more than {MAX_NUMBERS:,}",
            where=spec.text,
            hint=f"bnstats exact {typed(spec.text)} draws none",
        )


def block_draws(bound: BoundLayer) -> int:
    """Draws per block: a function of the event alone, because streams depend on it."""
    return max(_BLOCK_NUMBERS // bound.numbers, 1)


def chunk_draws(bound: BoundLayer) -> int:
    """Draws per chunk, a leaf of the tree in which moments are merged."""
    return _BLOCKS_PER_CHUNK * block_draws(bound)


def stream(seed: int, spec: str, chunk: int) -> np.random.Generator:
    """Return the generator of one chunk: SFC64 keyed by seed, canonical spec and chunk index."""
    layer = int.from_bytes(hashlib.sha256(spec.encode()).digest()[:16], "little")
    sequence = np.random.SeedSequence(seed, spawn_key=(layer, chunk))
    return np.random.Generator(np.random.SFC64(sequence))


def iid_blocks(spec: Spec, sampling: Sampling, chunk: Chunk) -> Iterator[Block]:
    """Yield a chunk's draws in blocks: views of one buffer that the next block overwrites."""
    bound, dtype = spec.bound, sampling.dtype
    generator = stream(sampling.seed, spec.text, chunk.unit)
    size = block_draws(bound)
    normal = {k: i.shape for k, i in bound.inputs.items() if i.distribution == "normal"}
    uniform = {k: i.shape for k, i in bound.inputs.items() if i.distribution == "uniform"}
    normals_per_draw = sum(map(prod, normal.values()))
    uniforms_per_draw = sum(map(prod, uniform.values()))
    source = Normals(min(size, chunk.draws) * normals_per_draw, dtype)
    for start in range(0, chunk.draws, size):
        n = min(size, chunk.draws - start)
        draws = _split(source.draw(generator, n * normals_per_draw), normal, n)
        if uniform:
            numbers = generator.random(n * uniforms_per_draw)
            draws |= _split(numbers.astype(dtype, copy=False), uniform, n)
        yield Block(scaled(draws, sampling.law), sampling.directions)


def scaled(draws: dict[str, Any], law: Law) -> dict[str, Any]:
    """Bring standard normal x and dy, as far as they are drawn, to their law, in place."""
    if law.x_std != 1:
        draws["x"] *= law.x_std
    if law.x_mean:
        draws["x"] += law.x_mean
    if law.dy_std != 1 and "dy" in draws:
        draws["dy"] *= law.dy_std
    return draws


def _split(numbers: Any, shapes: dict[str, tuple[int, ...]], n: int) -> dict[str, Any]:
    parts, at = {}, 0
    for name, shape in shapes.items():
        end = at + prod(shape) * n
        parts[name] = numbers[at:end].reshape(*shape, n)
        at = end
    return parts


class Normals:
    """Standard normals by Box-Muller, both outputs of a pair used, in buffers of its own.

    Whatever the dtype, the transform runs in float32, where numpy has SIMD for all of it. A pair
    takes 32 random bits: one of 2¹⁶ cells for the radius, one of 2¹⁶ for the angle. Random shifts
    move both within their cells, so that the grid biases nothing and the tail reaches 9.8. A random
    phase turns the angles of a block and hides the seam that float32's π leaves in the circle.
    Beside r = 0, where u is close to 1, float32 is coarse: a pair in 2²⁵ is (0, 0).

    Pairs that share their shifts, at most 65 in a block of up to 2¹⁷ numbers, are correlated, but
    little, as they matter to each other only in the same cell: the variance of the mean of x² rises
    by 1e-7 of itself, of e^2x by 2e-5, of a count of x within an interval by 1e-3 at most.
    """

    def __init__(self, capacity: int, dtype: DType) -> None:
        pairs = _whole(capacity)
        self._out = np.empty(2 * pairs, dtype)
        self._work = np.empty(pairs, np.float32)

    def draw(self, generator: np.random.Generator, count: int) -> Any:
        """Return ``count`` normals, valid until the next call."""
        pairs = _whole(count)
        out, work = self._out[: 2 * pairs], self._work[:pairs]
        # The transform works in the output's own memory: the less of it, the more stays in L2.
        radius, angle = out.view(np.float32)[-2 * pairs :].reshape(2, pairs)
        bits = generator.bit_generator.random_raw(pairs // 2).view(np.int16).reshape(2, pairs)
        radius[...] = bits[0].view(np.uint16)
        shifts = generator.random((2, _SHIFTS))
        shifts[0] += 2.0**-54  # above 0, so that log is finite
        shifts[1] += 2.0**16 * (generator.random() - 0.5)  # the phase
        shifts = shifts.astype(np.float32)
        rows = radius.reshape(-1, _SHIFTS)
        rows += shifts[0]
        radius *= 2.0**-16
        np.log(radius, out=radius)
        radius *= -2.0
        np.sqrt(radius, out=radius)
        angle[...] = bits[1]
        rows = angle.reshape(-1, _SHIFTS)
        rows += shifts[1]
        angle *= pi * 2.0**-15
        np.cos(angle, out=work)
        np.sin(angle, out=angle)
        angle *= radius
        radius *= work
        out[:pairs] = radius  # in float32 the array itself, and nothing is copied
        out[pairs:] = angle
        return out[:count]


def _whole(count: int) -> int:
    """Return the pairs behind ``count`` normals, rounded up to whole rows of shifts."""
    return -(-count // (2 * _SHIFTS)) * _SHIFTS

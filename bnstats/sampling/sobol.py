"""Randomised quasi-Monte Carlo: scrambled Sobol' points, in place of independent draws.

A run is 32 independent nested uniform scrambles (Owen 1995) of the first 2^m Sobol' points; each
scramble is one unit, and an interval comes from the spread over scrambles. Their means are close to
normal, as theory has it (Loh 2003), and the interval covers what it says. Linear matrix scrambles
have the same variance, but in rare outliers: a kurtosis of hundreds, and intervals that cover more
than they say. All random inputs of an event are coordinates, in their own order.

Φ⁻¹(u)² has a log singularity at 0 and 1 that keeps plain points from nominal coverage. So a lone
normal coordinate is drawn from the logistic law instead, as log(u/(1 − u)), and weighted by the
ratio of the densities, which vanishes at both ends with all its derivatives: x for y's moments, dy
for dx's. With more coordinates the weights' product would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from math import pi, prod
from pathlib import Path
from typing import Any

import numpy as np

from bnstats.errors import BnstatsError
from bnstats.layers import BoundLayer, Input
from bnstats.sampling.iid import Block, scaled, stream
from bnstats.sampling.layout import Chunk, Layout
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec
from bnstats.statistics.quantities import Direction

REPLICATES = 32
MIN_LEVEL = 12  # 2^12 points a scramble; below, no interval has been measured
MAX_DIMENSIONS = 256
CHUNK_POINTS = 1 << 16  # at most

_BITS = 32
_MAX_LEVEL = 30
MAX_POINTS = REPLICATES << _MAX_LEVEL
_BLOCK_LEVEL = 14  # points of a block, and its coordinates, at most
_NUMBERS_LEVEL = 17

# The input whose tail a direction's moments depend on.
_SMOOTHED: dict[Direction, str] = {"y": "x", "dx": "dy"}


def dimensions(bound: BoundLayer) -> int:
    """Return the number of coordinates of one point; more than there are raises BnstatsError."""
    if bound.numbers > MAX_DIMENSIONS:
        raise BnstatsError(
            f"one draw of this layer has {bound.numbers} coordinates; sobol has {MAX_DIMENSIONS}",
            hint="`sampler='iid'`",
        )
    return bound.numbers


def directions(dimensions: int = MAX_DIMENSIONS) -> Any:
    """Return direction numbers of shape (dimensions, 32), as 32-bit integers in uint32.

    From the polynomials and initial values of Joe and Kuo (2008); Bratley and Fox (1988), eq. 2.
    """
    text = Path(__file__).with_name("sobol_directions.txt").read_text("ascii")
    lines = [line for line in text.splitlines() if line[:1] != "#"]
    table = np.empty((dimensions, _BITS), np.uint32)
    table[0] = [1 << (_BITS - 1 - k) for k in range(_BITS)]  # van der Corput
    for dimension, line in enumerate(lines[: dimensions - 1], start=1):
        polynomial, *m = map(int, line.split())
        degree = polynomial.bit_length() - 1
        for k in range(degree, _BITS):
            new = m[k - degree]
            for i in range(1, degree + 1):
                if polynomial >> (degree - i) & 1:
                    new ^= m[k - i] << i
            m.append(new)
        table[dimension] = [number << (_BITS - 1 - k) for k, number in enumerate(m)]
    return table


def points(numbers: Any, first: int, level: int) -> Any:
    """Return points ``first`` to ``first + 2^level`` as uint32 of shape (dimensions, 2^level).

    ``first`` is a multiple of 2^level. Point i is the XOR of the numbers at the bits of i.
    """
    out = np.empty((len(numbers), 1 << level), np.uint32)
    start = np.zeros(len(numbers), np.uint32)
    for bit in range(level, _BITS):
        if first >> bit & 1:
            start ^= numbers[:, bit]
    out[:, 0] = start
    for bit in range(level):
        size = 1 << bit
        np.bitwise_xor(out[:, :size], numbers[:, bit, None], out=out[:, size : 2 * size])
    return out


def reversed_bits(x: Any) -> Any:
    """Return uint32 integers with their bits in reverse order."""
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F)):
        low = x & mask
        low <<= shift
        x = x >> shift
        x &= mask
        x |= low
    return x.byteswap()


def scrambled(x: Any, seeds: Any) -> Any:
    """Scramble bit-reversed points (dimensions, n) by one seed each; returns them in order.

    In a bit-reversed integer, sums and products carry a digit's effect to less significant digits
    only: each digit is flipped as a hash of the seed and of the more significant ones. Pairs of
    points, on which the variance depends, behave as under nested uniform scrambling; larger sets
    share the 32 bits of the seed. The hash is Laine and Karras's (2011) with Vegdahl's constants;
    see Burley, JCGT 9(4), 2020.
    """
    seeds = seeds[:, None]
    x = x ^ x * np.uint32(0x3D20ADEA)
    x += seeds
    x *= (seeds >> 16) | 1
    x ^= x * np.uint32(0x05526C56)
    x ^= x * np.uint32(0x53A22864)
    return reversed_bits(x)


def smoothed_normal(u: Any) -> tuple[Any, Any]:
    """Return logistic quantiles z and the weights φ(z)/(u(1 − u)) that make them normal."""
    rest = 1 - u  # exact, as u is a multiple of 2^-33
    z = u / rest
    np.log(z, out=z)
    weights = -0.5 * z
    weights *= z
    np.exp(weights, out=weights)
    weights *= (2 * pi) ** -0.5
    rest *= u
    weights /= rest
    return z, weights


def level_for(samples: int) -> int:
    """Return the level m at which 32 scrambles of 2^m points are at least ``samples``.

    Raises
    ------
    BnstatsError
        More points than 32-bit coordinates tell apart.
    """
    level = max((-(-samples // REPLICATES) - 1).bit_length(), MIN_LEVEL)
    if level > _MAX_LEVEL:
        raise BnstatsError(f"sobol has at most {MAX_POINTS:,} points", hint="`sampler='iid'`")
    return level


def sobol_layout(samples: int) -> Layout:
    """Return how a run is cut: each scramble is a unit, and a band of leaves doubles its points."""
    return Layout(
        REPLICATES << level_for(samples),
        leaf=1 << MIN_LEVEL,
        units=REPLICATES,
        largest_chunk=CHUNK_POINTS >> MIN_LEVEL,
    )


def sobol_blocks(spec: Spec, sampling: Sampling, chunk: Chunk) -> Iterator[Block]:
    """Yield a chunk's points, with the weights of each direction."""
    bound = spec.bound
    numbers = _numbers(dimensions(bound))
    generator = stream(sampling.seed, f"sobol {spec.text}", chunk.unit)
    seeds = generator.integers(0, 2**_BITS, len(numbers), dtype=np.uint32)
    step = min(_block_points(bound), chunk.draws)
    ends = list(accumulate(prod(given.shape) for given in bound.inputs.values()))[:-1]
    for first in range(chunk.first, chunk.first + chunk.draws, step):
        integers = scrambled(points(numbers, first, step.bit_length() - 1), seeds)
        uniform = integers + 0.5
        uniform *= 2.0**-_BITS
        parts = dict(zip(bound.inputs, np.split(uniform, ends), strict=True))
        known: dict[tuple[str, bool], tuple[Any, Any]] = {}
        for direction in sampling.directions:
            draws, weights = {}, None
            for name, part in parts.items():
                if (direction, name) == ("y", "dy"):
                    continue  # y does not depend on it
                smooth = name == _SMOOTHED[direction] and len(part) == 1
                if (name, smooth) not in known:
                    known[name, smooth] = _transformed(part, bound.inputs[name], smooth=smooth)
                z, weights_of_z = known[name, smooth]
                draws[name] = z.astype(sampling.dtype)
                weights = weights_of_z if smooth else weights
            yield Block(scaled(draws, sampling.law), (direction,), weights)


def _transformed(uniform: Any, given: Input, *, smooth: bool) -> tuple[Any, Any]:
    """Return an input, shape (event..., n), from its coordinates, and its weights or None."""
    from scipy.special import ndtri

    weights = None
    if smooth:
        z, (weights,) = smoothed_normal(uniform)
    else:
        z = uniform if given.distribution == "uniform" else ndtri(uniform)
    return z.reshape(*given.shape, -1), weights


def _block_points(bound: BoundLayer) -> int:
    """Points per block, a power of two, that fit the cache."""
    return 1 << max(min(_BLOCK_LEVEL, _NUMBERS_LEVEL - (bound.numbers - 1).bit_length()), 0)


@cache
def _numbers(count: int) -> Any:
    """Return bit-reversed direction numbers, which give bit-reversed points."""
    return reversed_bits(directions(count))

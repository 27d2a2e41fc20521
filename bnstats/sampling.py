"""Random draws: seed, layer and chunk in, named arrays out.

Every chunk of every layer has a stream of its own, so that a result depends neither on who computes
a chunk nor on which other layers are run. A chunk is drawn in blocks that fit the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import pi, prod
from typing import Any, Literal

import numpy as np

from bnstats.layers import Event, Law

DType = Literal["float64", "float32"]

# Random numbers per block and per chunk. 2^15 float64 are 256 KiB, within a core's L2 beside the
# formula's temporaries; those hold at most half as many elements, 128 KiB, which malloc still
# serves from its heap: above that it maps and page-faults every temporary anew.
_BLOCK_NUMBERS = 2**15
_BLOCKS_PER_CHUNK = 16


def block_draws(event: Event) -> int:
    """Draws per block: a function of the event alone, because streams depend on it."""
    numbers = sum(prod(i.shape) for i in event.inputs.values())
    return max(_BLOCK_NUMBERS // numbers, 1)


def chunk_draws(event: Event) -> int:
    """Draws per chunk, the unit of parallel work and of merging."""
    return _BLOCKS_PER_CHUNK * block_draws(event)


def stream(seed: int, spec: str, chunk: int) -> np.random.Generator:
    """Return the generator of one chunk: SFC64 keyed by seed, canonical spec and chunk index."""
    layer = int.from_bytes(hashlib.sha256(spec.encode()).digest()[:16], "little")
    sequence = np.random.SeedSequence(seed, spawn_key=(layer, chunk))
    return np.random.Generator(np.random.SFC64(sequence))


def blocks(
    event: Event, generator: np.random.Generator, draws: int, law: Law, dtype: DType
) -> Iterator[dict[str, Any]]:
    """Yield blocks of draws until there are ``draws`` of them.

    Each block maps the event's input names to arrays of shape (event..., n), float32 or float64.
    The arrays are views of one buffer that the next block overwrites.
    """
    size = block_draws(event)
    normal = {k: i.shape for k, i in event.inputs.items() if i.law == "normal"}
    uniform = {k: i.shape for k, i in event.inputs.items() if i.law == "uniform"}
    normals_per_draw = sum(map(prod, normal.values()))
    uniforms_per_draw = sum(map(prod, uniform.values()))
    source = Normals(min(size, draws) * normals_per_draw, dtype)
    while draws > 0:
        n = min(size, draws)
        draws -= n
        block = _split(source.draw(generator, n * normals_per_draw), normal, n)
        if uniform:
            numbers = generator.random(n * uniforms_per_draw)
            block |= _split(numbers.astype(dtype, copy=False), uniform, n)
        if law.x_std != 1:
            block["x"] *= law.x_std
        if law.x_mean:
            block["x"] += law.x_mean
        if law.dy_std != 1:
            block["dy"] *= law.dy_std
        yield block


def _split(numbers: Any, shapes: dict[str, tuple[int, ...]], n: int) -> dict[str, Any]:
    parts, at = {}, 0
    for name, shape in shapes.items():
        end = at + prod(shape) * n
        parts[name] = numbers[at:end].reshape(*shape, n)
        at = end
    return parts


class Normals:
    """Standard normals by Box-Muller, both outputs of a pair used, in buffers of its own.

    float64 takes tan(θ/2), which numpy runs in SIMD where its float64 sin and cos are scalar:
    with t = tan(θ/2), cos θ = 2/(1 + t²) − 1 and sin θ = 2t/(1 + t²). float32 rounds float64
    uniforms, so that its tail is as long: 24-bit uniforms would bias σ by −5e-7.
    """

    def __init__(self, capacity: int, dtype: DType) -> None:
        pairs = (capacity + 1) // 2
        self._out = np.empty(2 * pairs, dtype)
        self._work = np.empty(pairs, dtype)
        self._uniform = np.empty(pairs if dtype == "float32" else 0)

    def draw(self, generator: np.random.Generator, count: int) -> Any:
        """Return ``count`` normals, valid until the next call."""
        pairs = (count + 1) // 2
        radius, angle = self._out[:pairs], self._out[pairs : 2 * pairs]
        work = self._work[:pairs]
        single = self._out.dtype == np.float32
        source = self._uniform[:pairs] if single else radius
        generator.random(out=source)
        np.subtract(1.0, source, out=radius, casting="same_kind")  # (0, 1]: log stays finite
        np.log(radius, out=radius)
        radius *= -2.0
        np.sqrt(radius, out=radius)
        source = self._uniform[:pairs] if single else angle
        generator.random(out=source)
        np.subtract(source, 0.5, out=angle, casting="same_kind")
        if single:
            angle *= 2 * pi
            np.cos(angle, out=work)
            np.sin(angle, out=angle)
            angle *= radius
            radius *= work
        else:
            angle *= pi
            np.tan(angle, out=angle)
            np.multiply(angle, angle, out=work)
            work += 1.0
            np.divide(radius, work, out=work)
            work *= 2.0
            angle *= work
            np.subtract(work, radius, out=radius)
        return self._out[:count]

"""Random words from a counter, and standard normals from words; written once against ``xp``.

Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, SC '11, doi:10.1145/2063384.2063405) is a keyed
bijection of 128-bit counters. Which device computes a word, and when, does not change it.

Words are 32-bit unsigned integers, in whatever type suits the backend: its namespace offers
``words``, ``counter``, ``multiply_words``, ``words_to_float32`` and ``repeat`` for them.
"""

from __future__ import annotations

from math import pi
from typing import Any, TypeAlias

Array: TypeAlias = Any
Namespace: TypeAlias = Any
Words: TypeAlias = tuple[Array, Array, Array, Array]

ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS_A_STEP = 2  # where a backend runs the steps as a loop, its fusions stay small


def key_schedule(key: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the keys of all rounds."""
    low, high = key
    return [((low + r * _WEYL[0]) % 2**32, (high + r * _WEYL[1]) % 2**32) for r in range(ROUNDS)]


def philox(xp: Namespace, counter: Words, keys: Array) -> Words:
    """Encrypt counters: four arrays of words of one shape.

    Parameters
    ----------
    xp
        Array namespace.
    counter
        Least significant word first.
    keys
        Words of shape (ROUNDS, 2) at least, see `key_schedule`.
    """

    def step(i: Any, words: Words) -> Words:
        for r in range(_ROUNDS_A_STEP):
            key = keys[i * _ROUNDS_A_STEP + r]
            c0, c1, c2, c3 = words
            high0, low0 = xp.multiply_words(_MULTIPLIERS[0], c0)
            high1, low1 = xp.multiply_words(_MULTIPLIERS[1], c2)
            words = high1 ^ c1 ^ key[0], low1, high0 ^ c3 ^ key[1], low0
        return words

    found: Words = xp.repeat(ROUNDS // _ROUNDS_A_STEP, step, counter)
    return found


def normal_pair(xp: Namespace, radial: Array, angular: Array) -> tuple[Array, Array]:
    """Return two independent float32 standard normals for each two words (Box-Muller).

    The radius takes the first word and, as a finer grid for the tail, the low 8 bits of the
    second: u = (k + ½)/2⁴⁰, which reaches 7.5. The second's high 21 bits are an angle in (0, π/4);
    its other three say which octant of the circle it stands for. So the signs are fair and x and
    dy alike to the last bit, whatever float32 makes of π, and sine and cosine need no reduction:
    their polynomials are those of Cephes (sinf.c, cosf.c), right to 1 ulp.
    """
    fine = (xp.words_to_float32(angular & 255, 8) + 0.5) * 2.0**-8
    radius = xp.sqrt(-2.0 * xp.log((xp.words_to_float32(radial) + fine) * 2.0**-32))
    angle = (xp.words_to_float32(angular >> 11, 21) + 0.5) * (pi / 4 * 2.0**-21)
    z = angle * angle
    sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * angle + angle
    cosine = (
        ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z
        - 0.5 * z
        + 1.0
    )
    sine, cosine = radius * sine, radius * cosine
    swapped = (angular & 256) != 0
    first, second = xp.where(swapped, sine, cosine), xp.where(swapped, cosine, sine)
    return (
        xp.where((angular & 512) != 0, -first, first),
        xp.where((angular & 1024) != 0, -second, second),
    )


def uniform(xp: Namespace, words: Array) -> Array:
    """Return float64 numbers (k + ½)/2³² in (0, 1)."""
    return (xp.astype(words, xp.float64) + 0.5) * 2.0**-32

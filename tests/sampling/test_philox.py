"""Random words from a counter and normals from words, by every backend, against slow twins."""

from __future__ import annotations

import itertools
import math
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from accelerator_support import compiled, each_and_numpy, namespace, scope, words
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_philox import MOST, ULP, exact_pair, twin

from bnstats.sampling.counter.philox import ROUNDS, key_schedule, normal_pair, philox, uniform

# Random123 1.14.0, tests/kat_vectors: counter, key, output.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MOST,) * 4, (MOST,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def encrypted(name: str, counters: Any, key: tuple[int, int]) -> np.ndarray:
    """Return words of shape (n, 4) for counters of that shape."""
    with scope(name):
        columns = tuple(words(name, np.asarray(counters)[:, i]) for i in range(4))
        found = _philox(name)(columns, words(name, key_schedule(key)))
        return np.stack([np.asarray(w) for w in found], axis=-1).astype(np.int64)


@cache
def _philox(name: str) -> Any:
    return compiled(name, partial(philox, namespace(name)))


def pair(name: str, radial: Any, angular: Any) -> tuple[np.ndarray, np.ndarray]:
    with scope(name):
        x, dy = normal_pair(namespace(name), words(name, radial), words(name, angular))
        return np.asarray(x), np.asarray(dy)


def random_words(count: int, seed: int, below: int = 2**32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, count)


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_the_twin_gives_the_known_answers(counter, key, output):
    assert twin(counter, key) == output


@each_and_numpy
@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_known_answers(name, counter, key, output):
    assert encrypted(name, [counter], key).tolist() == [list(output)]


WORD = st.one_of(st.integers(0, MOST), st.sampled_from([0, 1, 2**31 - 1, 2**31, MOST]))


@each_and_numpy
@settings(max_examples=15, deadline=None)
@given(
    counters=st.lists(st.tuples(WORD, WORD, WORD, WORD), min_size=4, max_size=4),
    key=st.tuples(WORD, WORD),
)
def test_words_are_those_of_the_twin(name, counters, key):
    expected = [list(twin(c, key)) for c in counters]
    assert encrypted(name, counters, key).tolist() == expected


@each_and_numpy
def test_uniforms_are_the_middles_of_cells(name):
    values = np.array([0, 1, 255, 2**31 - 1, 2**31, MOST - 1, MOST])
    with scope(name):
        found = np.asarray(uniform(namespace(name), words(name, values)))
    assert found.dtype == np.float64
    assert found.tolist() == [(int(v) + 0.5) / 2**32 for v in values]


# --- normals ---------------------------------------------------------------------------------


def assert_near(name: str, radial: Any, angular: Any) -> None:
    """Compare with float64; float32 holds u to 2·2^-24, which moves the radius by 2·2^-24/r."""
    found = pair(name, radial, angular)
    assert all(v.dtype == np.float32 for v in found)
    first, second, radius = exact_pair(radial, angular)
    for v, exact in zip(found, (first, second), strict=True):
        allowed = np.abs(exact) * ULP * (5 + 2 / radius**2)
        assert np.all(np.abs(v - exact) <= allowed), np.max(np.abs(v - exact) / allowed)


@each_and_numpy
def test_normals_are_right_to_a_few_ulp(name):
    count = 20_000
    for bits in (32, 24, 16, 8, 4):  # bulk and tail
        assert_near(name, random_words(count, 1, 2**bits), random_words(count, 2))
    near_one = MOST - random_words(count, 3, 2**16)
    assert_near(name, near_one, random_words(count, 4))


EDGES = [0, 1, 255, 256, 511, 512, 1023, 1024, 2047, 2048, 2**31 - 1, 2**31, MOST - 2047, MOST]


@each_and_numpy
def test_the_extreme_words_give_finite_normals(name):
    radial, angular = np.array(list(itertools.product(EDGES, EDGES))).T
    x, dy = pair(name, radial, angular)
    assert np.all(np.isfinite(x))
    assert np.all(np.isfinite(dy))
    assert_near(name, radial, angular)
    # u = 2^-41, and an angle of 2^-22·π/4
    farthest = math.sqrt(82 * math.log(2))
    assert x[0] == pytest.approx(farthest, rel=4 * ULP)
    assert dy[0] == pytest.approx(farthest * math.pi / 4 / 2**22, rel=4 * ULP)


@each_and_numpy
def test_signs_and_places_are_exactly_symmetric(name):
    radial, angular = random_words(2**14, 5), random_words(2**14, 6)
    x, dy = pair(name, radial, angular)
    mirrored = pair(name, radial, angular ^ 512)
    assert np.array_equal(mirrored[0], -x)
    assert np.array_equal(mirrored[1], dy)
    mirrored = pair(name, radial, angular ^ 1024)
    assert np.array_equal(mirrored[0], x)
    assert np.array_equal(mirrored[1], -dy)
    swapped = pair(name, radial, angular ^ 256)
    assert np.array_equal(np.abs(swapped[0]), np.abs(dy))
    assert np.array_equal(np.abs(swapped[1]), np.abs(x))
    assert np.array_equal(np.sign(swapped[0]), np.sign(x))
    assert np.array_equal(np.sign(swapped[1]), np.sign(dy))


@each_and_numpy
@pytest.mark.parametrize(
    ("bits", "beyond"), [(32, 1.0), (32, 3.0), (16, 5.0), (8, 6.0), (4, 6.5), (4, 7.0)]
)
def test_tails_are_as_heavy_as_they_should_be(name, bits, beyond):
    """|x| > t needs a radius > t: only words below 2^bits, and they 2^(32-bits) times as often."""
    count = 2**20
    assert bits == 32 or math.sqrt(2 * (32 - bits) * math.log(2)) < beyond
    x, dy = pair(name, random_words(count, 7, 2**bits), random_words(count, 8))
    p = math.erfc(beyond / math.sqrt(2)) * 2.0 ** (32 - bits)
    for v in (x, dy, -x, -dy):
        n = np.count_nonzero(v > beyond)
        assert abs(n - count * p / 2) < 4.5 * math.sqrt(count * p / 2 * (1 - p / 2)), (n, p)


def test_the_key_schedule_has_a_key_for_each_round():
    keys = key_schedule((MOST, 1))
    assert len(keys) == ROUNDS
    assert keys[1] == ((MOST + 0x9E3779B9) % 2**32, 0xBB67AE86)

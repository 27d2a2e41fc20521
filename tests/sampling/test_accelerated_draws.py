"""Draws by number: which words a draw is made of, and that all of them are independent."""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import pytest
from accelerator_support import drawn, each, each_and_numpy, namespace, scalar, scope, words
from oracles_philox import MOST, ULP, exact_pair, twin

from bnstats.layers import Law
from bnstats.sampling.counter.draws import draws_per_group, group_draws, round_keys
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse

LAYERS = [
    "sigmoid",  # two draws a call
    "geglu",  # two halves of x
    "rrelu",  # normals, and a uniform with calls of its own
    "max_pool2d:kernel_size=3",
    "linear:init=kaiming_uniform",
]


@pytest.mark.parametrize("spec", LAYERS)
@each
def test_draws_do_not_depend_on_the_backend(name, spec):
    ours, numpys = drawn(name, spec, 64, first=64), drawn("numpy", spec, 64, first=64)
    assert ours.keys() == numpys.keys()
    for k, v in ours.items():
        assert v.shape == (*parse(spec).bound.inputs[k].shape, 64 * draws_per_group_of(spec))
        assert np.allclose(v, numpys[k], rtol=8 * ULP, atol=1e-6)  # near u = 1 the radius is coarse


def draws_per_group_of(spec: str) -> int:
    return draws_per_group(parse(spec).bound)


@each_and_numpy
@pytest.mark.parametrize("first", [0, 2**31, 2**32 - 4, 2**32, 3 * 2**32 + 8, 2**58])
def test_a_draw_is_a_function_of_seed_layer_and_number(name, first):
    """By hand: SHA-256 of seed and spec gives the key and the counter's last word."""
    key = hashlib.sha256(b"11 sigmoid").digest()
    low, high, stream = (int.from_bytes(key[i : i + 4], "little") for i in (0, 4, 8))
    draws = drawn(name, "sigmoid", 4, seed=11, first=first)
    for g in range(4):
        n = first + g
        w = twin((n & MOST, n >> 32, 0, stream), (low, high))
        for place, (radial, angular) in enumerate((w[:2], w[2:])):
            x, dy, _ = exact_pair(radial, angular)
            assert draws["x"][2 * g + place] == pytest.approx(x, rel=1e-5)
            assert draws["dy"][2 * g + place] == pytest.approx(dy, rel=1e-5)


@each_and_numpy
def test_uniforms_have_calls_of_their_own(name):
    """Two scalar normals a draw leave the normals of two draws one call; uniforms the next."""
    key = hashlib.sha256(b"0 rrelu").digest()
    low, high, stream = (int.from_bytes(key[i : i + 4], "little") for i in (0, 4, 8))
    draws = drawn(name, "rrelu", 2)
    (other,) = draws.keys() - {"x", "dy"}
    for g in range(2):
        w = twin((g, 0, 1, stream), (low, high))
        for place in range(2):
            assert draws[other][2 * g + place] == (w[place] + 0.5) / 2**32


@pytest.mark.parametrize("spec", LAYERS)
def test_no_number_is_used_twice(spec):
    found = drawn("numpy", spec, 256)
    numbers = np.concatenate([np.abs(v).ravel() for v in found.values()])
    assert len(np.unique(numbers)) > 0.999 * len(numbers)  # float32 normals meet by chance


@each_and_numpy
def test_draws_follow_the_law(name):
    plain, draws = drawn(name, "rrelu", 8), drawn(name, "rrelu", 8, law=Law(3.0, 0.5, 2.0))
    for k, v in plain.items():
        expected = {"x": 3 + 0.5 * v, "dy": 2 * v}.get(k, v)
        assert draws[k].tolist() == expected.tolist(), k  # powers of two: no rounding but of a sum


@each_and_numpy
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_draws_have_the_type_asked_for(name, dtype):
    for spec in ("sigmoid", "rrelu"):
        sampling = Sampling(law=Law(3.0, 0.5, 2.0), dtype=dtype)
        with scope(name):
            keys = words(name, round_keys(0, spec))
            bound = parse(spec).bound
            places = group_draws(bound, sampling, namespace(name), scalar(name, 0), 8, keys)
            assert {str(np.asarray(v).dtype) for p in places for v in p.values()} == {dtype}


N = 2**20


FUNCTIONS = [lambda v: v, np.square, lambda v: (np.abs(v) > 2) * 1.0, np.abs]


def assert_independent(left: np.ndarray, right: np.ndarray) -> None:
    """Compare correlations of functions of two series with their standard errors."""
    ours, theirs = ([f(series) for f in FUNCTIONS] for series in (left, right))
    between = np.corrcoef(ours, theirs)[: len(FUNCTIONS), len(FUNCTIONS) :]
    assert np.max(np.abs(between)) * math.sqrt(len(left)) < 4.5


def test_normals_have_the_moments_of_normals():
    draws = drawn("numpy", "sigmoid", N // 2)
    for v in draws.values():
        assert len(v) == N
        for k, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (5, 0), (6, 15)):
            variance = math.prod(range(1, 2 * k, 2)) - moment**2  # E[x^2k] = (2k − 1)!!
            assert abs(np.mean(v**k) - moment) < 4.5 * math.sqrt(variance / N), k


def test_the_two_of_a_pair_are_independent():
    draws = drawn("numpy", "sigmoid", N // 2)
    assert_independent(draws["x"], draws["dy"])


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 256])
def test_neighbours_are_independent(lag):
    draws = drawn("numpy", "sigmoid", N // 2)
    for a, b in itertools.product(draws.values(), repeat=2):
        assert_independent(a[lag:], b[:-lag])


@pytest.mark.parametrize(
    ("spec", "seed", "first"), [("tanh", 0, 0), ("sigmoid", 1, 0), ("sigmoid", 0, 2**32)]
)
def test_layers_seeds_and_blocks_are_independent(spec, seed, first):
    one, other = drawn("numpy", "sigmoid", N // 8), drawn("numpy", spec, N // 8, seed, first)
    for a, b in itertools.product(one.values(), other.values()):
        assert_independent(a, b)
        assert np.count_nonzero(a == b) <= 3


def test_elements_of_an_event_are_independent():
    draws = drawn("numpy", "linear:init=kaiming_uniform", 2**14)
    rows = np.concatenate([v.reshape(-1, v.shape[-1]) for v in draws.values()])
    correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.max(np.abs(correlations)) * 2**7 < 6  # of thousands
    assert np.std(correlations) * 2**7 == pytest.approx(1, abs=0.1)


def test_a_call_serves_two_draws_only_where_half_of_it_would_be_wasted():
    assert draws_per_group_of("sigmoid") == draws_per_group_of("rrelu") == 2
    assert draws_per_group_of("geglu") == draws_per_group_of("max_pool2d:kernel_size=3") == 1

"""Streaming moments against two passes in exact rational arithmetic."""

from __future__ import annotations

import math
from dataclasses import fields
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnstats.backends import numpy_backend as xp
from bnstats.statistics.moments import Moments, from_sums, merge, of

FIELDS = [f.name for f in fields(Moments)]


def two_pass(values: np.ndarray, pivot: float) -> dict[str, float]:
    """Return the fields of `Moments` of values (event..., draws), exactly, then rounded once."""
    draws = values.reshape(-1, values.shape[-1])
    k, n = draws.shape
    v = [[Fraction(float(e)) - Fraction(pivot) for e in draw] for draw in draws.T]
    a = [sum(draw) / k for draw in v]
    b = [sum(e * e for e in draw) / k for draw in v]
    mean_a, mean_b = sum(a) / n, sum(b) / n
    return {
        "count": float(n),
        "mean_a": float(mean_a),
        "mean_b": float(mean_b),
        "aa": float(sum((x - mean_a) ** 2 for x in a)),
        "ab": float(sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))),
        "bb": float(sum((y - mean_b) ** 2 for y in b)),
    }


def assert_close(m: Moments, expected: dict[str, float], rel: float = 1e-12) -> None:
    scale_a, scale_b = math.sqrt(expected["aa"]), math.sqrt(expected["bb"])
    scales = {"ab": scale_a * scale_b, "mean_a": math.sqrt(expected["mean_b"])}
    for name, value in expected.items():
        scale = max(abs(value), scales.get(name, 0.0))
        assert getattr(m, name) == pytest.approx(value, rel=rel, abs=rel * scale), name


@pytest.mark.parametrize("shape", [(1,), (7,), (400,), (3, 200), (2, 3, 100), (1, 50)])
@pytest.mark.parametrize("pivot", [0.0, 0.75, -2.0])
def test_of_equals_two_exact_passes(shape, pivot):
    values = np.random.default_rng(0).gamma(2.0, size=shape)
    m = of(xp, values, pivot)
    assert m.pivot == pivot
    assert m.nonfinite == 0
    assert_close(m, two_pass(values, pivot))


@pytest.mark.parametrize(("mean", "sigma"), [(1e6, 1e-3), (-1e8, 1.0), (0.5, 1e-9)])
def test_a_pivot_near_the_mean_keeps_the_digits(mean, sigma):
    values = mean + sigma * np.random.default_rng(1).normal(size=500)
    m = of(xp, values, mean)
    expected = two_pass(values, mean)
    assert_close(m, expected, rel=1e-11)
    assert m.mean_b - m.mean_a**2 == pytest.approx(expected["aa"] / 500, rel=1e-11)


@pytest.mark.parametrize("shape", [(1000,), (4, 250)])
@pytest.mark.parametrize("cuts", [(1, 2, 3), (500,), (10, 20, 200), tuple(range(0, 240, 7))])
def test_merged_pieces_equal_the_whole(shape, cuts):
    values = np.random.default_rng(2).normal(3.0, 2.0, size=shape)
    cuts = tuple(c for c in cuts if c < shape[-1])
    pieces = [of(xp, piece, 2.5) for piece in np.split(values, cuts, axis=-1) if piece.size]
    expected = two_pass(values, 2.5)
    assert_close(reduce(merge, pieces), expected)
    assert_close(reduce(lambda right, left: merge(left, right), pieces[::-1]), expected)


def test_merge_is_associative_and_commutative_up_to_rounding():
    rng = np.random.default_rng(3)
    a, b, c = (of(xp, rng.normal(i, 1 + i, size=40 * 5**i), 1.0) for i in range(3))
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    swapped = merge(c, merge(b, a))
    for name in FIELDS:
        assert getattr(right, name) == pytest.approx(getattr(left, name), rel=1e-12)
        assert getattr(swapped, name) == pytest.approx(getattr(left, name), rel=1e-12)


def test_nothing_is_the_neutral_element():
    m = of(xp, np.array([1.0, 2.0, 4.0]), 0.5)
    assert merge(Moments(), m) == m
    assert merge(m, Moments()) == m
    assert merge(Moments(nonfinite=2.0), m).nonfinite == 2
    assert merge(Moments(nonfinite=2.0), m).pivot == 0.5
    assert merge(m, Moments(nonfinite=3.0)) == merge(Moments(nonfinite=3.0), m)


def test_many_draws_do_not_overflow_a_product_of_counts():
    big = Moments(count=1e13, mean_a=1.0, mean_b=2.0, aa=1e13, ab=0.0, bb=3e13)
    other = Moments(count=1e13, mean_a=-1.0, mean_b=4.0, aa=1e13, ab=0.0, bb=3e13)
    m = merge(big, other)
    assert (m.count, m.mean_a, m.mean_b) == (2e13, 0.0, 3.0)
    assert (m.aa, m.ab, m.bb) == (4e13, -2e13, 8e13)  # + n/2·(da², da·db, db²)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e200])
@pytest.mark.parametrize("shape", [(6,), (2, 6)])
def test_draws_that_are_not_finite_are_counted_and_left_out(bad, shape):
    values = np.random.default_rng(4).normal(size=shape)
    spoilt = values.copy()
    spoilt[..., 1] = bad
    spoilt.reshape(-1, 6)[0, 4] = bad  # one element spoils its whole draw
    with np.errstate(all="ignore"):
        m = of(xp, spoilt, 0.25)
    assert m.nonfinite == 2
    assert_close(m, two_pass(np.delete(values, [1, 4], axis=-1), 0.25))


def test_only_draws_that_are_not_finite():
    with np.errstate(all="ignore"):
        m = of(xp, np.full((2, 3), math.nan), 0.25)
    assert m == Moments(nonfinite=3.0, pivot=0.25)


def test_sums_that_overflow_although_every_draw_is_finite():
    values = np.full(1000, 1e77)  # 1e308 each in the fourth power
    with np.errstate(all="ignore"):
        m = of(xp, values, 0.0)
    assert m.nonfinite == 0
    assert m.count == 1000
    assert m.mean_a == pytest.approx(1e77)


FLOAT32_VALUES = {
    "normal": (0.0, 1.0),
    "positive": (3.0, 1.0),
    "far from the pivot": (1e4, 1.0),
    "constant": (0.7, 0.0),
    "tiny": (0.0, 1e-15),
    "huge": (0.0, 1e15),
}


@pytest.mark.parametrize("shape", [(5000,), (3, 5000), (513,), (7,)])
@pytest.mark.parametrize(("mean", "sigma"), FLOAT32_VALUES.values(), ids=FLOAT32_VALUES)
def test_float32_values_lose_nothing_that_matters(mean, sigma, shape):
    """Sums of float32 products err by rounding; where that would not average out, by nothing."""
    values = np.random.default_rng(5).normal(mean, sigma, shape).astype(np.float32)
    with np.errstate(all="ignore"):  # as in a run
        single, double = of(xp, values, 0.5), of(xp, values.astype(np.float64), 0.5)
    assert (single.count, single.nonfinite) == (double.count, double.nonfinite)
    scale = math.sqrt(double.mean_b)
    assert single.mean_a == pytest.approx(double.mean_a, abs=3e-7 * scale)
    assert single.mean_b == pytest.approx(double.mean_b, rel=3e-7)
    for name in ("aa", "ab", "bb"):
        assert getattr(single, name) == pytest.approx(getattr(double, name), rel=1e-4)


def test_float32_rounding_does_not_add_up():
    generator = np.random.default_rng(6)
    values = 1 / (1 + np.exp(-generator.standard_normal(2**22, dtype=np.float32)))
    assert values.dtype == np.float32
    single, double = of(xp, values, 0.5), of(xp, values.astype(np.float64), 0.5)
    assert single.mean_b == pytest.approx(double.mean_b, rel=1e-9)
    assert single.bb == pytest.approx(double.bb, rel=1e-8)


def test_a_float32_infinity_is_counted():
    values = np.array([1.0, np.inf, 2.0, -3.0, np.nan, 1e30], np.float32)
    with np.errstate(all="ignore"):
        m = of(xp, values, 0.0)
    assert (m.count, m.nonfinite) == (4, 2)
    assert m.mean_b == pytest.approx(float(np.float32(1e30)) ** 2 / 4)


def test_values_are_not_modified():
    values = np.random.default_rng(6).normal(size=(2, 50))
    kept = values.copy()
    of(xp, values, 0.5)
    np.testing.assert_array_equal(values, kept)


def test_constant_values_have_no_spread():
    for shape in [(100,), (3, 100)]:
        m = of(xp, np.full(shape, 0.1), 0.0)
        assert m.aa == pytest.approx(0, abs=1e-15)
        assert m.bb == pytest.approx(0, abs=1e-17)
        assert min(m.aa, m.bb) >= 0


def raw_sums(values: np.ndarray, pivot: float) -> list[float]:
    """Return n and the sums of a, a², ab, b and b², each rounded once."""
    draws = values.reshape(-1, values.shape[-1])
    v = [[Fraction(float(e)) - Fraction(pivot) for e in draw] for draw in draws.T]
    a = [sum(draw) / len(draw) for draw in v]
    b = [sum(e * e for e in draw) / len(draw) for draw in v]
    pairs = list(zip(a, b, strict=True))
    terms = ([p for p, _ in pairs], [p * p for p, _ in pairs], [p * q for p, q in pairs],
             [q for _, q in pairs], [q * q for _, q in pairs])  # fmt: skip
    return [float(len(a)), *(float(sum(t)) for t in terms)]


@pytest.mark.parametrize("shape", [(40,), (3, 40)])
def test_raw_sums_tell_the_moments(shape):
    values = np.random.default_rng(8).gamma(2.0, size=shape)
    m = from_sums(40.0, raw_sums(values, 1.5)[1:], pivot=1.5, nonfinite=2.0)
    assert (m.pivot, m.nonfinite, m.points) == (1.5, 2.0, 40.0)
    assert m.sum_bb == raw_sums(values, 1.5)[-1]
    assert_close(m, two_pass(values, 1.5))


def test_raw_sums_of_constants_have_no_spread():
    for value in (0.1, -3.7):
        m = from_sums(1001.0, raw_sums(np.full(1001, value), 0.0)[1:], pivot=0.0)
        assert (m.aa, m.ab, m.bb) == (0.0, 0.0, 0.0)
        assert m.mean_a == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("spread", [1e-4, 1e-7, 1e-9])
@pytest.mark.parametrize("shape", [(40,), (3, 40)])
def test_draws_that_hardly_vary_keep_their_variances(shape, spread):
    """As the mean square of a wide norm's output."""
    values = 1.3 + spread * np.random.default_rng(8).normal(size=shape)
    assert_close(of(xp, values, 0.0), two_pass(values, 0.0), rel=1e-5)


@pytest.mark.parametrize("shape", [(40,), (3, 40)])
def test_sums_about_the_means_tell_the_moments(shape):
    values = np.random.default_rng(8).gamma(2.0, size=shape)
    draws = values.reshape(-1, values.shape[-1]) - 1.5
    about = 0.625, 3.5
    a, b = draws.mean(axis=0) - about[0], (draws**2).mean(axis=0) - about[1]
    sums = (a.sum(), (a * a).sum(), (a * b).sum(), b.sum(), (b * b).sum())
    m = from_sums(40.0, [*map(float, sums)], pivot=1.5, about=about)
    assert m.sum_bb == pytest.approx(raw_sums(values, 1.5)[-1], rel=1e-13)
    assert_close(m, two_pass(values, 1.5))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rounding_is_no_spread(dtype):
    """Of means that are the same in every draw up to rounding, as those of a softmax."""
    e = np.exp(np.random.default_rng(8).normal(size=(10, 1000))).astype(dtype)
    m = of(xp, e / e.sum(axis=0), 0.0)
    assert (m.aa, m.ab) == (0.0, 0.0)
    assert m.bb > 0
    assert m.mean_a == pytest.approx(0.1, rel=1e-15 if dtype == "float64" else 1e-7)


def test_sums_of_no_draws():
    nothing = from_sums(0.0, [0.0] * 5, pivot=0.5, nonfinite=7.0)
    assert nothing == Moments(nonfinite=7.0, pivot=0.5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [1, 511, 512, 2048, 3 * 2048 + 7])
def test_inner_products_of_several_pairs_in_one_call(n, dtype):
    a, b = (np.random.default_rng(k).normal(0.5, 1, n).astype(dtype) for k in (9, 10))
    terms = {(0, 1): a.astype(float) * b, (1, 1): b.astype(float) ** 2, (0, None): a.astype(float)}
    vectors = {0: a, 1: b, None: None}
    found = xp.sums_of_products(*((vectors[i], vectors[j]) for i, j in terms))
    rel = 1e-13 if dtype == "float64" else 1e-6
    for sums, products in zip(found, terms.values(), strict=True):
        assert type(sums) is float
        assert sums == pytest.approx(math.fsum(products), abs=rel * math.fsum(abs(products)))


numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30)


@settings(deadline=None)
@given(left=numbers, right=numbers, pivot=st.floats(-10, 10, width=16))
def test_merge_equals_two_exact_passes_on_any_numbers(left, right, pivot):
    merged = merge(of(xp, np.array(left), pivot), of(xp, np.array(right), pivot))
    expected = two_pass(np.array(left + right), pivot)
    size = max(abs(v - pivot) for v in left + right)
    for name, power in {"mean_a": 1, "mean_b": 2, "aa": 2, "ab": 3, "bb": 4}.items():
        tolerance = 1e-12 * size**power * (len(left + right) if power > 1 else 1) + 1e-300
        assert abs(getattr(merged, name) - expected[name]) <= tolerance, name
    assert merged.count == len(left + right)
    assert merged.aa >= 0
    assert merged.bb >= 0


@settings(deadline=None)
@given(values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), shift=st.integers(-50, 50))
def test_the_variance_does_not_depend_on_the_pivot(values, shift):
    near, far = (of(xp, np.array(values), p) for p in (0.0, float(shift)))
    var_near, var_far = (m.mean_b - m.mean_a**2 for m in (near, far))
    assert var_near == pytest.approx(var_far, abs=1e-11 * (1 + near.mean_b + shift**2))
    assert near.mean_a == pytest.approx(far.mean_a + shift, abs=1e-11)


@pytest.mark.parametrize("middle", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("noise", [1e-3, 1e-2, 1.0])
def test_float32_keeps_the_digits_of_what_hardly_varies(middle: float, noise: float) -> None:
    """Sums in float32 about zero lose them where y, or its square, is nearly constant."""
    rng = np.random.default_rng(3)
    for sign in (1.0, rng.choice([-1.0, 1.0], 5000)):
        y = (sign * (middle + noise * rng.standard_normal(5000))).astype(np.float32)
        single, double = of(xp, y, 0.0), of(xp, y.astype(np.float64), 0.0)
        for field in ("mean_b", "aa", "bb"):
            near = pytest.approx(getattr(double, field), rel=2e-4)
            assert getattr(single, field) == near, (field, middle)

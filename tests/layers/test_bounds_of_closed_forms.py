"""Closed forms within their bounds: exponentials, sines, likelihoods, linear maps and lengths."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from layer_support import through
from mpmath import mp, mpf
from scipy import stats

from bnstats.api import exact
from bnstats.layers import CONSTANT, STANDARD, UNKNOWN, ExactMoments, Known, Law
from bnstats.layers._chi import chi
from bnstats.layers._maps import Along, linear_map
from bnstats.layers.elementary import _exp, _lognormal, _of_sine
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def moments_of(spec: str, law: Law = STANDARD) -> ExactMoments:
    return parse(spec).bound.moments(law, Expectation(law))


def holds(known: Known, true: mpf) -> bool:
    """Tell whether the bound holds, and is one that a reader learns from."""
    return bool(abs(known.value - true) <= known.error <= 1e-12 * abs(true))


# --- elementary functions -------------------------------------------------------------------------


def test_an_exponential_is_infinite_where_a_float_ends() -> None:
    """e^709.78 is the largest."""
    assert _exp(708.5) == math.exp(708.5)
    assert _exp(709.9) == math.inf
    assert _lognormal(Law(0.0, math.sqrt(709.9), 1.0)).var_y.value == math.inf


@pytest.mark.parametrize("std", [1.0, 13.0, 14.0, 20.0, 26.0, 26.6, 27.0, 37.0])
def test_a_moment_of_an_exponential_is_known_where_others_are_beyond_floats(std: float) -> None:
    found = exact("exponential", law=Law(0.5, std, 2.0)).quantities
    with mp.workdps(60):
        m, s2 = mpf(0.5), mpf(std) ** 2
        true = {"mean_y": mp.exp(m + s2 / 2), "ms_y": mp.exp(2 * m + 2 * s2)}
        if true["ms_y"] < 1e308:
            true["std_y"] = mp.sqrt(true["ms_y"] - true["mean_y"] ** 2)
        within = {name for name, value in true.items() if value < 1e308}
        assert within == found.keys() & {"mean_y", "ms_y", "std_y"}
        assert all(abs(found[name].value - true[name]) <= found[name].error for name in within)


def test_a_variance_of_an_exponential_far_below_zero_has_its_digits() -> None:
    """A factor overflows that the other one makes small."""
    with mp.workdps(60):
        s2 = mpf(math.sqrt(708.5)) ** 2
        true = mp.expm1(s2) * mp.exp(-1000 + s2)
        known = _lognormal(Law(-500.0, math.sqrt(708.5), 1.0)).var_y
        assert abs(known.value - true) <= known.error < 1e-11 * true


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_means_of_waves_lie_within_their_bounds(name: str) -> None:
    with mp.workdps(40):
        for mean in (0.75, 1.3, 40.1):
            for std in (0.3, 1.7, 5.1, 9.7, 20.3, 30.9):
                true = getattr(mp, name)(mpf(mean)) * mp.exp(-(mpf(std) ** 2) / 2)
                at_mean = getattr(math, name)(mean)
                assert holds(_of_sine(Law(mean, std, 1.0), at_mean, 0.0).mean_y, true), (mean, std)


def test_likelihoods_of_a_given_variance_lie_within_their_bounds() -> None:
    """½·(log var + (x_std² + 1)/var)."""
    with mp.workdps(40):
        for var in (0.3, 7.0, 1e5, 3e6, 7e7, 1e9):
            true = (mp.log(mpf(var)) + (mpf(1.5) ** 2 + 1) / mpf(var)) / 2
            assert holds(
                moments_of(f"gaussian_nll_loss:n=1,var={var!r}", Law(0.0, 1.5, 1.0)).mean_y, true
            )


def test_a_logit_of_zero_has_the_loss_of_a_coin() -> None:
    bound = parse("binary_cross_entropy_with_logits:n=2").bound
    draws = {"x": np.zeros((2, 1)), "target": np.array([[0.25], [0.75]]), "dy": np.ones((1, 1))}
    y, dx = through(bound, draws)
    assert y[0, 0] == pytest.approx(math.log(2), rel=1e-15)
    assert sorted(dx[:, 0]) == [-0.25, 0.25]


# --- linear maps ----------------------------------------------------------------------------------


def of_map(sides: list[Along], law: Law = STANDARD, outside: float = 0.0) -> ExactMoments:
    return linear_map(sides, outside).moments(law, Expectation(law))


def test_a_mean_square_of_independent_numbers_varies_as_a_chi_square() -> None:
    """Var[Σ x²/n] is 2·σ⁴/n."""
    rows = tuple({i: 1.0} for i in range(4))
    found = of_map([Along(4, rows)], Law(0.0, 3.0, 2.0))
    assert found.var_ms_y.value == 2 * 81 / 4
    assert found.var_ms_dx.value == 2 * 16 / 4
    assert of_map([Along(4, rows)], Law(0.5, 3.0, 2.0)).var_ms_y is UNKNOWN


@pytest.mark.parametrize("outside", [0.1, 1 / 3, -0.7])
def test_the_mean_of_a_padded_map_lies_within_its_bound(outside: float) -> None:
    for size in (3, 5, 7, 11):
        rows = ({}, *({i: 1.0} for i in range(size)), {}, {})
        mean = of_map([Along(size, rows)], outside=outside).mean_y
        true = Fraction(outside) * Fraction(3, size + 3)
        assert abs(Fraction(mean.value) - true) <= Fraction(mean.error)
        assert mean.error < 1e-14


def test_differences_have_gradients_that_sum_to_nothing() -> None:
    found = of_map([Along(2, ({0: 1.0, 1: -1.0}, {0: -0.5, 1: 0.5}))])
    assert found.mean_dx == Known(0.0, 0.0, CONSTANT)
    assert of_map([Along(2, ({0: 1.0, 1: 1.0},))]).mean_dx is UNKNOWN


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.0, -1.0])
def test_weights_that_are_all_alike_multiply(weight: float) -> None:
    rows = ({0: weight, 1: weight}, {1: weight, 2: weight})
    bound = linear_map([Along(3, rows)])
    y, dx = through(bound, {"x": np.array([[1.0], [2.0], [4.0]]), "dy": np.array([[1.0], [3.0]])})
    assert y[:, 0].tolist() == [3 * weight, 6 * weight]
    assert dx[:, 0].tolist() == [weight, 4 * weight, 3 * weight]


# --- lengths --------------------------------------------------------------------------------------


def test_the_length_of_three_numbers_has_a_fourth_moment() -> None:
    """By scipy's chi law of three degrees; in units of σ."""
    found = moments_of("lp_pool1d:norm_type=2,kernel_size=3,input_size=3", Law(0.0, 2.0, 1.0))
    _, var, _, excess = (float(v) for v in stats.chi(3).stats("mvsk"))
    assert found.var_y.value == pytest.approx(4 * var, rel=1e-12)
    assert found.m4_y.value == pytest.approx(16 * (excess + 3) * var**2, rel=1e-9)
    several = moments_of("lp_pool1d:norm_type=2,kernel_size=3,input_size=6", Law(0.0, 2.0, 1.0))
    assert several.m4_y is UNKNOWN


@pytest.mark.parametrize(
    ("degrees", "noncentrality", "says"),
    [
        (20_000, 0.0, True),
        (20_001, 0.0, False),
        (1, 20_000.0, False),
        (1, 11_000.0, True),
        # twice the mode and what lies within 14·√rate + 40 of it: 18,000 + 2·(14·94.9 + 40)
        (1, 18_000.0, False),
        (1, 16_500.0, True),
    ],
)
def test_lengths_of_very_many_numbers_are_left_alone(
    degrees: int, noncentrality: float, says: bool
) -> None:
    assert chi(degrees, noncentrality).mean.is_finite == says


def test_lengths_about_a_centre_are_rices() -> None:
    """Of two numbers, by scipy; of one, a folded normal law."""
    rice, folded = stats.rice(1.5), stats.foldnorm(1.5)
    for law, degrees in ((rice, 2), (folded, 1)):
        found = chi(degrees, 1.5**2)
        mean, var = (float(v) for v in law.stats("mv"))
        assert found.mean.value == pytest.approx(mean, rel=1e-12)
        assert found.var.value == pytest.approx(var, rel=1e-11)
    assert chi(3) == chi(3, 0.0)


def test_the_distance_of_near_numbers_feels_what_torch_adds() -> None:
    """|d| of d ~ N(1e-6, σ²), a folded normal law: σ·√(2/π)·e^(−½·μ²/σ²) + μ·erf(μ/(σ·√2))."""
    known = moments_of("pairwise_distance:n=1", Law(5.0, math.sqrt(2) * 1e-6, 1.0))
    mean = 2e-6 * math.sqrt(2 / math.pi) * math.exp(-1 / 8) + 1e-6 * math.erf(0.5 / math.sqrt(2))
    assert known.mean_y.value == pytest.approx(mean, rel=1e-13, abs=0)
    assert known.var_y.value == pytest.approx(1e-12 + 4e-12 - mean**2, rel=1e-12, abs=0)

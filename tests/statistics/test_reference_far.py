"""Exact values where a breakpoint lies far out, or where a variance is all rounding."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from oracles import normal_points

from bnstats.api import compute, exact
from bnstats.layers import STANDARD, Law
from bnstats.specs.spec import parse
from bnstats.statistics.exact import Exact, exact_values
from bnstats.statistics.quadrature import Expectation


def clip(x: Any) -> Any:
    return min(max(x, mpf(-1)), mpf(1))


FAR = [
    # spec, x_mean, f, f′, breakpoints
    *(
        ("relu", mean, lambda x: max(x, mpf(0)), lambda x: mpf(x > 0), (0,))
        for mean in (-13.0, -13.9, -14.0, -14.1, -20.0, -30.0, -37.0)
    ),
    (
        "threshold:threshold=16,value=0",
        0.0,
        lambda x: x * (x > 16),
        lambda x: mpf(x > 16),
        (16,),
    ),
    ("hardtanh", 20.0, clip, lambda x: mpf(abs(x) < 1), (-1, 1)),
    ("hardtanh", -15.5, clip, lambda x: mpf(abs(x) < 1), (-1, 1)),
    (
        "leaky_relu:negative_slope=1e-30",
        -14.5,
        lambda x: max(x, mpf(0)) + mpf(1e-30) * min(x, mpf(0)),
        lambda x: mpf(1) if x > 0 else mpf(1e-30),
        (0,),
    ),
    (
        "softshrink:lambd=18",
        1.0,
        lambda x: mp.sign(x) * max(abs(x) - 18, mpf(0)),
        lambda x: mpf(abs(x) > 18),
        (-18, 18),
    ),
    (
        "hardshrink:lambd=25",
        0.0,
        lambda x: x * (abs(x) > 25),
        lambda x: mpf(abs(x) > 25),
        (-25, 25),
    ),
]
IDS = [f"{spec} at {mean:g}" for spec, mean, *_ in FAR]


def check(known: Exact, true: Any, rounding: float = 0.0) -> None:
    """Assert that the truth is within the bound, and that the bound is not an empty promise."""
    assert abs(mpf(known.value) - true) <= known.error
    assert known.error <= 1e-5 * abs(true) + rounding


@pytest.mark.parametrize(("spec", "mean", "f", "slope", "breakpoints"), FAR, ids=IDS)
def test_a_kink_in_the_tails_is_honoured(spec, mean, f, slope, breakpoints):
    values = exact(spec, law=Law(mean)).quantities
    points = normal_points(tuple(k - mean for k in breakpoints), reach=45)
    with mp.workdps(25):
        of = [(w, f(mean + z), slope(mean + z)) for z, w in points]
        first, second = (mp.fsum(w * y**k for w, y, _ in of) for k in (1, 2))
        size, power = mp.fsum(w * abs(y) for w, y, _ in of), mp.fsum(w * d**2 for w, _, d in of)
        check(values["mean_y"], first, 1e-12 * float(size))
        check(values["var_y"], second - first**2, 1e-29 * float(first**2))
        check(values["std_y"], mp.sqrt(second - first**2), 1e-14 * float(abs(first)))
        check(values["var_dx"], power)
        check(values["std_dx"], mp.sqrt(power))
    assert float(power) > 0


@pytest.mark.parametrize("mean", [-38.0, -38.4, -45.0, -1e4])
def test_a_kink_where_float64_has_no_probability_left_is_in_the_bound(mean):
    values = exact("relu", law=Law(mean)).quantities
    for name in ("mean_y", "var_y", "var_dx"):
        assert values[name].value == 0
        assert 0 < values[name].error < 1e-300, name  # true: at most 3e-316
    assert 0 < values["std_dx"].error < 1e-150


def test_a_large_step_beyond_all_probability_is_bounded_by_its_size():
    known = Expectation(STANDARD)(lambda xp, x: 1e250 * (x > 39), breakpoints=(39.0,))
    with mp.workdps(30):
        assert mpf(1e250) * mp.ncdf(-39) <= known.error


@pytest.mark.parametrize("at", [14.2, 16.3, 30.1])
def test_a_smooth_step_in_the_tails_is_found(at):
    """Within ±14 it underflows to nothing."""
    known = Expectation(STANDARD)(lambda xp, x: xp.exp(-((8 * (x - at)) ** 2)))
    with mp.workdps(30):
        # ∫ e^-64(x − t)² φ(x) dx is a normal density of variance 1 + 1/128 at t
        true = mp.sqrt(mp.pi) / 8 * mp.npdf(at, 0, mp.sqrt(1 + mpf(1) / 128))
        assert abs(mpf(known.value) - true) <= known.error < 1e-10 * true


def test_growth_that_begins_in_the_tails_is_in_the_value():
    """e^(x − 10) of 24 standard deviations and more: the largest part lies at 24."""
    known = Expectation(Law())(lambda xp, x: xp.exp(24 * (x - 14)) * (x > 14), breakpoints=(14.0,))
    with mp.workdps(30):
        true = mp.exp(-336 + 288) * mp.ncdf(10)
        assert abs(mpf(known.value) - true) <= known.error < 1e-10 * true


def test_what_is_zero_for_every_x_is_so_but_for_underflow():
    known = Expectation(STANDARD)(lambda xp, x: 0.0 * x)
    assert known.value == 0
    assert 0 < known.error < 1e-300


@pytest.mark.parametrize(("spec", "mean"), [("hardtanh", 20.0), ("sigmoid", 45.0), ("tanh", 90.0)])
def test_a_variance_below_rounding_is_zero_within_rounding_and_no_alarm(spec, mean):
    known = exact_values(parse(spec).bound, Law(mean))["std_y"]
    assert known.value == 0
    assert 0 < known.error < 1e-14
    found = compute(spec, samples=1000, law=Law(mean)).std_y
    assert found.value <= known.error
    assert found.z is None


def test_what_is_zero_and_varies_by_more_than_its_bound_alarms():
    bound = parse("relu").bound

    def wrong(law: Law, expect: Any) -> Any:
        return replace(bound.moments(law, expect), var_y=expect(lambda xp, x: 0 * x))

    spec = replace(parse("relu"), bound=replace(bound, moments=wrong))
    assert compute(spec, samples=1000).std_y.z == math.inf


@pytest.mark.parametrize("mean", [-6.0, -14.0, -30.0])
def test_the_spread_of_what_is_rare_is_known(mean):
    """σ of dx² is √(3p − p²), whatever p is: relative to it, draws show next to nothing."""
    p = float(mp.ncdf(mean))
    known = exact("relu", law=Law(mean)).std_dx
    assert known.asymptotic_std == pytest.approx(
        np.sqrt(3 * p - p * p) / (2 * np.sqrt(p)), rel=1e-10
    )

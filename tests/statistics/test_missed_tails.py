"""What a sample has missed of the tails: its coverage, its effective draws and its half-widths."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest

from bnstats.backends import numpy_backend as xp
from bnstats.statistics.estimate import Estimate, Estimator
from bnstats.statistics.exact import Exact
from bnstats.statistics.moments import Moments, Tally, as_unit, merge, of
from bnstats.statistics.tails import Tail

POINTS = 1024.0


def replicates(kurtosis: float) -> Moments:
    """Return the moments of dx of mean 0 and variance 1 over 8 replicates, as Sobol' points are."""
    return Moments(8.0, POINTS, mean_b=1.0, aa=0.1, bb=0.1, sum_bb=kurtosis * POINTS)


def half_width(values: Any, exact: Exact | None = None) -> float:
    found = {} if exact is None else {"std_y": exact}
    return Estimator(found).half_width(Tally(y=of(xp, values, 0.0)))


def test_the_tails_are_missed_below_seven_tenths_of_the_error() -> None:
    def found(coverage: float) -> Estimate:
        return Estimate(1.0, 0.1, (0.8, 1.2), 1e3, tail_coverage=coverage)

    assert found(math.nextafter(0.7, 0)).missed_tails
    assert not found(math.nextafter(0.7, 0)).reliable
    for coverage in (0.7, 1.0, 3.0):
        assert not found(coverage).missed_tails
        assert found(coverage).reliable
    assert Estimate(1.0, 0.1, (0.8, 1.2), 1e3).tail_coverage == 1.0


@pytest.mark.parametrize(("name", "power"), [("std_dx", 1), ("gain_dx", 1), ("var_dx", 2)])
def test_of_replicates_the_fourth_moments_are_compared(name: str, power: int) -> None:
    """Of kurtosis 3 the relative error of σ̂ is 1/√(2n); theory's is 3/√n here, of a value of 2."""
    exact = {name: Exact(2.0, 0.0, "test", 6.0)}
    found = Estimator(exact).estimates(Tally(dx=replicates(3.0)))[name]
    assert found.tail_coverage == pytest.approx(power / math.sqrt(2) / 3, rel=1e-12)


@pytest.mark.parametrize("name", ["mean_dx", "std_y", "mean_y"])
def test_of_replicates_only_the_spread_of_dx_is_compared(name: str) -> None:
    tally = Tally(y=replicates(3.0), dx=replicates(3.0))
    found = Estimator({name: Exact(2.0, 0.0, "test", 6.0)}).estimates(tally)[name]
    assert found.tail_coverage == 1.0


def test_a_single_effective_draw_is_compared_and_none_is_not() -> None:
    exact = {"std_dx": Exact(2.0, 0.0, "test", 6.0)}
    one, none = (
        Estimator(exact).estimates(Tally(dx=replicates(k)))["std_dx"] for k in (POINTS, 0.0)
    )
    assert (one.n_eff, none.n_eff) == (1.0, 0.0)
    seen = math.sqrt(1 - 1 / POINTS) / 2  # a relative error of √((κ − 1)/n)/2
    assert one.tail_coverage == pytest.approx(seen / (3 / math.sqrt(POINTS)), rel=1e-12)
    assert none.tail_coverage == 1.0


def test_theory_allows_the_draws_that_its_relative_error_does() -> None:
    """4/√n of a value of 2 is a relative error of 2/√n: n/17 effective draws."""
    found = Estimator({"std_y": Exact(2.0, 0.0, "test", 4.0)}).most_effective("y", 1700)
    assert found == pytest.approx(100.0, rel=1e-12)
    nothing_varies = {"std_y": Exact(0.0, 0.0, "test", 4.0)}
    assert Estimator(nothing_varies).most_effective("y", 1700) == math.inf


@pytest.mark.parametrize(
    ("shape", "of_mean", "of_spread"),
    [(0.3, True, True), (0.5, True, False), (0.8, False, False)],
)
def test_a_mean_needs_fewer_moments_of_the_tail_than_a_spread(
    shape: float, of_mean: bool, of_spread: bool
) -> None:
    """Of 10⁴ draws a shape of less than 3/4 is enough: of c for a mean, of c² for a spread."""
    estimator = Estimator(tails={"y": Tail(shape, 0.5)})
    assert estimator.most_effective("y", 1e4) == (math.inf if of_spread else 0.0)
    assert estimator.most_effective("y", 1e4, order=1) == (math.inf if of_mean else 0.0)
    values = np.random.default_rng(0).normal(size=10_000)
    found = estimator.estimates(Tally(y=of(xp, values, 0.0)))
    for name, e in found.items():
        assert (e.n_eff > 3000) == (of_mean if name == "mean_y" else of_spread), name


def test_a_half_width_is_no_smaller_than_theory_allows() -> None:
    values = np.random.default_rng(5).normal(0.0, 2.0, size=10_000)
    sampled = half_width(values)
    assert sampled == pytest.approx(1.96 / math.sqrt(2 * 10_000), rel=0.05)
    # σ = 2 with √n times its error 1.8, where that of normal draws is √2
    known = half_width(values, Exact(2.0, 0.0, "test", 1.8))
    assert known == pytest.approx(1.959963984540054 * 1.8 / 2 / 100, rel=1e-12)
    assert half_width(values, Exact(2.0, 0.0, "test", 1.2)) == sampled
    assert half_width(values, Exact(2.0, 0.0, "test")) == sampled


def test_a_half_width_of_replicates_is_the_sampled_one() -> None:
    pieces = np.split(np.random.default_rng(6).normal(0.0, 2.0, size=8000), 8)
    tally = Tally(y=reduce(merge, (as_unit(of(xp, p, 0.0)) for p in pieces)))
    known = Estimator({"std_y": Exact(2.0, 0.0, "test", 1.8)})
    assert known.half_width(tally) == Estimator().half_width(tally) < 0.1

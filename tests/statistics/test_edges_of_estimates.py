"""Estimates at the edges: of rounding, of no spread, of two draws, and of what is known to be 0."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import mpmath
import numpy as np
import pytest

from bnstats.backends import numpy_backend as xp
from bnstats.layers import CONSTANT
from bnstats.statistics.estimate import Crossing, Estimate, Estimator, as_normal
from bnstats.statistics.exact import Exact
from bnstats.statistics.moments import Moments, Tally, of
from bnstats.statistics.quantities import Direction

CROSSINGS: dict[Direction, tuple[Crossing, ...]] = {"y": (Crossing(1.0, 3.0, 0.25),)}


def estimate_of(name: str, m: Moments, estimator: Estimator | None = None) -> Estimate:
    return (estimator or Estimator()).estimates(Tally(y=m))[name]


def test_an_estimate_and_what_makes_it_do_not_change() -> None:
    for what in (Estimate(1.0, 0.1, None, 1e3), Estimator()):
        with pytest.raises(FrozenInstanceError):
            what.exact = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "stderr", "exact", "constant"),
    [
        (0.5, None, Exact(0.5, 0.0, ""), True),
        (0.5, None, Exact(0.25, 0.25, ""), True),
        (0.5, None, Exact(0.25, 0.125, ""), False),
        (0.5, None, Exact(-0.5, 0.25, ""), False),
        (0.5, 0.1, Exact(0.5, 0.0, ""), False),
        (0.5, None, None, False),
    ],
)
def test_constant_is_what_varies_in_no_draw_and_is_what_theory_says(
    value: float, stderr: float | None, exact: Exact | None, constant: bool
) -> None:
    assert Estimate(value, stderr, None, 1e3, exact).is_constant is constant


def test_an_interval_is_of_95_percent_unless_told() -> None:
    found = estimate_of("mean_y", of(xp, np.array([1.0, 2.0, 4.0]), 0.0))
    assert found.stderr is not None
    reach = 1.959963984540054 * found.stderr
    assert found.interval == pytest.approx((found.value - reach, found.value + reach), rel=1e-12)


def test_a_square_without_an_error_has_no_width() -> None:
    found = Estimate(0.25, 0.0, None, 1e3, log_scale=False, squared=True)
    assert found.interval_at(2.0) == pytest.approx((0.25, 0.25), rel=1e-15)


def test_two_draws_hold_an_error() -> None:
    found = estimate_of("mean_y", of(xp, np.array([1.0, 3.0]), 0.0))
    assert (found.value, found.stderr) == (2.0, pytest.approx(1.0, rel=1e-15))  # √2/√2


@pytest.mark.parametrize(("spread", "known"), [(5e-14, True), (0.5e-14, False)])
def test_a_spread_of_draws_below_rounding_is_no_error(spread: float, known: bool) -> None:
    """However many draws there are: 10⁴ of them about 1, a pivot that is 1, too."""
    m = Moments(1e4, 1e4, pivot=1.0, mean_b=spread**2, aa=1e4 * spread**2, bb=0.0)
    stderr = estimate_of("mean_y", m).stderr
    assert stderr == (pytest.approx(spread / 100, rel=1e-4) if known else None)


def test_two_values_as_often_have_a_spread_without_information() -> None:
    """Of ±1 the variance 1 − ā² has no error to first order, and of second order there is no s."""
    found = estimate_of("std_y", of(xp, np.tile([1.0, -1.0], 50), 0.0))
    assert (found.value, found.stderr) == (1.0, None)


def test_a_square_of_errors_is_not_below_zero_by_rounding() -> None:
    """Where b moves with 2a, b − 2a·E[a] does not vary: here by rounding less than that."""
    m = Moments(4.0, 4.0, mean_a=1.0, mean_b=2.0, aa=1.0, ab=2 + 2.0**-40, bb=4.0)
    found = estimate_of("std_y", m)
    assert (found.value, found.stderr) == (1.0, None)


def test_draws_cross_no_jumps() -> None:
    m = of(xp, np.array([0.5, 1.0, 2.5, 4.0]), 0.0)
    found = estimate_of("mean_y", m, Estimator(crossings=CROSSINGS))
    assert found.stderr == estimate_of("mean_y", m).stderr is not None


def test_replicates_that_are_alike_tell_no_error_of_jumps() -> None:
    m = Moments(8.0, 512.0, mean_a=1.0, mean_b=2.0, sum_bb=512.0)
    assert estimate_of("mean_y", m, Estimator(crossings=CROSSINGS)).stderr is None


@pytest.mark.parametrize("farness", [None, 5.0])
def test_what_is_the_same_in_every_draw_has_the_error_of_rounding(farness: float | None) -> None:
    """Of y = 3 the mean has the size 3 and the mean square 9, each to 14 digits."""
    names = ("mean_y", "ms_y", "rms_y")
    known = {
        name: Exact(value, 0.0, CONSTANT) for name, value in zip(names, (3, 9, 3), strict=True)
    }
    estimator = Estimator(known) if farness is None else Estimator(known, farness=farness)
    found = estimator.estimates(Tally(y=of(xp, np.full(4, 3.0), 0.0)))
    unit = 1e-14 * (farness or 1.0)
    wanted = (3 * unit, 9 * unit, 1.5 * unit)
    assert [found[name].stderr for name in names] == pytest.approx(wanted, rel=1e-9)


def test_a_pivot_adds_to_the_rounding_of_a_variance() -> None:
    """Elements 1 and 3 about 1: E[v²] is 2, and v as it is known from y is felt times the pivot."""
    m = of(xp, np.array([[1.0, 1.0], [3.0, 3.0]]), 1.0)
    found = estimate_of("var_y", m, Estimator({"var_y": Exact(1.0, 0.0, CONSTANT)}))
    assert found.value == 1.0
    assert found.stderr is not None
    assert 2e-14 < found.stderr < 4e-14


def test_what_is_zero_in_every_draw_as_it_should_be_has_no_z() -> None:
    known = Estimator({"mean_y": Exact(0.0, 0.0, CONSTANT, 0.0)})
    found = estimate_of("mean_y", of(xp, np.zeros(4), 0.0), known)
    assert (found.value, found.z) == (0.0, None)


@pytest.mark.parametrize(("error", "z"), [(0.125, math.inf), (0.25, None), (0.5, None)])
def test_a_spread_that_is_zero_by_theory_may_be_as_large_as_its_bound(
    error: float, z: float | None
) -> None:
    values = np.array([0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # σ = 1/4
    found = estimate_of("std_y", of(xp, values, 0.0), Estimator({"std_y": Exact(0.0, error, "")}))
    assert found.stderr is not None
    assert (found.value, found.z) == (0.25, z)


def test_the_own_error_of_a_sample_is_without_what_its_mean_may_add() -> None:
    """Var[y] = 1 of 16 draws where theory has 1/2 and, to first order, no error.

    With u = Var[a]/n = 1/64, both halved as 1/2 is half of 1: −(ā − E[a])², of mean u/2, is to
    count four times, 2u, or 2.5 times that, 5u, where it is taken from the sample's own error.
    Of first order that is √241·u/2, to second √3·u/2: (241 + 3)/4 − 25 = 36 is the square of 6.
    """
    u = 1 / 64
    m = Moments(16.0, 16.0, mean_b=1.0, aa=16 * 16 * u, bb=241 * u * u * 15 * 16)
    found = estimate_of("var_y", m, Estimator({"var_y": Exact(0.5, 0.0, "test", 0.0)}))
    assert found.z == pytest.approx(math.log(2) / 2 / (6 * u), rel=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_t_beyond_all_floats_reads_as_a_finite_deviate(sign: float) -> None:
    """As the one that is exceeded with a chance of 1e-300."""
    z = as_normal(sign * 1e40, Moments(count=32, points=64))
    with mpmath.workdps(30):
        wanted = mpmath.findroot(
            lambda x: mpmath.log10(mpmath.erfc(x / mpmath.sqrt(2)) / 2) + 300, 37
        )
    assert z == pytest.approx(sign * float(wanted), rel=1e-9)

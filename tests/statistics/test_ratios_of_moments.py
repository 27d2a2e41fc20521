"""Ratios of joint moments by hand: their errors, effective draws and distances from theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bnstats.errors import BnstatsError
from bnstats.layers import CONSTANT, Law
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimate, Estimator
from bnstats.statistics.exact import Exact
from bnstats.statistics.joint import Joint
from bnstats.statistics.stacks import (
    _effective,
    _Means,
    _ms,
    _z,
    check_applicable,
    stack_estimates,
)

AT = {name: i for i, name in enumerate(_Means._fields[2:])}


def joint(
    n: float = 4.0,
    spread: dict[tuple[str, str], float] | None = None,
    pivot: float = 0.0,
    nonfinite: float = 0.0,
    **means: float,
) -> Joint:
    """Return moments of n draws of standardised x and y, but for what is told."""
    means = {"v2": 1.0, "z2": 1.0, "slope2": 1.0, **means}
    mean = np.array([means.get(name, 0.0) for name in AT])
    square = np.zeros((len(AT), len(AT)))
    for (one, other), value in (spread or {}).items():
        square[AT[one], AT[other]] = square[AT[other], AT[one]] = value
    return Joint(n, n, nonfinite, pivot, mean, square, square)


def estimate_of(
    name: str, m: Joint, estimator: Estimator | None = None, law: Law | None = None
) -> Estimate:
    return stack_estimates(m, [name], estimator or Estimator(), law or Law())[name]


@pytest.mark.parametrize(
    ("pivot", "mean", "ms"), [(0.0, 1.0, 3.0), (1.0, 2.0, 6.0), (-1.0, 0.0, 2.0)]
)
def test_ratios_are_those_of_the_means(pivot: float, mean: float, ms: float) -> None:
    """Of y with the variance 2 about the pivot + 1, and of x with σ = 2."""
    m = joint(pivot=pivot, v=1.0, v2=3.0, z=1.0, z2=3.0, zv=2.0, drift=4.0, slope2=3.0, slope=1.5)
    wanted = {
        "linear_share": 1 / 4,  # a covariance of 1 beside variances of 2
        "chi": 12 / ms,
        "mean_degree": 6.0,
        "stability": 4 / ms,
        "c1": mean**2 / ms,
        "mean_slope": 1.5,
        "var_slope": 3 / 4,
    }
    for name, value in wanted.items():
        found = estimate_of(name, m, law=Law(0.0, 2.0))
        assert found.value == pytest.approx(value, rel=1e-14), name


def test_layers_that_mix_numbers_have_the_ratios_of_events() -> None:
    softmax = parse("softmax").bound
    check_applicable("softmax", softmax, ["chi", "c1", "std_y"])
    with pytest.raises(BnstatsError, match="softmax has no stability, mean_slope: ") as told:
        check_applicable("softmax", softmax, ["chi", "stability", "mean_slope"])
    assert told.value.hint == "of such layers there are chi and c1"


def test_two_draws_hold_an_error() -> None:
    """Of slopes 1 and 4 the mean is 5/2, their squared deviations sum to 9/2: 3/2 is the error."""
    found = estimate_of("mean_slope", joint(2.0, {("slope", "slope"): 4.5}, slope=2.5))
    assert (found.value, found.stderr) == (2.5, pytest.approx(1.5, rel=1e-12))


def test_the_square_of_what_is_zero_has_an_error_of_second_order() -> None:
    """Of a normal r with the error e about 0, r² has the variance 2e⁴; here e is 1/16."""
    m = joint(5.0, {("zv", "zv"): 5 * 4 / 256})
    found = estimate_of("linear_share", m)
    assert (found.value, found.stderr) == (0.0, pytest.approx(math.sqrt(2) / 256, rel=1e-12))


@pytest.mark.parametrize(("zv", "share"), [(-1.25, 1.0), (1.25, 1.0), (-0.5, 0.25), (0.5, 0.25)])
def test_a_share_is_no_more_than_one_whatever_rounding_does(zv: float, share: float) -> None:
    assert estimate_of("linear_share", joint(zv=zv)).value == share


def test_rounding_is_relative() -> None:
    """A third of 3/2 is added to an error of 1/2, and a third to that of a logarithm, 1/4."""
    rough = Estimator(rounding=1 / 3)
    slopes = joint(2.0, {("slope", "slope"): 0.5}, slope=1.5)
    assert estimate_of("mean_slope", slopes).stderr == pytest.approx(0.5, rel=1e-12)
    found = estimate_of("mean_slope", slopes, rough)
    assert found.stderr == pytest.approx(math.hypot(0.5, 0.5), rel=1e-12)
    squares = joint(2.0, {("slope2", "slope2"): 2 / 16 * 9}, slope2=3.0)
    assert estimate_of("chi", squares).stderr == pytest.approx(3 / 4, rel=1e-12)
    found = estimate_of("chi", squares, rough)
    assert found.stderr == pytest.approx(3 * math.hypot(1 / 4, 1 / 3), rel=1e-12)


def test_terms_that_cancel_hold_no_error() -> None:
    """As of a drift that is y² in every draw."""
    m = joint(
        spread=dict.fromkeys([("drift", "drift"), ("drift", "v2"), ("v2", "v2")], 1.0), drift=1
    )
    found = estimate_of("stability", m)
    assert (found.value, found.stderr, found.interval) == (1.0, None, None)


@pytest.mark.parametrize(("off", "agrees"), [(0.0, True), (5e-14, True), (1e-9, False)])
def test_a_ratio_of_every_draw_is_constant_where_theory_knows_it(off: float, agrees: bool) -> None:
    estimator = Estimator({"stability": Exact(1 + off, 0.0, "test")})
    found = estimate_of("stability", joint(drift=1.0), estimator)
    assert found.exact is not None
    assert (found.exact.by == CONSTANT) is agrees
    assert (found.stderr is not None) is agrees
    assert (found.z is not None) is agrees


def test_what_is_left_of_draws_has_no_z() -> None:
    estimator = Estimator({"mean_slope": Exact(2.0, 0.0, "test")})
    for nonfinite in (0.0, 1.0):
        m = joint(2.0, {("slope", "slope"): 4.5}, slope=2.5, nonfinite=nonfinite)
        found = estimate_of("mean_slope", m, estimator)
        assert (found.z is None) is bool(nonfinite)
        assert found.nonfinite == nonfinite


def test_a_variance_below_zero_by_rounding_has_no_ratio() -> None:
    found = estimate_of("linear_share", joint(v=1.0, v2=1 - 2.0**-40, zv=0.5))
    assert math.isnan(found.value)
    assert (found.stderr, found.n_eff, found.log_scale) == (None, 0.0, False)


# --- effective draws


def test_effective_draws_of_the_squares_of_slopes() -> None:
    """Of 1, 1, 1 and 5 they are 8²/28, whatever the scale of x; y² does not vary."""
    m = joint(4.0, {("slope2", "slope2"): 12.0}, slope2=2.0)
    for name in ("chi", "mean_slope"):
        assert estimate_of(name, m, law=Law(0.0, 3.0)).n_eff == pytest.approx(64 / 28, rel=1e-12)
    assert estimate_of("stability", m).n_eff == 4.0


def test_a_slope_that_is_zero_in_every_draw_has_no_effective_ones() -> None:
    found = estimate_of("mean_slope", joint(slope2=0.0))
    assert (found.value, found.n_eff) == (0.0, 0.0)


def test_effective_draws_are_no_more_than_draws_whatever_rounding_does() -> None:
    """y² as 1 + 2v + v² of 1 + v does not vary, but for −2⁻³⁸."""
    spread = {("v", "v"): 1.0, ("v", "v2"): -2 - 2.0**-40, ("v2", "v2"): 4.0}
    assert _effective(_ms, joint(4.0, spread, pivot=1.0, v2=0.0), Law()) == 4.0


@pytest.mark.parametrize(("spread", "n_eff"), [(9.0, 0.8), (9 / 16, 3.2), (0.0, 4.0)])
def test_effective_draws_behind_the_rest_of_a_share(spread: float, n_eff: float) -> None:
    """With r = 1/2, of 1 − r² = 3/4 the variance is r's: as a share of its square 16/9 of it."""
    m = joint(4.0, {("zv", "zv"): spread}, zv=0.5)
    assert estimate_of("linear_share", m).n_eff == pytest.approx(n_eff, rel=1e-12)


def test_a_share_of_one_leaves_no_rest() -> None:
    found = estimate_of("linear_share", joint(4.0, {("zv", "zv"): 9.0}, zv=1.0))
    assert (found.value, found.n_eff) == (1.0, 4.0)


def test_the_tails_of_dx_matter_to_ratios_of_its_squares() -> None:
    m = joint()
    for name, of_dx in {"chi": True, "mean_degree": True, "mean_slope": True, "c1": False}.items():
        for direction, matters in (("y", True), ("dx", of_dx)):
            found = estimate_of(name, m, Estimator(heavy_tailed=(direction,)))  # type: ignore[arg-type]
            assert found.n_eff == (0.0 if matters else 4.0), (name, direction)


# --- distances from theory


def z_of(exact: Exact, number: float, error: float, scale: str) -> float | None:
    estimate = Estimate(
        1.0, error, None, 1e3, exact, log_scale=scale == "log", squared=scale == "square"
    )
    return _z(estimate, number, error)


def test_the_error_of_theory_is_relative_to_a_logarithm() -> None:
    found = z_of(Exact(4.0, 1.0, ""), math.log(8), 0.25, "log")
    assert found == pytest.approx(math.log(2) / math.hypot(0.25, 0.25), rel=1e-12)
    for value in (0.0, -0.5):
        assert z_of(Exact(value, 0.0, ""), 0.0, 0.25, "log") == math.inf


@pytest.mark.parametrize("number", [0.5, -0.5])
def test_the_error_of_theory_is_that_of_a_root(number: float) -> None:
    """√(1/16 ± 1/32) is 1/4 ± 1/16 to first order; a root of either sign is as far from it."""
    found = z_of(Exact(1 / 16, 1 / 32, ""), number, 1 / 8, "square")
    assert found == pytest.approx(0.25 / math.hypot(1 / 8, 1 / 16), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.25, -0.25])
@pytest.mark.parametrize("number", [0.5, -0.5])
def test_of_a_square_that_may_be_zero_the_root_may_have_either_sign(
    value: float, number: float
) -> None:
    found = z_of(Exact(value, 0.25, ""), number, 0.5, "square")
    assert found == pytest.approx(number / math.hypot(0.5, 0.5), rel=1e-12)


def test_the_error_of_theory_counts() -> None:
    assert z_of(Exact(2.0, 0.4, ""), 3.0, 0.3, "linear") == pytest.approx(2.0, rel=1e-12)

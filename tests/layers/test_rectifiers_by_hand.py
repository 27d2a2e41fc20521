"""Rectifiers by hand: where they bend, slopes that are reciprocals, and values that make none."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import through
from mpmath import mp, mpf

from bnstats.errors import BnstatsError
from bnstats.layers import Law
from bnstats.layers.rectifiers import _reciprocal
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


@pytest.mark.parametrize(
    ("spec", "breakpoints"),
    [
        ("rectified_power:power=1", (0.0,)),
        ("rectified_power:power=2", (0.0,)),
        ("rectified_power:power=3", ()),  # its curvature is continuous
        ("leaky_relu", (0.0,)),
        ("prelu", (0.0,)),
        ("rrelu", (0.0,)),
        ("rrelu:training=false", (0.0,)),
        ("keras_relu:threshold=1", (1.0,)),
        ("keras_relu:threshold=1,max_value=6", (1.0, 6.0)),
    ],
)
def test_a_rectifier_says_where_it_bends(spec: str, breakpoints: tuple[float, ...]) -> None:
    assert parse(spec).bound.breakpoints == breakpoints


def test_a_relu_that_is_cut_where_it_begins_is_refused() -> None:
    with pytest.raises(BnstatsError, match="max_value=1 is not above threshold=1"):
        parse("keras_relu:threshold=1,max_value=1")
    parse("keras_relu:threshold=1,max_value=1.0001")


@pytest.mark.parametrize(("lower", "upper"), [(3.0, 8.0), (0.01, 0.03)])
def test_moments_of_reciprocals_lie_within_their_bounds(lower: float, upper: float) -> None:
    found = _reciprocal(lower, upper)
    with mp.workdps(40):
        mean = mp.log(mpf(upper) / mpf(lower)) / (mpf(upper) - mpf(lower))

        def central(power: int) -> mpf:
            each = mp.quad(lambda u: (1 / u - mean) ** power, [mpf(lower), mpf(upper)])
            return each / (mpf(upper) - mpf(lower))

        for known, power in ((found.var, 2), (found.m3, 3), (found.m4, 4)):
            assert abs(known.value - central(power)) <= known.error
            assert known.error <= 1e-13 * float(mean**power)


@pytest.mark.parametrize("only", [0.22, 2.05, 4.1, 8.46])
def test_a_single_slope_has_no_negative_moments(only: float) -> None:
    """Differences of powers that are equal but for rounding."""
    found = _reciprocal(only, only)
    for known in (found.var, found.m4):
        assert 0 <= known.value <= known.error


def test_slopes_that_hardly_ever_count_leave_a_narrow_bound() -> None:
    """x is below 0 once in 3.5 million draws: the bound on their variance matters as little."""
    law = Law(5.0, 1.0, 1.0)
    var = parse("rrelu:lower=3,upper=8,reciprocal=true").bound.moments(law, Expectation(law)).var_y
    assert abs(var.value - 1) < 1e-6
    assert var.error < 1e-12


def test_what_is_at_a_bend_belongs_to_the_lower_side() -> None:
    """As libraries have it: 1 above it alone."""
    bound = parse("rrelu:lower=0.25,upper=0.75").bound
    draws = {"x": np.zeros(2), "dy": np.ones(2), "slope": np.array([0.0, 0.5])}
    y, dx = through(bound, draws)
    assert y.tolist() == [0, 0]
    assert dx.tolist() == [0.25, 0.5]
    bound = parse("keras_relu:threshold=1,negative_slope=0.5").bound
    y, dx = through(bound, {"x": np.array([-1.0, 1.0, 2.0]), "dy": np.ones(3)})
    assert y.tolist() == [-1, 0, 2]
    assert dx.tolist() == [0.5, 0.5, 1]

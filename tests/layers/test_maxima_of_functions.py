"""Maxima of functions: which falls are seen among nodes, and maxima of uniform numbers by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from bnstats.backends import numpy_backend
from bnstats.layers import UNKNOWN, ExactMoments, Known, Law
from bnstats.layers.max_pooling import _is_increasing
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation

UNIT = 2.0**-45  # a fall by so much of the largest value counts as rounding


def rises(*values: float) -> bool:
    """Look at a function that takes these values at the nodes 0, 1 and so on."""

    def f(xp: Any, x: Any) -> tuple[Any, Any]:
        return np.array(values)[x.astype(int)], None

    def expect(function: Callable[[Any, Any], Any], *, breakpoints: Any) -> Known:
        del breakpoints
        nodes = np.arange(float(len(values)))[::-1]  # panels come in any order
        return Known(float(np.mean(function(numpy_backend, nodes))))

    return _is_increasing(f, (), expect)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((1.0,), True),
        ((0.0, 1.0), True),
        ((1.0, 0.0), False),
        ((0.0, 2.0, 1.0), False),
        ((0.0, 2.0, 1.0, 3.0), False),
        ((2.0, 1.0, 3.0), False),
        ((1.0, 1 - UNIT), True),
        ((1.0, 1 - 1.5 * UNIT), False),
        ((1.0, 1 - 2 * UNIT), False),
        ((4.0, 4 - 2 * UNIT), True),
        ((4.0, 4 - 8 * UNIT), False),
        ((-4.0, -4 - 2 * UNIT, 1.0), True),
        ((0.0, 0.0), True),
    ],
)
def test_a_fall_is_seen_unless_it_is_rounding(values: tuple[float, ...], says: bool) -> None:
    assert rises(*values) == says


def of_uniform(spec: str) -> ExactMoments:
    """Return the moments of a maximum of Φ(x), x standard normal."""

    def f(xp: Any, x: Any) -> tuple[Any, Any]:
        return ndtr(x), xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    after = parse(spec).bound.moments_after
    assert after is not None
    law = Law(0.0, 1.0, 2.0)
    return after(f, (), law, Expectation(law))


def test_the_largest_of_three_uniform_numbers() -> None:
    """Its density is 3y²."""
    found = of_uniform("global_max_pool1d:input_size=3")
    mean = Fraction(3, 4)
    raw = [Fraction(3, 3 + k) for k in range(5)]
    second, fourth = (
        sum(math.comb(power, k) * raw[k] * (-mean) ** (power - k) for k in range(power + 1))
        for power in (2, 4)
    )
    for known, true in ((found.mean_y, mean), (found.var_y, second), (found.m4_y, fourth)):
        assert known.value == pytest.approx(float(true), rel=1e-13)
        assert known.error < 1e-13
        assert known.by == "order statistics"


def test_a_window_of_one_has_the_slopes_of_all() -> None:
    """E[φ²] is ∫ φ³ = 1/(2π·√3)."""
    found = of_uniform("global_max_pool1d:input_size=1")
    assert found.ms_dx.value == pytest.approx(4 / (2 * math.pi * math.sqrt(3)), rel=1e-13)


def test_several_windows_have_no_fourth_moment() -> None:
    assert of_uniform("max_pool1d:input_size=6,kernel_size=3").m4_y is UNKNOWN
    assert of_uniform("max_pool1d:input_size=6,kernel_size=6").m4_y is not UNKNOWN

"""What an expectation makes of places where x is hardly ever, and of places where it has a pole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from mpmath import mpf

from bnstats.layers import Law
from bnstats.statistics import quadrature
from bnstats.statistics.quadrature import Expectation

STANDARD = Law()
TINY = np.finfo(float).tiny
Function = Callable[[Any, Any], Any]


def pole(place: float, power: float = 1.0, side: int = 0, reach: float = math.inf) -> Function:
    """Return |x − place|^(−power), on one side or on both, and 0 farther than ``reach`` away."""

    def f(xp: Any, x: Any) -> Any:
        d = x - place
        return np.where((d * side >= 0) & (abs(d) <= reach), abs(d) ** -power, 0.0)

    return f


@pytest.mark.parametrize("side", [-1, 0, 1])
@pytest.mark.parametrize("place", [0.0, 1.0, -2.5, 2.0**20])
def test_a_pole_is_seen_from_either_side(place: float, side: int) -> None:
    expect = Expectation(Law(place + 1.0, 2.0))
    for scale in (1e-9, 1.0, 1e9):
        found = expect._has_pole(
            lambda xp, x, scale=scale: scale * pole(place, 1.0, side)(xp, x), (7.0, place)
        )
        assert found is True
    assert expect._has_pole(pole(place, 0.5, side), (7.0, place)) is False
    assert expect._has_pole(lambda xp, x: 1.0 + 0 * x, (7.0, place)) is False


@pytest.mark.parametrize(("power", "seen"), [(0.9, False), (0.95, True), (1.5, True)])
def test_a_power_is_a_pole_from_almost_one_on(power: float, seen: bool) -> None:
    """A sum over a factor of four is 4^(1 − p) times the next: nine tenths at p = 0.924."""
    assert Expectation(STANDARD)._has_pole(pole(0.0, power), ()) is seen


@pytest.mark.parametrize(
    ("law", "place", "breakpoints", "seen"),
    [
        (STANDARD, 0.0, (), True),  # 0 is looked at in any case
        (STANDARD, 1.0, (), False),
        (STANDARD, -1.0, (), False),
        (STANDARD, -1.0, (-1.0,), True),
        (Law(100.0, 1.0), 0.0, (), False),  # where x never is
        (Law(100.0, 4.0), 0.0, (), True),
        (Law(-30.0, 1.0), -20.0, (-20.0,), True),
        (Law(-30.0, 1.0), 20.0, (20.0,), False),
        (Law(37.5, 1.0), 0.0, (), True),
        (Law(38.0, 1.0), 0.0, (), False),
    ],
)
def test_a_pole_is_looked_for_at_zero_and_at_breakpoints(
    law: Law, place: float, breakpoints: tuple[float, ...], seen: bool
) -> None:
    assert Expectation(law)._has_pole(pole(place), breakpoints) is seen


def test_a_pole_at_a_small_number_is_looked_for_from_nearby() -> None:
    assert Expectation(STANDARD)._has_pole(pole(1.0, reach=1e-6), (1.0,))
    assert Expectation(Law(2.0**20))._has_pole(pole(2.0**20, reach=1.0), (2.0**20,))


@pytest.mark.parametrize(
    ("sums", "seen"),
    [
        ((10.0, 10.0, 10.0), True),
        ((9.0, 10.0, 10.0), True),  # nine tenths
        ((8.9, 10.0, 9.0), False),
        ((10.0, 9.0, 10.0), True),
        ((10.0, 8.9, 10.0), False),
        ((10.0, 1.0, 5.0), False),
        ((5.0, 10.0, 5.0), False),
        ((7.0, 0.0, 0.0), False),
        ((0.0, 0.0, 0.0), False),
        ((10.0, 10.0, 10.0, 1e9), True),  # what is farther from it has no say
    ],
)
def test_a_pole_grows_from_each_of_three_distances_to_the_next(
    sums: tuple[float, ...], seen: bool
) -> None:
    """Sums of |f|·|x| at distances 4^−14, 4^−13 and so on: a single point makes each of them."""

    def f(xp: Any, x: Any) -> Any:
        return sum(np.where(x == 4.0 ** (k - 14), s / x, 0.0) for k, s in enumerate(sums))

    assert Expectation(STANDARD)._has_pole(f, ()) is seen


@pytest.mark.parametrize("place", [50.0, -50.0])
def test_a_breakpoint_where_x_never_is_adds_what_the_function_is_there(place: float) -> None:
    """Within a standard deviation of it, which is 2, times more than the probability."""
    bound = Expectation(Law(1.0, 2.0))._at_most
    assert bound(lambda xp, x: 0 * x, [place]) == TINY
    assert bound(lambda xp, x: np.where(x == place, -5.0, 0.0), [place]) == 5 * TINY
    for end in (-2.0, 2.0):
        assert bound(lambda xp, x, end=end: 3.0 * (x == place + end), [0.0, place]) == 3 * TINY
    assert bound(lambda xp, x: 3.0 * (abs(x - place) > 2), [place]) == TINY
    assert mp.ncdf(-38) < TINY


@pytest.mark.parametrize("edge", [38.0, 40.0, -38.0, -40.0])
def test_an_edge_where_x_never_is_may_be_high(edge: float) -> None:
    """1e305 beyond it, of which the probability is 1e-316 or less."""
    known = Expectation(STANDARD)(
        lambda xp, x: np.where(x / edge >= 1, 1e305, 0.0), breakpoints=(edge,)
    )
    assert abs(known.value - mpf("1e305") * mp.ncdf(-abs(edge))) <= known.error < 1e-2


@pytest.mark.parametrize(
    ("mean", "std", "times"), [(0.0, 1.0, 1), (3.0, 0.5, 7), (-3.0, 0.5, 7), (3.0, 4.0, 4)]
)
def test_the_rounding_of_x_counts_in_units_of_x_and_of_its_spread(
    mean: float, std: float, times: int
) -> None:
    """An expectation of 1 has the error of its rounding, once and as many times as x is coarser."""
    known = Expectation(Law(mean, std))(lambda xp, x: 1.0 + 0 * x)
    assert known.value == pytest.approx(1.0, abs=1e-14)
    assert known.error == pytest.approx(times * quadrature.ROUNDING, rel=0.05, abs=0)


def test_terms_that_underflow_are_counted() -> None:
    """By 2^-1074 each, of as many as the finest rule may have."""
    error = Expectation(STANDARD)(lambda xp, x: 0 * x).error
    pieces = quadrature._pieces(STANDARD, ())
    assert error >= quadrature._grid(1, pieces, 2048).z.size * 2.0**-1074
    assert error < 1e-300


def looks_closely_beyond_14(law: Law, f: Function, *breakpoints: float) -> bool:
    """Whether the rule that runs from end to end is used, which looks at both sides of 14."""
    found = []

    def watched(xp: Any, x: Any) -> Any:
        z = np.abs(x - law.x_mean) / law.x_std
        found.append(bool(np.any(z < 13) and np.any(z > 15)) and x.ndim == 2)
        return f(xp, x)

    Expectation(law)(watched, breakpoints=breakpoints)
    return any(found)


@pytest.mark.parametrize(
    ("f", "closely"),
    [
        (lambda xp, x: 1.0 + 0 * x, False),
        (lambda xp, x: 0 * x, False),
        (lambda xp, x: x**4, False),
        (lambda xp, x: xp.exp(9 * x), True),  # its integral has its middle at 9
        (lambda xp, x: np.where(x > 13.5, 1.0, 0.0), True),
        (lambda xp, x: np.where(x < -13.5, 1.0, 0.0), True),
        (lambda xp, x: np.where(x > 20, 1.0, 0.0), True),
    ],
)
def test_what_is_beyond_14_standard_deviations_is_integrated_where_it_counts(
    f: Function, closely: bool
) -> None:
    assert looks_closely_beyond_14(STANDARD, f) is closely


@pytest.mark.parametrize(
    ("place", "closely"),
    [
        (5.0, False),
        (11.5, False),  # 13 from the mean, which is 5, by standard deviations of a half
        (12.0, True),
        (15.0, True),
        (-5.0, True),
        (23.5, True),
        (24.0, False),  # 38: beyond lies no rule
        (40.0, False),
    ],
)
def test_a_breakpoint_beyond_14_standard_deviations_has_a_rule_around_it(
    place: float, closely: bool
) -> None:
    f: Function = lambda xp, x: 1.0 + 0 * x  # noqa: E731
    assert looks_closely_beyond_14(Law(5.0, 0.5), f, place) is closely
    assert looks_closely_beyond_14(Law(5.0, 0.5), f, 5.5, place, 6.0) is closely


@pytest.mark.parametrize("rate", [3.0, 9.0, 12.0, 16.0])
def test_an_exponential_that_has_its_integral_far_out(rate: float) -> None:
    known = Expectation(Law(2.0, 0.5))(lambda xp, x: xp.exp(rate * x * 2))
    with mp.workdps(30):
        true = mp.exp(4 * rate + mpf(rate) ** 2 / 2)
        assert abs(known.value - true) <= known.error < 1e-10 * true


def test_the_largest_input_is_told_as_such() -> None:
    known = Expectation(Law(1.0, 2.0))(lambda xp, x: x, maximum_of=2)
    true = 1 + 2 / mp.sqrt(mp.pi)
    assert abs(known.value - true) <= known.error < 1e-12
    assert known.by == "order statistics"
    assert Expectation(STANDARD)(lambda xp, x: x).by == "quadrature"

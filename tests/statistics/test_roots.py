"""Zeros of functions with errors: found, and between points of sure signs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bnstats.layers import Known
from bnstats.statistics.roots import bracket, scan, sign

POINTS = [0.1 * 1.3**k for k in range(20)]  # up to 14.6


def known(f: Callable[[float], float], error: float = 1e-9) -> Callable[[float], Known]:
    return lambda x: Known(f(x), error)


@pytest.mark.parametrize(
    ("value", "error", "wanted"),
    [
        (0.5, 0.1, 1),
        (-0.5, 0.1, -1),
        (0.5, 0.5, 0),
        (-0.5, 0.6, 0),
        (0.0, 0.0, 0),
        (math.nan, 0.0, 0),
        (math.inf, 0.0, 0),
        (1.0, math.inf, 0),
    ],
)
def test_signs(value: float, error: float, wanted: int) -> None:
    assert sign(Known(value, error)) == wanted


@pytest.mark.parametrize("error", [1e-9, 1e-3])
@pytest.mark.parametrize("side", [1, -1])
def test_a_zero_lies_between_points_of_sure_signs(side: int, error: float) -> None:
    f = known(lambda x: side * (x**2 - 2), error)
    found = bracket(f, 1.0, 3.0)
    assert found.value == pytest.approx(math.sqrt(2), rel=1e-14)
    assert (sign(f(found.low)), sign(f(found.high))) == (-side, side)
    least = error / (2 * math.sqrt(2))  # where the sign is first sure
    for end, way in ((found.low, -1), (found.high, 1)):
        assert least * 0.999 <= way * (end - math.sqrt(2)) <= 4.1 * least


def test_where_no_sign_is_sure_on_the_way_the_ends_are_the_bracket() -> None:
    f = known(lambda x: x - 2.0, error=0.9)
    assert bracket(f, 1.0, 3.0) == pytest.approx((1.0, 2.0, 3.0))


def test_a_function_is_asked_nothing_outside_of_the_two_points() -> None:
    """It may be unknown there, and an answer says nothing of what lies between."""

    def f(x: float) -> Known:
        assert 1.0 <= x <= 3.0
        return Known(x - 2.0, 0.9)

    assert bracket(f, 1.0, 3.0) == pytest.approx((1.0, 2.0, 3.0))


def test_a_zero_at_zero_is_found() -> None:
    found = bracket(known(lambda x: x - 1e-9, 0.0), 0.0, 1.0)
    assert found.value == pytest.approx(1e-9, rel=1e-6)


def test_all_changes_of_sign_are_zeros_in_order() -> None:
    found = scan(known(lambda x: (x - 0.3) * (x - 2.0) * (7.0 - x)), POINTS)
    assert [z.value for z in found.zeros] == pytest.approx([0.3, 2.0, 7.0], rel=1e-12)
    assert found.signs == tuple(1 if x < 0.3 or 2 < x < 7 else -1 for x in POINTS)


@pytest.mark.parametrize("side", [1, -1])
def test_two_zeros_between_two_points(side: int) -> None:
    low, middle, high = POINTS[9:12]
    a, b = middle * 0.99, middle * 0.995
    assert low < a < b < middle < high
    found = scan(known(lambda x: side * (x - a) * (x - b)), POINTS)
    assert set(found.signs) == {side}
    assert [z.value for z in found.zeros] == pytest.approx([a, b], rel=1e-9)


@pytest.mark.parametrize("side", [1, -1])
def test_a_function_may_touch_zero(side: int) -> None:
    at = POINTS[10] * 1.03
    f = known(lambda x: side * (x - at) ** 2, error=1e-8)
    (found,) = scan(f, POINTS).zeros
    assert found.value == pytest.approx(at, rel=1e-4)
    assert found.low < at < found.high
    assert sign(f(found.low)) == sign(f(found.high)) == side
    assert found.high - found.low < 3e-3


def test_a_touch_is_looked_for_with_few_values() -> None:
    asked = []

    def f(x: float) -> Known:
        asked.append(x)
        return Known((x - 2.0) ** 2, 1e-8)

    assert scan(f, (1.0, 1.9, 3.0)).zeros
    assert len(asked) < 150


def test_what_comes_near_zero_and_stays_off_is_none() -> None:
    at = POINTS[10]
    assert scan(known(lambda x: (x - at) ** 2 + 1e-3), POINTS).zeros == ()
    assert scan(known(lambda x: -((x - at) ** 2) - 1e-3), POINTS).zeros == ()


def test_neighbours_whose_errors_reach_as_near_are_not_looked_between() -> None:
    """The middle value is surely smaller than its neighbours', or nothing is said of it."""
    values = {1.0: Known(1.0, 0.3), 2.0: Known(0.5, 0.3), 3.0: Known(1.0, 0.3)}

    def f(x: float) -> Known:
        return values[x]  # a look at any other point fails

    assert scan(f, (1.0, 2.0, 3.0)).zeros == ()


def test_a_change_of_sign_over_what_is_no_number_is_no_zero() -> None:
    points = (1.0, 2.0, 3.0)
    found = scan(known(lambda x: math.nan if x == 2 else x - 2), points)
    assert (found.zeros, found.signs) == ((), (-1, 0, 1))
    unsure = scan(known(lambda x: x - 2, error=1e-9), points)
    assert [z.value for z in unsure.zeros] == pytest.approx([2.0])
    assert unsure.signs == (-1, 0, 1)

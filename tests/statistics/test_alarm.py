"""The numbers of draws that alarms and plans ask for: one significant digit, never fewer."""

from __future__ import annotations

import pytest

from bnstats.statistics.alarm import confirmed, round_up


@pytest.mark.parametrize(
    ("number", "rounded"), [(0, 0), (0.0, 0), (10, 10), (10.5, 20), (95, 100), (100, 100)]
)
def test_draws_are_rounded_up_to_one_digit(number: float, rounded: int) -> None:
    assert round_up(number) == rounded


@pytest.mark.parametrize(
    ("first", "second", "alarm"),
    [
        (4.5, 3.5, True),
        (-4.5, -3.5, True),
        (4.0, 3.5, False),
        (4.5, 3.25, False),
        (4.5, -3.5, False),
        (-4.5, 3.5, False),
        (4.5, 0.0, False),
    ],
)
def test_an_alarm_is_confirmed_by_as_clear_a_sign_to_the_same_side(
    first: float, second: float, alarm: bool
) -> None:
    assert confirmed(first, second, 3.5) is alarm

"""Alarms: how rarely they are raised and confirmed, and the numbers of draws that they ask for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import bnstats
from bnstats.statistics.alarm import (
    SECOND_STAGE_FACTOR,
    confirmed,
    round_up,
    second_threshold,
    two_sided,
)


def beyond(z: float) -> float:
    """Return the chance that a standard normal deviate is beyond z to one side."""
    return math.erfc(z / math.sqrt(2)) / 2


@pytest.mark.parametrize("chance", [1.0, 0.05, 1e-6, 1e-200])
def test_a_size_is_exceeded_to_either_side_with_its_chance(chance: float) -> None:
    assert 2 * beyond(two_sided(chance)) == pytest.approx(chance, rel=1e-10)


@pytest.mark.parametrize("chance", [0.0, 1e-320])
def test_a_chance_that_no_float_holds_has_a_size(chance: float) -> None:
    assert two_sided(chance) == two_sided(1e-300)


@pytest.mark.parametrize("tests", [1, 150, 4000])
def test_a_family_of_tests_fails_with_a_chance_of_a_millionth(tests: int) -> None:
    """Each by |z| > 4, and by a second z to the same side."""
    each = 2 * beyond(4.0) * beyond(second_threshold(tests))
    assert tests * each == pytest.approx(1e-6, rel=1e-9)


def test_the_second_stage_is_as_long_as_the_manual_says() -> None:
    page = (Path(bnstats.__file__).parent / "manual" / "ci.md").read_text("utf-8")
    assert "the second four times as long" in " ".join(page.split())
    assert SECOND_STAGE_FACTOR == 4


def test_where_the_first_stage_is_rare_enough_any_second_one_confirms() -> None:
    assert second_threshold(1, family_error=1e-3) == 0.0


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


@pytest.mark.parametrize(("second", "alarm"), [(0.125, True), (0.0, False), (-0.125, False)])
def test_where_any_size_confirms_the_side_must_be_the_same(second: float, alarm: bool) -> None:
    assert confirmed(4.5, second, 0.0) is alarm
    assert confirmed(-4.5, -second, 0.0) is alarm

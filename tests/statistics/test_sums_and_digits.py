"""When sums keep the digits of moments: about zero, in float32, and what of them is rounding."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest

from bnstats.backends import numpy_backend as xp
from bnstats.statistics.joint import Joint
from bnstats.statistics.moments import (
    Moments,
    Tally,
    _in_float32,
    as_unit,
    cancelled,
    float32_holds,
    float32_suffices,
    from_sums,
    of,
)

DRAWS = np.array([-3.0, -1.0, 0.5, 1.0, 2.0, 3.0], np.float32)


class Watched:
    """numpy's namespace, which remembers whether arrays were widened to float64."""

    def __init__(self) -> None:
        self.widened = False

    def __getattr__(self, name: str) -> Any:
        return getattr(xp, name)

    def astype(self, values: Any, dtype: Any) -> Any:
        self.widened = True
        return values.astype(dtype)


def widens(values: np.ndarray, weights: Any = None) -> bool:
    watched = Watched()
    of(watched, values, 0.0, weights)
    return watched.widened


def test_moments_of_nothing_are_zero() -> None:
    assert astuple(Moments()) == (0.0,) * 10


def test_joint_moments_are_pooled_where_both_have_them() -> None:
    def tally(joint: Joint | None) -> Tally:
        found = Tally(y=of(xp, np.array([1.0, 2.0]), 0.0))
        found.joint = joint
        return found

    one, two = (Joint(n, n, 0.0, 0.0, np.zeros(3), np.eye(3), np.eye(3)) for n in (2.0, 3.0))
    both = tally(one).merged(tally(two))
    assert both.joint is not None
    assert (both.joint.count, both["y"].count) == (5.0, 4.0)
    for left, right in ((one, None), (None, two), (None, None)):
        assert tally(left).merged(tally(right)).joint is None


@pytest.mark.parametrize("scale", [2.0**-12, 1.0, 4.0, 2.0**12])
def test_effective_draws_have_no_unit(scale: float) -> None:
    """Of deviations −3, −1, 1 and 3 they are (Σd²)²/Σd⁴, 400/164."""
    values = scale * np.array([2.0, 4.0, 6.0, 8.0])
    assert of(xp, values, 0.0).n_eff == pytest.approx(400 / 164, rel=1e-14)
    assert of(xp, np.full(50, scale), 0.0).n_eff == pytest.approx(50, rel=1e-14)


def test_effective_draws_are_no_more_than_draws_whatever_rounding_does() -> None:
    """The spread of c is 0 at the least: with ab too large its sum of squares is −1/2."""
    m = Moments(4.0, 4.0, mean_a=1.0, mean_b=2.0, aa=1.0, ab=2.125, bb=4.0)
    assert m.n_eff == 4.0


def test_a_unit_has_the_means_of_its_points_and_no_spread() -> None:
    m = of(xp, np.array([1.0, 2.0, 6.0]), 0.5)
    unit = as_unit(m)
    assert (unit.count, unit.points, unit.nonfinite) == (1.0, 3.0, 0.0)
    assert (unit.mean_a, unit.mean_b) == (m.mean_a, m.mean_b)
    assert (unit.aa, unit.ab, unit.bb) == (0.0, 0.0, 0.0)
    assert as_unit(Moments()) == Moments()


# --- float32


@pytest.mark.parametrize(
    ("shape", "wide"),
    [((), False), ((2,), False), ((1000,), False), ((1001,), True), ((2, 500), False),
     ((2, 501), True)],
)  # fmt: skip
def test_float32_adds_up_events_of_a_thousand_elements(shape: tuple[int, ...], wide: bool) -> None:
    assert widens(np.broadcast_to(DRAWS, (*shape, DRAWS.size))) is wide


def test_float32_adds_up_many_draws_but_no_weighted_ones() -> None:
    assert not widens(np.tile(DRAWS, 500))
    assert widens(DRAWS, np.ones(DRAWS.size))


@pytest.mark.parametrize(
    ("values", "enough"),
    [
        (DRAWS, True),
        (1e-7 * DRAWS, False),  # b² is 1e-28, and what it is made of is smaller yet
        (1e8 * DRAWS, False),
        (DRAWS / 6 - 10, False),  # of Σa² hardly any is spread
        (DRAWS / 6 + 10, False),
    ],
    ids=["usual", "tiny", "huge", "far below zero", "far above zero"],
)
def test_float32_is_left_where_it_loses_digits(values: np.ndarray, enough: bool) -> None:
    assert (_in_float32(xp, values.astype(np.float32), 0.0) is not None) is enough


@pytest.mark.parametrize(
    ("sum_bb", "holds"),
    [(2e-24, False), (4 * 1e-24, False), (5e-24, True), (2e30, True), (4 * 1e30, False)],
)
def test_float32_holds_squares_of_this_size(sum_bb: float, holds: bool) -> None:
    """From 1e-24 to 1e30 on average, here over 4 draws."""
    assert float32_holds(4.0, sum_bb) is holds


@pytest.mark.parametrize(
    ("sum_aa", "sum_bb", "enough"),
    [(99.0, 9999.0, True), (100.0, 9999.0, False), (99.0, 10000.0, False)],
)
def test_float32_keeps_a_hundredth_and_a_ten_thousandth(
    sum_aa: float, sum_bb: float, enough: bool
) -> None:
    assert float32_suffices(Moments(aa=1.0, bb=1.0), sum_aa, sum_bb) is enough


# --- float64


@pytest.mark.parametrize("size", [1e100, 1e154])
def test_a_draw_whose_fourth_power_overflows_is_left_out(size: float) -> None:
    with np.errstate(all="ignore"):
        m = of(xp, np.array([1.0, size, 3.0]), 0.0)
    assert (m.count, m.nonfinite, m.mean_a, m.mean_b) == (2.0, 1.0, 2.0, 5.0)


def test_weights_count_where_draws_hardly_vary() -> None:
    values = 1 + 2.0**-20 * np.array([0.0, 1.0, 2.0, 3.0])
    m = of(xp, values, 0.0, np.array([0.0, 0.0, 2.0, 2.0]))
    assert m.mean_a == 1 + 2.5 * 2.0**-20


WIDE = Moments(4.0, 4.0, mean_a=1.0, aa=1.0, bb=1.0, sum_bb=100.0)


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, False),
        ({"aa": 2e-8}, True),
        ({"aa": 1e-8 * 4}, True),
        ({"aa": 5e-8}, False),
        ({"bb": 5e-7}, True),
        ({"bb": 1e-8 * 100}, True),
        ({"bb": 2e-6}, False),
        ({"aa": 2e-8, "bb": 5e-7}, True),
        ({"count": 1.0, "aa": 0.0, "bb": 0.0}, False),  # a single draw has no spread to keep
        ({"count": 2.0, "aa": 0.0, "bb": 0.0}, True),
    ],
    ids=str,
)
def test_a_spread_of_a_hundred_millionth_has_lost_digits(
    changes: dict[str, float], lost: bool
) -> None:
    assert cancelled(replace(WIDE, **changes)) is lost


@pytest.mark.parametrize(("constant", "spread"), [(0.5, 0.0), (0.25, 2.0)])
def test_a_spread_at_its_share_of_rounding_is_rounding(constant: float, spread: float) -> None:
    """Of a (and b) 1 + i and 1 − i, whose sum is 2: of the sum of squares, 4, half is spread."""
    m = from_sums(2.0, [2.0, 4.0, 4.0, 2.0, 4.0], pivot=0.0, constant=constant)
    assert (m.aa, m.ab, m.bb, m.nonfinite) == (spread, spread, spread, 0.0)


def test_rounding_is_a_share_of_the_squares_about_zero() -> None:
    """a is 7 and 9, summed about 8: of the sum of their squares, 130, they spread by 2."""

    def spread(constant: float) -> float:
        sums = [0.0, 2.0, 0.0, 0.0, 0.0]
        return from_sums(2.0, sums, pivot=0.0, about=(8.0, 0.0), constant=constant).aa

    assert spread(1 / 64) == 0.0
    assert spread(1 / 66) == 2.0

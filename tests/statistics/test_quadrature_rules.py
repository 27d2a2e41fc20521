"""The rules of quadrature: where they split the axis, what they weigh, what they tell of errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from mpmath import mpf
from scipy import stats

from bnstats.layers import Law
from bnstats.statistics.quadrature import (
    ROUNDING,
    Expectation,
    _composite,
    _grid,
    _Piece,
    _pieces,
    _Sum,
    _trapezoid,
)

STANDARD = Law()
MOST = 2048  # panels
WIDTH = 28 / MOST  # of one of them
ONE_PANEL = 28 / 64  # the width of a piece that is one panel of the coarsest rule


def ends(law: Law, *breakpoints: float) -> list[float]:
    """Return in units of x where pieces begin, and where the last one ends."""
    pieces = _pieces(law, breakpoints)
    z = [*(p.low for p in pieces), pieces[-1].low + pieces[-1].width]
    return [float(law.x_mean + law.x_std * each) for each in z]


@pytest.mark.parametrize("law", [STANDARD, Law(3.0, 2.0), Law(-1000.0, 0.5)])
def test_pieces_lie_side_by_side_up_to_38_standard_deviations(law: Law) -> None:
    pieces = _pieces(law, (law.x_mean + 1.0, law.x_mean - 2.5))
    starts = [p.low for p in pieces]
    np.testing.assert_allclose([p.low + p.width for p in pieces[:-1]], starts[1:], atol=1e-12)
    assert all(p.width > 0 for p in pieces)
    assert starts[0] == -38.0
    assert pieces[-1].low + pieces[-1].width == 38.0
    assert {-14.0, 14.0} <= set(starts)


def test_pieces_are_split_around_zero_and_each_breakpoint() -> None:
    found = set(ends(Law(4.0, 2.0), 3.0, 4.5))
    for place in (0.0, 3.0, 4.5):
        assert place in found
        for distance in (2.0**-28, 2.0**-26, 1 / 64, 0.25, 1.0, 4.0, 16.0, 64.0):
            assert {place - distance, place + distance} <= found
        assert not {place - 8.0, place + 0.125, place + 2.0**-30} & found


def test_pieces_are_split_far_out_in_units_of_x() -> None:
    found = ends(Law(0.0, 2.0**40))
    assert {2.0**44, -(2.0**44), 2.0**42, -(2.0**42)} <= set(found)


def test_pieces_around_the_sixteen_breakpoints_nearest_to_the_mean_are_split() -> None:
    far_one, *others = [float(k) for k in range(100, 117)]
    found = set(ends(Law(117.0, 2.0), *others, far_one))
    assert far_one in found
    assert far_one - 2.0**-10 not in found
    for place in others:
        assert {place, place - 2.0**-10, place + 2.0**-10} <= found


def inside(low: float, high: float) -> tuple[_Piece, ...]:
    return (_Piece(-38.0, 38.0 + low), _Piece(low, high - low), _Piece(high, 38.0 - high))


# The mean of the largest of n standard normal inputs (Teichroew 1956, to ten digits; 2 and 3 by
# closed forms).
LARGEST = {
    1: 0.0,
    2: 1 / math.sqrt(math.pi),
    3: 1.5 / math.sqrt(math.pi),
    10: 1.5387527308,
    20: 1.8674750598,
}


@pytest.mark.parametrize("n", LARGEST)
def test_a_grid_weighs_by_the_law_of_the_largest_input(n: int) -> None:
    grid = _grid(n, inside(-1.0, 2.0), 128)
    weights = grid.density * grid.half * grid.weights
    assert np.sum(weights) == pytest.approx(1.0, abs=1e-13)
    assert np.sum(weights * grid.z) == pytest.approx(LARGEST[n], abs=1e-9)
    below = np.sum(weights[grid.z < -1.0])
    assert below == pytest.approx(stats.norm.cdf(-1.0) ** n, rel=1e-11, abs=0)


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_the_density_of_the_largest_keeps_its_digits_on_both_sides(n: int) -> None:
    grid = _grid(n, inside(-1.0, 2.0), 64)
    z, density = grid.z.ravel(), grid.density.ravel()
    for at in np.searchsorted(z, [-5.0, -1.0, 0.0, 3.0, 7.0, 12.0, 30.0]):
        with mp.workdps(40):
            true = n * mp.npdf(mpf(z[at])) * mp.ncdf(mpf(z[at])) ** (n - 1)
        if true < 1e-300:
            assert density[at] < 1e-299
        else:
            assert density[at] == pytest.approx(float(true), rel=2e-12, abs=0)


def test_panels_are_as_dense_everywhere_and_each_piece_has_its_least() -> None:
    pieces = (_Piece(-14.0, 14.0), _Piece(0.0, 1e-9), _Piece(1e-9, 7.0), _Piece(8.0, 28.0))
    for panels in (64, 128, 256):
        each = np.diff(np.searchsorted(_grid(1, pieces, panels).z[:, 0], [-15, 0, 1e-9, 7.5, 99]))
        assert each.tolist() == [panels // 2, panels // 64, panels // 4, panels]


def test_panels_fill_their_pieces() -> None:
    pieces = (_Piece(-3.0, 0.5), _Piece(2.0, 1e-3), _Piece(5.0, 9.0))
    grid = _grid(1, pieces, 256)
    of_piece = [(grid.z > p.low) & (grid.z < p.low + p.width) for p in pieces]
    lengths = [np.sum((grid.half * grid.weights)[within]) for within in of_piece]
    np.testing.assert_allclose(lengths, [0.5, 1e-3, 9.0], rtol=1e-12)
    assert np.all(sum(of_piece))


def test_the_outermost_half_standard_deviation_is_told_apart() -> None:
    grid = _grid(1, (_Piece(-20.0, 3.0), _Piece(-17.0, 20.0), _Piece(3.0, 17.0)), 512)
    assert np.array_equal(grid.outer, np.abs(np.mean(grid.z, axis=1)) > 19.5)


def test_rounding_of_x_far_out_is_felt_in_the_density() -> None:
    """What two units in the last place of z change, beyond what all terms are allowed."""
    grid = _grid(1, inside(-1.0, 2.0), 64)
    assert np.array_equal(grid.rough, np.abs(np.mean(grid.z, axis=1)) > 5.0)
    z = grid.z[grid.rough].ravel()[::10]
    with mp.workdps(40):
        changes = [mp.npdf(mpf(each) * (1 - mpf(2) ** -51)) / mp.npdf(mpf(each)) - 1 for each in z]
    np.testing.assert_allclose(
        grid.roughness.ravel()[::10], np.array(changes, float) - ROUNDING, rtol=1e-6
    )


def test_the_integral_of_a_composite_rule_and_of_the_absolute_value() -> None:
    law = Law(2.0, 3.0)
    pieces = inside(-2 / 3, 1.0)  # split where x is 0
    found = _composite(lambda xp, x: x, law, 1, pieces, 256)
    assert found.value == pytest.approx(2.0, rel=1e-12)
    assert found.size == pytest.approx(float(stats.foldnorm.mean(2 / 3, scale=3.0)), rel=1e-12)
    assert (found.unresolved, found.peaked) == (0.0, True)
    outer = 2 * (stats.norm.cdf(4.0) - stats.norm.cdf(3.5))
    found = _composite(lambda xp, x: 1.0 - 2 * (x > 2), law, 1, (_Piece(-4.0, 8.0),), 448)
    assert found.tail == pytest.approx(outer, rel=1e-9)
    twos = _composite(lambda xp, x: xp.exp(x * x / 2), STANDARD, 1, (_Piece(8.0, 6.0),), 256)
    z = np.linspace(8.0, 14.0, 100_001)
    true = np.trapezoid(4 * z * z * 2.0**-53 - ROUNDING, z) / math.sqrt(2 * math.pi)
    assert twos.rounding == pytest.approx(true, rel=1e-6, abs=0)


def test_panels_are_added_without_loss() -> None:
    """The same panel three times, the third of which takes back what is huge in the first."""

    def f(xp: Any, x: Any) -> Any:
        return np.array([[1e25], [1.0], [-1e25]]) + 0 * x

    piece = _Piece(-1.0, ONE_PANEL)
    once = _composite(lambda xp, x: 1 + 0 * x, STANDARD, 1, (piece,), 64).value
    assert _composite(f, STANDARD, 1, (piece,) * 3, 64).value == pytest.approx(once, rel=1e-15)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_an_integral_with_a_term_that_is_no_number_is_none(bad: float) -> None:
    found = _composite(lambda xp, x: bad + 0 * x, STANDARD, 1, (_Piece(-1.0, 2.0),), 64)
    assert math.isnan(found.value)


def last_legendre(panels: int) -> Callable[[Any, Any], Any]:
    """Return what, times the density, is a Legendre polynomial of degree 15 in so many panels."""

    def f(xp: Any, x: Any) -> Any:
        place = x / WIDTH
        t = 2 * (place - np.floor(place)) - 1
        y = np.polynomial.legendre.Legendre.basis(15)(t) / stats.norm.pdf(x)
        return np.where(place < panels, y, 0.0)

    return f


@pytest.mark.parametrize(("panels", "peaked"), [(1, True), (19, True), (21, False), (64, False)])
def test_what_panels_do_not_resolve_counts_at_the_finest(panels: int, peaked: bool) -> None:
    """Each is wrong by half its last coefficient times its width; a twentieth makes a peak."""
    piece = _Piece(0.0, 64 * WIDTH)
    found = _composite(last_legendre(panels), STANDARD, 1, (piece,), MOST)
    assert found.unresolved == pytest.approx(panels * WIDTH / 2, rel=1e-6)
    assert found.peaked is peaked
    for fewer in (64, 128, 1024):
        found = _composite(last_legendre(panels), STANDARD, 1, (piece,), fewer)
        assert (found.unresolved, found.peaked) == (0.0, True)


def test_nothing_that_is_unresolved_has_no_spread() -> None:
    found = _composite(lambda xp, x: 0 * x, STANDARD, 1, (_Piece(0.0, 1.0),), MOST)
    assert found == _Sum(0.0, 0.0, 0.0, 0.0, 0.0, True)


@pytest.mark.parametrize(("steps", "edge"), [(55, 1), (56, 2), (111, 2), (112, 3)])
def test_the_trapezoid_rule_and_its_outermost_56ths(steps: int, edge: int) -> None:
    found = _trapezoid(lambda xp, t: t - 1000.0, 1000.0, 1000.0 + 2 * steps, steps)
    assert found.value == found.size == 2 * steps * (steps + 1)  # of 0, 2, ... in steps of 2
    outermost = [*range(edge), *range(steps + 1 - edge, steps + 1)]
    assert found.tail == pytest.approx(4 * sum(outermost), rel=1e-14)
    below = _trapezoid(lambda xp, t: -t, 0.0, float(steps), steps)
    assert (below.value, below.size) == (-steps * (steps + 1) / 2, steps * (steps + 1) / 2)
    assert below.tail == sum(outermost)
    assert below[3:] == (0.0, 0.0, True)  # no more is known of its error


@pytest.mark.parametrize("width", [0.01, 0.2, 1.0, 3.0])
def test_an_integral_between_ends_is_known_within_its_error(width: float) -> None:
    known = Expectation(STANDARD).integral(lambda xp, t: xp.exp(-t * t / width**2), -9.0, 10.0)
    with mp.workdps(30):
        w = mpf(width)
        true = w * mp.sqrt(mp.pi) / 2 * (mp.erf(10 / w) + mp.erf(9 / w))
        assert abs(known.value - true) <= known.error
    assert known.error < (1e-13 if width < 3 else 1e-3) * known.value

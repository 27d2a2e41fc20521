"""The detector of jumps and breakpoints, and slopes by finite differences."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from elementwise_support import CASES, event_of, value_and_slope

from bnstats.backends import numpy_backend
from bnstats.custom.breaks import FLOAT32, FLOAT64, Breaks, breaks, resolution_of
from bnstats.custom.slopes import Probe
from bnstats.layers import STANDARD, Law


def probe(f, breakpoints=(), law=STANDARD):
    return Probe(lambda xp, x: f(x), breakpoints, law)


def mp_slope(f, x):
    """Differentiate in 30 digits."""
    with mpmath.workdps(30):
        return np.array([float(mpmath.diff(f, mpmath.mpf(v))) for v in x])


@pytest.mark.parametrize(("name", "params"), CASES)
def test_declared_kinks_are_found_and_no_others(name, params):
    """Of every registered activation, from values of it and of its slope."""
    declared = event_of(name, params).breakpoints
    for law in (STANDARD, *(Law(point, 0.7) for point in declared)):
        value = breaks(lambda x: value_and_slope(name, params, x)[0], law)
        slope = breaks(lambda x: value_and_slope(name, params, x)[1], law)
        found = [*value.jumps, *value.bends, *slope.jumps, *slope.bends]
        assert all(min(abs(x - k) for k in (*declared, np.inf)) < 1e-8 for x in found), found
        near = [k for k in declared if abs(k - law.x_mean) < 9 * law.x_std]
        assert all(any(abs(x - k) < 1e-8 for x in found) for k in near), (near, found)


SMOOTH = {
    "steep": lambda x: np.tanh(50 * x),
    "steeper": lambda x: np.tanh(1e6 * x),
    "fast": lambda x: np.sin(1000 * x),
    "growing": np.exp,
    "power": lambda x: x**10,
    "constant": lambda x: 0 * x + 3,
    "linear": lambda x: 3 * x - 1,
    "cancelling": lambda x: (x**2 + 1e6) - 1e6,
    "rounded to steps": lambda x: (x + 1e8) - 1e8,
    "rounded tail": lambda x: np.log(1 + np.exp(x)),
    "undefined": lambda x: x * np.nan,
    "half undefined": lambda x: np.sqrt(x) * x * x,
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("law", [STANDARD, Law(3, 0.01), Law(-5, 2)], ids=str)
def test_nothing_is_found_where_nothing_jumps(name, law):
    assert breaks(SMOOTH[name], law) == Breaks()


@pytest.mark.parametrize(
    ("function", "jumps", "bends"),
    [
        (lambda x: (x > 0.3) * 1.0, (0.3,), ()),
        (np.sign, (0.0,), ()),
        (np.floor, tuple(range(-9, 11)), ()),
        (lambda x: np.tanh(x) + 1e-6 * (x > np.pi), (np.pi,), ()),
        (lambda x: 1 / x, (0.0,), ()),
        (np.abs, (), (0.0,)),
        (lambda x: np.clip(x, -1 / 3, 2), (), (-1 / 3, 2.0)),
        (lambda x: np.where(x > 0, x, 0.999 * x), (), (0.0,)),
        (lambda x: np.maximum(x, 0) + np.maximum(x - 0.01, 0), (), (0.0, 0.01)),
        (lambda x: np.sqrt(np.abs(x)), (), (0.0,)),
        (lambda x: np.exp(np.abs(x - 1)) + (x > 2), (2.0,), (1.0,)),
        (lambda x: 1e8 * np.maximum(x + np.e, 0), (), (-np.e,)),
    ],
)
def test_jumps_and_bends_are_located(function, jumps, bends):
    found = breaks(function, STANDARD)
    np.testing.assert_allclose(found.jumps, jumps, rtol=0, atol=3e-12)
    np.testing.assert_allclose(found.bends, bends, rtol=0, atol=2e-9)


@pytest.mark.parametrize(
    "law", [Law(1000, 1), Law(0, 1e-6), Law(0, 1e6), Law(-3, 1e-30), Law(2, 1e50)], ids=str
)
def test_the_scan_follows_the_law(law):
    jump, bend = law.x_mean + 0.7 * law.x_std, law.x_mean - 0.3 * law.x_std
    found = breaks(lambda x: np.maximum((x - bend) / law.x_std, 0) + (x > jump), law)
    if law.x_std * 2**40 < abs(law.x_mean):  # the digits of x do not suffice
        assert found == Breaks()
        return
    assert [round((x - law.x_mean) / law.x_std, 7) for x in found.jumps] == [0.7]
    assert [round((x - law.x_mean) / law.x_std, 7) for x in found.bends] == [-0.3]


SLOPES = {
    "tanh": (np.tanh, mpmath.tanh, 1e-11),
    "gaussian": (lambda x: np.exp(-x * x), lambda x: mpmath.exp(-x * x), 1e-11),
    "steep": (lambda x: np.tanh(50 * x), lambda x: mpmath.tanh(50 * x), 5e-8),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_equal_mpmath(name):
    f, exact, tolerance = SLOPES[name]
    x = np.random.default_rng(5).normal(size=300)
    wanted = mp_slope(exact, x)
    quick = probe(f).quick_slope(numpy_backend, x)
    np.testing.assert_allclose(quick, wanted, rtol=0, atol=tolerance)
    careful, error = probe(f).careful_slope(x)
    np.testing.assert_allclose(careful, wanted, rtol=0, atol=tolerance / 10)
    assert (np.abs(careful - wanted) <= error).all()
    assert error.min() < 1e-12
    assert error.max() < 1e-6


@pytest.mark.parametrize("distance", [1e-12, 1e-9, 1e-6, 9e-5, 1.5e-4, 2.4e-4, 1e-3, 9e-3])
@pytest.mark.parametrize("side", [-1, 1])
def test_no_stencil_straddles_a_kink(distance, side):
    breakpoints = (-1.0, 0.5)
    x = np.array([k + side * distance for k in breakpoints])
    # x² between the breakpoints, and a jump of value and slope at each of them

    def f(x):
        return np.where(x > 0.5, np.exp(x), np.where(x > -1, x * x, 7 * x))

    wanted = np.where(x > 0.5, np.exp(x), np.where(x > -1, 2 * x, 7.0))
    quick = probe(f, breakpoints).quick_slope(numpy_backend, x)
    np.testing.assert_allclose(quick, wanted, rtol=2e-7)
    if distance >= 1e-9:
        careful, error = probe(f, breakpoints).careful_slope(x)
        np.testing.assert_allclose(careful, wanted, rtol=1e-10)
        assert (error < 1e-9).all()


def test_slopes_know_how_far_apart_they_are():
    assert probe(np.tanh).disagreement() < 1e-10
    assert probe(lambda x: np.tanh(500 * x)).disagreement() > 1e-6
    assert probe(np.abs, (0.0,)).disagreement() < 1e-10
    assert probe(lambda x: 0 * x + 3).disagreement() == 0
    # scales at which y has few digits left for its slope, and none
    assert probe(np.exp, (), Law(0, 1e-9)).disagreement() > 1e-6
    assert probe(np.exp, (), Law(0, 1e-15)).disagreement() > 1


def test_a_wrong_slope_is_found_and_a_right_one_is_not():
    assert probe(np.sin).worst_slope(np.cos) is None
    assert probe(np.abs, (0.0,)).worst_slope(np.sign) is None
    steep = probe(lambda x: np.tanh(50 * x))
    assert steep.worst_slope(lambda x: 50 / np.cosh(50 * x) ** 2) is None
    x, given, found = probe(np.sin).worst_slope(lambda x: np.cos(x) + 1e-3 * (x > 2))
    assert x > 2
    assert given - found == pytest.approx(1e-3, rel=1e-6)
    assert found == pytest.approx(np.cos(x), abs=1e-9)


# What casts to float32, and what is constant between its jumps


def single(x):
    return np.asarray(x, np.float32).astype(float)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.tanh(single(x)),  # x is cast
        lambda x: single(np.tanh(x)),  # y is cast
        lambda x: single(single(x) * single(1 / (1 + np.exp(-single(x))))),
        lambda x: single(np.exp(single(x))),
    ],
)
def test_the_rounding_of_float32_is_no_jump_and_no_bend(f) -> None:
    resolution = resolution_of(f, STANDARD)
    assert resolution is FLOAT32
    assert breaks(f, STANDARD, resolution) == ((), ())


def test_breaks_are_found_in_what_casts_to_float32() -> None:
    assert len(breaks(lambda x: np.tanh(single(x)), STANDARD).jumps) > 1000  # unless it is known

    def f(x):
        return single(np.where(x > 0.3, np.tanh(single(x)) + 0.01, np.abs(single(x))))

    jumps, bends = breaks(f, STANDARD, resolution_of(f, STANDARD))
    assert jumps == pytest.approx([0.3], abs=1e-7)
    assert bends == pytest.approx([0.0], abs=1e-3)


@pytest.mark.parametrize(
    "f",
    [
        np.tanh,
        np.sign,
        np.abs,
        lambda x: np.maximum(x, 0),
        lambda x: np.round(x * 1024) / 1024,  # every value is a float32
        lambda x: np.round(x),
        lambda x: 0 * x + 1 / 3,
        lambda x: x * x,
    ],
)
def test_other_functions_are_of_float64(f) -> None:
    assert resolution_of(f, STANDARD) is FLOAT64
    assert resolution_of(f, Law(0.3, 2.0)) is FLOAT64


@pytest.mark.parametrize("power", [0.2, 1 / 3, 0.5, 2 / 3])
def test_a_steep_function_bends_nowhere(power: float) -> None:
    assert breaks(lambda x: np.exp(power * x * x), STANDARD) == ((), ())


def test_a_bend_of_a_steep_function_is_found() -> None:
    found = breaks(lambda x: np.exp(x * x / 5) + 3 * np.abs(x - 1.2345), STANDARD)
    assert found.bends == pytest.approx([1.2345], abs=1e-8)


@pytest.mark.parametrize(
    ("f", "breakpoints", "constant"),
    [
        (np.sign, (0.0,), True),
        (lambda x: np.floor(4 * x), tuple(k / 4 for k in range(-60, 60)), True),
        (lambda x: np.floor(4 * x), (0.0,), False),
        (np.abs, (0.0,), False),
        (lambda x: np.sign(x) + 1e-13 * x, (0.0,), False),
    ],
)
def test_a_step_is_known_to_be_constant_between_its_jumps(f, breakpoints, constant) -> None:
    assert probe(f, breakpoints).is_constant() == constant

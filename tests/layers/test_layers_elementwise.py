"""Values and slopes of every elementwise layer, against oracles that share no formula with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import oracles_elementwise as oracles
import pytest
from elementwise_support import CASES, NAMES, event_of, value_and_slope

from bnstats.backends import numpy_backend
from bnstats.layers import LAYERS
from bnstats.specs.spec import parse, value_text

every_case = pytest.mark.parametrize(("name", "params"), CASES)


def cases_of(library: str) -> Any:
    """Return the mark for the cases that a library has too."""
    had = [c for c in CASES if getattr(oracles.ELEMENTWISE[c.values[0]], library) is not None]
    return pytest.mark.parametrize(("name", "params"), had)


_random = np.random.default_rng(1)
POINTS = np.concatenate(
    [
        _random.normal(size=60),
        _random.uniform(-12, 12, 40),
        [-700.0, -100.0, -30.0, -1e-3, -1e-9, 1e-9, 1e-3, 30.0, 100.0, 700.0],
    ]
)


def mp_function(name: str, params: dict[str, Any]) -> Callable[[Any], Any]:
    return functools.partial(oracles.ELEMENTWISE[name].mp, **params)


def away_from_kinks(name: str, params: dict[str, Any], x: np.ndarray, gap: float) -> np.ndarray:
    for point in event_of(name, params).breakpoints:
        x = x[np.abs(x - point) > gap]
    return x


def test_every_elementwise_layer_has_an_oracle():
    assert NAMES, "the registry is empty"
    absent = set(NAMES) - set(oracles.ELEMENTWISE)
    assert not absent, "add an oracle to tests/support/oracles_elementwise.py"


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_tested_away_from_its_default(name):
    cases = oracles.ELEMENTWISE[name].cases
    for parameter in LAYERS[name].parameters:
        assert any(
            case.get(parameter.name, parameter.default) != parameter.default for case in cases
        ), f"{name}: {parameter.name}"


@every_case
def test_value_and_slope_equal_mpmath(name, params):
    f = mp_function(name, params)
    x = away_from_kinks(name, params, POINTS, 0.0)
    y, slope = value_and_slope(name, params, x)
    np.testing.assert_allclose(y, oracles.mp_values(f, x), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(slope, oracles.mp_slopes(f, x), rtol=1e-13, atol=5e-15)


@cases_of("torch")
def test_value_and_slope_equal_torch(name, params):
    x = np.concatenate(
        [POINTS, event_of(name, params).breakpoints]
    )  # ties of the slope as torch's too
    y, slope = oracles.torch_value_and_slope(name, x, params)
    ours = value_and_slope(name, params, x)
    np.testing.assert_allclose(ours[0], y, rtol=1e-12, atol=5e-14)
    np.testing.assert_allclose(ours[1], slope, rtol=1e-12, atol=5e-14)


@cases_of("jax")
def test_value_and_slope_equal_jax(name, params):
    x = away_from_kinks(name, params, POINTS, 0.0)
    y, slope = oracles.jax_value_and_slope(name, x, params)
    ours = value_and_slope(name, params, x)
    np.testing.assert_allclose(ours[0], y, rtol=1e-12, atol=5e-14)
    np.testing.assert_allclose(ours[1], slope, rtol=1e-12, atol=5e-14)


def jumps(f: Callable[[Any], Any]) -> np.ndarray:
    """Find where f jumps on ±45: bisect every small interval towards its larger change."""
    edges = np.linspace(-45, 45, 45_001) + np.pi * 1e-5
    low, high = edges[:-1].copy(), edges[1:].copy()
    at_low, at_high = f(low), f(high)
    for _ in range(44):
        middle = (low + high) / 2
        at_middle = f(middle)
        left = np.abs(at_middle - at_low) > np.abs(at_high - at_middle)
        high, at_high = np.where(left, middle, high), np.where(left, at_middle, at_high)
        low, at_low = np.where(left, low, middle), np.where(left, at_low, at_middle)
    return low[np.abs(at_high - at_low) > 1e-11 * np.maximum(1, np.abs(at_low))]


def curvature(name: str, params: dict[str, Any], x: float, h: float) -> float:
    slopes = value_and_slope(name, params, np.array([x + h, x + 2 * h]))[1]
    return float(slopes[1] - slopes[0]) / h


@every_case
def test_value_or_slope_jumps_at_the_declared_kinks_and_nowhere_else(name, params):
    breakpoints = event_of(name, params).breakpoints
    found = np.concatenate(
        [jumps(lambda x, part=part: value_and_slope(name, params, x)[part]) for part in (0, 1)]
    )
    for jump in found:
        assert any(abs(jump - point) < 1e-9 for point in breakpoints), (
            f"undeclared breakpoint at {jump}"
        )
    for (
        point
    ) in breakpoints:  # where the slope is continuous (elu at alpha = 1), its slope must jump
        jumped = np.any(np.abs(found - point) < 1e-9)
        bent = (
            abs(curvature(name, params, point, 1e-4) - curvature(name, params, point, -1e-4)) > 0.1
        )
        assert jumped or bent, f"nothing happens at {point}"


@every_case
def test_values_and_slopes_have_their_digits_near_zero_and_in_both_tails(name, params):
    # rounding of x and of a few operations; a function as steep as f ~ x^k amplifies it k times
    x = np.array([s * v for v in (1e-7, 1e-3, 0.3, 4, 7, 14, 27, 40) for s in (-1.0, 1.0)])
    x = away_from_kinks(name, params, x, 0.0)
    true_y, true_slope, bend = oracles.mp_tails(mp_function(name, params), x).T
    y, slope = value_and_slope(name, params, x)
    for found, true, change in [(y, true_y, true_slope), (slope, true_slope, bend)]:
        allowed = 16 * 2.0**-53 * (np.abs(true) + np.abs(x * change)) + 1e-300
        wrong = np.abs(found - true) > allowed
        assert not wrong.any(), (x[wrong], found[wrong], true[wrong])


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tails_are_finite_and_keep_the_dtype(name, params, dtype):
    x = np.array([-700, -90, -30, -1, 0, 1, 30, 90, 700], dtype)
    y, slope = value_and_slope(name, params, x)
    assert y.dtype == slope.dtype == dtype
    true = oracles.mp_values(mp_function(name, params), x)
    fits = np.abs(true) < np.finfo(dtype).max
    assert fits.all() or name == "exponential"
    assert np.isfinite(y[fits]).all()
    assert np.isfinite(slope[fits]).all()


@every_case
def test_backward_is_dy_times_the_slope(name, params):
    x, dy = np.random.default_rng(2).normal(size=(2, 50))
    backward = event_of(name, params).forward(numpy_backend, {"x": x})[1]
    np.testing.assert_array_equal(backward(dy), dy * value_and_slope(name, params, x)[1])


@pytest.mark.parametrize("name", NAMES)
def test_aliases_are_the_same_layer(name):
    for alias in LAYERS[name].aliases:
        spec, _, carried = alias.partition(":")
        assert parse(spec).text == (f"{name}:{carried}" if carried else name)


def test_specs_bind_the_parameters_they_name():
    for name, params in (case.values for case in CASES):
        if params:
            spec = parse(f"{name}:" + ",".join(f"{k}={value_text(v)}" for k, v in params.items()))
            x = np.linspace(-3, 3, 31)
            y = spec.bound.forward(numpy_backend, {"x": x})[0]
            np.testing.assert_array_equal(y, value_and_slope(name, params, x)[0])

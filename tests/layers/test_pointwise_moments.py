"""Moments of functions of one number: what the registry tells of them, and bounds on rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_support import through

from bnstats.layers import (
    LAYERS,
    STANDARD,
    ExactMoments,
    Law,
    pointwise_layer,
    pointwise_moments,
)
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation

ULP = 2.0**-52  # of numbers from 1 to 2


def moments_of(value: Any, slope: Any, law: Law = STANDARD) -> ExactMoments:
    return pointwise_moments(value, slope, ())(law, Expectation(law))


def none(xp: Any, x: Any) -> Any:
    return 0 * x


def test_a_layer_says_where_it_is_and_what() -> None:
    about = {name: (LAYERS[name].family, LAYERS[name].summary) for name in ("relu", "softmax")}
    assert about == {
        "relu": ("rectifiers", "Rectified linear unit."),
        "softmax": ("softmax", "Softmax over n elements."),
    }
    assert LAYERS["conv2d"].family == "convolution"
    assert LAYERS["conv2d"].summary.startswith("Convolution, its weights")
    assert all(layer.summary and "\n" not in layer.summary for layer in LAYERS.values())


@pytest.mark.parametrize("law", [STANDARD, Law(0.75, 1.5, 2.0), Law(-2.0, 0.5, 1.0)])
def test_the_identity_by_hand(law: Law) -> None:
    """E[y²] = m² + s², whose derivative by ln s² is s²."""
    found = moments_of(lambda xp, x: x, lambda xp, x: xp.ones_like(x), law)
    square = law.x_std**2
    for known, true in (
        (found.mean_y, law.x_mean),
        (found.var_y, square),
        (found.cov_xy, square),
        (found.drift, square),
        (found.m4_y, 3 * square**2),
        (found.ms_dx, law.dy_std**2),
        (found.m4_dx, 3 * law.dy_std**4),
    ):
        assert abs(known.value - true) <= known.error
        assert known.error < 1e-11


def test_a_shift_costs_the_covariance_few_digits() -> None:
    """About the mean, x + 1000 is as small as x."""
    found = moments_of(lambda xp, x: x + 1000.0, lambda xp, x: xp.ones_like(x))
    assert abs(found.cov_xy.value - 1) <= found.cov_xy.error < 1e-13


@pytest.mark.parametrize("value", [1 / 3, -0.7, 1e5 / 7])
def test_a_constant_has_no_variance(value: float) -> None:
    var = moments_of(lambda xp, x: value + 0 * x, none).var_y
    assert var.value == 0
    assert 0 < var.error <= (2 * ULP * value) ** 2


def test_noise_of_rounding_is_no_variance() -> None:
    """The last digit of 1 is 1 or 0, a variance of up to ULP²/4 that tells nothing of f."""

    def value(xp: Any, x: Any) -> Any:
        return 1 + ULP * xp.astype(xp.sin(1e9 * x) > 0, x.dtype)

    var = moments_of(value, none).var_y
    assert var.value == 0
    assert ULP**2 / 4 <= var.error <= (4 * ULP) ** 2


def test_noise_that_grows_like_a_pole_is_no_variance_either() -> None:
    """Quadrature bounds it by nothing, but it is as small as the rounding of 1 all the same."""

    def value(xp: Any, x: Any) -> Any:
        return 1 + ULP * xp.floor(2.0**-11 / xp.sqrt(xp.maximum(xp.abs(x), 1e-12)))

    def square(xp: Any, x: Any) -> Any:
        return (value(xp, x) - 1) ** 2

    assert not Expectation(STANDARD)(square).is_finite
    var = moments_of(value, none).var_y
    assert var.value == 0
    assert ULP**2 / 4 <= var.error <= (4 * ULP) ** 2


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_silu_by_hand(beta: float) -> None:
    """x times a logistic s of βx, whose slope is s + βx·s·(1 − s)."""
    x = np.array([-2.0, -0.5, 0.0, 1.0, 3.0])
    y, slope = through(parse(f"silu:beta={beta}").bound, {"x": x, "dy": np.ones(5)})
    s = 0.5 * (1 + np.tanh(beta * x / 2))
    np.testing.assert_allclose(y, x * s, rtol=1e-14)
    np.testing.assert_allclose(slope, s + beta * x * s * (1 - s), rtol=1e-14)


@pytest.mark.parametrize("parameters", ["threshold=inf", "beta=5e-324"])
def test_a_breakpoint_at_infinity_is_none(parameters: str) -> None:
    assert parse(f"softplus:{parameters}").bound.breakpoints == ()
    assert parse("softplus:beta=2,threshold=3").bound.breakpoints == (1.5,)


def test_a_function_may_be_declared_to_break_at_infinity() -> None:
    bound = pointwise_layer(lambda xp, x: (x, xp.ones_like(x)), (-np.inf, 0.5, np.inf))
    assert bound.breakpoints == (0.5,)

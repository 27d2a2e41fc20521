"""Thresholds of normalisation: how many elements, and how small an eps, make which difference."""

from __future__ import annotations

import numpy as np
import oracles_axis as oracles
import pytest

from bnstats.layers import CONSTANT, LAYERS, STANDARD, Known, Law
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def stated(spec: str, law: Law = STANDARD) -> dict[str, Known]:
    return parse(spec).bound.moments(law, Expectation(law)).stated


def near(known: Known, true: float) -> None:
    assert abs(known.value - float(true)) <= known.error + 1e-12 * abs(float(true))
    assert known.error <= 1e-9 * abs(known.value)


def test_the_eps_of_a_root_mean_square_is_that_of_float64() -> None:
    (eps,) = (p for p in LAYERS["rms_norm"].parameters if p.name == "eps")
    assert eps.default == np.finfo(np.float64).eps


@pytest.mark.parametrize(
    ("eps", "std", "says"),
    [  # beside 2⁻⁵²·σ²
        (2.0**-52, 1.0, True),
        (2.0**-51, 1.0, False),
        (2.0**-51, 2.0, True),
        (2.0**-52, 0.5, False),
        (2.0**-54, 0.5, True),
    ],
)
def test_an_eps_below_the_rounding_of_the_variance_leaves_a_constant(
    eps: float, std: float, says: bool
) -> None:
    known = stated(f"rms_norm:normalized_shape=8,eps={eps!r}", Law(0.0, std, 1.0))
    assert (known["ms_y"].by == CONSTANT) == says
    assert ("var_ms_y" in known) == (not says)


def test_few_elements_may_all_be_as_small_as_an_eps() -> None:
    """E[1/v] is infinite of two, so that 1 − E[v/(v + eps)] is eps·log(1/eps)."""
    assert stated("rms_norm:normalized_shape=2")["ms_y"].by != CONSTANT
    assert stated("rms_norm:normalized_shape=3")["ms_y"].by == CONSTANT
    assert stated("layer_norm:normalized_shape=3,eps=1e-16")["ms_y"].by != CONSTANT
    assert stated("layer_norm:normalized_shape=4,eps=1e-16")["ms_y"].by == CONSTANT


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_gradients_under_the_least_eps_that_counts(n: int) -> None:
    """At 1e-100 the integrals go on for 230 units of log u where moments of 1/v diverge."""
    known = stated(f"rms_norm:normalized_shape={n},eps=1e-100")
    ms_dx = oracles.normalization_moments(n, 1e-100, 0.0, 1.0, centred=False)[2]
    near(known["ms_dx"], ms_dx)
    if n > 3:  # of fewer the square has most of its mean where v is 1e-100
        square = oracles.normalization_square(n, 1e-100, 0.0, 1.0, centred=False)
        near(known["var_ms_dx"], square - ms_dx**2)


def test_without_eps_the_square_of_a_gradient_has_a_mean_of_five_elements_or_more() -> None:
    assert "var_ms_dx" not in stated("rms_norm:normalized_shape=4,eps=0")
    known = stated("rms_norm:normalized_shape=5,eps=0")
    # Of a chi-square Q of 5, E[1/Q] = 1/3 and E[1/Q²] = 1/3: |dx|² is Q₄·5/Q.
    near(known["ms_dx"], 4 / 3)
    near(known["var_ms_dx"], 24 / 3 - (4 / 3) ** 2)


def test_the_spread_of_a_mean_square_is_stated_of_centred_inputs_alone() -> None:
    spec = "rms_norm:normalized_shape=8,eps=0.125"
    assert "var_ms_y" in stated(spec)
    assert "var_ms_y" not in stated(spec, Law(0.5, 1.0, 1.0))


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [(0.04, 0.1, True), (0.05, 0.1, False), (-0.05, 0.09, True), (0.1, 0.05, False)],
)
def test_the_eps_of_float32_is_mentioned_where_it_is_felt(
    mean: float, std: float, says: bool
) -> None:
    """By an E[x²] of 2⁻²³/1e-5 = 0.01192."""
    under = parse("rms_norm:normalized_shape=8").bound.under
    assert under is not None
    assert bool(under(Law(mean, std, 1.0)).hints) == says


@pytest.mark.parametrize("k", [1e-30, 1e-4, 1.0, 1e30])
def test_local_response_without_alpha_divides_by_a_power(k: float) -> None:
    known = stated(f"local_response_norm:size=3,alpha=0,k={k!r},num_channels=4", Law(0.5, 2.0, 3.0))
    near(known["mean_y"], 0.5 * k**-0.75)
    near(known["var_y"], 4 * k**-1.5)
    near(known["ms_dx"], 9 * k**-1.5)

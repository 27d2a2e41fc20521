"""Initialisers by hand: draws by the quantiles of scipy, symmetry without error, any scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from layer_support import through
from scipy import stats

from bnstats.layers import STANDARD, Known
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def stated(spec: str) -> dict[str, Known]:
    return parse(spec).bound.moments(STANDARD, Expectation(STANDARD)).stated


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(-2.0, 2.0), (-2.0, 1.5), (-2.0, 1.75), (-1.0, 2.0), (-7.0, -6.0), (6.0, 7.0)],
)
def test_draws_are_quantiles_of_the_half_with_less_beyond_it(lower: float, upper: float) -> None:
    u = np.linspace(0, 1, 9)
    draws = {"x": np.zeros(9), "dy": np.ones(9), "weight": u}
    y, dx = through(parse(f"truncated_normal:lower={lower},upper={upper},std=0.5").bound, draws)
    law = stats.truncnorm(lower, upper)
    # Above 0 by the mirrored law, whose tail scipy takes from the other side.
    true = law.ppf(u) if lower + upper <= 0 else law.isf(u)
    np.testing.assert_allclose(y, 0.5 * true, rtol=1e-9, atol=1e-12)
    assert not dx.any()


def test_what_symmetry_tells_has_no_error() -> None:
    zero = Known(0.0, 0.0, "symmetry")
    for spec in (
        "truncated_normal",
        "truncated_normal:lower=-3,upper=3,std=0.25",
        "variance_scaling",
        "variance_scaling:distribution=normal",
        "variance_scaling:distribution=uniform",
    ):
        known = stated(spec)
        assert known["mean_y"] == zero
        assert known["m3_y"] == zero
    assert stated("truncated_normal:lower=-2,upper=1")["mean_y"].by != "symmetry"


@pytest.mark.parametrize("spec", ["truncated_normal:lower=0", "complex_truncated_normal"])
def test_moments_and_their_errors_scale(spec: str) -> None:
    """By powers of two without rounding."""
    one, small = stated(spec), stated(f"{spec}{',' if ':' in spec else ':'}std={2.0**-10!r}")
    for name, power in (("mean_y", 1), ("var_y", 2), ("m3_y", 3), ("m4_y", 4)):
        assert small[name] == 2.0 ** (-10 * power) * one[name]


def test_half_a_normal_by_hand() -> None:
    """Without an upper bound that is felt: E|z| = √(2/π), E|z|³ = 2·E|z|."""
    known, mean = stated("truncated_normal:lower=0,upper=8"), math.sqrt(2 / math.pi)
    true = {
        "mean_y": mean,
        "var_y": 1 - mean**2,
        "m3_y": 2 * mean - 3 * mean + 2 * mean**3,
        "m4_y": 3 - 8 * mean**2 + 6 * mean**2 - 3 * mean**4,
    }
    for name, value in true.items():
        assert known[name].value == pytest.approx(value, rel=1e-10)  # beyond 8 lies 5e-12 of E[z⁴]
        assert known[name].error < 1e-12

"""Weights with the variance that was asked for, by hand: cut laws, fans and kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from layer_support import draws_of, through
from scipy import stats

from bnstats.errors import BnstatsError
from bnstats.layers import STANDARD, BoundLayer, Known
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def bound_of(spec: str) -> BoundLayer:
    return parse(spec).bound


def stated(spec: str) -> dict[str, Known]:
    return bound_of(spec).moments(STANDARD, Expectation(STANDARD)).stated


def of_weights(spec: str, weight: np.ndarray) -> np.ndarray:
    bound = bound_of(spec)
    draws = draws_of(bound, weight.shape[-1]) | {"weight": weight}
    return through(bound, draws)[0]


# --- laws that are cut ----------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["", ",lower=-3,upper=1", ",lower=0", ",lower=6,upper=7"])
def test_corrected_weights_have_the_sigma_that_is_asked_for(ends: str) -> None:
    var = stated(f"truncated_normal:corrected=true,std=0.5{ends}")["var_y"]
    assert var.value == pytest.approx(0.25, rel=1e-12)


def test_cut_normals_have_scipys_variance() -> None:
    for lower, upper in ((-2, 2), (-3, 1), (0, 2), (6, 7)):
        var = stated(f"truncated_normal:std=0.5,lower={lower},upper={upper}")["var_y"].value
        assert var == pytest.approx(stats.truncnorm(lower, upper).var() / 4, rel=1e-8)


@pytest.mark.parametrize("upper", [0.5, 1.0, 2.0, 3.0])
def test_moduli_by_hand(upper: float) -> None:
    """P(|w| ≤ r) is (1 − e^−r²)/(1 − e^−c²) up to the cut c, and E|w|² = 1 − c²/(e^c² − 1)."""
    spec = f"complex_truncated_normal:std=0.5,upper={upper}"
    known = stated(spec)
    square = known["var_y"].value + known["mean_y"].value ** 2
    assert square == pytest.approx((1 - upper**2 / math.expm1(upper**2)) / 4, rel=1e-12)
    corrected = stated(f"{spec},corrected=true")
    square = corrected["var_y"].value + corrected["mean_y"].value ** 2
    assert square == pytest.approx(0.25, rel=1e-12)
    u = np.array([0.0, 0.25, 0.5, 1.0])
    y = of_weights(spec, u)
    np.testing.assert_allclose(np.expm1(-((2 * y) ** 2)) / np.expm1(-(upper**2)), u, atol=1e-15)
    assert y[-1] == pytest.approx(upper / 2, rel=1e-14)
    assert of_weights(f"{spec},corrected=true", u)[-1] > y[-1]


def test_cuts_that_hold_nothing_are_refused() -> None:
    for lower, upper in (("1", "1"), ("2", "1")):
        with pytest.raises(BnstatsError, match=f"lower={lower} is not below upper={upper}"):
            parse(f"truncated_normal:lower={lower},upper={upper}")
    for ends in ("lower=-8.01", "upper=8.01"):
        with pytest.raises(BnstatsError, match="outside"):
            parse(f"truncated_normal:{ends}")
    parse("truncated_normal:lower=-8,upper=8")
    parse("complex_truncated_normal:upper=8")
    with pytest.raises(BnstatsError, match="outside"):
        parse("complex_truncated_normal:upper=0")


# --- fans and kernels -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "fan"), [("fan_in", 18), ("fan_out", 6), ("fan_avg", 12), ("fan_geo_avg", 108**0.5)]
)
@pytest.mark.parametrize(
    ("distribution", "kurtosis"), [("normal", 3.0), ("uniform", 1.8), ("truncated_normal", None)]
)
def test_weights_are_scaled_by_their_fans(
    mode: str, fan: float, distribution: str, kurtosis: float | None
) -> None:
    """Of 6 inputs and 2 outputs at each of 3 positions."""
    sizes = "in_features=6,out_features=2,receptive_field=3,scale=3"
    known = stated(f"variance_scaling:mode={mode},distribution={distribution},{sizes}")
    assert known["var_y"].value == pytest.approx(3 / fan, rel=1e-12)
    if kurtosis is not None:
        assert known["m4_y"].value == pytest.approx(kurtosis * 9 / fan**2, rel=1e-12)


def test_fans_of_a_kernel_are_told() -> None:
    spec = "variance_scaling:in_features=6,out_features=4,receptive_field="
    assert bound_of(f"{spec}2").hints == ("fans: in 12, out 8",)
    assert bound_of(f"{spec}1").hints == ()
    assert bound_of(f"{spec}2,distribution=normal").hints == ("fans: in 12, out 8",)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (2, 5), (1, 1)])
@pytest.mark.parametrize(("positions", "middle"), [(1, 0), (2, 0), (3, 1), (4, 1), (9, 4)])
def test_a_delta_kernel_is_orthogonal_in_its_middle(
    inputs: int, outputs: int, positions: int, middle: int
) -> None:
    spec = f"in_channels={inputs},out_channels={outputs},receptive_field={positions},gain=2"
    bound = bound_of(f"delta_orthogonal:{spec}")
    y = through(bound, draws_of(bound, 2))[0]
    assert y.shape == (outputs, inputs, positions, 2)
    taps = y[..., 0]
    np.testing.assert_allclose(
        taps[..., middle].T @ taps[..., middle], 4 * np.eye(inputs), atol=1e-14
    )
    assert np.count_nonzero(taps) == inputs * outputs
    known = stated(f"delta_orthogonal:{spec}")
    assert known["ms_y"].value == pytest.approx(np.mean(taps**2), rel=1e-13)


def test_a_delta_kernel_has_no_fewer_outputs_than_inputs() -> None:
    with pytest.raises(BnstatsError, match="in_channels=3 is more than out_channels=2"):
        parse("delta_orthogonal:in_channels=3,out_channels=2")


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (2, 5), (5, 2)])
def test_an_orthogonal_matrix_has_unit_rows_or_columns(inputs: int, outputs: int) -> None:
    spec = f"orthogonal:in_features={inputs},out_features={outputs},gain=0.5"
    bound = bound_of(spec)
    matrix = through(bound, draws_of(bound, 1))[0][..., 0]
    assert matrix.shape == (outputs, inputs)
    gram = matrix @ matrix.T if outputs < inputs else matrix.T @ matrix
    np.testing.assert_allclose(gram, 0.25 * np.eye(min(inputs, outputs)), atol=1e-15)
    assert stated(spec)["ms_y"].value == pytest.approx(np.mean(matrix**2), rel=1e-13)

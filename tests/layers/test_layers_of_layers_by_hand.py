"""What holds layers together, by hand: bounds of shifts, black boxes, sides, names and fans."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import numpy as np
import pytest
from layer_support import through

from bnstats.layers import (
    STANDARD,
    BoundLayer,
    Known,
    Law,
    chained,
    find,
    scaled,
    weights,
)
from bnstats.layers._parameters import parameters_of
from bnstats.layers._windows import Side, Stretch
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def bound_of(spec: str) -> BoundLayer:
    return parse(spec).bound


def stated(spec: str, law: Law = STANDARD) -> dict[str, Known]:
    return bound_of(spec).moments(law, Expectation(law)).stated


# --- layers of layers -----------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [1000.1, -1000.1, 3e5 / 7, -1.3, 0.7])
@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_the_mean_of_a_shifted_layer_lies_within_its_bound(factor: float, shift: float) -> None:
    law = Law(0.5, 1.5, 1.0)  # E[x²] = 2.5 without rounding
    known = scaled(bound_of("square"), factor, shift).moments(law, Expectation(law)).mean_y
    true = Fraction(factor) * Fraction(5, 2) + Fraction(shift)
    assert abs(Fraction(known.value) - true) <= Fraction(known.error)
    assert known.error <= 1e-15 * (abs(shift) + 1)


def test_a_chain_is_as_black_as_one_of_its_boxes() -> None:
    relu, pool = bound_of("relu"), bound_of("max_pool1d:kernel_size=2")
    black = replace(relu, is_black_box=True)
    assert chained(black, pool).is_black_box
    assert chained(pool, black).is_black_box
    assert not chained(relu, pool).is_black_box


def test_what_is_wrong_with_slopes_says_nothing_of_values() -> None:
    """Of a scalar black box alone: of others the reason that is given holds for both."""
    why, unknown = "it has a fault", "infinite, or beyond what quadrature can tell"
    scalar = replace(bound_of("relu"), why_inexact=why)
    pool = replace(bound_of("max_pool1d:kernel_size=2"), why_inexact=why)
    for bound, of_y in (
        (scalar, why),
        (replace(scalar, is_black_box=True), unknown),
        (pool, why),
        (replace(pool, is_black_box=True), why),
    ):
        assert bound.why_unknown("y") == of_y
        assert bound.why_unknown("dx") == why


# --- names and parameters -------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [1, 2, 3])
def test_keras_crops_by_one_where_it_is_not_told(sides: int) -> None:
    found = find(f"keras.Cropping{sides}D")
    assert found is not None
    assert (found[0].name, found[1]) == (f"cropping{sides}d", f"cropping={0 if sides == 2 else 1}")


def test_the_kind_of_a_parameter_is_that_of_its_hint() -> None:
    def build(*, a: int, b: float, c: int | float, d: bool, e: str) -> BoundLayer:
        raise NotImplementedError

    found = {p.name: p.kind for p in parameters_of(build)}
    assert found == {"a": "int", "b": "float", "c": "number", "d": "bool", "e": "word"}


@pytest.mark.parametrize(
    ("init", "gain", "square"),
    [
        # of 6 inputs and 3 outputs
        ("lecun_normal", None, 1 / 6),
        ("lecun_uniform", 2.0, 4 / 6),
        ("he_normal", None, 2 / 6),
        ("glorot_normal", None, 2 / 9),
        ("kaiming_uniform", 3.0, 9 / 6),
        ("orthogonal", None, 1 / 6),
        ("orthogonal", 2.0, 4 / 6),
    ],
)
def test_mean_squares_of_weights_by_hand(init: str, gain: float | None, square: float) -> None:
    found = weights(init, "fan_in", gain, (3, 6))  # type: ignore[arg-type]
    assert found.ms == pytest.approx(square, rel=1e-14)


# --- maps and windows -----------------------------------------------------------------------------


def test_positions_at_the_border_have_fewer_windows_than_they_would() -> None:
    side = Side(5, (Stretch(0, 1, 4, 2),))
    assert side.visits == (-1, 2, 2, 2, -1)
    # windows of three at every second position: the middle one is in both
    assert Side(5, (Stretch(0, 2, 2, 3),)).visits == (-1, 1, 2, 1, -1)
    with pytest.raises(FrozenInstanceError):
        side.stretches[0].count = 3  # type: ignore[misc]


def test_two_aligned_positions_are_the_ends() -> None:
    spec = "upsample1d:size={},input_size=5,mode={},align_corners=true"
    x = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    for mode in ("linear", "cubic"):
        bound = bound_of(spec.format(2, mode))
        y, dx = through(bound, {"x": x, "dy": np.array([[3.0], [5.0]])})
        assert y[:, 0].tolist() == [1, 16]
        assert dx[:, 0].tolist() == [3, 0, 0, 0, 5]
        y = through(bound_of(spec.format(1, mode)), {"x": x, "dy": np.ones((1, 1))})[0]
        assert y[:, 0].tolist() == [1]


def test_windows_may_lie_in_the_padding_where_they_are_laid_out_or_summed() -> None:
    for spec in (
        "unfold:input_size=3,kernel_size=2,padding=2",
        "fold:output_size=3,kernel_size=2,padding=2",
    ):
        assert max(np.prod(i.shape) for i in bound_of(spec).inputs.values()) == (6 * 2) ** 2


def test_an_unpooled_pair_has_half_the_square_of_its_number() -> None:
    """The mean of y² is x²/2, whose variance is 2·σ⁴/4."""
    assert stated("max_unpool1d:kernel_size=2", Law(0.0, 2.0, 1.0))["var_ms_y"].value == 8
    assert "var_ms_y" not in stated("max_unpool1d:kernel_size=1", Law(0.0, 2.0, 1.0))


def test_a_bilinear_layer_without_biases_by_hand() -> None:
    """Two products of weights U(±1/√2), of variance 1/6, and of inputs of mean square 4."""
    spec = "bilinear:in1_features=2,in2_features=1,out_features=1,bias="
    law = Law(0.0, 2.0, 1.0)
    assert stated(f"{spec}false", law)["var_y"].value == pytest.approx(16 / 3, rel=1e-14)
    assert stated(f"{spec}true", law)["var_y"].value == pytest.approx(16 / 3 + 1 / 6, rel=1e-14)


@pytest.mark.parametrize("spec", ["gaussian_dropout:rate=0.5", "gaussian_noise:stddev=2"])
def test_noise_leaves_the_mean_slope(spec: str) -> None:
    assert stated(spec, Law(0.5, 1.0, 3.0))["mean_slope"] == Known(1.0)

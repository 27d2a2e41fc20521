"""What holds layers together, by hand: bounds of shifts, black boxes, names, marks and fans."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from bnstats.layers import (
    BoundLayer,
    Law,
    Range,
    chained,
    find,
    scaled,
    weights,
)
from bnstats.layers._parameters import Assumed, parameters_of
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def bound_of(spec: str) -> BoundLayer:
    return parse(spec).bound


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


def test_marks_of_parameters_are_alike() -> None:
    """So that two annotations with the same marks are the same."""
    assert Assumed() == Assumed()
    assert Range("[1, inf)") == Range("[1, inf)") != Range("(1, inf)")

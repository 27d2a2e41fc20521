"""Known numbers: bounds that hold at the ends of the operands' intervals, and no wider ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from typing import Any

import pytest

from bnstats.layers import UNKNOWN, ExactMoments, Known, MomentError, summed
from bnstats.layers._known import mixture

# Dyadic, so that floats and fractions agree to the last digit.
A, B, C = Known(1.5, 0.25, "quadrature"), Known(-0.75, 0.125), Known(0.0, 0.5)
OPERATIONS: dict[str, tuple[Callable[..., Any], tuple[Known, ...]]] = {
    "sum": (lambda a, b: a + b, (A, B)),
    "difference": (lambda a, b: a - b, (A, B)),
    "sum with a number": (lambda a: 2 + a + 3, (A,)),
    "difference from a number": (lambda a: 2 - a - 3, (B,)),
    "negative": (lambda a: -a, (A,)),
    "times a number": (lambda a: a * 4, (A,)),
    "a negative number times": (lambda a: -2 * a, (B,)),
    "over a number": (lambda a: a / -4, (A,)),
    "ratio": (lambda a, b: a / b, (A, Known(-0.75, 0.25))),
    "square above zero": (lambda a: a.squared() if isinstance(a, Known) else a * a, (A,)),
    "square below zero": (lambda a: a.squared() if isinstance(a, Known) else a * a, (B,)),
    "square about zero": (lambda a: a.squared() if isinstance(a, Known) else a * a, (C,)),
    "sum of three": (
        lambda a, b, c: summed(a, b, c) if isinstance(a, Known) else a + b + c,
        (A, B, C),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_bounds_are_reached_and_not_exceeded(name: str) -> None:
    operation, operands = OPERATIONS[name]
    found = operation(*operands)
    centre = operation(*(Fraction(k.value) for k in operands))
    ends = itertools.product(*((k.value - k.error, k.value + k.error) for k in operands))
    errors = [abs(operation(*map(Fraction, end)) - centre) for end in ends]
    assert Fraction(found.value) == centre
    assert Fraction(found.error) == max(errors)
    assert found.by == operands[0].by


def test_a_ratio_to_what_may_be_zero_is_unknown() -> None:
    for divisor in (C, Known(0.5, 0.5), Known(0.0), UNKNOWN):
        assert not (A / divisor).is_finite
    assert (A / C).by == "quadrature"


def test_a_sum_is_rounded_once() -> None:
    assert summed(Known(1e16), Known(1.0), Known(-1e16)).value == 1.0


def test_a_product_that_is_zero_has_no_sign() -> None:
    assert math.copysign(1.0, (-3 * Known(0.0)).value) == 1.0


def test_a_bound_grows_and_a_way_of_knowing_changes() -> None:
    assert A.widened(0.5) == Known(1.5, 0.75, "quadrature")
    assert A.known_by("constant") == Known(1.5, 0.25, "constant")


def test_known_numbers_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        A.value = 2.0  # type: ignore[misc]


@pytest.mark.parametrize("known", [UNKNOWN, Known(math.inf), Known(1.0, math.inf), Known(math.nan)])
def test_what_is_unknown_stays_so(known: Known) -> None:
    results = (known, known + A, A - known, 2 * known, known.squared(), known.widened(1.0))
    assert not any(k.is_finite for k in results)
    assert A.is_finite


def test_a_mixture_has_the_moments_of_its_enumeration() -> None:
    # Two points ±s about each mean, with the shares of the mixture.
    parts = [(0.25, Known(1.0), Known(4.0)), (0.75, Known(-1.0), Known(0.25))]
    points = [
        (share / 2, m.value + sign * math.sqrt(v.value))
        for share, m, v in parts
        for sign in (1, -1)
    ]
    mean = sum(p * x for p, x in points)
    assert mixture(parts)[0].value == mean
    assert mixture(parts)[1].value == sum(p * (x - mean) ** 2 for p, x in points)


def test_the_bounds_of_a_mixture_hold_at_the_ends() -> None:
    parts = [(0.25, Known(1.0, 1 / 16), Known(4.0, 0.5)), (0.75, Known(-1.0, 1 / 8), Known(1.0))]
    mean, var = mixture(parts)
    for signs in itertools.product((-1, 1), repeat=2):
        ends = [
            (share, Known(m.value + s * m.error), Known(v.value + v.error))
            for (share, m, v), s in zip(parts, signs, strict=True)
        ]
        found = mixture(ends)
        assert abs(found[0].value - mean.value) <= mean.error
        assert abs(found[1].value - var.value) <= var.error


def test_a_mixture_of_one_is_its_part() -> None:
    assert mixture([(1.0, A, B)]) == (A, B)


def test_moments_that_are_not_stated_are_unknown() -> None:
    moments = ExactMoments(mean_y=A, m4_dx=B)
    assert moments.stated == {"mean_y": A, "m4_dx": B}
    assert moments.var_y is UNKNOWN


def test_what_the_right_states_counts() -> None:
    both = ExactMoments(mean_y=A, var_y=A) | ExactMoments(var_y=B, ms_dx=C)
    assert both.stated == {"mean_y": A, "var_y": B, "ms_dx": C}


@pytest.mark.parametrize(
    ("stated", "message", "hint"),
    [
        ({"vary": A}, "there is no moment 'vary'", "did you mean var_y?"),
        ({"m4dx": A}, "there is no moment 'm4dx'", "did you mean m4_dx?"),
        ({"mode": A}, "there is no moment 'mode'", "the moments are mean_y, var_y, ms_y"),
        ({"mean_y": 0.5}, "moment mean_y is a float", "state Known(value)"),
        ({"mean_y": None}, "moment mean_y is a NoneType", "state Known(value)"),
    ],
)
def test_a_moment_that_does_not_exist_is_refused(
    stated: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(MomentError) as caught:
        ExactMoments(**stated)
    assert str(caught.value) == message
    assert str(caught.value.hint).startswith(hint)


def test_every_moment_is_documented() -> None:
    text = ExactMoments.__doc__ or ""
    assert all(f"\n    {field.name}\n        " in text for field in fields(ExactMoments))

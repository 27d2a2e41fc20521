"""Verdicts that an author could protest against: forms of print, ties, and other precisions."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnstats import exact
from bnstats.claims import Claim
from bnstats.claims.values import parse_value
from bnstats.claims.verdict import judge
from bnstats.specs.spec import parse
from bnstats.statistics.exact import Exact


def verdict(text: str, truth: float, error: float = 7e-15) -> str:
    claim = Claim("test", parse("relu"), "std_dx", parse_value(text))
    return judge(claim, {"std_dx": Exact(truth, error * abs(truth), "quadrature")}).outcome


@pytest.mark.parametrize(
    ("text", "value", "half_width"),
    [
        ("1/0.5838", 1 / 0.5838, 5e-5 / 0.5838**2),
        ("1/1.4142", 1 / 1.4142, 5e-5 / 1.4142**2),
        ("2*0.333 + 0.100", 0.766, 0.001 + 0.0005),
        ("0.371**2", 0.137641, 2 * 0.371 * 0.0005),
        ("sqrt(0.34)", math.sqrt(0.34), 0.005 / 2 / math.sqrt(0.34)),
        ("exp(-0.301)", math.exp(-0.301), 0.0005 * math.exp(-0.301)),
        ("sqrt(2/(1+0.01**2))", math.sqrt(2 / 1.0001), 0.0),
        ("0.5*sqrt(2)", math.sqrt(0.5), 0.0),
        ("1.25/3", 1.25 / 3, 0.0),
        ("1.0/3", 1 / 3, 0.0),
        ("1e0/3", 1 / 3, 0.0),
        ("0.7071(3)", 0.7071, 6e-4),
        ("0.7071(12)", 0.7071, 24e-4),
        ("12.3(1.2)", 12.3, 2.4),
        ("7.071(3)e-1", 0.7071, 6e-4),
        ("-0.50(1)", -0.5, 0.02),
        ("0.7071 ± 0.0001", 0.7071, 1e-4),
        ("0.7071±0.0001", 0.7071, 1e-4),
        ("0.7071+/-0.0001", 0.7071, 1e-4),
        ("0.7071 +- 1e-4", 0.7071, 1e-4),
        ("0.7 ± 0.001", 0.7, 0.05),  # no finer than it is printed
        ("1.", 1.0, 0.0),
        ("1e0", 1.0, 0.0),
        ("1.0", 1.0, 0.05),
        ("5e-1", 0.5, 0.05),
    ],
)
def test_what_is_claimed(text: str, value: float, half_width: float) -> None:
    printed = parse_value(text)
    assert printed.value == pytest.approx(value, rel=1e-15)
    assert printed.half_width == pytest.approx(half_width, rel=1e-3)
    assert printed.symbolic == (half_width == 0)


@pytest.mark.parametrize(
    "text",
    ["0.7(", "0.7()", "0.7(3", "0.7(-3)", "0.7(0)", "0.7 ± 0", "0.7 ± -1", "0.7 ±", "± 0.1", "1(2)",
     "0.7 ± x", "0.7(3)(4)", "0.7 ± 0.1 ± 0.1", "0.7 ± nan", "0.7 ± inf"],
)  # fmt: skip
def test_what_is_no_uncertainty(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (finite )?number"):
        parse_value(text)


@given(st.text("0123456789.()±+-/e ", max_size=12))
def test_no_text_does_worse_than_be_no_number(text: str) -> None:
    try:
        printed = parse_value(text)
    except ValueError:
        return
    assert math.isfinite(printed.value + printed.half_width)


@pytest.mark.parametrize(
    ("text", "truth", "outcome"),
    [
        ("1/0.5838", 1 / 0.58381937, "reproduced"),
        ("1/0.5838", 1 / 0.5839, "refuted"),
        ("1/1.4142", math.sqrt(0.5), "reproduced"),
        ("1.", 0.70710678, "refuted"),
        ("1e0", 0.70710678, "refuted"),
        ("1.", 1.0, "reproduced"),
        ("0.7071(3)", 0.7076, "reproduced"),
        ("0.7071(3)", 0.7079, "refuted"),
        ("0.7071 ± 0.0001", 0.70715, "reproduced"),
        ("0.7071 ± 0.0001", 0.70725, "refuted"),
        # ties, either way
        ("0.2", 0.25, "reproduced"),
        ("0.3", 0.25, "reproduced"),
        ("0.6 ± 0.1", 0.5, "reproduced"),
        ("0.4", 0.25, "refuted"),
        ("0.2", 0.2500001, "refuted"),
    ],
)
def test_a_protest_that_holds(text: str, truth: float, outcome: str) -> None:
    assert verdict(text, truth) == outcome


def test_a_tie_of_a_value_that_is_hardly_known_stays_undecided() -> None:
    assert verdict("0.2", 0.25, error=1e-6) == "undecided"


def test_the_nearest_float32_is_as_right_as_float32_can_be() -> None:
    for spec, name in [("relu", "std_dx"), ("sigmoid", "std_dx"), ("gelu", "mean_y")]:
        truth = exact(spec).quantities[name].value
        (near,) = struct.unpack("f", struct.pack("f", truth))
        for text in (repr(near), f"{near:.10f}", f"{near:.8f}"):
            assert verdict(text, truth) == "reproduced", text
        off = near * (1 + 2**-23)  # the next one is not
        assert verdict(repr(off), truth) == "refuted"
    assert verdict("0.7071067690849304", math.sqrt(0.5)) == "reproduced"
    assert verdict("0.7071066", math.sqrt(0.5)) == "refuted"

"""Verdicts at their thresholds: on either side, and where numbers are equal to the last bit."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from functools import partial

import claim_support
import numpy as np
import pytest
from claim_support import claim, within

from bnstats.claims.values import Printed, parse_value
from bnstats.claims.verdict import (
    Verdict,
    _digits_known,
    _is_nearest_float32,
    judge,
)
from bnstats.statistics.exact import Exact

sampled = partial(claim_support.sampled, log_scale=False)

# --- by the exact value -----------------------------------------------------------------------

ULP = 2.0**-52  # of numbers from 1 to 2; four of them cover the rounding of what is printed


@pytest.mark.parametrize(
    ("distance", "error", "outcome"),
    [
        (0.25 + 4 * ULP, 0.0, "reproduced"),
        (0.25 + 5 * ULP, 0.0, "refuted"),
        (0.25 + 3 * ULP, ULP, "reproduced"),
        (0.25 + 3 * ULP, 2 * ULP, "undecided"),
        (0.25 + 5 * ULP, ULP, "undecided"),
        (0.25 + 6 * ULP, ULP, "refuted"),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_an_end_of_the_interval_belongs_to_it(
    distance: float, error: float, outcome: str, side: int
) -> None:
    # 1 + 0.25 is below 2: every number here is exact.
    exact = {"std_dx": Exact(1 + side * distance, error, "test")}
    found = judge(within(1.0, 0.25, None), exact)
    # Half an interval known to 15 digits is on the edge of what it claims.
    edge = outcome == "undecided"
    assert found.outcome == ("reproduced" if edge else outcome)
    assert found.remark.endswith(", on the edge of what it claims") == edge


@pytest.mark.parametrize(
    ("z", "grade"),
    [(4.0, "reproduced"), (-4.0, "reproduced"), (4.001, "undecided"), (-4.001, "undecided")],
)
def test_a_sample_disagrees_beyond_four_standard_errors(z: float, grade: str) -> None:
    found = judge(
        within(1.0, 0.25), {"std_dx": Exact(1.0, 0.0, "")}, {"std_dx": sampled(1.0, 0.1, z=z)}
    )
    assert found.grade == grade


@pytest.mark.parametrize(
    ("value", "error", "truth"), [(0.25, 0.25, 0.0), (-0.25, 0.25, 0.0), (0.25, 0.125, 0.25)]
)
def test_what_may_be_zero_is_zero(value: float, error: float, truth: float) -> None:
    assert judge(within(0.0, 1.0), {"std_dx": Exact(value, error, "")}).truth == truth


@pytest.mark.parametrize(
    ("truth", "outcome"),
    [(0.9e-12, "reproduced"), (1.1e-12, "refuted"), (-0.9e-12, "reproduced")],
)
def test_the_zero_of_a_symbolic_claim_is_one_to_twelve_decimals(truth: float, outcome: str) -> None:
    assert judge(claim("0"), {"std_dx": Exact(truth, 0.0, "")}).outcome == outcome


@pytest.mark.parametrize(
    ("error", "value", "digits"),
    [
        (0.005, 1.0, 2),  # half a unit of the second decimal
        (0.0049, 1.0, 2),
        (0.0051, 1.0, 1),
        (0.004, 1.0, 2),
        (0.0004, -1.0, 3),
        (0.4, 1.0, 0),
        (0.5, 1.0, 0),
        (0.6, 1.0, 0),
        (2.0, 1.0, 0),
        (0.0, 1.0, 0),  # which is not asked of what has no error
        (0.4999, 1.0, 0),
        (0.035, 1.0, 1),
    ],
)
def test_digits_that_an_error_leaves(error: float, value: float, digits: int) -> None:
    assert _digits_known(Exact(value, error, "")) == digits


@pytest.mark.parametrize(
    ("error", "edge", "lucky"),
    [
        (0.45e-11, True, True),  # 11 digits
        (0.55e-11, False, False),  # 10
        (0.45e-10, False, False),
    ],
)
def test_eleven_known_digits_are_enough(error: float, edge: bool, lucky: bool) -> None:
    """On the edge of what is claimed, and where more is claimed than can be known."""
    at_edge = judge(claim("1.1"), {"std_dx": Exact(1.05, error, "")})
    assert at_edge.remark.endswith("on the edge of what it claims") == edge
    assert (at_edge.grade == "reproduced") == edge
    many = claim(f"{1 + error:.17f}"[:17])
    beyond = judge(many, {"std_dx": Exact(1.0, 1.01 * error, "")})
    assert (beyond.grade == "reproduced") == lucky
    assert ("all 11 digits that are known are right" in beyond.remark) == lucky


@pytest.mark.parametrize(("off", "all_right"), [(2.0**-6, True), (2.0**-6 + 2.0**-30, False)])
def test_as_far_off_as_the_error_is_right_in_all_that_is_known(off: float, all_right: bool) -> None:
    found = judge(within(1.0 + off, 2.0**-20), {"std_dx": Exact(1.0, 2.0**-6, "")})
    assert found.grade == "undecided"
    assert ("all 1 that are known are right" in found.remark) == all_right
    # The same where eleven digits are known: a refusal needs more than the error.
    error = 2.0**-40
    sharp = {"std_dx": Exact(1.0, error, "")}
    assert "; all 11 digits" in judge(within(1.0 + error, 2.0**-50), sharp).remark
    symbolic = claim(Printed("x", 1.0 + error * (1 + 2.0**-9), 0.0))
    assert judge(symbolic, sharp).grade in ("undecided", "reproduced")


def test_no_known_digit_is_no_digit_that_is_right() -> None:
    found = judge(within(1.0, 2.0**-20), {"std_dx": Exact(1.25, 0.625, "")})
    assert found.grade == "undecided"
    assert found.remark.endswith(" is not known to enough digits")


# --- float32 ----------------------------------------------------------------------------------

THIRD = float(np.float32(1 / 3))  # 0.3333333432674408, 1e-8 from a third


@pytest.mark.parametrize(
    ("value", "truth", "is_nearest"),
    [
        ("0.33333334", 1 / 3, True),
        ("0.3333333", 1 / 3, False),  # seven digits say nothing of float32
        (f"{THIRD:.17f}", 1 / 3, True),
        ("-0.33333334", -1 / 3, True),
        ("0.33333334", -1 / 3, False),
        ("0.33333336", 1 / 3, False),
        ("0.3333333432675", 1 / 3, True),
        ("1/3", 1 / 3, False),
        ("1.0000000", 1e300, False),  # which no float32 is near
        ("1.0000000", -1e300, False),
        (f"{float(np.float32(1e-20)):.17e}", 1e-20, True),
        (f"{float(np.float32(1e-20)) * (1 + 1e-9):.17e}", 1e-20, False),
    ],
)
def test_the_float32_that_is_nearest_to_the_truth(
    value: str, truth: float, is_nearest: bool
) -> None:
    assert _is_nearest_float32(parse_value(value), truth) is is_nearest


def test_a_float32_is_near_in_twelve_digits_or_half_a_unit() -> None:
    def near(value: float, half_width: float) -> bool:
        return _is_nearest_float32(Printed("", value, half_width, 9), 1.0)

    assert near(1.25, 0.25)
    assert not near(1.25, 0.25 - 2.0**-20)
    assert near(1 + 0.9e-12, 1e-16)
    assert not near(1 + 1.1e-12, 1e-16)


# --- another quantity -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "other", "value_of"),
    [
        (Printed("1/2", 0.5, 0.0), 0.5 + 0.9e-12, "var_dx"),
        (Printed("1/2", 0.5, 0.0), 0.5 + 1.1e-12, None),
        (parse_value("0.50"), 0.5049, "var_dx"),
        (parse_value("0.50"), 0.5051, None),
        (Printed("", 0.5, 0.25, 1), 0.75, "var_dx"),
        (Printed("", 0.5, 0.25, 1), 0.75 + 2.0**-40, None),
    ],
)
def test_the_value_of_another_quantity_is_within_what_is_printed(
    printed: Printed, other: float, value_of: str | None
) -> None:
    exact = {"std_dx": Exact(2.0, 0.0, ""), "var_dx": Exact(other, 0.0, "")}
    assert judge(claim(printed), exact).value_of == value_of


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.3, True), (0.72, True), (0.712, False)],  # 0, 1 and 2 digits of 0.7099 are right
)
def test_other_conventions_are_told_where_hardly_a_digit_is_right(value: float, told: bool) -> None:
    exact = {"std_dx": Exact(0.7099, 0.0, ""), "rms_dx": Exact(0.9, 0.0, "")}
    found = judge(within(value, 2.0**-20), exact)
    assert ("rms[dx]: 0.9" in found.remark) is told


def test_a_verdict_does_not_change() -> None:
    found = Verdict(claim("0.5"), "wrong", "why", "exact", math.nan, 0)
    assert (found.outcome, str(found)) == ("refuted", "wrong: why")
    with pytest.raises(FrozenInstanceError):
        found.grade = "reproduced"  # type: ignore[misc]

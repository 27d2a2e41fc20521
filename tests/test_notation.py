"""How numbers are written: value(standard error), intervals, exact values."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bnstats.notation import (
    bound_digits,
    bounds,
    concise,
    count_text,
    deviation,
    exact_text,
    percent,
    rounded,
    shortest,
    signed,
    significant,
    with_bound,
)


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.2116763, 0.0000523, "0.211676(52)"),
        (-0.0000081, 0.0000671, "−0.000008(67)"),
        (0.5, 0.01, "0.500(10)"),
        # Two digits of the error, also where rounding adds one.
        (1.0, 0.0996, "1.00(10)"),
        (1.0, 0.0994, "1.000(99)"),
        (1.0, 0.00996, "1.000(10)"),
        (1.0, 0.0104, "1.000(10)"),
        # An error of a unit or more keeps its decimal point.
        (12.3, 1.25, "12.3(1.2)"),
        (1.0, 0.96, "1.00(96)"),
        (1.0, 0.996, "1.0(1.0)"),
        (47.1, 23.4, "47(23)"),
        # Digits before the point that are not known are not written.
        (2323.4, 2236.6, "2.3(2.2)e3"),
        (762.0, 199.0, "7.6(2.0)e2"),
        (1234567.0, 890.0, "1.23457(89)e6"),
        (3725999.0, 663809.0, "3.73(66)e6"),
        # Very large and very small numbers get an exponent.
        (123456789.0, 1200.0, "1.234568(12)e8"),
        (-1.5e300, 2e298, "−1.500(20)e300"),
        (3.21e-20, 4.5e-22, "3.210(45)e−20"),
        (0.0, 2e-15, "0.0(2.0)e−15"),
        (-8e-8, 1.6e-7, "−0.8(1.6)e−7"),
        (-3e-17, 2e-15, "0.0(2.0)e−15"),
        (1.0e-13, 3e-14, "1.00(30)e−13"),
        (0.0, 0.0012, "0.0000(12)"),
        # No information about the error is never "± 0".
        (0.541458123, None, "0.541458(?)"),
        (-0.25, 0.0, "−0.25(?)"),
        (0.0, 0.0, "0(?)"),
        (1.5, math.nan, "1.5(?)"),
        (1.5, math.inf, "1.5(?)"),
        (math.inf, 1.0, "inf"),
        (-math.inf, None, "−inf"),
        (math.nan, 1.0, "nan"),
    ],
)
def test_concise(value: float, stderr: float | None, text: str) -> None:
    assert concise(value, stderr) == text


@settings(deadline=None)
@given(
    st.floats(-1e12, 1e12),
    st.floats(1e-12, 1e9),
)
def test_concise_can_be_read_back(value: float, stderr: float) -> None:
    text = concise(value, stderr)
    match = re.fullmatch(r"(−?[\d.]+)\(([\d.]+)\)(?:e(−?\d+))?", text)
    assert match, text
    scale = 10.0 ** int((match[3] or "0").replace("−", "-"))
    decimals = len(match[1].partition(".")[2])
    unit = scale * 10.0**-decimals
    shown = float(match[1].replace("−", "-")) * scale
    assert shown == pytest.approx(value, abs=0.51 * unit + 4 * math.ulp(value))
    error = float(match[2]) * (scale if "." in match[2] or decimals == 0 else unit)
    assert error == pytest.approx(stderr, abs=0.51 * unit)
    assert len(match[2].replace(".", "").lstrip("0")) == 2
    assert not re.match(r"−[0.]+\(", text)  # −0
    assert not match[1].lstrip("−").startswith("0.0000000")


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.2116612, 0.2118651), "[0.211661, 0.211865]"),
        ((-0.000131, 0.000131), "[−0.000131, 0.000131]"),
        ((-1.5, -0.5), "[−1.50, −0.50]"),
        ((13.2, 56.1), "[13, 56]"),
        ((1e9, 1.5e9), "[1.00e9, 1.50e9]"),
        ((1e-15, 3e-15), "[1.00e−15, 3.00e−15]"),
        # As many digits as tell the ends apart.
        ((1e9 - 0.0093, 1e9 + 0.0032), "[9.999999999907e8, 1.0000000000032e9]"),
        ((-1e9 - 0.5, -1e9 + 0.5), "[−1.00000000050e9, −9.9999999950e8]"),
        ((1 - 1.68e-15, 1 - 1.43e-15), "[0.99999999999999833, 0.99999999999999856]"),
        ((9.29669e102, 2.86103e104), "[9e102, 2.86e104]"),
        ((4.6847e7, 4.79571e7), "[4.685e7, 4.796e7]"),
        ((10.2e7, 87.1e7), "[1.0e8, 8.7e8]"),
        ((-3.1e-18, 4.25e-15), "[−3.1e−18, 4.3e−15]"),
        ((0.0, 4e-16), "[0, 4.0e−16]"),
        ((4.1874e6, 3.0712e7), "[4.2e6, 3.07e7]"),
        ((-0.000263, 0.000005), "[−0.000263, 0.000005]"),
        ((3.1, 5000.0), "[3.1, 5.0e3]"),
        ((48624.0, 345178.0), "[4.9e4, 3.45e5]"),
        ((0.25, 0.25), "[0.25, 0.25]"),
        ((0.0, math.inf), "[0, inf]"),
    ],
)
def test_bounds(interval: tuple[float, float], text: str) -> None:
    assert bounds(interval) == text


@settings(deadline=None)
@given(st.floats(-1e5, 1e5), st.floats(1e-6, 1e3))
def test_bounds_lose_little_of_their_width(middle: float, half: float) -> None:
    low, high = middle - half, middle + half
    assume(low < high)
    shown = [float(end.replace("−", "-")) for end in bounds((low, high))[1:-1].split(", ")]
    assert shown == pytest.approx([low, high], abs=0.06 * half + 0.5)
    if half < 1:
        assert shown == pytest.approx([low, high], abs=0.06 * half)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.21174569972, 1e-15, "0.21174570"),
        (0.5, 0.0, "0.5"),
        (0.5, 1e-15, "0.5"),
        (2.0, 1e-15, "2"),
        (100.0, 0.0, "100"),
        (-0.70710678118, 1e-15, "−0.70710678"),
        (31.6227766017, 1e-14, "31.62277660"),
        # Known to be zero, as far as anything is known.
        (0.0, 0.0, "0"),
        (-2.6e-18, 1e-15, "0"),
        (0.003, 0.01, "0"),
        (-5.7e-18, 7e-15, "0"),
        (-0.0, 0.0, "0"),
        # An error of 1e-4 leaves three decimals.
        (0.2117457, 1e-4, "0.212"),
        (0.2117457, 4e-5, "0.2117"),
        (1234.5678, 0.4, "1235"),
        (1e-5, 1e-20, "0.00001"),
        (1.23456789e-7, 1e-20, "1.2345679e−7"),
        (1.5e12, 0.0, "1.5e12"),
        (-3e8, 1.0, "−3e8"),
    ],
)
def test_exact_text(value: float, error: float, text: str) -> None:
    assert exact_text(value, error) == text


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(0, 1e-3))
def test_exact_text_shows_no_digit_that_is_not_known(value: float, error: float) -> None:
    assume(abs(value) > 1e-4)
    text = exact_text(value, error)
    shown = float(text.replace("−", "-"))
    decimals = len(text.partition(".")[2])
    assert abs(shown - value) <= 0.5000001 * 10.0**-decimals + error
    assert decimals <= 8
    assert 10.0**-decimals >= 1.9999 * error or shown == pytest.approx(value, abs=error)


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1"), (1000, "1000"), (20_000, "2e4"), (10**7, "1e7"), (1_234_567, "1234567")],
)
def test_count_text(count: int, text: str) -> None:
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("value", "error", "text", "bound"),
    [
        (0.9334757071136104, 1.9e-12, "0.933475707114", "3e−12"),
        (0.5, 4e-15, "0.5", "4e−15"),
        (0.49999999999999994, 4e-15, "0.5", "5e−15"),
        (-5.7e-18, 7e-15, "0", "8e−15"),
        (100.0, 0.0, "100", "0"),
        (-1.5, 0.0, "−1.5", "0"),
        (1485.123456, 1.2e-3, "1485.123", "0.002"),
        (1.4142135623731e7, 1.1e-7, "1.4142135623731e7", "2e−7"),
    ],
)
def test_with_bound(value: float, error: float, text: str, bound: str) -> None:
    assert with_bound(value, error) == (text, bound)


@settings(deadline=None)
@given(st.floats(-1e30, 1e30), st.floats(1e-290, 1e3))
def test_a_bound_holds_for_what_is_shown(value: float, error: float) -> None:
    """The truth, at either end of its bound, is no further from the exact value as shown."""
    text, bound = (Fraction(part.replace("−", "-")) for part in with_bound(value, error))
    furthest = abs(text - Fraction(value)) + Fraction(error)
    assert furthest <= bound * (1 + Fraction(1, 10**12))
    assert bound <= 4 * error + math.ulp(value) + 5e-324


def test_bounds_on_errors_are_rounded_up() -> None:
    assert [bound_digits(e) for e in (1e-14, 1.01e-14, 0.0, 9.1)] == ["1e-14", "2e-14", "0", "10"]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.99961, 3, "1.00"),
        (884.2, 3, "884"),
        (31000.0, 3, "3.10e4"),
        (0.0, 3, "0"),
        (-0.0, 3, "0"),
        (0.000012, 2, "0.000012"),
        (1.2e-6, 2, "1.2e-6"),
    ],
)
def test_significant(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_text_is_the_number(value: float) -> None:
    text = shortest(value)
    assert float(text) == value
    assert not text.startswith("-0") or value


@settings(deadline=None)
@given(st.floats(-1e20, 1e20), st.integers(-25, 18))
def test_a_rounded_number_is_rounded(value: float, place: int) -> None:
    text = rounded(value, place)
    assert abs(Fraction(text) - Fraction(value)) <= Fraction(10) ** place / 2
    assert (Fraction(text) / Fraction(10) ** place).denominator == 1


def test_signed_writes_a_minus() -> None:
    assert signed("-1.5e-07") == "−1.5e−07"
    assert signed("+2") == "+2"


@settings(deadline=None)
@given(st.floats(1e7, 1e300), st.floats(1e-12, 2.0), st.booleans())
def test_bounds_of_large_numbers_are_told_apart(middle: float, share: float, below: bool) -> None:
    half = middle * share
    low, high = (-middle - half, half - middle) if below else (middle - half, middle + half)
    shown = [float(end.replace("−", "-")) for end in bounds((low, high))[1:-1].split(", ")]
    assert shown == pytest.approx([low, high], rel=4e-16, abs=0.06 * half)
    assert shown[0] < shown[1]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.95, "95 %"),
        (0.9, "90 %"),
        (0.999, "99.9 %"),
        (0.999999999, "99.9999999 %"),
        (1e-9, "0.0000001 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("z", "text"),
    [
        (829.34, "+829"),
        (-1234.5, "−1.23e3"),
        (math.inf, "+inf"),
        (99.999, "+100.00"),
        (-0.001, "0.00"),
        (0.004, "0.00"),
        (0.0, "0.00"),
        (-0.006, "−0.01"),
        (1.234, "+1.23"),
    ],
)
def test_deviation(z: float, text: str) -> None:
    assert deviation(z) == text

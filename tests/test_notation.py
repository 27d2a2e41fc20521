"""How numbers are written: value(standard error), intervals, exact values."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bnstats.notation import bounds, concise, count_text, deviation, exact_text, percent, signed


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
        (2323.4, 2236.6, "2323(2237)"),
        (1234567.0, 890.0, "1234567(890)"),
        # Very large and very small numbers get an exponent.
        (123456789.0, 1200.0, "1.234568(12)e8"),
        (-1.5e300, 2e298, "−1.500(20)e300"),
        (3.21e-20, 4.5e-22, "3.210(45)e−20"),
        (0.0, 2e-15, "0.0(2.0)e−15"),
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
    st.floats(-1e6, 1e6),
    st.floats(1e-9, 1e4),
)
def test_concise_can_be_read_back(value: float, stderr: float) -> None:
    text = concise(value, stderr)
    match = re.fullmatch(r"(−?[\d.]+)\(([\d.]+)\)", text)
    assert match, text
    decimals = len(match[1].partition(".")[2])
    unit = 10.0**-decimals
    assert float(match[1].replace("−", "-")) == pytest.approx(
        value, abs=0.51 * unit + math.ulp(value)
    )
    error = float(match[2]) * (1.0 if "." in match[2] or decimals == 0 else unit)
    assert error == pytest.approx(stderr, abs=0.51 * unit)
    # At least two digits of the error, and no more than the value's units hold.
    assert len(match[2].replace(".", "").lstrip("0")) == 2 or decimals == 0


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.2116612, 0.2118651), "[0.211661, 0.211865]"),
        ((-0.000131, 0.000131), "[−0.000131, 0.000131]"),
        ((-1.5, -0.5), "[−1.50, −0.50]"),
        ((13.2, 56.1), "[13, 56]"),
        ((1e9, 1.5e9), "[1.00e+09, 1.50e+09]"),
        ((1e-15, 3e-15), "[1.00e−15, 3.00e−15]"),
        # As many digits as tell the ends apart.
        ((1e9 - 0.0093, 1e9 + 0.0032), "[999999999.9907, 1000000000.0032]"),
        ((-1e9 - 0.5, -1e9 + 0.5), "[−1000000000.50, −999999999.50]"),
        ((1 - 1.68e-15, 1 - 1.43e-15), "[0.99999999999999833, 0.99999999999999856]"),
        ((9.29669e102, 2.86103e104), "[9.3e+102, 2.86e+104]"),
        ((4.6847e7, 4.79571e7), "[4.685e+07, 4.796e+07]"),
        ((10.2e7, 87.1e7), "[1.0e+08, 8.7e+08]"),
        ((-3.1e-18, 4.25e-15), "[−3.1e−18, 4.3e−15]"),
        ((0.0, 4e-16), "[0.0, 4.0e−16]"),
        ((0.25, 0.25), "[0.25, 0.25]"),
        ((0.0, math.inf), "[0.0, inf]"),
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
        # An error of 1e-4 leaves three decimals.
        (0.2117457, 1e-4, "0.212"),
        (0.2117457, 4e-5, "0.2117"),
        (1234.5678, 0.4, "1235"),
        (1e-5, 1e-20, "1e−05"),
        (1.23456789e-7, 1e-20, "1.2345679e−07"),
        (1.5e12, 0.0, "1.5e+12"),
        (-3e8, 1.0, "−3e+08"),
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
    [(-0.001, "0.00"), (0.004, "0.00"), (0.0, "0.00"), (-0.006, "−0.01"), (1.234, "+1.23")],
)
def test_deviation(z: float, text: str) -> None:
    assert deviation(z) == text

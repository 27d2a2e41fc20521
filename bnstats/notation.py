"""The notation of numbers: a value with its standard error in parentheses (GUM 7.2.2)."""

from __future__ import annotations

import math
from decimal import Decimal

MINUS = "−"


def signed(text: str) -> str:
    """Return text with a minus sign for each hyphen."""
    return text.replace("-", MINUS)


def count_text(count: int) -> str:
    """Return a count as a command line takes it: 2000000 is 2e6.

    >>> count_text(2_000_000), count_text(1_234_567)
    ('2e6', '1234567')
    """
    short = f"{count:.4g}".replace("e+0", "e").replace("e+", "e")
    return short if float(short) == count else str(count)


def percent(share: float) -> str:
    """Return a share in per cent, with all of its digits.

    >>> percent(0.95), percent(0.999999999)
    ('95 %', '99.9999999 %')
    """
    return f"{(100 * Decimal(repr(share))).normalize():f} %"


def deviation(z: float) -> str:
    """Return a number of standard errors with its sign and two decimals; 0.00 has no sign."""
    text = f"{z:+.2f}"
    return signed(text if float(text) else "0.00")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "draw"), plural(20_000, "draw")
    ('1 draw', '20,000 draws')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def decimals_for(stderr: float) -> int:
    """Return the number of decimals that show two digits of a standard error."""
    # It is rounded to two digits first: 0.0996 is shown as 0.10, not as 0.100.
    return max(1 - math.floor(math.log10(float(f"{stderr:.1e}"))), 0)


def concise(value: float, stderr: float | None) -> str:
    """Return value(stderr): 0.211676(52) is 0.211676 with a standard error of 0.000052.

    The question mark of ``0.25(?)`` says that the standard error is not known.

    >>> concise(0.2116763, 0.0000523)
    '0.211676(52)'
    >>> concise(12.3, 1.25)
    '12.3(1.2)'
    """
    if not math.isfinite(value):
        return signed(str(value))
    if stderr is None or not math.isfinite(stderr) or stderr <= 0:
        return f"{signed(f'{value:.6g}')}(?)"
    decimals = decimals_for(stderr)
    exponent = math.floor(math.log10(max(abs(value), stderr)))
    if exponent and (abs(value) >= 1e7 or decimals > 15):
        mantissa = concise(value / 10.0**exponent, stderr / 10.0**exponent)
        return f"{mantissa}e{signed(str(exponent))}"
    text = f"{value:.{decimals}f}"
    text = signed(text.lstrip("-") if float(text) == 0 else text)
    digits = f"{stderr:.{decimals}f}"
    return f"{text}({digits if float(digits) >= 1 else digits.replace('.', '').lstrip('0')})"


def bounds(interval: tuple[float, float]) -> str:
    """Return an interval as text, with two digits of a quarter of its width."""
    low, high = interval
    width = high - low
    if not math.isfinite(width) or width <= 0:
        return f"[{signed(repr(low))}, {signed(repr(high))}]"
    largest = max(abs(low), abs(high))
    decimals = decimals_for(width / 4)
    if largest >= 1e7 or decimals > 15:
        last = math.floor(math.log10(width / 4)) - 1  # power of ten of the last digit
        places = (math.floor(math.log10(abs(end) or width)) - last for end in interval)
        digits = (min(max(place + 1, 2), 17) for place in places)
        ends = (f"{end:#.{d}g}".removesuffix(".") for end, d in zip(interval, digits, strict=True))
        return f"[{', '.join(map(signed, ends))}]"
    return f"[{signed(f'{low:.{decimals}f}')}, {signed(f'{high:.{decimals}f}')}]"


def exact_text(value: float, error: float, decimals: int = 8) -> str:
    """Return an exact value with these decimals, or fewer if its error allows no more.

    Trailing zeros are left out if the value is exactly what remains.

    >>> exact_text(0.21174569972, 1e-15), exact_text(0.5, 0.0), exact_text(-2.6e-18, 1e-15)
    ('0.21174570', '0.5', '0')
    """
    if abs(value) <= error:
        return "0"
    if abs(value) < 1e-4 or abs(value) >= 1e8:
        return signed(f"{value:.8g}")
    if error > 0:
        decimals = max(min(decimals, math.floor(-math.log10(2 * error))), 0)
    text = f"{value:.{decimals}f}"
    if "." in text and abs(value - float(text)) <= error:  # ends here: drop its zeros
        text = text.rstrip("0").rstrip(".")
    return signed(text)

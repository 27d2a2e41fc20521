"""The notation of numbers: one way to round them, and one way to write powers of ten.

A number is rounded to the digits that are known: to two digits of its standard error, in
parentheses after it (GUM 7.2.2), or to what a bound on its error leaves certain. Powers of ten are
written where a number is large or small, or where digits before the decimal point are not known.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal

MINUS = "−"
_PLAIN = (1e-5, 1e7)  # sizes that are written without a power of ten
_DIGITS = 17  # significant digits of a float64
_EXACT = Context(prec=800)  # float64s have up to 767 significant digits
_ON_SCREEN = 8  # decimals of an exact value, or significant digits of a large or small one


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


def percent_off(share: float, digits: int | None = None) -> str:
    """Return a relative error in per cent with its sign, to so many digits or whole.

    >>> percent_off(0.0026, 2), percent_off(-0.4584), percent_off(3e9)
    ('+0.26 %', '−46 %', '+3e11 %')
    """
    off = 100 * share
    if digits is None:
        text = rounded(off, 0) if abs(off) < _PLAIN[1] else significant(off, 1)
    else:
        text = shortest(off, digits)
    return signed(f"{'+' if off > 0 and float(text) else ''}{text} %")


def deviation(z: float) -> str:
    """Return a number of standard errors with its sign; 0.00 has no sign.

    >>> deviation(1.234), deviation(-829.34)
    ('+1.23', '−829')
    """
    if not math.isfinite(z):
        return signed(f"{z:+}")
    text = rounded(z, -2) if abs(z) < 100 else significant(z, 3)
    return signed(f"{'+' if z > 0 and float(text) else ''}{text}")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "draw"), plural(20_000, "draw")
    ('1 draw', '20,000 draws')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def power_of(value: float | Decimal, digits: int = _DIGITS) -> int:
    """Return the power of ten of the first digit of a number, once it is rounded to some digits.

    >>> power_of(0.0996), power_of(0.0996, 2)
    (-2, -1)
    """
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def last_place(stderr: float) -> int:
    """Return the power of ten of the second digit of a standard error.

    >>> last_place(0.0000523), last_place(0.0996)
    (-6, -2)
    """
    return power_of(stderr, 2) - 1


def rounded(value: float | Decimal, place: int, beside: float = 0.0) -> str:
    """Return a number rounded to a multiple of a power of ten, as programs read it.

    It is written with a power of ten where a number as large as the one beside it would be.

    >>> rounded(0.2116763, -6), rounded(3725999.0, 4), rounded(-2.6e-18, -19), rounded(-2e-9, -4)
    ('0.211676', '3.73e6', '-2.6e-18', '0.0000')
    """
    exponent = _exponent(abs(float(value)), place, beside)
    return f"{_mantissa(value, place, exponent)}{_power(exponent)}"


def significant(value: float, digits: int) -> str:
    """Return a number with so many significant digits; 0 has one.

    >>> significant(0.99961, 3), significant(31000.0, 3), significant(0.0, 3)
    ('1.00', '3.10e4', '0')
    """
    if not value or not math.isfinite(value):
        return f"{value:g}".lstrip("-") if not value else str(value)
    return rounded(value, power_of(value, digits) - digits + 1)


def shortest(value: float, digits: int = _DIGITS) -> str:
    """Return a number with at most so many significant digits, and no zeros after the last one.

    >>> shortest(0.25), shortest(1 / 3, 6), shortest(1.5e12), shortest(0.1)
    ('0.25', '0.333333', '1.5e12', '0.1')
    """
    if digits < _DIGITS or not value or not math.isfinite(value):
        return _trimmed(significant(value, digits))
    exact = Decimal(repr(float(value))).normalize()
    return _trimmed(rounded(exact, min(int(exact.as_tuple().exponent), 0)))


def concise(value: float, stderr: float | None) -> str:
    """Return value(stderr): 0.211676(52) is 0.211676 with a standard error of 0.000052.

    The standard error has two digits. The question mark of ``0.25(?)`` says that it is not known.

    >>> concise(0.2116763, 0.0000523), concise(12.3, 1.25), concise(3725999.0, 663809.0)
    ('0.211676(52)', '12.3(1.2)', '3.73(66)e6')
    """
    if not math.isfinite(value):
        return signed(str(value))
    if stderr is None or not math.isfinite(stderr) or stderr <= 0:
        return f"{signed(shortest(value, 6))}(?)"
    place = last_place(stderr)
    exponent = _exponent(max(abs(value), stderr), place)
    digits = _mantissa(stderr, place, exponent)
    if float(digits) < 1:
        digits = digits.replace(".", "").lstrip("0")
    return signed(f"{_mantissa(value, place, exponent)}({digits}){_power(exponent)}")


def bounds(interval: tuple[float, float]) -> str:
    """Return an interval as text, with two digits of a quarter of its width.

    >>> bounds((0.2116612, 0.2118651)), bounds((4.1874e6, 3.0712e7))
    ('[0.211661, 0.211865]', '[4.2e6, 3.07e7]')
    """
    low, high = interval
    width = high - low
    told_apart = math.isfinite(width) and width > 0
    ends = (
        within(end, width / 4, max(map(abs, interval))) if told_apart else shortest(end)
        for end in interval
    )
    return signed(f"[{', '.join(ends)}]")


def within(end: float, stderr: float, beside: float = 0.0) -> str:
    """Return the end of an interval, with two digits of its standard error.

    An end that is no 0 is not written as one. The size beside it is that of the larger end.
    """
    text = rounded(end, max(last_place(stderr), power_of(end) - _DIGITS + 1), beside)
    return text if float(text) else significant(end, 2)


def exact_text(value: float, error: float, place: int = -_ON_SCREEN) -> str:
    """Return what `exact_digits` does, for people.

    >>> exact_text(-0.70710678118, 1e-15)
    '−0.70710678'
    """
    return signed(exact_digits(value, error, place))


def exact_digits(value: float, error: float, place: int = -_ON_SCREEN) -> str:
    """Return an exact value with digits down to a place, or fewer if its error allows no more.

    Every digit shown is known. Of a large or small number the first eight digits are shown. Zeros
    at the end are left out if the value is exactly what remains.

    >>> exact_digits(0.21174569972, 1e-15), exact_digits(0.5, 0.0), exact_digits(-2.6e-18, 1e-15)
    ('0.21174570', '0.5', '0')
    """
    if abs(value) <= error:
        return "0"
    first = power_of(value)
    if first >= _ON_SCREEN:
        place = first - _ON_SCREEN + 1
    elif first < -4:
        place = min(first - _ON_SCREEN + 1, place)
    place = max(place, first - _DIGITS + 1)
    if error > 0:
        place = max(place, math.ceil(math.log10(2 * error)))
    return _ended(value, error, place)


def with_bound(value: float, error: float) -> tuple[str, str]:
    """Return an exact value with all digits that its error leaves, and a bound on what is shown.

    The value is rounded to the first digit of its error; the bound counts this rounding as well.

    >>> with_bound(0.9334757071136104, 1.9e-12), with_bound(-5.7e-18, 7e-15), with_bound(0.5, 0.0)
    (('0.933475707114', '3e−12'), ('0', '8e−15'), ('0.5', '0'))
    """
    if error <= 0:
        return signed(shortest(value)), "0"
    text = "0"
    if abs(value) > error:
        text = _ended(value, error, max(power_of(error), power_of(value) - _DIGITS + 1))
    off = abs(_EXACT.subtract(Decimal(text), Decimal(value)))
    return signed(text), signed(bound_digits(_EXACT.add(Decimal(repr(error)), off)))


def bound_digits(error: float | Decimal) -> str:
    """Return a bound on an error, rounded up to one digit.

    >>> bound_digits(1.2e-14), bound_digits(0.0)
    ('2e-14', '0')
    """
    exact = Decimal(str(error))
    if not exact:
        return "0"
    up = exact.quantize(Decimal(1).scaleb(exact.adjusted()), ROUND_CEILING, _EXACT)
    return shortest(float(up))


def _ended(value: float, error: float, place: int) -> str:
    """Return a rounded number, without zeros at its end where it ends there."""
    text = rounded(value, place)
    return _trimmed(text) if abs(value - float(text)) <= error else text


def _trimmed(text: str) -> str:
    mantissa, e, power = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}{e}{power}"


def _exponent(size: float, place: int, beside: float = 0.0) -> int:
    """Return the power of ten that is written after a number of a size; 0 means none."""
    size = max(size, float(f"1e{place}"))
    if place <= 0 and _PLAIN[0] <= max(size, beside) < _PLAIN[1]:
        return 0
    return power_of(size, max(power_of(size) - place + 1, 1))


def _mantissa(value: float | Decimal, place: int, exponent: int) -> str:
    # A decimal holds a float64 exactly, so that it is rounded once.
    scaled = Decimal(value).scaleb(-exponent, _EXACT)
    text = f"{scaled.quantize(Decimal(1).scaleb(place - exponent), context=_EXACT):f}"
    return text if float(text) else text.lstrip("-")


def _power(exponent: int) -> str:
    return f"e{exponent}" if exponent else ""

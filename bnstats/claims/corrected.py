"""The value to print in place of a wrong one."""

from __future__ import annotations

import ast
import math
import re
import sys
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from bnstats.claims.values import Printed, decimal_parts, parse_value
from bnstats.notation import MINUS
from bnstats.specs.expressions import evaluate, parsed

_MOST_DECIMALS = 40
_AS_GOOD_AS_EXACT, _FLOAT64 = Decimal("1e-11"), Decimal(2) ** -52
_OF_AN_EXPRESSION = 4  # digits in place of one without decimals, which are easy to read
_MOST_STEPS, _DIFFERENCE, _SOLVED = 50, 1e-5, 1e-14


def instead(printed: Printed, low: float, high: float) -> str | None:
    """Return what to print in place of a wrong value, with as many digits as it has.

    In an expression with one decimal that decimal is replaced; another expression is, by as many
    digits as its decimals have, or by four. The truth lies between the bounds; None is returned
    where they fix no digit.

    >>> from bnstats.claims.values import parse_value
    >>> instead(parse_value("0.6312"), 0.67516728, 0.67516729)
    '0.6752'
    >>> instead(parse_value("1/2"), 0.70710678, 0.70710679)
    '0.7071'
    >>> instead(parse_value("sqrt(1.55)"), 1.7128585504496, 1.7128585504497)
    'sqrt(2.93)'
    """
    if decimal_parts(printed.text) is not None and not printed.symbolic:
        return corrected(printed, low, high)
    if not printed.symbolic and (found := _decimal_replaced(printed, low, high)):
        return found
    return significant(low, high, printed.digits or _OF_AN_EXPRESSION)


def _decimal_replaced(printed: Printed, low: float, high: float) -> str | None:
    """Return an expression with the value of its only decimal at which it is the truth."""
    text = printed.text.replace(MINUS, "-")
    try:
        tree = parsed(text)
        spans = [
            (node, node.col_offset, node.end_col_offset or 0)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, float)
        ]
        if len(spans) != 1:
            return None
        ((node, start, end),) = spans
        decimal = parse_value(text[start:end])
        ends = sorted(_solved(tree, node, decimal.value, truth) for truth in (low, high))
    except (ValueError, ArithmeticError):  # it is none, or has no such value
        return None
    rounding = 4 * sys.float_info.epsilon * max(map(abs, ends))
    new = corrected(decimal, ends[0] - rounding, ends[1] + rounding)
    return None if new is None else f"{text[:start]}{new}{text[end:]}"


def _solved(tree: ast.expr, node: ast.Constant, start: float, wanted: float) -> float:
    """Return the value of a number in an expression at which this has another value, by Newton."""

    def at(value: float) -> float:
        node.value = value
        return evaluate(tree)

    value = start
    for _ in range(_MOST_STEPS):
        off = at(value) - wanted
        if abs(off) <= 2 * sys.float_info.epsilon * abs(wanted):
            break
        step = _DIFFERENCE * abs(value)
        value -= off * 2 * step / (at(value + step) - at(value - step))
    if abs(at(value) - wanted) > _SOLVED * abs(wanted):
        raise ValueError("it has no such value near")
    return value


def corrected(printed: Printed, low: float, high: float) -> str | None:
    """Write the truth, which lies between bounds, in the style of a printed decimal.

    The result has as many significant digits as were printed. It has fewer where the bounds do not
    fix the last ones, and is None where they fix no digit at all; zeros at the end are left out if
    the truth is exactly what remains. A sign, a missing 0 before the point and a power of ten stay
    as printed.

    >>> from bnstats.claims.values import parse_value
    >>> corrected(parse_value("0.6312"), 0.67516728, 0.67516729)
    '0.6752'
    >>> corrected(parse_value("0.631234"), 0.67513, 0.67519)
    '0.675'
    >>> corrected(parse_value("6.312e-01"), 0.67516728, 0.67516729)
    '6.752e-01'
    """
    parts = decimal_parts(printed.text)
    if parts is None or not math.isfinite(low + high):
        return None
    decimals, exponent, power = parts
    ends = Decimal(low).scaleb(-power), Decimal(high).scaleb(-power)
    digits = (printed.digits or 0) or max(decimals, 1)  # 0.00 has decimals, but no such digits
    text = significant(*ends, digits, min(decimals, 1))
    if text is None:
        return None
    sign = printed.text[0] if printed.text[0] == "+" and not text.startswith("-") else ""
    if printed.text.lstrip(f"+-{MINUS}").startswith("."):
        text = re.sub(r"^(-?)0\.", r"\1.", text)
    if printed.text.partition(exponent or "\0")[0].endswith(".") and "." not in text:
        text += "."
    return f"{sign}{text}{exponent}"


def significant(
    low: float | Decimal, high: float | Decimal, digits: int, least: int = 1
) -> str | None:
    """Write the truth, which lies between bounds, to this many digits, or to all that are known.

    It has at least so many decimals: a whole number would claim to be exact.

    >>> significant(0.70710678, 0.70710679, 4), significant(0.70710678, 0.70710679, 12)
    ('0.7071', '0.7071068')
    >>> significant(0.4999, 0.5001, 12), significant(0.5, 0.5, 12)
    ('0.500', '0.5')
    """
    low, high = Decimal(low), Decimal(high)
    middle = Context(prec=digits).plus((low + high) / 2)  # 0.0097 to one digit is 0.01
    decimals = max(digits - 1 - middle.adjusted(), least) if middle else digits
    if decimals > _MOST_DECIMALS:
        return None
    text = _rounded(low, high, decimals, least)
    return text if text is None else _without_zeros(text, low, high, least)


def _rounded(low: Decimal, high: Decimal, decimals: int, least: int) -> str | None:
    """Round to these decimals, or to the most below them at which both ends round alike."""
    with localcontext(prec=1000, rounding=ROUND_HALF_EVEN):
        for places in range(decimals, least - 1, -1):
            unit = Decimal(1).scaleb(-places)
            found = low.quantize(unit)
            if found == high.quantize(unit):
                says_nothing = not found and low * high > 0
                return None if says_nothing else f"{found if found else abs(found):f}"
    return None


def _without_zeros(text: str, low: Decimal, high: Decimal, least: int) -> str:
    """Return a number without zeros at its end if the truth is exactly that: 0.5, not 0.500."""
    value = Decimal(text)
    rounding = abs(value) * _FLOAT64
    is_it = low - rounding <= value <= high + rounding
    if not is_it or high - low > _AS_GOOD_AS_EXACT * (abs(value) or 1):
        return text
    whole, point, decimals = text.partition(".")
    kept = decimals.rstrip("0").ljust(least, "0")
    return f"{whole}{point}{kept}" if kept else whole

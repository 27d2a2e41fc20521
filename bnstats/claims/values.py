"""Printed values: decimals claim an interval, expressions such as sqrt(1/2) an exact number."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass, replace

from bnstats.errors import printable
from bnstats.notation import MINUS, shortest
from bnstats.specs.expressions import MAX_LENGTH, MODULE, evaluate, parsed

_DECIMAL = re.compile(
    r"[+-]?(?:\d+\.(?P<decimals>\d*)|\.(?P<bare>\d+)|\d+(?=[eE]))"
    r"(?:[eE](?P<exponent>[+-]?\d{1,4}))?",
    re.ASCII,
)
_UNCERTAIN = re.compile(  # 0.7071(3), 0.7071(3)e-1 and 0.7071 ± 0.0001
    r"(?P<value>[+-]?[0-9.][0-9.eE+-]*?)"
    r"(?:\((?P<digits>\d+|\d+\.\d+|\.\d+)\)(?P<exponent>[eE][+-]?\d{1,4})?"
    r"|\s*(?:±|\+/-|\+-)\s*(?P<margin>\S+))",
    re.ASCII,
)
_ROUNDED = 3  # significant digits from which on a decimal in an expression is a rounded number
_STEP = 1e-5  # relative, of a difference quotient
_COVERAGE = 2  # standard uncertainties, the parenthesised ones, to each side
_ROOT = re.compile(rf"{MODULE}sqrt\(([^()]*)\)", re.ASCII)


@dataclass(frozen=True)
class Printed:
    """A value as printed, which claims that the truth is within its half-width.

    Attributes
    ----------
    text
        The text in the source.
    value
        The number that it stands for.
    half_width
        Half a unit of the last decimal printed, carried through the expression that it is part of;
        two of the standard uncertainties in parentheses, or what follows a ±; or the tolerance that
        the claim states. It is 0 for a symbolic value, which claims to be exact; whole numbers
        count as symbolic (1, ``1.`` and 1e0, not 1.0), and so do eighths and decimals of at most
        two digits within an expression, which are parameters more often than not.
    digits
        The number of significant digits printed; None for a symbolic value.
    tolerance
        The half-width, if the claim states it beside the value.
    """

    text: str
    value: float
    half_width: float
    digits: int | None = None
    tolerance: float | None = None

    @property
    def claimed(self) -> str:
        """What is claimed: the text, and the tolerance where there is one."""
        return self.text if self.tolerance is None else f"{self.text} ± {shortest(self.tolerance)}"

    @property
    def half_unit(self) -> float:
        """The half-width that the digits alone claim, whatever tolerance is stated."""
        return self.half_width if self.tolerance is None else parse_value(self.text).half_width

    @property
    def symbolic(self) -> bool:
        """Whether the value claims to be exact."""
        return self.half_width == 0


def parse_value(text: str) -> Printed:
    """Parse a printed value without evaluating code.

    Raises
    ------
    ValueError
        The text is not a number, not finite, or longer than 200 characters.

    Examples
    --------
    >>> parse_value("0.2123").half_width
    5e-05
    >>> parse_value("sqrt(1/2)").value, parse_value("math.sqrt(1/2)").value
    (0.7071067811865476, 0.7071067811865476)
    >>> parse_value("sqrt(1.55)").digits  # between √1.545 and √1.555
    3
    >>> f'{parse_value("1/0.5838").half_width:.1e}', f'{parse_value("0.7071(3)").half_width:.1e}'
    ('1.5e-04', '6.0e-04')
    """
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a value of {len(text)} characters; the limit is {MAX_LENGTH}")
    plain = text.replace(MINUS, "-")
    try:
        printed = _decimal(plain) or _uncertain(plain)
        root = _ROOT.fullmatch(plain)
        if root and (under := _decimal(root[1])):
            value = math.sqrt(under.value)
            printed = replace(under, value=value, half_width=under.half_width / value / 2)
        printed = replace(printed or _expression(plain), text=text)
    except (ValueError, ArithmeticError):
        raise ValueError(f"value '{printable(text, 60)}' is not a number") from None
    if not (math.isfinite(printed.value) and math.isfinite(printed.half_width)):
        raise ValueError(f"value '{printable(text, 60)}' is not a finite number")
    # A half-width that underflows would make the value symbolic.
    if printed.digits is not None and not printed.half_width:
        raise ValueError(f"value '{printable(text, 60)}' is too small for its digits to count")
    return printed


def _decimal(text: str) -> Printed | None:
    parts = decimal_parts(text)
    if parts is None:
        return None
    decimals, _, exponent = parts
    if exponent >= decimals == 0:
        return Printed(text, float(text), 0.0)
    mantissa = re.split("[eE]", text)[0]
    digits = len(re.sub(r"[+\-.]", "", mantissa).lstrip("0"))
    return Printed(text, float(text), float(f"0.5e{exponent - decimals}"), digits)


def _uncertain(text: str) -> Printed | None:
    """Read a number with its uncertainty, in the GUM's concise form or as a margin."""
    found = _UNCERTAIN.fullmatch(text)
    if not found:
        return None
    exponent = found["exponent"] or ""
    printed = _decimal(found["value"] + exponent)
    if printed is None or printed.digits is None:
        raise ValueError
    if found["margin"]:
        margin = float(found["margin"])
    else:
        decimals, _, power = decimal_parts(found["value"] + exponent) or (0, "", 0)
        last_place = power if "." in found["digits"] else power - decimals
        margin = _COVERAGE * float(f"{found['digits']}e{last_place}")
    if margin <= 0:
        raise ValueError
    return replace(printed, text=text, half_width=max(margin, printed.half_width))


def _expression(text: str) -> Printed:
    """Evaluate an expression; decimals of three digits and more claim these in it, but eighths."""
    tree = parsed(text)
    value, half_width, digits = evaluate(tree), 0.0, []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant):
            continue
        rounded = _decimal(text[node.col_offset : node.end_col_offset])
        if rounded is None or (rounded.digits or 0) < _ROUNDED or (8 * rounded.value).is_integer():
            continue
        # Half a unit of the 17th digit would vanish in the rounding of what is evaluated.
        step = max(rounded.half_width, _STEP * abs(rounded.value))
        ends = []
        for end in (rounded.value - step, rounded.value + step):
            node.value = end
            ends.append(evaluate(tree))
        node.value = rounded.value
        half_width += abs(ends[1] - ends[0]) / 2 * (rounded.half_width / step)
        digits.append(rounded.digits or 0)
    return Printed(text, value, half_width, min(digits, default=None))


def decimal_parts(text: str) -> tuple[int, str, int] | None:
    """Return a decimal's places after the point, its exponent as printed and as a number.

    None is returned for an expression.

    >>> decimal_parts("6.31e-01"), decimal_parts("0.67"), decimal_parts("1/3")
    ((2, 'e-01', -1), (2, '', 0), None)
    """
    text = text.replace(MINUS, "-")
    found = _DECIMAL.fullmatch(text)
    if not found:
        return None
    decimals = len(found["decimals"] or found["bare"] or "")
    if found["exponent"] is None:
        return decimals, "", 0
    return decimals, text[found.start("exponent") - 1 :], int(found["exponent"])

"""Printed values: decimals claim an interval, expressions such as sqrt(1/2) an exact number."""

from __future__ import annotations

import ast
import math
import operator
import re
from dataclasses import dataclass, replace

from bnstats.errors import printable

_MAX_LENGTH = 200
_DECIMAL = re.compile(
    r"[+-]?(?:\d+\.(?P<decimals>\d*)|\.(?P<bare>\d+)|\d+(?=[eE]))"
    r"(?:[eE](?P<exponent>[+-]?\d{1,4}))?",
    re.ASCII,
)
_ROOT = re.compile(r"sqrt\(([^()]*)\)", re.ASCII)
_EXPRESSION = re.compile(r"(?:[0-9.+\-*/() \t]|sqrt|exp|log|pi|[0-9][eE])+", re.ASCII)
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "log": math.log}


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
        Half a unit of the last decimal printed, carried through the root if it is under one, or the
        tolerance that the claim states. It is 0 for a symbolic value, which claims to be exact; a
        whole number without a decimal point counts as symbolic.
    digits
        The number of significant digits printed; None for a symbolic value.
    """

    text: str
    value: float
    half_width: float
    digits: int | None = None

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
    >>> parse_value("sqrt(1/2)").value
    0.7071067811865476
    >>> parse_value("sqrt(1.55)").digits  # between √1.545 and √1.555
    3
    """
    text = text.strip()
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a value of {len(text)} characters; the limit is {_MAX_LENGTH}")
    try:
        printed = _decimal(text)
        root = _ROOT.fullmatch(text)
        if root and (under := _decimal(root[1])):
            value = math.sqrt(under.value)
            printed = replace(
                under, text=text, value=value, half_width=under.half_width / value / 2
            )
        if printed is None:
            if not _EXPRESSION.fullmatch(text):
                raise ValueError
            printed = Printed(text, _evaluate(ast.parse(text, mode="eval").body), 0.0)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError):
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
    mantissa = re.split("[eE]", text)[0]
    digits = len(re.sub(r"[+\-.]", "", mantissa).lstrip("0"))
    return Printed(text, float(text), float(f"0.5e{exponent - decimals}"), digits)


def decimal_parts(text: str) -> tuple[int, str, int] | None:
    """Return a decimal's places after the point, its exponent as printed and as a number.

    None is returned for an expression.

    >>> decimal_parts("6.31e-01"), decimal_parts("0.67"), decimal_parts("1/3")
    ((2, 'e-01', -1), (2, '', 0), None)
    """
    found = _DECIMAL.fullmatch(text)
    if not found:
        return None
    decimals = len(found["decimals"] or found["bare"] or "")
    if found["exponent"] is None:
        return decimals, "", 0
    return decimals, text[found.start("exponent") - 1 :], int(found["exponent"])


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id="pi"):
            return math.pi
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return float(_BINARY[type(op)](_evaluate(left), _evaluate(right)))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_evaluate(argument))
    raise ValueError

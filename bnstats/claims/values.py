"""Printed values: decimals claim an interval, expressions such as sqrt(1/2) claim themselves."""

from __future__ import annotations

import ast
import math
import operator
import re
from dataclasses import dataclass

from bnstats.errors import printable

_MAX_LENGTH = 200
_DECIMAL = re.compile(
    r"[+-]?(?:\d+\.(?P<decimals>\d*)|\.(?P<bare>\d+)|\d+(?=[eE]))"
    r"(?:[eE](?P<exponent>[+-]?\d{1,4}))?",
    re.ASCII,
)
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
    """A value as printed.

    Attributes
    ----------
    text
        As it stands in the source.
    value
        As a number.
    half_width
        Half a unit of the last decimal printed; 0 for a symbolic value, which claims itself. A
        whole number without a decimal point counts as symbolic.
    """

    text: str
    value: float
    half_width: float

    @property
    def symbolic(self) -> bool:
        """Whether the value claims to be exact."""
        return self.half_width == 0


def parse_value(text: str) -> Printed:
    """Parse a printed value without evaluating code.

    Raises
    ------
    ValueError
        Not a number, not finite, or longer than 200 characters.

    Examples
    --------
    >>> parse_value("0.2123").half_width
    5e-05
    >>> parse_value("sqrt(1/2)").value
    0.7071067811865476
    """
    text = text.strip()
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a value of {len(text)} characters; the limit is {_MAX_LENGTH}")
    try:
        decimal = _DECIMAL.fullmatch(text)
        if decimal:
            decimals = len(decimal["decimals"] or decimal["bare"] or "")
            exponent = int(decimal["exponent"] or 0)
            printed = Printed(text, float(text), float(f"0.5e{exponent - decimals}"))
        else:
            if not _EXPRESSION.fullmatch(text):
                raise ValueError
            printed = Printed(text, _evaluate(ast.parse(text, mode="eval").body), 0.0)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError):
        raise ValueError(f"value '{printable(text, 60)}' is not a number") from None
    if not (math.isfinite(printed.value) and math.isfinite(printed.half_width)):
        raise ValueError(f"value '{printable(text, 60)}' is not a finite number")
    if decimal and not printed.half_width:  # underflow would make it a symbolic value
        raise ValueError(f"value '{printable(text, 60)}' is too small for its digits to count")
    return printed


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

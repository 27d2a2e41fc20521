"""Arithmetic in texts, such as sqrt(2) or 5/3, which is read and never run as code."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Mapping
from types import MappingProxyType

from bnstats.notation import MINUS

MAX_LENGTH = 200
MODULE = r"(?:(?:math|np|numpy)\.)?"  # as code writes it
_PARTS = rf"[0-9.+\-*/() \t]|{MODULE}(?:sqrt|exp|log|pi)|[0-9][eE]"
_NUMBER = r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf)"
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "log": math.log}


def parsed(text: str, variable: str = "") -> ast.expr:
    """Return the tree of an expression of numbers, pi, + - * / **, sqrt, exp and log.

    It may hold one variable, if that has a name.

    Raises
    ------
    ValueError
        Another text, or one longer than 200 characters.
    """
    parts = rf"\b{re.escape(variable)}\b|{_PARTS}" if variable else _PARTS
    if len(text) > MAX_LENGTH or not re.fullmatch(f"(?:{parts})+", text, re.ASCII):
        raise ValueError("not an expression")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError("not an expression") from None


def number(text: str) -> float:
    """Return the number that a text is: a decimal, inf, or what an expression makes.

    Raises
    ------
    ValueError
        Another text, or an expression that has no value.

    Examples
    --------
    >>> number("0.25"), number("5/3")
    (0.25, 1.6666666666666667)
    """
    text = text.strip().replace(MINUS, "-")
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return float(text)
    try:
        value = evaluate(parsed(text))
    except ArithmeticError:
        value = math.nan
    if math.isnan(value):
        raise ValueError("no value")
    return value


def evaluate(tree: ast.expr, values: Mapping[str, float] = MappingProxyType({})) -> float:
    """Return the value of a tree, with values of its variables.

    Raises
    ------
    ValueError
        Something in it is no arithmetic, a root or logarithm of a negative number, or nested too
        deeply.
    ArithmeticError
        A division by zero, or a number beyond float64's range.

    Examples
    --------
    >>> evaluate(parsed("sqrt(2)"))
    1.4142135623730951
    """
    try:
        return _evaluate(tree, values)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id="pi") | ast.Attribute(value=ast.Name(), attr="pi"):
            return math.pi
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, values)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand, values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return float(_BINARY[type(op)](_evaluate(left, values), _evaluate(right, values)))
        case ast.Call(
            func=ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name),
            args=[argument],
            keywords=[],
        ) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_evaluate(argument, values))
    raise ValueError("not arithmetic")

"""Equations: what a quantity shall be, and the parameter that is solved for."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass

from bnstats.claims.values import decimal_parts
from bnstats.errors import BnstatsError, printable
from bnstats.layers import Known
from bnstats.notation import MINUS
from bnstats.specs.expressions import evaluate, parsed
from bnstats.specs.over import Over
from bnstats.statistics.quantities import checked_quantity, symbol_of

_EXAMPLE = "e.g. c1=0.1, std_y=1 or std_y=3/5*x_std"
_ROUNDING = 2.0**-50  # of an expression


@dataclass(frozen=True)
class Wanted:
    """A quantity, and what it shall be.

    Attributes
    ----------
    quantity
        Its name.
    text
        A number, or an expression, as written.
    parameter
        The name that the expression may hold: the parameter that is solved for.
    """

    quantity: str
    text: str
    parameter: str = ""

    @property
    def equation(self) -> str:
        """The equation as the command line takes it."""
        return f"{self.quantity}={self.text}"

    @property
    def is_fixed(self) -> bool:
        """Whether the same is wanted at every value of the parameter."""
        nodes = ast.walk(self._tree)
        return not any(isinstance(n, ast.Name) and n.id == self.parameter for n in nodes)

    @property
    def _tree(self) -> ast.expr:
        return parsed(self.text, self.parameter)

    def at(self, value: float) -> Known:
        """Return what is wanted at a value of the parameter; nan where the expression has none."""
        try:
            found = evaluate(self._tree, {self.parameter: value})
        except (ValueError, ArithmeticError):
            return Known(math.nan, math.inf)
        is_number = decimal_parts(self.text) is not None or self.text.isdecimal()
        return Known(found, 0.0 if is_number else _ROUNDING * abs(found))


@dataclass(frozen=True)
class Inverse:
    """An inverse problem: the parameter that is sought, where, and the equation that it solves.

    Attributes
    ----------
    text
        What it is sought over, as written, e.g. ``x_std=0.1:10:log``.
    over
        The same as values.
    wanted
        The equation.
    """

    text: str
    over: Over
    wanted: Wanted

    def to_dict(self) -> dict[str, str]:
        """Return plain data, in the words of a claims file."""
        return {"over": self.text, "find": self.wanted.equation}

    def __str__(self) -> str:
        return f"{symbol_of(self.wanted.quantity)} = {self.wanted.text}"


def wanted_of(text: str, parameter: str = "") -> Wanted:
    """Read ``QUANTITY=VALUE``, in which VALUE may be an expression that holds the parameter.

    Raises
    ------
    BnstatsError
        The text is none.

    Examples
    --------
    >>> wanted_of("σ[y] = 3/5*x_std", "x_std").at(2.0).value
    1.2
    """
    name, equals, said = (part.strip() for part in text.partition("="))
    if not equals:
        raise BnstatsError(f"find '{printable(text, 60)}' is no QUANTITY=VALUE", hint=_EXAMPLE)
    wanted = Wanted(checked_quantity(name), said.replace(MINUS, "-"), parameter)
    try:
        if wanted.is_fixed and not math.isfinite(wanted.at(1.0).value):
            raise ValueError
    except ValueError:
        shown = printable(said, 40)
        of = f" or an expression of {parameter}" if parameter else ""
        raise BnstatsError(f"find {name}: '{shown}' is not a number{of}", hint=_EXAMPLE) from None
    return wanted

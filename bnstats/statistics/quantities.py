"""The quantities bnstats reports.

Most are a power of one of three moments of y or dx: ``mean`` is E[v], ``var`` is E[v²] − E[v]² and
``ms`` is E[v²], over draws and event positions. A standard deviation is var^½, a gain its
reciprocal, var^−½: estimates, intervals and exact values of all of them follow from the moment's.
Those of `STACK_QUANTITIES` say what a layer does in a stack of them: functions of joint moments of
x, y and the slope f′.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bnstats.errors import BnstatsError, printable, suggestion

Direction = Literal["y", "dx"]


@dataclass(frozen=True)
class Quantity:
    """A reported number: ``moment ** power`` of one direction."""

    symbol: str
    direction: Direction
    moment: Literal["mean", "var", "ms"]
    power: float


QUANTITIES: dict[str, Quantity] = {
    "mean_y": Quantity("E[y]", "y", "mean", 1),
    "std_y": Quantity("σ[y]", "y", "var", 0.5),
    "mean_dx": Quantity("E[dx]", "dx", "mean", 1),
    "std_dx": Quantity("σ[dx]", "dx", "var", 0.5),
    "var_dx": Quantity("Var[dx]", "dx", "var", 1),
    "var_y": Quantity("Var[y]", "y", "var", 1),
    "rms_y": Quantity("rms[y]", "y", "ms", 0.5),
    "ms_y": Quantity("E[y²]", "y", "ms", 1),
    "rms_dx": Quantity("rms[dx]", "dx", "ms", 0.5),
    "gain_y": Quantity("1/σ[y]", "y", "var", -0.5),
    "gain_rms_y": Quantity("1/rms[y]", "y", "ms", -0.5),
    "gain_ms_y": Quantity("1/E[y²]", "y", "ms", -1),
    "gain_dx": Quantity("1/σ[dx]", "dx", "var", -0.5),
}


@dataclass(frozen=True)
class StackQuantity:
    """A function of moments of x, y and f′, at a layer that keeps the law of its input.

    Attributes
    ----------
    symbol
        As people read it.
    meaning
        What it means for a stack of such layers, in a line.
    scale
        That on which the estimate is nearest to normal: linear, the logarithm, or the inverse
        hyperbolic tangent of the number in (−1, 1) whose square it is.
    of_scalars
        Whether it is one of functions of a single number only.
    """

    symbol: str
    meaning: str
    scale: Literal["linear", "log", "square"]
    of_scalars: bool


STACK_QUANTITIES: dict[str, StackQuantity] = {
    "linear_share": StackQuantity(
        "linear share",
        "of Var[y] that a straight line through x explains; the rest is non-linear",
        "square",
        of_scalars=True,
    ),
    "chi": StackQuantity(
        "χ",
        "factor of the gradient's variance per layer, where weights keep E[y²]: 1 is ideal",
        "log",
        of_scalars=False,
    ),
    "mean_degree": StackQuantity(
        "mean degree",
        "the same factor where the mean of y is removed, as by batch norm; above 1 for every "
        "continuous f that is not affine",
        "log",
        of_scalars=True,
    ),
    "stability": StackQuantity(
        "stability",
        "factor per layer of a relative error in E[y²]: above 1, scales run away",
        "linear",
        of_scalars=True,
    ),
    "c1": StackQuantity(
        "c₁",
        "correlation of the outputs, as the next layer sees them, of two independent inputs",
        "square",
        of_scalars=False,
    ),
    "mean_slope": StackQuantity(
        "E[f′]",
        "mean of the derivative; of a continuous f the slope of the straight line nearest to it",
        "linear",
        of_scalars=True,
    ),
    "var_slope": StackQuantity(
        "Var[f′]",
        "variance of the derivative: how unevenly gradients pass; 0 of an affine f",
        "linear",
        of_scalars=True,
    ),
}

ALL_QUANTITIES: dict[str, Quantity | StackQuantity] = {**QUANTITIES, **STACK_QUANTITIES}

NOT_SCALAR = "such a layer mixes several numbers, and is no function of one"

ON_SCREEN = ("mean_y", "std_y", "mean_dx", "std_dx", "var_dx")
GAINS = ("gain_y", "gain_rms_y", "gain_dx")  # shown below them


# What keyboards have for the signs in a symbol.
_SPELT = {"σ": "sigma", "χ": "chi", "²": "^2", "**2": "^2", "₁": "1", "′": "'"}


def quantity_named(text: str) -> str | None:
    """Return the name of a quantity from its name or its symbol, printed or typed on a keyboard.

    >>> quantity_named("std_y"), quantity_named("σ[y]"), quantity_named("1/sigma[dx]")
    ('std_y', 'std_y', 'gain_dx')
    >>> quantity_named("E[y^2]"), quantity_named("E[z]")
    ('ms_y', None)
    """
    return text if text in ALL_QUANTITIES else _by_symbol().get(_spelt(text))


def symbol_of(name: str) -> str:
    """Return a quantity as people read it; what is none, such as a parameter, has its name."""
    return ALL_QUANTITIES[name].symbol if name in ALL_QUANTITIES else name


def checked_quantity(text: str) -> str:
    """Return the name of a quantity from its name or its symbol.

    Raises
    ------
    BnstatsError
        There is no such quantity; the hint names the nearest, or all.
    """
    name = quantity_named(text)
    if name is not None:
        return name
    near = suggestion(text, ALL_QUANTITIES) or _by_symbol().get(
        suggestion(_spelt(text), _by_symbol()) or ""
    )
    hint = f"quantities: {', '.join(ALL_QUANTITIES)}, or their symbols, e.g. σ[y] or sigma[y]"
    if near:
        hint = f"did you mean {near}, {ALL_QUANTITIES[near].symbol}?  (bnstats help quantities)"
    raise BnstatsError(f"unknown quantity '{printable(text, 40)}'", hint=hint)


@cache
def _by_symbol() -> dict[str, str]:
    return {_spelt(q.symbol): name for name, q in ALL_QUANTITIES.items()}


def _spelt(symbol: str) -> str:
    """Return a symbol in the letters of a keyboard, without blanks."""
    for sign, letters in _SPELT.items():
        symbol = symbol.replace(sign, letters)
    return re.sub(r"\s", "", symbol)


def has_log_scale(name: str) -> bool:
    """Whether a quantity's intervals live on the scale of logarithms."""
    of = ALL_QUANTITIES[name]
    return of.scale == "log" if isinstance(of, StackQuantity) else of.moment != "mean"

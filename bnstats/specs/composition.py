"""The text of layers made of others: ``2*tanh``, ``0.5+2*softplus:beta=2``, ``relu..maxout``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from bnstats.errors import BnstatsError, printable
from bnstats.layers import BoundLayer, Layer, scaled
from bnstats.specs.expressions import evaluate, parsed

CHAIN = ".."


class Scale(NamedTuple):
    """The parts of ``shift+factor*layer``; the prefix is their canonical text, empty for 0, 1."""

    factor: float
    shift: float
    prefix: str
    rest: str


def scale_of(text: str) -> Scale | None:
    """Split a factor and a shift off a spec; None where it has none.

    What stands before the last operator is arithmetic, in which the layer stands for a number.

    Raises
    ------
    BnstatsError
        The factor is zero, or a number is not finite.

    Examples
    --------
    >>> scale_of("sqrt(2)*relu").factor, scale_of("2-3*tanh").prefix, scale_of("leaky-relu")
    (1.4142135623730951, '2-3*', None)
    """
    head = text.partition(":")[0]
    cut = max(head.rfind(operator) for operator in "*+-") + 1
    before = head[:cut]
    if not before or before.endswith("**"):
        return None
    try:
        shift, both = (evaluate(parsed(f"{before}({number})")) for number in "01")
        factor = evaluate(parsed(f"{before}(1)-({before}(0))"))
    except (ValueError, ArithmeticError):
        return None
    if not (math.isfinite(shift) and math.isfinite(both)) or factor == 0:
        raise BnstatsError(
            "a layer is scaled by a finite number that is not 0", where=printable(text)
        )
    return Scale(factor, shift, _prefix(factor, shift), text[cut:])


def scaled_layer(layer: Layer, scale: Scale) -> Layer:
    """Return the entry of a layer with a factor and a shift, which has the layer's parameters."""
    return replace(
        layer,
        name=f"{scale.prefix}{layer.name}",
        family="composed",
        formula=f"y = {scale.prefix}f,  f: {layer.formula}",
        gradient=f"f: {layer.gradient},  with {_number(scale.factor)}·dy for dy",
        bind=lambda **values: scaled(layer.bind(**values), scale.factor, scale.shift),
        aliases=(),
        made_of=(layer,),
    )


def chained_layer(name: str, first: Layer, second: Layer, bound: BoundLayer) -> Layer:
    """Return the entry of a chain, whose name says its parameters."""
    return replace(
        second,
        name=name,
        family="composed",
        summary=f"{first.name}, then {second.name}.",
        formula=f"{second.formula};  x = {first.name}",
        gradient=f"{second.gradient};  through {first.name}",
        declares=lambda: (),
        bind=lambda: bound,
        aliases=(),
        examples=(),
        made_of=(first, second),
    )


def is_composed(text: str) -> bool:
    """Whether a spec is that of a layer made of others."""
    return CHAIN in text or scale_of(text) is not None


def _prefix(factor: float, shift: float) -> str:
    size = "" if abs(factor) == 1 else f"{_number(abs(factor))}*"
    if shift:
        return f"{_number(shift)}{'+' if factor > 0 else '-'}{size}"
    return size if factor > 0 else f"-{_number(abs(factor))}*"


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")

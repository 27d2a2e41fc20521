"""What a sweep goes over: a parameter, of the layers or of the law of x and dy, and its values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnstats.errors import BnstatsError, hint_for, printable
from bnstats.layers import Law
from bnstats.specs.expressions import number
from bnstats.specs.names import Load, split
from bnstats.specs.spec import Spec, parse, value_text

POINTS = 41
_MOST = 10_000
_EXAMPLES = "e.g. x_std=0.1:10:log, negative_slope=0:1:0.1 or kernel_size=2,3,5"
_DIGITS = 12  # of a value between two ends, so that its text is short


@dataclass(frozen=True)
class Over:
    """A parameter and the values that it takes, in their order.

    Attributes
    ----------
    name
        ``x_mean``, ``x_std`` or ``dy_std``, or a parameter of the layers.
    texts
        The values as a spec writes them.
    log
        Whether they are spaced, and drawn, on the scale of logarithms.
    continuous
        Whether they stand for all numbers between them.
    """

    name: str
    texts: tuple[str, ...]
    log: bool = False
    continuous: bool = False

    @property
    def is_of_law(self) -> bool:
        """Whether the law of the inputs is swept, and not a parameter of a layer."""
        return self.name in Law._fields

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The values as numbers; None where one is none, such as a word or 2x3."""
        try:
            return tuple(map(number, self.texts))
        except ValueError:
            return None

    def text_of(self, value: float) -> str:
        """Return a value as it was written, or one between these as a spec writes it."""
        numbers = self.numbers or ()
        return self.texts[numbers.index(value)] if value in numbers else repr(value)

    def at(self, layer: str, text: str, law: Law, load: Load) -> tuple[Spec, Law]:
        """Return a layer, written without the parameter, and the law at one of the values."""
        if self.is_of_law:
            return parse(layer, load), law._replace(**{self.name: number(text)})
        name, _ = split(layer)
        sign = ":" if layer == name else ","
        return parse(f"{layer}{sign}{self.name}={text}", load), law


def over_of(
    given: str | Mapping[str, Sequence[Any]],
    layers: Sequence[str],
    load: Load,
    points: int = POINTS,
) -> Over:
    """Read ``NAME=a:b``, ``NAME=a:b:log``, ``NAME=a:b:STEP`` or ``NAME=v,v,v``, or a mapping.

    A range without a step has so many points; one of a parameter that is a whole number, every
    whole number.

    Raises
    ------
    BnstatsError
        The text is none of these, or a layer has no such parameter.
    """
    if not isinstance(given, str):
        if not isinstance(given, Mapping) or len(given) != 1:
            raise BnstatsError("a sweep is over one parameter", hint='{"x_std": [0.5, 1, 2]}')
        ((name, values),) = given.items()
        _kind(str(name), layers, load)
        texts = tuple(value_text(_plain(value)) for value in values)
        if not texts:
            raise BnstatsError(f"{name} has no values")
        return Over(str(name), texts)
    name, equals, said = (part.strip() for part in given.partition("="))
    if not equals or not said or not name.isidentifier():
        raise BnstatsError(f"over '{printable(given, 60)}' is no NAME=VALUES", hint=_EXAMPLES)
    kind = _kind(name, layers, load)
    if ":" not in said:
        found = Over(name, tuple(said.split(",")))
        if len(found.texts) > _MOST:
            raise _too_many(name, len(found.texts))
        if found.is_of_law and found.numbers is None:
            raise BnstatsError(f"over {name}={printable(said, 60)}: not numbers", hint=_EXAMPLES)
        return found
    return _range(name, said, whole=kind in ("int", "size"), points=points)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value  # a number of numpy's


def _kind(name: str, layers: Sequence[str], load: Load) -> str:
    """Return what kind of values a parameter takes: those of the first layer."""
    if name in Law._fields:
        return "float"
    kinds = []
    for text in layers:
        named, found = split(text)
        layer = found[0] if found else load(named)
        parameters = {p.name: p for p in layer.parameters}
        if name not in parameters:
            there = [*parameters, *Law._fields]
            hint = hint_for(name, there) or f"there is {', '.join(there)}"
            raise BnstatsError(f"{layer.name} has no parameter '{printable(name, 40)}'", hint=hint)
        kinds.append(parameters[name].kind)
    return kinds[0]


def _range(name: str, said: str, *, whole: bool, points: int) -> Over:
    try:
        first, last, *rest = said.split(":")
        (how,) = rest or ("",)
        low, high = number(first), number(last)
        step = number(how) if how not in ("", "log") else None
    except ValueError:
        raise BnstatsError(
            f"over {name}={printable(said, 60)} is no range", hint=_EXAMPLES
        ) from None
    if not (math.isfinite(low + high + (step or 0)) and low < high and (step is None or step > 0)):
        raise BnstatsError(
            f"over {name}={printable(said, 60)}: a range goes up, in finite steps above 0",
            hint=_EXAMPLES,
        )
    log = how == "log"
    if log and low <= 0:
        raise BnstatsError(f"over {name}={said}: a logarithmic range begins above 0")
    if whole and not log:
        step = step or 1.0
    count = int((high - low) / step * (1 + 1e-12)) + 1 if step else points
    if count > _MOST:
        raise _too_many(name, count)
    if step:
        values = [low + i * step for i in range(count)]
    elif log:
        values = [low * (high / low) ** (i / (count - 1)) for i in range(count)]
    else:
        values = [low + (high - low) * (i / (count - 1)) for i in range(count)]
    short = (round(value) if whole else float(f"{value:.{_DIGITS}g}") for value in values)
    texts = dict.fromkeys(map(value_text, short))
    return Over(name, tuple(texts), log=log, continuous=not whole)


def _too_many(name: str, count: int) -> BnstatsError:
    return BnstatsError(f"over {name}: {count:,} values", hint=f"at most {_MOST:,}")

"""Layer specs: from text, ``name:key=value,key=value``, to a layer, and back.

A spec has one canonical form, which identifies it in files and in the random streams: the layer's
own name and the parameters that differ from their defaults, with keys in sorted order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

from bnstats.errors import BnstatsError, kind_of, listed, printable, suggestion
from bnstats.layers import (
    BoundLayer,
    Law,
    Layer,
    Parameter,
    ParameterError,
    chained,
    scaled,
)
from bnstats.notation import MINUS
from bnstats.specs.composition import CHAIN, Scale, chained_layer, scale_of, scaled_layer
from bnstats.specs.expressions import number
from bnstats.specs.libraries import our_word
from bnstats.specs.names import Load, is_a_librarys, refuse, split

_MAX_LENGTH = 1000
_SIDES = "sides are written with an x between them: 3x2"
# The text that a value of each kind has, and what it is called; numbers are read otherwise.
_FORMS = {
    "word": (r"[\w.+-]+", "a word"),
    "bool": ("[tT]rue|[fF]alse", "true or false"),
    "int": (r"[+-]?\d{1,9}(\.0*)?", "a whole number below 10^9"),
    "size": (r"[+-]?\d{1,9}(x\d{1,9}){0,5}", "a size such as 3 or 3x3"),
}
_MAX_ELEMENTS = 2**22  # of x and dy: exact values may look at every position


class UnknownParameterError(BnstatsError):
    """A parameter that a layer does not have; ``key`` is its name."""

    key: str = ""


@dataclass(frozen=True)
class Spec:
    """A layer with its parameters bound; equal to another of the same layer and text.

    Attributes
    ----------
    text
        The canonical spec.
    layer, bound
        The registry's entry, and the layer with its parameters bound: the experiment of one draw.
    assumed
        Values that nobody gave and that change the numbers, by parameter: sizes, an initialisation.
    values
        All parameters by name, defaults as well.
    """

    text: str
    layer: Layer
    bound: BoundLayer = field(compare=False)  # its functions are new ones at every parsing
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)
    assumed: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return parse, (self.text,)  # a bound layer holds functions that do not pickle

    def parameters(self) -> dict[str, Any]:
        """Return ``values`` as plain data; sizes of several sides are text, as in a spec."""
        return {k: value_text(v) if isinstance(v, tuple) else v for k, v in self.values.items()}

    def under(self, law: Law) -> Spec:
        """Return this spec with what its layer can say only once the law is known."""
        return self if self.bound.under is None else replace(self, bound=self.bound.under(law))


def parse(text: str, load: Load = refuse, given: Mapping[str, Any] | None = None) -> Spec:
    """Parse a spec, the only way from text to a layer.

    Parameters
    ----------
    text
        A name and parameters, e.g. ``"max_pool2d:kernel_size=3,stride=2"``; values are ints,
        floats, which may be expressions such as sqrt(2), true/false, words and sizes like 3x3.
    load
        What is done about a name that is not known yet. By default nothing is imported and the name
        is refused; `bnstats.custom.load_typed` and its kin import the user's code.
    given
        Further parameters, as a program has them: numbers, words, True, sizes such as (3, 5).

    Raises
    ------
    BnstatsError
        The layer or a parameter is unknown, or a value is missing, ill-typed or out of range; the
        message shows the place. Of a library's layer, sizes that change the numbers are not
        assumed: they are missing where neither the name nor the text says them.

    Examples
    --------
    >>> parse("leaky_relu:negative_slope=0.20").text
    'leaky_relu:negative_slope=0.2'
    >>> parse("max_pool2d:stride=3,kernel_size=3x3").text
    'max_pool2d:kernel_size=3'
    """
    if len(text) > _MAX_LENGTH:
        raise BnstatsError(f"a layer spec of {len(text)} characters; the limit is {_MAX_LENGTH}")
    if CHAIN in text:
        return _chain(text, load, given)
    if scale := scale_of(text):
        return _scaled(scale, load, given)
    name, found = split(text)
    layer, carried = found or (load(name), "")
    values = _values(layer, carried, 0) if carried else {}
    written = _values(layer, text, len(name) + 1) if text != name else {}
    values |= written
    for key, value in given_values(layer, given or {}).items():
        if key in written:
            raise BnstatsError(f"{name}: parameter '{key}' is given twice", where=printable(text))
        values[key] = value
    assumed = _assumed(layer, values)
    if assumed and is_a_librarys(name):
        items = ",".join(f"{key}={value_text(value)}" for key, value in assumed.items())
        raise BnstatsError(
            f"{name} needs {listed([*assumed])}",
            hint=f"e.g. {text}{',' if text != name else ':'}{items}  (bnstats show {layer.name})",
        )
    return bind(layer, values, text)


def _chain(text: str, load: Load, given: Mapping[str, Any] | None) -> Spec:
    first, *others = text.split(CHAIN)
    if not all((first, *others)):
        hint = "e.g. relu..max_pool2d:kernel_size=2"
        raise BnstatsError("a chain lacks a layer", where=printable(text), hint=hint)
    spec = parse(first, load)
    for n, other in enumerate(others, start=1):
        second = parse(other, load, given if n == len(others) else None)
        try:
            bound = chained(spec.bound, second.bound)
        except ParameterError as error:
            raise BnstatsError(str(error), where=printable(text)) from None
        name = f"{spec.text}{CHAIN}{second.text}"
        layer = chained_layer(name, spec.layer, second.layer, bound)
        spec = Spec(name, layer, bound, assumed={**spec.assumed, **second.assumed})
    return spec


def _scaled(scale: Scale, load: Load, given: Mapping[str, Any] | None) -> Spec:
    inner = parse(scale.rest, load, given)
    if not scale.prefix:
        return inner
    layer = scaled_layer(inner.layer, scale)
    bound = scaled(inner.bound, scale.factor, scale.shift)
    return Spec(f"{scale.prefix}{inner.text}", layer, bound, assumed=inner.assumed)


def bind(layer: Layer, values: Mapping[str, Any], text: str) -> Spec:
    """Return a layer with parameters, which the text shows in errors.

    Raises
    ------
    BnstatsError
        A parameter is missing, or the values make no layer or too large a one.
    """
    missing = [p.name for p in layer.parameters if p.required and p.name not in values]
    if missing:
        raise BnstatsError(
            f"{layer.name} needs {listed(missing)}",
            hint=f"e.g. {example_specs(layer)[0]}  (bnstats show {layer.name})",
        )
    try:
        bound = layer.bind(**values)
    except ArithmeticError:
        raise BnstatsError(f"{layer.name}: a value is too large", where=printable(text)) from None
    except ParameterError as error:
        raise BnstatsError(
            f"{layer.name}: {error}", where=printable(text), hint=f"bnstats show {layer.name}"
        ) from None
    elements = sum(math.prod(bound.inputs[name].shape) for name in ("x", "dy"))
    if elements > _MAX_ELEMENTS:
        raise BnstatsError(
            f"{layer.name}: one draw would hold {elements:,} elements of x and dy, "
            f"more than {_MAX_ELEMENTS:,}",
            where=printable(text),
            hint="a smaller kernel, width or input_size",
        )
    complete, assumed = _complete(layer, values), _assumed(layer, values)
    return Spec(_canonical(layer, values), layer, bound, complete, assumed)


def _assumed(layer: Layer, values: Mapping[str, Any]) -> dict[str, Any]:
    return {p.name: p.default for p in layer.parameters if p.assumed and p.name not in values}


def _values(layer: Layer, text: str, at: int) -> dict[str, Any]:
    """Read items, ``key=value,key=value``, which begin at a position of the text."""
    known = {p.name: p for p in layer.parameters}
    name, values = layer.name, dict[str, Any]()
    for item in text[at:].split(","):
        key, equals, value = item.partition("=")
        if not item or not equals or not value:
            sides = re.fullmatch(r"\d+[])]?", item, re.ASCII)
            expected = _SIDES if sides and values else _expected(layer)
            raise _at(text, at, item, f"{name}: expected key=value", expected)
        if key not in known:
            unknown = _no_parameter(layer, key)
            raise _at(text, at, key, unknown.message, unknown.hint)
        if key in values:
            raise _at(text, at, key, f"{name}: parameter '{key}' is given twice", None)
        try:
            values[key] = _value(known[key], value)
        except ValueError as error:
            hint = _SIDES if known[key].kind == "size" and value[0] in "([" else None
            raise BnstatsError(f"{name}: {error}", hint=hint) from None
        at += len(item) + 1
    return values


def given_values(layer: Layer, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters that a program gives, as those of a text are checked.

    Raises
    ------
    BnstatsError
        The layer has no such parameter, or a value is none of it.
    """
    known, values = {p.name: p for p in layer.parameters}, dict[str, Any]()
    for key, value in given.items():
        if key not in known:
            raise _no_parameter(layer, key)
        if value is None and known[key].default is None and not known[key].required:
            continue
        try:
            values[key] = _value(known[key], _as_text(key, value))
        except ValueError as error:
            raise BnstatsError(f"{layer.name}: {error}") from None
    return values


def _as_text(key: str, value: Any) -> str:
    """Return what a spec would hold for a value of Python's."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # a number of numpy's, torch's or jax'
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return value_text(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, tuple | list) and value and all(isinstance(v, int) for v in value):
        return value_text(tuple(value))
    what = "None" if value is None else kind_of(value)
    raise ValueError(f"{key} is {what}, not a number, a word, true or false, or a size")


def _no_parameter(layer: Layer, key: str) -> UnknownParameterError:
    known = [p.name for p in layer.parameters]
    near = our_word(key, known) or suggestion(key, known)
    what = f"{layer.name} has no parameter '{printable(key)}'"
    error = UnknownParameterError(what, hint=_expected(layer, near))
    error.key = key
    return error


def example_specs(layer: Layer) -> tuple[str, ...]:
    """Return complete specs of the layer, as written: its examples, or else its bare name."""
    return tuple(f"{layer.name}:{e}" if e else layer.name for e in layer.examples or ("",))


def value_text(value: Any) -> str:
    """Return the text of a parameter's value in a spec."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _canonical(layer: Layer, values: Mapping[str, Any]) -> str:
    values = {k: _collapsed(v) for k, v in values.items()}
    changed = []
    for p in sorted(layer.parameters, key=lambda p: p.name):
        value, default = values.get(p.name), values.get(p.follows) if p.follows else p.default
        # A number may be 4 or 4.0, and the function that receives it may treat them differently.
        differs = p.kind == "number" and type(value) is not type(default)
        if p.name in values and (value != default or differs):
            changed.append(f"{p.name}={repr(value) if p.kind == 'number' else value_text(value)}")
    return f"{layer.name}:{','.join(changed)}" if changed else layer.name


def _complete(layer: Layer, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters; some follow another one where they are not given."""
    found = {p.name: _collapsed(values.get(p.name, p.default)) for p in layer.parameters}
    follow = {p.name: p.follows for p in layer.parameters if p.follows and p.name not in values}
    return found | {name: found[followed] for name, followed in follow.items()}


def _collapsed(value: Any) -> Any:
    """Return a size as one number if it is the same on all sides."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _value(parameter: Parameter, text: str) -> Any:
    value = _typed(parameter, text)
    for part in value if isinstance(value, tuple) else (value,):
        if parameter.range and not isinstance(part, str) and part not in parameter.range:
            given = f"{parameter.name}={printable(text, 40)}"
            raise ValueError(f"{given} is outside {parameter.range.text}")
    return value


def _typed(parameter: Parameter, text: str) -> Any:
    kind, wrong = parameter.kind, f"{parameter.name}={printable(text, 40)} is not "
    text = dict(parameter.synonyms).get(text, text).replace(MINUS, "-")
    if text in parameter.choices:
        return text
    if parameter.choices and kind == "word":
        raise ValueError(f"{wrong}one of {', '.join(parameter.choices)}")
    if kind == "float" or (kind == "number" and not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII)):
        try:
            value = number(text)
        except ValueError:
            raise ValueError(f"{wrong}a number") from None
        if not math.isfinite(value) and not (parameter.range and math.inf in parameter.range):
            raise ValueError(f"{wrong}a finite number")
        return value + 0.0  # -0.0 is 0.0
    pattern, what = _FORMS["int" if kind == "number" else kind]
    if parameter.choices:
        what += f", nor {' or '.join(parameter.choices)}"
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(f"{wrong}{what}")
    if kind == "word":
        return text
    if kind == "bool":
        return text in ("true", "True")
    # torch's norm_type is 2.0
    sides = tuple(int(part.partition(".")[0]) for part in text.split("x"))
    return sides if len(sides) > 1 else sides[0]


def _expected(layer: Layer, near: str | None = None) -> str:
    names = ", ".join(p.name for p in layer.parameters)
    known = f"parameters: {names}  (bnstats show {layer.name})"
    known = known if names else f"{layer.name} takes no parameters"
    return f"did you mean '{near}'?  {known}" if near else known


def _at(text: str, start: int, item: str, what: str, hint: str | None) -> BnstatsError:
    """Return an error that shows the spec with carets under the item at fault."""
    clean = printable(text, _MAX_LENGTH)
    if clean != text:  # escaped characters would shift the carets
        return BnstatsError(what, where=clean, hint=hint)
    return BnstatsError(what, where=f"{text}\n{' ' * start}{'^' * max(len(item), 1)}", hint=hint)

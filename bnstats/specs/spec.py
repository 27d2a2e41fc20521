"""Layer specs, ``name:key=value,key=value``, and back.

A spec has one canonical form, its identity in files and in the random streams: the layer's own
name, keys in sorted order, parameters at their default left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from bnstats.errors import BnstatsError, printable, suggestion
from bnstats.layers import (
    ALIASES,
    LAYERS,
    USER_LAYERS,
    BoundLayer,
    Law,
    Layer,
    Parameter,
    ParameterError,
    find,
)
from bnstats.specs.libraries import LIBRARIES, PARAMETERS, full_paths, last_names, meaning

_MAX_LENGTH = 1000
_SIDES = "sides are written with an x between them: 3x2"
_MAX_ELEMENTS = 2**22  # of x and dy, whose every position exact values may look at


@dataclass(frozen=True)
class Spec:
    """A layer with its parameters bound; equal to another of the same layer and text.

    Attributes
    ----------
    text
        The canonical spec.
    layer, bound
        The registry's entry and the experiment of one draw.
    """

    text: str
    layer: Layer
    bound: BoundLayer = field(compare=False)  # functions, new ones at every parsing

    def __reduce__(self) -> tuple[Any, ...]:
        return parse, (self.text,)  # an event holds functions that do not pickle

    def under(self, law: Law) -> Spec:
        """Return this spec with what its event can tell only once the law is known."""
        return self if self.bound.under is None else replace(self, bound=self.bound.under(law))


def parse(text: str) -> Spec:
    """Parse a spec; nothing is ever imported for it (`bnstats.custom.read` does that).

    Parameters
    ----------
    text
        E.g. ``"max_pool2d:kernel_size=3,stride=2"``; values are ints, floats, true/false, words
        and sizes like 3x3.

    Raises
    ------
    BnstatsError
        Unknown layer or parameter, a missing, ill-typed or out-of-range value; the message shows
        the place.

    Examples
    --------
    >>> parse("leaky_relu:negative_slope=0.20").text
    'leaky_relu:negative_slope=0.2'
    >>> parse("max_pool2d:stride=3,kernel_size=3x3").text
    'max_pool2d:kernel_size=3'
    """
    if len(text) > _MAX_LENGTH:
        raise BnstatsError(f"a layer spec of {len(text)} characters; the limit is {_MAX_LENGTH}")
    name = layer_name(text)
    found = resolve(name)
    if found is None:
        raise unknown_layer(name)
    layer, carried = found
    values = _values(layer, carried, carried, 0) if carried else {}
    if text != name:
        values |= _values(layer, text, text[len(name) + 1 :], len(name) + 1)
    missing = [p.name for p in layer.parameters if p.required and p.name not in values]
    if missing:
        raise BnstatsError(
            f"{layer.name} needs {' and '.join(missing)}",
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
    return Spec(_canonical(layer, values), layer, bound)


def _values(layer: Layer, text: str, items: str, at: int) -> dict[str, Any]:
    """Read ``key=value,key=value``, which stands in the text at a position."""
    known = {p.name: p for p in layer.parameters}
    name, values = layer.name, dict[str, Any]()
    for item in items.split(","):
        key, equals, value = item.partition("=")
        if not item or not equals or not value:
            sides = re.fullmatch(r"\d+[])]?", item, re.ASCII)
            expected = _SIDES if sides and values else _expected(layer)
            raise _at(text, at, item, f"{name}: expected key=value", expected)
        if key not in known:
            what = f"{name} has no parameter '{printable(key)}'"
            near = PARAMETERS.get(key)
            near = near if near in known else suggestion(key, known)
            raise _at(text, at, key, what, _expected(layer, near))
        if key in values:
            raise _at(text, at, key, f"{name}: parameter '{key}' is given twice", None)
        try:
            values[key] = _value(known[key], value)
        except ValueError as error:
            hint = _SIDES if known[key].kind == "size" and value[0] in "([" else None
            raise BnstatsError(f"{name}: {error}", hint=hint) from None
        at += len(item) + 1
    return values


def resolve(name: str) -> tuple[Layer, str] | None:
    """Return the layer of a name with the parameters it carries, or None.

    The name is one of the registry, or else what torch, jax, flax or keras call a layer.

    >>> layer, carried = resolve("torch.nn.SiLU")
    >>> layer.name, carried
    ('silu', '')
    """
    found = find(name)
    if found is None and (theirs := meaning(name)) and theirs.is_one:
        ((ours, carried),) = theirs.layers
        return LAYERS[ours], carried
    return found


def layer_name(text: str) -> str:
    """Return the layer's name in a spec; a path such as ``mypkg.mymodule:my_act`` has a colon.

    >>> layer_name("elu:alpha=2"), layer_name("mypkg.mymodule:my_act:alpha=2")
    ('elu', 'mypkg.mymodule:my_act')
    """
    name, _, rest = text.partition(":")
    attribute = rest.partition(":")[0]
    words = [*name.split("."), *attribute.split(".")]
    is_path = resolve(name) is None and all(word.isidentifier() for word in words)
    return f"{name}:{attribute}" if is_path else name


def unknown_layer(name: str, others: Iterable[str] = ()) -> BnstatsError:
    """Return the error for a layer that is not in the registry, nor among the others known."""
    if ":" in name:
        return not_loaded(name)
    if theirs := meaning(name):
        if theirs.others:
            return BnstatsError(
                f"{name} is not the same in {theirs.path} and {' and '.join(theirs.others)}",
                hint=f"name one: {' or '.join((theirs.path, *theirs.others))}",
            )
        if theirs.layers:
            layers = " or ".join(f"{layer}:{c}" if c else layer for layer, c in theirs.layers)
            return BnstatsError(f"{theirs.path} is several layers here", hint=f"name one: {layers}")
        return BnstatsError(
            f"{theirs.path} is no layer here ({theirs.reason})", hint="bnstats list layers"
        )
    module, dot, attribute = name.rpartition(".")
    library, hint = full_paths(name)[0].partition(".")[0], "bnstats list layers"
    if library in LIBRARIES:
        theirs_of = last_names(library)
        near = theirs_of.get(suggestion(attribute, theirs_of) or "")
    else:
        near = suggestion(name, [*LAYERS, *ALIASES, *USER_LAYERS, *others, *last_names()])
    if near:
        hint = f"did you mean '{near}'?  ({hint})"
    if dot and not near and all(word.isidentifier() for word in name.split(".")):
        hint = f"code is named with a colon: {printable(f'{module}:{attribute}', 60)}"
    return BnstatsError(f"unknown layer '{printable(name, 60)}'", hint=hint)


def not_loaded(name: str) -> BnstatsError:
    """Return the error for a layer in a file that would have to be imported."""
    shown = printable(name, 60)
    return BnstatsError(
        f"{shown} is not loaded, and a file imports no code",
        hint=f"if you trust it: bnstats verify --import {shown} …, "
        f'or import = ["{shown}"] under [tool.bnstats] in pyproject.toml',
    )


def example_specs(layer: Layer) -> tuple[str, ...]:
    """Return complete specs of the layer, as written: its examples, or its bare name."""
    return tuple(f"{layer.name}:{e}" if e else layer.name for e in layer.examples or ("",))


def value_text(value: Any) -> str:
    """Write a parameter's value as a spec does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _canonical(layer: Layer, values: dict[str, Any]) -> str:
    values = {k: _collapsed(v) for k, v in values.items()}
    changed = []
    for p in sorted(layer.parameters, key=lambda p: p.name):
        value, default = values.get(p.name), values.get(p.follows) if p.follows else p.default
        # Of a number, which is 4 or 4.0, the type counts.
        tells = p.kind == "number" and type(value) is not type(default)
        if p.name in values and (value != default or tells):
            changed.append(f"{p.name}={repr(value) if p.kind == 'number' else value_text(value)}")
    return f"{layer.name}:{','.join(changed)}" if changed else layer.name


def _collapsed(value: Any) -> Any:
    """Write a size that is the same on all sides as one number."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _value(parameter: Parameter, text: str) -> Any:
    value = _typed(parameter, text)
    for part in value if isinstance(value, tuple) else (value,):
        if parameter.range is not None and part not in parameter.range:
            given = f"{parameter.name}={printable(text, 40)}"
            raise ValueError(f"{given} is outside {parameter.range.text}")
    return value


def _typed(parameter: Parameter, text: str) -> Any:
    wrong = f"{parameter.name}={printable(text, 40)} is not "
    if parameter.kind == "word":
        text = dict(parameter.synonyms).get(text, text)
        if not parameter.choices and not re.fullmatch(r"[\w.+-]+", text, re.ASCII):
            raise ValueError(f"{wrong}a word")
        if parameter.choices and text not in parameter.choices:
            raise ValueError(f"{wrong}one of {', '.join(parameter.choices)}")
        return text
    if parameter.kind == "bool":
        if text not in ("true", "false", "True", "False"):
            raise ValueError(f"{wrong}true or false")
        return text in ("true", "True")
    if parameter.kind == "number" and re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        return int(text)
    if parameter.kind in ("float", "number"):
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
            raise ValueError(f"{wrong}a number")
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{wrong}a finite number")
        return value + 0.0  # -0.0 is 0.0
    if parameter.kind == "int":
        if not re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
            raise ValueError(f"{wrong}a whole number below 10^9")
        return int(text)
    if not re.fullmatch(r"[+-]?\d{1,9}(x\d{1,9}){0,5}", text, re.ASCII):
        raise ValueError(f"{wrong}a size such as 3 or 3x3")
    sides = tuple(int(part) for part in text.split("x"))
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

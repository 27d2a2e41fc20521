"""From an object that a program holds, a function or a torch.nn.Module, to its spec.

Nothing is registered: the layer lives as long as its spec, and its name never is that of one of
bnstats' own layers.
"""

from __future__ import annotations

import inspect
import operator
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bnstats.custom.arrays import is_module
from bnstats.custom.registering import layer_of
from bnstats.custom.trial import pointing_to_own
from bnstats.errors import printable
from bnstats.layers import USER_LAYERS, Layer
from bnstats.specs.spec import Spec, bind, given_values

_LONGEST = 80


@dataclass(frozen=True)
class ObjectSpec(Spec):
    """The spec of a layer that no text names."""

    made_of: Any = field(default=None, compare=False)
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return spec_of, (self.made_of, dict(self.given))


def spec_of(thing: Any, given: Mapping[str, Any]) -> Spec:
    """Return the spec of a layer that is an object, with its parameters.

    Its name is the path from which the command line could import it, ``my_module:my_act``; that of
    a torch module is its text, ``LeakyReLU(negative_slope=0.2)``; that of another function, such as
    a lambda, is the function's with parentheses. A function that is registered, see
    `bnstats.register`, has the name and the breakpoints that it was registered with.

    Raises
    ------
    BnstatsError
        The object is no layer, or has no such parameter.
    """
    layer = _registered(thing) or layer_of(thing, _name_of(thing))
    values = given_values(layer, given)
    theirs = _path_of(type(thing)) if is_module(thing) else None
    with pointing_to_own(theirs or ""):
        spec = bind(layer, values, layer.name)
    known = {"values": spec.values, "assumed": spec.assumed}
    return ObjectSpec(spec.text, layer, spec.bound, **known, made_of=thing, given=given)


def _registered(thing: Any) -> Layer | None:
    if isinstance(thing, Layer):
        return thing
    return next((a for a in list(USER_LAYERS.values()) if _is_made_of(a.bind, thing)), None)


def _is_made_of(bind: Any, thing: Any) -> bool:
    return inspect.unwrap(bind, stop=lambda made_of: made_of is thing) is thing


def _name_of(thing: Any) -> str:
    if is_module(thing) and not isinstance(thing, type):
        text = repr(thing)
        short = len(text) <= _LONGEST and "\n" not in text
        return printable(text if short else f"{type(thing).__name__}()")
    name = str(getattr(thing, "__name__", type(thing).__name__))
    return _path_of(thing) or f"{name}()"


def _path_of(thing: Any) -> str | None:
    """Return the path of a function or a class, by the uppermost package that offers it."""
    name = str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", ""))
    parts = str(getattr(thing, "__module__", None) or "").split(".")
    for end in range(1, len(parts) + 1):
        module = ".".join(parts[:end])
        try:
            found = operator.attrgetter(name)(sys.modules[module])
        except (KeyError, AttributeError):
            continue
        if found is thing:
            return f"{module}:{name}"
    return None

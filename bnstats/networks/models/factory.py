"""How models are made: a class, or a function, that builds one when it is called."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from bnstats.custom import attribute
from bnstats.custom.arrays import is_module
from bnstats.custom.calls import blamed
from bnstats.errors import BnstatsError, kind_of, not_installed, printable
from bnstats.specs.names import resolve

_OTHERS = ("flax", "keras", "equinox", "haiku")
_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Factory:
    """Something that returns a new torch.nn.Module, with weights of its own, at every call.

    Attributes
    ----------
    name
        ``module:attribute``, with the values it is called with.
    make
        The class or function.
    values
        Keyword arguments.
    """

    name: str
    make: Callable[..., Any] = field(compare=False, repr=False)
    values: tuple[tuple[str, Any], ...] = ()

    def __call__(self) -> Any:
        """Return a new model.

        Raises
        ------
        BnstatsError
            The call fails, or returns no torch.nn.Module.
        """
        from torch import nn

        with blamed(printable(self.name, 80)):
            model = self.make(**dict(self.values))
        if not isinstance(model, nn.Module):
            roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
            theirs = next((library for library in _OTHERS if library in roots), None)
            raise BnstatsError(
                f"{printable(self.name, 80)} returned {kind_of(model)}"
                f"{f' of {theirs}' if theirs else ''}, not a torch.nn.Module",
                hint=f"models of {theirs} cannot be watched, only those of torch"
                if theirs
                else "a class of modules, or a function that builds one and returns it",
            )
        return model


def names_a_factory(given: str | Callable[..., Any], *, has_input: bool) -> bool:
    """Whether something is a class or function, or names one by its path, that makes models.

    A function of an array is a layer, and so is a class of torch's own modules unless the shape
    of its input is given: `torch.nn:GELU` may be either.
    """
    if not isinstance(given, str):
        return True
    module, colon, rest = given.partition(":")
    name = rest.partition(":")[0]
    if not colon or " " in given.strip() or resolve(module) or "=" in name:
        return False
    found = attribute(f"{module}:{name}")
    if is_module(found) or not callable(found):
        return has_input or not getattr(found, "__module__", "").startswith("torch.nn")
    try:
        first = next(iter(inspect.signature(found).parameters.values()), None)
    except (TypeError, ValueError):  # compiled, without a signature
        return False
    if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
        return True
    return first.default is not first.empty


def factory_of(given: str | Callable[..., Any]) -> Factory:
    """Return the factory of a path, ``my_nets:make:depth=20``, or of a class or function.

    Raises
    ------
    BnstatsError
        There is no such thing, or it cannot be called, or it is a model that is made already.
    HostError
        torch is not installed.
    """
    if find_spec("torch") is None:
        raise not_installed("models need", "torch", extra="torch")
    if isinstance(given, str):
        module, _, rest = given.partition(":")
        name, _, items = rest.partition(":")
        path = f"{module}:{name}"
        return _checked(Factory(printable(given), attribute(path), _values(given, items)), path)
    name = getattr(given, "__qualname__", type(given).__name__)
    shown = f"{getattr(given, '__module__', '?')}:{name}"
    return _checked(Factory(shown, given), shown)


def _checked(factory: Factory, path: str) -> Factory:
    from torch import nn

    made, shown = factory.make, printable(path, 80)
    if isinstance(made, nn.Module):
        raise BnstatsError(
            f"{shown} is one model, whose weights are drawn already",
            hint="name its class, or a function that builds one, which is called for every draw",
        )
    if not callable(made):
        raise BnstatsError(
            f"{shown} is {kind_of(made)}, not something that makes models",
            hint="a class of torch.nn.Module, or a function that returns one",
        )
    return factory


def _values(text: str, items: str) -> tuple[tuple[str, Any], ...]:
    found = []
    for item in filter(None, items.split(",")):
        key, equals, value = item.partition("=")
        if not key.isidentifier() or not equals or not value:
            raise BnstatsError(
                f"'{printable(item, 60)}' is not KEY=VALUE",
                where=printable(text),
                hint="my_nets:make_resnet:depth=20,width=64",
            )
        found.append((key, _value(value)))
    return tuple(found)


def _value(text: str) -> Any:
    """Read true, false, none, a number, whole numbers joined by x, or else a word."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.fullmatch(r"\d+(x\d+)+", text, re.ASCII):
        return tuple(map(int, text.split("x")))
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

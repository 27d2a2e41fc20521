"""From the name in a spec to its layer, which may be ours, another library's or the user's."""

from __future__ import annotations

import inspect
import operator
import sys
from collections.abc import Callable, Iterable
from typing import TypeAlias

from bnstats.errors import BnstatsError, printable, suggestion
from bnstats.layers import ALIASES, LAYERS, USER_LAYERS, Layer, find
from bnstats.specs.libraries import LIBRARIES, full_paths, last_names, meaning

# A policy for names that are not known yet: it returns the layer, or raises BnstatsError.
Load: TypeAlias = Callable[[str], Layer]


def split(text: str) -> tuple[str, tuple[Layer, str] | None]:
    """Return the name in a spec, and what `resolve` returns for it.

    The path of a user's function, ``mypkg.mymodule:my_act``, is a name with a colon of its own.

    >>> split("elu:alpha=2")[0], split("mypkg.mymodule:my_act:alpha=2")
    ('elu', ('mypkg.mymodule:my_act', None))
    """
    name, _, rest = text.partition(":")
    found = resolve(name)
    attribute = rest.partition(":")[0]
    words = [*name.split("."), *attribute.split(".")]
    if found is not None or not all(word.isidentifier() for word in words):
        return name, found
    path = f"{name}:{attribute}"
    return path, resolve(path)


def resolve(name: str) -> tuple[Layer, str] | None:
    """Return the layer that a name stands for, and the parameters that it carries, or None.

    The registry's names come first, and then those of torch, jax, flax and keras.

    >>> layer, carried = resolve("torch.nn.SiLU")
    >>> layer.name, carried
    ('silu', '')
    """
    found = find(name)
    if found is not None and name in USER_LAYERS and not _is_current(name, found[0]):
        return None
    if found is None and (theirs := meaning(name)) and theirs.is_one:
        ((ours, carried),) = theirs.layers
        return LAYERS[ours], carried
    return found


def is_a_librarys(name: str) -> bool:
    """Whether a name is one of torch, jax, flax or keras, and none of bnstats or the user.

    >>> is_a_librarys("keras.Dense"), is_a_librarys("Linear"), is_a_librarys("linear")
    (True, True, False)
    """
    if ":" in name or name in LAYERS or name in USER_LAYERS:
        return False
    if name.partition(".")[0] in LIBRARIES:
        return True
    return name not in ALIASES and meaning(name) is not None


def _is_current(name: str, layer: Layer) -> bool:
    """Whether a path still leads to the object that the layer was made of, and to no newer one."""
    module, _, attribute = name.partition(":")
    try:
        now = operator.attrgetter(attribute)(sys.modules[module])
    except (KeyError, AttributeError):  # a name without a path, or a module that was forgotten
        return True
    if isinstance(now, Layer):
        return now.bind is layer.bind
    return bool(inspect.unwrap(layer.bind, stop=lambda made_of: made_of == now) == now)


def refuse(name: str) -> Layer:
    """Raise the error for a name that is not known; nothing is loaded."""
    raise unknown_layer(name)


def unknown_layer(name: str, others: Iterable[str] = ()) -> BnstatsError:
    """Return the error for a name that is not known; others are further names to suggest."""
    if ":" in name:
        return not_loaded(name)
    if theirs := meaning(name):
        if theirs.others:
            return BnstatsError(
                f"{name} is not the same in {theirs.path} and {' and '.join(theirs.others)}",
                hint=f"name one: {' or '.join((theirs.path, *theirs.others))}",
            )
        if theirs.layers:
            library = theirs.path.partition(".")[0]
            layers = " or ".join(_alias(library, *one) for one in theirs.layers)
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
    called, bracket, _ = name.partition("(")
    if bracket and (found := resolve(called)):
        layer, carried = found
        given = {item.partition("=")[0] for item in carried.split(",")}
        left = [p for p in layer.parameters if p.name not in given]
        items = ",".join(f"{p.name}=…" for p in left if p.required or p.assumed)
        hint = (
            f"parameters follow a colon: {called}:{items or 'KEY=VALUE'}  (bnstats show {called})"
        )
    elif dot and not near and all(word.isidentifier() for word in name.split(".")):
        hint = f"code is named with a colon: {printable(f'{module}:{attribute}', 60)}"
    return BnstatsError(f"unknown layer '{printable(name, 60)}'", hint=hint)


def _alias(library: str, layer: str, carried: str) -> str:
    """Return a library's alias for a layer and the parameters that it carries, or both."""
    if not carried:
        return layer
    found = (alias for alias, target in ALIASES.items() if target == (layer, carried))
    own = (alias for alias in found if alias.startswith(f"{library}."))
    return next(own, f"{layer}:{carried}")


def not_loaded(name: str) -> BnstatsError:
    """Return the error for a layer that stands in a file and would have to be imported."""
    shown = printable(name, 60)
    return BnstatsError(
        f"{shown} is not loaded, and a file imports no code",
        hint=f"if you trust it: bnstats verify --import {shown} …, "
        f'or import = ["{shown}"] under [tool.bnstats] in pyproject.toml',
    )

"""From the name in a spec to its layer: ours, another library's word for it, or the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from bnstats.errors import BnstatsError, printable, suggestion
from bnstats.layers import ALIASES, LAYERS, USER_LAYERS, Layer, find
from bnstats.specs.libraries import LIBRARIES, full_paths, last_names, meaning

# What is done about a name that no layer has yet: its layer is returned, or the name refused.
Load: TypeAlias = Callable[[str], Layer]


def split(text: str) -> tuple[str, tuple[Layer, str] | None]:
    """Return the name in a spec, and what `resolve` says of it.

    The path of a user's function, such as ``mypkg.mymodule:my_act``, has a colon of its own.

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


def refuse(name: str) -> Layer:
    """Load nothing: raise the error for a name that no layer has."""
    raise unknown_layer(name)


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

"""What torch, jax, flax and keras call each layer.

The names are package data, written by ``python tests/coverage_of_libraries.py`` from the libraries
themselves, because `list` and `show` must do without these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

FILE = "libraries.json"

# By library, its names without the library's own, each with the parameters that it carries.
Names: TypeAlias = Mapping[str, Mapping[str, str]]


def names_of(layer: str) -> Names:
    """Return what each library calls a layer; empty where none has it.

    Examples
    --------
    >>> names_of("leaky_relu")["keras"]["layers.LeakyReLU"]
    'negative_slope=0.3'
    """
    return _all_names().get(layer, {})


def folded(name: str) -> str:
    """Return a name without case and underscores: LeakyReLU is leaky_relu."""
    return name.replace("_", "").lower()


def short_names(layer: str) -> dict[str, tuple[str, ...]]:
    """Return by library the last parts of its names, one for each spelling but for case.

    Examples
    --------
    >>> short_names("leaky_relu")["keras"]
    ('leaky_relu (negative_slope=0.2)', 'LeakyReLU (negative_slope=0.3)')
    """
    found = {}
    for library, names in names_of(layer).items():
        # Capitals sort first: leaky_relu replaces LeakyReLU, and the in-place leaky_relu_.
        lasts = sorted((n.rpartition(".")[2].rstrip("_"), c) for n, c in names.items())
        kept = {(folded(last), carried): with_parameters(last, carried) for last, carried in lasts}
        found[library] = tuple(sorted(kept.values(), key=lambda text: (not text.islower(), text)))
    return found


def with_parameters(name: str, carried: str) -> str:
    """Write a library's name with the parameters that it carries."""
    return f"{name} ({carried})" if carried else name


@cache
def _all_names() -> Mapping[str, Names]:
    text = Path(__file__).with_name(FILE).read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]

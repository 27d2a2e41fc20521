"""The names that torch, jax, flax and keras give to layers, and why some of theirs are none here.

The names are package data, because bnstats must work without these libraries; ``python
tests/studies/coverage_of_libraries.py`` writes them from the libraries themselves.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

FILE = "libraries.json"
LIBRARIES = ("torch", "jax", "flax", "keras")

# The other libraries' words for torch's parameters; a word may stand for several.
PARAMETERS = {
    "dilation_rate": ("dilation",),
    "epsilon": ("eps",),
    "features": ("out_features", "out_channels", "hidden_size"),
    "filters": ("out_channels",),
    "hidden_features": ("hidden_size",),
    "in_features": ("in_channels", "input_size"),
    "interpolation": ("mode",),
    "kernel_init": ("init",),
    "kernel_initializer": ("init",),
    "pool_size": ("kernel_size",),
    "rate": ("p",),
    "size": ("scale_factor", "size"),
    "strides": ("stride",),
    "units": ("out_features", "hidden_size"),
    "use_bias": ("bias",),
    "window_shape": ("kernel_size",),
}

# The namespaces of the libraries, as people import them; tensorflow's activations are keras'.
_IMPORTED_AS = {
    "F": ("torch.nn.functional",),
    "nn": ("torch.nn", "jax.nn", "flax.linen"),
    "tf.keras": ("keras",),
    "tf.nn": ("keras.activations",),
}

# For each library: its names, without the library's own, and the parameters that each carries.
Names: TypeAlias = Mapping[str, Mapping[str, str]]


def names_of(layer: str) -> Names:
    """Return the names that each library has for a layer; empty if none has it.

    Examples
    --------
    >>> names_of("leaky_relu")["keras"]["layers.LeakyReLU"]
    'negative_slope=0.3'
    """
    layers: Mapping[str, Names] = _data()["layers"]
    return layers.get(layer, {})


def our_word(key: str, known: Container[str]) -> str | None:
    """Return what a layer with these parameters calls another library's; None if it has none.

    >>> our_word("features", {"in_channels", "out_channels"})
    'out_channels'
    """
    return next((ours for ours in PARAMETERS.get(key, ()) if ours in known), None)


def folded(name: str) -> str:
    """Return a name without case and underscores: LeakyReLU is leaky_relu."""
    return name.replace("_", "").lower()


def short_names(layer: str) -> dict[str, tuple[str, ...]]:
    """Return for each library the last parts of its names; spellings that differ in case are one.

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
    """Return a library's name with the parameters that it carries."""
    return f"{name} ({carried})" if carried else name


class Meaning(NamedTuple):
    """The meaning of a library's name.

    Attributes
    ----------
    path
        The public name in full, ``torch.nn.SiLU``.
    layers
        The layers of bnstats that it stands for, each with the parameters that the name carries;
        flax's Conv stands for three.
    reason
        Why it is no layer here; empty if it is one.
    others
        Further public names that it may be short for, if their layers differ: ``nn.PReLU`` is
        torch's or flax'.
    """

    path: str
    layers: tuple[tuple[str, str], ...]
    reason: str = ""
    others: tuple[str, ...] = ()

    @property
    def is_one(self) -> bool:
        """Whether the name stands for exactly one layer."""
        return len(self.layers) == 1 and not self.others


def meaning(name: str) -> Meaning | None:
    """Return the meaning of a library's name, or None.

    The name may be a public one in full or any last part of it, with or without the library:
    ``torch.nn.SiLU``, ``torch.SiLU``, ``SiLU``. Without the library, the name is that of the first
    library that has it, torch before the others. A namespace may be written as people import it:
    ``F.silu``.

    Examples
    --------
    >>> meaning("tf.keras.MaxPool2D")[:2]
    ('keras.layers.MaxPool2D', (('max_pool2d', 'kernel_size=2'),))
    >>> meaning("nn.PReLU").others
    ('flax.linen.PReLU',)
    >>> meaning("Embedding").reason
    'integers in: no x to differentiate by'
    """
    found = [theirs for path in full_paths(name) if (theirs := _public(path))]
    if not found:
        return None
    first = found[0]
    return first._replace(
        others=tuple(m.path for m in found if m.layers and m.layers != first.layers)
    )


def full_paths(name: str) -> tuple[str, ...]:
    """Return the full names that a name with an imported namespace may mean, or else itself.

    Examples
    --------
    >>> full_paths("F.silu"), full_paths("silu")
    (('torch.nn.functional.silu',), ('silu',))
    """
    for imported, namespaces in _IMPORTED_AS.items():
        if name.startswith(f"{imported}."):
            return tuple(f"{space}{name.removeprefix(imported)}" for space in namespaces)
    return (name,)


def _public(name: str) -> Meaning | None:
    first, _, rest = name.partition(".")
    library, last = (first, rest) if first in LIBRARIES else ("", name)
    for path, found in _meanings().items():
        if path.startswith(library) and path.endswith(f".{last}"):
            return found
    return None


@cache
def last_names(library: str = "") -> Mapping[str, str]:
    """Return the public names of layers, in one library or in all, by their last part.

    Examples
    --------
    >>> last_names("keras")["Dense"]
    'keras.layers.Dense'
    """
    names: dict[str, str] = {}
    for path, found in _meanings().items():
        if found.layers and path.startswith(library):
            names.setdefault(path.rpartition(".")[2], path)
    return names


@cache
def _meanings() -> Mapping[str, Meaning]:
    """Return the meaning of every public name, library by library."""
    layers: dict[str, list[tuple[str, str]]] = {}
    for layer, libraries in _data()["layers"].items():
        for library, names in libraries.items():
            for name, carried in names.items():
                layers.setdefault(f"{library}.{name}", []).append((layer, carried))
    found = {path: Meaning(path, tuple(ours)) for path, ours in layers.items()}
    for reason, libraries in _data()["left_out"].items():
        paths = [f"{library}.{name}" for library, names in libraries.items() for name in names]
        found |= {path: Meaning(path, (), reason) for path in paths}
    order = LIBRARIES.index
    return dict(sorted(found.items(), key=lambda item: order(item[0].partition(".")[0])))


@cache
def _data() -> Mapping[str, Any]:
    import json  # only here: most calls of the program read no names

    text = Path(__file__).with_name(FILE).read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]

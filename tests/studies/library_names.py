"""The public layers of torch, jax, flax and keras, enumerated from the libraries themselves."""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from bnstats.specs.libraries import LIBRARIES

# Where a library keeps its layers, and the base class of those that are classes.
NAMESPACES = {
    "torch.nn": "torch.nn.Module",
    "torch.nn.functional": None,
    "jax.nn": None,
    "flax.linen": "flax.linen.Module",
    "flax.nnx": "flax.nnx.Module",
    "keras.layers": "keras.layers.Layer",
    "keras.activations": None,
}

# flax keeps its machinery in the same namespaces; what these modules define is no layer.
_MACHINERY = re.compile(
    r"typing\b|builtins\b|flax\.core\b|jax\.nn\.initializers|flax\.nnx\.(?!nn\b)"
    r"|flax\.linen\.(initializers|module|spmd|summary|transforms)\b"
)


@dataclass(frozen=True)
class LibraryName:
    """A public name: where it stands, what it is, and whose it is.

    Attributes
    ----------
    path
        As a user writes it, e.g. ``flax.linen.gelu``.
    own
        The name the object was defined under, e.g. ``AveragePooling2D`` of keras' AvgPool2D.
    home
        The library that defines it: flax hands on functions of jax.
    """

    path: str
    own: str
    home: str
    thing: Any = None

    @property
    def library(self) -> str:
        return self.path.partition(".")[0]

    @property
    def short(self) -> str:
        """The path without the library."""
        return self.path.partition(".")[2]

    @property
    def last(self) -> str:
        return self.path.rpartition(".")[2]


def versions() -> dict[str, str]:
    """Return the release of each library, without a build's suffix such as +cpu."""
    return {name: version(name).partition("+")[0] for name in LIBRARIES}


def enumerate_libraries() -> list[LibraryName]:
    """Return every public layer, and every public function that stands beside them."""
    os.environ["KERAS_BACKEND"] = "jax"
    found = (n for namespace, base in NAMESPACES.items() for n in _names(namespace, base))
    return sorted(found, key=lambda n: (LIBRARIES.index(n.library), n.path))


def _names(namespace: str, base: str | None) -> Iterator[LibraryName]:
    module = import_module(namespace)
    layer = None
    if base:
        where, _, name = base.rpartition(".")
        layer = getattr(import_module(where), name)
    for name, thing in vars(module).items():
        if name.startswith("_") or not callable(thing):
            continue
        is_class = inspect.isclass(thing)
        source = getattr(thing, "__module__", None) or namespace
        if is_class and not (layer and issubclass(thing, layer)):
            continue  # types, containers of parameters, annotations
        if not is_class and _MACHINERY.match(source):
            continue
        root = source.partition(".")[0]
        home = root if root in LIBRARIES else namespace.partition(".")[0]
        yield LibraryName(f"{namespace}.{name}", getattr(thing, "__name__", name), home, thing)


def defaults(thing: Any) -> Mapping[str, Any]:
    """Return the parameters of a layer or function that have a default."""
    return {p.name: p.default for p in _parameters(thing) if p.default is not p.empty}


def required(thing: Any) -> tuple[str, ...]:
    """Return the parameters without a default."""
    return tuple(p.name for p in _parameters(thing) if p.default is p.empty)


def _parameters(thing: Any) -> list[inspect.Parameter]:
    """Return named parameters, those of a class being of its constructor.

    torch's builtins have no signature and its dispatchers only (*args, **kwargs), but both state
    one in the documentation; nnx hides the constructors' behind that of a metaclass.
    """
    for source in (inspect.signature, _constructor, _documented):
        try:
            found = list(source(thing).parameters.values())
        except ValueError:
            continue
        if any(p.kind is p.VAR_POSITIONAL for p in found):
            continue
        return [p for p in found if p.kind is not p.VAR_KEYWORD]
    # A class that takes whatever it is given needs nothing; of a function nothing is known.
    unknown = [inspect.Parameter("unknown", inspect.Parameter.POSITIONAL_ONLY)]
    return [] if inspect.isclass(thing) else unknown


def _constructor(thing: Any) -> inspect.Signature:
    if not inspect.isclass(thing):
        raise ValueError("not a class")
    signature = inspect.signature(thing.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _documented(thing: Any) -> inspect.Signature:
    """Parse the first line of a docstring of the form ``name(input, p=0.5) -> Tensor``."""
    first = (inspect.getdoc(thing) or "").partition("\n")[0]
    call = re.match(r"\w+(\(.*\))", first)
    if not call:
        raise ValueError("no signature in the documentation")
    try:
        (function,) = ast.parse(f"def f{call[1]}: pass").body
    except SyntaxError:
        raise ValueError("no signature in the documentation") from None
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    values: list[Any] = [inspect.Parameter.empty] * len(arguments.args)
    for i, node in enumerate(reversed(arguments.defaults), start=1):
        values[-i] = _literal(node)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter(a.arg, kind, default=v)
            for a, v in zip(arguments.args, values, strict=True)
        ]
    )


def _literal(node: ast.expr) -> Any:
    """Return a default, None for an expression such as 1. / 8."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


_ONE = {"input", "x"}


def value_at(name: LibraryName, x: Any) -> Any:
    """Apply a layer at its defaults to a float32 numpy array over its last axis.

    Returns None for what wants more than x, e.g. weights or sizes, or an x of more dimensions.
    """
    import numpy as np

    call = _caller(name)
    try:
        return None if call is None else np.asarray(call(x))
    except (ValueError, RuntimeError, IndexError):  # torch's Softmax2d on two dimensions
        return None


def _caller(name: LibraryName) -> Callable[[Any], Any] | None:
    thing, namespace = name.thing, name.path.rpartition(".")[0]
    is_class = inspect.isclass(thing)
    seeds = {"rngs"} if namespace == "flax.nnx" else set[str]()
    needed = [n for n in required(thing) if n not in {"dim", *seeds}]
    if len(needed) != (0 if is_class else 1):
        return None
    if is_class and namespace == "torch.nn" and set(required(thing.forward)) - {"self", *_ONE}:
        return None  # a loss, of an input and a target
    taken = {*required(thing), *defaults(thing)}
    options: dict[str, Any] = {"dim": -1} if "dim" in taken else {}
    if "axis" in taken and not is_class:
        options["axis"] = -1
    if namespace == "flax.nnx" and is_class:
        from flax import nnx

        return thing(**({"rngs": nnx.Rngs(0)} if "rngs" in taken else {}))  # type: ignore[no-any-return]
    if namespace == "flax.linen" and is_class:
        import jax

        return lambda x: thing().init_with_output(jax.random.key(0), x)[0]
    layer = thing(**options) if is_class else lambda x: thing(x, **options)
    if not namespace.startswith("torch"):
        return layer  # type: ignore[no-any-return]
    import torch

    return lambda x: layer(torch.from_numpy(x.copy())).detach().numpy()

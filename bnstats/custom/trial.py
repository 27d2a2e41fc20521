"""A function is tried out on a few numbers: which arrays it takes, and what it returns."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from bnstats.backends import ACCELERATORS, numpy_backend
from bnstats.custom.arrays import adapter, library_of, root_library
from bnstats.custom.calls import UserFunction, blamed
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, Array
from bnstats.specs.libraries import names_of


def tried(call: UserFunction) -> UserFunction:
    """Return a function together with what a few calls show about it.

    Nobody declares whose arrays a function named by its path takes, so it is found out. The
    function belongs to torch or jax if it is theirs, or compiled by them; if it returns their
    arrays; if it fails with numpy's, but names one of them or works with its arrays; or if it
    contains a torch.autograd.Function, whose gradient no finite difference would see.

    Raises
    ------
    BnstatsError
        A call fails as `UserFunction` says, or y at one x depends on the other draws or on chance.
    """
    x = np.random.default_rng(0).normal(size=60)
    with pointing_to_own(call.name), np.errstate(all="ignore"):
        if call.library == "numpy" and not call.takes_xp:
            call = replace(call, library=_library(call, x))
        return _elementwise(call, x)


def _elementwise(call: UserFunction, x: Array) -> UserFunction:
    chosen = np.random.default_rng(1).permutation(x.size)[:23]  # in no order, with no symmetry
    (y, slope), (some, _) = call(numpy_backend, x), call(numpy_backend, x[chosen])
    if not np.allclose(y[chosen], some, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise BnstatsError(
            f"{call.name} is not elementwise: y at one x depends on the other draws, or on chance",
            hint="such a layer is a builder that returns a BoundLayer: "
            "see bnstats/layers/dropout.py",
        )
    if slope is not None:
        return replace(call, gives_slope=True)
    if call.knows_slope:
        call.with_slope(numpy_backend, x)
    return call


def _library(call: UserFunction, x: Array) -> str:
    loaded = [name for name in ACCELERATORS if name in sys.modules]
    made_by = library_of(call.function) or root_library(call.function)
    if made_by in loaded:
        return made_by
    try:
        with warnings.catch_warnings(), blamed(call.name):
            warnings.simplefilter("ignore")
            found = call.function(x.copy(), **call.values)
    except BnstatsError:
        others = (name for name in loaded if _takes(call, name, x))
        return _named(call.function) or next(others, "numpy")
    library = library_of(found[0] if isinstance(found, tuple) and found else found)
    if library in ACCELERATORS:
        return library
    return "torch" if "torch" in loaded and _has_own_backward(call, x) else "numpy"


def _has_own_backward(call: UserFunction, x: Array) -> bool:
    try:
        of_torch = replace(call, library="torch").value
        found: bool = adapter("torch").has_own_backward(of_torch, x)
    except BnstatsError:
        return False
    return found


def _named(function: Any) -> str:
    """Return the accelerator that a function's code names, or the empty text."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    modules = (getattr(function, "__globals__", {}).get(name) for name in names)
    libraries = (root_library(m) for m in modules if isinstance(m, ModuleType))
    return next((library for library in libraries if library in ACCELERATORS), "")


def _takes(call: UserFunction, library: str, x: Array) -> bool:
    try:
        replace(call, library=library)(numpy_backend, x)
    except BnstatsError:
        return False
    return True


@contextmanager
def pointing_to_own(name: str) -> Iterator[None]:
    """Name in an error the layer of bnstats for a library's path, such as ``torch.nn:Dropout``."""
    try:
        yield
    except BnstatsError as error:
        library, _, path = name.replace(":", ".").partition(".")
        own = next((layer for layer in LAYERS if path in names_of(layer).get(library, {})), None)
        if own is None:
            raise
        hint = f"bnstats has this layer: {own}  (bnstats show {own})"
        raise BnstatsError(error.message, where=error.where, hint=hint) from error

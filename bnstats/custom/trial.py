"""Trying a function out on a few numbers: whose arrays it takes and what it returns."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace

import numpy as np

from bnstats.backends import ACCELERATORS, numpy_backend
from bnstats.custom.calls import UserFunction
from bnstats.custom.libraries import adapter, library_of
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS
from bnstats.layers._registry import Array
from bnstats.libraries import names_of

_NO_NUMPY = ("Tensor", "ndarray")  # in the messages of functions that numpy's arrays do not suit


def tried(call: UserFunction) -> UserFunction:
    """Return a function with what a few calls tell of it.

    A function belongs to torch or jax if it returns their arrays, or if it fails with numpy's but
    not with theirs.

    Raises
    ------
    BnstatsError
        Whatever `UserFunction` raises; or y at one x depends on the other draws, or on chance.
    """
    x = np.random.default_rng(0).normal(size=60)
    try:
        with np.errstate(all="ignore"):
            if call.library == "numpy" and not call.takes_xp:
                call = replace(call, library=_library(call, x))
            return _elementwise(call, x)
    except BnstatsError as error:
        own = _own(call.name)
        if own is None:
            raise
        hint = f"bnstats has this layer: {own}  (bnstats show {own})"
        raise BnstatsError(error.message, where=error.where, hint=hint) from error


def _elementwise(call: UserFunction, x: Array) -> UserFunction:
    (y, slope), (some, _) = call(numpy_backend, x), call(numpy_backend, x[1::3])
    if not np.allclose(y[1::3], some, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise BnstatsError(
            f"{call.name} is not elementwise: y at one x depends on the other draws, or on chance",
            hint="such a layer is a builder that returns an Event: see bnstats/layers/dropout.py",
        )
    if slope is not None:
        return replace(call, gives_slope=True)
    if call.library == "torch":
        call = replace(call, traced=not adapter("torch").has_own_backward(call.value, x))
    if call.knows_slope:
        call.with_slope(numpy_backend, x)
    return call


def _library(call: UserFunction, x: Array) -> str:
    loaded = [name for name, package in ACCELERATORS.items() if package in sys.modules]
    if not loaded:
        return "numpy"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call.function(x.copy(), **call.values)
    except Exception as error:
        told = str(error)
        if not any(word in told for word in _NO_NUMPY):
            return "numpy"
        others = (name for name in loaded if _takes(call, name, x))
        of_torch = "torch" if "torch" in loaded and "Tensor" in told else "numpy"
        return next(others, of_torch)
    library = library_of(found[0] if isinstance(found, tuple) and found else found)
    return library if library in ACCELERATORS else "numpy"


def _takes(call: UserFunction, library: str, x: Array) -> bool:
    try:
        replace(call, library=library)(numpy_backend, x)
    except BnstatsError:
        return False
    return True


def _own(name: str) -> str | None:
    """Return bnstats' own layer for another library's, named by its path ``torch.nn:Dropout``."""
    library, _, path = name.replace(":", ".").partition(".")
    return next((layer for layer in LAYERS if path in names_of(layer).get(library, {})), None)

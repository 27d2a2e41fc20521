"""Functions of jax: differentiated by jax.vjp, and called with numpy's arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnstats.backends import Device
from bnstats.backends.jax_backend import devices, scope

Array = Any
Call = Callable[[Array], Any]
Pull = Callable[[Array], Array]


def value(call: Call, x: Any) -> Any:
    """Return the results of a function of jax arrays, a tuple, as numpy's; None stays None."""
    with scope(_processor()):
        return tuple(None if v is None else np.array(v) for v in _compiled(call)(jnp.asarray(x)))


def value_and_slope(call: Call, x: Any) -> tuple[Any, Any]:
    """Return an elementwise function and its derivative as numpy's arrays."""
    with scope(_processor()):
        y, slope = _differentiated(call)(jnp.asarray(x))
        return np.array(y), np.array(slope)


def vjp(call: Call, x: Array) -> tuple[Array, Pull]:
    """Return y and the function from dy to dx."""
    y, pull = jax.vjp(call, x)
    return y, lambda dy: pull(dy)[0]


@lru_cache
def _processor() -> Device:
    return next((d for d in devices() if d.kind == "cpu"), devices()[0])


@lru_cache(maxsize=8)
def _compiled(call: Call) -> Call:
    return jax.jit(call)


@lru_cache(maxsize=8)
def _differentiated(call: Call) -> Call:
    def both(x: Array) -> tuple[Array, Array]:
        y, pull = vjp(call, x)
        return y, pull(jnp.ones_like(x))

    return jax.jit(both)

"""The default backend: numpy's namespace plus the few functions that formulas also need.

The module itself is the namespace ``xp`` that layers receive. scipy.special costs 0.1 s to import,
so it is loaded by the first layer that needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_ROW = 8192
_ONES = np.ones(_ROW)


def __getattr__(name: str) -> Any:
    """Hand out numpy's own functions, and keep them so that the next look-up is direct."""
    value = globals()[name] = getattr(np, name)
    return value


def expit(x: Any) -> Any:
    """1/(1 + e^-x); three times as fast as scipy's. Overflow gives 0, as it should."""
    z = np.exp(-x)
    z += 1
    return np.reciprocal(z, out=z)


def erfc(x: Any) -> Any:
    """Complementary error function."""
    from scipy.special import erfc as scipy_erfc

    return scipy_erfc(x)


def ndtri(p: Any) -> Any:
    """Inverse of the standard normal's distribution function."""
    from scipy.special import ndtri as scipy_ndtri

    return scipy_ndtri(p)


def inner(left: Any, right: Any) -> float:
    """Return the inner product of two vectors, summed in short rows.

    BLAS spreads a longer product over threads of its own, and the digits would depend on it.
    """
    rows, rest = divmod(left.shape[0], _ROW)
    if not rest:
        parts = np.vecdot(left.reshape(rows, _ROW), right.reshape(rows, _ROW))
        return float(sum(parts.tolist()))
    tail = float(np.vecdot(left[-rest:], right[-rest:]))
    return tail + (inner(left[:-rest], right[:-rest]) if rows else 0.0)


def total(values: Any) -> float:
    """Return the sum of a vector; as an inner product it takes half the time of numpy.sum."""
    rows, rest = divmod(values.shape[0], _ROW)
    if not rest:
        return float(sum(np.vecdot(values.reshape(rows, _ROW), _ONES).tolist()))
    return float(np.add.reduce(values))


def add_at(target: Any, key: Any, values: Any) -> Any:
    """Return the target with values added at a basic index; here in place."""
    target[key] += values
    return target

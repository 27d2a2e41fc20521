"""The default backend: numpy's namespace plus the few functions that formulas also need.

The module itself is the namespace ``xp`` that layers receive. scipy.special costs 0.1 s to import,
so it is loaded by the first layer that needs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NAME = "numpy"


def __getattr__(name: str) -> Any:
    """Hand out numpy's own functions."""
    return getattr(np, name)


def expit(x: Any) -> Any:
    """1/(1 + e^-x); three times as fast as scipy's. Overflow gives 0, as it should."""
    z = np.exp(-x)
    z += 1
    return np.reciprocal(z, out=z)


def erfc(x: Any) -> Any:
    """Complementary error function."""
    from scipy.special import erfc as scipy_erfc

    return scipy_erfc(x)


def add_at(target: Any, key: Any, values: Any) -> Any:
    """Return the target with values added at a basic index; here in place."""
    target[key] += values
    return target

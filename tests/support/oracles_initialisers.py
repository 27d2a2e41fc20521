"""Independent oracles for initialisers: mpmath's integrals, and what the libraries draw."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

COVERS: dict[str, tuple[dict[str, Any], ...]] = {
    "truncated_normal": (
        {"lower": -1.5, "upper": 3.0},
        {"lower": 5.0, "upper": 8.0, "std": 0.3},
        {"lower": -8.0, "upper": 8.0},
        {"lower": 1.0, "upper": 1.01},
        {"lower": -8.0, "upper": -6.5, "corrected": True},
        {"lower": 0.0, "std": 3.0, "corrected": True},
    ),
    "complex_truncated_normal": ({"upper": 0.5}, {"upper": 8.0, "std": 2.0, "corrected": True}),
    "variance_scaling": (
        {"scale": 3.0, "mode": "fan_out", "distribution": "normal", "receptive_field": 9},
        {"mode": "fan_geo_avg", "distribution": "uniform", "in_features": 9},
        {"mode": "fan_avg", "out_features": 7},
    ),
    "orthogonal": ({"in_features": 5, "out_features": 2, "gain": 3.0},),
    "delta_orthogonal": ({"in_channels": 2, "out_channels": 3, "receptive_field": 4},),
}


def moments(
    density: Callable[[Any], Any], low: float, high: float, digits: int = 40
) -> tuple[Any, Any, Any, Any]:
    """Return mean, variance, and the third and fourth central moment of a density that is cut."""
    with mpmath.workdps(digits):
        ends = mpmath.linspace(mpmath.mpf(low), mpmath.mpf(high), 9)

        def integral(function: Callable[[Any], Any]) -> Any:
            return mpmath.quad(lambda t: function(t) * density(t), ends)

        mass = integral(lambda t: 1)
        mean = integral(lambda t: t) / mass
        central = [integral(lambda t, k=k: (t - mean) ** k) / mass for k in (2, 3, 4)]
        return (mean, *central)


def normal(t: Any) -> Any:
    return mpmath.exp(-t * t / 2)


def modulus(t: Any) -> Any:
    return t * mpmath.exp(-t * t)


def jax_drawn(initializer: Callable[[Any], Any], shape: tuple[int, ...], **options: Any) -> Any:
    jax = pytest.importorskip("jax")
    made = initializer(jax.nn.initializers)
    return np.asarray(made(jax.random.key(3), shape, **options))


def keras_drawn(name: str, shape: tuple[int, ...], **options: Any) -> np.ndarray:
    keras = pytest.importorskip("keras")
    return np.asarray(getattr(keras.initializers, name)(seed=4, **options)(shape), float)


def torch_drawn(name: str, shape: tuple[int, ...], *options: float) -> np.ndarray:
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    return getattr(torch.nn.init, name)(torch.empty(shape, dtype=torch.float64), *options).numpy()

"""Depthwise and separable convolutions of keras by weights that are given, and keras' own weights.

Nothing here is imported from bnstats.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

_MORE = {"input_size": 6, "kernel_size": 3, "stride": 2, "in_channels": 3, "depth_multiplier": 2}
COVERS: dict[str, tuple[dict[str, Any], ...]] = {
    "depthwise_conv1d": ({"input_size": 5}, {**_MORE, "padding": "same"}),
    "depthwise_conv2d": ({"input_size": 4, "kernel_size": (2, 3)}, _MORE),
    "separable_conv1d": ({"input_size": 5}, {**_MORE, "padding": "same", "out_channels": 4}),
    "separable_conv2d": ({"input_size": 4, "kernel_size": (2, 3)}, {**_MORE, "out_channels": 4}),
}
KERAS = {
    "depthwise_conv1d": "DepthwiseConv1D",
    "depthwise_conv2d": "DepthwiseConv2D",
    "separable_conv1d": "SeparableConv1D",
    "separable_conv2d": "SeparableConv2D",
}


def layer(
    name: str,
    input_size: Any,
    in_channels: int = 2,
    out_channels: int = 2,
    kernel_size: Any = 3,
    stride: int = 1,
    padding: Any = "valid",
    depth_multiplier: int = 1,
) -> Any:
    """Return a built layer of keras."""
    keras = pytest.importorskip("keras")
    given = {"strides": stride, "padding": padding, "depth_multiplier": depth_multiplier}
    if name.startswith("separable"):
        made = getattr(keras.layers, KERAS[name])(out_channels, kernel_size, **given)
    else:
        made = getattr(keras.layers, KERAS[name])(kernel_size, **given)
    sides = int(name[-2])
    size = (input_size,) * sides if isinstance(input_size, int) else input_size
    made.build((None, *size, in_channels))
    return made


def kernels(made: Any) -> list[np.ndarray]:
    """Return the weights, channels first: (in, multiplier, *kernel), and (out, in·multiplier)."""
    if not hasattr(made, "pointwise_kernel"):
        return [np.moveaxis(np.asarray(made.kernel), (-2, -1), (0, 1))]
    deep = np.moveaxis(np.asarray(made.depthwise_kernel), (-2, -1), (0, 1))
    across = np.asarray(made.pointwise_kernel)
    return [deep, across.reshape(-1, across.shape[-1]).T]


def passes(made: Any, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx of one example, channels first, in float32."""
    import jax

    def f(v: Any) -> Any:
        return jax.numpy.moveaxis(made(jax.numpy.moveaxis(v, 0, -1)[None])[0], -1, 0)

    y, pull = jax.vjp(f, jax.numpy.asarray(x, dtype=np.float32))
    return np.asarray(y, float), np.asarray(pull(jax.numpy.asarray(dy, dtype=np.float32))[0], float)

"""Where a scalar layer jumps, and what one Sobol' point that crosses a jump changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import BoundLayer, Law
from bnstats.statistics.estimate import Crossing
from bnstats.statistics.quantities import Direction

_LEAST = 1e-9  # of the larger side: less is no jump but rounding


def crossings(bound: BoundLayer, law: Law) -> dict[Direction, tuple[Crossing, ...]]:
    """Return the jumps of y and of the slope at the breakpoints of an elementwise layer.

    At the mean of x, which is half of all points whatever their scramble, a jump costs nothing.
    y's points are weighted, those of dx are so in dy alone: see `bnstats.sampling.sobol`.
    """
    if {name: i.shape for name, i in bound.inputs.items()} != {"x": (), "dy": ()}:
        return {}
    points = [k for k in bound.breakpoints if k != law.x_mean]
    if not points:
        return {}
    y, slope, _ = _sides(bound, law, points)
    weights = [_smoothed_weight((point - law.x_mean) / law.x_std) for point in points]
    return {
        "y": _jumps(y, weights),
        "dx": _jumps(slope * law.dy_std, [1.0] * len(points)),
    }


def jumps(bound: BoundLayer, law: Law) -> bool:
    """Whether y jumps at a breakpoint of an elementwise layer: by more than its slopes explain."""
    if set(bound.inputs) != {"x", "dy"} or not bound.is_scalar or not bound.breakpoints:
        return False
    y, slope, reach = _sides(bound, law, bound.breakpoints)
    steepest, largest = np.max(np.abs(slope), axis=0), np.max(np.abs(y), axis=0)
    return bool(np.any(np.abs(y[1] - y[0]) > 4 * reach * steepest + _LEAST * largest))


def _sides(bound: BoundLayer, law: Law, points: Sequence[float]) -> tuple[Any, Any, Any]:
    """Return y and its slope beside points, shape (2, points), and how far from them."""
    at = np.array(points)
    reach = np.maximum(np.abs(at), law.x_std) * 2.0**-40  # of rounded breakpoints as well
    x = np.concatenate([at - reach, at + reach])
    with np.errstate(all="ignore"):
        y, backward = bound.forward(numpy_backend, {"x": x, "dy": np.ones_like(x)})
        slope = backward(np.ones_like(x))
    return y.reshape(2, -1), slope.reshape(2, -1), reach


def _jumps(sides: np.ndarray, weights: list[float]) -> tuple[Crossing, ...]:
    low, high = sides.tolist()
    return tuple(
        Crossing(a, b, weight)
        for a, b, weight in zip(low, high, weights, strict=True)
        if math.isfinite(a + b) and abs(b - a) > _LEAST * max(abs(a), abs(b))
    )


def _smoothed_weight(z: float) -> float:
    """Return the weight of a logistic quantile: the normal density over the logistic one."""
    u = 1 / (1 + math.exp(-abs(z))) if abs(z) < 700 else 1.0
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) / max(u * (1 - u), 1e-300)

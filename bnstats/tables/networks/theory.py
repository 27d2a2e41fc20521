"""What a chain of zero-padded convolutions with infinitely many channels makes of a signal.

E[y²] differs between positions, because those at a border see fewer neighbours. With fresh weights
of variance 1/fan_in a convolution averages it over the kernel, padding counted as 0, in both
directions; an activation acts on each position by itself.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.networks.stages import Elementwise

KERNEL = 3
_NODES, _REACH = 400, 10.0  # of a midpoint rule in z, over ± so many standard deviations


class Wide(NamedTuple):
    """Root mean squares over the map: of y by depth, of dx by layers from the output, from 1."""

    y: list[float]
    dx: list[float]


def convolutions(activation: Elementwise, side: int, depth: int) -> Wide:
    """Predict ``depth`` blocks of a 3×3 convolution, padding 1, and an activation.

    Parameters
    ----------
    activation
        With its factors forward and backward.
    side
        Of the square map.
    depth
        Blocks.
    """
    near = np.abs(np.subtract.outer(range(side), range(side))) <= KERNEL // 2
    mean = near / KERNEL  # over one side of the kernel
    q, slopes, y = np.ones((side, side)), [], []
    with np.errstate(all="ignore"):  # what underflows has vanished
        for _ in range(depth):
            square, slope = _square_means(activation, mean @ q @ mean.T)
            q = square
            slopes.append(slope)
            y.append(math.sqrt(q.mean()))
        d, dx = np.ones((side, side)), []
        for slope in reversed(slopes):
            d = mean.T @ (d * slope) @ mean
            dx.append(math.sqrt(d.mean()))
    return Wide(y, dx)


def _square_means(activation: Elementwise, q: Any) -> tuple[Any, Any]:
    """Return E[y²] and E[(dy/dx)²] for x ~ N(0, q) at each position.

    Nodes lie symmetrically about 0 and not on it: what has its only kink there loses nothing, and
    for smooth functions the rule converges exponentially.
    """
    z = (np.arange(_NODES) + 0.5) * (2 * _REACH / _NODES) - _REACH
    weights = np.exp(-z * z / 2)
    weights /= weights.sum()
    x = np.multiply.outer(np.sqrt(q), z)
    y, pull = activation.spec.bound.forward(numpy_backend, {"x": x.reshape(-1)})
    slope = pull(np.ones(x.size)).reshape(x.shape)
    squares = (y.reshape(x.shape) * activation.forward) ** 2, (slope * activation.backward) ** 2
    return squares[0] @ weights, squares[1] @ weights

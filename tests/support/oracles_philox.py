"""Independent oracles of the random numbers: Philox in whole numbers, Box-Muller in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST = 2**32 - 1
ULP = 2.0**-24  # half a float32 spacing, as a share


def twin(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox 4x32-10 in whole numbers, from the paper."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & MOST, (p0 >> 32) ^ c[3] ^ k1, p0 & MOST]
        k0, k1 = (k0 + 0x9E3779B9) & MOST, (k1 + 0xBB67AE85) & MOST
    return tuple(c)


def exact_pair(radial: Any, angular: Any) -> tuple[Any, Any, Any]:
    """Box-Muller in float64 from the same words: both normals and the radius."""
    u = (np.asarray(radial, float) + (np.asarray(angular) % 256 + 0.5) / 256) / 2**32
    angle = (np.asarray(angular) // 2048 + 0.5) * math.pi / 4 / 2**21
    octant = np.asarray(angular) // 256 % 8
    # of the octants' three bits the lowest mirrors at 45°, the others at the axes
    angle = np.where(octant & 1, math.pi / 2 - angle, angle)
    radius = np.sqrt(-2 * np.log(u))
    return (
        radius * np.cos(angle) * np.where(octant & 2, -1, 1),
        radius * np.sin(angle) * np.where(octant & 4, -1, 1),
        radius,
    )

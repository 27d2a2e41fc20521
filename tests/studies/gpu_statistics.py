"""What the checks on an accelerator make of two results: z, families of z, and distances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Any

FAMILY_ERROR = 1e-6
MEASURED = ("mean_y", "std_y", "mean_dx", "std_dx")
NORMAL = NormalDist()


def two_sample_z(one: Any, other: Any) -> float | None:
    """Return how far two independent estimates lie apart in standard errors, or None.

    On the log scale where the estimates live on it. None where either has no standard error: a
    difference is then no matter of chance.
    """
    if one.stderr is None or other.stderr is None or not (one.stderr or other.stderr):
        return None
    if one.log_scale and one.value > 0 < other.value:
        scale = math.hypot(one.stderr / one.value, other.stderr / other.value)
        return math.log(one.value / other.value) / scale
    return (one.value - other.value) / math.hypot(one.stderr, other.stderr)


def family(zs: Iterable[float]) -> dict[str, Any]:
    """Judge many z by Bonferroni's rule, and tell how they are spread."""
    sizes = sorted(math.inf if z != z else abs(z) for z in zs)
    if not sizes:
        return {"tests": 0}
    threshold = -NORMAL.inv_cdf(FAMILY_ERROR / 2 / len(sizes))
    return {
        "tests": len(sizes),
        "largest": sizes[-1],
        "threshold": threshold,
        "beyond_2": sum(z > 2 for z in sizes) / len(sizes),
        "beyond_3": sum(z > 3 for z in sizes) / len(sizes),
        "passed": sizes[-1] < threshold,
    }


def relative_gaps(one: Any, other: Any) -> dict[str, float]:
    """Return by quantity the distance of two results relative to σ of that direction."""
    gaps = {}
    for name in MEASURED:
        a, b = one.quantities[name].value, other.quantities[name].value
        direction = name.partition("_")[2]
        scale = max(abs(a), abs(b), one.quantities[f"rms_{direction}"].value)
        gaps[name] = abs(a - b) / (scale or 1.0)
    return gaps


def ulps(found: Any, wanted: Any, epsilon: float) -> float:
    """Return the largest difference of two numpy arrays in units of ε·max(|value|, rms)."""
    import numpy as np

    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    both = np.isfinite(found) & np.isfinite(wanted)
    if not np.array_equal(np.isnan(found), np.isnan(wanted)) or not np.array_equal(
        found[~both], wanted[~both], equal_nan=True
    ):
        return math.inf
    if not both.any():
        return 0.0
    found, wanted = found[both], wanted[both]
    scale = np.maximum(np.abs(wanted), math.sqrt(float(np.mean(wanted**2))))
    distance = np.abs(found - wanted)
    return float(np.max(distance / np.where(scale > 0, scale, 1.0))) / epsilon


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratios of paired measurements."""
    return [a / b for a, b in zip(above, below, strict=True)]

"""Exact values, by closed form or by quadrature, each with a bound on its error."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from bnstats.layers import BoundLayer, Known, Law, combined, squared
from bnstats.statistics.quadrature import ROUNDING, Expectation
from bnstats.statistics.quantities import QUANTITIES, Quantity


@dataclass(frozen=True)
class Exact:
    """A value known without sampling.

    Attributes
    ----------
    value
        The number.
    error
        A bound on its absolute error.
    by
        ``closed form``, ``quadrature``, ``order statistics``, ``symmetry``, ``constant`` where the
        event's mean is the same in every draw, or ``finite differences``: a quadrature of them.
    spread
        Standard error of its sample estimate times √n, from exact fourth moments; None where
        they are not known.
    """

    value: float
    error: float
    by: str
    spread: float | None = None

    def stderr(self, draws: float) -> float | None:
        """Return the standard error of an estimate from so many independent draws, if known."""
        return None if self.spread is None else self.spread / math.sqrt(draws)


def exact_values(bound: BoundLayer, law: Law) -> dict[str, Exact]:
    """Return the exact quantities of an event under a law of its inputs, as far as known."""
    try:
        with np.errstate(all="ignore"):
            moments = dict(bound.moments(law, Expectation(law)))
    except ArithmeticError:  # beyond float64's range
        moments = {}
    moments = {k: v for k, v in moments.items() if math.isfinite(v.value + v.error)}
    # dx is linear in dy, which has mean zero and is independent of all else.
    moments.setdefault("mean_dx", Known(0.0, 0.0, "symmetry"))
    if "ms_dx" in moments:
        moments["var_dx"] = moments["ms_dx"]
    if "mean_y" in moments and "var_y" in moments and "ms_y" not in moments:
        moments["ms_y"] = combined((1.0, moments["var_y"]), (1.0, squared(moments["mean_y"])))
    found = ((name, _quantity(q, moments)) for name, q in QUANTITIES.items())
    return {name: value for name, value in found if value is not None}


def _quantity(q: Quantity, moments: dict[str, Known]) -> Exact | None:
    known = moments.get(f"{q.moment}_{q.direction}")
    if known is None:
        return None
    value = known.value
    error = known.error if value == 0 else max(known.error, ROUNDING * abs(value))
    if q.moment != "mean" and value > 0 and error >= 0.5 * value:
        return None  # as of a moment that diverges
    spread = _spread(q, moments)
    if q.power == 1:
        return Exact(value, error, known.by, spread)
    if value <= 0:
        return Exact(0.0, math.sqrt(error), known.by) if q.power > 0 else None
    root = value**q.power
    relative = error / value
    # For |power| ≤ 1 the relative error of the power is at most that of the moment, if small.
    return Exact(root, root * relative, known.by, spread)


def _spread(q: Quantity, moments: dict[str, Known]) -> float | None:
    """Return the standard error times √n of an estimate, to first order in 1/n."""
    ms, var_ms = moments.get(f"ms_{q.direction}"), moments.get(f"var_ms_{q.direction}")
    if q.moment != "mean" and ms is not None and var_ms is not None:
        if ms.value <= 0 or var_ms.error > 1e-3 * var_ms.value:
            return None
        return float(abs(q.power) * math.sqrt(var_ms.value) / ms.value * ms.value**q.power)
    var, m4 = moments.get(f"var_{q.direction}"), moments.get(f"m4_{q.direction}")
    if var is None or m4 is None or m4.error > 1e-3 * m4.value:
        return None
    if var.value <= 0 or m4.value < sys.float_info.min:  # or so small that it loses its digits
        return None
    if q.moment == "mean":
        return math.sqrt(var.value)
    second, fourth = var.value, m4.value
    if q.moment == "ms" and (mean := moments[f"mean_{q.direction}"].value):
        m3 = moments.get(f"m3_{q.direction}")
        if m3 is None:
            return None
        square = mean * mean
        fourth += 4 * m3.value * mean + 6 * second * square + square * square
        second += square
    relative = math.sqrt(max(fourth / second / second - 1, 0.0))
    if not math.isfinite(relative):
        return None
    return float(abs(q.power) * relative * second**q.power)

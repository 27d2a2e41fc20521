"""Slopes by finite differences: quick ones for draws, careful ones for exact values."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from bnstats.layers import Array, Law, Namespace

_STEP = 1e-4  # in standard deviations of x
_CAREFUL_STEP = 1e-2
_NEGLIGIBLE = 1e-9  # error of a slope that is zero


def quick_slope(
    value: Callable[[Array], Array],
    xp: Namespace,
    x: Array,
    breakpoints: tuple[float, ...],
    law: Law,
) -> Array:
    """Differentiate by the five-point formula with a step of 1e-4 standard deviations.

    The error is about 1e-12 of the scale of y, and grows with the fifth power of a function's
    steepness: 1e-8 for tanh(50x). Next to a breakpoint the stencil is moved to x's own side
    of it, and the slope is continued from there to first order. Breakpoints are in ascending order.
    """
    step = _STEP * law.x_std
    away = _from_kink(xp, x, breakpoints)
    reach = 2.5 * step  # of two steps, and room for rounding
    side = xp.where(away > 0, reach, -reach)
    centre = xp.where(xp.abs(away) < reach, x - away + side, x)
    up, down = value(centre + step), value(centre - step)
    far_up, far_down = value(centre + 2 * step), value(centre - 2 * step)
    slope = (8 * (up - down) - (far_up - far_down)) / (12 * step)
    curvature = (far_up - up - down + far_down) / (3 * step * step)
    return slope + (x - centre) * curvature


def careful_slope(
    value: Callable[[Array], Array],
    xp: Namespace,
    x: Array,
    breakpoints: tuple[float, ...],
    law: Law,
) -> tuple[Array, Array]:
    """Differentiate by scipy's adaptive differences of eighth order; return slopes and errors.

    One-sided next to a breakpoint. Errors are scipy's estimates and the rounding of y; infinite
    where scipy gives none.
    """
    from scipy.differentiate import derivative

    step = _CAREFUL_STEP * law.x_std
    away = _from_kink(xp, x, breakpoints)
    side = xp.where(away > 0, 1.0, -1.0)
    direction = xp.where(xp.abs(away) < 1.01 * step, side, 0.0)
    # Its first stencil reaches from the step down to an eighth of it.
    unit = 2.0**-51 / (step / 8)
    rounding = unit * xp.abs(value(x))
    known = rounding[xp.isfinite(rounding)]
    enough = float(xp.median(known)) if known.size else 0.0
    found = derivative(
        value, x, initial_step=step, step_direction=direction, tolerances={"atol": enough}
    )
    error = xp.where(xp.isfinite(found.error), xp.abs(found.error), xp.inf)
    # x is rounded as well as y, and y may be larger at the stencil's ends.
    return found.df, error + rounding + unit * xp.abs(found.df) * (xp.abs(x) + step)


def _from_kink(xp: Namespace, x: Array, breakpoints: tuple[float, ...]) -> Array:
    """Return the signed distance of each x from the breakpoint nearest to it, if there is any."""
    if not breakpoints:
        return xp.full_like(x, xp.inf)
    between = xp.asarray([(a + b) / 2 for a, b in pairwise(breakpoints)], dtype=x.dtype)
    return x - xp.take(xp.asarray(breakpoints, dtype=x.dtype), xp.searchsorted(between, x))


def disagreement(value: Callable[[Any], Any], breakpoints: tuple[float, ...], law: Law) -> float:
    """Return how far quick and careful slopes are apart, or their errors if larger.

    Root mean squares over the mean of x ± 3 standard deviations, relative to that of the slopes.
    """
    import numpy as np

    x = law.x_mean + law.x_std * (np.linspace(-3, 3, 2002) + math.pi * 1e-5)  # not on a breakpoint
    with np.errstate(all="ignore"):
        slope, error = careful_slope(value, np, x, breakpoints, law)
        apart = np.maximum(np.abs(quick_slope(value, np, x, breakpoints, law) - slope), error)
        known = np.isfinite(apart)
        error, size = (float(np.sum(v[known] ** 2) ** 0.5) for v in (apart, slope))
    if error < _NEGLIGIBLE:
        return 0.0
    return error / size if size else math.inf


def worst_slope(
    value: Callable[[Any], Any],
    slope: Callable[[Any], Any],
    breakpoints: tuple[float, ...],
    law: Law,
) -> tuple[float, float, float] | None:
    """Return where a declared slope is furthest from finite differences, and both; None if right.

    Looked at is a grid over the mean of x ± 5 standard deviations, away from the breakpoints.
    """
    import numpy as np

    x = law.x_mean + law.x_std * np.linspace(-5, 5, 202)
    for point in breakpoints:
        x = x[np.abs(x - point) > 3 * _CAREFUL_STEP * law.x_std]
    if not x.size:
        return None
    with np.errstate(all="ignore"):
        declared = slope(x)
        found, error = careful_slope(value, np, x, (), law)
        scale = np.abs(found) + float(np.nanmedian(np.abs(found)))
        apart = np.abs(declared - found)
        wrong = apart > 1e-6 * scale + 10 * error  # rounding x itself is in scipy's estimate
    if not wrong.any():
        return None
    at = int(np.argmax(np.where(wrong, apart, -np.inf)))
    return float(x[at]), float(declared[at]), float(found[at])

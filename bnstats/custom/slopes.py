"""Slopes by finite differences: quick ones for draws, careful ones for exact values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bnstats.layers import Law
from bnstats.layers._registry import Array, Namespace

_STEP = 1e-4  # in standard deviations of x
_CAREFUL_STEP = 1e-2


def quick_slope(
    value: Callable[[Array], Array], xp: Namespace, x: Array, kinks: Iterable[float], law: Law
) -> Array:
    """Differentiate by the five-point formula with a step of 1e-4 standard deviations.

    The error is about 1e-12 of the scale of y, and grows with the fifth power of a function's
    steepness: 1e-8 for tanh(50x). Next to a kink the stencil is moved to x's own side of it, and
    the slope is continued from there to first order.
    """
    step = _STEP * law.x_std
    centre = x
    for kink in kinks:
        away = x - kink
        side = xp.where(away > 0, kink + 2 * step, kink - 2 * step)
        centre = xp.where(xp.abs(away) < 2 * step, side, centre)
    up, down = value(centre + step), value(centre - step)
    far_up, far_down = value(centre + 2 * step), value(centre - 2 * step)
    slope = (8 * (up - down) - (far_up - far_down)) / (12 * step)
    curvature = (far_up - up - down + far_down) / (3 * step * step)
    return slope + (x - centre) * curvature


def careful_slope(
    value: Callable[[Array], Array], xp: Namespace, x: Array, kinks: Iterable[float], law: Law
) -> tuple[Array, Array]:
    """Differentiate by scipy's adaptive differences of eighth order; return slopes and errors.

    One-sided next to a kink. Errors are scipy's estimates and the rounding of y; infinite where
    scipy gives none.
    """
    from scipy.differentiate import derivative

    step = _CAREFUL_STEP * law.x_std
    direction = xp.zeros_like(x)
    for kink in kinks:
        away = x - kink
        direction = xp.where(xp.abs(away) < 1.01 * step, xp.where(away > 0, 1.0, -1.0), direction)
    found = derivative(value, x, initial_step=step, step_direction=direction)
    error = xp.where(xp.isfinite(found.error), xp.abs(found.error), xp.inf)
    return found.df, error + 2.0**-52 * xp.abs(value(x)) / step


def disagreement(value: Callable[[Any], Any], kinks: Iterable[float], law: Law) -> float:
    """Return how far quick and careful slopes are apart, or their errors if larger.

    Root mean squares over the mean of x ± 3 standard deviations, relative to that of the slopes.
    """
    import numpy as np

    x = law.x_mean + law.x_std * np.linspace(-3, 3, 202)
    kinks = tuple(kinks)
    with np.errstate(all="ignore"):
        slope, error = careful_slope(value, np, x, kinks, law)
        apart = np.maximum(np.abs(quick_slope(value, np, x, kinks, law) - slope), error)
        known = np.isfinite(apart)
        size = float(np.sum(slope[known] ** 2))
        return float(np.sqrt(np.sum(apart[known] ** 2) / size)) if size else 0.0


def worst_slope(
    value: Callable[[Any], Any], slope: Callable[[Any], Any], kinks: Iterable[float], law: Law
) -> tuple[float, float, float] | None:
    """Return where a declared slope is furthest from finite differences, and both; None if right.

    Looked at is a grid over the mean of x ± 5 standard deviations, away from the kinks.
    """
    import numpy as np

    x = law.x_mean + law.x_std * np.linspace(-5, 5, 202)
    for kink in kinks:
        x = x[np.abs(x - kink) > 3 * _CAREFUL_STEP * law.x_std]
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

"""Slopes by finite differences: quick ones for draws, careful ones for exact values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import Array, Law, Namespace

_STEP = 1e-4  # in standard deviations of x
_CAREFUL_STEP = 1e-2
_NEGLIGIBLE = 1e-9  # error of a slope that is zero


@dataclass(frozen=True, eq=False)
class Probe:
    """An elementwise function, looked at around a law of x.

    Attributes
    ----------
    value
        Called as ``value(xp, x)``; returns y.
    breakpoints
        Where y or its slope jumps, in ascending order.
    law
        Sets the scale of x, and with it the steps of differences.
    """

    value: Callable[[Namespace, Array], Array]
    breakpoints: tuple[float, ...]
    law: Law

    def quick_slope(self, xp: Namespace, x: Array) -> Array:
        """Differentiate by the five-point formula with a step of 1e-4 standard deviations.

        The error is about 1e-12 of the scale of y, and grows with the fifth power of a function's
        steepness: 1e-8 for tanh(50x). Next to a breakpoint the stencil is moved to x's own side of
        it, and the slope is continued from there to first order.
        """
        step = _STEP * self.law.x_std
        away = self._from_breakpoint(xp, x)
        reach = 2.5 * step  # of two steps, and room for rounding
        side = xp.where(away > 0, reach, -reach)
        centre = xp.where(xp.abs(away) < reach, x - away + side, x)
        up, down = self.value(xp, centre + step), self.value(xp, centre - step)
        far_up, far_down = self.value(xp, centre + 2 * step), self.value(xp, centre - 2 * step)
        slope = (8 * (up - down) - (far_up - far_down)) / (12 * step)
        curvature = (far_up - up - down + far_down) / (3 * step * step)
        return slope + (x - centre) * curvature

    def careful_slope(self, x: Array) -> tuple[Array, Array]:
        """Differentiate by scipy's adaptive differences of eighth order; return slopes and errors.

        Differences are one-sided next to a breakpoint. Errors are scipy's estimates and the
        rounding of y; they are infinite where scipy gives none.
        """
        from scipy.differentiate import derivative

        step = _CAREFUL_STEP * self.law.x_std
        away = self._from_breakpoint(np, x)
        side = np.where(away > 0, 1.0, -1.0)
        direction = np.where(np.abs(away) < 1.01 * step, side, 0.0)
        # Its first stencil reaches from the step down to an eighth of it.
        unit = 2.0**-51 / (step / 8)
        rounding = unit * np.abs(self._value(x))
        known = rounding[np.isfinite(rounding)]
        enough = float(np.median(known)) if known.size else 0.0
        found = derivative(
            self._value, x, initial_step=step, step_direction=direction, tolerances={"atol": enough}
        )
        error = np.where(np.isfinite(found.error), np.abs(found.error), np.inf)
        # x is rounded as well as y, and y may be larger at the stencil's ends.
        return found.df, error + rounding + unit * np.abs(found.df) * (np.abs(x) + step)

    def disagreement(self) -> float:
        """Return how far quick and careful slopes are apart, or their errors if larger.

        Root mean squares over the mean of x ± 3 standard deviations, relative to that of slopes.
        """
        # An irrational offset keeps the grid off the breakpoints.
        x = self.law.x_mean + self.law.x_std * (np.linspace(-3, 3, 2002) + math.pi * 1e-5)
        with np.errstate(all="ignore"):
            slope, error = self.careful_slope(x)
            apart = np.maximum(np.abs(self.quick_slope(numpy_backend, x) - slope), error)
            known = np.isfinite(apart)
            error, size = (float(np.sum(v[known] ** 2) ** 0.5) for v in (apart, slope))
        if error < _NEGLIGIBLE:
            return 0.0
        return error / size if size else math.inf

    def worst_slope(self, slope: Callable[[Array], Array]) -> tuple[float, float, float] | None:
        """Return where a declared slope is furthest from finite differences, and both values.

        None is returned if it is right everywhere on a grid over the mean of x ± 5 standard
        deviations, away from the breakpoints.
        """
        law = self.law
        x = law.x_mean + law.x_std * np.linspace(-5, 5, 202)
        for point in self.breakpoints:
            x = x[np.abs(x - point) > 3 * _CAREFUL_STEP * law.x_std]
        if not x.size:
            return None
        with np.errstate(all="ignore"):
            declared = slope(x)
            found, error = Probe(self.value, (), law).careful_slope(x)
            scale = np.abs(found) + float(np.nanmedian(np.abs(found)))
            apart = np.abs(declared - found)
            wrong = apart > 1e-6 * scale + 10 * error  # rounding x itself is in scipy's estimate
        if not wrong.any():
            return None
        at = int(np.argmax(np.where(wrong, apart, -np.inf)))
        return float(x[at]), float(declared[at]), float(found[at])

    def _value(self, x: Array) -> Array:
        return self.value(numpy_backend, x)

    def _from_breakpoint(self, xp: Namespace, x: Array) -> Array:
        """Return the signed distance of each x from the nearest breakpoint, if there is any."""
        if not self.breakpoints:
            return xp.full_like(x, xp.inf)
        between = [(a + b) / 2 for a, b in pairwise(self.breakpoints)]
        nearest = xp.searchsorted(xp.asarray(between, dtype=x.dtype), x)
        return x - xp.take(xp.asarray(self.breakpoints, dtype=x.dtype), nearest)

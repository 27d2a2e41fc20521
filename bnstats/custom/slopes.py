"""Slopes by finite differences: quick ones for draws, careful ones for exact values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.custom.breaks import FLOAT64, REACH, Resolution, bend_width
from bnstats.layers import Array, Known, Law, Namespace

_NEGLIGIBLE = 1e-9  # error of a slope that is zero
_NEARING = (1e-3, 1e-5, 1e-7)  # distances from a breakpoint, in standard deviations
_CONTINUED, _CONTINUED_STEP = 6, 1e-3  # points on either side of a bend, and their distance
_STEEPENS = 1.2  # from one to the next, where a slope goes as |x|^−0.04 or faster


def _density(x: Array, law: Law) -> Array:
    z = (x - law.x_mean) / law.x_std
    return np.exp(-0.5 * z * z) / (math.sqrt(2 * math.pi) * law.x_std)


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
    bends
        Those breakpoints that were found by `breaks` where the slope bends, and not declared.
    resolution
        What can be seen of the function.
    """

    value: Callable[[Namespace, Array], Array]
    breakpoints: tuple[float, ...]
    law: Law
    bends: tuple[float, ...] = ()
    resolution: Resolution = FLOAT64

    def quick_slope(self, xp: Namespace, x: Array) -> Array:
        """Differentiate by the five-point formula with a step of 1e-4 standard deviations.

        The error is about 1e-12 of the scale of y, and grows with the fifth power of a function's
        steepness: 1e-8 for tanh(50x). Of a function in float32 the step is 1e-2, the error 1e-5.
        Next to a breakpoint the stencil is moved to x's own side of it, and the slope is continued
        from there to first order.
        """
        step = self.resolution.step * self.law.x_std
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

        step = self.resolution.careful_step * self.law.x_std
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
            if self._has_steps(x, slope):
                return 1.0
        if error < _NEGLIGIBLE:
            return 0.0
        return error / size if size else math.inf

    def _has_steps(self, x: Array, slope: Array) -> bool:
        """Tell whether y rises in steps finer than those of the differences: a quantiser.

        At most places, differences much finer than a step are then far from the slope, whatever
        it is: zero between two jumps. Differences are central, and no multiples of round numbers.
        """
        y, scale, steep = self._value(x), self.law.x_std, np.abs(slope)
        least = max(
            1e-3 * np.max(steep, initial=0.0), 1e-6 * np.max(np.abs(y), initial=0.0) / scale
        )
        rises = steep > least
        # Finer steps are those of rounding, where a function subtracts large numbers.
        for step in np.pi * scale * 10.0 ** np.arange(-5, self.resolution.finest - 1, -1):
            fine = (self._value(x + step) - self._value(x - step)) / (2 * step)
            rounding = 2.0**-49 * (np.abs(y) + np.abs(x * slope)) / step
            far = np.abs(fine - slope) > 0.5 * steep + rounding
            if np.mean(rises) > 0.1 and np.mean(far[rises]) > 0.5:
                return True
        return False

    def is_constant(self) -> bool:
        """Whether y is the same everywhere between two breakpoints, as that of a step is."""
        x = self.law.x_mean + self.law.x_std * (np.linspace(-REACH, REACH, 20_003) + math.pi * 1e-5)
        with np.errstate(all="ignore"):
            y = self._value(x)
        place = np.searchsorted(np.array(self.breakpoints), x)
        return bool(np.all((np.diff(y) == 0) | (np.diff(place) != 0)))

    def unbounded(self) -> tuple[float, ...]:
        """Return the breakpoints at which the slope grows without bound, as that of √|x| at 0."""
        law = self.law
        rounding = 2.0**-52 * (abs(law.x_mean) / law.x_std + 1)
        if rounding > 1e-3 * _NEARING[-1]:
            return ()  # x is too coarse to tell
        h = np.array([_NEARING, _NEARING]) * [[1.0], [-1.0]]
        found = []
        for point in self.breakpoints:
            with np.errstate(all="ignore"):
                ends = (self._value(point + law.x_std * share * h.ravel()) for share in (1, 0.25))
                outer, inner = (v.reshape(h.shape) for v in ends)
                change = np.abs(outer - inner)
                slope = change / np.abs(h)
                grows = np.all(slope[:, 1:] > _STEEPENS * slope[:, :-1], axis=1)
                is_noise = change[:, -1] < 1e4 * rounding * np.abs(outer[:, -1])
            if np.any(grows & ~is_noise & (slope[:, 0] > 0)):
                found.append(point)
        return tuple(found)

    def jumped(self) -> Known:
        """Return the jumps of y, each times the density of x there, added up."""
        if not self.breakpoints:
            return Known(0.0)
        law, places = self.law, np.array(self.breakpoints)
        beside = places + np.spacing(np.abs(places)) * np.array([[-8], [-4], [4], [8]])
        with np.errstate(all="ignore"):
            y = self._value(beside.ravel()).reshape(beside.shape)
        # What is no jump changes as much from there to the place, and by its rounding.
        error = 2 * (np.abs(y[3] - y[2]) + np.abs(y[1] - y[0])) + 2.0**-50 * np.max(np.abs(y), 0)
        density = _density(places, law)
        return Known(float(density @ (y[2] - y[1])), float(density @ error))

    def misplaced(self) -> float:
        """Return by how much E[slope²] is wrong at most because bends were found inexactly."""
        law = self.law
        if not self.bends:
            return 0.0
        places = np.array(self.bends)
        beside = 1e-6 * law.x_std * np.array([[1.0], [-1.0]])
        slopes, _ = self.careful_slope((places + beside).ravel())
        right, left = slopes.reshape(2, -1) ** 2
        density = law.x_std * _density(places, law)
        # A bracket, half a one more to each side, and as much for the rounding of its ends.
        off = np.minimum(self._off(places), 4 * bend_width(law, self.resolution))
        return float(np.sum(np.abs(right - left) * density * off))

    def _off(self, places: Array) -> Array:
        """Return how far bends are from their places at most, in standard deviations.

        What is smooth on either side is continued to the place: where the two meet is the bend.
        """
        steps = np.arange(1, _CONTINUED + 1)
        value_at_0, slope_at_0 = np.linalg.inv(np.vander(steps, increasing=True).astype(float))[:2]
        h = _CONTINUED_STEP * self.law.x_std
        with np.errstate(all="ignore"):
            right = self._value((places + h * steps[:, None]).ravel()).reshape(-1, places.size)
            left = self._value((places - h * steps[:, None]).ravel()).reshape(-1, places.size)
            apart = np.abs(value_at_0 @ right - value_at_0 @ left)
            bend = np.abs(slope_at_0 @ right + slope_at_0 @ left) / _CONTINUED_STEP
            rounding = 2.0**-46 * np.max(np.abs(right) + np.abs(left), axis=0)
            return np.nan_to_num((apart + rounding) / bend, nan=np.inf)

    def worst_slope(self, slope: Callable[[Array], Array]) -> tuple[float, float, float] | None:
        """Return where a declared slope is furthest from finite differences, and both values.

        None is returned if it is right everywhere on a grid over the mean of x ± 5 standard
        deviations, away from the breakpoints.
        """
        law = self.law
        x = law.x_mean + law.x_std * np.linspace(-5, 5, 202)
        for point in self.breakpoints:
            x = x[np.abs(x - point) > 3 * self.resolution.careful_step * law.x_std]
        if not x.size:
            return None
        with np.errstate(all="ignore"):
            declared = slope(x)
            alone = Probe(self.value, (), law, resolution=self.resolution)
            found, error = alone.careful_slope(x)
            scale = np.abs(found) + float(np.nanmedian(np.abs(found)))
            apart = np.abs(declared - found)
            # Rounding x itself is in scipy's estimate.
            wrong = apart > self.resolution.slope_tolerance * scale + 10 * error
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

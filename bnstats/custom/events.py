"""From a function of the user's to the experiment of one draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.custom.arrays import library_of
from bnstats.custom.breaks import REACH, Breaks, breaks
from bnstats.custom.calls import UserFunction
from bnstats.custom.slopes import careful_slope, disagreement, quick_slope, worst_slope
from bnstats.custom.trial import tried
from bnstats.errors import BnstatsError
from bnstats.layers import (
    STANDARD,
    UNKNOWN,
    Array,
    Backward,
    BoundLayer,
    ExactMoments,
    Expect,
    Law,
    Namespace,
    pointwise_layer,
    pointwise_moments,
)

_MOST_SPLITS = 16
_NAMED = 4
_SLOPE_TOLERANCE = 1e-12  # finite differences are no better
_TOLERATED = 1e-6  # relative error of slopes that need not be mentioned
_UNRESOLVED = 1e-2  # of slopes whose own estimate of their error is not to be believed, either


def elementwise_event(call: UserFunction, breakpoints: tuple[float, ...]) -> BoundLayer:
    """Return the event of a function and its declared breakpoints, tried out on a few numbers.

    Raises
    ------
    BnstatsError
        Whatever `UserFunction` raises; or y at one x depends on the other draws, or on chance.
    """
    call = tried(call)

    @lru_cache(maxsize=8)
    def under(law: Law) -> BoundLayer:
        return _examined(call, breakpoints, law)

    return replace(_event(call, tuple(sorted({*breakpoints})), STANDARD), under=under)


def _event(
    call: UserFunction, breakpoints: tuple[float, ...], law: Law, *, resolved: bool = True
) -> BoundLayer:
    def value(xp: Namespace, x: Array) -> Array:
        return call(xp, x)[0]

    # The quadrature's panels grow with its splits.
    splits = tuple(sorted(breakpoints, key=lambda point: abs(point - law.x_mean))[:_MOST_SPLITS])
    if call.knows_slope:
        bound = pointwise_layer(call.with_slope, splits)
        return replace(bound, breakpoints=breakpoints, forward=_differentiated(call))

    def quick(xp: Namespace, x: Array) -> tuple[Array, Array]:
        # float32 differences would keep three digits.
        wide = xp.astype(x, xp.float64)
        slope = quick_slope(lambda at: value(xp, at), xp, wide, breakpoints, law)
        return value(xp, x), xp.astype(slope, x.dtype)

    def squared(xp: Namespace, x: Array) -> Array:
        slope, _ = careful_slope(lambda at: value(xp, at), xp, x, breakpoints, law)
        return slope**2

    def squared_error(xp: Namespace, x: Array) -> Array:
        slope, error = careful_slope(lambda at: value(xp, at), xp, x, breakpoints, law)
        return (2 * xp.abs(slope) + error) * error

    def moments(law: Law, expect: Expect) -> ExactMoments:
        known = pointwise_moments(value, lambda xp, x: quick(xp, x)[1], splits)(law, expect)
        dy2 = law.dy_std**2
        # What rounding x makes of y, which counts where a function is steep everywhere.
        steepness = math.sqrt(known.ms_dx.value / dy2)
        rounding = 2.0**-51 * steepness * math.hypot(law.x_mean, law.x_std)
        if math.isfinite(rounding):
            known = replace(known, mean_y=known.mean_y.widened(rounding))
        if not resolved:
            return replace(known, ms_dx=UNKNOWN, m4_dx=UNKNOWN)
        found = expect(squared, breakpoints=splits, tolerance=_SLOPE_TOLERANCE)
        error = expect(squared_error, breakpoints=splits, tolerance=0.01)
        ms_slope = found.widened(error.value).widened(error.error)
        return replace(known, ms_dx=dy2 * ms_slope.known_by("finite differences"))

    bound = pointwise_layer(quick, breakpoints)
    by_autodiff = _differentiated(call)

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        on_numpy = library_of(draws["x"]) == "numpy"
        return bound.forward(xp, draws) if on_numpy else by_autodiff(xp, draws)

    why_inexact = f"finite differences do not resolve the slope of {call.short}"
    return replace(bound, forward=forward, moments=moments, why_inexact=why_inexact)


def _differentiated(
    call: UserFunction,
) -> Callable[[Namespace, Mapping[str, Array]], tuple[Array, Backward]]:
    return lambda xp, draws: call.vjp(xp, draws["x"])


def _examined(call: UserFunction, declared: tuple[float, ...], law: Law) -> BoundLayer:
    """Look at a function around a law; return its event with what was found."""
    grid = law.x_mean + law.x_std * np.linspace(-REACH, REACH, 2001)
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(call(numpy_backend, grid)[0])
    if bad.all():
        raise BnstatsError(f"{call.name} is not finite at any x within {REACH:g} σ of the mean")
    hints = [_nonfinite(call.short, grid, bad)] if bad.any() else []
    found = breaks(lambda x: call(numpy_backend, x)[0], law)
    steep = Breaks()
    if call.knows_slope:
        steep = breaks(lambda x: call.with_slope(numpy_backend, x)[1], law)
    slope_jumps = _new((*found.bends, *steep.jumps), (*declared, *found.jumps), law)
    jumps = _new(found.jumps, declared, law)
    bends = _new(steep.bends, (*declared, *jumps, *slope_jumps), law)
    breakpoints = tuple(sorted({*declared, *jumps, *slope_jumps, *bends}))
    if jumps or slope_jumps:
        hints.append(_kinks_hint(call.short, jumps, slope_jumps))
    if call.knows_slope:
        hints += _slope_hints(call, breakpoints, law)
        return replace(_event(call, breakpoints, law), hints=tuple(hints))
    error = disagreement(lambda x: call(numpy_backend, x)[0], breakpoints, law)
    resolved = error < _UNRESOLVED
    if error >= _TOLERATED:
        hints.append(
            f"the slope of {call.short} is by finite differences, here with a relative error of "
            f"{error:.1g}{'' if resolved else ': do not believe dx'}; return (y, slope)"
        )
    return replace(_event(call, breakpoints, law, resolved=resolved), hints=tuple(hints))


def _slope_hints(call: UserFunction, breakpoints: tuple[float, ...], law: Law) -> list[str]:
    def value(x: Array) -> Array:
        return call(numpy_backend, x)[0]

    worst = worst_slope(value, lambda x: call.with_slope(numpy_backend, x)[1], breakpoints, law)
    if worst is None:
        return []
    x, declared, found = worst
    return [
        f"the slope of {call.short} at x = {x:.6g} is given as {declared:.6g}, but finite "
        f"differences say {found:.6g}; dx is as given"
    ]


def _new(found: tuple[float, ...], known: tuple[float, ...], law: Law) -> tuple[float, ...]:
    """Return in order what is neither known nor twice the same."""
    kept: list[float] = []
    for x in sorted(found):
        if all(abs(x - other) > 1e-6 * law.x_std for other in (*known, *kept)):
            kept.append(x)
    return tuple(kept)


def _kinks_hint(name: str, jumps: tuple[float, ...], slopes: tuple[float, ...]) -> str:
    parts = [f"{name} jumps at {_places(jumps)}"] if jumps else []
    if slopes:
        parts.append(
            f"{'its slope' if jumps else f'the slope of {name}'} jumps at {_places(slopes)}"
        )
    what = " and ".join(parts)
    if len(jumps) + len(slopes) > _MOST_SPLITS:
        return f"{what} (detected; the nearest {_MOST_SPLITS} split the quadrature)"
    if len(jumps) + len(slopes) > _NAMED:
        return f"{what} (detected; declare them as breakpoints)"
    return f"{what} (detected; declare breakpoints={tuple(sorted({*jumps, *slopes}))})"


def _places(breakpoints: tuple[float, ...]) -> str:
    shown = [f"x = {point:.10g}" for point in breakpoints[:_NAMED]]
    more = len(breakpoints) - _NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _nonfinite(name: str, grid: Array, bad: Array) -> str:
    share = 100 * float(np.mean(bad))
    return (
        f"{name} is not finite at x = {float(grid[np.argmax(bad)]):.4g} ({share:.2g} % of the mean "
        f"± {REACH:g} σ): there may be no exact value; np.maximum(x, 1e-30) or np.clip bounds x"
    )

"""From a function of the user's to a bound layer, the experiment of one draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.custom.arrays import library_of
from bnstats.custom.breaks import FLOAT32, FLOAT64, REACH, Breaks, Resolution, breaks, resolution_of
from bnstats.custom.calls import UserFunction
from bnstats.custom.slopes import Probe
from bnstats.custom.trial import tried
from bnstats.errors import BnstatsError
from bnstats.layers import (
    STANDARD,
    UNKNOWN,
    Array,
    Backward,
    BoundLayer,
    Draws,
    ExactMoments,
    Expect,
    Known,
    Law,
    Namespace,
    pointwise_layer,
    pointwise_moments,
)
from bnstats.notation import shortest

_MOST_SPLITS = 512
_NAMED = 4
_SLOPE_TOLERANCE = 1e-12  # finite differences are no better
_SMALL_ERROR = 1e-3  # of E[slope²]
_TOLERATED = 1e-6  # relative error of slopes below which nothing is said
_UNRESOLVED = 1e-2  # above this, even the estimate of the error of slopes is not to be trusted


def elementwise_event(call: UserFunction, breakpoints: tuple[float, ...]) -> BoundLayer:
    """Return the bound layer of a function, which is tried out on a few numbers.

    Parameters
    ----------
    call
        The function with its parameters.
    breakpoints
        The places that its author has declared; further ones are found once the law is known.

    Raises
    ------
    BnstatsError
        A call fails as `UserFunction` says, or y at one x depends on the other draws or on chance.
    """
    call = tried(call)

    @lru_cache(maxsize=8)
    def under(law: Law) -> BoundLayer:
        return _examined(call, breakpoints, law)

    return replace(_event(call, _probe(call, breakpoints, STANDARD)), under=under)


def _probe(
    call: UserFunction,
    breakpoints: Iterable[float],
    law: Law,
    bends: tuple[float, ...] = (),
    resolution: Resolution = FLOAT64,
) -> Probe:
    places = tuple(sorted({*breakpoints, *bends}))
    return Probe(lambda xp, x: call(xp, x)[0], places, law, bends, resolution)


def _event(
    call: UserFunction,
    probe: Probe,
    *,
    resolved: bool = True,
    constant: bool = False,
    unbounded: tuple[float, ...] = (),
) -> BoundLayer:
    value, breakpoints, law = probe.value, probe.breakpoints, probe.law

    def differentiated(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        return call.vjp(xp, draws["x"])

    # The quadrature's panels grow with its splits.
    splits = tuple(sorted(breakpoints, key=lambda point: abs(point - law.x_mean))[:_MOST_SPLITS])
    if call.knows_slope:
        bound = pointwise_layer(call.with_slope, splits)
        return replace(
            bound,
            breakpoints=breakpoints,
            forward=differentiated,
            moments=_with_mean_if_any(bound.moments, lambda x: call(numpy_backend, x)[1], splits),
            is_black_box=True,
        )

    def quick(xp: Namespace, x: Array) -> tuple[Array, Array]:
        # Differences in float32 would have only three digits.
        wide = xp.astype(x, xp.float64)
        slope = probe.quick_slope(xp, wide)
        return value(xp, x), xp.astype(slope, x.dtype)

    def squared(xp: Namespace, x: Array) -> Array:
        return probe.careful_slope(x)[0] ** 2

    def squared_error(xp: Namespace, x: Array) -> Array:
        slope, error = probe.careful_slope(x)
        return (2 * xp.abs(slope) + error) * error

    def moments(law: Law, expect: Expect) -> ExactMoments:
        known = pointwise_moments(value, lambda xp, x: quick(xp, x)[1], splits)(law, expect)
        dy2 = law.dy_std**2
        # What rounding x makes of y, which counts where a function is steep everywhere.
        steepness = math.sqrt(known.ms_dx.value / dy2)
        rounding = 2.0**-51 * steepness * math.hypot(law.x_mean, law.x_std)
        if math.isfinite(rounding):
            known = replace(known, mean_y=known.mean_y.widened(rounding))
        if constant:
            nothing = Known(0.0, 0.0, "finite differences")
            return replace(known, ms_dx=nothing, m4_dx=nothing, mean_slope=nothing)
        if unbounded:
            infinite = Known(math.inf, math.inf, "finite differences")
            return replace(known, ms_dx=infinite, m4_dx=infinite, mean_slope=UNKNOWN)
        if not resolved:
            return replace(known, ms_dx=UNKNOWN, m4_dx=UNKNOWN, mean_slope=UNKNOWN)
        # By parts, without differences; y is rounded, however little it varies.
        mean_slope = known.cov_xy / law.x_std**2 - probe.jumped()
        mean_slope = mean_slope.widened(2.0**-51 * abs(known.mean_y.value) / law.x_std)
        found = expect(squared, breakpoints=splits, tolerance=_SLOPE_TOLERANCE)
        error = expect(squared_error, breakpoints=splits, tolerance=0.01)
        # Errors are estimates, and need not settle where they are small.
        settled = error.is_finite or not error.value < _SMALL_ERROR * found.value
        missing = error.error if settled else 10 * error.value
        ms_slope = found.widened(error.value + missing + probe.misplaced())
        ms_dx = dy2 * ms_slope.known_by("finite differences")
        return replace(known, ms_dx=ms_dx, mean_slope=mean_slope)

    bound = pointwise_layer(quick, breakpoints)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        on_numpy = library_of(draws["x"]) == "numpy"
        return bound.forward(xp, draws) if on_numpy else differentiated(xp, draws)

    why_inexact = ""
    if not resolved:
        why_inexact = f"finite differences do not resolve the slope of {call.short}"
    if unbounded:
        why_inexact = _unbounded_text(call.short, unbounded)
    return replace(
        bound,
        forward=forward,
        moments=_with_mean_if_any(moments, lambda x: quick(numpy_backend, x)[1], splits),
        why_inexact=why_inexact,
        heavy_tailed=() if resolved else ("dx",),  # whatever their draws say
        is_black_box=True,
    )


def _with_mean_if_any(
    moments: Callable[[Law, Expect], ExactMoments],
    slope: Callable[[Array], Array],
    splits: tuple[float, ...],
) -> Callable[[Law, Expect], ExactMoments]:
    """Leave E[dx] out where E|f′| is infinite: by symmetry it is 0 where it exists."""

    def found(law: Law, expect: Expect) -> ExactMoments:
        known = moments(law, expect)
        if known.ms_dx.is_finite:
            return known
        # A function without an expectation has a slope without one: differences may not tell.
        of_slope = expect(lambda xp, x: xp.abs(slope(x)), breakpoints=splits)
        if known.mean_y.is_finite and of_slope.is_finite:
            return known
        return replace(known, mean_dx=Known(0.0, math.inf, "finite differences"))

    return found


def _examined(call: UserFunction, declared: tuple[float, ...], law: Law) -> BoundLayer:
    """Return the bound layer of a function with the breakpoints and faults found around a law."""
    grid = law.x_mean + law.x_std * np.linspace(-REACH, REACH, 2001)
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(call(numpy_backend, grid)[0])
    if bad.all():
        raise BnstatsError(f"{call.name} is not finite at any x within {REACH:g} σ of the mean")
    hints = [_nonfinite(call.short, grid, bad)] if bad.any() else []
    resolution = resolution_of(lambda x: call(numpy_backend, x)[0], law)
    if resolution is FLOAT32:
        hints.append(
            f"{call.short} rounds to float32: its values are known to 1e-7, and only breaks of "
            f"more than {shortest(resolution.least_jump)} of its scale were looked for"
        )
    found = breaks(lambda x: call(numpy_backend, x)[0], law, resolution)
    steep = Breaks()
    if call.knows_slope:
        steep = breaks(lambda x: call.with_slope(numpy_backend, x)[1], law, resolution)
    # A jump of the slope that is given is found to the last digit, a bend of y is not.
    slope_jumps = _new(steep.jumps, (*declared, *found.jumps), law)
    vague = _new(found.bends, (*declared, *found.jumps, *slope_jumps), law)
    slope_jumps = tuple(sorted({*slope_jumps, *vague}))
    jumps = _new(found.jumps, declared, law)
    bends = _new(steep.bends, (*declared, *jumps, *slope_jumps), law)
    places = (*declared, *jumps, *slope_jumps, *bends)
    probe = _probe(call, places, law, vague, resolution)
    if jumps or slope_jumps:
        hints.append(_kinks_hint(call.short, jumps, slope_jumps))
    if call.knows_slope:
        hints += _slope_hints(call, probe)
        return replace(_event(call, probe), hints=tuple(hints))
    if places and probe.is_constant():
        hints.append(f"{call.short} is constant between its jumps: its slope and dx are 0")
        return replace(_event(call, probe, constant=True), hints=tuple(hints))
    error = probe.disagreement()
    resolved, unbounded = error < _UNRESOLVED, probe.unbounded()
    if unbounded:
        hints.append(f"{_unbounded_text(call.short, unbounded)}; return (y, slope)")
    elif error >= _TOLERATED:
        hints.append(
            f"the slope of {call.short} is by finite differences, here with a relative error of "
            f"{error:.1g}{'' if resolved else ': do not believe dx'}; return (y, slope)"
        )
    return replace(_event(call, probe, resolved=resolved, unbounded=unbounded), hints=tuple(hints))


def _unbounded_text(name: str, places: tuple[float, ...]) -> str:
    return f"the slope of {name} grows without bound at {_places(places)}"


def _slope_hints(call: UserFunction, probe: Probe) -> list[str]:
    worst = probe.worst_slope(lambda x: call.with_slope(numpy_backend, x)[1])
    if worst is None:
        return []
    x, declared, found = worst
    return [
        f"the slope of {call.short} at x = {x:.6g} is given as {declared:.9g}, but finite "
        f"differences say {found:.9g}; dx is as given"
    ]


def _new(found: tuple[float, ...], known: tuple[float, ...], law: Law) -> tuple[float, ...]:
    """Return, in order and once each, the places found that are not known."""
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

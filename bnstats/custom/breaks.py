"""Search for the places where a function jumps, or its slope does, from its values alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bnstats.layers import Law

REACH = 10.0  # standard deviations of x on either side of its mean
_INTERVALS = 8192
_JUMP_WIDTH = 2e-12  # of the last bracket, in standard deviations
_MERGED = 1e-7
_HALVINGS = 24  # of 2e-12 leave less than a unit in the last place of x, but near 0
_ENOUGH = 100.0  # by which a bracket is narrower at least where its bend is called a pole
_PIECES = 64  # into which a bracket around a pole is divided at a time
_LEAST_BRACKET = 1e-22  # in standard deviations, around 0
_NOISE_FACTOR = 20.0
# Share of values whose last bit in float32 is set: half of them where that bit is noise.
_FEWEST_ODD = 0.2


class Resolution(NamedTuple):
    """What can be seen of a function that rounds as a floating-point type does.

    Attributes
    ----------
    least_jump, least_bend
        Jumps of the value and of the slope that stand out from rounding, in units of the function's
        own scale.
    coarse, bend_width
        Brackets in which a bend is sought and found, in standard deviations.
    step, careful_step
        Steps of quick and of careful differences, in standard deviations.
    slope_tolerance
        Relative error of a slope that a function gives, beyond which it is wrong.
    finest
        Power of ten of the finest steps of a quantiser that are no rounding.
    """

    least_jump: float
    least_bend: float
    coarse: float
    bend_width: float
    step: float
    careful_step: float
    slope_tolerance: float
    finest: int


# A declared slope may hold a constant in float32, which is 3e-8 off.
FLOAT64 = Resolution(1e-10, 1e-5, 1e-6, 1e-9, 1e-4, 1e-2, 3e-9, -9)
FLOAT32 = Resolution(1e-5, 3e-2, 1e-3, 1e-4, 1e-2, 0.2, 1e-2, -6)


class Breaks(NamedTuple):
    """The places where a function jumps or has a pole, or its slope jumps, in units of x."""

    jumps: tuple[float, ...] = ()
    bends: tuple[float, ...] = ()


def bend_width(law: Law, resolution: Resolution) -> float:
    """Return how well the place of a bend is found, in standard deviations of x."""
    return max(resolution.bend_width, 2e4 * _rounding(law))


def resolution_of(function: Callable[[Any], Any], law: Law) -> Resolution:
    """Return the resolution of a function, which may cast to float32 what it takes or returns."""
    x = law.x_mean + law.x_std * np.linspace(-3, 3, 2003)
    with np.errstate(all="ignore"):
        y = np.asarray(function(x))
        of_cast = np.asarray(function(x.astype(np.float32).astype(float)))
        moved = np.asarray(function(x + 1e-5 * (np.abs(x) + law.x_std)))
        single = y.astype(np.float32)
    casts_x = np.array_equal(y, of_cast, equal_nan=True) and np.mean(moved != y) > 0.5
    odd = single[np.isfinite(single)].view(np.uint32) & 1
    casts_y = np.array_equal(single, y, equal_nan=True) and odd.size and np.mean(odd) > _FEWEST_ODD
    return FLOAT32 if casts_x or casts_y else FLOAT64


def _rounding(law: Law) -> float:
    """Return by how much x is rounded, in standard deviations."""
    return 2.0**-52 * (abs(law.x_mean) / law.x_std + REACH)


def breaks(function: Callable[[Any], Any], law: Law, resolution: Resolution = FLOAT64) -> Breaks:
    """Return the breaks that a scan over the mean of x ± 10 standard deviations finds.

    Every small interval is bisected towards its larger change: of the value for jumps, of the
    secant slope for bends. If the function is smooth there, however steep, the change shrinks with
    the bracket; if it breaks there, the change stays. At most one break is found in each interval
    of 1/400 standard deviation.

    Parameters
    ----------
    function
        A map from a vector to a vector; values that are not finite are passed over.
    law
        The law of x.
    resolution
        What can be seen of the function.
    """

    def g(z: Any) -> Any:
        y = np.asarray(function((law.x_mean + law.x_std * z).ravel()), float).reshape(z.shape)
        return np.where(np.isfinite(y), y, np.nan)

    # An irrational offset keeps round numbers off the grid.
    edges = np.linspace(-REACH, REACH, _INTERVALS + 1) + math.pi * 1e-5
    with np.errstate(all="ignore"):
        at_edges = g(edges)
        weights = np.where(np.isnan(at_edges), 0.0, np.exp(-0.5 * edges**2))
        if not weights.any():
            return Breaks()
        finite = np.nan_to_num(at_edges)
        mean = np.average(finite, weights=weights)
        spread = math.sqrt(np.average((finite - mean) ** 2, weights=weights))
        least = np.maximum(spread, np.abs(at_edges[:-1])) * resolution.least_jump
        found = _jumps(g, edges, at_edges, least, max(_JUMP_WIDTH, 64 * _rounding(law)))
        jumps = _neighbours(function, _merged(found), law)
        smooth, sharp = _bends(g, edges, spread, law, resolution)
        jumps += _apart([_peak(function, *ends, law) for ends in _merged(sharp)], jumps, law)
        bends = [_simplest(low, high, law) for low, high in _merged(smooth)]
    return Breaks(tuple(jumps), tuple(_apart(bends, jumps, law)))


def _apart(places: list[float], known: list[float], law: Law) -> list[float]:
    return [p for p in places if all(abs(p - k) > _MERGED * law.x_std for k in known)]


def _jumps(
    g: Callable[[Any], Any], edges: Any, at_edges: Any, least: Any, width: float
) -> list[tuple[float, float]]:
    low, high, at_low, at_high = edges[:-1], edges[1:], at_edges[:-1], at_edges[1:]
    halvings = math.floor(math.log2((edges[1] - edges[0]) / width))
    before = np.full(low.shape, np.inf)
    for left_over in range(halvings, 0, -1):
        if left_over == 10:
            before = np.abs(at_high - at_low)
        middle = (low + high) / 2
        at_middle = g(middle)
        left = np.abs(at_middle - at_low) > np.abs(at_high - at_middle)
        high, at_high = np.where(left, middle, high), np.where(left, at_middle, at_high)
        low, at_low = np.where(left, low, middle), np.where(left, at_low, at_middle)
    change = np.abs(at_high - at_low)
    least = np.maximum(least, _NOISE_FACTOR * _typical(change))
    found = (change > least) & (change > 0.25 * before) & (halvings > 10)
    return list(zip(low[found].tolist(), high[found].tolist(), strict=True))


def _neighbours(
    function: Callable[[Any], Any], brackets: list[tuple[float, float]], law: Law
) -> list[float]:
    """Bisect brackets, in standard deviations, to neighbouring numbers x; return the simpler ones.

    A rounded place would cost an expectation the jump times the density times the rounding.
    """
    if not brackets:
        return []
    low, high = law.x_mean + law.x_std * np.array(brackets).T
    at_low, at_high = (np.asarray(function(x), float) for x in (low, high))
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        at_middle = np.asarray(function(middle), float)
        left = np.abs(at_middle - at_low) > np.abs(at_high - at_middle)
        high, at_high = np.where(left, middle, high), np.where(left, at_middle, at_high)
        low, at_low = np.where(left, low, middle), np.where(left, at_low, at_middle)
    return [_shortest(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)]


def _shortest(*ascending: float) -> float:
    """Return the number of the fewest digits; 0 where that lies between."""
    if ascending[0] <= 0 <= ascending[-1]:
        return 0.0
    return min(ascending, key=lambda x: len(repr(x)))


def _peak(function: Callable[[Any], Any], low: float, high: float, law: Law) -> float:
    """Return the number in a bracket, in standard deviations, at which a function bends most."""
    low, high = law.x_mean + law.x_std * low, law.x_mean + law.x_std * high
    whole = True
    while whole and high - low > _LEAST_BRACKET * law.x_std:
        x = np.unique(np.linspace(low, high, _PIECES + 1))
        bent = np.abs(np.diff(np.asarray(function(x), float), 2))
        bent = np.where(np.isfinite(bent), bent, np.inf)
        most = np.flatnonzero(bent == np.max(bent))
        at, whole = 1 + int(most[most.size // 2]), x.size > _PIECES
        low, middle, high = (float(v) for v in x[at - 1 : at + 2])
    return _shortest(low, middle, high)


def _bends(
    g: Callable[[Any], Any], edges: Any, spread: float, law: Law, resolution: Resolution
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return the brackets of bends, and apart from them those of poles."""
    # Windows of two intervals, one from each edge: a place near the end of one is inside another.
    low, size = edges[:-2], float(edges[2] - edges[0])
    width = bend_width(law, resolution)
    coarse = max(resolution.coarse, width)
    values = g(low + size * np.arange(5)[:, None] / 4)
    low, values, size = _narrowed(g, low, values, size, coarse)
    before = _slope_change(values, size)
    scale = np.maximum(spread, np.abs(values[2]))
    least = np.maximum(resolution.least_bend * scale, _NOISE_FACTOR * _typical(before))
    steep = before > least
    if width >= coarse or not steep.any():
        return [], []
    low, values, fine = _narrowed(g, low[steep], values[:, steep], size, width)
    # Sharper than |x|^¼: of a bend the change stays, of a pole it grows faster than 1/size.
    shrunk, size = size / fine, fine
    change = _slope_change(values, size)
    # Where a function is steep, rounding x makes its slope seem to bend.
    noise = _NOISE_FACTOR * np.abs(values[4] - values[0]) / size * _rounding(law) / size
    found = (change > np.maximum(least[steep], noise)) & (change > 0.25 * before[steep])
    sharp = found & (change > shrunk**0.75 * before[steep]) & (shrunk > _ENOUGH)
    smooth, sharp = (
        [(z, z + size) for z in low[which].tolist()] for which in (found & ~sharp, sharp)
    )
    return smooth, sharp


def _narrowed(
    g: Callable[[Any], Any], low: Any, values: Any, size: float, width: float
) -> tuple[Any, Any, float]:
    """Halve windows, given at five points each, towards the largest change of the slope."""
    while size > width:
        bent = np.abs(values[:-2] - 2 * values[1:-1] + values[2:])
        best = np.argmax(np.nan_to_num(bent), axis=0)
        kept = np.take_along_axis(values, best + np.arange(3)[:, None], axis=0)
        low, size = low + size * best / 4, size / 2
        new = g(low + size * np.array([[0.25], [0.75]]))
        values = np.stack([kept[0], new[0], kept[1], new[1], kept[2]])
    return low, values, size


def _slope_change(values: Any, size: float) -> Any:
    return np.abs(values[0] - 2 * values[2] + values[4]) / (size / 2)


def _typical(change: Any) -> float:
    return float(np.median(np.nan_to_num(change)))


def _merged(brackets: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return brackets in order, and only one of those that neighbours found in common."""
    found: list[tuple[float, float]] = []
    for low, high in sorted(brackets):
        if not found or low - found[-1][1] > _MERGED:
            found.append((low, high))
    return found


def _simplest(low: float, high: float, law: Law) -> float:
    """Return the decimal number of fewest digits in a bracket, in units of x."""
    # Half a bracket more on each side: a break on its edge is a round number more often than not.
    middle, half = law.x_mean + law.x_std * (low + high) / 2, law.x_std * (high - low)
    decimals = (float(f"{middle:.{digits}e}") for digits in range(17))
    return next((d for d in (0.0, *decimals) if abs(d - middle) <= half), middle)

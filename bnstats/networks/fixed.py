"""What holds at a fixed point of the length map."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from bnstats.layers import Known
from bnstats.networks.maps import WideLayer, through
from bnstats.statistics.roots import Bracket, bracket, sign

Attracts = Literal["stable", "unstable", "half-stable", "marginal"]

ONE = Known(1.0, 0.0, "constant")
_BESIDE = 1.02  # the factor between a fixed point and where its pull is looked at
_LEAST_GAP = 2.0**-30  # of c below 1


def over(zero: Bracket, function: Callable[[float], Known]) -> Known:
    """Return a function at a zero, its error that of the zero included."""
    value = function(zero.value)
    ends = [function(q) for q in {zero.low, zero.high} - {zero.value}]
    error = max([value.error, *(abs(e.value - value.value) + e.error for e in ends)])
    return Known(value.value, error, value.by)


def pull(layer: WideLayer, zero: Bracket, slope: Known) -> Attracts:
    """Tell whether lengths return, where the slope leaves it open by a look at both sides."""
    if abs(slope.value) + slope.error < 1:
        return "stable"
    if abs(slope.value) - slope.error > 1:
        return "unstable"
    beside = ((1, zero.low / _BESIDE), (-1, zero.high * _BESIDE if zero.high else 1e-6))
    sides = {toward * sign(layer.length(q) - Known(q)) for toward, q in beside if q > 0}
    if 0 in sides:
        return "marginal"
    if len(sides) == 2:
        return "half-stable"
    return "stable" if 1 in sides else "unstable"


def correlation(
    along: Callable[[float], WideLayer], zero: Bracket, chi: Known, why: dict[str, str]
) -> dict[str, Known]:
    """Return c* and the slope there.

    The map is convex on [0, 1], its power series having no negative term, and c = 1 is always
    fixed: so it is the only one where χ₁ ≤ 1, and where χ₁ > 1 there is one more, which is stable.
    """
    both = ("c", "c_slope")
    if zero.value == 0:
        why |= dict.fromkeys(both, "at q = 0 no signal is left to correlate")
        return {}
    excess = sign(chi - ONE)
    if excess == 0 and sign(along(zero.value).correlation(zero.value, 0.5) - Known(0.5)) == 0:
        why["c"] = "every c is kept"
        return {"c_slope": ONE}
    if excess <= 0:
        return {"c": ONE, "c_slope": chi}
    found = dict[float, Bracket]()
    for q in dict.fromkeys((zero.value, zero.low, zero.high)):
        one = _fixed_correlation(along(q), q)
        if one is None:
            why |= dict.fromkeys(both, "closer to 1 than can be told")
            return {}
        found[q] = one
    c = found[zero.value].value
    error = max(abs(end - c) for one in found.values() for end in (one.low, one.high))
    slope = over(zero, lambda q: over(found[q], partial(along(q).correlation_slope, q)))
    return {"c": Known(c, error, "quadrature"), "c_slope": slope}


def _fixed_correlation(layer: WideLayer, q: float) -> Bracket | None:
    """Return the fixed point below 1 of the correlation map of a layer whose χ₁ is above 1."""

    def rise(c: float) -> Known:
        return layer.correlation(q, c) - Known(c)

    gap = 0.25
    while sign(rise(1 - gap)) >= 0:
        gap /= 2
        if gap < _LEAST_GAP:
            return None
    if sign(rise(0.0)) > 0:
        return bracket(rise, 0.0, 1 - gap)
    high = 2.0**-52
    while sign(rise(high)) >= 0:
        high *= 4
    return Bracket(0.0, 0.0, high)


def depths(numbers: Mapping[str, Known], why: dict[str, str]) -> dict[str, Known]:
    """Return the depth scales, 1/|ln| of the slopes; a slope that may be 1 has none."""
    found = {}
    for name, slope in (("xi_q", "stability"), ("xi_c", "c_slope"), ("xi_dx", "chi")):
        if slope not in numbers:
            why[name] = why.get("c", "")
            continue
        factor = numbers[slope]
        if abs(abs(factor.value) - 1) <= factor.error:
            why[name] = "infinite: no exponential change"
            continue
        size = Known(abs(factor.value), factor.error)
        if size.value < size.error:  # 0 is not excluded, nor is a change at once
            half = (size.value + size.error) / 2
            size = Known(half, half)
        found[name] = through(lambda x: 1 / abs(math.log(x)) if x else 0.0, size)
    return found

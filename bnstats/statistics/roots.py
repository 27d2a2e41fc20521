"""Where a function that is known up to bounds on its errors is zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from bnstats.layers import Known

Function = Callable[[float], Known]
_LEAST_STEP = 2.0**-52  # relative, by which a bracket is first widened


class Bracket(NamedTuple):
    """A zero, and two points that it lies between."""

    low: float
    value: float
    high: float


class Scan(NamedTuple):
    """The zeros of a function in order, and of what sign it is surely on the points looked at."""

    zeros: tuple[Bracket, ...]
    signs: tuple[int, ...]


def sign(known: Known) -> int:
    """Return the sign that a number surely has; 0 where its error leaves none, or it is none."""
    if not math.isfinite(known.value + known.error) or abs(known.value) <= known.error:
        return 0
    return 1 if known.value > 0 else -1


def scan(function: Function, points: Sequence[float]) -> Scan:
    """Look for zeros between positive points, in ascending order.

    They are those where the sign changes from point to point, and those near a point that is surely
    closer to zero than its neighbours of the same sign: there the function may touch zero, or
    change its sign twice between two points.
    """
    values = [function(p) for p in points]
    signs = tuple(map(sign, values))
    sure = [i for i, s in enumerate(signs) if s]
    zeros = [
        bracket(function, points[i], points[j])
        for i, j in pairwise(sure)
        if signs[i] != signs[j] and not any(math.isnan(values[k].value) for k in range(i, j))
    ]
    for i, j, k in zip(sure, sure[1:], sure[2:], strict=False):
        least = min(abs(values[n].value) - values[n].error for n in (i, k))
        if signs[i] == signs[j] == signs[k] and abs(values[j].value) + values[j].error < least:
            zeros += _touching(function, points[i], points[k], signs[j])
    return Scan(tuple(sorted(zeros)), signs)


def bracket(function: Function, low: float, high: float) -> Bracket:
    """Return the zero between two points at which the function surely has opposite signs."""
    from scipy import optimize  # slow for the many that seek no zero

    found = optimize.brentq(
        lambda x: function(x).value, low, high, xtol=_LEAST_STEP * low or 1e-300, rtol=1e-15
    )
    return _widened(function, float(found), low, high, sign(function(low)), sign(function(high)))


def _touching(function: Function, low: float, high: float, side: int) -> list[Bracket]:
    from scipy import optimize

    found = optimize.minimize_scalar(
        lambda t: side * function(math.exp(t)).value,
        bounds=(math.log(low), math.log(high)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    at = math.exp(found.x)
    there = sign(function(at))
    if there == -side:
        return [bracket(function, low, at), bracket(function, at, high)]
    return [] if there else [_widened(function, at, low, high, side, side)]


def _widened(
    function: Function, at: float, low: float, high: float, left: int, right: int
) -> Bracket:
    """Widen a zero until the function surely has the signs that it has on either side."""
    ends = []
    for limit, wanted in ((low, left), (high, right)):
        step = math.copysign(_LEAST_STEP * abs(at) or _LEAST_STEP, limit - at)
        while abs(step) < abs(limit - at) and sign(function(at + step)) != wanted:
            step *= 4
        ends.append(at + step if abs(step) < abs(limit - at) else limit)
    return Bracket(ends[0], at, ends[1])

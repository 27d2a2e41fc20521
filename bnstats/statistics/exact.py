"""Exact values, by closed form or by quadrature, each with a bound on its error."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.errors import kind_of
from bnstats.layers import UNKNOWN, BoundLayer, ExactMoments, Known, Law, MomentError
from bnstats.statistics.quantities import QUANTITIES, Quantity

_NODES = 16
# In standard deviations of x. The normal density is 1e-43 at the first and nearly underflows at the
# second, which an integrand that grows like an exponential, or begins out there, may need.
_NEAR, _FAR = 14.0, 38.0
_LEAST = sys.float_info.min  # more than the probability of all x beyond the second
_UNDERFLOW = 2.0**-1074  # the most by which a product that underflows is wrong
_PANELS = (64, 128, 256, 512, 1024, 2048)
_STEPS = (*_PANELS, 4096, 8192)
_DISTANCES = tuple(4.0**k for k in range(-14, 25))  # in units of x
_TOLERANCE = 1e-14
# Relative rounding of a formula's value and of the sum; the panels' own difference comes on top.
_ROUNDING = 64 * 2.0**-53


@dataclass(frozen=True)
class Exact:
    """A quantity that is known without sampling.

    Attributes
    ----------
    value
        The number, in the units of y or dx (Var: squared; gains: reciprocal).
    error
        A bound on its absolute error, in the same units.
    by
        How it is known: ``closed form``, ``quadrature``, ``order statistics``, ``symmetry``,
        ``constant`` if the mean over the event's positions is the same in every draw, or
        ``finite differences`` for a quadrature of these.
    asymptotic_std
        √n times the standard error of the estimate from n independent draws, for large n, in the
        units of ``value``; computed from exact fourth moments, None if these are unknown.
    """

    value: float
    error: float
    by: str
    asymptotic_std: float | None = None

    def stderr(self, draws: float) -> float | None:
        """Return the standard error of an estimate from so many independent draws, if known."""
        return None if self.asymptotic_std is None else self.asymptotic_std / math.sqrt(draws)


def exact_values(bound: BoundLayer, law: Law) -> dict[str, Exact]:
    """Return the quantities of a layer that are known exactly under a law of its inputs.

    Moments that are infinite or beyond float64's range are left out.

    Raises
    ------
    MomentError
        The layer states moments that bnstats does not know.
    """
    try:
        with np.errstate(all="ignore"):
            stated = bound.moments(law, Expectation(law))
    except ArithmeticError:  # beyond float64's range
        stated = ExactMoments()
    if not isinstance(stated, ExactMoments):
        hint = "return ExactMoments(mean_y=Known(0.0))"
        raise MomentError(f"moments returned {kind_of(stated)}", hint=hint)
    known = {"y": _of_y(stated), "dx": _of_dx(stated)}
    found = ((name, _quantity(q, known[q.direction])) for name, q in QUANTITIES.items())
    return {name: value for name, value in found if value is not None}


class _Moments(NamedTuple):
    """Moments of one direction; those that are not finite are unknown."""

    mean: Known
    var: Known
    ms: Known
    m3: Known
    m4: Known
    var_ms: Known


def _of_y(stated: ExactMoments) -> _Moments:
    mean, var, ms = stated.mean_y, stated.var_y, stated.ms_y
    if not ms.is_finite:
        ms = var + mean.squared()
    return _Moments(mean, var, ms, stated.m3_y, stated.m4_y, stated.var_ms_y)


def _of_dx(stated: ExactMoments) -> _Moments:
    # dx is linear in dy, which has mean zero and is independent of all else.
    mean = stated.mean_dx if stated.mean_dx.is_finite else Known(0.0, 0.0, "symmetry")
    return _Moments(mean, stated.ms_dx, stated.ms_dx, UNKNOWN, stated.m4_dx, stated.var_ms_dx)


def _quantity(q: Quantity, moments: _Moments) -> Exact | None:
    known: Known = getattr(moments, q.moment)
    if not known.is_finite:
        return None
    value = known.value
    error = known.error if value == 0 else max(known.error, _ROUNDING * abs(value))
    if q.moment != "mean" and value > 0 and error >= 0.5 * value:
        return None  # as of a moment that diverges
    std = _asymptotic_std(q, moments)
    if q.power == 1:
        return Exact(value, error, known.by, std)
    if value <= 0:
        return Exact(0.0, math.sqrt(error), known.by) if q.power > 0 else None
    root = value**q.power
    relative = error / value
    # For |power| ≤ 1 the relative error of the power is at most that of the moment, if small.
    return Exact(root, root * relative, known.by, std)


def _asymptotic_std(q: Quantity, moments: _Moments) -> float | None:
    """Return `Exact.asymptotic_std` by the delta method, to first order in 1/n.

    The variance of a sample variance is (E[(v − E[v])⁴] − Var[v]²)/n, that of a sample mean square
    (E[v⁴] − E[v²]²)/n (van der Vaart, Asymptotic Statistics, example 3.2).
    """
    mean, var, ms, m3, m4, var_ms = moments
    if q.moment != "mean" and ms.is_finite and var_ms.is_finite:
        if ms.value <= 0 or var_ms.error > 1e-3 * var_ms.value:
            return None
        return float(abs(q.power) * math.sqrt(var_ms.value) / ms.value * ms.value**q.power)
    if not (var.is_finite and m4.is_finite) or m4.error > 1e-3 * m4.value:
        return None
    if var.value <= 0 or m4.value < sys.float_info.min:  # or so small that it loses its digits
        return None
    if q.moment == "mean":
        return math.sqrt(var.value)
    second, fourth = var.value, m4.value
    if q.moment == "ms" and mean.value:
        if not m3.is_finite:
            return None
        square = mean.value * mean.value
        fourth += 4 * m3.value * mean.value + 6 * second * square + square * square
        second += square
    relative = math.sqrt(max(fourth / second / second - 1, 0.0))
    if not math.isfinite(relative):
        return None
    return float(abs(q.power) * relative * second**q.power)


@lru_cache(maxsize=4)
def _gauss_legendre(nodes: int) -> tuple[Any, Any]:
    return np.polynomial.legendre.leggauss(nodes)


@dataclass(frozen=True)
class Expectation:
    """Expectations under the law of x, and integrals, each with a bound on its error.

    E[g(X)] for X ~ N(x_mean, x_std²), or for the largest of several such X, is composite
    Gauss-Legendre on ±14 standard deviations, split at the breakpoints and, because a layer bends
    near them and near 0 on a scale of its own, at distances of powers of four from each. Panels are
    doubled until two successive results agree, and their difference bounds the error. A coarse rule
    bounds the part between 14 and 38 standard deviations; if that part is not negligible, or a
    breakpoint lies in it, it is integrated with the full rule. The tail beyond is bounded by the
    outermost half standard deviation of the integral, and by what the function is at breakpoints
    still farther out.
    """

    law: Law

    def __call__(
        self,
        function: Callable[[Any, Any], Any],
        *,
        breakpoints: Iterable[float] = (),
        maximum_of: int = 1,
        tolerance: float = _TOLERANCE,
    ) -> Known:
        """Return E[function(X)], X being the largest of ``maximum_of`` independent inputs."""
        law = self.law
        # Far from 0 the rounding of x itself is felt, by the tails of exponentials above all.
        rounding = _ROUNDING * (1 + abs(law.x_mean) * max(1.0, 1 / law.x_std))
        breakpoints = tuple(breakpoints)
        centres = {0.0, *breakpoints}
        splits = [c + d for c in centres for d in (0.0, *_DISTANCES, *(-d for d in _DISTANCES))]
        inside = (z for x in splits if abs(z := (x - law.x_mean) / law.x_std) < _FAR)
        ends = sorted({-_FAR, -_NEAR, _NEAR, _FAR, *inside})
        rule = partial(_composite, function, law, maximum_of)
        pieces = tuple(pairwise(ends))
        near = tuple((a, b) for a, b in pieces if max(-a, b) <= _NEAR)
        far = tuple((a, b) for a, b in pieces if max(-a, b) > _NEAR)
        value, size, tail, change = _converged(partial(rule, near), _PANELS, tolerance)
        # As large as what lies beyond may be, where the panels are too coarse to tell its value.
        beyond = max(tail, rule(far, _PANELS[0])[1])
        distances = [abs(point - law.x_mean) / law.x_std for point in breakpoints]
        if not beyond <= tolerance * size or any(_NEAR <= d < _FAR for d in distances):
            value, size, tail, change = _converged(partial(rule, pieces), _PANELS, tolerance)
            beyond = tail + _UNDERFLOW * len(pieces) * _NODES * _PANELS[-1]
        if outside := [k for k, d in zip(breakpoints, distances, strict=True) if d >= _FAR]:
            beyond += self._at_most(function, outside)
        by = "quadrature" if maximum_of == 1 else "order statistics"
        return Known(value, change + beyond + rounding * size, by)

    def _at_most(self, function: Callable[[Any, Any], Any], breakpoints: list[float]) -> float:
        """Bound what breakpoints add to an expectation where x is hardly ever."""
        law = self.law
        away = np.array([math.copysign(law.x_std, point - law.x_mean) for point in breakpoints])
        around = np.array(breakpoints)[:, None] + away[:, None] * np.linspace(-1, 1, 9)
        return _LEAST * max(1.0, float(np.max(np.abs(function(numpy_backend, around)))))

    def integral(self, function: Callable[[Any, Any], Any], low: float, high: float) -> Known:
        """Return ∫ function(t) dt by the trapezoid rule, for a function that vanishes at both ends.

        Steps are halved until two successive results agree (Trefethen and Weideman 2014: for an
        analytic function the error falls geometrically). The outermost 1/56 of the range on each
        side stands in for the tail that was cut off.
        """
        rule = partial(_trapezoid, function, low, high)
        value, size, tail, change = _converged(rule, _STEPS, _TOLERANCE)
        return Known(value, change + tail + _ROUNDING * size, "quadrature")


def _converged(
    rule: Callable[[int], tuple[float, float, float]], refinements: Iterable[int], tolerance: float
) -> tuple[float, float, float, float]:
    """Refine a rule until it settles: its value, absolute size, tails' size and last change."""
    previous = math.nan
    for parts in refinements:
        value, size, tail = rule(parts)
        change = abs(value - previous)
        if change <= tolerance * size:
            break
        previous = value
    return value, size, tail, change


def _trapezoid(
    function: Callable[[Any, Any], Any], low: float, high: float, steps: int
) -> tuple[float, float, float]:
    terms = function(numpy_backend, np.linspace(low, high, steps + 1)) * ((high - low) / steps)
    edge = steps // 56 + 1
    outer = np.sum(np.abs(terms[:edge])) + np.sum(np.abs(terms[-edge:]))
    return math.fsum(terms), float(np.sum(np.abs(terms))), float(outer)


def _composite(
    function: Callable[[Any, Any], Any],
    law: Law,
    maximum_of: int,
    pieces: tuple[tuple[float, float], ...],
    panels: int,
) -> tuple[float, float, float]:
    """Return the integral, that of the absolute value, and the outer edge's share of it."""
    grid = _grid(maximum_of, pieces, panels)
    y = function(numpy_backend, law.x_mean + law.x_std * grid.z)
    terms = y * grid.density * grid.half * grid.weights
    outer = np.sum(np.abs(terms[grid.outer]))
    size = float(np.sum(np.abs(terms)))
    # fsum over all terms, whose sizes differ by 1e300, would take 20 times as long as over panels.
    value = math.fsum(np.sum(terms, axis=1)) if math.isfinite(size) else math.nan
    return value, size, float(outer)


class _Grid(NamedTuple):
    """Nodes of a composite rule, panels by nodes, what each weighs, and which panels are outer."""

    z: Any
    density: Any
    half: Any
    weights: Any
    outer: Any


@lru_cache(maxsize=8)  # a layer's moments, of which each takes three, share them
def _grid(maximum_of: int, pieces: tuple[tuple[float, float], ...], panels: int) -> _Grid:
    """Return the grid for the standard normal law, or for the largest of several such inputs.

    As many panels as are asked for lie within ±14 standard deviations, and as densely beyond.
    """
    nodes, weights = _gauss_legendre(_NODES)
    reach = pieces[-1][1]
    edges = [
        np.linspace(a, b, max(round(panels * (b - a) / (2 * _NEAR)), panels // 64) + 1)
        for a, b in pieces
    ]
    low = np.concatenate([e[:-1] for e in edges])[:, None]
    half = np.concatenate([np.diff(e) for e in edges])[:, None] / 2
    z = low + half * (nodes + 1)
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    if maximum_of > 1:
        # High powers of a distribution function near 1 need the digits of its distance from 1.
        tail = 0.5 * numpy_backend.erfc(np.abs(z) * math.sqrt(0.5))
        with np.errstate(divide="ignore"):  # the tail underflows
            log_cdf = np.where(z < 0, np.log(tail), np.log1p(-tail))
        density = density * maximum_of * np.exp((maximum_of - 1) * log_cdf)
    outer = np.abs(low[:, 0] + half[:, 0]) > reach - 0.5
    return _Grid(z, density, half, weights, outer)

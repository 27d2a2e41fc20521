"""Expectations under a normal law by quadrature, each with a bound on its error."""

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
from bnstats.layers import Known, Law

# Relative rounding of a formula's value and of the sum; the panels' own difference comes on top.
ROUNDING = 64 * 2.0**-53

_NODES = 16
# In standard deviations of x. The normal density is 1e-43 at the first and nearly underflows at the
# second, which an integrand that grows like an exponential, or begins out there, may need.
_NEAR, _FAR = 14.0, 38.0
_LEAST = sys.float_info.min  # more than the probability of all x beyond the second
_UNDERFLOW = 2.0**-1074  # the most by which a product that underflows is wrong
_PANELS = (64, 128, 256, 512, 1024, 2048)
_STEPS = (*_PANELS, 4096, 8192)
_DISTANCES = tuple(4.0**k for k in range(-14, 25))  # in units of x
_COARSE = 4096.0  # in units of x; numbers beyond are too coarse for the least of these distances
_GRADED = 16  # breakpoints that have splits around them, at most
_TOLERANCE = 1e-14

# Rules that do not settle: where each change is at least this share of the one before, their limit
# cannot be told, or there is none.
_SLOWEST, _SAFETY = 0.9, 2.0
# Changes below this share of all are no singularity's, whose last ones are larger by far; they come
# from small faults of the function, as of differences beside a breakpoint.
_SMALL, _MOST_SMALL = 1e-6, 100.0
# The integral of the absolute value must settle to the first share, or be on its way there, and
# to the second one at least, or there is no expectation.
_SETTLED, _HARDLY_SETTLED = 1e-3, 0.02
# A singularity makes at least this share of all that is unresolved in the panels next to it; steps
# everywhere, or noise, do not.
_PEAKED = 0.05
# A step inside a panel, in units of its last two Legendre coefficients, leaves this error.
_STEP_ERROR = 0.5


@dataclass(frozen=True)
class Expectation:
    """Expectations under the law of x, and integrals, each with a bound on its error.

    E[g(X)] for X ~ N(x_mean, x_std²), or for the largest of several such X, is composite
    Gauss-Legendre on ±14 standard deviations, split at the breakpoints and, because a layer bends
    near them and near 0 on a scale of its own, at distances of powers of four from each. Panels are
    doubled until two successive results agree, and their difference bounds the error; where they do
    not, the ratio of the last changes tells what is missing to the limit, see `_remainder`. A
    coarse rule bounds the part between 14 and 38 standard deviations; if that part is not
    negligible, or a breakpoint lies in it, it is integrated with the full rule. The tail beyond is
    bounded by the outermost half standard deviation of the integral, and by what the function is at
    breakpoints still farther out.
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
        """Return E[function(X)], X being the largest of ``maximum_of`` independent inputs.

        The error is infinite where no bound is known: the expectation may not exist.
        """
        law = self.law
        # Far from 0 the rounding of x itself is felt, by the tails of exponentials above all.
        farness = 1 + abs(law.x_mean) * max(1.0, 1 / law.x_std)
        noise = ROUNDING * farness
        breakpoints = tuple(breakpoints)
        pieces = _pieces(law, breakpoints)
        near = tuple(p for p in pieces if abs(p.low + p.width / 2) < _NEAR)
        far = tuple(p for p in pieces if abs(p.low + p.width / 2) >= _NEAR)
        rule = partial(_composite, function, law, maximum_of)
        found, missing = _converged(partial(rule, near), _PANELS, tolerance, noise)
        # As large as what lies beyond may be, where the panels are too coarse to tell its value. It
        # comes first, as the larger of a number and a NaN is whichever that is.
        beyond = max(rule(far, _PANELS[0]).size, found.tail)
        distances = [abs(point - law.x_mean) / law.x_std for point in breakpoints]
        if not beyond <= tolerance * found.size or any(_NEAR <= d < _FAR for d in distances):
            found, missing = _converged(partial(rule, pieces), _PANELS, tolerance, noise)
            beyond = found.tail
        beyond += _UNDERFLOW * len(pieces) * _NODES * _PANELS[-1]
        if outside := [k for k, d in zip(breakpoints, distances, strict=True) if d >= _FAR]:
            beyond += self._at_most(function, outside)
        if self._has_pole(function, breakpoints):
            missing = math.inf
        by = "quadrature" if maximum_of == 1 else "order statistics"
        error = missing + beyond + noise * found.size + farness * found.rounding
        return Known(found.value, error, by)

    def _has_pole(self, function: Callable[[Any, Any], Any], breakpoints: Iterable[float]) -> bool:
        """Tell whether a function grows as 1/|x − c| or faster towards a breakpoint c.

        It has no expectation then, although panels on both sides may cancel, or be too small
        beside all others to be seen in their sum.
        """
        law = self.law
        places = [c for c in {0.0, *breakpoints} if abs(c - law.x_mean) < _FAR * law.x_std]
        if not places:
            return False
        near = np.array(places)[:, None, None, None]
        # Sums of |f|·|x − c| over factors of four, in proportion to the integrals. Axes are the
        # breakpoint, the side, the factor and the point.
        apart = np.outer(_DISTANCES[:3], 4.0 ** np.linspace(0.0, 0.75, 4))
        apart = np.array([apart, -apart]) * np.maximum(1.0, np.abs(near) / _COARSE)
        with np.errstate(all="ignore"):
            y = function(numpy_backend, (near + apart).ravel()).reshape(apart.shape)
            size = np.sum(np.abs(y * apart), axis=-1)
            grows = (size[..., :-1] >= _SLOWEST * size[..., 1:]) & (size[..., :-1] > 0)
        return bool(np.any(np.all(grows, axis=-1)))

    def _at_most(self, function: Callable[[Any, Any], Any], breakpoints: list[float]) -> float:
        """Bound what breakpoints add to an expectation where x is hardly ever."""
        around = np.array(breakpoints)[:, None] + self.law.x_std * np.linspace(-1, 1, 9)
        return _LEAST * max(1.0, float(np.max(np.abs(function(numpy_backend, around)))))

    def integral(self, function: Callable[[Any, Any], Any], low: float, high: float) -> Known:
        """Return ∫ function(t) dt by the trapezoid rule, for a function that vanishes at both ends.

        Steps are halved until two successive results agree (Trefethen and Weideman 2014: for an
        analytic function the error falls geometrically). The outermost 1/56 of the range on each
        side stands in for the tail that was cut off.
        """
        rule = partial(_trapezoid, function, low, high)
        found, missing = _converged(rule, _STEPS, _TOLERANCE, ROUNDING)
        return Known(found.value, missing + found.tail + ROUNDING * found.size, "quadrature")


class _Sum(NamedTuple):
    """A rule's result.

    Attributes
    ----------
    value, size, tail
        The integral, that of the absolute value, and the outer edge's share of it.
    rounding
        By how much the rounding of x far out adds to the error.
    unresolved, peaked
        The error of steps inside panels, added up, and whether few panels make it.
    """

    value: float
    size: float
    tail: float
    rounding: float = 0.0
    unresolved: float = 0.0
    peaked: bool = True


def _converged(
    rule: Callable[[int], _Sum], refinements: Iterable[int], tolerance: float, noise: float
) -> tuple[_Sum, float]:
    """Refine a rule until it settles; return its last result and a bound on what is missing."""
    found: list[_Sum] = []
    for parts in refinements:
        found.append(rule(parts))
        if _has_settled(found, tolerance):
            break
    return found[-1], _remainder(found, max(tolerance, noise))


def _has_settled(found: list[_Sum], tolerance: float) -> bool:
    if len(found) < 2:
        return False
    before, last = found[-2:]
    return (
        abs(last.value - before.value) <= tolerance * last.size
        and abs(last.size - before.size) <= max(_SETTLED, tolerance) * last.size
    )


def _remainder(found: list[_Sum], tolerance: float) -> float:
    """Bound the difference between the last result of a rule and its limit.

    The last change bounds it once it is negligible. Changes c that shrink by a ratio r, as they do
    at an algebraic singularity, leave c·r/(1 − r); where r is near 1, as for 1/|x|, there is no
    limit, or none that can be told. Changes of a rule that does not resolve the function, between
    many steps or in noise, are of any size: there each panel's own error counts.
    """
    last = found[-1]
    changes = [abs(b.value - a.value) for a, b in pairwise(found)]
    if _has_settled(found, tolerance):
        return changes[-1]
    if not last.size:  # finer panels underflow
        return max(s.size for s in found)
    if not all(map(math.isfinite, (last.value, last.size, *changes[-1:]))):
        return math.inf
    if not last.peaked and last.unresolved >= changes[-1]:
        return last.unresolved
    if max(changes[-1], abs(last.size - found[-2].size)) <= _SMALL * last.size:
        return max(_MOST_SMALL * changes[-1], last.unresolved)
    drift = abs(last.size - found[-2].size) / last.size
    ratio = _slowness([s.value for s in found])
    slow = max(ratio, _slowness([s.size for s in found])) >= _SLOWEST
    if drift > (_SETTLED if slow else _HARDLY_SETTLED) or ratio >= _SLOWEST:
        return math.inf
    return max(_SAFETY * changes[-1] * max(1.0, ratio / (1 - ratio)), last.unresolved)


def _slowness(values: list[float]) -> float:
    """Return the largest of the last three ratios of successive changes; infinite if not known."""
    changes = [abs(b - a) for a, b in pairwise(values)][-4:]
    ratios = [after / before if before else math.inf for before, after in pairwise(changes)]
    return max(ratios) if len(ratios) == 3 and all(r == r for r in ratios) else math.inf


def _trapezoid(function: Callable[[Any, Any], Any], low: float, high: float, steps: int) -> _Sum:
    terms = function(numpy_backend, np.linspace(low, high, steps + 1)) * ((high - low) / steps)
    edge = steps // 56 + 1
    outer = np.sum(np.abs(terms[:edge])) + np.sum(np.abs(terms[-edge:]))
    return _Sum(math.fsum(terms), float(np.sum(np.abs(terms))), float(outer))


class _Piece(NamedTuple):
    """Where a piece of the axis begins and how wide it is, in standard deviations of x."""

    low: float
    width: float


def _pieces(law: Law, breakpoints: tuple[float, ...]) -> tuple[_Piece, ...]:
    """Return the pieces into which breakpoints, and what is around them, split the axis.

    Widths are taken between x and x, which keeps all digits of a piece that is narrow.
    """
    nearest = sorted(breakpoints, key=lambda point: abs(point - law.x_mean))[:_GRADED]
    splits = {0.0, *breakpoints}
    splits |= {c + d for c in (0.0, *nearest) for k in _DISTANCES for d in (k, -k)}
    ends = {law.x_mean + law.x_std * z for z in (-_FAR, -_NEAR, _NEAR, _FAR)}
    ends |= {x for x in splits if abs(x - law.x_mean) < _FAR * law.x_std}
    return tuple(
        _Piece((a - law.x_mean) / law.x_std, (b - a) / law.x_std) for a, b in pairwise(sorted(ends))
    )


def _composite(
    function: Callable[[Any, Any], Any],
    law: Law,
    maximum_of: int,
    pieces: tuple[_Piece, ...],
    panels: int,
) -> _Sum:
    grid = _grid(maximum_of, pieces, panels)
    y = function(numpy_backend, law.x_mean + law.x_std * grid.z)
    density = y * grid.density
    terms = density * grid.half * grid.weights
    sizes = np.abs(terms)
    size = float(np.sum(sizes))
    # Panel by panel: of all terms, whose sizes differ by 1e300, fsum would take 20 times as long.
    value = math.fsum(np.sum(terms, axis=1)) if math.isfinite(size) else math.nan
    unresolved, peaked = 0.0, True
    if panels == _PANELS[-1]:
        bent = np.max(np.abs(density @ _last_coefficients()), axis=1) * grid.half[:, 0]
        unresolved, peak = 2 * _STEP_ERROR * float(np.sum(bent)), 2 * _STEP_ERROR * np.max(bent)
        peaked = not peak < _PEAKED * unresolved
    return _Sum(
        value,
        size,
        tail=float(np.sum(sizes[grid.outer])),
        rounding=float(np.sum(sizes[grid.rough] * grid.roughness)),
        unresolved=unresolved,
        peaked=peaked,
    )


@lru_cache(maxsize=4)
def _gauss_legendre(nodes: int) -> tuple[Any, Any]:
    return np.polynomial.legendre.leggauss(nodes)


@lru_cache(maxsize=1)
def _last_coefficients() -> Any:
    """Return what takes values at the nodes to the last two Legendre coefficients."""
    nodes, weights = _gauss_legendre(_NODES)
    degrees = np.arange(_NODES)
    values = np.polynomial.legendre.legvander(nodes, _NODES - 1)
    return (values * weights[:, None] * (degrees + 0.5))[:, -2:]


class _Grid(NamedTuple):
    """Nodes of a composite rule, panels by nodes, what each weighs, and which panels are outer.

    In the ``rough`` panels, far out, the rounding of x tells in the density: ``roughness``.
    """

    z: Any
    density: Any
    half: Any
    weights: Any
    outer: Any
    rough: Any
    roughness: Any


@lru_cache(maxsize=8)  # a layer's moments, of which each takes three, share them
def _grid(maximum_of: int, pieces: tuple[_Piece, ...], panels: int) -> _Grid:
    """Return the grid for the standard normal law, or for the largest of several such inputs.

    As many panels as are asked for lie within ±14 standard deviations, and as densely beyond.
    """
    nodes, weights = _gauss_legendre(_NODES)
    counts = [max(round(panels * p.width / (2 * _NEAR)), panels // 64) for p in pieces]
    steps = [p.width / count for p, count in zip(pieces, counts, strict=True)]
    starts = [
        p.low + step * np.arange(count)
        for p, step, count in zip(pieces, steps, counts, strict=True)
    ]
    low = np.concatenate(starts)[:, None]
    half = np.repeat(steps, counts)[:, None] / 2
    z = low + half * (nodes + 1)
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    if maximum_of > 1:
        # Of a distribution function near 1 a high power needs what is missing to 1.
        tail = 0.5 * numpy_backend.erfc(np.abs(z) * math.sqrt(0.5))
        with np.errstate(divide="ignore"):  # the tail underflows
            log_cdf = np.where(z < 0, np.log(tail), np.log1p(-tail))
        density = density * maximum_of * np.exp((maximum_of - 1) * log_cdf)
    middle = np.abs(low[:, 0] + half[:, 0])
    rough = middle > 5.0
    # What an error of 2 units in z makes of its density, beyond what all terms are allowed.
    roughness = 4 * z[rough] ** 2 * 2.0**-53 - ROUNDING  # above 0, as z is above 4
    return _Grid(
        z,
        density,
        half,
        weights,
        middle > pieces[-1].low + pieces[-1].width - 0.5,
        rough,
        roughness,
    )

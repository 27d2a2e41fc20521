"""Fixed points of wide networks, and the edge of chaos (Schoenholz et al. 2017, arXiv:1611.01232).

At a fixed point q* of the length map every depth keeps E[z²]. There χ₁ tells whether gradients and
differences between inputs shrink (below 1, order) or grow (above, chaos); at the edge it is 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from bnstats.api import checked_spec
from bnstats.errors import ArgumentError, printable
from bnstats.layers import Known
from bnstats.networks.fixed import ONE, Attracts, correlation, depths, over, pull
from bnstats.networks.maps import Activation, WideLayer, through
from bnstats.specs.spec import Spec
from bnstats.statistics.exact import Exact
from bnstats.statistics.roots import Bracket, scan, sign

NUMBERS: Mapping[str, str] = {
    "weight_std": "σ_w",
    "bias_std": "σ_b",
    "q": "q*",
    "stability": "dq′/dq",
    "chi": "χ₁",
    "c": "c*",
    "c_slope": "dc′/dc",
    "xi_q": "ξ_q",
    "xi_c": "ξ_c",
    "xi_dx": "ξ_dx",
}

_LEAST_Q, _MOST_Q, _PER_DECADE = 1e-8, 1e8, 4
_SCALES = (1e-12, 1e6)  # between which a standard deviation lies that is not 0


@dataclass(frozen=True)
class Critical:
    """A fixed point of a wide network, or the reason why there is none.

    Attributes
    ----------
    spec
        The activation.
    edge
        Whether the edge of chaos was sought, and not the fixed points of given scales.
    weight_std, bias_std
        Scales σ_w, σ_b of W ~ N(0, σ_w²/n) and b ~ N(0, σ_b²).
    q
        E[z²] of an input, which the length map keeps.
    stability
        Slope of the length map at q: below 1 in size, scales that are off return.
    chi
        χ₁, the growth of the gradient's variance per layer, and the slope of the correlation map
        at c = 1.
    c, c_slope
        Correlation of two inputs that deep layers tend to, and the map's slope there.
    xi_q, xi_c, xi_dx
        Layers over which a difference of q, a difference of c and the gradient's variance change
        by a factor of e.
    attracts
        Whether the length map returns to q from both sides, from none, from one side only, or
        keeps whatever it gets; None where there is no fixed point.
    why
        Why a number is None, by its name; all together under ``q`` where there is no fixed point.
    others
        Further fixed points; this one is stable if any is, and of those the one nearest to q = 1.
    """

    spec: Spec
    edge: bool
    weight_std: Exact | None = None
    bias_std: Exact | None = None
    q: Exact | None = None
    stability: Exact | None = None
    chi: Exact | None = None
    c: Exact | None = None
    c_slope: Exact | None = None
    xi_q: Exact | None = None
    xi_c: Exact | None = None
    xi_dx: Exact | None = None
    attracts: Attracts | None = None
    why: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Critical, ...] = ()

    @property
    def layer(self) -> str:
        """The canonical spec of the activation."""
        return self.spec.text


def critical(
    spec: str | Spec, *, weight_std: float | None = None, bias_std: float | None = None
) -> Critical:
    """Return the edge of chaos of an activation, or the fixed points of given scales.

    Parameters
    ----------
    spec
        An elementwise layer, e.g. ``"tanh"``.
    weight_std
        σ_w. Alone, the edge is sought at this σ_w; with ``bias_std``, that network's fixed points.
    bias_std
        σ_b at which the edge is sought; 0 if neither is given.

    Raises
    ------
    BnstatsError
        An unknown layer, one that is not elementwise or that jumps, or a scale out of range.

    Examples
    --------
    >>> edge = critical("tanh", bias_std=0.2)
    >>> round(edge.weight_std.value, 6), round(edge.q.value, 6)
    (1.304146, 0.512079)
    """
    f = Activation(checked_spec(spec))
    if weight_std is None and bias_std is None:
        bias_std = 0.0
    _check_scale("weight_std", weight_std, least=_SCALES[0])
    _check_scale("bias_std", bias_std, least=0.0)
    problem = _Problem(f, weight_std, bias_std)
    points = sorted(problem.points(), key=_order)
    if not points:
        return Critical(f.spec, problem.on_edge, why={"q": problem.why_none()})
    return replace(points[0], others=tuple(points[1:]))


def _check_scale(name: str, value: float | None, least: float) -> None:
    if value is None:
        return
    low, high = _SCALES
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (least <= value <= high) or 0 < value < low:
        zero = "" if least else "0 or "
        raise ArgumentError(
            f"{name} {printable(str(value), 60)} is not {zero}between {low:g} and {high:g}",
            hint="a standard deviation; σ_w is that of the weights times √fan_in",
        )


def _order(point: Critical) -> tuple[bool, float]:
    q = point.q.value if point.q else 1.0
    return point.attracts != "stable", abs(math.log(q)) if q else math.inf


@dataclass(frozen=True)
class _Problem:
    """What is sought: a q at which `at` is zero, the scales being given or following from q."""

    f: Activation
    weight_std: float | None
    bias_std: float | None

    @property
    def on_edge(self) -> bool:
        """Whether one scale is sought, such that χ₁ is 1."""
        return self.weight_std is None or self.bias_std is None

    def at(self, q: float) -> Known:
        """Return, over q, how far q is from what is sought; an error too large for its range."""
        w, b = self.weight_std, self.bias_std
        if w is None and b is not None:  # the next q, χ₁ being 1
            slope = self.f.slope_square(q)
            if slope.value <= slope.error:
                return Known(math.nan)
            return through(lambda v, d: (v / d + b * b) / q - 1, self.f.square(q), slope)
        w = w or 0.0
        if b is None:  # χ₁ = 1
            return through(lambda d: w * w * d - 1, self.f.slope_square(q))
        return through(lambda v: (w * w * v + b * b) / q - 1, self.f.square(q))

    def scales(self, q: float) -> tuple[Known, Known] | None:
        """Return σ_w and σ_b at a q that is a fixed point; None where σ_b² were negative."""
        w, b = self.weight_std, self.bias_std
        if w is None:
            slope = self.f.slope_square(q)
            if slope.value <= slope.error:
                return None
            return through(lambda d: d**-0.5, slope), Known(float(b or 0))
        if b is None:
            square = through(lambda v: q - w * w * v, self.f.square(q))
            if square.value < -(square.error + 2.0**-50 * q):
                return None
            return Known(float(w)), through(lambda s: math.sqrt(max(s, 0.0)), square)
        return Known(float(w)), Known(float(b))

    def grid(self) -> list[float]:
        least = min(max(self.bias_std**2, 1e-24), _LEAST_Q) if self.bias_std else _LEAST_Q
        most = max(_MOST_Q, _MOST_Q * (self.bias_std or 0) ** 2)
        steps = round(math.log10(most / least) * _PER_DECADE)
        return [float(q) for q in np.geomspace(least, most, steps + 1)]

    def points(self) -> Iterator[Critical]:
        at, grid = self.at, self.grid()
        found = scan(at, grid)
        if not any(found.signs):
            if all(math.isfinite(at(q).value) for q in grid):
                yield from self._point(Bracket(1.0, 1.0, 1.0), every=True)
            return
        if self._is_fixed_at_zero():
            yield from self._point(Bracket(0.0, 0.0, 0.0))
        for zero in found.zeros:
            yield from self._point(zero)

    def _is_fixed_at_zero(self) -> bool:
        """Whether no signal at all is a solution."""
        slope, w = self.f.slope_square(0.0).value, self.weight_std
        if self.bias_std or self.f.square(0.0).value or not math.isfinite(slope):
            return False
        if self.bias_std is None and w is not None:
            return abs(w * w * slope - 1) <= 2.0**-50
        return not self.on_edge or slope > 0

    def _point(self, zero: Bracket, *, every: bool = False) -> Iterator[Critical]:
        scales = self.scales(zero.value)
        if scales is None:
            return

        # Where σ_w follows from q, the numbers below follow it along the bracket.
        def scales_at(q: float) -> tuple[Known, Known]:
            return self.scales(q) or scales

        def along(q: float) -> WideLayer:
            w, b = scales_at(q)
            return WideLayer(self.f, w.value, b.value)

        weight = over(zero, lambda q: scales_at(q)[0])
        bias = over(zero, lambda q: scales_at(q)[1])

        why: dict[str, str] = {}
        q = Known(zero.value, max(zero.high - zero.value, zero.value - zero.low), "quadrature")
        numbers: dict[str, Known] = {"weight_std": weight, "bias_std": bias, "q": q}
        numbers["stability"] = over(zero, lambda q: along(q).length_slope(q))
        numbers["chi"] = ONE if self.on_edge else over(zero, lambda q: along(q).chi(q))
        if every:
            del numbers["q"]
            why["q"] = "every q is kept"
            numbers["stability"] = ONE
        numbers |= correlation(along, zero, numbers["chi"], why)
        numbers |= depths(numbers, why)
        estimated = self.f.spec.bound.is_black_box
        known: dict[str, Any] = {
            name: Exact(k.value, k.error, k.by, error_is_estimate=estimated and k.error > 0)
            for name, k in numbers.items()
            if math.isfinite(k.value + k.error)
        }
        attracts = "marginal" if every else pull(along(zero.value), zero, numbers["stability"])
        yield Critical(self.f.spec, self.on_edge, **known, attracts=attracts, why=why)

    def why_none(self) -> str:
        """Say what the signs on the grid tell where there is no zero."""
        grid = self.grid()
        between = f"for q between {grid[0]:.0e} and {grid[-1]:.0e}"
        if self.on_edge:
            if self.weight_std is None:
                return f"no weight_std is critical at bias_std {self.bias_std:g}, {between}"
            return f"no bias_std is critical at weight_std {self.weight_std:g}, {between}"
        low, high = sign(self.at(grid[0])), sign(self.at(grid[-1]))
        ends = {(1, 1): ": every length grows", (-1, -1): ": every length shrinks"}
        return f"no fixed point {between}{ends.get((low, high), '')}"

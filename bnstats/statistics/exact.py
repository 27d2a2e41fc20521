"""Exact values, by closed form or by quadrature, each with a bound on its error."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bnstats.errors import kind_of
from bnstats.layers import CONSTANT, UNKNOWN, BoundLayer, ExactMoments, Known, Law, MomentError
from bnstats.notation import exact_text
from bnstats.statistics.quadrature import ROUNDING, Expectation
from bnstats.statistics.quantities import QUANTITIES, STACK_QUANTITIES, Direction, Quantity
from bnstats.statistics.uncertain import Difference, Uncertain

_BY_FORMULA = Known(0.0).by
_UNDERFLOW = 64 * 2.0**-1074  # of the factors of a formula


@dataclass(frozen=True)
class Exact(Uncertain):
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
    error_is_estimate
        Whether ``error`` is an estimate and no bound: see `BoundLayer.is_black_box`.
    """

    value: float
    error: float
    by: str
    asymptotic_std: float | None = None
    error_is_estimate: bool = False

    def stderr(self, draws: float) -> float | None:
        """Return the standard error of an estimate from so many independent draws, if known."""
        return None if self.asymptotic_std is None else self.asymptotic_std / math.sqrt(draws)

    def _from_zero(self) -> Difference:
        return Difference(self.value, error=self.error)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the value, its error and how it is known."""
        entry: dict[str, Any] = {"value": self.value, "error": self.error, "by": self.by}
        if self.error_is_estimate:
            entry["error_is_estimate"] = True
        return entry

    def __str__(self) -> str:
        return exact_text(self.value, self.error, -16)

    def __repr__(self) -> str:
        return f"Exact({self})"


def exact_entry(exact: Exact | None) -> dict[str, Any] | None:
    """Return an exact value as plain data, or None where JSON has no such number."""
    if exact is None or not math.isfinite(exact.value + exact.error):
        return None
    return exact.to_dict()


def exact_values(bound: BoundLayer, law: Law) -> dict[str, Exact]:
    """Return the quantities of a layer that are known exactly under a law of its inputs.

    Raises
    ------
    MomentError
        The layer states moments that bnstats does not know.
    """
    return moment_quantities(bound, exact_moments(bound, law))


def exact_moments(bound: BoundLayer, law: Law) -> ExactMoments:
    """Return the moments of a layer under a law of its inputs, as far as they are known.

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
    return stated


def heavy_tailed(bound: BoundLayer, stated: ExactMoments) -> tuple[Direction, ...]:
    """Return the directions whose fourth moment is infinite, or not known to be finite.

    A layer knows some of them by itself. Of others a moment is stated, but no bound on its error
    was found: the quadrature diverges, or leaves float64.
    """
    hinge: dict[Direction, tuple[Known, ...]] = {
        "y": (stated.var_y, stated.m4_y),
        "dx": (stated.ms_dx, stated.m4_dx),
    }
    unbounded = (
        direction
        for direction, moments in hinge.items()
        if any(m.by != UNKNOWN.by and not m.is_finite for m in moments)
    )
    return tuple(dict.fromkeys((*bound.heavy_tailed, *unbounded)))


def of_unknown_error(
    known: Mapping[str, Exact], directions: Iterable[Direction], heavy: Collection[Direction]
) -> tuple[Direction, ...]:
    """Return the directions whose σ̂ has a standard error that theory does not tell.

    Parameters
    ----------
    known
        Exact values by quantity.
    directions
        Those asked for.
    heavy
        Those among them whose standard error is infinite.
    """

    def is_known(std: Exact | None) -> bool:
        return std is not None and (std.value == 0 or std.asymptotic_std is not None)

    return tuple(d for d in directions if d not in heavy and not is_known(known.get(f"std_{d}")))


def moment_quantities(bound: BoundLayer, stated: ExactMoments) -> dict[str, Exact]:
    """Return the quantities that follow from moments.

    Moments that are infinite or beyond float64's range are left out.
    """
    known = {"y": _of_y(stated), "dx": _of_dx(stated)}
    found = ((name, _quantity(q, known[q.direction])) for name, q in QUANTITIES.items())
    values = {name: value for name, value in found if value is not None}
    if bound.is_black_box:
        for name, value in values.items():
            if value.by != "symmetry":
                values[name] = replace(value, error_is_estimate=True)
    return values


def known_quantities(bound: BoundLayer, stated: ExactMoments, law: Law) -> dict[str, Exact]:
    """Return all quantities that follow from moments."""
    return moment_quantities(bound, stated) | stack_quantities(bound, stated, law)


def stack_quantities(bound: BoundLayer, stated: ExactMoments, law: Law) -> dict[str, Exact]:
    """Return what the moments of a layer say of a stack, as far as they tell.

    See `bnstats.statistics.quantities.STACK_QUANTITIES`; the formulas are, with μ and s those of x
    and f′ = dx/dy, Cov(x, y)²/(s²·Var[y]), s²·E[f′²]/E[y²], s²·E[f′²]/Var[y],
    E[(x − μ)·y·f′]/E[y²], E[y]²/E[y²], E[f′] and E[f′²] − E[f′]². Errors are bounds as those of
    `moment_quantities` are.
    """
    y = _of_y(stated)
    slope_ms = stated.ms_dx * (law.x_std / law.dy_std) ** 2
    found = {
        "linear_share": stated.cov_xy.squared() / law.x_std**2 / y.var,
        "chi": slope_ms / y.ms,
        "mean_degree": slope_ms / y.var,
        "stability": stated.drift / y.ms,
        "c1": _square_of(y.mean) / y.ms,
        "mean_slope": stated.mean_slope,
        "var_slope": stated.ms_dx / law.dy_std**2 - stated.mean_slope.squared(),
    }
    values = {}
    for name, known in found.items():
        of = STACK_QUANTITIES[name]
        if not known.is_finite or (of.of_scalars and not bound.is_scalar):
            continue
        error = max(known.error, ROUNDING * abs(known.value))
        if of.scale == "log" and error >= 0.5 * known.value:
            continue
        value = min(known.value, 1.0) if of.scale == "square" else known.value  # beyond 1 is error
        by = known.by if known.by != CONSTANT else "closed form"
        values[name] = Exact(value, error, by, error_is_estimate=bound.is_black_box)
    return values


def _square_of(mean: Known) -> Known:
    """Return a square, which is 0 where the number may be."""
    if abs(mean.value) > mean.error:
        return mean.squared()
    return Known(0.0, (abs(mean.value) + mean.error) ** 2, mean.by)


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
    unstated = stated.mean_dx.by == UNKNOWN.by
    mean = Known(0.0, 0.0, "symmetry") if unstated else stated.mean_dx
    return _Moments(mean, stated.ms_dx, stated.ms_dx, UNKNOWN, stated.m4_dx, stated.var_ms_dx)


def _quantity(q: Quantity, moments: _Moments) -> Exact | None:
    known: Known = getattr(moments, q.moment)
    if not known.is_finite:
        return None
    value, error = known.value, known.error
    if value:
        error = max(error, ROUNDING * abs(value))
    if value or (q.moment != "mean" and known.by == _BY_FORMULA):
        error += _UNDERFLOW  # else a mean of 0 is one, but a square of 0 may be that of 1e-174
    if q.moment != "mean" and value > 0 and error >= 0.5 * value:
        return None  # as of a moment that diverges
    std = _asymptotic_std(q, moments)
    if q.power == 1:
        return Exact(value, error, known.by, std)
    if value <= 0:
        return Exact(0.0, math.sqrt(error), known.by) if q.power > 0 else None
    try:
        root = value**q.power
    except OverflowError:  # the reciprocal of a square that is nearly 0
        return None
    # The relative error of a root is at most that of the moment, if small; that of 1/m is larger.
    relative = error / (value if q.power > -1 else value - error)
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

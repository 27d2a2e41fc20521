"""What a sampled layer does in a stack: ratios of joint moments, by the delta method."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from bnstats.errors import BnstatsError
from bnstats.layers import CONSTANT, BoundLayer, Law
from bnstats.statistics.estimate import Estimate, Estimator, as_normal, quantile
from bnstats.statistics.exact import Exact
from bnstats.statistics.joint import Joint
from bnstats.statistics.moments import VARIANCE_ROUNDING
from bnstats.statistics.quantities import NOT_SCALAR, STACK_QUANTITIES, Direction

_STEP = 1e-60  # of a derivative: along the imaginary axis nothing cancels, however small it is
# A variance that is this share of its terms is their rounding: no information.
_CANCELLED = 1e-13


class _Means(NamedTuple):
    """The means of a sample, complex so that functions of them can be differentiated."""

    pivot: float
    s2: float
    v: complex
    v2: complex
    slope2: complex
    z: complex = 0
    z2: complex = 0
    zv: complex = 0
    drift: complex = 0
    slope: complex = 0


_Function = Callable[[_Means], complex]


def _ms(m: _Means) -> complex:
    return m.v2 + 2 * m.pivot * m.v + m.pivot**2


def _var(m: _Means) -> complex:
    return m.v2 - m.v * m.v


def _slope_ms(m: _Means) -> complex:
    return m.s2 * m.slope2


def _correlation(m: _Means) -> complex:
    """Return that of x and y, with the sample's own moments of x, which makes it vary less."""
    return (m.zv - m.v * m.z) / cmath.sqrt(_var(m) * (m.z2 - m.z * m.z))


# By quantity: what is estimated, on its `StackQuantity.scale`, where a square stands for its signed
# root; and the mean squares whose tails the error hinges on.
_FUNCTIONS: dict[str, tuple[_Function, tuple[_Function, ...]]] = {
    "linear_share": (_correlation, (_var,)),
    "chi": (lambda m: cmath.log(_slope_ms(m) / _ms(m)), (_ms, _slope_ms)),
    "mean_degree": (lambda m: cmath.log(_slope_ms(m) / _var(m)), (_var, _slope_ms)),
    "stability": (lambda m: m.drift / _ms(m), (_ms,)),
    "c1": (lambda m: (m.pivot + m.v) / cmath.sqrt(_ms(m)), (_ms,)),
    "mean_slope": (lambda m: m.slope, (_slope_ms,)),
    "var_slope": (lambda m: m.slope2 - m.slope * m.slope, (_slope_ms,)),
}


def check_applicable(spec: str, bound: BoundLayer, names: Iterable[str]) -> None:
    """Raise BnstatsError for names of quantities that a layer does not have."""
    of_stack = {n: STACK_QUANTITIES[n] for n in names if n in STACK_QUANTITIES}
    wrong = [n for n, q in of_stack.items() if q.of_scalars and not bound.is_scalar]
    if wrong:
        others = (n for n, q in STACK_QUANTITIES.items() if not q.of_scalars)
        raise BnstatsError(
            f"{spec} has no {', '.join(wrong)}: {NOT_SCALAR}",
            hint=f"of such layers there are {' and '.join(others)}",
        )


def stack_estimates(
    m: Joint, names: Sequence[str], estimator: Estimator, law: Law
) -> dict[str, Estimate]:
    """Return estimates of quantities of `STACK_QUANTITIES` from joint moments."""
    return {name: _estimate(name, m, estimator, law) for name in names}


def _estimate(name: str, m: Joint, estimator: Estimator, law: Law) -> Estimate:
    exact, scale = estimator.exact.get(name), STACK_QUANTITIES[name].scale
    function, tails = _FUNCTIONS[name]
    try:
        number, slopes = _linearised(function, m, law)
        n_eff = min(_effective(tail, m, law) for tail in tails)
    except (ValueError, ZeroDivisionError, OverflowError):  # no draws, or none that varies
        return Estimate(math.nan, None, None, 0.0, exact, log_scale=False)
    directions: tuple[Direction, ...] = ("y", "dx") if _slope_ms in tails else ("y",)
    n_eff = min(n_eff, *(estimator.most_effective(d, m.points) for d in directions))
    if scale == "square":
        n_eff = min(n_eff, _effective_rest(number, slopes, m))
    error = _error(slopes, m)
    if error is None and _agrees(exact, _unscaled(number, scale)):
        exact, error = replace(exact, by=CONSTANT), VARIANCE_ROUNDING
    if error is not None:
        error = math.hypot(error, estimator.rounding * (abs(number) if scale == "linear" else 1.0))
    if scale == "square":
        number = min(max(number, -1.0), 1.0)
    value, stderr = _unscaled(number, scale), error
    if error is not None and scale == "log":
        stderr = error * value
    elif error is not None and scale == "square":
        stderr = math.hypot(2 * number, math.sqrt(2) * error) * error
    found = Estimate(
        value,
        stderr,
        None,
        n_eff,
        exact,
        log_scale=scale == "log",
        squared=scale == "square",
        nonfinite=m.nonfinite,
    )
    # What is left of the draws is no sample of what the exact value is of.
    z = None if m.nonfinite or error is None else _z(found, number, error)
    interval = found.interval_at(quantile(estimator.confidence, m))
    return replace(found, interval=interval, z=None if z is None else as_normal(z, m))


def _unscaled(number: float, scale: str) -> float:
    if scale == "log":
        return math.exp(number)
    return number * number if scale == "square" else number


def _agrees(exact: Exact | None, value: float) -> TypeGuard[Exact]:
    """Whether theory knows the very ratio that every single draw has, as relu's stability is 1."""
    near = 10 * VARIANCE_ROUNDING
    return exact is not None and abs(value - exact.value) <= max(exact.error, near * exact.value)


def _linearised(function: _Function, m: Joint, law: Law) -> tuple[float, Any]:
    """Return a function of the means and its derivatives (complex step, Squire and Trapp 1998)."""
    if not m.count:
        raise ValueError("no draws")
    means = [complex(mean) for mean in m.mean]
    slopes = []
    for i, mean in enumerate(means):
        moved = [*means[:i], mean + 1j * _STEP, *means[i + 1 :]]
        slopes.append(function(_Means(m.pivot, law.x_std**2, *moved)).imag / _STEP)
    found = function(_Means(m.pivot, law.x_std**2, *means))
    if found.imag or not math.isfinite(found.real):  # a logarithm or a root of what is below 0
        raise ValueError("no number")
    return found.real, np.array(slopes)


def _error(slopes: Any, m: Joint) -> float | None:
    """Return a standard error by the delta method, None where the draws hold none."""
    if m.count < 2:
        return None
    terms = m.between * np.outer(slopes, slopes)
    square = float(np.sum(terms))
    if not square > _CANCELLED * float(np.sum(np.abs(terms))):
        return None
    return math.sqrt(square / (m.count - 1) / m.count)


def _effective(function: _Function, m: Joint, law: Law) -> float:
    """Return the effective draws behind a mean square, n·E[c]²/E[c²], as `Moments.n_eff` does."""
    mean, slopes = _linearised(function, m, law)
    if mean <= 0:
        return 0.0
    varies = max(float(slopes @ m.within @ slopes), 0.0) / m.points / mean**2
    return m.points / (1 + varies)


def _effective_rest(number: float, slopes: Any, m: Joint) -> float:
    """Return the effective draws behind 1 less a square.

    Near 1 that is the mean square of a small rest, such as what of y is not linear in x, which may
    have longer tails than y has.
    """
    varies = max(float(slopes @ m.within @ slopes), 0.0) / m.points
    rest = 1 - number * number
    if varies <= _CANCELLED or rest <= 0:
        return m.points
    return m.points / (1 + varies * (2 * number / rest) ** 2)


def _z(estimate: Estimate, number: float, error: float) -> float | None:
    """Return the distance from the exact value in standard errors, on the estimate's scale."""
    exact = estimate.exact
    if exact is None:
        return None
    if estimate.log_scale:
        if exact.value <= 0:
            return math.inf
        known, off = math.log(exact.value), exact.error / exact.value
    elif estimate.squared:
        known = math.sqrt(max(exact.value, 0.0))
        if exact.value <= exact.error:  # it may be 0: the sign is the sample's
            known, off = 0.0, math.sqrt(exact.error)
        else:
            number, off = abs(number), exact.error / (2 * known)
    else:
        known, off = exact.value, exact.error
    return (number - known) / math.hypot(error, off)

"""From moments to estimates: value, standard error, interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

from bnstats.moments import Moments
from bnstats.notation import concise
from bnstats.quantities import QUANTITIES, Direction, Quantity
from bnstats.reference import Exact

# Coverage of the log-scale interval falls off below this effective sample size.
MIN_N_EFF = 100.0

# A relative spread below float64's rounding of the sums is no spread at all.
_ROUNDING = 1e-13


@dataclass(frozen=True, repr=False)
class Estimate:
    """A sampled quantity; prints as value(standard error), the GUM's concise form.

    Attributes
    ----------
    value
        The estimate, in the units of y or dx (Var: squared; gains: reciprocal).
    stderr
        Its standard error; None where the sample holds no information on it.
    interval
        Central confidence interval, or None. Of a mean it is symmetric; of every other quantity
        it is built on the log scale.
    n_eff
        Effective draws, n·E[b]²/E[b²] with b the squared value: below 100 do not trust the
        interval.
    exact
        The value known without sampling, or None.
    z
        (estimate − exact)/standard error, on the interval's scale; None without either. Where the
        exact fourth moment is known, the standard error is that of theory, not the sample's.
    log_scale
        Whether interval and z live on the log scale; not so for means.
    """

    value: float
    stderr: float | None
    interval: tuple[float, float] | None
    n_eff: float
    exact: Exact | None = None
    z: float | None = None
    log_scale: bool = True

    def interval_at(self, z: float) -> tuple[float, float] | None:
        """Return the interval of ±z standard errors on the estimate's own scale."""
        if self.stderr is None:
            return None
        if not self.log_scale:
            return self.value - z * self.stderr, self.value + z * self.stderr
        factor = math.exp(z * self.stderr / self.value)
        return self.value / factor, self.value * factor

    @property
    def reliable(self) -> bool:
        """Whether the interval may be believed."""
        return self.interval is not None and self.n_eff >= MIN_N_EFF

    def __str__(self) -> str:
        return concise(self.value, self.stderr)

    def __repr__(self) -> str:
        return f"Estimate({self})"


def normal_quantile(confidence: float) -> float:
    """Return z such that a standard normal lies within ±z with this probability."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def n_eff_of(m: Moments) -> float:
    """Return the effective number of draws behind a second moment about zero.

    b counts about the pivot; for y, whose mean carries no scale, that is the right origin.
    """
    second = m.mean_b * m.mean_b
    total = m.bb + m.count * second
    return m.count * m.count * second / total if total > 0 else 0.0


def estimates(
    moments: dict[Direction, Moments], exact: dict[str, Exact], confidence: float
) -> dict[str, Estimate]:
    """Return every quantity of the directions that were sampled.

    Parameters
    ----------
    moments
        By direction.
    exact
        Exact values by quantity, as far as they are known.
    confidence
        Of the intervals, in (0, 1).
    """
    z = normal_quantile(confidence)
    return {
        name: _estimate(q, moments[q.direction], exact.get(name), z)
        for name, q in QUANTITIES.items()
        if q.direction in moments
    }


def _estimate(q: Quantity, m: Moments, exact: Exact | None, z: float) -> Estimate:
    if not m.count:
        return Estimate(math.nan, None, None, 0.0, exact)
    moment, stderr = _moment(q, m)
    log_scale = q.moment != "mean"
    if log_scale and moment <= 0:
        return Estimate(0.0 if q.power > 0 else math.inf, None, None, n_eff_of(m), exact)
    value = moment**q.power
    if stderr is not None:
        stderr *= abs(q.power) * value / moment if log_scale else 1.0
    found = Estimate(value, stderr, None, n_eff_of(m), exact, log_scale=log_scale)
    return replace(found, interval=found.interval_at(z), z=_z(found, m.count))


def _z(estimate: Estimate, count: float) -> float | None:
    """Return the estimate's distance from its exact value in standard errors."""
    exact, stderr = estimate.exact, estimate.stderr
    if exact is None or stderr is None:
        return None
    if exact.spread is not None:
        stderr = exact.spread / math.sqrt(count)
    elif estimate.log_scale:
        stderr *= exact.value / estimate.value  # the relative error is the sample's
    scale = math.hypot(stderr, exact.error)
    if scale <= 0 or (estimate.log_scale and exact.value <= 0):
        return None
    if estimate.log_scale:
        return math.log(estimate.value / exact.value) * exact.value / scale
    return (estimate.value - exact.value) / scale


def _moment(q: Quantity, m: Moments) -> tuple[float, float | None]:
    """Return a moment and its standard error by the delta method on (mean a, mean b).

    With c the pivot: E[v] = c + a, Var[v] = b − a², E[v²] = b + 2ca + c²; the gradient of each
    with respect to (a, b) is (1, 0), (−2a, 1), (2c, 1).
    """
    a, b, c, n = m.mean_a, m.mean_b, m.pivot, m.count
    value, slope_a, slope_b, size = {
        "mean": (c + a, 1.0, 0.0, abs(a)),
        "var": (b - a * a, -2 * a, 1.0, b),
        "ms": (b + 2 * c * a + c * c, 2 * c, 1.0, b + c * c),
    }[q.moment]
    if value <= _ROUNDING * b and q.moment == "var":
        value = 0.0
    if n < 2:
        return value, None
    spread = slope_a**2 * m.aa + 2 * slope_a * slope_b * m.ab + slope_b**2 * m.bb
    stderr = math.sqrt(max(spread, 0.0) / (n - 1) / n)
    # s = 0 is no information about the error, never "± 0".
    return value, stderr if stderr * math.sqrt(n) > _ROUNDING**0.5 * size else None

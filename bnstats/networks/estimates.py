"""From tallies of networks to numbers with intervals, beside what was predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from scipy import special

from bnstats.networks.predictions import Predictions
from bnstats.networks.propagation import (
    STEADY,
    Correlation,
    Ensemble,
    Factor,
    Gap,
    Interval,
    Row,
    Side,
    Typical,
    Verdict,
    Way,
)
from bnstats.networks.reduce import Direction, Label, Tally

RELIABLE = 0.1  # standard error of E[M], relative to it, up to which its interval is believed
_DOUBT = 0.01  # that the variance of ln M is larger than it is taken for
_LEAST_TRIAL = 4  # networks; the bound of fewer is one on luck
_CENTRAL = 0.95  # share of networks in a spread


def summary(
    labels: Sequence[Label], tally: Tally, p: Predictions, confidence: float
) -> dict[str, Any]:
    """Return the fields of a `Propagation` that follow from a tally of these rows."""
    y = sides(tally.y, (p.isolated_y, p.wide_y), confidence)
    dx = sides(tally.dx, (p.isolated_dx, p.wide_dx), confidence)
    rows = tuple(
        Row(*label[:3], of_y, of_dx if label.has_dx else None, c)
        for label, of_y, of_dx, c in zip(labels, y, dx, _correlations(tally, p), strict=True)
    )
    factor: dict[Way, Factor | None] = {
        "y": _factor(tally.y, confidence, 1),
        "dx": _factor(tally.dx, confidence, -1),
    }
    ends = {"y": rows[-1].y, "dx": next((row.dx for row in rows if row.dx), None)}
    verdicts = {way: _verdict(side, tally.networks) for way, side in ends.items()}
    has_dx = [label.has_dx for label in labels]
    worst = max(
        float(v.max(initial=0.0)) for v in (tally.y.ln.variance, tally.dx.ln.variance[has_dx])
    )
    return {
        "networks": tally.networks,
        "effective": tally.networks * math.exp(-worst) if math.isfinite(worst) else 0.0,
        "rows": rows,
        "factor": factor,
        "verdicts": verdicts,
        "gaps": tuple(Gap(kind, labels[at].name, why) for kind, (at, why) in p.why.items()),
    }


def half_widths(tally: Tally, confidence: float) -> float:
    """Return the largest relative half-width of an interval of a typical network.

    Rows that have no number in any network are passed over.
    """
    widest = -math.inf
    for way in (tally.y, tally.dx):
        for count, variance in zip(way.ln.count, way.ln.variance, strict=True):
            if count == 1:
                return math.inf
            if count:
                widest = max(widest, student(count, confidence) * math.sqrt(variance / count) / 2)
    return widest if widest >= 0 else math.inf


def within(side: Side, bounds: Interval) -> bool | None:
    """Whether the interval of the typical network lies within bounds; None where it cannot say."""
    low, high = side.typical.interval or (0.0, math.inf)
    if bounds[0] <= low and high <= bounds[1]:
        return True
    return False if high < bounds[0] or low > bounds[1] else None


def _correlations(tally: Tally, predicted: Predictions) -> Iterator[Correlation | None]:
    """Yield one for each layer."""
    c = tally.correlation
    if c is None:
        yield from (None for _ in predicted.correlation)
        return
    for count, mean, var, wide in zip(
        c.count, c.mean, c.variance, predicted.correlation, strict=True
    ):
        known = wide if math.isfinite(wide) else None
        yield Correlation(float(mean), math.sqrt(var / count), known) if count > 1 else None


def sides(
    way: Direction, predicted: tuple[Sequence[float], Sequence[float]], confidence: float
) -> Iterator[Side]:
    """Yield a side for each layer; predictions are isolated ones and wide ones."""
    spreads = way.between_networks(_CENTRAL).T
    counts, means, variances = way.ln.count, way.ln.mean, way.ln.variance
    trials = way.trial.variance
    for i, (low, high) in enumerate(spreads):
        count, mean, variance = (float(v[i]) for v in (counts, means, variances))
        interval = relative = None
        if count > 1:
            relative = math.sqrt(variance / count) / 2
            reach = 2 * student(count, confidence) * relative
            interval = _exp_half(mean - reach), _exp_half(mean + reach)
        ensemble, ln_error = _ensemble(way, i, confidence, float(trials[i]))
        isolated, wide = (p[i] if math.isfinite(p[i]) and p[i] > 0 else None for p in predicted)
        yield Side(
            typical=Typical(_exp_half(mean) if count else math.nan, interval, relative),
            ensemble=ensemble,
            spread=None if math.isnan(low) else (float(low), float(high)),
            isolated=isolated,
            wide=wide,
            z_isolated=_z(ensemble, ln_error, isolated),
            z_wide=_z(ensemble, ln_error, wide),
            dead=int(way.dead[i]),
            nonfinite=int(way.nonfinite[i]),
        )


def _z(ensemble: Ensemble, ln_error: float, predicted: float | None) -> float | None:
    if predicted is None or not ensemble.reliable or not ln_error:
        return None
    return 2 * math.log(ensemble.value / predicted) / ln_error


def _ensemble(way: Direction, i: int, confidence: float, trial: float) -> tuple[Ensemble, float]:
    """Return √E[M], and the standard error of ln E[M]; ``trial`` is the trial's variance."""
    finite, ln_sum = float(way.others[i]), float(way.ln_sum[i])
    if not finite or math.isinf(ln_sum):
        return Ensemble(0.0 if finite else math.nan, None, None, reliable=False), 0.0
    ln_mean = ln_sum - math.log(finite)
    value = _exp_half(ln_mean)
    if finite < 2:
        return Ensemble(value, None, None, reliable=False), 0.0
    relative = math.exp(float(way.ln_sum_squares[i]) - math.log(finite) - 2 * ln_mean) - 1
    error = math.sqrt(max(relative, 0.0) / (finite - 1))
    reach = student(finite, confidence) * error
    interval = _exp_half(ln_mean - reach), _exp_half(ln_mean + reach)
    return Ensemble(value, value * error / 2, interval, _reliable(way, i, trial)), error


def _reliable(way: Direction, i: int, variance: float) -> bool:
    """Whether E[M] has a small standard error if ln M is normal, by networks that are not in it."""
    count = float(way.trial.count[i])
    alive, dead = float(way.ln.count[i]), float(way.dead[i])
    if count < _LEAST_TRIAL or way.nonfinite[i]:
        return False
    variance *= (count - 1) / float(special.chdtri(count - 1, 1 - _DOUBT))
    square = math.exp(min(variance, 700.0)) * (alive + dead) / alive  # E[M²]/E[M]²
    return square - 1 <= RELIABLE**2 * float(way.others[i])


def _factor(way: Direction, confidence: float, sign: int) -> Factor | None:
    slope = way.slope
    if not slope.count:
        return None
    interval = relative = None
    if slope.count > 1:
        relative = math.sqrt(slope.variance / slope.count)
        reach = student(slope.count, confidence) * relative
        ends = sorted(sign * (slope.mean + e) for e in (-reach, reach))
        interval = math.exp(ends[0]), math.exp(ends[1])
    return Factor(math.exp(sign * slope.mean), interval, relative)


def _verdict(side: Side | None, networks: int) -> Verdict:
    """Judge the typical network, and where most have no finite ln M, what became of them."""
    if side is None or 2 * side.dead > networks:  # no gradient arrives anywhere
        return "vanishing"
    if 2 * side.nonfinite > networks:
        return "exploding"
    low, high = side.typical.interval or (0.0, math.inf)
    if high < STEADY[0]:
        return "vanishing"
    if low > STEADY[1]:
        return "exploding"
    return "steady" if STEADY[0] <= low and high <= STEADY[1] else "undecided"


def student(count: float, confidence: float) -> float:
    """Return by how many standard errors an interval of so many networks reaches."""
    return -float(special.stdtrit(count - 1, (1 - confidence) / 2))


def _exp_half(ln: float) -> float:
    """Return e^(ln/2), infinite where float64 cannot hold it."""
    return math.exp(ln / 2) if ln < 1400 else math.inf

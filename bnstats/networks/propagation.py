"""From tallies of networks to numbers with intervals, beside what was predicted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy import special

from bnstats.networks.engines import Engine
from bnstats.networks.predictions import Predictions
from bnstats.networks.reduce import RELIABLE, Direction, Tally
from bnstats.networks.stack import Stack
from bnstats.result import Status

Verdict = Literal["steady", "vanishing", "exploding", "undecided"]
Way = Literal["y", "dx"]
Interval = tuple[float, float]
WAYS: tuple[Way, ...] = ("y", "dx")
STEADY: Interval = (0.5, 2.0)
_CENTRAL = 0.95  # share of networks in a spread
_WORST_FIRST: tuple[Verdict, ...] = ("exploding", "vanishing", "undecided", "steady")


@dataclass(frozen=True)
class Typical:
    """exp(½·E[ln M]): what half of all networks exceed, as ln M is close to normal.

    Attributes
    ----------
    value, interval
        The interval is Student's t over networks, on ln M; None of fewer than two. Networks that
        are dead or not finite are left out; nan where no other is there.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Ensemble:
    """√E[M]: the root mean square over all networks, which isolated layers predict.

    Attributes
    ----------
    value, stderr, interval
        By the delta method on ln E[M]; None of fewer than two networks.
    reliable
        Whether enough networks count for it: n·e^(−s²), where s² is the variance of ln M, is at
        least 100. Few large ones make up the mean of a wide law, and a sample lacks them.
    """

    value: float
    stderr: float | None
    interval: Interval | None
    reliable: bool


@dataclass(frozen=True)
class Side:
    """The root mean square of y, or of dx, over units and inputs of one layer.

    Attributes
    ----------
    typical, ensemble
        Of a network, and of all.
    spread
        What the central 95 % of networks have; None where fewer than 100 were drawn.
    isolated, wide
        Predictions of the ensemble: layers one by one under standard normals, and a network of
        infinitely many units; None where there is none.
    z_isolated, z_wide
        How many standard errors the ensemble is away from them; None where it is not reliable.
    dead, nonfinite
        Networks of which all is 0 there, and of which something is not finite.
    """

    typical: Typical
    ensemble: Ensemble
    spread: Interval | None
    isolated: float | None
    wide: float | None
    z_isolated: float | None
    z_wide: float | None
    dead: int
    nonfinite: int


@dataclass(frozen=True)
class Correlation:
    """The cosine of y between two inputs: mean over networks, its standard error, prediction."""

    value: float
    stderr: float
    wide: float | None


@dataclass(frozen=True)
class Row:
    """One layer of a stack.

    Attributes
    ----------
    depth
        The number of its block, from 1.
    name
        E.g. ``3.relu``.
    layer
        As it was written.
    y, dx
        Its output, and the gradient at its input.
    correlation
        None of one input.
    """

    depth: int
    name: str
    layer: str
    y: Side
    dx: Side
    correlation: Correlation | None


@dataclass(frozen=True)
class Factor:
    """By what a block multiplies a typical root mean square, forward or backward."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Propagation:
    """What became of signals in drawn networks.

    Attributes
    ----------
    stack
        What was drawn.
    engine
        ``exact`` (without matrices) or ``matrices``.
    seed, confidence, status
        As of `bnstats.Result`.
    networks
        That were drawn: the sample size of everything here.
    effective
        Of these, how many count for the ensemble's least certain number: n·e^(−s²).
    rows
        The layers in order.
    factor
        Of y and dx, from lines fitted to each network over the depth; None of one block.
    verdicts
        Of y at the end and of dx at the beginning, by the interval of the typical network:
        ``steady`` within 0.5 to 2, ``vanishing`` below, ``exploding`` above, or ``undecided``.
    warnings
        What a reader should know.
    """

    stack: Stack
    engine: Engine
    seed: int
    confidence: float
    status: Status
    networks: int
    effective: float
    rows: tuple[Row, ...]
    factor: Mapping[Way, Factor | None]
    verdicts: Mapping[Way, Verdict]
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worse of both directions' verdicts."""
        return min(self.verdicts.values(), key=_WORST_FIRST.index)

    def end(self, way: Way) -> Side:
        """Return where a direction ends: y of the last layer, dx of the first."""
        return self.rows[-1].y if way == "y" else self.rows[0].dx


def summary(
    stack: Stack, tally: Tally, predicted: Predictions, confidence: float
) -> dict[str, Any]:
    """Return the fields of a `Propagation` that follow from a tally."""
    y = sides(tally.y, (predicted.isolated_y, predicted.wide_y), confidence)
    dx = sides(tally.dx, (predicted.isolated_dx, predicted.wide_dx), confidence)
    rows = tuple(
        _row(stack, i, {"y": of_y, "dx": of_dx}, _correlation(tally, predicted, i))
        for i, (of_y, of_dx) in enumerate(zip(y, dx, strict=True))
    )
    factor: dict[Way, Factor | None] = {
        "y": _factor(tally.y, confidence, 1),
        "dx": _factor(tally.dx, confidence, -1),
    }
    ends = {"y": rows[-1].y, "dx": rows[0].dx}
    verdicts = {way: _verdict(side, tally.networks) for way, side in ends.items()}
    worst = max(float(d.ln.variance.max()) for d in (tally.y, tally.dx))
    return {
        "networks": tally.networks,
        "effective": tally.networks * math.exp(-worst) if math.isfinite(worst) else 0.0,
        "rows": rows,
        "factor": factor,
        "verdicts": verdicts,
    }


def half_widths(tally: Tally, confidence: float) -> float:
    """Return the largest relative half-width of an interval of a typical network."""
    widest = 0.0
    for way in (tally.y, tally.dx):
        for count, variance in zip(way.ln.count, way.ln.variance, strict=True):
            if count < 2:
                return math.inf
            widest = max(widest, _t(count, confidence) * math.sqrt(variance / count) / 2)
    return widest


def within(side: Side, bounds: Interval) -> bool | None:
    """Whether the interval of the typical network lies within bounds; None where it cannot say."""
    low, high = side.typical.interval or (0.0, math.inf)
    if bounds[0] <= low and high <= bounds[1]:
        return True
    return False if high < bounds[0] or low > bounds[1] else None


def _row(stack: Stack, i: int, sides: Mapping[Way, Side], correlation: Correlation | None) -> Row:
    block, at = divmod(i, len(stack.stages))
    layer = stack.stages[at].name
    name = f"{block + 1}.{layer.partition(':')[0]}"
    return Row(block + 1, name, layer, sides["y"], sides["dx"], correlation)


def _correlation(tally: Tally, predicted: Predictions, i: int) -> Correlation | None:
    c, wide = tally.correlation, predicted.correlation[i]
    if c is None or c.count[i] < 2:
        return None
    error = math.sqrt(c.variance[i] / c.count[i])
    return Correlation(float(c.mean[i]), error, wide if math.isfinite(wide) else None)


def sides(
    way: Direction, predicted: tuple[Sequence[float], Sequence[float]], confidence: float
) -> Iterator[Side]:
    """Yield a side for each layer; predictions are isolated ones and wide ones."""
    spreads = way.between_networks(_CENTRAL).T
    for i, (low, high) in enumerate(spreads):
        count, mean, variance = (float(v[i]) for v in (way.ln.count, way.ln.mean, way.ln.variance))
        interval = None
        if count > 1:
            reach = _t(count, confidence) * math.sqrt(variance / count)
            interval = _exp_half(mean - reach), _exp_half(mean + reach)
        ensemble, ln_error = _ensemble(way, i, confidence)
        isolated, wide = (p[i] if math.isfinite(p[i]) and p[i] > 0 else None for p in predicted)
        yield Side(
            typical=Typical(_exp_half(mean) if count else math.nan, interval),
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


def _ensemble(way: Direction, i: int, confidence: float) -> tuple[Ensemble, float]:
    """Return √E[M], and the standard error of ln E[M]."""
    alive, dead = float(way.ln.count[i]), float(way.dead[i])
    finite = alive + dead
    if not alive:
        return Ensemble(0.0 if dead else math.nan, None, None, reliable=False), 0.0
    ln_mean = float(way.ln_sum[i]) - math.log(finite)
    value = _exp_half(ln_mean)
    if finite < 2:
        return Ensemble(value, None, None, reliable=False), 0.0
    relative = math.exp(float(way.ln_sum_squares[i]) - math.log(finite) - 2 * ln_mean) - 1
    error = math.sqrt(max(relative, 0.0) / (finite - 1))
    reach = _t(finite, confidence) * error
    interval = _exp_half(ln_mean - reach), _exp_half(ln_mean + reach)
    reliable = not way.nonfinite[i] and finite * math.exp(-way.ln.variance[i]) >= RELIABLE
    return Ensemble(value, value * error / 2, interval, bool(reliable)), error


def _factor(way: Direction, confidence: float, sign: int) -> Factor | None:
    slope = way.slope
    if not slope.count:
        return None
    interval = None
    if slope.count > 1:
        reach = _t(slope.count, confidence) * math.sqrt(slope.variance / slope.count)
        ends = sorted(sign * (slope.mean + e) for e in (-reach, reach))
        interval = math.exp(ends[0]), math.exp(ends[1])
    return Factor(math.exp(sign * slope.mean), interval)


def _verdict(side: Side, networks: int) -> Verdict:
    """Judge the typical network, and where most have no finite ln M, what became of them."""
    if 2 * side.dead > networks:
        return "vanishing"
    if 2 * side.nonfinite > networks:
        return "exploding"
    low, high = side.typical.interval or (0.0, math.inf)
    if high < STEADY[0]:
        return "vanishing"
    if low > STEADY[1]:
        return "exploding"
    return "steady" if STEADY[0] <= low and high <= STEADY[1] else "undecided"


def _t(count: float, confidence: float) -> float:
    return -float(special.stdtrit(count - 1, (1 - confidence) / 2))


def _exp_half(ln: float) -> float:
    """Return e^(ln/2), infinite where float64 cannot hold it."""
    return math.exp(ln / 2) if ln < 1400 else math.inf

"""Why a sampled result may not be what it seems, and what to do about it."""

from __future__ import annotations

import math

from bnstats.notation import count_text
from bnstats.result import Result
from bnstats.sampling.settings import MAX_DRAWS
from bnstats.statistics.alarm import FIRST_THRESHOLD, round_up
from bnstats.statistics.estimate import MIN_N_EFF, Estimate, independent_error
from bnstats.statistics.quantities import (
    ALL_QUANTITIES,
    ON_SCREEN,
    QUANTITIES,
    STACK_QUANTITIES,
    Direction,
)

# Below this gain in variance over independent draws, sobol points are not worth their cost.
_WORTHWHILE_GAIN = 2.0
# Below so many effective draws, one in ten decides: a sign that there is no variance to be found.
_FEW = 10


def doubts(result: Result) -> tuple[str, ...]:
    """Return what a reader must know before believing what was drawn, each with a remedy."""
    found: list[str] = []
    for direction, bad in result.nonfinite.items():
        if bad:
            found.append(
                f"{bad:,} of {result.samples:,} draws of {direction} are not finite, or their "
                "fourth powers are not, and are left out: the estimates are of the others; "
                "smaller parameters or a smaller `x_std` keep them finite"
            )
        std = result.quantities.get(f"std_{direction}")
        if std and not bad:
            found += _on_direction(direction, std, result)
        if std and result.sampler == "sobol" and _gain(std, result.samples) < _WORTHWHILE_GAIN:
            found.append(
                f"σ[{direction}]: sobol points are no better than independent draws in "
                f"{result.spec.bound.numbers} dimensions; `sampler='iid'` is faster"
            )
    for name in (n for n in (*ON_SCREEN, *STACK_QUANTITIES) if n in result.quantities):
        estimate = result.quantities[name]
        # Of sobol points, z is in units of the sample's own error.
        believed = estimate.has_enough_draws if result.sampler == "iid" else estimate.reliable
        if estimate.z is not None and abs(estimate.z) > FIRST_THRESHOLD and believed:
            wrong = "a formula or a backend is wrong"
            if estimate.exact is not None and estimate.exact.error_is_estimate:
                wrong = "the exact value misses a feature too narrow to be found"
            elif result.sampling.dtype == "float32":
                wrong = "float32 does not hold what the layer computes, or a formula is wrong"
            found.append(
                f"{ALL_QUANTITIES[name].symbol} is {abs(estimate.z):.1f} standard errors from its "
                f"exact value: if another `seed` agrees, {wrong}"
            )
    return tuple(found)


def _gain(std: Estimate, points: int) -> float:
    """Return how many times below that of as many independent draws the variance of σ̂ is."""
    if not std.stderr or std.n_eff <= 0:
        return math.inf
    return (independent_error(std.n_eff, points) * std.value / std.stderr) ** 2


def more_draws(result: Result, direction: Direction) -> str:
    """Say how many draws show a σ that these have not shown, or that none do.

    Where the exact fourth moment is known it tells; a sample that has missed what is rare cannot.
    """
    std, samples = result.quantities[f"std_{direction}"], result.samples
    known, is_heavy = std.exact, not std.n_eff and std.interval is not None
    bound = result.spec.bound
    was_tried = bound.is_scalar or not bound.why_inexact  # by quadrature
    if known is None and was_tried and (is_heavy or std.n_eff < _FEW):
        mean = result.quantities[f"mean_{direction}"].exact
        what = f"σ[{direction}]" if mean else f"E[{direction}] and σ[{direction}]"
        return f"no exact {what}: {bound.why_unknown(direction)}; no `samples` is sure to help"
    if is_heavy:
        return "their fourth moment is not known to be finite; no `samples` is sure to help"
    seen = max(std.n_eff, 1.0) / samples
    if known is not None and known.asymptotic_std is not None and known.value > 0:
        seen = min(seen, 1 / (1 + (2 * known.asymptotic_std / known.value) ** 2))
    elif std.value == 0 or std.interval is None:
        return "try a larger `samples`"
    if seen * MAX_DRAWS < MIN_N_EFF:
        return "believe the exact value: what makes it is too rare for any `samples`"
    enough = round_up(1.2 * MIN_N_EFF / seen)
    return f"try `samples={count_text(enough)}`" if enough > samples else "try a larger `samples`"


def _on_direction(direction: Direction, std: Estimate, result: Result) -> list[str]:
    """Say why the intervals of a direction cannot be trusted, if so, and what helps."""
    exact = std.exact
    if exact is not None and exact.value == 0 and std.value <= exact.error:
        return []
    remedy = more_draws(result, direction)
    if std.value == 0:
        return [f"σ[{direction}] is 0 in this sample: no information on its error; {remedy}"]
    if std.interval is None:
        return [f"σ[{direction}]: no information on its error in this sample; {remedy}"]
    if std.n_eff < MIN_N_EFF:
        few = f"{std.n_eff:.0f} effective draws are too few for its intervals"
        if not std.n_eff:
            few = "its intervals are not to be believed"
        return [f"{direction}: {few}; {remedy}"]
    for name in (f"std_{direction}", f"rms_{direction}", f"mean_{direction}"):
        estimate, symbol = result.quantities[name], QUANTITIES[name].symbol
        if not estimate.missed_tails:
            continue
        if result.sampler == "sobol":
            said = f"{symbol}: these points have hardly seen the tails"
        else:
            share = f"{estimate.tail_coverage:.2f}"
            said = (
                f"{symbol}: this sample takes its standard error for {share} of what it is, "
                "because it has hardly seen the tails"
            )
        return [f"{said}: its intervals are too short; {remedy}"]
    return []

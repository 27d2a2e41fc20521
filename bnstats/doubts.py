"""Why a sampled result may not be what it seems, and what to do about it."""

from __future__ import annotations

import math

from bnstats.estimate import MIN_N_EFF, Estimate
from bnstats.notation import count_text
from bnstats.quantities import ON_SCREEN, QUANTITIES
from bnstats.result import Result
from bnstats.sampling import Sampler
from bnstats.verdict import FIRST_THRESHOLD, round_up

# Below this gain in variance over independent draws, sobol points are not worth their cost.
_WORTHWHILE_GAIN = 2.0
# A standard error below this share of the exact one has missed the tails.
_ENOUGH_SEEN = 0.7


def doubts(result: Result) -> tuple[str, ...]:
    """Return what a reader must know before believing a result, each with a remedy."""
    found = list(result.spec.event.hints)
    for direction, bad in result.nonfinite.items():
        if bad:
            found.append(
                f"{bad:,} of {result.samples:,} draws of {direction} are not finite and are left "
                "out; smaller parameters or a smaller --x-std keep them finite"
            )
        std = result.quantities.get(f"std_{direction}")
        if std and bad < result.samples:
            found += _on_direction(direction, std, result.samples, result.sampler)
        if std and result.sampler == "sobol" and _gain(std, result.samples) < _WORTHWHILE_GAIN:
            found.append(
                f"σ[{direction}]: sobol points are no better than independent draws in "
                f"{result.spec.event.numbers} dimensions; --sampler iid is faster"
            )
    for name in (n for n in ON_SCREEN if n in result.quantities):
        estimate = result.quantities[name]
        if estimate.z is not None and abs(estimate.z) > FIRST_THRESHOLD and estimate.reliable:
            found.append(
                f"{QUANTITIES[name].symbol} is {abs(estimate.z):.1f} standard errors from its "
                "exact value: if another --seed agrees, a formula or a backend is wrong"
            )
    return tuple(found)


def _gain(std: Estimate, points: int) -> float:
    """Return how many times below that of as many independent draws the variance of σ̂ is."""
    if not std.stderr or std.n_eff <= 0:
        return math.inf
    independent = 0.25 * max(1 / std.n_eff - 1 / points, 0.0)
    return independent / (std.stderr / std.value) ** 2


def _on_direction(direction: str, std: Estimate, samples: int, sampler: Sampler) -> list[str]:
    """Say why the intervals of a direction cannot be trusted, if so, and what helps."""
    if std.value == 0 and std.exact is not None and std.exact.value == 0:
        return []
    if std.value == 0:
        return [f"σ[{direction}] is 0 in this sample: no information on its error; try a larger -n"]
    if std.interval is None:
        return [f"σ[{direction}]: no information on its error in this sample; try a larger -n"]
    if std.n_eff < MIN_N_EFF:
        needed = round_up(samples * 1.2 * MIN_N_EFF / max(std.n_eff, 1.0))
        return [
            f"{direction}: {std.n_eff:.0f} effective draws are too few for its intervals; "
            f"try -n {count_text(needed)}"
        ]
    seen = _share_seen(std, samples)
    if sampler == "iid" and seen < _ENOUGH_SEEN:
        return [
            f"σ[{direction}]: this sample takes its standard error for {seen:.2f} of what it is, "
            "because it has hardly seen the tails: its intervals are too short; try a larger -n"
        ]
    return []


def _share_seen(std: Estimate, samples: int) -> float:
    """Return the standard error of σ̂ relative to the exact one, of independent draws; 1 if unknown.

    A sample of heavy tails lacks what makes its standard error large, and cannot know it.
    """
    known = std.exact.stderr(samples) if std.exact is not None else None
    return std.stderr / known if std.stderr and known else 1.0

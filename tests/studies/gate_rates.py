"""How often the gate raises an alarm and fails: by theory, by simulation, by the real engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from itertools import count
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from replication import bound

from bnstats.sampling.layout import Chunk, merge_tallies
from bnstats.sampling.run import chunk_tally
from bnstats.sampling.settings import Sampling
from bnstats.statistics.alarm import (
    FIRST_THRESHOLD,
    SECOND_STAGE_FACTOR,
    confirmed,
    second_threshold,
)
from bnstats.statistics.estimate import Estimate, Estimator
from bnstats.statistics.exact import Exact
from bnstats.statistics.moments import Tally
from bnstats.statistics.quantities import QUANTITIES

SMALL = 1 << 12  # draws of the first stage where the real engine's z is measured
CONFIDENCE = 0.95
SHIFTS = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0)  # planted errors, in standard errors of the first stage
SHARE = 0.1  # of alarms confirmed by chance, in the simulation of normal z

NORMAL = NormalDist()


def number_of_tests(rows: int, quantities: int = len(QUANTITIES)) -> int:
    """Return the tests of a table of so many rows: fresh and committed, of every quantity."""
    return 2 * rows * quantities


def false_alarm(threshold: float) -> float:
    """Return the chance that normal z of a correct value pass both thresholds with one sign."""
    return 2 * NORMAL.cdf(-FIRST_THRESHOLD) * NORMAL.cdf(-threshold)


def power(shift: float, threshold: float) -> float:
    """Return the chance that the gate catches an error of so many first-stage standard errors."""
    second = shift * math.sqrt(SECOND_STAGE_FACTOR)
    return sum(
        NORMAL.cdf(sign * shift - FIRST_THRESHOLD) * NORMAL.cdf(sign * second - threshold)
        for sign in (1, -1)
    )


def simulated(seed: int, decisions: int) -> dict[str, float]:
    """Pass pairs of independent standard normal z through the gate's own rule.

    With the family's error relaxed so that one alarm in ten is confirmed by chance: at the default
    nothing would ever be seen.
    """
    tests = number_of_tests(1)
    relaxed = SHARE * tests * 2 * NORMAL.cdf(-FIRST_THRESHOLD)
    threshold = second_threshold(tests, relaxed)
    random = np.random.default_rng(seed)
    alarms = fails = 0
    for start in range(0, decisions, 10**6):
        z = random.standard_normal(min(10**6, decisions - start))
        raised = z[np.abs(z) > FIRST_THRESHOLD]
        again = random.standard_normal(raised.size)
        alarms += raised.size
        both = zip(raised.tolist(), again.tolist(), strict=True)
        fails += sum(confirmed(a, b, threshold) for a, b in both)
    expected = false_alarm(threshold)
    return {"decisions": decisions, "alarms": alarms, "fails": fails, "rate": expected}


class Draws(NamedTuple):
    """One layer's chunks of `SMALL` draws, as the engine makes and merges them."""

    text: str
    seed: int

    def whole(self, units: Iterator[int], chunks: int) -> Tally:
        spec, _, pivot = bound(self.text)
        how = Sampling(seed=self.seed)
        parts = (chunk_tally(spec, how, pivot, Chunk(next(units), 0, SMALL)) for _ in range(chunks))
        return reduce(merge_tallies, parts)


def judged(tally: Tally, exact: Mapping[str, Exact]) -> dict[str, Estimate]:
    """Return the estimates that the gate would look at."""
    found = Estimator(exact, CONFIDENCE).estimates(tally)
    return {name: e for name in exact if (e := found[name]).z is not None and e.has_enough_draws}


def engine(text: str, seed: int, replications: int, rows: int) -> dict[str, int]:
    """Count the gate's decisions on a layer whose formulas and exact values are right.

    First stages of `SMALL` draws, and second stages of four times as many: fresh ones where an
    alarm was raised, and four first stages merged to learn the law of their z.
    """
    _, exact, _ = bound(text)
    threshold = second_threshold(number_of_tests(rows))
    first, second = Draws(text, seed), count(10**7)
    units = count()
    found = dict.fromkeys(("decisions", "undecided", "alarms", "fails", "second", "beyond"), 0)
    for _ in range(replications // SECOND_STAGE_FACTOR):
        parts = [first.whole(units, 1) for _ in range(SECOND_STAGE_FACTOR)]
        for part in parts:
            decided = judged(part, exact)
            found["decisions"] += len(exact)
            found["undecided"] += len(exact) - len(decided)
            alarms = {n: e for n, e in decided.items() if abs(e.z or 0) > FIRST_THRESHOLD}
            found["alarms"] += len(alarms)
            again = judged(first.whole(second, SECOND_STAGE_FACTOR), exact) if alarms else {}
            found["fails"] += sum(
                confirmed(e.z or 0, again[n].z or 0, threshold)
                for n, e in alarms.items()
                if n in again
            )
        merged = judged(reduce(merge_tallies, parts), exact)
        found["second"] += len(merged)
        found["beyond"] += sum(abs(e.z or 0) > FIRST_THRESHOLD for e in merged.values())
    return found


@lru_cache(maxsize=1)
def pairs(text: str, seed: int, replications: int) -> list[tuple[Tally, Tally]]:
    """Return pairs of a first and a second stage."""
    draws, units = Draws(text, seed), count()
    return [
        (draws.whole(units, 1), draws.whole(units, SECOND_STAGE_FACTOR))
        for _ in range(replications)
    ]


def power_curve(text: str, name: str, seed: int, replications: int, rows: int) -> dict[str, Any]:
    """Measure how often an exact value wrong by `SHIFTS` standard errors is caught."""
    exact = bound(text)[1][name]
    threshold = second_threshold(number_of_tests(rows))
    stages = pairs(text, seed, replications)
    one = relative_error(text, name, reduce(merge_tallies, (b for _, b in stages)), SMALL)
    points = []
    for shift in SHIFTS:
        # Half of them too large, half too small, by equal factors.
        hits = 0
        for i, stage in enumerate(stages):
            factor = math.exp((-1) ** i * shift * one)
            known = exact.asymptotic_std and exact.asymptotic_std * factor
            wrong = {name: replace(exact, value=exact.value * factor, asymptotic_std=known)}
            found = [judged(tally, wrong).get(name) for tally in stage]
            z = [(e.z or 0.0) if e else 0.0 for e in found]
            hits += confirmed(z[0], z[1], threshold)
        points.append({"error": math.expm1(shift * one), "caught": hits / len(stages)})
        points[-1]["theory"] = power(shift, threshold)
    return {"relative_stderr": one, "pairs": len(stages), "points": points}


def relative_error(text: str, name: str, tally: Tally, draws: int) -> float:
    """Return the standard error of a first stage of so many draws as a share of the quantity."""
    exact = bound(text)[1][name]
    if (known := exact.stderr(draws)) is not None:
        return known / abs(exact.value)
    estimate = Estimator({name: exact}, CONFIDENCE).estimates(tally)[name]
    points = tally[QUANTITIES[name].direction].count
    return (estimate.stderr or 0.0) * math.sqrt(points / draws) / abs(exact.value)

"""One replication of the coverage study: an independent run, and what became of its intervals."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache, reduce
from itertools import count, pairwise
from typing import Any, NamedTuple

from interval_coverage_rates import BARS, BINS

from bnstats.layers import STANDARD
from bnstats.sampling.layout import Chunk
from bnstats.sampling.run import Tally, chunk_tally, merge_tallies, run, y_pivot
from bnstats.sampling.settings import Sampling
from bnstats.sampling.sobol import MIN_LEVEL, REPLICATES
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.estimate import Estimate, Estimator, quantile
from bnstats.statistics.exact import Exact, exact_values
from bnstats.statistics.quantities import QUANTITIES

CONFIDENCES = tuple(BARS)
MEASURED = ("mean_y", "std_y", "mean_dx", "std_dx")
SIZES = {
    "iid": tuple(1 << level for level in (12, 15, 18)),
    "sobol": tuple(REPLICATES << level for level in range(MIN_LEVEL, 15, 2)),
}
UNITS = 1 + sum(large // small - 1 for small, large in pairwise(SIZES["iid"]))  # chunks of each
SEEDS = 10**6  # of a sobol study; the next --seed begins there


def per_confidence() -> list[int]:
    return [0] * len(CONFIDENCES)


@dataclass
class Count:
    """What became of the intervals and the z of one quantity at one size.

    At each confidence ``low`` intervals lie below the exact value, ``high`` ones above it.
    ``apart`` are the estimates that bnstats marks unreliable, ``apart_missed`` those of them whose
    interval misses or is none. ``bins`` is the histogram of Φ(z) of the reliable ones.
    """

    trusted: int = 0
    low: list[int] = field(default_factory=per_confidence)
    high: list[int] = field(default_factory=per_confidence)
    apart: int = 0
    apart_missed: list[int] = field(default_factory=per_confidence)
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    n_eff: float = 0.0  # summed over all estimates

    def add(self, estimate: Estimate, reaches: Iterable[float]) -> None:
        self.n_eff += estimate.n_eff
        self.trusted += estimate.reliable
        self.apart += not estimate.reliable
        for i, reach in enumerate(reaches):
            low, high = sides_missed(estimate, reach)
            if estimate.reliable:
                self.low[i] += low
                self.high[i] += high
            else:
                self.apart_missed[i] += low or high or estimate.stderr is None
        if estimate.reliable and estimate.z is not None:
            u = math.erfc(-estimate.z / math.sqrt(2)) / 2
            self.bins[min(int(u * BINS), BINS - 1)] += 1

    def __add__(self, other: Count) -> Count:
        def total(a: Any, b: Any) -> Any:
            return [x + y for x, y in zip(a, b, strict=True)] if isinstance(a, list) else a + b

        return Count(**{k: total(v, getattr(other, k)) for k, v in asdict(self).items()})


def sides_missed(estimate: Estimate, reach: float) -> tuple[bool, bool]:
    """Return whether ±``reach`` standard errors lie below, and whether above, the exact value."""
    exact, interval = estimate.exact, estimate.interval_at(reach)
    if exact is None or interval is None:
        return False, False
    return interval[1] < exact.value - exact.error, interval[0] > exact.value + exact.error


Counts = dict[int, dict[str, Count]]  # by size and quantity


def no_counts(sizes: Iterable[int], names: Iterable[str]) -> Counts:
    names = tuple(names)
    return {n: {name: Count() for name in names} for n in sizes}


@lru_cache(maxsize=1)
def bound(text: str) -> tuple[Spec, dict[str, Exact], float]:
    """Return a layer, the exact values of what is measured, and the pivot of y."""
    spec = parse(text)
    exact = exact_values(spec.bound, STANDARD)
    known = {name: exact[name] for name in MEASURED if name in exact}
    return spec, known, y_pivot(spec.bound, STANDARD)


class Job(NamedTuple):
    """Some replications of one layer at one size, the smaller sizes within them included."""

    layer: str
    sampler: str
    seed: int
    size: int
    replications: range


def replicate(job: Job) -> tuple[Counts, float]:
    """Count what becomes of the intervals; return the CPU seconds as well."""
    begin = time.process_time()
    _, exact, _ = bound(job.layer)
    counts = no_counts((n for n in SIZES[job.sampler] if n <= job.size), exact)
    for n, tally in tallies(job):
        found = Estimator(exact, CONFIDENCES[0]).estimates(tally)
        reaches = {d: [quantile(c, m) for c in CONFIDENCES] for d, m in tally.items()}
        for name, counted in counts[n].items():
            counted.add(found[name], reaches[QUANTITIES[name].direction])
    return counts, time.process_time() - begin


def tallies(job: Job) -> Iterator[tuple[int, Tally]]:
    """Yield the draws and the tally of every run, of every size, that the replications hold."""
    one = {"iid": iid_tallies, "sobol": sobol_tallies}[job.sampler]
    for replication in job.replications:
        yield from one(job, replication)


def iid_tallies(job: Job, replication: int) -> Iterator[tuple[int, Tally]]:
    """Yield chunks of the smallest size and what merges eight of a size into one of the next."""
    spec, _, pivot = bound(job.layer)
    how, units = Sampling(seed=job.seed), count(UNITS * replication)

    def chunk(draws: int) -> Tally:
        return chunk_tally(spec, how, pivot, Chunk(next(units), 0, draws))

    sizes = SIZES["iid"]
    whole = chunk(sizes[0])
    yield sizes[0], whole
    for small, large in pairwise(n for n in sizes if n <= job.size):
        parts = [whole]
        for _ in range(large // small - 1):
            parts.append(chunk(small))
            yield small, parts[-1]
        whole = reduce(merge_tallies, parts)
        yield large, whole


def sobol_tallies(job: Job, replication: int) -> Iterator[tuple[int, Tally]]:
    """Yield the levels of one run that are among the sizes."""
    levels: list[Tally] = []

    def note(tally: Tally) -> bool:
        levels.append(tally)
        return False

    how = Sampling(seed=SEEDS * job.seed + replication, sampler="sobol")
    run(bound(job.layer)[0], how, job.size, enough=note)  # asked at every level
    sizes = (REPLICATES << level for level in count(MIN_LEVEL))
    for n, tally in zip(sizes, levels, strict=False):
        if n in SIZES["sobol"]:
            yield n, tally

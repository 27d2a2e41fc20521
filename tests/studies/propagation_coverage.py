"""How often the intervals of `bnstats propagate` hold, for networks whose exact law is known.

    python tests/studies/propagation_coverage.py [--replications 4000] [--seed 0] [--out results]
                                                 [--render]

Writes the part ``coverage`` of propagation.json and, from that alone, propagation.md; --render does
only the latter.

A ReLU network with He's weights multiplies |x|² by independent F = (2/n)·χ²_K, K ~ Bin(n, ½), and
|dy|² by factors of the same law; a linear one by χ²_n/n. Mean squares are drawn from these laws and
go through the code that propagate uses; that its engines draw from them is what the tests show.

Whether an ensemble is called reliable depends on the sample. Were it judged by the networks that
its interval is made of, those samples would be called so, where chance decides it, that have missed
the tails: their intervals are too short, and hold in 65 to 90 % of all cases. No rule of that kind
is free of this: the standard error that it bounds is the length of the interval. So a fourth of the
networks decides, and the others make the interval.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from propagation_report import render, write
from scipy import special, stats

from bnstats.networks.estimates import sides
from bnstats.networks.propagation import Interval
from bnstats.networks.reduce import Direction

WIDTHS, DEPTHS, NETWORKS = (16, 64, 512), (1, 10, 30, 100), (10, 100, 400, 1000)
CONFIDENCE = 0.95


class Coverage(NamedTuple):
    """Of one kind of network: how many intervals there were, and how many held."""

    kind: str
    width: int
    depth: int
    networks: int
    typical: tuple[int, int]
    reliable: tuple[int, int]
    unreliable: tuple[int, int]


def ln_factors(kind: str, width: int, shape: tuple[int, ...], generator: Any) -> Any:
    """Draw ln F of a layer; −inf where all units are off."""
    if kind == "linear":
        return np.log(generator.chisquare(width, shape) / width)
    on = generator.binomial(width, 0.5, shape)
    with np.errstate(divide="ignore"):
        return np.log(2 / width * generator.chisquare(np.maximum(on, 1)) * (on > 0))


def truth(kind: str, width: int, depth: int) -> float:
    """Return the root mean square of a typical network, exp(½·E[ln M | M > 0])."""
    first = math.log(2 / width) + special.digamma(width / 2)
    if kind == "linear":
        return math.exp((depth + 1) * first / 2)
    on = np.arange(1, width + 1)
    p = stats.binom.pmf(on, width, 0.5)
    of_layer = p @ (np.log(4 / width) + special.digamma(on / 2)) / p.sum()
    return float(math.exp((depth * of_layer + first) / 2))


def cover(kind: str, width: int, depth: int, ln: Any) -> Coverage:
    """Count the intervals that hold for ln M of (networks, replications)."""
    networks, replications = ln.shape
    none = [math.nan] * replications
    found = list(sides(Direction.of(ln, [0]), (none, none), CONFIDENCE))
    typical = truth(kind, width, depth)
    # E[M] = 1: He's weights keep the mean, of dead networks too
    return Coverage(
        kind,
        width,
        depth,
        networks,
        counted((s.typical.interval for s in found), typical),
        counted((s.ensemble.interval for s in found if s.ensemble.reliable), 1.0),
        counted((s.ensemble.interval for s in found if not s.ensemble.reliable), 1.0),
    )


def drawn(kind: str, width: int, replications: int, seed: int) -> dict[int, Any]:
    """Return ln M by depth, each (networks, replications); deeper networks continue others."""
    generator = np.random.Generator(np.random.SFC64([seed, len(kind), width]))
    shape, found = (max(NETWORKS), replications), {}
    ln = np.log(generator.chisquare(width, shape) / width)
    for depth in range(1, max(DEPTHS) + 1):
        ln += ln_factors(kind, width, shape, generator)
        if depth in DEPTHS:
            found[depth] = ln.copy()
    return found


def counted(intervals: Iterator[Interval | None], true: float) -> tuple[int, int]:
    """Return how many intervals hold, and of how many."""
    held = [ends is not None and ends[0] <= true <= ends[1] for ends in intervals]
    return sum(held), len(held)


def rows(replications: int, seed: int) -> Iterator[Coverage]:
    """Yield the coverage of every combination; fewer networks are the first ones of more."""
    for kind, width in itertools.product(("relu", "linear"), WIDTHS):
        for depth, ln in drawn(kind, width, replications, seed).items():
            for networks in NETWORKS:
                yield cover(kind, width, depth, ln[:networks])


def main(argv: Sequence[str] | None = None) -> None:
    """Count, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--render", action="store_true", help="only rewrite propagation.md")
    options = parser.parse_args(argv)
    if options.render:
        render(options.out)
        return
    found = [row._asdict() for row in rows(options.replications, options.seed)]
    record = {"replications": options.replications, "seed": options.seed, "rows": found}
    write(options.out, "coverage", record)


if __name__ == "__main__":
    main()

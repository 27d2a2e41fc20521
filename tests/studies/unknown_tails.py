"""Coverage of unflagged intervals of σ[y] and E[y] where theory knows no fourth moment.

For each law of y, each moment and each number of draws: the share of all 95 % intervals that miss,
of the replications that are not flagged, and of those that miss among them, by the rule of
`bnstats.statistics.tails` and by the sample's own effective draws alone. Every replication pairs
its draws with one of 100 independent sets of draws that tell the tail. Writes tails.json, and
tails.md from it alone.

    python tests/studies/unknown_tails.py [--out results] [--law t3] [--sizes 1000 10000]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from unknown_tails_report import markdown

from bnstats.backends import numpy_backend
from bnstats.layers import LAYERS, STANDARD, BoundLayer, ExactMoments, Input
from bnstats.sampling.tails import tails
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import MIN_N_EFF, Estimator
from bnstats.statistics.moments import of
from bnstats.version import __version__

Moment: TypeAlias = Literal["mean", "std"]
SIZES = (500, 1000, 2000, 5000, 10_000, 100_000)
_PROBES = 100
_MOST_NUMBERS = 2e8  # of one cell


class LawOfY(NamedTuple):
    """How y follows from independent normals, of which there are ``inputs``; its mean and σ."""

    inputs: int
    value: Callable[[Any, Any], Any]
    mean: float
    std: float


def student(freedom: int) -> LawOfY:
    def value(xp: Any, x: Any) -> Any:
        return x[0] * (freedom / xp.sum(x[1:] ** 2, axis=0)) ** 0.5

    return LawOfY(freedom + 1, value, 0.0, math.sqrt(freedom / (freedom - 2)))


def lognormal(scale: float) -> LawOfY:
    mean = math.exp(scale * scale / 2)
    std = mean * math.sqrt(math.expm1(scale * scale))
    return LawOfY(1, lambda xp, x: xp.exp(scale * x[0]), mean, std)


def product(factors: int) -> LawOfY:
    return LawOfY(factors, lambda xp, x: xp.prod(x, axis=0), 0.0, 1.0)


def power(p: float) -> LawOfY:
    def moment(q: float) -> float:  # E[|x|^q]
        return 2 ** (q / 2) * math.gamma((q + 1) / 2) / math.sqrt(math.pi)

    std = math.sqrt(moment(2 * p) - moment(p) ** 2)
    return LawOfY(1, lambda xp, x: xp.abs(x[0]) ** p, moment(p), std)


def grown(divisor: float) -> LawOfY:
    def moment(q: float) -> float:  # E[exp(q·x²)]
        return (1 - 2 * q) ** -0.5

    std = math.sqrt(moment(2 / divisor) - moment(1 / divisor) ** 2)
    return LawOfY(1, lambda xp, x: xp.exp(x[0] ** 2 / divisor), moment(1 / divisor), std)


def tail_of_normal(at: float) -> LawOfY:
    """Return the law of max(x − at, 0), mostly 0."""
    beyond = 0.5 * math.erfc(at / math.sqrt(2))
    density = math.exp(-0.5 * at * at) / math.sqrt(2 * math.pi)
    mean, square = density - at * beyond, (1 + at * at) * beyond - at * density
    std = math.sqrt(square - mean * mean)
    return LawOfY(1, lambda xp, x: xp.maximum(x[0] - at, 0.0), mean, std)


def bump(width: float) -> LawOfY:
    mean, square = (width**2 / (k + width**2) for k in (1, 2))
    std = math.sqrt(square - mean * mean)
    return LawOfY(2, lambda xp, x: xp.exp(-0.5 * xp.sum(x * x, axis=0) / width**2), mean, std)


def event(share: float) -> LawOfY:
    """Return the law of 1 with a small chance, else 0: |x| below some quantile."""
    from scipy.special import ndtri

    most = float(ndtri(0.5 + share / 2))
    std = math.sqrt(share * (1 - share))
    return LawOfY(1, lambda xp, x: 1.0 * (xp.abs(x[0]) < most), share, std)


def folded_sum(count: int) -> LawOfY:
    """Return the law of a mean of squares: light, and skewed the less the more there are."""
    return LawOfY(count, lambda xp, x: xp.mean(x * x, axis=0), 1.0, math.sqrt(2 / count))


LAWS: dict[str, LawOfY] = {
    "normal": LawOfY(1, lambda xp, x: x[0], 0.0, 1.0),
    "uniform": LawOfY(2, lambda xp, x: xp.exp(-0.5 * xp.sum(x * x, axis=0)), 0.5, 12**-0.5),
    "relu": tail_of_normal(0.0),
    "max(x - 2, 0)": tail_of_normal(2.0),
    "chi-squared 1": folded_sum(1),
    "chi-squared 8": folded_sum(8),
    **{f"t{v}": student(v) for v in (3, 4, 5, 6, 7, 8, 10)},
    **{f"lognormal {s:g}": lognormal(s) for s in (0.25, 0.5, 0.75, 1.0, 1.5)},
    **{f"product of {k}": product(k) for k in (2, 3, 4, 6)},
    **{f"exp(x^2/{k:g})": grown(k) for k in (5.0, 10.0)},
    **{f"|x|^{p:g}": power(p) for p in (-0.3, -0.2, 3.0, 5.0)},
    "bump 0.02": bump(0.02),
    "bump 0.2": bump(0.2),
    "one in 100": event(0.01),
    "one in 1000": event(0.001),
}


def as_spec(name: str) -> Spec:
    """Return a law as a layer without exact values."""

    def forward(xp: Any, draws: Any) -> Any:
        y = LAWS[name].value(xp, draws["x"])
        return y, lambda dy: dy * y

    inputs = {"x": Input((LAWS[name].inputs,)), "dy": Input()}
    bound = BoundLayer(inputs, forward, lambda law, expect: ExactMoments())
    return Spec(name, LAYERS["identity"], bound)


class Cell(NamedTuple):
    """Of one law, moment and number of draws: replications, and what became of their intervals."""

    moment: Moment
    law: str
    draws: int
    replications: int
    missed: int
    unflagged: int
    unflagged_missed: int
    own_unflagged: int
    own_unflagged_missed: int


def cell(name: str, moment: Moment, draws: int, replications: int) -> Cell:
    """Draw a law so many times so often, and count."""
    order: Literal[1, 2] = 1 if moment == "mean" else 2
    law, spec = LAWS[name], as_spec(name)
    probes = [tails(spec, STANDARD, ("y",), draws, seed)["y"] for seed in range(_PROBES)]
    count = int(min(replications, _MOST_NUMBERS / draws / law.inputs))
    rng = np.random.default_rng([draws, list(LAWS).index(name)])
    missed, own, kept = np.zeros((3, count), bool)
    for i in range(count):
        values = law.value(numpy_backend, rng.standard_normal((law.inputs, draws)))
        found = Estimator().estimates({"y": of(numpy_backend, values, 0.0)})[f"{moment}_y"]
        low, high = found.interval or (0.0, math.inf)
        missed[i], own[i] = not low <= getattr(law, moment) <= high, found.reliable
        kept[i] = own[i] and probes[i % _PROBES].effective(draws, order) >= MIN_N_EFF
    of_missed = (int(np.count_nonzero(which)) for which in (missed, kept, missed & kept))
    of_own = (int(np.count_nonzero(which)) for which in (own, missed & own))
    return Cell(moment, name, draws, count, *of_missed, *of_own)


def main() -> None:
    """Count, and write what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--render", action="store_true", help="only rewrite tails.md")
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--law", choices=LAWS, action="append")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    path = given.out / "tails.json"
    if given.render:
        found = json.loads(path.read_text("utf-8"))["cells"]
        path.with_suffix(".md").write_text(markdown(found), "utf-8")
        return
    cells = []
    for moment in get_args(Moment):
        for name in given.law or LAWS:
            for draws in given.sizes:
                cells.append(cell(name, moment, draws, given.replications)._asdict())
                print(cells[-1], flush=True)
    lines = ",\n".join(json.dumps(found) for found in cells)
    record = f'{{"bnstats": "{__version__}", "cells": [\n{lines}\n]}}\n'
    path.write_text(record, "utf-8")
    path.with_suffix(".md").write_text(markdown(cells), "utf-8")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

"""Coverage of unflagged intervals, and failures of right claims, for functions of the user's.

Prints a table: for each function, sampler and size, how many estimates are not flagged, and
of these the share of nominal 95 % intervals that miss, with its binomial error.

    python tests/studies/user_functions.py [--replications 300]
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import mpmath as mp
import numpy as np

import bnstats
from bnstats.layers import BoundLayer, ExactMoments, Input


def _event(shape: tuple[int, ...], f: Any) -> BoundLayer:
    def forward(xp: Any, draws: Any) -> Any:
        y = f(xp, draws["x"])
        return y, lambda dy: dy * y

    inputs = {"x": Input(shape), "dy": Input()}
    return BoundLayer(inputs, forward, lambda law, expect: ExactMoments())


@bnstats.register
def grown(xp: Any, x: Any) -> Any:
    y = xp.exp(x * x / 5)
    return y, 0.4 * x * y


@bnstats.register(breakpoints=(0.0,))
def root(xp: Any, x: Any, *, p: float) -> Any:
    size = xp.abs(x)
    return size**p, xp.sign(x) * p * size ** (p - 1)


@bnstats.register
def bump() -> BoundLayer:
    return _event((2,), lambda xp, x: xp.exp(-0.5 * (x[0] ** 2 + x[1] ** 2) / 0.02**2))


@bnstats.register
def lognormal() -> BoundLayer:
    return _event((), lambda xp, x: xp.exp(x))


@bnstats.register
def product() -> BoundLayer:
    return _event((6,), lambda xp, x: x[0] * x[1] * x[2] * x[3] * x[4] * x[5])


def _bump_square() -> float:
    return 0.02**2 / (2 + 0.02**2)


_P = 0.02**2 / (1 + 0.02**2)
TRUE = {
    ("grown", "std_y"): math.sqrt(0.2**-0.5 - 0.6**-1),
    ("grown", "std_dx"): math.sqrt(0.16 * 0.2**-1.5),
    ("root:p=0.75", "std_dx"): float(0.75 * mp.sqrt(2**-0.25 * mp.gamma(0.25) / mp.sqrt(mp.pi))),
    ("bump", "mean_y"): _P,
    ("bump", "std_y"): math.sqrt(_bump_square() - _P * _P),
    ("lognormal", "std_y"): math.sqrt((math.e - 1) * math.e),
    ("product", "std_y"): 1.0,
}
SIZES = {"iid": (10_000, 100_000), "sobol": (2**17,)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=300)
    count = parser.parse_args().replications
    print("| layer | quantity | sampler | draws | not flagged | of these missed (nominal 5 %) |")
    print("|---|---|---|--:|--:|--:|")
    for layer in dict.fromkeys(layer for layer, _ in TRUE):
        names = [name for spec, name in TRUE if spec == layer]
        for sampler, sizes in SIZES.items():
            for size in sizes:
                kept, missed = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
                for seed in range(count):
                    found = bnstats.compute(layer, samples=size, seed=seed, sampler=sampler)
                    for name in names:
                        e = found.quantities[name]
                        if e.reliable and e.interval is not None:
                            kept[name] += 1
                            low, high = e.interval
                            missed[name] += not low <= TRUE[layer, name] <= high
                for name in names:
                    shown = "–"
                    if kept[name]:
                        share = missed[name] / kept[name]
                        error = math.sqrt(share * (1 - share) / kept[name])
                        shown = f"{100 * share:.1f} ± {100 * error:.1f} %"
                    kept_text = f"{kept[name]} of {count}"
                    print(f"| `{layer}` | {name} | {sampler} | {size} | {kept_text} | {shown} |")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

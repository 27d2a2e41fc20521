"""Bias of the draws' and layers' arithmetic, measured against float64 throughout.

    python tests/studies/bias.py [--chunks 16] [--seed 0] [--out results] [--render] [SPEC...]

The engine's draws and the same random integers sent through float64 transforms differ by rounding
alone, so a bias shows at a precision that no comparison of independent runs reaches. Writes
bias.json and bias.md; exits 1 where a bias exceeds its bar.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from report_text import wrapped

from bnstats.layers import STANDARD
from bnstats.sampling import iid as sampling
from bnstats.sampling.iid import chunk_draws
from bnstats.sampling.layout import Chunk
from bnstats.sampling.run import chunk_tally, y_pivot
from bnstats.sampling.settings import DType, Sampling
from bnstats.specs.spec import Spec, parse
from bnstats.tables.constants import table_specs

BARS: dict[DType, float] = {"float64": 1e-8, "float32": 1e-7}
QUANTITIES = ("E[y]/σ[y]", "σ[y]", "σ[dx]")
SHOWN = 8

Bias = tuple[float, float]  # relative, and its standard error


class Float64Normals:
    """Stands in for the engine's normals: the same integers, every operation in float64."""

    def __init__(self, capacity: int, dtype: DType) -> None:
        del capacity, dtype

    def draw(self, generator: np.random.Generator, count: int) -> Any:
        row = sampling._SHIFTS
        pairs = -(-count // (2 * row)) * row
        bits = generator.integers(0, 2**64, pairs // 2, dtype=np.uint64).view(np.uint16)
        radial, angular = generator.random((2, row))
        u = bits[:pairs].reshape(-1, row) + (radial + 2.0**-54)
        radius = np.sqrt(-2 * np.log(u.ravel() / 2**16))
        turns = (bits[pairs:].view(np.int16).reshape(-1, row) + angular) / 2**16
        angle = 2 * math.pi * (turns.ravel() + generator.random() - 0.5)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def moments(spec: Spec, how: Sampling, pivot: float, chunk: Chunk) -> tuple[float, float, float]:
    """Return E[y], σ[y] and σ[dx] of one chunk."""
    tally = chunk_tally(spec, how, pivot, chunk)
    y, dx = tally["y"], tally["dx"]
    std_y, std_dx = (math.sqrt(max(m.mean_b - m.mean_a**2, 0.0)) for m in (y, dx))
    return pivot + y.mean_a, std_y, std_dx


def biases(text: str, dtype: DType, seed: int, chunks: int) -> list[Bias]:
    """Return the relative bias of each quantity, and its standard error over chunks."""
    spec = parse(text)
    pivot, size = y_pivot(spec.bound, STANDARD), chunk_draws(spec.bound)
    rows = []
    for c in range(chunks):
        chunk = Chunk(c, 0, size)
        ours = moments(spec, Sampling(seed=seed, dtype=dtype), pivot, chunk)
        with mock.patch.object(sampling, "Normals", Float64Normals):
            true = moments(spec, Sampling(seed=seed), pivot, chunk)
        scales = (true[1], true[1], true[2])
        rows.append([(a - b) / s for a, b, s in zip(ours, true, scales, strict=True)])
    return [
        (statistics.fmean(column), statistics.stdev(column) / math.sqrt(chunks))
        for column in zip(*rows, strict=True)
    ]


def exceeded(bias: Bias, dtype: DType) -> bool:
    """Whether a bias exceeds its bar by more than chance, at four standard errors."""
    return abs(bias[0]) > BARS[dtype] + 4 * bias[1]


def markdown(record: dict[str, Any]) -> str:
    """Return the page, from the record in bias.json alone."""
    found, chunks = record["layers"], record["chunks"]
    lines = [
        "# Bias of the arithmetic",
        "",
        wrapped(verdict(found)),
        "",
        f"Mean over {chunks} chunks of the relative difference between the engine and float64",
        "throughout, on the same random integers; standard error in parentheses, both in units of",
        f"1e-9. Of each precision the {SHOWN} layers with the largest bias that is known to a",
        "quarter of its bar; [bias.json](bias.json) has all.",
        "",
    ]
    for dtype in BARS:
        lines += [
            f"## {dtype}",
            "",
            "| layer | " + " | ".join(QUANTITIES) + " |",
            "|---|" + "--:|" * len(QUANTITIES),
        ]
        for text in sorted(found, key=lambda text: -largest(found[text][dtype], dtype))[:SHOWN]:
            cells = (f"{1e9 * bias:+.2f} ({1e9 * error:.2f})" for bias, error in found[text][dtype])
            numbers = " | ".join(cells).replace("-", "−")
            lines.append(f"| `{text}` | {numbers} |")
        lines.append("")
    return "\n".join([*lines, "Written by `python tests/studies/bias.py`.", ""])


def known(row: Iterable[Bias], dtype: DType) -> list[float]:
    """Return the sizes of those biases that are known to a quarter of the bar."""
    return [abs(bias) for bias, error in row if 4 * error < BARS[dtype]]


def largest(row: Iterable[Bias], dtype: DType) -> float:
    return max(known(row, dtype), default=0.0)


def verdict(found: dict[str, dict[DType, list[Bias]]]) -> str:
    """Return the first lines of the page."""
    said, over = [], 0
    for dtype, bar in BARS.items():
        measured = [bias for row in found.values() for bias in row[dtype]]
        over += sum(exceeded(bias, dtype) for bias in measured)
        told = known(measured, dtype)
        said.append(
            f"in {dtype} the largest is {max(told, default=0.0):.1e} of the {len(told)} that are "
            f"known to a quarter of the bar of {bar:.0e}"
        )
    return (
        f"**{over or 'No'} bias of {len(found)} layers exceeds its bar by four standard errors**: "
        f"{'; '.join(said)}. The others are noisier, because rounding tips a maximum or a sign now "
        "and then."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("specs", nargs="*", help="layers, by default those of the table")
    parser.add_argument("--render", action="store_true", help="only rewrite bias.md")
    options = parser.parse_args()
    path = options.out / "bias.json"
    if options.render:
        record = json.loads(path.read_text(encoding="utf-8"))
        path.with_suffix(".md").write_text(markdown(record), encoding="utf-8")
        return 0
    found: dict[str, dict[DType, list[Bias]]] = {}
    for text in options.specs or table_specs():
        found[text] = {d: biases(text, d, options.seed, options.chunks) for d in BARS}
        worst = {d: max(abs(bias) for bias, _ in row) for d, row in found[text].items()}
        print(text, *(f"{d} {w:.1e}" for d, w in worst.items()), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"chunks": options.chunks, "seed": options.seed, "bars": BARS, "layers": found}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(record), encoding="utf-8")
    return int(any(exceeded(b, d) for row in found.values() for d in BARS for b in row[d]))


if __name__ == "__main__":
    sys.exit(main())

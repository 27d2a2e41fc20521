"""From propagation.json to propagation.md: how often intervals hold, how long runs take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]

BARS = {"typical": (0.94, 0.96), "reliable": (0.93, 0.97)}
MODELS_BAR, MATRICES_BAR, START_BAR = 1.3, 1.0, 0.3
_FAR = 3.0  # binomial standard errors


def write(folder: Path, part: str, record: Any) -> None:
    """Put a part in the place of the one that is there, and write the page anew."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "propagation.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found[part] = record
    text = json.dumps({name: found[name] for name in sorted(found)}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    render(folder)


def render(folder: Path) -> None:
    """Write the page anew, from the record alone."""
    found = json.loads((folder / "propagation.json").read_text(encoding="utf-8"))
    (folder / "propagation.md").write_text(page(found), encoding="utf-8")


def page(found: Record) -> str:
    """Return the page: what was found, in a few lines, and the tables."""
    parts = {"coverage": (coverage_verdict, coverage_table), "speed": (speed_verdict, speed_table)}
    lines = ["# bnstats propagate, measured", ""]
    for name, (verdict, _) in parts.items():
        lines += verdict(found[name]) if name in found else ()
    for name, (_, table) in parts.items():
        lines += table(found[name]) if name in found else ()
    return "\n".join(lines) + "\n"


def coverage_verdict(record: Record) -> Iterator[str]:
    """Yield what the intervals do, within the bars or not."""
    typical = [share(row["typical"]) for row in record["rows"]]
    judged = [row["reliable"] for row in record["rows"] if row["reliable"][1]]
    missed = [held for held in judged if misses(held, BARS["reliable"])]
    off = [row for row in record["rows"] if misses(row["typical"], BARS["typical"])]
    often = [share(held) for held in judged if held[1] >= record["replications"] / 20]
    pooled = [sum(numbers) for numbers in zip(*judged, strict=True)]
    yield (
        f"**Nominal 95 % intervals of the typical network hold in {100 * min(typical):.1f} to "
        f"{100 * max(typical):.1f} %** of {record['replications']:,} replications in each of "
        f"{len(typical)} cells; {len(off) or 'none'} is outside 94–96 % by more than chance."
    )
    yield (
        f"Those of ensembles called reliable hold in {100 * share(pooled):.1f} % of all cases, "
        f"and in {100 * min(often):.1f} to {100 * max(often):.1f} % of every cell where at least "
        f"5 % are called so; of all {len(judged)} cells {len(missed) or 'none'} is outside 93–97 % "
        "by more than chance (three binomial standard errors)."
    )


def coverage_table(record: Record) -> Iterator[str]:
    """Yield a line for each kind, width and depth, and a cell for each number of networks."""
    counts = sorted({row["networks"] for row in record["rows"]})
    yield from (
        "",
        "## How often intervals hold",
        "",
        "Of networks whose law is known exactly, in per cent: of the typical network, and of the "
        "ensemble where it is called reliable (how many replications are). The law is the same "
        "forward and backward. Fewer than 16 networks are never called reliable: a fourth of them "
        "decides, and four are needed.",
        "",
        "| | width | depth | " + " | ".join(f"{n:,} networks" for n in counts) + " |",
        "|---|--:|--:|" + "---|" * len(counts),
    )
    cells: dict[tuple[Any, ...], dict[int, str]] = {}
    for row in record["rows"]:
        key = row["kind"], row["width"], row["depth"]
        said = f"{100 * share(row['typical']):.1f}"
        among = row["reliable"][1]
        if among:
            said += f"; {rate(row['reliable'])} ({100 * among / record['replications']:.3g} %)"
        cells.setdefault(key, {})[row["networks"]] = said
    for key, line in cells.items():
        yield f"| {' | '.join(map(str, key))} | {' | '.join(line[n] for n in counts)} |"
    yield ""
    yield "Written by `python tests/studies/propagation_coverage.py`."


def speed_verdict(record: Record) -> Iterator[str]:
    """Yield the ratios, and whether they keep to the bars."""
    start, dense, resnet = (record[name] for name in ("start", "matrices", "resnet18"))
    more = start["all networks"] - start["one network"]
    ratio, models = dense["bnstats"] / dense["numpy loop"], resnet["bnstats"] / resnet["torch loop"]
    low, high = record["megabytes"].values()
    yield (
        f"Speed, at a load of {min(record['load']):.1f} to {max(record['load']):.1f} on "
        f"{record['processors']} processors: {start['networks']} networks of {start['depth']} × "
        f"{start['width']} take {more:.2f} CPU seconds more than one (bar {START_BAR}: "
        f"{kept(more, START_BAR)}); with matrices {ratio:.2f} of a numpy loop (bar {MATRICES_BAR}: "
        f"{kept(ratio, MATRICES_BAR)}); a watched resnet18 {models:.2f} of a bare torch loop (bar "
        f"{MODELS_BAR}: {kept(models, MODELS_BAR)}). Peak memory: {low:.0f} and {high:.0f} MB for "
        "1,000 and 20,000 networks."
    )


def speed_table(record: Record) -> Iterator[str]:
    """Yield the medians of every contender."""
    yield from ("", "## How long runs take", "", "| | CPU seconds |", "|---|--:|")
    for name in ("start", "matrices", "resnet18"):
        for contender, value in record[name].items():
            if isinstance(value, float):
                yield f"| {name}: {contender} | {value:.3f} |"
    yield ""
    yield (
        f"Medians of {record['rounds']} rounds in which contenders take turns, all in one thread. "
        "Written by `python tests/studies/propagation_speed.py`."
    )


def kept(value: float, bar: float) -> str:
    """Say whether a number keeps to its bar."""
    return "kept" if value <= bar else "missed"


def share(held: tuple[int, int]) -> float:
    """Return the share of intervals that hold."""
    return held[0] / held[1]


def error(held: tuple[int, int]) -> float:
    """Return the binomial standard error of a share, never 0."""
    p = share(held)
    return math.sqrt(max(p * (1 - p), 1 / held[1]) / held[1])


def rate(held: tuple[int, int]) -> str:
    """Write a share in per cent with its error.

    >>> rate((90, 100))
    '90.0 ± 3.0'
    """
    return f"{100 * share(held):.1f} ± {100 * error(held):.1f}"


def misses(held: tuple[int, int], bar: tuple[float, float]) -> bool:
    """Whether a share is outside of its bar by more than chance."""
    p, far = share(held), _FAR * error(held)
    return p + far < bar[0] or p - far > bar[1]

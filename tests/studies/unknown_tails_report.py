"""results/tails.md, from the counts of unknown_tails.py alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from report_text import wrapped

Counts: TypeAlias = Mapping[str, Any]

FEW = 0.2  # of the replications: where fewer pass, those that do are chosen by their own errors
TOO_MANY = 7.0  # per cent
SHOWN = 24  # laws


def markdown(cells: Sequence[Counts]) -> str:
    """Write the page: the verdict, then those laws of which most intervals miss."""
    often = [c for c in cells if c["unflagged"] >= FEW * c["replications"]]
    rarely = [c for c in cells if 0 < c["unflagged"] < FEW * c["replications"]]
    return "\n".join(
        [
            "# Intervals where theory knows no fourth moment",
            "",
            wrapped(
                f"**Of {len(cells)} cells (a law, a moment, a number of draws) {len(often)} leave "
                f"a fifth of their 95 % intervals or more unflagged**: {_worst(often)}. "
                f"{len(rarely)} leave fewer: {_worst(rarely)}; these are chosen by chance, as the "
                "tail that was looked at was lighter than it is. In "
                f"{len(cells) - len(often) - len(rarely)} every interval is flagged."
            ),
            "",
            wrapped(
                "Written by `python tests/studies/unknown_tails.py`; all cells are in "
                "[tails.json](tails.json). For each law the number of draws counts at which most "
                f"unflagged intervals miss; here are the {SHOWN} with the most. *own rule*: had "
                "the sample judged itself by its effective draws. Nominal are 5 %."
            ),
            "",
            "| moment | law of y | draws | miss, % | unflagged, % | these miss, % | own rule, % |",
            "|---|---|--:|--:|--:|--:|--:|",
            *_rows(cells),
            "",
        ]
    )


def share(hits: int, among: int) -> float:
    """Return a share in per cent; NaN of nothing."""
    return 100 * hits / among if among else math.nan


def _missed(c: Counts) -> float:
    found = share(c["unflagged_missed"], c["unflagged"])
    return -1.0 if math.isnan(found) else found


def _worst(cells: Sequence[Counts]) -> str:
    if not cells:
        return "none"
    worst = max(cells, key=_missed)
    over = sum(_missed(c) > TOO_MANY for c in cells)
    name = "σ" if worst["moment"] == "std" else "E"
    return (
        f"over {TOO_MANY:g} % of these miss in {over}, at worst {_missed(worst):.1f} % "
        f"({name}[y], {worst['law']}, {worst['draws']:,} draws)"
    )


def _rows(cells: Iterable[Counts]) -> Iterator[str]:
    by_law = groupby(cells, key=lambda c: (c["moment"], c["law"]))
    worst = [max(group, key=_missed) for _, group in by_law]
    for c in sorted(worst, key=_missed, reverse=True)[:SHOWN]:
        moment, law = c["moment"], c["law"]
        name = "σ[y]" if moment == "std" else "E[y]"
        pairs = (
            (c["missed"], c["replications"]),
            (c["unflagged"], c["replications"]),
            (c["unflagged_missed"], c["unflagged"]),
            (c["own_unflagged_missed"], c["own_unflagged"]),
        )
        shown = " | ".join(_with_error(*pair) for pair in pairs)
        # a bar would end the cell
        yield f"| {name} | {law.replace('|', chr(92) + '|')} | {c['draws']:,} | {shown} |"


def _with_error(hits: int, among: int) -> str:
    if not among:
        return "–"
    p = hits / among
    error = math.sqrt(max(p * (1 - p), 1 / among) / among)
    return f"{100 * p:.1f} ± {100 * error:.1f}"

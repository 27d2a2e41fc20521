"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bnstats.report.page import aligned
from bnstats.report.rows import (
    estimate_cell,
    exact_cell,
    interval_cell,
    interval_title,
    is_sampled,
    quantity_rows,
    z_cell,
)
from bnstats.statistics.quantities import QUANTITIES


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it reads well as text; | is escaped."""
    cells = [list(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    padded = aligned(cells)
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (len(cell) + 2) for cell in padded[0]) + "|")
    return "\n".join(lines)


def render(document: Mapping[str, Any]) -> str:
    """Return the document's quantities as a Markdown table."""
    if not is_sampled(document):
        rows = (
            (f"`{r['layer']}`", QUANTITIES[name].symbol, exact_cell(entry))
            for r in document["results"]
            for name, entry in quantity_rows(r)
        )
        return table(("layer", "quantity", "exact"), rows)
    interval = interval_title(document["provenance"])
    header = ("layer", "quantity", "estimate(SE)", interval, "exact", "z")
    return table(
        header,
        (
            (
                f"`{r['layer']}`",
                QUANTITIES[name].symbol,
                estimate_cell(entry),
                interval_cell(entry),
                exact_cell(entry),
                z_cell(entry),
            )
            for r in document["results"]
            for name, entry in quantity_rows(r)
        ),
    )

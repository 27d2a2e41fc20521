"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bnstats.report import rows
from bnstats.report.page import aligned
from bnstats.statistics.quantities import ALL_QUANTITIES


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it reads well as text; | is escaped."""
    cells = [list(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    padded = aligned(cells)
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (len(cell) + 2) for cell in padded[0]) + "|")
    return "\n".join(lines)


def render(document: Mapping[str, Any]) -> str:
    """Return the document's quantities as a Markdown table."""
    columns = {"exact": rows.exact_cell}
    if rows.is_sampled(document):
        interval = rows.interval_title(document["provenance"])
        columns = {"estimate(SE)": rows.estimate_cell, interval: rows.interval_cell} | columns
        columns["z"] = rows.z_cell
    lines = (
        (
            f"`{r['layer']}`",
            ALL_QUANTITIES[name].symbol,
            *(cell(entry) for cell in columns.values()),
        )
        for r in document["results"]
        for name, entry in rows.quantity_rows(r, document["provenance"])
    )
    return table(("layer", "quantity", *columns), lines)

"""Markdown: paragraphs and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bnstats.report import rows
from bnstats.report.page import aligned
from bnstats.statistics.quantities import ALL_QUANTITIES

_COLUMNS = 98


def paragraph(text: str) -> str:
    """Fold a text so that it reads well as text; a link or a word stays whole."""
    return textwrap.fill(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it reads well as text; | is escaped."""
    cells = [list(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    padded = aligned(cells)
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (len(cell) + 2) for cell in padded[0]) + "|")
    return "\n".join(lines)


def render(document: Mapping[str, Any]) -> str:
    """Return the document's quantities as a Markdown table.

    Of one layer, every quantity has a row; of several, every layer has one, whose cells hold the
    estimate, or the exact value where nothing was sampled.
    """
    sampled, results = rows.is_sampled(document), document["results"]
    if len(results) > 1:
        names = rows.paper_columns(document)
        cell = _marked if sampled else rows.exact_cell
        lines = (
            (f"`{r['layer']}`", *(cell(r[n]) if n in r else "" for n in names)) for r in results
        )
        return table(("layer", *(ALL_QUANTITIES[name].symbol for name in names)), lines)
    columns = {"exact": rows.exact_cell}
    if sampled:
        interval = rows.interval_title(document["provenance"])
        columns = {"estimate(SE)": rows.estimate_cell, interval: rows.interval_cell} | columns
        columns["z"] = rows.z_cell
    lines = (
        (f"`{r['layer']}`", ALL_QUANTITIES[name].symbol, *(cell(e) for cell in columns.values()))
        for r in results
        for name, e in rows.quantity_rows(r, document["provenance"])
    )
    return table(("layer", "quantity", *columns), lines)


def _marked(entry: Mapping[str, Any]) -> str:
    return f"{rows.estimate_cell(entry)}{'' if rows.is_believable(entry) else ' unreliable'}"

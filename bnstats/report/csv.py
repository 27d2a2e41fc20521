"""CSV: a row for every quantity of every layer, numbers unrounded; sampled or exact ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from bnstats.report.rows import is_sampled, quantity_rows
from bnstats.statistics.quantities import ALL_QUANTITIES

_SAMPLED = ("value", "stderr", "low", "high", "exact", "exact_error", "z", "samples", "reliable")
_EXACT = ("exact", "exact_error")


def render(document: Mapping[str, Any]) -> str:
    """Return the document's quantities as CSV."""
    columns = _SAMPLED if is_sampled(document) else _EXACT
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("layer", "quantity", *columns))
    for result in document["results"]:
        for name, entry in quantity_rows(result, document["provenance"], ALL_QUANTITIES):
            low, high = entry.get("interval") or (None, None)
            exact = entry["exact"] or {}
            cells = dict(entry) | {
                "low": low,
                "high": high,
                "exact": exact.get("value"),
                "exact_error": exact.get("error"),
                "samples": result.get("samples"),
                "reliable": str(entry.get("reliable")).lower(),
            }
            writer.writerow((result["layer"], name, *(cells[column] for column in columns)))
    return out.getvalue()[:-1]

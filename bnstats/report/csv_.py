"""CSV: a row for every quantity of every layer, numbers unrounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from bnstats.quantities import QUANTITIES

_COLUMNS = ("layer", "quantity", "value", "stderr", "low", "high", "exact", "exact_error", "z")


def render(document: Mapping[str, Any]) -> str:
    """Return the document's quantities as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*_COLUMNS, "samples"))
    for result in document["results"]:
        for name in (n for n in QUANTITIES if n in result):
            entry = result[name]
            low, high = entry.get("interval") or (None, None)
            exact = entry["exact"] or {"value": None, "error": None}
            sampled = (entry.get("value"), entry.get("stderr"), low, high)
            known = (exact["value"], exact["error"], entry.get("z"), result.get("samples"))
            writer.writerow((result["layer"], name, *sampled, *known))
    return out.getvalue()[:-1]

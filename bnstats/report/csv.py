"""CSV, tidy: a row for every quantity of every layer, numbers unrounded; sampled or exact ones.

Whatever a row depends on has a column of its own: the layer's parameters, the law of its inputs,
and how it was sampled.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from bnstats.report.rows import is_sampled, quantity_rows
from bnstats.statistics.quantities import ALL_QUANTITIES

_SAMPLED = ("value", "stderr", "low", "high", "exact", "exact_error", "z", "reliable", "samples")
_EXACT = ("exact", "exact_error")
_HOW = ("sampler", "seed", "dtype", "backend")


def render(document: Mapping[str, Any]) -> str:
    """Return the document's quantities as CSV."""
    provenance, results = document["provenance"], document["results"]
    columns, how = (_SAMPLED, _HOW) if is_sampled(document) else (_EXACT, ())
    common = provenance.get("law", {}) | {name: provenance[name] for name in how}
    taken = {"layer", "quantity", *_SAMPLED, *_HOW, *common}
    names = dict.fromkeys(name for result in results for name in result["parameters"])
    # Where a layer's parameter is called as one of the columns is, such as threshold's value.
    parameters = {name: f"param_{name}" if name in taken else name for name in names}
    rows = [("layer", *parameters.values(), "quantity", *columns, *common)]
    for result in results:
        given = [_cell(result["parameters"].get(name)) for name in parameters]
        for name, entry in quantity_rows(result, provenance, ALL_QUANTITIES):
            cells = cells_of(entry) | {"samples": result.get("samples")}
            known = (cells[column] for column in columns)
            rows.append((result["layer"], *given, name, *known, *common.values()))
    return written(rows)


def written(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV, without the end of the last line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()[:-1]


def cells_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a quantity, by the names of columns."""
    low, high = entry.get("interval") or (None, None)
    exact = entry["exact"] or {}
    return {
        **entry,
        "low": low,
        "high": high,
        "exact": exact.get("value"),
        "exact_error": exact.get("error"),
        "reliable": _cell(entry.get("reliable")),
    }


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value

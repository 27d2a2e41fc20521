"""Sweeps in every format: text, csv, markdown and latex; json is the document itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnstats.notation import concise, exact_text, signed, with_bound
from bnstats.report.csv import cells_of, written
from bnstats.report.json import render as render_json
from bnstats.report.latex import symbol, tabular, typed
from bnstats.report.markdown import table
from bnstats.report.page import PIPED, Page, aligned
from bnstats.report.rows import error_title
from bnstats.statistics.quantities import ALL_QUANTITIES

_COLUMNS = ("value", "stderr", "low", "high", "exact", "exact_error")


def render(
    format_: str, document: Mapping[str, Any], page: Page = PIPED, *, rows: bool = True
) -> str:
    """Return a document of a sweep as text, json, csv, markdown or latex.

    Parameters
    ----------
    format_
        Which of them.
    document
        What `bnstats.networks.documents.sweep_document` returns.
    page
        That of text.
    rows
        Whether text shows the values, or only what was sought.
    """
    if format_ == "json":
        return render_json(document)
    if format_ == "csv":
        return _csv(document)
    if format_ == "markdown":
        return _with_solutions(table(_header(document), _rows(document)), document)
    if format_ == "latex":
        return _latex(document)
    return "\n\n".join("\n".join(_block(r, document, page, rows=rows)) for r in document["results"])


def _names(document: Mapping[str, Any]) -> Sequence[str]:
    names: Sequence[str] = document["provenance"]["quantities"]
    return names


def _parameter(document: Mapping[str, Any]) -> str:
    return next((str(r["over"]) for r in document["results"]), "")


def _header(document: Mapping[str, Any]) -> list[str]:
    symbols = (ALL_QUANTITIES[name].symbol for name in _names(document))
    return ["layer", _parameter(document), *symbols]


def _rows(document: Mapping[str, Any]) -> Iterator[list[str]]:
    for result in document["results"]:
        for point in result["points"]:
            yield [f"`{result['layer']}`", *_cells(point, document)]


def _cells(point: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    return [_at(point), *(_cell(point[name]) for name in _names(document))]


def _at(point: Mapping[str, Any]) -> str:
    return signed(str(point["at"]).removesuffix(".0"))


def _cell(entry: Mapping[str, Any]) -> str:
    """Write the exact value, or where there is none the estimate with its standard error."""
    if exact := entry["exact"]:
        return exact_text(exact["value"], exact["error"])
    if entry.get("value") is None:
        return "–"
    return f"{concise(entry['value'], entry['stderr'])}{'' if entry['reliable'] else ' unreliable'}"


def _solutions(result: Mapping[str, Any]) -> Iterator[str]:
    for found in result["found"]:
        wanted = found["equation"].partition("=")[2]
        head = f"{ALL_QUANTITIES[found['quantity']].symbol} = {wanted}"
        if found["value"] is None:
            yield f"{head}: none; {found['why']}"
        else:
            value, error = with_bound(found["value"], found["error"])
            about = f", {error_title([found])} {error}" if found["error"] else ""
            yield f"{head} at {result['over']} = {value}{about}"


def _block(
    result: Mapping[str, Any], document: Mapping[str, Any], page: Page, *, rows: bool
) -> Iterator[str]:
    points = result["points"]
    over = f"{result['over']} from {_at(points[0])} to {_at(points[-1])}"
    yield f"{page.style(result['layer'], 'name')}   {over}"
    if rows:
        yield ""
        cells = [_header(document)[1:], *(_cells(point, document) for point in points)]
        yield from (f"  {'   '.join(row)}".rstrip() for row in aligned(cells))
        sampled = {point["samples"] for point in points} - {0}
        if sampled:
            yield ""
            some = "" if all(point["samples"] for point in points) else " of some values"
            text = f"estimate(SE){some}, from {max(sampled):,} draws each"
            yield from page.folded("  ", text, indent=4)
    if result["found"]:
        yield ""
        for line in _solutions(result):
            yield from page.folded("  ", line, indent=4)


def _with_solutions(text: str, document: Mapping[str, Any]) -> str:
    lines = [
        f"- `{result['layer']}`: {line}"
        for result in document["results"]
        for line in _solutions(result)
    ]
    return "\n".join([text, "", *lines]) if lines else text


def _csv(document: Mapping[str, Any]) -> str:
    rows = [("layer", _parameter(document), "quantity", *_COLUMNS, "samples")]
    for result in document["results"]:
        for point in result["points"]:
            for name in _names(document):
                cells = cells_of(point[name])
                known = (cells.get(column) for column in _COLUMNS)
                rows.append((result["layer"], point["at"], name, *known, point["samples"]))
    return written(rows)


def _latex(document: Mapping[str, Any]) -> str:
    names = _names(document)
    titles = ["layer", typed(_parameter(document)), *map(symbol, names)]
    rows = []
    for result in document["results"]:
        layer = typed(result["layer"])
        for point in result["points"]:
            cells = (f"${c.replace('−', '-')}$" for c in _cells(point, document))
            rows.append([layer, *(cell.replace("$–$", "--") for cell in cells)])
            layer = ""
    return tabular(f"l{'r' * (len(names) + 1)}", titles, rows)

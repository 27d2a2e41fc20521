"""Runs of propagate beside each other, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnstats.report.page import PIPED, Page, aligned
from bnstats.report.propagate import figures, interval, render, short, z_text

_WAYS = {"y": "forward", "dx": "backward"}


def render_comparison(document: Mapping[str, Any], page: Page = PIPED) -> str:
    """Return two runs as a table forward and one backward, and what each says of itself."""
    first, second = document["results"]
    lines = [f"A  {_named(first)}", f"B  {_named(second)}"]
    for way, name in _WAYS.items():
        rows = [row for row in document["comparison"] if row[way]]
        columns = {
            name: [_both(row) for row in _thinned(rows)],
            "A / B": [short(row[way]["value"]) for row in _thinned(rows)],
            "interval": [interval(row[way]["interval"]) for row in _thinned(rows)],
            "z": [z_text(row[way]["z"]) for row in _thinned(rows)],
        }
        ours, theirs = _values(first, way), _values(second, way)
        columns[f"A σ[{way}]"] = [ours.get(row["first"], "–") for row in _thinned(rows)]
        columns[f"B σ[{way}]"] = [theirs.get(row["second"], "–") for row in _thinned(rows)]
        order = (name, f"A σ[{way}]", f"B σ[{way}]", "A / B", "interval", "z")
        lines += ["", *_table({key: columns[key] for key in order})]
    lines.append("")
    for letter, result in (("A", first), ("B", second)):
        verdicts = ", ".join(f"{n} {result['verdicts'][w]}" for w, n in _WAYS.items())
        lines.append(f"  {letter}  {verdicts} · {result['networks']} networks")
    return "\n".join(lines)


def render_widths(document: Mapping[str, Any], page: Page = PIPED) -> str:
    """Return the exponents of the width with their errors, beside the values at each width."""
    results, exponents = document["results"], document["exponents"]
    lines = [f"{_named(results[0], width=False)} · σ ∝ width^p"]
    for way, name in _WAYS.items():
        rows = _thinned([row for row in exponents["rows"] if row[way]])
        columns = {name: [row["name"] for row in rows]}
        for width, result in zip(exponents["widths"], results, strict=True):
            values = _values(result, way)
            columns[f"σ[{way}] {width}"] = [values.get(row["name"], "–") for row in rows]
        columns["p"] = [figures(row[way]["value"], 3) for row in rows]
        columns["interval"] = [interval(row[way]["interval"]) for row in rows]
        columns["χ²/dof"] = [_square(row[way]["misfit"]) for row in rows]
        lines += ["", *_table(columns)]
    lines += ["", f"  {results[0]['networks']} networks of each width"]
    return "\n".join(lines)


def _named(result: Mapping[str, Any], *, width: bool = True) -> str:
    """Return the first line of a run's own page."""
    shown = dict(result) if width else {**result, "width": "…"}
    head = render({"results": [shown], "provenance": {"confidence": 0.95, "seed": 0}}, Page(10**6))
    return head.partition("\n")[0]


def _both(row: Mapping[str, Any]) -> str:
    return row["first"] if row["first"] == row["second"] else f"{row['first']} | {row['second']}"


def _values(result: Mapping[str, Any], way: str) -> dict[str, str]:
    rows = (row for row in result["rows"] if row[way])
    return {row["name"]: short(row[way]["typical"]["value"]) for row in rows}


def _thinned(rows: Sequence[Any]) -> Sequence[Any]:
    """Return at most some forty rows, the ends among them."""
    step = -(-len(rows) // 40) if rows else 1
    return [r for i, r in enumerate(rows) if i % step == 0 or i == len(rows) - 1]


def _square(misfit: float | None) -> str:
    return "–" if misfit is None else figures(misfit**2, 2)


def _table(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    cells = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    for row in aligned(cells):
        yield "  " + "  ".join(row).rstrip()

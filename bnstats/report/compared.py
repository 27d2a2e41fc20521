"""Runs of propagate beside each other, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnstats.report.page import UNFOLDED, aligned_columns
from bnstats.report.propagate import WAYS, figures, interval, render, short, thinned, z_text


def render_comparison(document: Mapping[str, Any]) -> str:
    """Return two runs as a table forward and one backward, and what each says of itself."""
    first, second = document["results"]
    lines = [f"A  {_named(first)}", f"B  {_named(second)}"]
    for way, name in WAYS.items():
        rows = thinned([row for row in document["comparison"] if row[way]])
        ours, theirs = _values(first, way), _values(second, way)
        columns = {
            name: [_both(row) for row in rows],
            f"A σ[{way}]": [ours.get(row["first"], "–") for row in rows],
            f"B σ[{way}]": [theirs.get(row["second"], "–") for row in rows],
            "A / B": [short(row[way]["value"]) for row in rows],
            "interval": [interval(row[way]["interval"]) for row in rows],
            "z": [z_text(row[way]["z"]) for row in rows],
        }
        lines += ["", *_table(columns)]
    lines.append("")
    for letter, result in (("A", first), ("B", second)):
        verdicts = ", ".join(f"{n} {result['verdicts'][w]}" for w, n in WAYS.items())
        lines.append(f"  {letter}  {verdicts} · {result['networks']} networks")
    return "\n".join(lines)


def render_widths(document: Mapping[str, Any]) -> str:
    """Return the exponents of the width with their errors, beside the values at each width."""
    results, exponents = document["results"], document["exponents"]
    lines = [f"{_named(results[0], width=False)} · σ ∝ width^p"]
    for way, name in WAYS.items():
        rows = thinned([row for row in exponents["rows"] if row[way]])
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
    head = render({"results": [shown], "provenance": {"confidence": 0.95, "seed": 0}}, UNFOLDED)
    return head.partition("\n")[0]


def _both(row: Mapping[str, Any]) -> str:
    return row["first"] if row["first"] == row["second"] else f"{row['first']} | {row['second']}"


def _values(result: Mapping[str, Any], way: str) -> dict[str, str]:
    rows = (row for row in result["rows"] if row[way])
    return {row["name"]: short(row[way]["typical"]["value"]) for row in rows}


def _square(misfit: float | None) -> str:
    return "–" if misfit is None else figures(misfit**2, 2)


def _table(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for row in aligned_columns(columns):
        yield "  " + "  ".join(row).rstrip()

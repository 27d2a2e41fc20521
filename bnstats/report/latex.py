"""A LaTeX tabular with booktabs rules, ready for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bnstats.notation import MINUS
from bnstats.report import rows
from bnstats.statistics.quantities import ALL_QUANTITIES

_LETTERS = {"σ": r"\sigma", "χ": r"\chi", "₁": "_1", "²": "^2", "′": "'"}


def render(document: Mapping[str, Any]) -> str:
    """Return a tabular: of one layer a row for each quantity, of several a row for each layer.

    Of one layer, estimates with their standard errors stand beside exact values. Of several, a cell
    holds the estimate, or the exact value where nothing was sampled.
    """
    several = len(document["results"]) > 1
    header, *body = _of_layers(document) if several else _of_quantities(document)
    return tabular("l" * len(header), header, body)


def tabular(alignment: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a tabular whose cells are LaTeX already."""
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            _line(header),
            r"\midrule",
            *map(_line, rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _of_quantities(document: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    sampled = rows.is_sampled(document)
    yield ("layer", "quantity", *(["estimate(SE)"] if sampled else []), "exact")
    for result in document["results"]:
        layer = typed(result["layer"])
        for name, entry in rows.quantity_rows(result, document["provenance"]):
            estimate = [_estimate(entry)] if sampled else []
            yield (layer, symbol(name), *estimate, _exact(entry))
            layer = ""


def _of_layers(document: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    names = rows.paper_columns(document)
    cell = _estimate if rows.is_sampled(document) else _exact
    yield ("layer", *map(symbol, names))
    for result in document["results"]:
        yield (typed(result["layer"]), *(cell(result[n]) if n in result else "--" for n in names))


def _line(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def typed(text: str) -> str:
    """Return what is typed, such as a layer, in the letters of a typewriter."""
    return r"\texttt{" + text.replace("_", r"\_") + "}"


def symbol(name: str) -> str:
    """Return the symbol of a quantity in LaTeX; what is a word stays one."""
    text = re.sub("E|Var|rms", r"\\mathrm{\g<0>}", ALL_QUANTITIES[name].symbol)
    for letter, spelt in _LETTERS.items():
        text = text.replace(letter, spelt)
    return text if " " in text or text == name else f"${text}$"


def _exact(entry: Mapping[str, Any]) -> str:
    return _number(rows.exact_cell(entry)) or "--"


def _estimate(entry: Mapping[str, Any]) -> str:
    """Write an estimate, marked where its standard error cannot be believed."""
    if entry["value"] is None:
        return rows.estimate_cell(entry)
    mark = "" if rows.is_believable(entry) else " unreliable"
    return f"{_number(rows.estimate_cell(entry))}{mark}"


def _number(text: str) -> str:
    """Write a number in mathematical mode, with a power of ten as mathematicians write it."""
    number = re.sub(r"e(-?\d+)$", r"\\cdot 10^{\1}", text.replace(MINUS, "-"))
    return f"${number}$" if number else ""

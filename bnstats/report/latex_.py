"""A LaTeX tabular with booktabs rules, ready for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnstats.report.rows import estimate_cell, exact_cell, quantity_rows

_SYMBOLS = {
    "mean_y": r"$\mathrm{E}[y]$",
    "std_y": r"$\sigma[y]$",
    "mean_dx": r"$\mathrm{E}[dx]$",
    "std_dx": r"$\sigma[dx]$",
    "var_dx": r"$\mathrm{Var}[dx]$",
}


def render(document: Mapping[str, Any]) -> str:
    """Return a tabular of the quantities: estimate with its standard error, and exact value."""
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{llll}",
        r"\toprule",
        r"layer & quantity & estimate(SE) & exact \\",
        r"\midrule",
    ]
    for result in document["results"]:
        layer = r"\texttt{" + result["layer"].replace("_", r"\_") + "}"
        for name, entry in quantity_rows(result):
            estimate = _number(estimate_cell(entry)) if "value" in entry else "--"
            exact = _number(exact_cell(entry)) or "--"
            lines.append(rf"{layer} & {_SYMBOLS[name]} & {estimate} & {exact} \\")
            layer = ""
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _number(text: str) -> str:
    return f"${text.replace('−', '-')}$" if text else ""

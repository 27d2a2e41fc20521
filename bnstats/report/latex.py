"""A LaTeX tabular with booktabs rules, ready for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnstats.report.rows import estimate_cell, exact_cell, is_believable, is_sampled, quantity_rows

SYMBOLS = {
    "mean_y": r"$\mathrm{E}[y]$",
    "std_y": r"$\sigma[y]$",
    "mean_dx": r"$\mathrm{E}[dx]$",
    "std_dx": r"$\sigma[dx]$",
    "var_dx": r"$\mathrm{Var}[dx]$",
    "var_y": r"$\mathrm{Var}[y]$",
    "rms_y": r"$\mathrm{rms}[y]$",
    "rms_dx": r"$\mathrm{rms}[dx]$",
    "gain_y": r"$1/\sigma[y]$",
    "gain_rms_y": r"$1/\mathrm{rms}[y]$",
    "gain_dx": r"$1/\sigma[dx]$",
    "linear_share": "linear share",
    "chi": r"$\chi$",
    "mean_degree": "mean degree",
    "stability": "stability",
    "c1": "$c_1$",
}


def render(document: Mapping[str, Any]) -> str:
    """Return a tabular of the quantities: estimate with its standard error, and exact value.

    Where nothing was sampled there is no column of estimates.
    """
    sampled = is_sampled(document)
    header = ("layer", "quantity", *(["estimate(SE)"] if sampled else []), "exact")
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{'l' * len(header)}}}",
        r"\toprule",
        rf"{' & '.join(header)} \\",
        r"\midrule",
    ]
    for result in document["results"]:
        layer = r"\texttt{" + result["layer"].replace("_", r"\_") + "}"
        for name, entry in quantity_rows(result, document["provenance"]):
            estimate = [_estimate(entry)] if sampled else []
            cells = (layer, SYMBOLS[name], *estimate, _number(exact_cell(entry)) or "--")
            lines.append(rf"{' & '.join(cells)} \\")
            layer = ""
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _estimate(entry: Mapping[str, Any]) -> str:
    """Write an estimate, marked where its standard error cannot be believed."""
    if entry["value"] is None:
        return estimate_cell(entry)
    return f"{_number(estimate_cell(entry))}{'' if is_believable(entry) else ' unreliable'}"


def _number(text: str) -> str:
    return f"${text.replace('−', '-')}$" if text else ""

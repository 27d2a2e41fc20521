"""The constants of every layer as a page of reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnstats.documents.entries import SampledProvenance, conforms
from bnstats.documents.read import CONSTANTS
from bnstats.errors import BnstatsError
from bnstats.notation import deviation
from bnstats.report.markdown import paragraph, table
from bnstats.report.rows import exact_cell, is_believable
from bnstats.statistics.alarm import two_sided
from bnstats.statistics.quantities import QUANTITIES

PAGE = "constants.md"
_SHOWN = ("mean_y", "std_y", "mean_dx", "std_dx", "var_dx", "gain_y", "gain_dx")
_SAMPLED = _SHOWN[:4]  # the others are powers of these
_DIGITS = 10


def render(constants: Mapping[str, Any]) -> str:
    """Return the page of a document of constants.

    Raises
    ------
    BnstatsError
        The document holds no sampled rows of what is shown.
    """
    results = constants["results"]
    needed = ("samples", *_SHOWN)
    as_drawn = conforms(constants["provenance"], SampledProvenance)
    if not as_drawn or not all(key in row for row in results for key in needed):
        raise BnstatsError(f"{CONSTANTS} does not hold sampled rows of {', '.join(_SHOWN)}")
    header = ("layer", *(QUANTITIES[name].symbol for name in _SHOWN))
    rows = ((f"`{r['layer']}`", *(exact_cell(r[n]) for n in _SHOWN)) for r in results)
    return "\n\n".join(
        [
            "# Constants",
            paragraph(_verdict(constants)),
            paragraph(
                "x, dy ~ N(0, 1), independent. Forward y = f(x), backward dx = f′(x)·dy. A gain is "
                f"the reciprocal of σ. [{CONSTANTS}]({CONSTANTS}) holds all digits with their "
                "error bounds, and the draws; `bnstats exact LAYER` prints them. Written by "
                "`bnstats table`; checked by `bnstats verify` and `bnstats table --check`."
            ),
            "## Exact values",
            table(header, rows) + "\n",
        ]
    )


def _verdict(constants: Mapping[str, Any]) -> str:
    """Say how much is known exactly, and whether draws agree."""
    results = constants["results"]
    entries = [(row, name, row[name]) for row in results for name in _SHOWN]
    known = [e["exact"] for *_, e in entries if e["exact"]]
    sharp = sum(e["error"] <= 10.0**-_DIGITS * abs(e["value"]) or not e["value"] for e in known)
    text = (
        f"**{len(known):,} of {len(entries):,} constants of {len(results)} layers are known "
        f"exactly**, {sharp:,} of them to {_DIGITS} digits or more; `bnstats compute` samples the "
        "others."
    )
    judged = [
        (abs(e["z"]), row["layer"], name)
        for row, name, e in entries
        if name in _SAMPLED and e["z"] is not None and is_believable(e)
    ]
    if judged:
        z, layer, name = max(judged)
        # Half of such tables have a larger one by chance, if the estimates are independent.
        due = two_sided(1 - 0.5 ** (1 / len(judged)))
        text += (
            f" Independent draws bear witness: of {len(judged)} estimates of E and σ the farthest "
            f"from the exact value is {QUANTITIES[name].symbol} of `{layer}`, by "
            f"{deviation(z).removeprefix('+')} standard errors, where chance has "
            f"{deviation(due).removeprefix('+')} in half of such tables."
        )
    return text

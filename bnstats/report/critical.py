"""Fixed points of wide networks, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bnstats.networks.critical import NUMBERS
from bnstats.notation import with_bound
from bnstats.report.page import PIPED, WIDTH, Page, aligned
from bnstats.report.rows import error_title

_MEANING = {
    "weight_std": "of the weights, times √fan_in",
    "bias_std": "of the biases",
    "q": "E[z²]",
    "stability": "what a layer makes of an error of q",
    "chi": "growth of the gradient's variance",
    "c": "limit of two inputs' correlation",
    "c_slope": "what a layer makes of its distance",
    "xi_q": "layers in which q comes nearer by e",
    "xi_c": "layers in which c comes nearer by e",
    "xi_dx": "layers in which gradients change by e",
}
_PULL = {
    "stable": "stable",
    "unstable": "unstable: lengths run away from it",
    "half-stable": "half-stable: lengths beside it run away on one side",
    "marginal": "neither attracts nor repels",
}


def render(document: Mapping[str, Any], page: Page = PIPED) -> str:
    """Return the document as text, a block for each fixed point."""
    blocks = [
        "\n".join(_block(point, page))
        for result in document["results"]
        for point in (result, *result["others"])
    ]
    return "\n\n".join(blocks)


def _block(point: Mapping[str, Any], page: Page) -> Iterator[str]:
    title = "edge of chaos" if point["edge"] else "fixed point"
    yield f"{page.style(point['layer'], 'name')}   {title}"
    if point["attracts"] is None:
        yield from page.folded("  none: ", point["why"]["q"])
        return
    yield ""
    rows = [("", "exact", error_title(point[name] for name in NUMBERS), "")]
    for name, symbol in NUMBERS.items():
        known, why = point[name], point["why"].get(name, "")
        value, error = with_bound(known["value"], known["error"]) if known else ("–", "")
        said = _PULL[point["attracts"]] if name == "q" and known else ""
        rows.append((symbol, value, error, why or ", ".join(filter(None, (_MEANING[name], said)))))
    for row, padded in zip(rows, aligned([row[:3] for row in rows]), strict=True):
        cells = f"  {'   '.join(padded)}"
        folded = page.folded(f"{cells}   ", row[3]) if page.width >= WIDTH else []
        yield from folded or [cells.rstrip()]

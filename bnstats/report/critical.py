"""Fixed points of wide networks, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bnstats.networks.critical import NUMBERS
from bnstats.notation import signed
from bnstats.report.folding import WIDTH, folded
from bnstats.report.text import Style, plain

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


def render(document: Mapping[str, Any], style: Style = plain, width: int = WIDTH) -> str:
    """Return the document as text, a block for each fixed point."""
    blocks = [
        "\n".join(_block(point, style, width))
        for result in document["results"]
        for point in (result, *result["others"])
    ]
    return "\n\n".join(blocks)


def _block(point: Mapping[str, Any], style: Style, width: int) -> Iterator[str]:
    title = "edge of chaos" if point["edge"] else "fixed point"
    yield f"{style(point['layer'], 'name')}   {title}"
    if point["attracts"] is None:
        yield from folded("  none: ", point["why"]["q"], width)
        return
    yield ""
    rows = [("", "exact", "error below", "")]
    for name, symbol in NUMBERS.items():
        known, why = point[name], point["why"].get(name, "")
        value = signed(f"{known['value']:.14g}") if known else "–"
        error = f"{known['error']:.0e}" if known and known["error"] else "0" if known else ""
        said = _PULL[point["attracts"]] if name == "q" and known else ""
        rows.append((symbol, value, error, why or ", ".join(filter(None, (_MEANING[name], said)))))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = "   ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=False))
        if width >= WIDTH:
            yield from folded(f"  {cells}   ", row[3], width) or [f"  {cells}".rstrip()]
        else:
            yield f"  {cells}".rstrip()

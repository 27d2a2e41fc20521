"""What a person reads: a block per layer that fits the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from bnstats.notation import plural, signed
from bnstats.report.folding import WIDTH, folded
from bnstats.report.options import as_options
from bnstats.report.rows import (
    estimate_cell,
    exact_cell,
    interval_cell,
    interval_title,
    quantity_rows,
    z_cell,
)
from bnstats.specs.spec import parse
from bnstats.statistics.quantities import ON_SCREEN, QUANTITIES

Style = Callable[[str, str], str]


def plain(text: str, kind: str) -> str:
    """Return text without colour."""
    del kind
    return text


def render(
    document: Mapping[str, Any],
    style: Style = plain,
    seconds: Sequence[float] = (),
    width: int = WIDTH,
) -> str:
    """Return the document as text.

    Parameters
    ----------
    document
        Of results that are sampled or exact.
    style
        ``style(text, kind)`` colours names and verdicts.
    seconds
        That each result took, if known.
    width
        Columns to fold text for; below 80, a table that is wider lacks its least important column.
    """
    blocks = (
        "\n".join(_block(result, document["provenance"], style, took, width))
        for result, took in zip_longest(document["results"], seconds)
    )
    return "\n\n".join(blocks)


def _block(
    result: Mapping[str, Any],
    provenance: Mapping[str, Any],
    style: Style,
    seconds: float | None,
    width: int,
) -> Iterator[str]:
    yield from _heading(result["layer"], provenance["law"], style, width)
    yield ""
    sampled = "samples" in result
    yield from _table(result, provenance, width) if sampled else _exact_table(result, width)
    if result["claims"]:
        yield ""
        yield from _claims(result, style, width)
    if sampled:
        parts = [plural(result["samples"], "sample"), provenance["sampler"], provenance["dtype"]]
        backend, device = provenance["backend"], provenance["device"]
        parts += [
            backend if backend == "numpy" else f"{backend} on {device}",
            f"seed {provenance['seed']}",
        ]
        if seconds is not None:
            parts.append(f"{seconds:.1f} s")
        yield ""
        status = "" if result["status"] == "complete" else result["status"].replace("_", " ")
        # No part is folded: a no-break space is none to textwrap.
        text = " · ".join(part.replace(" ", "\xa0") for part in (*parts, status) if part)
        *lines, last = (line.replace("\xa0", " ") for line in folded("  ", text, width))
        yield from lines
        yield last.removesuffix(status) + style(status, "undecided") if status else last


def _heading(spec: str, law: Mapping[str, float], style: Style, width: int) -> Iterator[str]:
    layer = parse(spec).layer
    parts = [layer.formula, layer.gradient, _law(law)]
    if len("   ".join([spec, *parts])) <= width:
        yield "   ".join([style(spec, "name"), *parts])
        return
    yield style(spec, "name")
    for part in parts:
        yield from folded("  ", part, width, indent=4)


def _law(law: Mapping[str, float]) -> str:
    x = f"N({_short(law['x_mean'])}, {_square(law['x_std'])})"
    dy = f"N(0, {_square(law['dy_std'])})"
    return f"x, dy ~ {x}" if x == dy else f"x ~ {x}, dy ~ {dy}"


def _short(value: float) -> str:
    return signed(f"{value:g}")


def _square(value: float) -> str:
    return "1" if value == 1 else f"{value:g}²"


def _columns(rows: Sequence[tuple[str, ...]], width: int, least: int) -> Iterator[str]:
    """Yield a table, without its least important column where a narrow terminal cannot hold it."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    whole = 2 + sum(widths) + 3 * (len(widths) - 1)
    kept = [i for i in range(len(widths)) if i != least or width >= min(whole, WIDTH)]
    for row in rows:
        yield ("  " + "   ".join(row[i].ljust(widths[i]) for i in kept)).rstrip()


def _table(result: Mapping[str, Any], provenance: Mapping[str, Any], width: int) -> Iterator[str]:
    header = ("", " estimate(SE)", interval_title(provenance), "exact", " z")
    rows = [header]
    for name, entry in quantity_rows(result):
        estimate = estimate_cell(entry)
        rows.append(
            (
                QUANTITIES[name].symbol,
                estimate if estimate.startswith("−") else f" {estimate}",
                interval_cell(entry),
                exact_cell(entry) or "–",
                z_cell(entry),
            )
        )
    yield from _columns(rows, width, least=2)


def _exact_table(result: Mapping[str, Any], width: int) -> Iterator[str]:
    rows = [("", "exact", "error below", "by")]
    for name in QUANTITIES:
        if name in result and (exact := result[name]["exact"]):
            error = f"{exact['error']:.0e}" if exact["error"] else "0"
            value = signed(f"{exact['value']:.16g}")
            rows.append((QUANTITIES[name].symbol, value, error, exact["by"]))
    yield from _columns(rows, width, least=3)
    unknown = [n for n in QUANTITIES if not result.get(n, {}).get("exact")]
    yield from inexact_lines(unknown, parse(result["layer"]).bound.why_inexact, width)


def inexact_lines(unknown: Sequence[str], reason: str, width: int) -> Iterator[str]:
    """Say which of the quantities shown to people have no exact value, and why."""
    symbols = [QUANTITIES[name].symbol for name in ON_SCREEN if name in unknown]
    if symbols and reason:
        yield ""
        text = f"no exact {', '.join(symbols)}: {as_options(reason)}"
        yield from folded("  ", text, width, indent=4)


def _claims(result: Mapping[str, Any], style: Style, width: int) -> Iterator[str]:
    """Yield the claims on what is shown with their verdicts, and who else claims something."""
    claims = [c for c in result["claims"] if c["quantity"] in ON_SCREEN]
    others = [c for c in result["claims"] if c["quantity"] not in ON_SCREEN]
    heads = [
        f"  published ({c['set']})  {QUANTITIES[c['quantity']].symbol} = {c['printed']}   "
        for c in claims
    ]
    indent = min(max(map(len, heads), default=0), width - 28)
    for head, claim in zip(heads, claims, strict=True):
        first, *rest = textwrap.wrap(f"{claim['verdict']}: {claim['remark']}", width - indent)
        if len(head) > indent:
            yield head.rstrip()
            head = ""
        yield head.ljust(indent) + first.replace(
            claim["verdict"], style(claim["verdict"], claim["verdict"]), 1
        )
        for line in rest:
            yield " " * indent + line
    if others:
        symbols = dict.fromkeys(QUANTITIES[c["quantity"]].symbol for c in others)
        sets = dict.fromkeys(c["set"] for c in others)
        text = f"also {', '.join(symbols)}: bnstats verify {' '.join(sets)}"
        yield from folded("  ", text, width, indent=4)

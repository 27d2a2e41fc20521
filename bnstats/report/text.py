"""A document as text for people: a block for each layer, which fits the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from bnstats.layers import BoundLayer
from bnstats.notation import plural, shortest, signed, with_bound
from bnstats.report import rows
from bnstats.report.options import as_options
from bnstats.report.page import PIPED, WIDTH, Page, aligned
from bnstats.result import Record
from bnstats.specs.spec import Spec, value_text
from bnstats.statistics.quantities import ALL_QUANTITIES, ON_SCREEN, QUANTITIES


def render(
    document: Mapping[str, Any],
    records: Sequence[Record[Any]],
    page: Page = PIPED,
    seconds: Sequence[float] = (),
) -> str:
    """Return the document as text.

    Parameters
    ----------
    document
        Results that are sampled or exact.
    records
        What the document was made of; the layers' formulas are theirs.
    page
        Where a page is narrower than 80 columns, a table that is wider lacks its least important
        column.
    seconds
        The time that each result took, if known.
    """
    blocks = (
        "\n".join(_block(result, record.spec, document["provenance"], page, took))
        for result, record, took in zip_longest(document["results"], records, seconds)
    )
    return "\n\n".join(blocks)


def _block(
    result: Mapping[str, Any],
    spec: Spec,
    provenance: Mapping[str, Any],
    page: Page,
    seconds: float | None,
) -> Iterator[str]:
    yield from _heading(spec, provenance["law"], page)
    if spec.assumed and not page.quiet:
        assumed = (f"{key}={value_text(value)}" for key, value in spec.assumed.items())
        yield from page.folded("  assumed: ", ", ".join(assumed))
    yield ""
    sampled = "samples" in result
    yield from (
        _table(result, provenance, page)
        if sampled
        else _exact_table(result, spec, provenance, page)
    )
    if result["claims"]:
        yield ""
        yield from _claims(result, page)
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
        # No-break spaces keep each part on one line: textwrap does not fold at them.
        text = " · ".join(part.replace(" ", "\xa0") for part in (*parts, status) if part)
        *lines, last = (line.replace("\xa0", " ") for line in page.folded("  ", text))
        yield from lines
        yield last.removesuffix(status) + page.style(status, "undecided") if status else last


def _heading(spec: Spec, law: Mapping[str, float], page: Page) -> Iterator[str]:
    parts = [spec.layer.formula, spec.layer.gradient, _law(law)]
    if len("   ".join([spec.text, *parts])) <= page.width:
        yield "   ".join([page.style(spec.text, "name"), *parts])
        return
    yield page.style(spec.text, "name")
    for part in parts:
        yield from page.folded("  ", part, indent=4)


def _law(law: Mapping[str, float]) -> str:
    x = f"N({_short(law['x_mean'])}, {_square(law['x_std'])})"
    dy = f"N(0, {_square(law['dy_std'])})"
    return f"x, dy ~ {x}" if x == dy else f"x ~ {x}, dy ~ {dy}"


def _short(value: float) -> str:
    return signed(shortest(value))


def _square(value: float) -> str:
    return "1" if value == 1 else f"{_short(value)}²"


def _columns(cells: Sequence[tuple[str, ...]], page: Page, least: int) -> Iterator[str]:
    """Yield a table, without its least important column where a narrow page cannot hold it."""
    for row in aligned(cells):
        whole = f"  {'   '.join(row)}"
        if page.width < min(len(whole), WIDTH):
            del row[least]
        yield f"  {'   '.join(row)}".rstrip()


def _table(result: Mapping[str, Any], provenance: Mapping[str, Any], page: Page) -> Iterator[str]:
    header = ("", " estimate(SE)", rows.interval_title(provenance), "exact", " z")
    cells = [header]
    for name, entry in rows.quantity_rows(result, provenance):
        estimate = rows.estimate_cell(entry)
        estimate = estimate if estimate.startswith("−") else f" {estimate}"
        others = (rows.interval_cell(entry), rows.exact_cell(entry) or "–", rows.z_cell(entry))
        cells.append((ALL_QUANTITIES[name].symbol, estimate, *others))
    yield from _columns(cells, page, least=2)


def _exact_table(
    result: Mapping[str, Any], spec: Spec, provenance: Mapping[str, Any], page: Page
) -> Iterator[str]:
    shown = dict(rows.quantity_rows(result, provenance, ALL_QUANTITIES))
    cells = [("", "exact", rows.error_title(e["exact"] for e in shown.values()), "by")]
    for name, entry in shown.items():
        if exact := entry["exact"]:
            number = with_bound(exact["value"], exact["error"])
            cells.append((ALL_QUANTITIES[name].symbol, *number, exact["by"]))
    if len(cells) > 1:
        yield from _columns(cells, page, least=3)
    unknown = [n for n in provenance.get("quantities") or ON_SCREEN if not shown[n]["exact"]]
    yield from inexact_lines(unknown, spec.bound, page)


def inexact_lines(unknown: Sequence[str], bound: BoundLayer, page: Page) -> Iterator[str]:
    """Yield which quantities have no exact value, and why."""
    by_reason: dict[str, list[str]] = {}
    for name in unknown:
        direction = QUANTITIES[name].direction if name in QUANTITIES else "dx"
        symbols = by_reason.setdefault(bound.why_unknown(direction), [])
        symbols.append(ALL_QUANTITIES[name].symbol)
    for number, (reason, symbols) in enumerate(by_reason.items()):
        if not number:
            yield ""
        text = f"no exact {', '.join(symbols)}: {as_options(reason)}"
        yield from page.folded("  ", text, indent=4)


def _claims(result: Mapping[str, Any], page: Page) -> Iterator[str]:
    """Yield the claims on a layer: each that is not right with its verdict, then those that are."""
    claims = result["claims"]
    right = [c for c in claims if c["grade"] == "reproduced"]
    for claim in claims:
        grade = claim["grade"]
        if claim not in right:
            text = f"{grade}: {claim['remark']}"
            yield from page.folded(f"  published ({claim['set']})  ", _printed(claim), indent=6)
            yield from page.coloured(grade, grade, "      ", text)
    if right:
        by_quantity: dict[str, list[str]] = {}
        for claim in right:
            symbol, _, value = _printed(claim).partition(" = ")
            by_quantity.setdefault(symbol, []).append(f"{value} ({claim['set']})")
        said = "; ".join(f"{symbol} = {', '.join(of)}" for symbol, of in by_quantity.items())
        head = "  published and reproduced  "
        yield from page.coloured("reproduced", "reproduced", head, said, indent=6)


def _printed(claim: Mapping[str, Any]) -> str:
    return f"{ALL_QUANTITIES[claim['quantity']].symbol} = {claim['printed']}"

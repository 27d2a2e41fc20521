"""The audit as data: a row for every claim, in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from bnstats.claims.grades import beside
from bnstats.notation import significant
from bnstats.report.rows import estimate_cell
from bnstats.statistics.exact import Exact
from bnstats.tables.published.audit import Audited

DATA = "published.csv"


def rows(claims: Sequence[Audited]) -> str:
    """Return a row for every claim, the most surprising first.

    Numbers have the digits that are known, so that every machine writes the same ones.
    """
    out = io.StringIO()
    table = [_row(a) for a in claims]
    writer = csv.DictWriter(out, table[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def _row(a: Audited) -> dict[str, str | int | None]:
    claim, verdict = a.claim, a.verdict
    exact, sampled, stack = a.exact, a.drawn.get("value") is not None, a.growth
    known = ""
    if exact is not None:
        known = beside(claim.printed, Exact(exact["value"], exact["error"], exact["by"]))
    return {
        "grade": a.grade,
        "set": claim.set,
        "layer": claim.spec.text,
        **{name: f"{value:g}" for name, value in claim.law._asdict().items()},
        "over": claim.inverse.text if claim.inverse else "",
        "find": claim.inverse.wanted.equation if claim.inverse else "",
        "quantity": claim.quantity,
        "printed": claim.printed.text,
        "instead": a.judged.instead,
        "exact": _plain(known),
        "sampled": _plain(estimate_cell(a.drawn)) if sampled else "",
        "relative_error": _digits(a.error) if a.off else "",
        "digits_right": verdict["digits_right"] if a.refuted else "",
        "digits_printed": claim.printed.digits,
        "samples": claim.samples,
        "stack": _digits(stack.alone) if stack else "",
        "wide_stack": _digits(stack.wide) if stack else "",
        "why": _plain(verdict["remark"]),
        "command": a.judged.command,
        "kind": claim.kind,
        "source": claim.source,
        "copies": "; ".join(claim.copies),
        "note": claim.remark,
    }


def _digits(number: float | None) -> str:
    return "" if number is None else significant(number, 3)


def _plain(text: str) -> str:
    """Return text whose numbers programs read."""
    return text.replace("−", "-")

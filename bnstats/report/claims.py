"""A claim set with its verdicts: as a page, as data, and as lines for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bnstats.claims import Claim, ClaimSet
from bnstats.claims.grades import GRADES
from bnstats.notation import plural
from bnstats.report.page import Page, aligned
from bnstats.statistics.exact import exact_entry

if TYPE_CHECKING:
    from bnstats.verification.solved import Judged

SCHEMA = "bnstats-claims/1"
_INDENT = 6
_NOT_KNOWN = "no exact value"


def document(about: ClaimSet, rows: Sequence[Judged]) -> dict[str, Any]:
    """Return a set as plain data: what `bnstats show SET --json` prints."""
    return {
        "schema": SCHEMA,
        "set": about.name,
        "title": about.title,
        "url": about.url,
        "convention": about.convention,
        "claims": [_entry(row) for row in rows],
    }


def _entry(row: Judged) -> dict[str, Any]:
    claim = row.claim
    verdict: Mapping[str, Any] = {} if row.verdict is None else row.verdict.to_dict()
    return {
        "layer": claim.spec.text,
        "law": claim.law._asdict(),
        **(claim.inverse.to_dict() if claim.inverse else {}),
        "quantity": claim.quantity,
        "printed": claim.printed.text,
        "instead": row.instead,
        "exact": exact_entry(row.exact),
        "verdict": verdict.get("verdict", "undecided"),
        "grade": verdict.get("grade", "undecided"),
        "remark": verdict.get("remark", _NOT_KNOWN),
        "relative_error": verdict.get("relative_error"),
        "digits_right": verdict.get("digits_right"),
        "digits_printed": claim.printed.digits,
        "command": row.command,
        "kind": claim.kind,
        "samples": claim.samples,
        "source": claim.source,
        "copies": list(claim.copies),
        "note": claim.remark,
    }


def page(rows: Sequence[Judged], page: Page) -> Iterator[str]:
    """Yield each claim with its grade, what to print instead, why, and the command for it."""
    facts = [
        (r.claim.spec.text, claimed(r.claim), r.claim.printed.claimed, _grade(r)) for r in rows
    ]
    for row, (*cells, grade) in zip(rows, aligned(facts), strict=True):
        head, said = "  ".join(["", *cells]), _said(row)
        plain, styled = grade.rstrip(), page.style(grade.rstrip(), grade.rstrip())
        if len(f"{head}  {grade}  {said}") <= page.width:
            yield f"{head}  {styled}{' ' * (len(grade) - len(plain))}  {said}".rstrip()
        elif len(f"{head}  {plain}") <= page.width:
            yield f"{head}  {styled}"
            yield from page.folded(" " * _INDENT, said)
        else:
            plainly = "  ".join(cell.rstrip() for cell in cells)
            fits = len(head.rstrip()) <= page.width
            yield from [head.rstrip()] if fits else page.folded("  ", plainly, indent=4)
            yield from page.coloured(plain, plain, " " * _INDENT, f"{plain}  {said}")
        yield " " * _INDENT + page.style(row.command, "aside")


def patch(about: ClaimSet, rows: Sequence[Judged]) -> Iterator[str]:
    """Yield the values to replace and those in place of them, by their sources.

    Where they stand in a file is for its author to find: a source is named as its readers cite it.
    Without any such value nothing is yielded.
    """
    changed = [row for row in rows if row.instead is not None]
    if not changed:
        return
    yield f"{about.title or about.name}: {counted(rows)}"
    if about.url:
        yield about.url
    for source, group in groupby(changed, key=lambda row: row.claim.source):
        yield ""
        yield from [source] if source else []
        lines = []
        for row in group:
            lines.append((f"- {row.claim.printed.text}", f"# {_name(row.claim)}: {_why(row)}"))
            lines.append((f"+ {row.instead}", f"# {row.command}"))
        yield from ("  ".join(cells).rstrip() for cells in aligned(lines))
    copies = [(row.claim.printed.text, copy) for row in changed for copy in row.claim.copies]
    if copies:
        yield ""
    for text, copy in copies:
        yield f"{text} is printed as well in {copy}"
    left = [row for row in rows if row.instead is None and not _is_right(row)]
    if left:
        yield ""
        for row in left:
            yield f"left alone: {_name(row.claim)} = {row.claim.printed.text}: {_why(row)}"


def counted(rows: Sequence[Judged]) -> str:
    """Return how many claims got which grade."""
    counts = Counter(_grade(row) for row in rows)
    given = [f"{counts[grade]} {grade}" for grade in (*GRADES, _NOT_KNOWN) if counts[grade]]
    return f"{plural(len(rows), 'claim')}, {', '.join(given)}"


def _grade(row: Judged) -> str:
    return _NOT_KNOWN if row.verdict is None else row.verdict.grade


def _is_right(row: Judged) -> bool:
    return row.verdict is not None and row.verdict.outcome == "reproduced"


def _said(row: Judged) -> str:
    """Say what to print instead, if anything, and why."""
    if row.verdict is None:
        return "bnstats verify decides it by sampling"
    return f"print {row.instead}: {_why(row)}" if row.instead is not None else row.verdict.remark


def _why(row: Judged) -> str:
    """Return the remark of a verdict; beside the value to print it need not say the truth."""
    if row.verdict is None:
        return _NOT_KNOWN
    truth, _, why = row.verdict.remark.partition("; ")
    return why or truth if row.instead is not None else row.verdict.remark


def claimed(claim: Claim) -> str:
    """Return the quantity of a claim, and what is unusual about where it is claimed."""
    law = "".join(f" at {name}={value:g}" for name, value in claim.law.changes.items())
    where = f" where {claim.inverse.wanted.equation}" if claim.inverse else ""
    return f"{claim.quantity}{law}{where}"


def _name(claim: Claim) -> str:
    return f"{claim.spec.text} {claimed(claim)}"

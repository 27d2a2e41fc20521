"""A verification as text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from bnstats.claims.grades import GRADES, beside
from bnstats.notation import deviation, exact_text, plural, significant
from bnstats.report.page import UNFOLDED, Page
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import symbol_of
from bnstats.verification.check import Check

_INDENT = " " * len("undecided ")
_GRADES = ("verified", *GRADES[:-1], "failed", "undecided")
_MOST_NAMES = 20


def checks_text(
    checks: Sequence[Check], page: Page = UNFOLDED, *, only_failures: bool = False
) -> str:
    """Return a line for every claim and every constant that did not pass, and a summary.

    Constants that are undecided for the same reason share a line. Lines are folded, but commands
    stay whole. What failed among lines of what did not is named again at the end. With
    ``only_failures`` what was verified has no line.
    """
    passed = any(check.outcome == "ok" and check.verdict is not None for check in checks)
    lines: list[str] = []
    for (layer, reason, _), group in groupby(checks, key=lambda c: (c.layer, c.reason, c.place)):
        found = list(group)
        if found[0].outcome == "undecided" and found[0].verdict is None:
            count = plural(len(found), "constant")
            text = f"{_where(found[0])}{layer}: {count}: {reason}"
            lines += _labelled("undecided", text, page)
            continue
        for check in found:
            if not only_failures or check.outcome != "ok":
                lines += _lines(check, page)
    failed = [check.name for check in checks if check.outcome == "fail"]
    if passed and failed and not only_failures:
        more = [f"and {len(failed) - _MOST_NAMES} more"] if len(failed) > _MOST_NAMES else []
        lines += page.folded("", f"failed: {', '.join(failed[:_MOST_NAMES] + more)}")
    return "\n".join([*lines, *page.folded("", summary(checks))])


def summary(checks: Sequence[Check]) -> str:
    """Return how many constants of how many layers got which grade, in a line."""
    counts = Counter(check.grade for check in checks)
    given = [f"{counts[grade]} {grade}" for grade in _GRADES if counts[grade]]
    layers = plural(len({check.layer for check in checks}), "layer")
    return f"{plural(len(checks), 'constant')} of {layers}: {', '.join(given) or '0 verified'}"


def check_text(check: Check) -> str:
    """Return what `checks_text` says of one claim, or of one constant that did not pass."""
    return "\n".join(_lines(check, UNFOLDED))


def finding(check: Check) -> str:
    """Return the value that was wanted, and what is known of it: the heart of every format."""
    parts = [f"{'claimed' if check.verdict else 'committed'} {check.wanted}"]
    if check.exact:
        parts.append(f"exact {exact_shown(check, check.exact)}")
    if check.estimate and check.inverse and check.quantity == check.inverse.over.name:
        there = symbol_of(check.inverse.wanted.quantity)
        parts.append(f"sampled {there} there {check.estimate}")
    elif check.estimate:
        parts.append(f"sampled {check.estimate}")
    elif check.verdict and check.exact:
        parts.append("not sampled: too wide to be drawn")
    if check.z is not None:
        parts.append(f"z = {deviation(check.z)}")
    elif check.outcome == "fail" and check.z_wanted is not None and math.isfinite(check.z_wanted):
        parts.append(f"{significant(abs(check.z_wanted), 3)} standard errors from that")
    return f"{check.name}: {', '.join(parts)}"


def exact_shown(check: Check, exact: Exact) -> str:
    """Return an exact value with the digits that tell it from the value that was wanted."""
    if check.verdict is None:
        return exact_text(exact.value, exact.error)
    return beside(check.verdict.claim.printed, exact)


def message(check: Check) -> str:
    """Return all there is to say of a check that did not pass, in a line."""
    command = f"; to reproduce: {check.command}" if check.command else ""
    return f"{finding(check)}; {check.reason}{command}"


def _where(check: Check) -> str:
    return f"{check.place}: " if check.place else ""


def _lines(check: Check, page: Page) -> Iterator[str]:
    if check.outcome != "ok":
        yield from _labelled(check.outcome, f"{_where(check)}{finding(check)}", page)
        yield from page.folded(_INDENT, check.reason)
        if check.command:
            yield f"hint:     {check.command}"
    elif check.reason:
        yield from _labelled("note", f"{_where(check)}{finding(check)}", page)
        yield from page.folded(_INDENT, check.reason)
    elif check.verdict:
        beyond = check.verdict.remark.partition("; ")[2]
        yield from _labelled("ok", "; ".join(filter(None, (finding(check), beyond))), page)


def _labelled(outcome: str, text: str, page: Page) -> list[str]:
    label = {"fail": "FAIL"}.get(outcome, outcome).ljust(len(_INDENT) - 1)
    return page.coloured(label, outcome, f"{label} ", text)

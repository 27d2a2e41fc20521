"""A verification as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from bnstats.notation import deviation, exact_text, plural, signed
from bnstats.report.page import UNFOLDED, Page
from bnstats.verification.check import Check

_INDENT = " " * len("undecided ")
_MOST_NAMES = 20


def checks_text(
    checks: Sequence[Check], page: Page = UNFOLDED, *, only_failures: bool = False
) -> str:
    """Return a line for every claim and every constant that did not pass, and a summary.

    Constants that are undecided for the same reason share a line. Lines are folded, but commands
    stay whole. What failed among lines of what did not is named again at the end. With
    ``only_failures`` what was verified has no line.
    """
    passed = sum(check.outcome == "ok" and check.verdict is not None for check in checks)
    if only_failures:
        passed = 0
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
    lines += page.folded("", summary(checks))
    failed = [check.name for check in checks if check.outcome == "fail"]
    if passed and failed:
        more = [f"and {len(failed) - _MOST_NAMES} more"] if len(failed) > _MOST_NAMES else []
        lines += page.folded(_INDENT, f"failed: {', '.join(failed[:_MOST_NAMES] + more)}")
    return "\n".join(lines)


def summary(checks: Sequence[Check]) -> str:
    """Return how many constants of how many layers passed, in a line."""
    failed = sum(check.outcome == "fail" for check in checks)
    undecided = sum(check.outcome == "undecided" for check in checks)
    counts = f"{len(checks) - failed - undecided} verified, {failed} failed, {undecided} undecided"
    layers = plural(len({check.layer for check in checks}), "layer")
    return f"{plural(len(checks), 'constant')} of {layers}: {counts}"


def check_text(check: Check) -> str:
    """Return what `checks_text` says of one claim, or of one constant that did not pass."""
    return "\n".join(_lines(check, UNFOLDED))


def finding(check: Check) -> str:
    """Return the value that was wanted, and what is known of it: the heart of every format."""
    parts = [f"{'claimed' if check.verdict else 'committed'} {check.wanted}"]
    if check.exact:
        parts.append(f"exact {exact_text(check.exact.value, check.exact.error)}")
    if check.estimate:
        parts.append(f"sampled {check.estimate}")
    elif check.verdict:
        parts.append("not sampled: too wide to be drawn")
    z = check.shown_z
    if z is not None:
        parts.append(f"z = {signed(f'{z:+.3g}') if abs(z) >= 100 else deviation(z)}")
    return f"{check.name}: {', '.join(parts)}"


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
    elif check.verdict:
        beyond = check.verdict.remark.partition("; ")[2]
        yield from _labelled("ok", "; ".join(filter(None, (finding(check), beyond))), page)


def _labelled(outcome: str, text: str, page: Page) -> Iterator[str]:
    label = {"fail": "FAIL"}.get(outcome, outcome).ljust(len(_INDENT) - 1)
    first, *further = page.folded(_INDENT, text)
    yield f"{page.style(label, outcome)} {first.removeprefix(_INDENT)}"
    yield from further

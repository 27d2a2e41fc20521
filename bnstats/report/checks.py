"""A verification as text and as a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from bnstats.documents.write import claims_entry, document, exact_entry, number
from bnstats.errors import printable
from bnstats.notation import deviation, exact_text, plural, signed
from bnstats.report.folding import folded
from bnstats.report.text import Style, plain
from bnstats.statistics.alarm import FIRST_THRESHOLD
from bnstats.statistics.quantities import QUANTITIES
from bnstats.verification.check import Check

_INDENT = " " * len("undecided ")


def checks_text(checks: Sequence[Check], style: Style = plain, width: int | None = None) -> str:
    """Return a line for every claim and every constant that did not pass, and a summary.

    Constants that are undecided for one reason share a line. Lines are folded for a terminal of
    some width; a command stays whole.
    """
    lines: list[str] = []
    for (layer, reason, _), group in groupby(checks, key=lambda c: (c.layer, c.reason, c.place)):
        found = list(group)
        if found[0].outcome == "undecided" and found[0].verdict is None:
            count = plural(len(found), "constant")
            text = f"{_where(found[0])}{layer}: {count}: {reason}"
            lines += _labelled("undecided", text, style, width)
            continue
        for check in found:
            lines += _lines(check, style, width)
    return "\n".join([*lines, *_folded("", summary(checks), width)])


def summary(checks: Sequence[Check]) -> str:
    """Return how many constants of how many layers passed, in a line."""
    failed = sum(check.outcome == "fail" for check in checks)
    undecided = sum(check.outcome == "undecided" for check in checks)
    counts = f"{len(checks) - failed - undecided} verified, {failed} failed, {undecided} undecided"
    layers = plural(len({check.layer for check in checks}), "layer")
    return f"{plural(len(checks), 'constant')} of {layers}: {counts}"


def check_text(check: Check, style: Style = plain) -> str:
    """Return what `checks_text` says of one claim, or of one constant that did not pass."""
    return "\n".join(_lines(check, style, None))


def finding(check: Check) -> str:
    """Return what was wanted and what came: the heart of every format."""
    parts = [f"{'claimed' if check.verdict else 'committed'} {check.wanted}"]
    if check.exact:
        parts.append(f"exact {exact_text(check.exact.value, check.exact.error)}")
    if check.estimate:
        parts.append(f"sampled {check.estimate}")
    elif check.verdict:
        parts.append("not sampled: too wide to be drawn")
    z = distance(check)
    if z is not None:
        parts.append(f"z = {signed(f'{z:+.3g}') if abs(z) >= 100 else deviation(z)}")
    return f"{check.layer} {QUANTITIES[check.quantity].symbol}: {', '.join(parts)}"


def message(check: Check) -> str:
    """Return all there is to say of a check that did not pass, in a line."""
    command = f"; to reproduce: {check.command}" if check.command else ""
    return f"{finding(check)}; {check.reason}{command}"


def distance(check: Check) -> float | None:
    """Return z as people see it: of a wrong claim, standard errors from the claim to the sample.

    Of a claim that holds, or is undecided, the sample is only a witness to the exact value; so it
    is of one whose error is too small for the sample to see.
    """
    if check.verdict is None:
        return check.z
    estimate = check.estimate
    if check.outcome != "fail" or estimate is None or not estimate.stderr:
        return None
    z = (estimate.value - check.verdict.claim.printed.value) / estimate.stderr
    return z if check.verdict.decided_by == "sample" or abs(z) > FIRST_THRESHOLD else None


def _where(check: Check) -> str:
    return f"{check.place}: " if check.place else ""


def _lines(check: Check, style: Style, width: int | None) -> Iterator[str]:
    if check.outcome == "ok" and check.verdict is None:
        return
    if check.outcome == "ok":
        beyond = check.verdict.remark.partition("; ")[2] if check.verdict else ""
        yield from _labelled("ok", "; ".join(filter(None, (finding(check), beyond))), style, width)
        return
    yield from _labelled(check.outcome, f"{_where(check)}{finding(check)}", style, width)
    yield from _folded(_INDENT, check.reason, width)
    if check.command:
        yield f"hint:     {check.command}"


def _labelled(outcome: str, text: str, style: Style, width: int | None) -> Iterator[str]:
    label = {"fail": "FAIL"}.get(outcome, outcome).ljust(len(_INDENT) - 1)
    first, *further = _folded(_INDENT, text, width)
    yield f"{style(label, outcome)} {first.removeprefix(_INDENT)}"
    yield from further


def _folded(head: str, text: str, width: int | None) -> list[str]:
    return [f"{head}{text}"] if width is None else folded(head, text, width)


def warnings_of(checks: Sequence[Check]) -> tuple[tuple[str, str], ...]:
    """Return what each layer and its backend had to say, with the layer, each once."""
    return tuple(dict.fromkeys((check.layer, told) for check in checks for told in check.warnings))


def checks_document(checks: Sequence[Check], status: str, argv: Sequence[str]) -> dict[str, Any]:
    """Return one JSON-ready document of all checks, grouped by layer."""
    by_layer: dict[str, list[Check]] = {}
    for check in checks:
        by_layer.setdefault(check.layer, []).append(check)
    record = document((), argv=argv, status=status)
    record["results"] = [
        {
            "layer": layer,
            "checks": [_check_entry(check) for check in group],
            "warnings": [text for told, text in warnings_of(checks) if told == layer],
            "claims": claims_entry(c.verdict for c in group if c.verdict is not None),
        }
        for layer, group in by_layer.items()
    ]
    return record


def _check_entry(check: Check) -> dict[str, Any]:
    return {
        "quantity": check.quantity,
        "outcome": check.outcome,
        "wanted": check.wanted,
        "exact": exact_entry(check.exact),
        "value": number(check.estimate.value if check.estimate else None),
        "stderr": number(check.estimate.stderr if check.estimate else None),
        "z": number(check.z),
        "reason": check.reason,
        "command": check.command,
        "file": printable(str(check.place.path)) if check.place else None,
        "line": check.place.line if check.place else None,
    }

"""A verification as plain data: what JSON holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnstats.documents.write import document
from bnstats.errors import printable
from bnstats.statistics.exact import exact_entry
from bnstats.statistics.uncertain import finite
from bnstats.verification.check import Check


def warnings_of(checks: Sequence[Check]) -> tuple[tuple[str, str], ...]:
    """Return what each layer and its backend had to say, with the layer, each once."""
    return tuple(dict.fromkeys((check.layer, said) for check in checks for said in check.warnings))


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
            "warnings": [said for _, said in warnings_of(group)],
            "claims": [c.verdict.to_dict() for c in group if c.verdict is not None],
        }
        for layer, group in by_layer.items()
    ]
    return record


def _check_entry(check: Check) -> dict[str, Any]:
    estimate, place = check.estimate, check.place
    return {
        "quantity": check.quantity,
        "outcome": check.outcome,
        "wanted": check.wanted,
        "exact": exact_entry(check.exact),
        "value": finite(estimate.value if estimate else None),
        "stderr": finite(estimate.stderr if estimate else None),
        "z": finite(check.z),
        "z_wanted": finite(check.z_wanted),
        "reason": check.reason,
        "command": check.command,
        "file": printable(str(place.path)) if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "law": check.law._asdict(),
        **(check.inverse.to_dict() if check.inverse else {}),
    }

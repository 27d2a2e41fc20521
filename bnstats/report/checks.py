"""The document of a verification: a layer's checks in place of its sampled quantities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnstats.report.document import claims_entry, document, exact_entry
from bnstats.verification import Check


def checks_document(
    checks: Sequence[Check], seed: int, status: str, argv: Sequence[str]
) -> dict[str, Any]:
    """Return one JSON-ready document of all checks, grouped by layer."""
    by_layer: dict[str, list[Check]] = {}
    for check in checks:
        by_layer.setdefault(check.layer, []).append(check)
    record = document((), argv=argv, status=status)
    record["provenance"]["seed"] = seed
    record["results"] = [
        {
            "layer": layer,
            "checks": [_check_entry(check) for check in group],
            "warnings": [],
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
        "value": check.estimate.value if check.estimate else None,
        "stderr": check.estimate.stderr if check.estimate else None,
        "z": check.z,
        "reason": check.reason,
        "command": check.command,
    }

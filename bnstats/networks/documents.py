"""The records of whole networks as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnstats.documents.write import document, exact_entry
from bnstats.networks.critical import NUMBERS, Critical


def critical_document(found: Sequence[Critical], *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return one JSON-ready document of fixed points, an entry for each activation."""
    return document((), argv=argv) | {"results": [_entry(c, others=True) for c in found]}


def _entry(point: Critical, *, others: bool = False) -> dict[str, Any]:
    entry = {
        "layer": point.layer,
        "edge": point.edge,
        **{name: exact_entry(getattr(point, name)) for name in NUMBERS},
        "attracts": point.attracts,
        "why": dict(point.why),
    }
    return entry | {"others": [_entry(o) for o in point.others]} if others else entry

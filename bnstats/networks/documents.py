"""The records of whole networks as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bnstats.documents.write import document
from bnstats.networks.propagation import (
    WAYS,
    Ensemble,
    Factor,
    Interval,
    Propagation,
    Row,
    Side,
    Typical,
)
from bnstats.statistics.exact import exact_entry
from bnstats.statistics.uncertain import finite

if TYPE_CHECKING:
    from bnstats.networks.critical import Critical


def critical_document(found: Sequence[Critical], *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return one JSON-ready document of fixed points, an entry for each activation."""
    return document((), argv=argv) | {"results": [_entry(c, others=True) for c in found]}


def _entry(point: Critical, *, others: bool = False) -> dict[str, Any]:
    from bnstats.networks.critical import NUMBERS  # brings scipy.optimize, which propagate lacks

    entry = {
        "layer": point.layer,
        "edge": point.edge,
        **{name: exact_entry(getattr(point, name)) for name in NUMBERS},
        "attracts": point.attracts,
        "why": dict(point.why),
    }
    return entry | {"others": [_entry(o) for o in point.others]} if others else entry


def propagation_document(found: Propagation, *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return one JSON-ready document of a stack; numbers that are not finite are null."""
    plain = document((), argv=argv, status=found.status)
    plain["provenance"] |= {"seed": found.seed, "confidence": found.confidence}
    return plain | {"results": [_propagation(found)]}


def _propagation(found: Propagation) -> dict[str, Any]:
    stack = found.stack
    return {
        "layer": " ".join(stack.block),
        "width": stack.width,
        "depth": stack.depth,
        "inputs": stack.inputs,
        "init": stack.init,
        "gain": stack.gain,
        "bias_std": stack.bias_std,
        "scale": stack.scale,
        "engine": found.engine,
        "networks": found.networks,
        "effective": finite(found.effective),
        "rows": [_row(row) for row in found.rows],
        "factor": {way: _valued(found.factor[way]) for way in WAYS},
        "verdict": found.verdict,
        "verdicts": dict(found.verdicts),
        "warnings": list(found.warnings),
    }


def _row(row: Row) -> dict[str, Any]:
    c = row.correlation
    return {
        "depth": row.depth,
        "name": row.name,
        "layer": row.layer,
        "y": _side(row.y),
        "dx": _side(row.dx),
        "correlation": c and {"value": c.value, "stderr": c.stderr, "wide": c.wide},
        "dead": {"y": row.y.dead, "dx": row.dx.dead},
        "nonfinite": {"y": row.y.nonfinite, "dx": row.dx.nonfinite},
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "typical": _valued(side.typical),
        "ensemble": {
            **(_valued(side.ensemble) or {}),
            "stderr": finite(side.ensemble.stderr),
            "reliable": side.ensemble.reliable,
        },
        "spread": _interval(side.spread),
        "isolated": finite(side.isolated),
        "wide": finite(side.wide),
        "z_isolated": finite(side.z_isolated),
        "z_wide": finite(side.z_wide),
    }


def _valued(found: Typical | Ensemble | Factor | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": finite(found.value), "interval": _interval(found.interval)}


def _interval(ends: Interval | None) -> list[float | None] | None:
    return None if ends is None else [finite(end) for end in ends]

"""The records of whole networks as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bnstats.documents.write import STATUSES, document
from bnstats.networks.comparing import Comparison, Exponent, Ratio, Widths
from bnstats.networks.propagation import Ensemble, Interval, Propagation, Row, Side, Typical
from bnstats.networks.shapes.stack import ShapedStack
from bnstats.networks.stack import Stack
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact, exact_entry
from bnstats.statistics.uncertain import finite

if TYPE_CHECKING:
    from bnstats.networks.critical import Critical
    from bnstats.networks.models.model import Model
    from bnstats.networks.sweep import Curve, Sweep
    from bnstats.runs.solve import Solution


def critical_document(found: Sequence[Critical], *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return one JSON-ready document of fixed points, an entry for each activation."""
    results = [_entry(c) | {"others": [_entry(o) for o in c.others]} for c in found]
    return document((), argv=argv) | {"results": results}


def _entry(point: Critical) -> dict[str, Any]:
    from bnstats.networks.critical import NUMBERS  # brings scipy.optimize, which propagate lacks

    return {
        "layer": point.layer,
        "edge": point.edge,
        **{name: exact_entry(getattr(point, name)) for name in NUMBERS},
        "attracts": point.attracts,
        "why": dict(point.why),
    }


def propagation_document(*found: Propagation, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return one JSON-ready document of runs; numbers that are not finite are null."""
    status = max((run.status for run in found), key=STATUSES.index)
    plain = document((), argv=argv, status=status)
    plain["provenance"] |= {"seed": found[0].seed, "confidence": found[0].confidence}
    return plain | {"results": [_propagation(run) for run in found]}


def comparison_document(found: Comparison, *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return the document of two runs, with ``comparison``: their ratios and z."""
    rows = [
        {"first": row.first, "second": row.second, "y": _ratio(row.y), "dx": _ratio(row.dx)}
        for row in found.rows
    ]
    return propagation_document(found.first, found.second, argv=argv) | {"comparison": rows}


def widths_document(found: Widths, *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return the document of runs of several widths, with ``exponents``."""
    rows = [{"name": r.name, "y": _exponent(r.y), "dx": _exponent(r.dx)} for r in found.rows]
    exponents = {"widths": list(found.widths), "rows": rows}
    return propagation_document(*found.runs, argv=argv) | {"exponents": exponents}


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    return None if ratio is None else _valued(ratio) | {"z": finite(ratio.z)}


def _exponent(found: Exponent | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return _valued(found) | {"stderr": finite(found.stderr), "misfit": finite(found.misfit)}


def sweep_document(found: Sweep, *, argv: Sequence[str] = ()) -> dict[str, Any]:
    """Return one JSON-ready document of a sweep, an entry for each layer."""
    plain = document((), argv=argv, status=found.status, quantities=found.quantities)
    plain["provenance"]["law"] = found.law._asdict()
    if any(point.samples for curve in found.curves for point in curve.points):
        names = ("backend", "sampler", "dtype", "seed", "confidence")
        plain["provenance"] |= {name: getattr(found.sampling, name) for name in names}
    return plain | {"results": [_curve(curve, found) for curve in found.curves]}


def _curve(curve: Curve, found: Sweep) -> dict[str, Any]:
    return {
        "layer": curve.layer,
        "over": found.over.name,
        "points": [
            {
                "at": point.at,
                "samples": point.samples,
                **{n: _quantity(point.record.quantities.get(n)) for n in found.quantities},
            }
            for point in curve.points
        ],
        "found": [_solution(s) for s in curve.solutions],
        "warnings": [warning for layer, warning in found.doubts if layer == curve.layer],
    }


def _solution(found: Solution) -> dict[str, Any]:
    entry = {
        "quantity": found.quantity,
        "wanted": finite(found.wanted),
        "equation": found.equation.equation,
        "value": found.value,
        "error": found.error,
        "why": found.why,
    }
    return entry | {"error_is_estimate": True} if found.error_is_estimate else entry


def _quantity(found: Exact | Estimate | None) -> dict[str, Any]:
    """Return what is known of a quantity; where nothing was sampled that is ``exact`` alone."""
    return found.to_dict() if isinstance(found, Estimate) else {"exact": exact_entry(found)}


def _propagation(found: Propagation) -> dict[str, Any]:
    return {
        **_subject(found.subject),
        "engine": found.engine,
        "networks": found.networks,
        "effective": finite(found.effective),
        "rows": [_row(row) for row in found.rows],
        "factor": {way: factor and _valued(factor) for way, factor in found.factor.items()},
        "per": found.per,
        "verdict": found.verdict,
        "verdicts": dict(found.verdicts),
        "gaps": [asdict(gap) for gap in found.gaps],
        "warnings": list(found.warnings),
    }


def _subject(subject: Stack | ShapedStack | Model) -> dict[str, Any]:
    """Return what was drawn; what only other kinds have is null."""
    entry: dict[str, Any] = {"layer": subject.name, "input": None}
    entry |= {"batch": subject.batch, "mode": None}
    chosen = ("width", "depth", "init", "gain", "bias_std", "scale")
    entry |= {name: getattr(subject, name, None) for name in chosen}
    if isinstance(subject, Stack):
        return entry
    entry["input"] = str(subject.input)
    return entry if isinstance(subject, ShapedStack) else entry | {"mode": subject.mode}


def _row(row: Row) -> dict[str, Any]:
    c, dx = row.correlation, row.dx
    return {
        "depth": row.depth,
        "name": row.name,
        "layer": row.layer,
        "y": _side(row.y),
        "dx": dx and _side(dx),
        "correlation": c and {"value": c.value, "stderr": c.stderr, "wide": c.wide},
        "dead": {"y": row.y.dead, "dx": dx and dx.dead},
        "nonfinite": {"y": row.y.nonfinite, "dx": dx and dx.nonfinite},
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "typical": _valued(side.typical),
        "ensemble": {
            **_valued(side.ensemble),
            "stderr": finite(side.ensemble.stderr),
            "reliable": side.ensemble.reliable,
        },
        "spread": _interval(side.spread),
        "isolated": finite(side.isolated),
        "wide": finite(side.wide),
        "z_isolated": finite(side.z_isolated),
        "z_wide": finite(side.z_wide),
    }


def _valued(found: Typical | Ensemble | Ratio | Exponent) -> dict[str, Any]:
    return {"value": finite(found.value), "interval": _interval(found.interval)}


def _interval(ends: Interval | None) -> list[float | None] | None:
    return None if ends is None else [finite(end) for end in ends]

"""The writer of documents: records of a run as plain data, which every format renders."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from bnstats.claims.verdict import Verdict
from bnstats.result import Record, Result, Status
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec, value_text
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES
from bnstats.version import __version__

_LIBRARIES = ("numpy", "scipy")  # recorded if they were imported, as is the backend
SCHEMA = "bnstats/1"
STATUSES: tuple[Status, ...] = get_args(Status)  # from the best to the worst


def document(
    records: Sequence[Record[Any]], *, argv: Sequence[str] = (), status: str | None = None
) -> dict[str, Any]:
    """Return one JSON-ready document: schema, status, results, provenance.

    Numbers that are not finite become null; keys are in a fixed order; nothing in it depends on
    the time, the host or the user.
    """
    statuses = {"complete"} | {r.status for r in records if isinstance(r, Result)}
    return {
        "schema": SCHEMA,
        "status": status or max(statuses, key=STATUSES.index),
        "results": [result_entry(r) for r in records],
        "provenance": _provenance(records, argv),
    }


def outline(specs: Sequence[Spec], sampling: Sampling) -> dict[str, Any]:
    """Return a document with every key that one of these layers would have, and no true number."""
    estimate = Estimate(0.0, 0.0, (0.0, 0.0), 0.0, Exact(0.0, 0.0, ""))
    names = (n for n, q in QUANTITIES.items() if q.direction in sampling.directions)
    quantities = dict.fromkeys(names, estimate)
    nonfinite = dict.fromkeys(sampling.directions, 0)
    return document([Result(s, quantities, sampling=sampling, nonfinite=nonfinite) for s in specs])


def failure(message: str, hint: str | None, exit_code: int, argv: Sequence[str]) -> dict[str, Any]:
    """Return the document of a call that failed before it had any result."""
    error = {"message": message, "hint": hint, "exit_code": exit_code}
    begun = {"schema": SCHEMA, "status": "failed", "error": error}  # the keys in their order
    return begun | document((), argv=argv, status="failed")


def result_entry(record: Record[Any]) -> dict[str, Any]:
    """Return the entry of a layer; that of a reference has no sampled fields."""
    entry: dict[str, Any] = {"layer": record.layer, "parameters": _parameters(record.spec)}
    if isinstance(record, Result):
        entry |= {
            "status": record.status,
            "samples": record.samples,
            "chunk": record.chunk,
            "n_eff": number(record.n_eff),
            "nonfinite": dict(record.nonfinite),
            **{name: _estimate_entry(e) for name, e in record.quantities.items()},
        }
    else:
        entry |= {n: {"exact": exact_entry(record.quantities.get(n))} for n in QUANTITIES}
    entry["warnings"] = list(record.warnings)
    entry["claims"] = claims_entry(record.claims)
    return entry


def _parameters(spec: Spec) -> dict[str, Any]:
    """Return all parameters of a layer; sizes of several sides are text, as in a spec."""
    sides = {name: value_text(v) for name, v in spec.values.items() if isinstance(v, tuple)}
    return {**spec.values, **sides}


def claims_entry(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Return the claims on a layer with their verdicts."""
    return [
        {
            "set": v.claim.set,
            "quantity": v.claim.quantity,
            "printed": v.claim.printed.text,
            "tolerance": v.claim.printed.tolerance,
            "verdict": v.outcome,
            "grade": v.grade,
            "remark": v.remark,
            "decided_by": v.decided_by,
            "relative_error": number(v.relative_error),
            "digits_right": v.digits_right,
            "digits_printed": v.claim.printed.digits,
            "samples_needed": v.samples_needed,
            "equal_error_samples": number(v.equal_error_samples),
            "samples": v.claim.samples,
            "kind": v.claim.kind,
            "source": v.claim.source,
            "note": v.claim.remark,
        }
        for v in verdicts
    ]


def exact_entry(exact: Exact | None) -> dict[str, Any] | None:
    """Return an exact value with its error bound, or None."""
    if exact is None or not math.isfinite(exact.value + exact.error):
        return None
    entry: dict[str, Any] = {"value": exact.value, "error": exact.error, "by": exact.by}
    if exact.error_is_estimate:
        entry["error_is_estimate"] = True
    return entry


def _estimate_entry(e: Estimate) -> dict[str, Any]:
    interval = None if e.interval is None else [number(end) for end in e.interval]
    return {
        "value": number(e.value),
        "stderr": number(e.stderr),
        "interval": interval,
        "n_eff": number(e.n_eff),
        "reliable": e.reliable,
        "exact": exact_entry(e.exact),
        "z": number(e.z),
    }


def number(value: float | None) -> float | None:
    """Return a number that JSON can hold, or None."""
    return None if value is None or not math.isfinite(value) else value


def _provenance(records: Sequence[Record[Any]], argv: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "bnstats": __version__,
        **{
            name: sys.modules[name].__version__
            for name in (*_LIBRARIES, *{r.backend for r in records if isinstance(r, Result)})
            if name in sys.modules
        },
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "argv": list(argv),
    }
    if not records:
        return found
    first = records[0]
    found["law"] = first.law._asdict()
    if isinstance(first, Result):
        names = ("backend", "device", "sampler", "dtype", "seed", "confidence")
        found |= {name: getattr(first, name) for name in names}
    return found

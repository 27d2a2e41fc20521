"""The writer of documents: records of a run as plain data, which every format renders."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import Any, get_args

from bnstats.result import Record, Result, Status
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES
from bnstats.version import __version__

_LIBRARIES = ("numpy", "scipy")  # recorded if they were imported, as is the backend
SCHEMA = "bnstats/1"
STATUSES: tuple[Status, ...] = get_args(Status)  # from the best to the worst


def document(
    records: Sequence[Record[Any]],
    *,
    argv: Sequence[str] = (),
    status: str | None = None,
    quantities: Sequence[str] = (),
) -> dict[str, Any]:
    """Return one JSON-ready document: schema, status, results, provenance.

    ``quantities`` are those that a reader asked to see; of none, people are shown the usual ones.

    Numbers that are not finite become null; keys are in a fixed order; nothing in it depends on
    the time, the host or the user.
    """
    statuses = {"complete"} | {r.status for r in records if isinstance(r, Result)}
    asked = {"quantities": list(quantities)} if quantities else {}
    return {
        "schema": SCHEMA,
        "status": status or max(statuses, key=STATUSES.index),
        "results": [r.to_dict() for r in records],
        "provenance": _provenance(records, argv) | asked,
    }


def outline(specs: Sequence[Spec], sampling: Sampling) -> dict[str, Any]:
    """Return a document with every key that one of these layers would have, and no true number."""
    estimate = Estimate(0.0, 0.0, (0.0, 0.0), 0.0, Exact(0.0, 0.0, ""))
    names = (n for n, q in QUANTITIES.items() if q.direction in sampling.directions)
    quantities = dict.fromkeys((*names, *sampling.of_stack), estimate)
    nonfinite = dict.fromkeys(sampling.directions, 0)
    return document([Result(s, quantities, sampling=sampling, nonfinite=nonfinite) for s in specs])


def failure(message: str, hint: str | None, exit_code: int, argv: Sequence[str]) -> dict[str, Any]:
    """Return the document of a call that failed before it had any result."""
    error = {"message": message, "hint": hint, "exit_code": exit_code}
    begun = {"schema": SCHEMA, "status": "failed", "error": error}  # the keys in their order
    return begun | document((), argv=argv, status="failed")


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

"""The constants of a results document, checked against exact values and fresh draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bnstats.claims.places import Place
from bnstats.custom import load_trusted
from bnstats.layers import Law
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.alarm import two_sided
from bnstats.statistics.estimate import MIN_N_EFF, Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import ALL_QUANTITIES, QUANTITIES, has_log_scale
from bnstats.verification.check import Check
from bnstats.verification.gate import FreshDraws, VerifySettings, by_layer


def verify_constants(
    document: Mapping[str, Any], settings: VerifySettings, place: Place | None = None
) -> tuple[Check, ...]:
    """Check every committed constant of a results document, which stands at a place.

    The committed exact value must agree with the one computed now, and the committed estimate and
    fresh draws must agree with the exact value. Where there is none, the fresh draws must agree
    with the committed estimate.
    """
    rows = [(parse(row["layer"], load_trusted), row) for row in document["results"]]
    # Twice as many: the committed estimate is tested as well as the fresh one.
    tests = 2 * sum(name in row for _, row in rows for name in ALL_QUANTITIES)
    law = Law(**document["provenance"]["law"])
    test_error = settings.family_error / tests

    def check(spec: Spec, row: Mapping[str, Any]) -> list[Check]:
        names = [name for name in ALL_QUANTITIES if name in row and not _is_void(row, name)]
        draws = FreshDraws(spec, settings, tests, law, names)
        return [_checked(name, row[name], draws, test_error, place) for name in names]

    return by_layer(rows, check, settings)


def _is_void(row: Mapping[str, Any], name: str) -> bool:
    """Whether a quantity has no value because nothing varies: the gain of a σ that is 0."""
    entry = row[name]
    quantity = QUANTITIES.get(name)
    if quantity is None or entry["exact"] or entry.get("value") is not None:
        return False
    std = row.get(f"std_{quantity.direction}", {}).get("exact")
    return bool(std) and std["value"] == 0


def _checked(
    name: str, entry: Mapping[str, Any], draws: FreshDraws, test_error: float, place: Place | None
) -> Check:
    exact, committed = draws.first.quantities[name].exact, entry["exact"]
    value, stderr = entry.get("value"), entry.get("stderr")
    if reason := _why_wrong(committed, exact):
        check = draws.check(name, "fail", reason)
    elif exact is None:
        check = draws.gate(
            name,
            lambda fresh: _two_sample_z(value, stderr, fresh),
            "fresh draws disagree with the committed estimate",
            two_sided(test_error),  # both stages share that estimate: the second alone must do
        )
    else:
        check = draws.gate(name, lambda fresh: fresh.z)
        believable = (entry.get("n_eff") or 0) >= MIN_N_EFF
        strays = believable and _strays(value, stderr, exact, name, test_error)
        if check.outcome == "ok" and strays:
            reason = "the committed estimate is not a sample of this layer"
            check = replace(check, outcome="fail", reason=reason)
    wanted = repr(committed["value"] if committed else value)
    return replace(check, wanted=wanted, place=place)


def _why_wrong(committed: Mapping[str, Any] | None, exact: Exact | None) -> str:
    """Return what is wrong with a committed exact value, or "".

    It must be the one computed now, up to another machine's rounding. The tolerance is that of the
    value computed now; the committed error must itself be about right.
    """
    if exact is None:
        return "" if committed is None else "the committed exact value is unknown"
    if committed is None:
        return "no exact value is committed"
    near = abs(committed["value"] - exact.value) <= 2 * exact.error + 1e-12 * abs(exact.value)
    careful = committed["error"] <= 10 * exact.error + 1e-15
    right = near and careful and committed["by"] == exact.by
    return "" if right else "the committed exact value is wrong"


def _strays(
    value: float | None, stderr: float | None, exact: Exact, name: str, test_error: float
) -> bool:
    """Whether a committed estimate is further from the exact value than chance allows.

    It was drawn once and for all, so there is no second stage: the chance of a false alarm is
    that of the test.
    """
    if value is None or stderr is None or stderr <= 0:
        return False  # no information: the fresh draws decide
    limit = two_sided(test_error)
    scale = math.hypot(stderr, exact.error)
    if not has_log_scale(name) or exact.value <= 0:
        return abs(value - exact.value) > limit * scale
    return value <= 0 or abs(math.log(value / exact.value)) * exact.value > limit * scale


def _two_sample_z(value: float | None, stderr: float | None, estimate: Estimate) -> float | None:
    if value is None or stderr is None or estimate.stderr is None:
        return None
    scale = math.hypot(stderr, estimate.stderr)
    return (estimate.value - value) / scale if scale > 0 else None

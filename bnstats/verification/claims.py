"""Claims, judged by exact values or fresh draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bnstats.api import exact as known_exactly
from bnstats.claims import Claim
from bnstats.claims.corrected import instead
from bnstats.claims.grades import VerdictOutcome
from bnstats.claims.values import Printed
from bnstats.claims.verdict import Verdict, judge
from bnstats.custom import as_typed
from bnstats.layers import Law
from bnstats.result import Reference
from bnstats.sampling.iid import check_size, is_too_wide
from bnstats.specs.spec import Spec
from bnstats.statistics.alarm import FIRST_THRESHOLD, two_sided
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.verification.check import Check, Outcome
from bnstats.verification.gate import MISSED, FreshDraws, VerifySettings, by_layer, law_options

_OUTCOMES: Mapping[VerdictOutcome, Outcome] = {
    "reproduced": "ok",
    "refuted": "fail",
    "not a moment": "ok",
    "undecided": "undecided",
}


@dataclass(frozen=True)
class Judged:
    """A claim, and what is known of it without sampling.

    Attributes
    ----------
    claim
        The published value.
    verdict, exact
        The verdict by the exact value; None where there is no such value.
    instead
        What to print in place of a wrong value, with as many digits; None of any other.
    command
        A command that reproduces what decides.
    """

    claim: Claim
    verdict: Verdict | None
    exact: Exact | None
    instead: str | None
    command: str


def judged(claim: Claim) -> Judged:
    """Judge a claim by the exact value, where one is known."""
    known = _known_once(claim.spec, claim.law).quantities
    exact = known.get(claim.quantity)
    if exact is None:
        return Judged(claim, None, None, None, f"bnstats verify {claim.set}")
    verdict, right = judge(claim, known), None
    if verdict.outcome == "refuted":
        right = instead(claim.printed, exact.value - exact.error, exact.value + exact.error)
    return Judged(claim, verdict, exact, right, _exact_command(claim))


@lru_cache(maxsize=512)
def _known_once(spec: Spec, law: Law) -> Reference:
    return known_exactly(spec, law=law)


def verify_claims(claims: Sequence[Claim], settings: VerifySettings) -> tuple[Check, ...]:
    """Judge claims, in their order.

    The exact value decides where it is known, and fresh draws check that value; elsewhere the
    fresh draws decide. A layer too wide to be drawn is judged by its exact value alone.

    Raises
    ------
    BnstatsError
        A layer is too wide to be drawn, and no exact value of it is known.
    """
    groups: dict[tuple[str, Law], list[int]] = {}  # of claims by their numbers
    for number, claim in enumerate(claims):
        groups.setdefault((claim.spec.text, claim.law), []).append(number)
    for claim in claims:  # before any is drawn
        if is_too_wide(claim.spec) and claim.quantity not in _known(claim).quantities:
            check_size(claim.spec)
    found: dict[int, Check] = {}

    def check(spec: Spec, group: Sequence[int]) -> list[Check]:
        if is_too_wide(spec):
            judged = [_judged_undrawn(claims[number]) for number in group]
        else:
            law, named = claims[group[0]].law, [claims[n].quantity for n in group]
            draws = FreshDraws(spec, settings, len(claims), law, named)
            error = settings.family_error
            judged = [_judged(claims[n], draws, error, len(claims)) for n in group]
        found.update(zip(group, judged, strict=True))
        return judged

    by_layer([(claims[group[0]].spec, group) for group in groups.values()], check, settings)
    return tuple(found[number] for number in sorted(found))


def _judged(claim: Claim, draws: FreshDraws, family_error: float, tests: int) -> Check:
    name, first = claim.quantity, draws.first.quantities
    exact = {name: e.exact for name, e in first.items() if e.exact is not None}
    known = exact.get(name)
    if known is None:
        check = draws.gate(name, lambda estimate: _distance(claim.printed, estimate))
    else:
        check = draws.gate(name, lambda estimate: estimate.z)
    check = replace(check, wanted=claim.printed.claimed, place=claim.place)
    if known is None:
        z = two_sided(family_error / tests)
        return _decided(check, _judged_by_draws(claim, check, draws, z))
    if known.error_is_estimate and _contradicts(check):
        return replace(check, outcome="undecided", reason=MISSED)
    if check.outcome == "fail":
        return check
    # The second stage may have cleared an alarm of the first, which the judge must not see.
    verdict = judge(claim, exact)
    if verdict.outcome == "reproduced":  # undecided where the draws are too few
        return replace(check, verdict=verdict)
    return replace(_decided(check, verdict), command=_exact_command(claim))


def _contradicts(check: Check) -> bool:
    """Whether draws deny an exact value, be they few: more than is due needs no many of them."""
    alarms = check.z is not None and abs(check.z) > FIRST_THRESHOLD
    return check.outcome == "fail" or (check.outcome == "undecided" and alarms)


def _judged_by_draws(claim: Claim, check: Check, draws: FreshDraws, z: float) -> Verdict:
    """Judge by draws alone: what two streams deny is refuted, and what one denies is not.

    ``z`` is the half-width in standard errors of the interval that reproduces a claim.
    """
    failed, drawn = check.outcome == "fail", draws.first
    if check.estimate is not drawn.quantities[claim.quantity]:
        drawn = draws.second
    verdict = judge(
        claim, {}, drawn.quantities, samples=drawn.samples, z=draws.threshold if failed else z
    )
    if failed or verdict.outcome != "refuted":
        return verdict
    remark = f"sampled {check.estimate}, which a second stream does not confirm"
    return replace(verdict, grade="undecided", remark=remark, value_of=None)


def _distance(printed: Printed, estimate: Estimate) -> float | None:
    """Return by how many standard errors an estimate lies beyond the interval that is claimed."""
    if not estimate.stderr:
        return None
    low, high = printed.value - printed.half_width, printed.value + printed.half_width
    end = min(max(estimate.value, low), high)
    if not estimate.log_scale:
        return (estimate.value - end) / estimate.stderr
    if end <= 0:
        return math.inf
    return math.log(estimate.value / end) * estimate.value / estimate.stderr


def _judged_undrawn(claim: Claim) -> Check:
    known = _known(claim)
    check = Check(
        claim.spec.text,
        claim.quantity,
        "undecided",
        claim.printed.claimed,
        known.quantities[claim.quantity],
        command=_exact_command(claim),
        place=claim.place,
        warnings=known.warnings,
        law=claim.law,
    )
    return _decided(check, judge(claim, known.quantities))


def _decided(check: Check, verdict: Verdict) -> Check:
    outcome = _OUTCOMES[verdict.outcome]
    reason = "" if verdict.outcome == "reproduced" else str(verdict)
    return replace(check, outcome=outcome, reason=reason, verdict=verdict)


def _known(claim: Claim) -> Reference:
    return known_exactly(claim.spec, law=claim.law)


def _exact_command(claim: Claim) -> str:
    law = law_options(claim.law)
    return f"bnstats exact {as_typed(claim.spec)}{law} --quantity {claim.quantity}"

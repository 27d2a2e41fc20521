"""Claims, judged by exact values or fresh draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bnstats.claims import Claim
from bnstats.claims.grades import VerdictOutcome
from bnstats.claims.values import Printed
from bnstats.claims.verdict import Verdict, judge
from bnstats.layers import Law
from bnstats.sampling.iid import check_size, is_too_wide
from bnstats.specs.spec import Spec
from bnstats.statistics.alarm import FIRST_THRESHOLD, two_sided
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.verification.check import Check, Outcome
from bnstats.verification.gate import MISSED, FreshDraws, VerifySettings, by_layer
from bnstats.verification.solved import Subject, exact_command, subject, without_solution

_OUTCOMES: Mapping[VerdictOutcome, Outcome] = {
    "reproduced": "ok",
    "refuted": "fail",
    "not a moment": "ok",
    "undecided": "undecided",
}


def verify_claims(claims: Sequence[Claim], settings: VerifySettings) -> tuple[Check, ...]:
    """Judge claims, in their order.

    The exact value decides where it is known, and fresh draws check that value; elsewhere the
    fresh draws decide. A layer too wide to be drawn is judged by its exact value alone.

    Raises
    ------
    BnstatsError
        A layer is too wide to be drawn, and no exact value of it is known.
    """
    subjects = [subject(claim) for claim in claims]
    # Of claims by their numbers; what has no solution is not drawn, though the layer itself may be.
    groups: dict[tuple[str, Law, bool], list[int]] = {}
    for number, about in enumerate(subjects):
        groups.setdefault((about.spec.text, about.law, bool(about.why)), []).append(number)
    for claim, about in zip(claims, subjects, strict=True):  # before any is drawn
        if is_too_wide(about.spec) and claim.quantity not in about.exact:
            check_size(about.spec)
    found: dict[int, Check] = {}

    def check(spec: Spec, group: Sequence[int]) -> list[Check]:
        if is_too_wide(spec) or subjects[group[0]].why:
            judged = [_judged_undrawn(claims[n], subjects[n]) for n in group]
        else:
            law, named = subjects[group[0]].law, [claims[n].drawn for n in group]
            draws = FreshDraws(spec, settings, len(claims), law, named)
            error = settings.family_error
            judged = [_judged(claims[n], subjects[n], draws, error, len(claims)) for n in group]
        found.update(zip(group, judged, strict=True))
        return judged

    by_layer([(subjects[group[0]].spec, group) for group in groups.values()], check, settings)
    return tuple(found[number] for number in sorted(found))


def _judged(
    claim: Claim, about: Subject, draws: FreshDraws, family_error: float, tests: int
) -> Check:
    name, known = claim.drawn, about.exact.get(claim.quantity)
    if known is None:
        check = draws.gate(name, lambda estimate: _distance(claim.printed, estimate))
        check = _of_claim(check, claim, None)
        z = two_sided(family_error / tests)
        return _decided(check, _judged_by_draws(claim, check, draws, z))
    check = _of_claim(draws.gate(name, lambda estimate: estimate.z), claim, known)
    if known.error_is_estimate and _contradicts(check):
        return replace(check, outcome="undecided", reason=MISSED)
    if check.outcome == "fail":
        return check
    # The second stage may have cleared an alarm of the first, which the judge must not see.
    verdict = judge(claim, about.exact)
    if verdict.outcome == "reproduced":  # undecided where the draws are too few
        return replace(check, verdict=verdict)
    return replace(_decided(check, verdict), command=exact_command(claim, about))


def _of_claim(check: Check, claim: Claim, known: Exact | None) -> Check:
    """Return a check with what the claim says, where it is about a solution in its words."""
    return replace(
        check,
        layer=claim.spec.text,
        quantity=claim.quantity,
        wanted=claim.printed.claimed,
        exact=known,
        place=claim.place,
        law=claim.law,
        inverse=claim.inverse,
    )


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


def _judged_undrawn(claim: Claim, about: Subject) -> Check:
    """Judge by exact values alone a claim on what is too wide to be drawn, or on no solution."""
    hints = about.spec.bound.hints
    check = Check("", "", "undecided", "", command=exact_command(claim, about), warnings=hints)
    check = _of_claim(check, claim, about.exact.get(claim.quantity))
    judged = without_solution(claim, about.why) if about.why else judge(claim, about.exact)
    return _decided(check, judged)


def _decided(check: Check, verdict: Verdict) -> Check:
    outcome = _OUTCOMES[verdict.outcome]
    reason = "" if verdict.outcome == "reproduced" else str(verdict)
    return replace(check, outcome=outcome, reason=reason, verdict=verdict)

"""Claims, judged by exact values or fresh draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bnstats.api import exact as known_exactly
from bnstats.claims import Claim
from bnstats.claims.verdict import Verdict, VerdictOutcome, judge
from bnstats.custom import as_typed
from bnstats.sampling.iid import check_size, is_too_wide
from bnstats.specs.spec import Spec
from bnstats.verification.check import Check, Outcome
from bnstats.verification.gate import FreshDraws, VerifySettings, by_layer

_OUTCOMES: Mapping[VerdictOutcome, Outcome] = {
    "reproduced": "ok",
    "refuted": "fail",
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
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(claim.spec.text, []).append(claim)
    for claim in claims:  # before any is drawn
        if is_too_wide(claim.spec) and claim.quantity not in known_exactly(claim.spec).quantities:
            check_size(claim.spec)

    def check(spec: Spec, group: Sequence[Claim]) -> list[Check]:
        if is_too_wide(spec):
            return [_judged_undrawn(claim) for claim in group]
        draws = FreshDraws(spec, settings, len(claims))
        return [_judged(claim, draws, settings.family_error, len(claims)) for claim in group]

    rows = [(group[0].spec, group) for group in groups.values()]
    found = {(c.layer, c.quantity): c for c in by_layer(rows, check, settings)}
    keys = ((claim.spec.text, claim.quantity) for claim in claims)
    return tuple(found[key] for key in keys if key in found)


def _judged(claim: Claim, draws: FreshDraws, family_error: float, tests: int) -> Check:
    first = draws.first
    exact = {name: e.exact for name, e in first.quantities.items() if e.exact is not None}
    known = claim.quantity in exact
    check = draws.gate(claim.quantity, lambda estimate: estimate.z)
    check = replace(check, wanted=claim.printed.text, place=claim.place)
    if known and check.outcome == "fail":
        return check
    verdict = judge(
        claim,
        exact,
        # The second stage may have cleared an alarm of the first, which the judge must not see.
        {} if known else first.quantities,
        samples=first.samples,
        family_error=family_error,
        tests=tests,
    )
    if known and verdict.outcome == "reproduced":  # undecided where the draws are too few
        return replace(check, verdict=verdict)
    check = _decided(check, verdict)
    return replace(check, command=_exact_command(claim)) if known else check


def _judged_undrawn(claim: Claim) -> Check:
    known = known_exactly(claim.spec)
    check = Check(
        claim.spec.text,
        claim.quantity,
        "undecided",
        claim.printed.text,
        known.quantities[claim.quantity],
        command=_exact_command(claim),
        place=claim.place,
        warnings=known.warnings,
    )
    return _decided(check, judge(claim, known.quantities))


def _decided(check: Check, verdict: Verdict) -> Check:
    outcome = _OUTCOMES[verdict.outcome]
    reason = "" if outcome == "ok" else str(verdict)
    return replace(check, outcome=outcome, reason=reason, verdict=verdict)


def _exact_command(claim: Claim) -> str:
    return f"bnstats exact {as_typed(claim.spec)}"

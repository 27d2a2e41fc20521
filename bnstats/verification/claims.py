"""Claims, judged by exact values or fresh draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    first, wanted = draws.first, claim.printed.text
    exact = {name: e.exact for name, e in first.quantities.items() if e.exact is not None}
    known = claim.quantity in exact
    gated = draws.gate(claim.quantity, lambda estimate: estimate.z)
    if known and gated.outcome == "fail":
        return draws.check(claim.quantity, wanted, gated, place=claim.place)
    verdict = judge(
        claim,
        exact,
        # The second stage may have cleared an alarm of the first, which the judge must not see.
        {} if known else first.quantities,
        samples=first.samples,
        family_error=family_error,
        tests=tests,
    )
    outcome, reason = _outcome_of(verdict)
    if not known:
        gated = gated._replace(outcome=outcome, reason=reason)
    elif outcome != "ok":  # however few the draws
        gated = gated._replace(outcome=outcome, reason=reason, command=_exact_command(claim))
    return draws.check(claim.quantity, wanted, gated, verdict=verdict, place=claim.place)


def _judged_undrawn(claim: Claim) -> Check:
    known = known_exactly(claim.spec)
    verdict = judge(claim, known.quantities)
    outcome, reason = _outcome_of(verdict)
    return Check(
        claim.spec.text,
        claim.quantity,
        outcome,
        claim.printed.text,
        known.quantities[claim.quantity],
        reason=reason,
        command=_exact_command(claim),
        verdict=verdict,
        place=claim.place,
        warnings=known.warnings,
    )


def _outcome_of(verdict: Verdict) -> tuple[Outcome, str]:
    """Return the outcome of a judged claim, and why it did not pass."""
    outcome = _OUTCOMES[verdict.outcome]
    return outcome, "" if outcome == "ok" else str(verdict)


def _exact_command(claim: Claim) -> str:
    return f"bnstats exact {as_typed(claim.spec)}"

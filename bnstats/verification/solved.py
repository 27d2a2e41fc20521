"""What a claim is judged by: exact values of its layer, where its inverse problem is solved."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from bnstats.claims import Claim
from bnstats.claims.corrected import instead
from bnstats.claims.verdict import Verdict, judge
from bnstats.claims.wanted import Inverse
from bnstats.custom import as_typed, load_trusted
from bnstats.layers import Law
from bnstats.runs.solve import Solution, solve
from bnstats.specs.spec import Spec
from bnstats.statistics.exact import Exact, exact_moments, known_quantities
from bnstats.verification.gate import law_options


@dataclass(frozen=True)
class Subject:
    """What a claim is about: a layer, and a law of its inputs.

    Attributes
    ----------
    spec, law
        Those of the claim, with the parameter that it solves for.
    exact
        What is known exactly, by quantity, that parameter included.
    why
        Why the equation has no solution; empty where it has one, or nothing is solved for.
    """

    spec: Spec
    law: Law
    exact: Mapping[str, Exact]
    why: str = ""


def subject(claim: Claim) -> Subject:
    """Return what a claim is about.

    Of several solutions the one is taken that is nearest to the value claimed.
    """
    if claim.inverse is None:
        return Subject(claim.spec, claim.law, _known(claim.spec, claim.law))
    solutions = _solutions(claim.spec, claim.law, claim.inverse)
    if solutions[0].why:
        return Subject(claim.spec, claim.law, {}, solutions[0].why)
    return min((_at(claim, s) for s in solutions), key=lambda about: _distance(claim, about))


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


@lru_cache(maxsize=1024)
def judged(claim: Claim) -> Judged:
    """Judge a claim by exact values alone, with what an author needs who is to correct it."""
    about = subject(claim)
    command, exact = exact_command(claim, about), about.exact.get(claim.quantity)
    if about.why:
        return Judged(claim, without_solution(claim, about.why), None, None, command)
    if exact is None:
        return Judged(claim, None, None, None, f"bnstats verify {claim.set}")
    verdict, right = judge(claim, about.exact), None
    if verdict.outcome == "refuted":
        right = instead(claim.printed, exact.value - exact.error, exact.value + exact.error)
    return Judged(claim, verdict, exact, right, command)


def without_solution(claim: Claim, why: str) -> Verdict:
    """Return the verdict on a claim whose equation has no solution."""
    remark = f"{claim.inverse} has no solution: {why}"
    if claim.kind != "moment":
        return Verdict(claim, "not a moment", f"a {claim.kind}; {remark}", "exact", math.nan, 0)
    return Verdict(claim, "undecided", remark, "exact", math.nan, 0)


def exact_command(claim: Claim, about: Subject) -> str:
    """Return the command that prints the exact value that a claim is judged by."""
    if claim.inverse is None or (claim.drawn == claim.quantity and not about.why):
        law = law_options(about.law)
        return f"bnstats exact {as_typed(about.spec)}{law} --quantity {claim.quantity}"
    over, find = (shlex.quote(t) for t in (claim.inverse.text, claim.inverse.wanted.equation))
    law = law_options(claim.law)
    return f"bnstats sweep {as_typed(claim.spec)} --over {over} --find {find}{law}"


@lru_cache(maxsize=256)
def _known(spec: Spec, law: Law) -> Mapping[str, Exact]:
    bound = spec.under(law).bound
    return known_quantities(bound, exact_moments(bound, law), law)


@lru_cache(maxsize=256)  # several claims are often about one solution
def _solutions(spec: Spec, law: Law, inverse: Inverse) -> tuple[Solution, ...]:
    def quantity(text: str) -> Exact | None:
        there = inverse.over.at(spec.text, text, law, load_trusted)
        return _known(*there).get(inverse.wanted.quantity)

    return tuple(solve(inverse.over, inverse.wanted, quantity))


def _at(claim: Claim, solution: Solution) -> Subject:
    """Return the layer at a solution; exact values there are off by what its error does to them."""
    assert claim.inverse is not None
    over, value, error = claim.inverse.over, solution.value or 0.0, solution.error or 0.0
    ends = dict.fromkeys((value, value - error, value + error))
    (spec, law), *beside = (
        over.at(claim.spec.text, over.text_of(end), claim.law, load_trusted) for end in ends
    )
    here, others = _known(spec, law), [_known(*there) for there in beside]
    found = {}
    for name, exact in here.items():
        if all(name in known for known in others):
            off = [abs(k[name].value - exact.value) + k[name].error for k in others]
            found[name] = replace(exact, error=max([exact.error, *off]))
    estimated = solution.error_is_estimate
    parameter = Exact(value, error, "quadrature", error_is_estimate=estimated)
    return Subject(spec, law, found | {over.name: parameter})


def _distance(claim: Claim, about: Subject) -> float:
    found = about.exact.get(claim.quantity)
    return math.inf if found is None else abs(found.value - claim.printed.value)

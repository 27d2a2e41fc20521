"""Verdicts on printed numbers."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bnstats.claims import Claim, claims_on
from bnstats.claims.grades import (
    FLOAT64,
    OUTCOMES,
    Grade,
    VerdictOutcome,
    beside,
    digits_right,
    equal_error_samples,
    other_conventions,
    refuted,
)
from bnstats.claims.values import Printed
from bnstats.layers import Law
from bnstats.notation import count_text
from bnstats.sampling.settings import MAX_DRAWS
from bnstats.specs.spec import Spec
from bnstats.statistics.alarm import FAMILY_ERROR, FIRST_THRESHOLD, round_up, two_sided
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES
from bnstats.statistics.uncertain import finite

# A value of so many digits may have been printed from a float32, which has seven.
_FLOAT32_DIGITS = 8
# A float prints up to 17 digits; a claim that is right in this many known ones is reproduced.
_DIGITS_ENOUGH = 11
# The share of its half-width by which a truth may miss an end of a claim's interval unseen.
_NEAR_AN_END = 0.1


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim.

    Attributes
    ----------
    claim
        The published value.
    grade
        ``reproduced``; ``cut off`` in place of rounded; ``last digits are noise``, those of the
        claim's own draws; ``wrong quantity``, which the layer has, but not as this one; ``wrong``;
        ``not a moment`` where the source claims none; or ``undecided``.
    remark
        Why, in a few words.
    decided_by
        ``exact`` or ``sample``.
    truth
        The value that the claim was compared with.
    digits_right
        Significant digits that are right, as `digits_right` counts them.
    samples_needed
        For an undecided claim, the draws that would probably decide it.
    equal_error_samples
        For a refuted decimal, the draws whose standard error is as large as the claim's error;
        None where theory does not know that standard error.
    value_of
        For a refuted claim, the other quantity of the layer that has the claimed value, if any.
    """

    claim: Claim
    grade: Grade
    remark: str
    decided_by: Literal["exact", "sample"]
    truth: float
    digits_right: int
    samples_needed: int | None = None
    equal_error_samples: float | None = None
    value_of: str | None = None

    @property
    def outcome(self) -> VerdictOutcome:
        """What the grade comes to: reproduced, refuted, not a moment or undecided."""
        return OUTCOMES[self.grade]

    @property
    def relative_error(self) -> float | None:
        """(claimed − true)/true, or None where the truth is 0."""
        return (self.claim.printed.value - self.truth) / self.truth if self.truth else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the claim and its verdict."""
        claim = self.claim
        return {
            "set": claim.set,
            "quantity": claim.quantity,
            "printed": claim.printed.text,
            "tolerance": claim.printed.tolerance,
            "verdict": self.outcome,
            "grade": self.grade,
            "remark": self.remark,
            "decided_by": self.decided_by,
            "relative_error": finite(self.relative_error),
            "digits_right": self.digits_right,
            "digits_printed": claim.printed.digits,
            "samples_needed": self.samples_needed,
            "equal_error_samples": finite(self.equal_error_samples),
            "samples": claim.samples,
            "kind": claim.kind,
            "source": claim.source,
            "copies": list(claim.copies),
            "note": claim.remark,
            **(claim.inverse.to_dict() if claim.inverse else {}),
        }

    def __str__(self) -> str:
        return f"{self.grade}: {self.remark}"

    def __repr__(self) -> str:
        claim = self.claim
        return f"Verdict({claim.spec.text!r}, {claim.quantity!r}, {claim.printed.text!r}, {self})"


def verdicts_on(
    spec: Spec,
    law: Law,
    exact: dict[str, Exact],
    found: dict[str, Estimate] | None = None,
    samples: int = 0,
) -> tuple[Verdict, ...]:
    """Judge the published claims on a layer under a law of its inputs."""
    known = exact.keys() if found is None else found.keys()
    return tuple(
        judge(claim, exact, found, samples=samples)
        for claim in claims_on(spec.text, law)
        if claim.quantity in known
    )


def judge(
    claim: Claim,
    exact: Mapping[str, Exact],
    estimates: Mapping[str, Estimate] | None = None,
    *,
    samples: int = 0,
    z: float = two_sided(FAMILY_ERROR),
) -> Verdict:
    """Judge a claim by the exact value, where one exists, or else by the sample.

    Parameters
    ----------
    claim
        The claim, with the value as it is printed.
    exact, estimates
        What is known of the claim's layer, by quantity; estimates may be absent.
    samples
        Number of draws behind the estimates.
    z
        How many standard errors to each side the sample's interval reaches that decides.

    Raises
    ------
    ValueError
        Neither an exact value nor an estimate of the claim's quantity is given.
    """
    reference = exact.get(claim.quantity)
    estimate = (estimates or {}).get(claim.quantity)
    if reference is not None:
        return _by_exact(claim, reference, estimate, exact)
    if estimate is None:
        raise ValueError(f"nothing to judge {claim.quantity} by")
    return _by_sample(claim, estimate, samples, z, estimates or {})


def _by_exact(
    claim: Claim, reference: Exact, estimate: Estimate | None, exact: Mapping[str, Exact]
) -> Verdict:
    if abs(reference.value) <= reference.error:
        reference = replace(reference, value=0.0)  # what is left is rounding
    printed, truth = claim.printed, reference.value
    distance = abs(printed.value - truth)
    # The slack covers the rounding of the printed value to a float: 0.13 is right for 1/8.
    tolerance = printed.half_width + 4 * sys.float_info.epsilon * abs(printed.value)
    if printed.symbolic:
        tolerance = FLOAT64 * (abs(printed.value) or 1.0)
    digits = digits_right(printed.value, truth)
    shown = beside(printed, reference)
    draws, other = None, None
    grade: Grade = "reproduced"
    if estimate is not None and estimate.z is not None and abs(estimate.z) > FIRST_THRESHOLD:
        grade, remark = "undecided", f"exact {shown}, but the sample disagrees with it"
    elif distance + reference.error <= tolerance:
        remark = f"exact {shown}"
    elif _is_nearest_float32(printed, truth):
        remark = f"exact {shown}, of which it is the nearest float32"
    elif distance - reference.error > tolerance:
        values = {name: (found.value,) for name, found in exact.items()}
        other = _value_of(claim, values, FLOAT64 if printed.symbolic else printed.half_unit)
        grade, remark = refuted(claim, reference, other)
        if digits < 2 and other is None:
            remark += other_conventions(claim.quantity, truth, exact)
        draws = equal_error_samples(claim, reference)
    elif distance <= reference.error and (known := _digits_known(reference)) >= _DIGITS_ENOUGH:
        # The last of the 17 digits of a float cannot be told right from wrong.
        remark = f"exact {shown}; all {known} digits that are known are right"
    elif not printed.symbolic and _digits_known(reference) >= _DIGITS_ENOUGH:
        remark = f"exact {shown}, on the edge of what it claims"
    else:
        grade, remark = "undecided", f"exact {shown} is not known to enough digits"
        if distance <= reference.error and (known := _digits_known(reference)):
            remark += f"; all {known} that are known are right: fewer, or a tolerance, can be told"
    return Verdict(claim, grade, remark, "exact", truth, digits, None, draws, other)


def _is_nearest_float32(printed: Printed, truth: float) -> bool:
    """Whether a value is that of a float32, with more digits than a float32 has."""
    if printed.digits is None or printed.digits < _FLOAT32_DIGITS:
        return False
    try:
        # The native format, "f" alone, makes infinity of what is too large, and raises nothing.
        (nearest,) = struct.unpack("<f", struct.pack("<f", truth))
    except OverflowError:
        return False
    return bool(abs(printed.value - nearest) <= max(printed.half_width, FLOAT64 * abs(nearest)))


def _digits_known(reference: Exact) -> int:
    """Return the significant digits to which an exact value is known."""
    if not 0 < 2 * reference.error < abs(reference.value):
        return 0
    return math.floor(-math.log10(2 * reference.error / abs(reference.value)))


def _value_of(claim: Claim, others: Mapping[str, Sequence[float]], near: float) -> str | None:
    """Return the quantity, other than the one claimed, all of whose values are near the printed."""
    printed = claim.printed.value
    own = QUANTITIES.get(claim.quantity)
    if claim.drawn != claim.quantity:  # a parameter is no quantity of the layer
        return None
    # 1/2 of the relu is E[y²] to who claims σ[y], and Var[dx] to who claims σ[dx].
    names = [n for n in QUANTITIES if n in others and n != claim.quantity]
    names.sort(key=lambda n: own is not None and QUANTITIES[n].direction != own.direction)
    for name in names:
        values = others[name]
        if printed and values and all(abs(value - printed) <= near for value in values):
            return name
    return None


def _by_sample(
    claim: Claim, estimate: Estimate, samples: int, z: float, others: Mapping[str, Estimate]
) -> Verdict:
    printed = claim.printed
    interval = estimate.interval_at(z)
    grade: Grade = "undecided"
    remark, needed, draws, other = f"sampled {estimate}", None, None, None
    low, high = printed.value - printed.half_width, printed.value + printed.half_width
    if not estimate.reliable or interval is None or estimate.stderr is None:
        remark = "the interval is not reliable at this sample size"
    elif interval[1] < low or interval[0] > high:
        spread = estimate.stderr * math.sqrt(samples)
        truth = Exact(estimate.value, z * estimate.stderr, "sample", spread)
        ends = {n: e.interval_at(z) or () for n, e in others.items() if e.reliable}
        other = _value_of(claim, ends, printed.half_unit)
        draws = equal_error_samples(claim, truth)
        grade, why = refuted(claim, truth, other)
        remark += f"; {why.partition('; ')[2]}"
    elif low <= interval[0] and interval[1] <= high:
        grade = "reproduced"
    elif printed.symbolic:
        remark += "; a sample cannot confirm a symbolic value"
    else:
        needed = _draws_that_decide(estimate.stderr * math.sqrt(samples), printed, z)
        remark += f"; {_advice(needed, samples)}"
    digits = digits_right(printed.value, estimate.value)
    return Verdict(claim, grade, remark, "sample", estimate.value, digits, needed, draws, other)


def _draws_that_decide(spread: float, printed: Printed, z: float) -> int | None:
    """Return the draws that decide all but one in ten claims of so many digits.

    They follow from the claim's digits and from the spread of one draw, both of which are the same
    whatever has been drawn; where the truth lies within the digit printed is not known, and a guess
    from the sample would change with it. The truth of a value that was honestly rounded is nearer
    to an end of its interval than a share s of the half-width with a chance of s: draws of which
    z + 1 standard errors (of which one is chance) fit into a tenth of it decide nine in ten.
    """
    draws = (spread * (z + 1) / (_NEAR_AN_END * printed.half_width)) ** 2
    return round_up(draws) if draws <= MAX_DRAWS else None


def _advice(needed: int | None, samples: int) -> str:
    if needed is None:
        return "no number of draws can tell so many digits: fewer, or a tolerance, can be told"
    if 2 * samples >= needed:  # what is needed is itself known roughly
        return "the truth is next to an end of what is claimed: fewer digits can be told"
    return f"{count_text(needed)} draws decide nine in ten such values"

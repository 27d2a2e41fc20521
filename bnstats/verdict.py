"""Verdicts on printed numbers, and the two-stage gate that does not flake."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from bnstats.claims import Claim
from bnstats.estimate import Estimate
from bnstats.notation import count_text, exact_text, plural, signed
from bnstats.quantities import QUANTITIES
from bnstats.reference import Exact

Outcome = Literal["reproduced", "refuted", "undecided"]

FAMILY_ERROR = 1e-6
FIRST_THRESHOLD = 4.0
SECOND_STAGE_FACTOR = 4  # times the samples of the first stage

_SYMBOLIC_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    claim
        The published value.
    outcome
        ``reproduced``, ``refuted`` or ``undecided``.
    remark
        Why, in a few words.
    decided_by
        ``exact`` or ``sample``.
    truth
        The value it was held against.
    digits_right
        Leading digits that the claim and the truth share once both are rounded to them.
    samples_needed
        Of an undecided claim: draws that would probably decide it.
    """

    claim: Claim
    outcome: Outcome
    remark: str
    decided_by: Literal["exact", "sample"]
    truth: float
    digits_right: int
    samples_needed: int | None = None

    @property
    def relative_error(self) -> float | None:
        """(claimed − true)/true, or None where the truth is 0."""
        return (self.claim.printed.value - self.truth) / self.truth if self.truth else None

    def __str__(self) -> str:
        return f"{self.outcome}: {self.remark}"


def judge(
    claim: Claim,
    exact: Mapping[str, Exact],
    estimates: Mapping[str, Estimate] | None = None,
    *,
    samples: int = 0,
    family_error: float = FAMILY_ERROR,
    tests: int = 1,
) -> Verdict:
    """Judge a claim by the exact value, where one exists, or else by the sample.

    Parameters
    ----------
    claim
        What is printed.
    exact, estimates
        Of the claim's layer, by quantity; estimates may be absent.
    samples
        Draws behind the estimates.
    family_error, tests
        Chance of any false verdict by sampling, over this many tests.

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
    z = NormalDist().inv_cdf(1 - family_error / (2 * tests))
    return _by_sample(claim, estimate, samples, z)


def _by_exact(
    claim: Claim, reference: Exact, estimate: Estimate | None, exact: Mapping[str, Exact]
) -> Verdict:
    printed, truth = claim.printed, reference.value
    distance = abs(printed.value - truth)
    # The slack is what reading the printed value rounds away: 0.13 holds for 1/8.
    tolerance = printed.half_width + 4 * sys.float_info.epsilon * abs(printed.value)
    if printed.symbolic:
        tolerance = _SYMBOLIC_TOLERANCE * (abs(printed.value) or 1.0)
    digits = digits_right(printed.value, truth)
    shown = exact_text(truth, reference.error)
    outcome: Outcome
    if estimate is not None and estimate.z is not None and abs(estimate.z) > FIRST_THRESHOLD:
        outcome, remark = "undecided", f"exact {shown}, but the sample disagrees with it"
    elif distance + reference.error <= tolerance:
        outcome, remark = "reproduced", f"exact {shown}"
    elif distance - reference.error > tolerance:
        outcome, remark = "refuted", _why_refuted(claim, reference, estimate, exact, digits)
    else:
        outcome, remark = "undecided", f"exact {shown} is not known to enough digits"
    return Verdict(claim, outcome, remark, "exact", truth, digits)


def _why_refuted(
    claim: Claim,
    reference: Exact,
    estimate: Estimate | None,
    exact: Mapping[str, Exact],
    digits: int,
) -> str:
    value, truth = claim.printed.value, reference.value
    # One digit more than is right shows where the claim goes wrong; four are easy to read.
    parts = [f"{truth:.{max(digits + 1, 4)}g}"]
    for name, other in exact.items():
        near = _SYMBOLIC_TOLERANCE if claim.printed.symbolic else claim.printed.half_width
        if name != claim.quantity and value and abs(other.value - value) <= near:
            parts.append(f"{claim.printed.text} is {QUANTITIES[name].symbol}")
            return "; ".join(parts)
    off = f"off by {100 * (value - truth) / truth:+.0f} %" if truth else "0 is exact"
    parts.append(signed(off) if digits < 2 else f"{digits} digits right")
    spread = reference.spread
    if claim.samples and spread is not None:
        errors = abs(value - truth) / (spread / math.sqrt(claim.samples))
        inside = "within" if errors <= 2 else f"{errors:.1f} standard errors off, beyond"
        parts[-1] += f", {inside} the error of its own {claim.samples:,} draws"
    return "; ".join(parts)


def _by_sample(claim: Claim, estimate: Estimate, samples: int, z: float) -> Verdict:
    printed = claim.printed
    interval = estimate.interval_at(z)
    digits = digits_right(printed.value, estimate.value)
    outcome: Outcome = "undecided"
    needed: int | None = None
    low, high = printed.value - printed.half_width, printed.value + printed.half_width
    if not estimate.reliable or interval is None or estimate.stderr is None:
        remark = "the interval is not reliable at this sample size"
    elif interval[1] < low or interval[0] > high:
        outcome, remark = "refuted", f"sampled {estimate}; {plural(digits, 'digit')} right"
    elif low <= interval[0] and interval[1] <= high:
        outcome, remark = "reproduced", f"sampled {estimate}"
    elif printed.symbolic:
        remark = f"sampled {estimate}; a sample cannot confirm a symbolic value"
    else:
        margin = abs(printed.half_width - abs(estimate.value - printed.value))
        remark = f"sampled {estimate}"
        if margin > 0:
            needed = round_up(samples * (z * estimate.stderr / margin) ** 2)
            remark += f"; {count_text(needed)} draws would decide it"
    return Verdict(claim, outcome, remark, "sample", estimate.value, digits, needed)


def digits_right(claimed: float, truth: float) -> int:
    """Return the most significant digits to which both round alike, at most 16.

    >>> digits_right(0.2123, 0.2117457)
    3
    """
    for digits in range(16, 0, -1):
        if f"{claimed:.{digits - 1}e}" == f"{truth:.{digits - 1}e}":
            return digits
    return 0


def round_up(number: float) -> int:
    """Round up to one significant digit."""
    if not math.isfinite(number):
        return 10**18
    unit: int = 10 ** max(math.floor(math.log10(max(number, 1))), 0)
    return math.ceil(number / unit) * unit


def second_threshold(tests: int, family_error: float = FAMILY_ERROR) -> float:
    """Return the |z| at which the second stage fails a test.

    A test fails when |z| > 4 and then, on an independent stream, z has the same sign and at least
    this size; the two tail probabilities multiply to ``family_error/tests``.

    >>> round(second_threshold(150), 2)
    3.71
    """
    normal = NormalDist()
    first = 2 * normal.cdf(-FIRST_THRESHOLD)
    share = min(family_error / (tests * first), 0.5)
    return -normal.inv_cdf(share)


def confirmed(first: float, second: float, threshold: float) -> bool:
    """Whether a second, independent z confirms the alarm that the first one raised."""
    return abs(first) > FIRST_THRESHOLD and first * second > 0 and abs(second) >= threshold

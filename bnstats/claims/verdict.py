"""Verdicts on printed numbers."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bnstats.claims import Claim
from bnstats.claims.values import Printed
from bnstats.notation import count_text, exact_text, plural, signed
from bnstats.statistics.alarm import FAMILY_ERROR, FIRST_THRESHOLD, round_up, two_sided
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES
from bnstats.statistics.uncertain import finite

VerdictOutcome = Literal["reproduced", "refuted", "undecided"]

# A value of so many digits may have been printed from a float32, which has seven.
_FLOAT32_DIGITS = 8
# The relative error that float64 leaves in a value; a symbolic claim may be off by as much.
_FLOAT64 = 1e-12
# A float prints up to 17 digits; a claim that is right in this many known ones is reproduced.
_DIGITS_ENOUGH = 11
# Nobody simulates more draws than this: a smaller error has another cause than sampling.
_MOST_DRAWS = 1e12


@dataclass(frozen=True, repr=False)
class Verdict:
    """The verdict on a claim.

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
    outcome: VerdictOutcome
    remark: str
    decided_by: Literal["exact", "sample"]
    truth: float
    digits_right: int
    samples_needed: int | None = None
    equal_error_samples: float | None = None
    value_of: str | None = None

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
            "verdict": self.outcome,
            "remark": self.remark,
            "decided_by": self.decided_by,
            "relative_error": finite(self.relative_error),
            "digits_right": self.digits_right,
            "digits_printed": claim.printed.digits,
            "samples_needed": self.samples_needed,
            "equal_error_samples": finite(self.equal_error_samples),
            "samples": claim.samples,
            "source": claim.source,
            "note": claim.remark,
        }

    def __str__(self) -> str:
        return f"{self.outcome}: {self.remark}"

    def __repr__(self) -> str:
        claim = self.claim
        return f"Verdict({claim.spec.text!r}, {claim.quantity!r}, {claim.printed.text!r}, {self})"


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
    found = _by_sample(claim, estimate, samples, z)
    if found.outcome != "refuted":
        return found
    others = {n: e.interval_at(z) or () for n, e in (estimates or {}).items() if e.reliable}
    return replace(found, value_of=_value_of(claim, others, claim.printed.half_width))


def _by_exact(
    claim: Claim, reference: Exact, estimate: Estimate | None, exact: Mapping[str, Exact]
) -> Verdict:
    printed, truth = claim.printed, reference.value
    distance = abs(printed.value - truth)
    # The slack covers the rounding of the printed value to a float: 0.13 is right for 1/8.
    tolerance = printed.half_width + 4 * sys.float_info.epsilon * abs(printed.value)
    if printed.symbolic:
        tolerance = _FLOAT64 * (abs(printed.value) or 1.0)
    digits = digits_right(printed.value, truth)
    shown = exact_text(truth, reference.error)
    outcome: VerdictOutcome
    if estimate is not None and estimate.z is not None and abs(estimate.z) > FIRST_THRESHOLD:
        outcome, remark = "undecided", f"exact {shown}, but the sample disagrees with it"
    elif distance + reference.error <= tolerance:
        outcome, remark = "reproduced", f"exact {shown}"
    elif _is_nearest_float32(printed, truth):
        outcome, remark = "reproduced", f"exact {shown}, of which it is the nearest float32"
    elif distance - reference.error > tolerance:
        outcome, remark = "refuted", _why_refuted(claim, reference, exact, digits)
    elif distance <= reference.error and (known := _digits_known(reference)) >= _DIGITS_ENOUGH:
        # The last of the 17 digits of a float cannot be told right from wrong.
        remark = f"exact {shown}; all {known} digits that are known are right"
        outcome = "reproduced"
    elif not printed.symbolic and _digits_known(reference) >= _DIGITS_ENOUGH:
        outcome, remark = "reproduced", f"exact {shown}, on the edge of what it claims"
    else:
        outcome, remark = "undecided", f"exact {shown} is not known to enough digits"
        if distance <= reference.error and (known := _digits_known(reference)):
            remark += f"; all {known} that are known are right: fewer, or a tolerance, can be told"
    found = Verdict(claim, outcome, remark, "exact", truth, digits)
    if outcome != "refuted":
        return found
    draws, other = _equal_error_samples(claim, reference), _exact_value_of(claim, exact)
    return replace(found, equal_error_samples=draws, value_of=other)


def _is_nearest_float32(printed: Printed, truth: float) -> bool:
    """Whether a value is that of a float32, with more digits than a float32 has."""
    if printed.digits is None or printed.digits < _FLOAT32_DIGITS:
        return False
    try:
        (nearest,) = struct.unpack("f", struct.pack("f", truth))
    except OverflowError:
        return False
    return bool(abs(printed.value - nearest) <= max(printed.half_width, _FLOAT64 * abs(nearest)))


def _digits_known(reference: Exact) -> int:
    """Return the significant digits to which an exact value is known."""
    if not 0 < 2 * reference.error < abs(reference.value):
        return 0
    return math.floor(-math.log10(2 * reference.error / abs(reference.value)))


def _equal_error_samples(claim: Claim, reference: Exact) -> float | None:
    if claim.printed.symbolic or reference.asymptotic_std is None:
        return None
    ratio = reference.asymptotic_std / (claim.printed.value - reference.value)
    return ratio * ratio  # ** would raise an error where this is infinite


def _exact_value_of(claim: Claim, exact: Mapping[str, Exact]) -> str | None:
    near = _FLOAT64 if claim.printed.symbolic else claim.printed.half_width
    return _value_of(claim, {name: (other.value,) for name, other in exact.items()}, near)


def _value_of(claim: Claim, others: Mapping[str, Sequence[float]], near: float) -> str | None:
    """Return the quantity, other than the one claimed, all of whose values are near the printed."""
    printed = claim.printed.value
    for name, values in others.items():
        alike = values and all(abs(value - printed) <= near for value in values)
        if name != claim.quantity and printed and alike:
            return name
    return None


def _why_refuted(claim: Claim, reference: Exact, exact: Mapping[str, Exact], digits: int) -> str:
    value, truth, printed = claim.printed.value, reference.value, claim.printed.digits
    # One digit more than is right shows where the claim goes wrong; four digits are easy to read.
    parts = [f"{truth:.{max(digits + 1, 4)}g}"]
    if other := _exact_value_of(claim, exact):
        parts.append(f"{claim.printed.text} is {QUANTITIES[other].symbol}")
        return "; ".join(parts)
    percent = 100 * (value - truth) / truth if truth else 0.0
    off = f"off by {percent:+{'.0f' if abs(percent) < 1e6 else '.0e'}} %" if truth else "0 is exact"
    of_printed = f" of {printed}" if printed and printed > digits + 1 else ""
    parts.append(signed(off) if digits < 2 else f"{digits}{of_printed} digits right")
    draws = _equal_error_samples(claim, reference)
    if claim.samples and (known := reference.stderr(claim.samples)):
        errors = abs(value - truth) / known
        inside = "within" if errors <= 2 else f"{errors:.1f} standard errors off, beyond"
        parts[-1] += f", {inside} the error of its own {claim.samples:,} draws"
    elif of_printed and draws is not None and 2 <= draws < _MOST_DRAWS:
        parts[-1] += f", an error typical of a simulation with {float(f'{draws:.0e}'):,.0f} draws"
    if digits < 2:
        parts += _other_conventions(claim.quantity, truth, exact)
    return "; ".join(parts)


def _other_conventions(name: str, truth: float, exact: Mapping[str, Exact]) -> list[str]:
    """Return the same power of the other moments, where it differs in four digits."""
    wanted = QUANTITIES[name]
    found: dict[str, list[str]] = {}
    for other, q in QUANTITIES.items():
        alike = q.power == wanted.power and "mean" not in (q.moment, wanted.moment)
        if alike and other in exact and f"{exact[other].value:.4g}" != f"{truth:.4g}":
            found.setdefault(f"{exact[other].value:.4g}", []).append(q.symbol)
    return [f"{' and '.join(symbols)}: {value}" for value, symbols in found.items()]


def _by_sample(claim: Claim, estimate: Estimate, samples: int, z: float) -> Verdict:
    printed = claim.printed
    interval = estimate.interval_at(z)
    digits = digits_right(printed.value, estimate.value)
    outcome: VerdictOutcome = "undecided"
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
    """Return the most significant digits to which a claim is right, at most 16.

    A claim is right to d digits if both numbers round to the same d digits, or if they differ by at
    most half a unit of the smaller one's d-th digit: 1.7059 and 1.7048 straddle 1.705.

    >>> digits_right(0.2123, 0.2117457), digits_right(1.7059, 1.7048)
    (3, 3)
    """
    if not math.isfinite(truth):
        return 0  # the gain of a constant is infinite
    for digits in range(16, 0, -1):
        one, other = (f"{number:.{digits - 1}e}" for number in (claimed, truth))
        place = min(int(text.partition("e")[2]) for text in (one, other)) - digits + 1
        if one == other or abs(claimed - truth) <= float(f"0.5e{place}"):
            return digits
    return 0

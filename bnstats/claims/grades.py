"""What a printed value that is not right is: grades, and the words that explain them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from bnstats.claims import Claim
from bnstats.claims.values import Printed, decimal_parts
from bnstats.notation import exact_text, last_place, percent_off, shortest, signed
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import ALL_QUANTITIES, QUANTITIES

VerdictOutcome = Literal["reproduced", "refuted", "not a moment", "undecided"]
Grade = Literal[
    "reproduced",
    "cut off",
    "last digits are noise",
    "wrong quantity",
    "wrong",
    "not a moment",
    "undecided",
]

# Each grade, from the best to the worst of those that decide, with its outcome.
OUTCOMES: Mapping[Grade, VerdictOutcome] = {
    "reproduced": "reproduced",
    "cut off": "refuted",
    "last digits are noise": "refuted",
    "wrong quantity": "refuted",
    "wrong": "refuted",
    "not a moment": "not a moment",
    "undecided": "undecided",
}
GRADES = tuple(OUTCOMES)

# A symbolic claim may be off by what float64 leaves.
FLOAT64 = 1e-12
_WITHIN = 2  # standard errors of its own draws, by which a value that is right may be off
_UNROUNDED = 8  # digits that a program printed and nobody rounded: more than float32 has
# The draws of simulations: a larger error is no noise, a smaller one has another cause.
_SIMULATED = (1e3, 1e12)


def refuted(claim: Claim, truth: Exact, other: str | None) -> tuple[Grade, str]:
    """Return the grade of a claim that is not right, and why, in a few words.

    Parameters
    ----------
    claim
        The claim; the truth is outside the interval that its digits claim.
    truth
        The true value, with its error; of a sample, the estimate.
    other
        The other quantity of the layer that has the claimed value, if any.
    """
    printed, digits = claim.printed, digits_right(claim.printed.value, truth.value)
    shown = f"{truth.value:.{max(digits + 1, 4)}g}" if truth.value else "0"
    # One digit more than is right shows where the claim goes wrong; four digits are easy to read.
    shown = signed(shortest(float(shown)))
    if claim.kind != "moment":
        return "not a moment", f"{shown}; a {claim.kind}, {_off(printed, truth, digits)}"
    if other is not None:
        return "wrong quantity", f"{shown}; {printed.text} is {ALL_QUANTITIES[other].symbol}"
    if _is_cut_off(printed, truth):
        return "cut off", f"{beside(printed, truth)}; cut off, not rounded"
    why = _off(printed, truth, digits)
    if claim.samples and (known := truth.stderr(claim.samples)):
        errors = abs(printed.value - truth.value) / known
        own = f"the error of its own {claim.samples:,} draws"
        if errors <= _WITHIN:
            return "last digits are noise", f"{shown}; {why}, within {own}"
        return "wrong", f"{shown}; {why}, {errors:.1f} standard errors off, beyond {own}"
    draws = equal_error_samples(claim, truth)
    unrounded = digits > 1 and (printed.digits or 0) >= _UNROUNDED
    if unrounded and draws is not None and _SIMULATED[0] <= draws < _SIMULATED[1]:
        typical = f"an error typical of a simulation with {float(f'{draws:.0e}'):,.0f} draws"
        return "last digits are noise", f"{shown}; {why}, {typical}"
    return "wrong", f"{shown}; {why}"


def _off(printed: Printed, truth: Exact, digits: int) -> str:
    """Say how many digits are right, or by how much the value is off where few are."""
    if not truth.value:
        return "0 is exact"
    if digits < 2:
        return f"off by {percent_off((printed.value - truth.value) / truth.value)}"
    of_printed = printed.digits and printed.digits > digits + 1
    return f"{digits}{f' of {printed.digits}' if of_printed else ''} digits right"


def _is_cut_off(printed: Printed, truth: Exact) -> bool:
    """Whether the digits of a decimal are the first ones of the truth."""
    if printed.tolerance is not None or decimal_parts(printed.text) is None or not printed.value:
        return False
    beyond = math.copysign(1.0, printed.value) * (truth.value - printed.value)
    return truth.error <= beyond < 2 * printed.half_width - truth.error


def beside(printed: Printed, truth: Exact) -> str:
    """Return an exact value with the digits that tell it from a printed one, or confirm that.

    >>> from bnstats.claims.values import parse_value
    >>> beside(parse_value("0.211745700"), Exact(0.21174569972, 1e-15, ""))
    '0.21174569972'
    """
    apart = max(abs(printed.value - truth.value), printed.half_width)
    place = last_place(apart) if apart > FLOAT64 * abs(truth.value) else 0
    return exact_text(truth.value, truth.error, min(place, -8))


def equal_error_samples(claim: Claim, truth: Exact) -> float | None:
    """Return the draws whose standard error is as large as a decimal's error, if known."""
    if claim.printed.symbolic or truth.asymptotic_std is None:
        return None
    ratio = truth.asymptotic_std / (claim.printed.value - truth.value)
    return ratio * ratio  # ** would raise an error where this is infinite


def other_conventions(name: str, truth: float, exact: Mapping[str, Exact]) -> str:
    """Return the same power of the other moments, where it differs in four digits."""
    wanted = QUANTITIES.get(name)
    if wanted is None:  # a ratio of moments, of which there is one only
        return ""
    found: dict[str, list[str]] = {}
    for other, q in QUANTITIES.items():
        alike = q.power == wanted.power and "mean" not in (q.moment, wanted.moment)
        if alike and other in exact and exact[other].value:  # of what no gradient reaches, it is 0
            shown = signed(shortest(exact[other].value, 4))
            if shown != signed(shortest(truth, 4)):
                found.setdefault(shown, []).append(q.symbol)
    return "".join(f"; {' and '.join(symbols)}: {value}" for value, symbols in found.items())


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

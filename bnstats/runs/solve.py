"""For which value of a parameter a quantity has the value that is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bnstats.claims.wanted import Wanted
from bnstats.layers import Known
from bnstats.specs.expressions import number
from bnstats.specs.over import Over
from bnstats.statistics.exact import Exact
from bnstats.statistics.roots import Bracket, scan, sign

# A bracket that is narrow, over which the quantity still changes by this share of itself, holds a
# jump and no solution.
_JUMP = 1e-6
_NARROW = 1e-9

Quantities = Callable[[str], Exact | None]


@dataclass(frozen=True)
class Solution:
    """Where a layer's quantity has a wanted value.

    Attributes
    ----------
    equation
        What shall be what.
    value, error
        The parameter there, and a bound on its error: on both sides the quantity surely differs
        from what is wanted, or is what is nearest to it. None if there is no solution.
    why
        Why there is none.
    error_is_estimate
        Whether ``error`` is an estimate and no bound, as those of the exact values are.
    """

    equation: Wanted
    value: float | None = None
    error: float | None = None
    why: str = ""
    error_is_estimate: bool = False

    @property
    def quantity(self) -> str:
        """The name of the quantity."""
        return self.equation.quantity

    @property
    def wanted(self) -> float:
        """What the quantity is there; nan if that depends on the parameter and there is none."""
        if self.value is None and not self.equation.is_fixed:
            return math.nan
        return self.equation.at(self.value or 0.0).value


def solve(over: Over, wanted: Wanted, quantity: Quantities) -> list[Solution]:
    """Return every solution between the values of a sweep, or one that says why there is none.

    The quantity is looked at in all values that are swept. A solution lies where it surely crosses
    what is wanted, or touches it, between two of them; what happens twice between neighbours can
    be missed.

    Parameters
    ----------
    over
        What is swept.
    wanted
        What is sought.
    quantity
        ``quantity(text)`` returns the exact value at a value of the parameter, if it is known.
    """
    none = Solution(wanted)
    numbers = over.numbers
    if numbers is None:
        return [replace(none, why=f"{over.name} is no number")]
    found = [quantity(text) for text in over.texts]
    values = [exact for exact in found if exact is not None]
    if not values:
        return [replace(none, why="no exact value is known")]

    def distance(exact: Exact | None, number: float) -> Known:
        if exact is None:
            return Known(math.nan, math.inf)
        return Known(exact.value, exact.error) - wanted.at(number)

    equal = [
        Solution(wanted, number, 0.0)
        for number, exact in zip(numbers, found, strict=True)
        if (off := distance(exact, number)).is_finite and not sign(off)
    ]
    if not over.continuous:
        return equal or [replace(none, why=_extent(over, values, "is"))]
    if len(equal) == len(found):
        return [replace(none, why=f"every {over.name} does")]
    scale = _Scale(numbers[0], numbers[-1], over.log)

    swept = {scale.place(number): text for number, text in zip(numbers, over.texts, strict=True)}

    def off_at(t: float) -> Known:
        text = swept.get(t) or repr(scale.value(t))
        return distance(quantity(text), number(text))

    crossings = scan(off_at, list(swept)).zeros
    solutions = [_solution(wanted, scale, zero) for zero in crossings if not _is_jump(off_at, zero)]
    # At an end of the range nothing lies on the other side, and nothing crosses.
    solutions += [e for e in equal if not any(_same(e, s) for s in solutions)]
    if solutions:
        estimated = any(exact.error_is_estimate for exact in values)
        solutions = [replace(s, error_is_estimate=estimated) for s in solutions]
        return sorted(solutions, key=lambda s: s.value or 0.0)
    said = "jumps over it" if crossings else "is"
    return [replace(none, why=_extent(over, values, said))]


@dataclass(frozen=True)
class _Scale:
    """Takes the range to [1, 2], on which zeros are sought."""

    low: float
    high: float
    log: bool

    def value(self, t: float) -> float:
        if self.log:
            return float(self.low * (self.high / self.low) ** (t - 1))
        return self.low + (self.high - self.low) * (t - 1)

    def place(self, value: float) -> float:
        if self.log:
            return 1 + math.log(value / self.low) / math.log(self.high / self.low)
        return 1 + (value - self.low) / (self.high - self.low)


def _solution(wanted: Wanted, scale: _Scale, zero: Bracket) -> Solution:
    low, value, high = map(scale.value, (zero.low, zero.value, zero.high))
    rounding = 4 * 2.0**-53 * max(abs(low), abs(high))
    return Solution(wanted, value, max(high - value, value - low) + rounding)


def _is_jump(off: Callable[[float], Known], zero: Bracket) -> bool:
    """Whether a quantity crosses a value without ever having it."""
    if zero.high - zero.low > _NARROW:
        return False
    low, high = off(zero.low), off(zero.high)
    size = max(abs(low.value), abs(high.value))
    return size > max(_JUMP, 100 * (low.error + high.error))


def _same(one: Solution, other: Solution) -> bool:
    return math.isclose(one.value or 0.0, other.value or 0.0, rel_tol=1e-6)


def _extent(over: Over, values: Sequence[Exact], said: str) -> str:
    least, most = min(v.value for v in values), max(v.value for v in values)
    ends = f"{over.name} from {over.texts[0]} to {over.texts[-1]}"
    extent = f"from {least:.6g} to {most:.6g}" if least < most else f"{least:.6g}"
    return f"{'it ' + said} {'and is ' if said != 'is' else ''}{extent} for {ends}"

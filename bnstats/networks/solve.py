"""For which value of a parameter a quantity has the value that is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bnstats.errors import BnstatsError, printable
from bnstats.layers import Known
from bnstats.networks.over import Over
from bnstats.networks.roots import Bracket, scan
from bnstats.sampling.settings import checked_quantities
from bnstats.statistics.exact import Exact

# A bracket that is narrow, over which the quantity still changes by this share of itself, holds a
# jump and no solution.
_JUMP = 1e-6
_NARROW = 1e-9

Quantities = Callable[[str], Exact | None]


@dataclass(frozen=True)
class Wanted:
    """A quantity and the value that it shall have."""

    quantity: str
    value: float


@dataclass(frozen=True)
class Solution:
    """Where a layer's quantity has a wanted value.

    Attributes
    ----------
    quantity, wanted
        What shall be what.
    value, error
        The parameter there, and a bound on its error: on both sides the quantity surely differs
        from what is wanted, or is what is nearest to it. None if there is no solution.
    why
        Why there is none.
    """

    quantity: str
    wanted: float
    value: float | None = None
    error: float | None = None
    why: str = ""


def wanted_of(text: str) -> Wanted:
    """Read ``QUANTITY=VALUE``; what is none raises BnstatsError."""
    name, equals, said = (part.strip() for part in text.partition("="))
    example = "e.g. c1=0.1 or std_y=1"
    if not equals:
        raise BnstatsError(f"--find '{printable(text, 60)}' is no QUANTITY=VALUE", hint=example)
    (name,) = checked_quantities((name,))
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BnstatsError(f"--find {name}: '{printable(said, 40)}' is not a number", hint=example)
    return Wanted(name, value)


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
    none = Solution(wanted.quantity, wanted.value)
    numbers = over.numbers
    if numbers is None:
        return [Solution(wanted.quantity, wanted.value, why=f"{over.name} is no number")]
    found = [quantity(text) for text in over.texts]
    values = [exact for exact in found if exact is not None]
    if not values:
        return [_without(none, "no exact value is known")]
    equal = [
        Solution(wanted.quantity, wanted.value, number, 0.0)
        for number, exact in zip(numbers, found, strict=True)
        if exact is not None and abs(exact.value - wanted.value) <= exact.error
    ]
    if not over.continuous:
        return equal or [_without(none, _extent(over, values, "is"))]
    if len(equal) == len(found):
        return [_without(none, f"every {over.name} does")]
    scale = _Scale(numbers[0], numbers[-1], over.log)

    swept = {scale.place(number): text for number, text in zip(numbers, over.texts, strict=True)}

    def off(t: float) -> Known:
        exact = quantity(swept.get(t) or repr(scale.value(t)))
        if exact is None:
            return Known(math.nan, math.inf)
        return Known(exact.value - wanted.value, exact.error)

    crossings = scan(off, list(swept)).zeros
    solutions = [_solution(wanted, scale, zero) for zero in crossings if not _is_jump(off, zero)]
    known = [s.value for s in solutions if s.value is not None]
    # At an end of the range nothing lies on the other side, and nothing crosses.
    solutions += [e for e in equal if not any(_same(e.value, value) for value in known)]
    if solutions:
        return sorted(solutions, key=lambda s: s.value or 0.0)
    said = "jumps over it" if crossings else "is"
    return [_without(none, _extent(over, values, said))]


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
    return Solution(wanted.quantity, wanted.value, value, max(high - value, value - low) + rounding)


def _is_jump(off: Callable[[float], Known], zero: Bracket) -> bool:
    """Whether a quantity crosses a value without ever having it."""
    if zero.high - zero.low > _NARROW:
        return False
    low, high = off(zero.low), off(zero.high)
    size = max(abs(low.value), abs(high.value))
    return size > max(_JUMP, 100 * (low.error + high.error))


def _same(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= 1e-6 * max(abs(one), abs(other))


def _without(none: Solution, why: str) -> Solution:
    return Solution(none.quantity, none.wanted, why=why)


def _extent(over: Over, values: Sequence[Exact], said: str) -> str:
    least, most = min(v.value for v in values), max(v.value for v in values)
    ends = f"{over.name} from {over.texts[0]} to {over.texts[-1]}"
    extent = f"from {least:.6g} to {most:.6g}" if least < most else f"{least:.6g}"
    return f"{'it ' + said} {'and is ' if said != 'is' else ''}{extent} for {ends}"

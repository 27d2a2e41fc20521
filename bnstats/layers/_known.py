"""Moments that are known without sampling: numbers whose errors are bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from bnstats.errors import BnstatsError, kind_of, suggestion

CONSTANT = "constant"  # how e.g. the mean of outputs that sum to one is known


@dataclass(frozen=True, slots=True)
class Known:
    """A number that is known without sampling, with a bound on its absolute error.

    Known numbers add, subtract, divide and take squares, also with plain numbers, which count as
    exact and multiply them. The bound of the result holds whatever the errors are within those of
    the operands; the rounding of the operation itself is not in it. A result is known in the way of
    its first known operand.

    Attributes
    ----------
    value
        The number, in the units of the moment it stands for.
    error
        A bound on the absolute error of ``value``, in the same units.
    by
        How it is known: see `bnstats.statistics.exact.Exact`.
    """

    value: float
    error: float = 0.0
    by: str = "closed form"

    def __add__(self, other: Known | float) -> Known:
        value, error = (other.value, other.error) if isinstance(other, Known) else (other, 0.0)
        return Known(self.value + value, self.error + error, self.by)

    __radd__ = __add__

    def __neg__(self) -> Known:
        return Known(-self.value, self.error, self.by)

    def __sub__(self, other: Known | float) -> Known:
        return self + -other

    def __rsub__(self, other: float) -> Known:
        return -self + other

    def __mul__(self, factor: float) -> Known:
        # A zero has no sign: without the sum, −3 times a mean of 0 would print as −0.
        return Known(factor * self.value + 0.0, abs(factor) * self.error, self.by)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Known | float) -> Known:
        if not isinstance(divisor, Known):
            return Known(self.value / divisor, self.error / abs(divisor), self.by)
        # |(v + e)/(w + f) − v/w| ≤ (|e| + |v/w|·|f|)/(|w| − |f|)
        least = abs(divisor.value) - divisor.error
        if not least > 0:
            return replace(UNKNOWN, by=self.by)
        ratio = self.value / divisor.value
        return Known(ratio, (self.error + abs(ratio) * divisor.error) / least, self.by)

    @property
    def is_finite(self) -> bool:
        """Whether the number and the bound say anything."""
        return math.isfinite(self.value + self.error)

    def squared(self) -> Known:
        """Return the square: |(v + e)² − v²| ≤ (2|v| + |e|)·|e|."""
        value, error = self.value, self.error
        return Known(value * value, (2 * abs(value) + error) * error, self.by)

    def widened(self, error: float) -> Known:
        """Return the same number with a bound that is larger by so much."""
        return replace(self, error=self.error + error)

    def known_by(self, way: str) -> Known:
        """Return the same number, known in another way."""
        return replace(self, by=way)


UNKNOWN = Known(math.nan, math.inf, "unknown")
NO_SUM = Known(0.0, 0.0, CONSTANT)  # a mean over positions that is 0 in every draw
SYMMETRIC = Known(0.0, 0.0, "symmetry")  # the mean of what is as likely with the other sign


def summed(*terms: Known) -> Known:
    """Return the sum of known numbers, rounded once, known in the way of the first."""
    return Known(
        math.fsum(term.value for term in terms),
        math.fsum(term.error for term in terms),
        terms[0].by,
    )


def mixture(parts: Sequence[tuple[float, Known, Known]]) -> tuple[Known, Known]:
    """Return mean and variance of a mixture of (share, mean, variance), the shares adding up to 1.

    The law of total variance: the mean of the variances, plus the variance of the means.
    """
    if len(parts) == 1:
        return parts[0][1:]
    mean = summed(*(share * m for share, m, _ in parts))
    var = summed(*(share * (v + (m - mean).squared()) for share, m, v in parts))
    return mean, var


class MomentError(BnstatsError):
    """A layer states a moment that bnstats does not know, or states it as something else."""


@dataclass(frozen=True)
class ExactMoments:
    """What is known exactly of one element of y and dx; what is not stated is `UNKNOWN`.

    An event is one draw of a layer: all positions of y and dx that share its random numbers.
    Expectations are over draws, and means over the event's positions. E[dx] is 0 for every layer,
    because dx is linear in dy. ``a | b`` takes what b states, and the rest from a.

    Attributes
    ----------
    mean_y
        E[y], averaged over positions.
    var_y
        Variance of y over draws and positions: the mean of (y − E[y])².
    ms_y
        E[y²], averaged over positions; stated only where it is known better than as
        ``var_y`` + ``mean_y``², as where it is the same in every draw.
    m3_y
        E[(y − E[y])³]; only if y has a single position.
    m4_y
        E[(y − E[y])⁴]; only if y has a single position.
    var_ms_y
        Variance over draws of the mean of y² over positions; only if E[y] = 0.
    mean_dx
        E[dx], which is 0; stated where the mean over positions is 0 in every draw (`CONSTANT`).
    ms_dx
        E[dx²], averaged over positions.
    m4_dx
        E[dx⁴]; only if dx has a single position.
    var_ms_dx
        Variance over draws of the mean of dx² over positions.
    cov_xy
        E[(x − E[x])·y]; only of scalars.
    drift
        d E[y²] / d ln Var[x], ½·E[(z² − 1)·y²] with z the standardised x, and by parts
        E[(x − E[x])·y·dy/dx] where y is continuous in x; only of scalars.
    mean_slope
        E[dy/dx], the slope that the backward pass takes; only of scalars.

    Raises
    ------
    MomentError
        Another name, or a value that is not `Known`.
    """

    mean_y: Known = UNKNOWN
    var_y: Known = UNKNOWN
    ms_y: Known = UNKNOWN
    m3_y: Known = UNKNOWN
    m4_y: Known = UNKNOWN
    var_ms_y: Known = UNKNOWN
    mean_dx: Known = UNKNOWN
    ms_dx: Known = UNKNOWN
    m4_dx: Known = UNKNOWN
    var_ms_dx: Known = UNKNOWN
    cov_xy: Known = UNKNOWN
    drift: Known = UNKNOWN
    mean_slope: Known = UNKNOWN

    def __new__(cls, **stated: Known) -> ExactMoments:
        names = [field.name for field in fields(cls)]
        for name, known in stated.items():
            if name not in names:
                near = suggestion(name, names)
                hint = f"did you mean {near}?" if near else f"the moments are {', '.join(names)}"
                raise MomentError(f"there is no moment {name!r}", hint=hint)
            if not isinstance(known, Known):
                raise MomentError(f"moment {name} is {kind_of(known)}", hint="state Known(value)")
        return super().__new__(cls)

    def __or__(self, other: ExactMoments) -> ExactMoments:
        return replace(self, **other.stated)

    @property
    def stated(self) -> dict[str, Known]:
        """The moments that are stated, by name."""
        return {name: known for name, known in vars(self).items() if known is not UNKNOWN}

"""Streaming moments of one direction: what a chunk leaves behind, and how chunks merge.

Per draw two numbers are kept: ``a``, the event mean of v, and ``b``, the event mean of v², where v
is y or dx minus a fixed pivot. Their means and 2x2 co-moments are all that an estimate needs.
Sums are float64; float32 draws enter them by products and short sums in float32, whose rounding
averages away, unless the sums cancel or leave float32's range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, get_args

from bnstats.statistics.joint import Joint
from bnstats.statistics.quantities import Direction

# A variance below this share of the mean square is rounding: the draws are constant. Sums of
# float64 draws about their means can tell less from it than other sums.
_CONSTANT, _CONSTANT_ABOUT_MEANS = 1e-13, 1e-28

# Below this share, a variance from sums about zero has lost digits that matter.
_CANCELLED = 1e-8

# Of a mean square, the share below which a variance, or a σ over units, is float64's rounding.
VARIANCE_ROUNDING = 1e-14

# What float32 sums must keep: of Σa² and Σb² the shares that are spread, and E[b²] within range.
_SPREAD_A, _SPREAD_B = 1e-2, 1e-4
_SMALLEST, _LARGEST = 1e-24, 1e30
LONGEST = 1000  # elements of an event that float32 adds up without a bias of 1e-8


@dataclass(slots=True)  # frozen would double its cost, and every block makes four
class Moments:
    """Means and summed co-deviations of (a, b) over independent units.

    A unit is a draw, or in randomised quasi-Monte Carlo a whole replicate of many points.

    Attributes
    ----------
    count
        Units that entered, as a float: products of counts overflow int64 beyond 2e6 draws.
    points
        Evaluations behind them: equal to ``count`` for draws.
    nonfinite
        Evaluations left out because v⁴ is not a finite float64.
    pivot
        What was subtracted from every value.
    mean_a, mean_b
        Means over units.
    aa, ab, bb
        Sums over units of products of deviations from those means.
    sum_bb
        Sum of b² over evaluations; of replicates, of b about their means; see `n_eff`.
    """

    count: float = 0.0
    points: float = 0.0
    nonfinite: float = 0.0
    pivot: float = 0.0
    mean_a: float = 0.0
    mean_b: float = 0.0
    aa: float = 0.0
    ab: float = 0.0
    bb: float = 0.0
    sum_bb: float = 0.0

    @property
    def n_eff(self) -> float:
        """Effective number of draws behind σ̂, 1/(4r² + 1/n).

        r is the relative standard error of σ̂ from n independent draws: with c the event mean of
        (v − E[v])² this is n·E[c]²/E[c²]. Of draws that do not vary, b stands in for c.
        """
        varies = self.mean_b - self.mean_a**2 > VARIANCE_ROUNDING * self.mean_b
        c = self.mean_b - self.mean_a**2 if varies else self.mean_b
        sum_cc = _sum_cc(self) if varies and self.points == self.count else self.sum_bb
        return self.points * c / sum_cc * c * self.points if sum_cc > 0 else 0.0


class Tally(dict[Direction, Moments]):
    """The moments of each direction, and the joint ones of all that a draw gives if asked for."""

    joint: Joint | None = None

    def merged(self, other: Tally) -> Tally:
        """Pool two, direction by direction."""
        found = Tally({direction: merge(self[direction], other[direction]) for direction in self})
        if self.joint is not None and other.joint is not None:
            found.joint = self.joint.merged(other.joint)
        return found

    def records(self) -> dict[Any, Any]:
        """Return all moments by name, of the kinds that `RECORDS` says."""
        return {**self} if self.joint is None else {**self, "joint": self.joint}

    @classmethod
    def of_records(cls, records: Mapping[str, Any]) -> Tally:
        """Return the tally that has these `records`."""
        found = cls((d, records[d]) for d in get_args(Direction) if d in records)
        found.joint = records.get("joint")
        return found


RECORDS = dict.fromkeys(get_args(Direction), Moments) | {"joint": Joint}


def of(xp: Any, values: Any, pivot: float, weights: Any = None) -> Moments:
    """Return the moments of one block of draws.

    Parameters
    ----------
    xp
        Array namespace.
    values
        y or dx, shape (event..., draws).
    pivot
        Subtracted from every value; near E[v] it keeps all digits when the mean is large. Exact in
        the dtype of the values.
    weights
        Importance weights of mean one, shape (draws,).
    """
    double = values.dtype == xp.float64
    if not double:
        if weights is None and prod(values.shape[:-1]) <= LONGEST:
            found = _in_float32(xp, values, pivot)
            if found is not None:
                return found
        values = xp.astype(values, xp.float64)
    return _in_float64(xp, values, pivot, weights, constant_share(double=double))


def _in_float32(xp: Any, values: Any, pivot: float) -> Moments | None:
    """Return the moments by sums in float32, None where those lose digits or leave its range."""
    a, b = per_draw(xp, values, pivot)
    n, sums = float(a.shape[0]), _sums(xp, a, b, scalar=values.ndim == 1)
    if not float32_holds(n, sums[-1]):
        return None
    found = from_sums(n, sums, pivot=pivot)
    return found if float32_suffices(found, sums[1], sums[-1]) else None


def _in_float64(xp: Any, values: Any, pivot: float, weights: Any, constant: float) -> Moments:
    a, b = per_draw(xp, values, pivot)
    sums = _sums(xp, a, b, weights, scalar=values.ndim == 1)
    n, sum_bb = float(a.shape[0]), sums[-1]
    if sum_bb - sum_bb != 0:  # an infinity or NaN somewhere
        good = xp.isfinite(b * b)
        bad = float(xp.sum(~good))
        if bad == n:
            return Moments(nonfinite=bad, pivot=pivot)
        if bad:
            kept = None if weights is None else weights[good]
            rest = _in_float64(xp, values[..., good], pivot, kept, constant)
            return replace(rest, nonfinite=bad)
    found = from_sums(n, sums, pivot=pivot)
    if weights is not None or not cancelled(found):
        return found
    means = found.mean_a, found.mean_b
    sums = _sums(xp, a - means[0], b - means[1])
    return from_sums(n, sums, pivot=pivot, about=means, constant=constant)


def per_draw(xp: Any, values: Any, pivot: float) -> tuple[Any, Any]:
    """Return a and b of each draw, from values of shape (event..., draws)."""
    v = values - pivot if pivot else values
    b = xp.square(v)  # sooner done than v * v
    if v.ndim == 1:
        return v, b
    axes = tuple(range(v.ndim - 1))
    return xp.mean(v, axis=axes), xp.mean(b, axis=axes)


def _sums(xp: Any, a: Any, b: Any, weights: Any = None, *, scalar: bool = False) -> list[float]:
    """Return the sums of a, a², ab, b and b², weighted if asked for; of a scalar b is a²."""
    if scalar and weights is None:
        sum_a, sum_aa, sum_ab, sum_bb = xp.sums_of_products((a, None), (a, a), (a, b), (b, b))
        return [sum_a, sum_aa, sum_ab, sum_aa, sum_bb]
    wa, wb = (a, b) if weights is None else (a * weights, b * weights)
    sums: list[float] = xp.sums_of_products((wa, None), (wa, a), (wb, a), (wb, None), (wb, b))
    return sums


def constant_share(*, double: bool) -> float:
    """Return below which share of the mean square a variance about the means is rounding."""
    return _CONSTANT_ABOUT_MEANS if double else _CONSTANT


def cancelled(found: Moments) -> bool:
    """Whether a variance from sums about zero lost its digits: sums about the means keep them."""
    least_a = _CANCELLED * found.count * found.mean_a * found.mean_a
    return found.count > 1 and (found.aa <= least_a or found.bb <= _CANCELLED * found.sum_bb)


def float32_suffices(found: Moments, sum_aa: float, sum_bb: float) -> bool:
    """Whether moments from float32 sums keep their digits, or too much of Σa² or Σb² cancels."""
    return found.aa > _SPREAD_A * sum_aa and found.bb > _SPREAD_B * sum_bb


def from_sums(
    n: float,
    sums: Sequence[float],
    *,
    pivot: float,
    nonfinite: float = 0.0,
    about: tuple[float, float] = (0.0, 0.0),
    constant: float = _CONSTANT,
) -> Moments:
    """Return the moments of n draws from the sums of a, a², ab, b and b² over them.

    Parameters
    ----------
    n
        Draws that entered the sums; of none, the sums do not matter.
    sums
        Those of a, a², ab, b and b², in this order and in float64.
    pivot
        What was subtracted.
    nonfinite
        Draws that were left out.
    about
        What was subtracted from a and b before they were multiplied and added.
    constant
        Below this share of the mean square, a variance is rounding.
    """
    if not n:
        return Moments(nonfinite=nonfinite, pivot=pivot)
    sum_a, sum_aa, sum_ab, sum_b, sum_bb = sums
    da, db = sum_a / n, sum_b / n
    mean_a, mean_b = about[0] + da, about[1] + db
    aa, bb = sum_aa - sum_a * da, sum_bb - sum_b * db
    sum_bb += about[1] * (sum_b + n * mean_b)
    aa = aa if aa > constant * (sum_aa + about[0] * (sum_a + n * mean_a)) else 0.0
    bb = bb if bb > constant * sum_bb else 0.0
    return Moments(
        count=n,
        points=n,
        nonfinite=nonfinite,
        pivot=pivot,
        mean_a=mean_a,
        mean_b=mean_b,
        aa=aa,
        ab=sum_ab - sum_a * db if aa and bb else 0.0,
        bb=bb,
        sum_bb=sum_bb,
    )


def float32_holds(n: float, sum_bb: float) -> bool:
    """Whether neither b² nor what it is made of left the range of float32."""
    return _SMALLEST * n < sum_bb < _LARGEST * n


def as_unit(m: Moments) -> Moments:
    """Return the means of many points as those of one unit, e.g. a scrambled point set."""
    if not m.count:
        return m
    return replace(m, count=1.0, aa=0.0, ab=0.0, bb=0.0, sum_bb=_sum_cc(m))


def _sum_cc(m: Moments) -> float:
    """Return the sum over draws of c², c = b − 2·E[a]·a + E[a]² being b about the mean of v."""
    c = m.mean_b - m.mean_a**2
    return m.count * c * c + max(m.bb - 4 * m.mean_a * (m.ab - m.mean_a * m.aa), 0.0)


def merge(left: Moments, right: Moments) -> Moments:
    """Pool two sets of units about the same pivot (Chan, Golub and LeVeque 1983; Pébay 2008)."""
    nonfinite = left.nonfinite + right.nonfinite
    if not left.count or not right.count:
        return replace(left if left.count else right, nonfinite=nonfinite)
    n = left.count + right.count
    share = right.count / n
    da, db = right.mean_a - left.mean_a, right.mean_b - left.mean_b
    weight = left.count * share
    return Moments(
        count=n,
        points=left.points + right.points,
        nonfinite=nonfinite,
        pivot=left.pivot,
        mean_a=left.mean_a + da * share,
        mean_b=left.mean_b + db * share,
        aa=left.aa + right.aa + da * da * weight,
        ab=left.ab + right.ab + da * db * weight,
        bb=left.bb + right.bb + db * db * weight,
        sum_bb=left.sum_bb + right.sum_bb,
    )

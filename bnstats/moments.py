"""Streaming moments of one direction: what a chunk leaves behind, and how chunks merge.

Per draw two numbers are kept: ``a``, the event mean of v, and ``b``, the event mean of v², where v
is y or dx minus a fixed pivot. Their means and 2x2 co-moments are all that an estimate needs.
Arithmetic is float64 whatever the dtype of the draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Moments:
    """Means and summed co-deviations of (a, b) over draws.

    Attributes
    ----------
    count
        Draws that entered, as a float: products of counts overflow int64 beyond 2e6 draws.
    nonfinite
        Draws left out because v⁴ is not a finite float64.
    pivot
        What was subtracted from every value.
    mean_a, mean_b
        Means over draws.
    aa, ab, bb
        Sums over draws of products of deviations from those means.
    """

    count: float = 0.0
    nonfinite: float = 0.0
    pivot: float = 0.0
    mean_a: float = 0.0
    mean_b: float = 0.0
    aa: float = 0.0
    ab: float = 0.0
    bb: float = 0.0


def of(xp: Any, values: Any, pivot: float) -> Moments:
    """Return the moments of one block of draws.

    Parameters
    ----------
    xp
        Array namespace.
    values
        y or dx, shape (event..., draws).
    pivot
        Subtracted from every value; near E[v] it keeps all digits when the mean is large.
    """
    v = xp.astype(values, xp.float64)
    v = v - pivot if pivot else v
    b = v * v
    if v.ndim == 1:
        a, sum_aa = v, None
    else:
        event = tuple(range(v.ndim - 1))
        a, b = xp.mean(v, axis=event), xp.mean(b, axis=event)
        sum_aa = float(xp.sum(a * a))
    n, sum_b = float(a.shape[0]), float(xp.sum(b))
    sum_bb = float(xp.sum(b * b))
    if sum_bb - sum_bb != 0:  # an infinity or NaN somewhere
        good = xp.isfinite(b * b)
        bad = float(xp.sum(~good))
        if bad == n:
            return Moments(nonfinite=bad, pivot=pivot)
        if bad:
            return replace(of(xp, values[..., good], pivot), nonfinite=bad)
    sum_a, sum_ab = float(xp.sum(a)), float(xp.sum(a * b))
    mean_a, mean_b = sum_a / n, sum_b / n
    return Moments(
        count=n,
        pivot=pivot,
        mean_a=mean_a,
        mean_b=mean_b,
        aa=max((sum_b if sum_aa is None else sum_aa) - sum_a * mean_a, 0.0),
        ab=sum_ab - sum_a * mean_b,
        bb=max(sum_bb - sum_b * mean_b, 0.0),
    )


def merge(left: Moments, right: Moments) -> Moments:
    """Pool two sets of draws about the same pivot (Chan, Golub and LeVeque 1983; Pébay 2008)."""
    nonfinite = left.nonfinite + right.nonfinite
    if not left.count or not right.count:
        return replace(left if left.count else right, nonfinite=nonfinite)
    n = left.count + right.count
    share = right.count / n
    da, db = right.mean_a - left.mean_a, right.mean_b - left.mean_b
    weight = left.count * share
    return Moments(
        count=n,
        nonfinite=nonfinite,
        pivot=left.pivot,
        mean_a=left.mean_a + da * share,
        mean_b=left.mean_b + db * share,
        aa=left.aa + right.aa + da * da * weight,
        ab=left.ab + right.ab + da * db * weight,
        bb=left.bb + right.bb + db * db * weight,
    )

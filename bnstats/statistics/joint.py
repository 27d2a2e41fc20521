"""Joint moments of what one draw gives, and how those of chunks merge.

What a layer does in a stack is a ratio of moments of x, y and f′, whose errors are correlated: so
their covariances are kept, too. That takes longer than the moments of y and dx alone, and is only
done where it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np


class Drawn(NamedTuple):
    """A block of draws: y, the squares of dy/dx of it, and what else a scalar has.

    Attributes
    ----------
    y
        Shape (event..., draws).
    slope2
        (dx/dy)²; of events the squares of dx over the variance of dy, shape (event..., draws).
    z
        The standardised x, shape (draws,); None of events.
    drift
        (x − E[x])·y·dy/dx, or where y jumps in x what has the same mean; None of events.
    slope
        dx/dy, shape (draws,); None of events.
    weights
        Importance weights of mean one, shape (draws,), or None.
    """

    y: Any
    slope2: Any
    z: Any = None
    drift: Any = None
    slope: Any = None
    weights: Any = None


@dataclass(frozen=True)
class Joint:
    """Means and co-moments of k numbers per draw, over independent units.

    A unit is a draw, or in randomised quasi-Monte Carlo a whole replicate of many points.

    Attributes
    ----------
    count, points, nonfinite
        As in `bnstats.statistics.moments.Moments`; left out is what has a square, in any of the
        numbers, that is not finite.
    pivot
        What was subtracted from y.
    mean
        Means over units, shape (k,): of v, y minus the pivot, v² and the square of f′, which is
        dx/dy; of scalars then of the standardised x, its square and its product with v, the drift
        and f′. Of events that are no single number v, v² and the square are means over the event.
    between
        Sums over units of products of deviations from those means, shape (k, k).
    within
        The same sums over evaluations: of draws it is the same.
    """

    count: float = 0.0
    points: float = 0.0
    nonfinite: float = 0.0
    pivot: float = 0.0
    mean: Any = 0.0
    between: Any = 0.0
    within: Any = 0.0

    def as_unit(self) -> Joint:
        """Return the means of many points as those of one unit."""
        return self if not self.count else replace(self, count=1.0, between=0.0 * self.between)

    def merged(self, other: Joint) -> Joint:
        """Pool two sets of units about the same pivot (Chan, Golub and LeVeque 1983)."""
        nonfinite = self.nonfinite + other.nonfinite
        if not self.count or not other.count:
            return replace(self if self.count else other, nonfinite=nonfinite)
        n, points = self.count + other.count, self.points + other.points
        step = other.mean - self.mean
        square = np.outer(step, step)
        return Joint(
            n,
            points,
            nonfinite,
            self.pivot,
            self.mean + step * (other.count / n),
            self.between + other.between + square * (self.count * other.count / n),
            self.within + other.within + square * (self.points * other.points / points),
        )


def joint_of(xp: Any, drawn: Drawn, pivot: float) -> Joint:
    """Return the joint moments of a block, in float64.

    Parameters
    ----------
    xp
        numpy's namespace.
    drawn
        The block.
    pivot
        Subtracted from y.
    """
    columns = _columns(drawn, pivot)
    n = columns.shape[1]
    with np.errstate(all="ignore"):
        good = np.isfinite(np.einsum("kn,kn->n", columns, columns))
    kept, weights = float(np.count_nonzero(good)), drawn.weights
    if kept < n:
        columns = columns[:, good]
        weights = None if weights is None else weights[good]
    if not kept:
        return Joint(nonfinite=float(n), pivot=pivot)
    weighted = columns if weights is None else columns * weights
    mean = np.array(xp.sums_of_products(*((row, None) for row in weighted))) / kept
    columns -= mean[:, None]
    about = columns if weights is None else columns * weights
    k = len(columns)
    pairs = [(i, j) for i in range(k) for j in range(i + 1)]
    products = xp.sums_of_products(*((about[i], columns[j]) for i, j in pairs))
    within = np.empty((k, k))
    for (i, j), product in zip(pairs, products, strict=True):
        within[i, j] = within[j, i] = product
    return Joint(kept, kept, n - kept, pivot, mean, within, within)


def _columns(drawn: Drawn, pivot: float) -> Any:
    v = drawn.y.astype(np.float64)
    v -= pivot
    found = [v, v * v, drawn.slope2.astype(np.float64)]
    if drawn.z is None:
        return np.stack([part.mean(axis=tuple(range(part.ndim - 1))) for part in found])
    z = drawn.z.astype(np.float64)
    more = (drawn.drift.astype(np.float64), drawn.slope.astype(np.float64))
    return np.stack([*found, z, z * z, z * v, *more])

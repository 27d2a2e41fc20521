"""Linear maps of known weights, which work along one side of x after another.

Padding, cropping, resizing, windows laid out and sums of inputs are all of this kind. A row says of
which positions an output is the weighted sum; the backward takes the columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, prod
from typing import TypeAlias

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import NO_SUM, UNKNOWN, ExactMoments, Known
from bnstats.layers._parameters import ParameterError
from bnstats.layers._windows import laid_along

Taps: TypeAlias = dict[int, float]  # weights by position

_MOST_POSITIONS = 10**5  # along a side: rows are built one by one


@dataclass(frozen=True)
class Along:
    """A linear map along one side of ``size`` positions, a row of taps for every output."""

    size: int
    rows: tuple[Taps, ...]

    @cached_property
    def columns(self) -> tuple[Taps, ...]:
        """Of every position, the outputs that it is part of."""
        found: list[Taps] = [{} for _ in range(self.size)]
        for output, row in enumerate(self.rows):
            for position, weight in row.items():
                found[position][output] = weight
        return tuple(found)

    def transposed(self) -> Along:
        """Return the map that is this one's backward."""
        return Along(len(self.rows), self.columns)

    def overlap(self) -> float:
        """Return tr (AAᵀ)² of the matrix A of rows: Σ over pairs of rows of their product²."""
        total = []
        for row in self.rows:
            products = defaultdict[int, float](float)
            for position, weight in row.items():
                for other, its in self.columns[position].items():
                    products[other] += weight * its
            total += [p * p for p in products.values()]
        return fsum(total)


def along(size: int, outputs: int, taps: Callable[[int], Taps]) -> Along:
    """Return the map along a side; ``taps(i)`` are those of output i, none where it is constant.

    Raises
    ------
    ParameterError
        More than 100,000 positions.
    """
    if max(size, outputs) > _MOST_POSITIONS:
        raise ParameterError(f"a side of more than {_MOST_POSITIONS:,} positions")
    return Along(size, tuple(taps(i) for i in range(outputs)))


def linear_map(sides: Sequence[Along], outside: float = 0.0) -> BoundLayer:
    """Return the layer of y = A·x, A the product of the maps along each side.

    An output without taps along some side is ``outside``. E[y] is x_mean times the mean sum of a
    row of A, E[y²] x_std² times the mean square length of a row more than the square of that, and
    E[dx²] dy_std² times the mean square length of a column. Of N normal numbers Av, the mean square
    has the variance 2·tr (AAᵀ)²·σ⁴/N².
    """
    size, count = tuple(s.size for s in sides), tuple(len(s.rows) for s in sides)

    def applied(xp: Namespace, x: Array, which: str) -> Array:
        for axis, side in enumerate(sides):
            x = _gathered(xp, x, axis, getattr(side, which))
        return x

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y = applied(xp, draws["x"], "rows")
        if outside:
            y = y + outside * (1 - _inside(xp, sides, y))
        return y, lambda dy: applied(xp, dy, "columns")

    def over_rows(value: Callable[[Taps], float]) -> float:
        return prod(fsum(map(value, s.rows)) / len(s.rows) for s in sides)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        m, var, dy2 = law.x_mean, law.x_std**2, law.dy_std**2
        constant = outside * (1 - over_rows(bool))
        mean = m * over_rows(lambda row: fsum(row.values())) + constant
        sums = over_rows(lambda row: fsum(row.values()) ** 2)
        of_means = m**2 * sums + outside * constant
        lengths = over_rows(lambda row: fsum(w * w for w in row.values()))
        rows, positions = prod(count), prod(size)
        ms_dx = dy2 * lengths * rows / positions
        overlap = prod(s.overlap() for s in sides)
        var_y = Known(var * lengths + (of_means - mean**2)).widened(2.0**-50 * of_means)
        several = rows > 1 and not m and not constant
        return ExactMoments(
            mean_y=Known(mean).widened(2.0**-50 * abs(constant)),
            var_y=var_y,
            m4_y=3 * var_y.squared() if rows == 1 else UNKNOWN,
            var_ms_y=Known(2 * var**2 * overlap / rows**2) if several else UNKNOWN,
            ms_dx=Known(ms_dx),
            mean_dx=UNKNOWN if sums else NO_SUM,
            m4_dx=Known(3 * ms_dx**2) if positions == 1 else UNKNOWN,
            var_ms_dx=Known(2 * dy2**2 * overlap / positions**2) if positions > 1 else UNKNOWN,
        )

    return BoundLayer({"x": Input(size), "dy": Input(count)}, forward, moments)


def _gathered(xp: Namespace, x: Array, axis: int, rows: Sequence[Taps]) -> Array:
    """Return the weighted sums along an axis, one tap of every row at a time."""
    taps = [list(row.items()) for row in rows]
    y: Array = 0
    for i in range(max(map(len, taps), default=0)):
        at = [row[i] if i < len(row) else (0, 0.0) for row in taps]
        part = xp.take(x, xp.asarray([position for position, _ in at]), axis=axis)
        weights = [weight for _, weight in at]
        if set(weights) != {1.0}:
            part = part * laid_along(xp, weights, axis, x)
        y = y + part
    return y


def _inside(xp: Namespace, sides: Sequence[Along], like: Array) -> Array:
    """Return 1 for every output that has taps, 0 for the others."""
    found: Array = 1
    for axis, side in enumerate(sides):
        found = found * laid_along(xp, [float(bool(row)) for row in side.rows], axis, like)
    return found

"""Maxima and sums over windows, one side of the map after another.

A window is a product of windows along each side, and so are the maximum and the sum over it: the
last side is reduced first, and the gradient goes back through the sides in the opposite order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

from bnstats.layers._bound import Array, Backward, Namespace
from bnstats.layers._windows import Side, Stretch, Windows

# y, and the gradient with respect to the i-th position of every window, from dy and i.
Reduced: TypeAlias = tuple[Array, Callable[[Array, int], Array]]
# Reduces the windows of one stretch, given one array for each position of a window.
Reduction: TypeAlias = Callable[[Namespace, Sequence[Array]], Reduced]
ReductionOf: TypeAlias = Callable[[int, Stretch], Reduction]  # of a stretch along an axis


def largest(xp: Namespace, taps: Sequence[Array]) -> Reduced:
    """Return the largest, and the gradient of each: the first of equals has it, as in torch."""
    y, winner = taps[0], xp.zeros(taps[0].shape, dtype=xp.int32)
    for i, candidate in enumerate(taps[1:], start=1):
        # No where(): its branches mispredict.
        winner = xp.maximum(winner, xp.astype(candidate > y, xp.int32) * i)
        y = xp.maximum(y, candidate)
    return y, lambda dy, i: dy * (winner == i)


def total(xp: Namespace, taps: Sequence[Array]) -> Reduced:
    """Return the sum, and the gradient of each."""
    return reduce(operator.add, taps), lambda dy, i: dy


def over_windows(
    xp: Namespace, x: Array, windows: Windows, reduction: Reduction, padding: float = 0.0
) -> tuple[Array, Backward]:
    """Reduce every window of a map (sides, n), padded by a number; return y and its backward."""
    y, backward = over_stretches(
        xp, windows.pad(xp, x, padding), windows.sides, lambda axis, stretch: reduction
    )
    return y, lambda dy: windows.crop(backward(dy))


def over_stretches(
    xp: Namespace, x: Array, sides: Sequence[Side], reduction_of: ReductionOf
) -> tuple[Array, Backward]:
    """Reduce the windows of a padded map, each stretch along each axis in its own way."""
    y, steps = x, list[Backward]()
    for axis, side in reversed(list(enumerate(sides))):
        y, back = _along(xp, y, side, axis, reduction_of)
        steps.append(back)
    return y, lambda dy: reduce(lambda grad, back: back(grad), reversed(steps), dy)


def _along(
    xp: Namespace, x: Array, side: Side, axis: int, reduction_of: ReductionOf
) -> tuple[Array, Backward]:
    lead = (slice(None),) * axis
    found = [
        reduction_of(axis, stretch)(xp, [x[(*lead, stretch.at(i))] for i in range(stretch.taps)])
        for stretch in side.stretches
    ]
    if len(found) == 1:
        y = found[0][0]
    else:
        y = xp.zeros((*x.shape[:axis], side.count, *x.shape[axis + 1 :]), dtype=x.dtype)
        for stretch, (part, _) in zip(side.stretches, found, strict=True):
            y = xp.add_at(y, (*lead, stretch.place), part)

    def backward(dy: Array) -> Array:
        dx = xp.zeros_like(x)
        for stretch, (_, share) in zip(side.stretches, found, strict=True):
            dy_stretch = dy[(*lead, stretch.place)]
            for tap in range(stretch.taps):
                dx = xp.add_at(dx, (*lead, stretch.at(tap)), share(dy_stretch, tap))
        return dx

    return y, backward

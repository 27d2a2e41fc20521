"""The geometry of windows, shared by pooling and convolution; `_layout` lays them out.

A window over several sides is a product of windows along each, so all of it is laid out by side.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

from bnstats.layers._registry import Array, Namespace


@dataclass(frozen=True)
class Run:
    """Equally long windows at equal distances along one side, in positions of the padded map.

    ``place`` is where they stand among the windows of their side.
    """

    start: int
    step: int
    count: int
    taps: int
    dilation: int
    place: slice

    def at(self, tap: int) -> slice:
        """Return the slice that takes one position of every window."""
        first = self.start + tap * self.dilation
        return slice(first, first + self.step * (self.count - 1) + 1, self.step)


class Extent(NamedTuple):
    """How many positions a window holds: of the input, and of the input and its padding."""

    inside: int
    padded: int


def inside(extent: Extent) -> int:
    """Return the positions of a window that are inside the input."""
    return extent.inside


def padded(extent: Extent) -> int:
    """Return the positions of a window that are inside the input or its padding."""
    return extent.padded


@dataclass(frozen=True)
class Side:
    """Windows along one side of a map.

    Attributes
    ----------
    size
        Positions of x an event holds.
    runs
        The windows: a single run where they slide, several where they adapt to the size.
    padding
        Positions before and after the map; ``ceil_mode`` may need more of them after it.
    kept
        The positions of x whose dx belongs to the event.
    margin
        How much of the padding on each side counts as elements.
    """

    size: int
    runs: tuple[Run, ...]
    padding: tuple[int, int]
    kept: slice
    margin: int

    @property
    def count(self) -> int:
        """Windows, i.e. positions of y."""
        return sum(run.count for run in self.runs)

    @cached_property
    def extents(self) -> tuple[Extent, ...]:
        """The extent of every window."""
        found = [Extent(0, 0)] * self.count
        for run in self.runs:
            found[run.place] = [self._extent(run, w) for w in range(run.count)]
        return tuple(found)

    def _extent(self, run: Run, window: int) -> Extent:
        first = run.start + window * run.step - self.padding[0]

        def held(low: int, high: int) -> int:
            taps = (-((first - end) // run.dilation) for end in (low, high))
            before, upto = (min(max(tap, 0), run.taps) for tap in taps)
            return upto - before

        return Extent(held(0, self.size), held(-self.margin, self.size + self.margin))


@dataclass(frozen=True)
class Windows:
    """Windows over one event.

    Attributes
    ----------
    sides
        The windows along each side.
    interior
        Whether the map is a piece of an unbounded one.
    """

    sides: tuple[Side, ...]
    interior: bool

    @property
    def kernel(self) -> tuple[int, ...]:
        """Positions of the largest window, by side."""
        return tuple(max(run.taps for run in side.runs) for side in self.sides)

    @property
    def size(self) -> tuple[int, ...]:
        """Positions of x an event holds, by side."""
        return tuple(side.size for side in self.sides)

    @property
    def count(self) -> tuple[int, ...]:
        """Windows, i.e. positions of y, by side."""
        return tuple(side.count for side in self.sides)

    def offsets(self) -> Iterator[tuple[int, ...]]:
        """Yield the positions of a sliding window, in row-major order."""
        return itertools.product(*(range(k) for k in self.kernel))

    def at(self, offset: tuple[int, ...]) -> tuple[Any, ...]:
        """Return the index that takes one position of every sliding window from the padded map."""
        sides = zip(self.sides, offset, strict=True)
        return (..., *(side.runs[0].at(o) for side, o in sides), slice(None))

    def pad(self, xp: Namespace, x: Array, value: float) -> Array:
        """Surround the map (sides, n), leading axes allowed, by its padding."""
        if not any(any(side.padding) for side in self.sides):
            return x
        lead = x.ndim - len(self.sides) - 1
        widths = [(0, 0)] * lead + [side.padding for side in self.sides] + [(0, 0)]
        return xp.pad(x, widths, constant_values=value)

    def crop(self, padded: Array) -> Array:
        """Return the kept positions of a padded map."""
        kept = ((s.kept.start + s.padding[0], s.kept.stop + s.padding[0]) for s in self.sides)
        return padded[(..., *(slice(start, stop) for start, stop in kept), slice(None))]

    @cached_property
    def shares(self) -> dict[Extent, float]:
        """The share of the windows by their extent."""
        totals = Counter({Extent(1, 1): 1})
        for side in self.sides:
            step: Counter[Extent] = Counter()
            pairs = itertools.product(totals.items(), Counter(side.extents).items())
            for (a, na), (b, nb) in pairs:
                step[Extent(a.inside * b.inside, a.padded * b.padded)] += na * nb
            totals = step
        return {extent: n / prod(self.count) for extent, n in totals.items()}

    def per_window(self, value: Callable[[Extent], float]) -> float:
        """Return the mean over the windows of a function of their extent."""
        return sum(share * value(extent) for extent, share in self.shares.items())

    def per_position(self, value: Callable[[Extent], float]) -> float:
        """Return the sum over the windows of a function of their extent, for each kept position.

        In the interior there is one window to each stride period.
        """
        windows = 1 if self.interior else prod(self.count)
        kept = prod(side.kept.stop - side.kept.start for side in self.sides)
        return float(self.per_window(value) * windows / kept)

    def divisors(self, xp: Namespace, divisor: Callable[[Extent], int], like: Array) -> Array:
        """Return a divisor for every window, shape (count, 1), or one number where all agree.

        A function of the extent that is a product over the sides.
        """
        found = {divisor(extent) for extent in self.shares}
        if len(found) == 1:
            return found.pop()
        product: Array = 1.0
        for axis, side in enumerate(self.sides):
            along = [1] * (len(self.sides) + 1)
            along[axis] = side.count
            values = xp.asarray([divisor(e) for e in side.extents], dtype=like.dtype)
            product = product * xp.reshape(values, tuple(along))
        return product

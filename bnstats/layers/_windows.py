"""The geometry of windows, shared by pooling and convolution; `_layout` lays them out.

A window over several sides is a product of windows along each, so all of it is laid out by side.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Literal, NamedTuple, TypeAlias

from bnstats.layers._bound import Array, Namespace

Region: TypeAlias = Literal["all", "interior", "border"]


@dataclass(frozen=True)
class Stretch:
    """Equally long windows at equal distances along one side, in positions of the padded map.

    ``place`` is where they stand among the windows of their side.
    """

    start: int
    step: int
    count: int
    taps: int
    dilation: int = 1
    place: slice = field(default_factory=lambda: slice(None))

    def at(self, tap: int) -> slice:
        """Return the slice that takes one position of every window."""
        first = self.start + tap * self.dilation
        return slice(first, first + self.step * (self.count - 1) + 1, self.step)


class Extent(NamedTuple):
    """How many positions a window holds: of the input, and of the input and its padding."""

    inside: int
    padded: int


@dataclass(frozen=True)
class Side:
    """Windows along one side of a map.

    Attributes
    ----------
    size
        Positions of x an event holds.
    stretches
        The windows: a single stretch where they slide, several where they adapt to the size.
    padding
        Positions before and after the map; ``ceil_mode`` may need more of them after it.
    margin
        How much of the padding on each side counts as elements.
    period
        The positions of x whose dx belongs to the event, one stride of them, if the side is a piece
        of an unbounded one; None for all of them.
    """

    size: int
    stretches: tuple[Stretch, ...]
    padding: tuple[int, int] = (0, 0)
    margin: int = 0
    period: range | None = None

    @property
    def kept(self) -> range:
        """The positions of x whose dx belongs to the event."""
        return self.period or range(self.size)

    @property
    def count(self) -> int:
        """Windows, i.e. positions of y."""
        return sum(stretch.count for stretch in self.stretches)

    @cached_property
    def extents(self) -> tuple[Extent, ...]:
        """The extent of every window."""
        found = [Extent(0, 0)] * self.count
        for stretch in self.stretches:
            found[stretch.place] = [self._extent(stretch, w) for w in range(stretch.count)]
        return tuple(found)

    def _extent(self, stretch: Stretch, window: int) -> Extent:
        first = stretch.start + window * stretch.step - self.padding[0]

        def held(low: int, high: int) -> int:
            taps = (-((first - end) // stretch.dilation) for end in (low, high))
            before, upto = (min(max(tap, 0), stretch.taps) for tap in taps)
            return upto - before

        return Extent(held(0, self.size), held(-self.margin, self.size + self.margin))

    @property
    def full(self) -> tuple[bool, ...]:
        """Whether each sliding window lies inside the map."""
        return tuple(extent.inside == self.stretches[0].taps for extent in self.extents)

    @cached_property
    def visits(self) -> tuple[int, ...]:
        """How many windows hold each position, −1 at the border of the map.

        There a window that would hold it in an unbounded map reaches over the edge or is missing.
        """
        (stretch,) = self.stretches
        found = []
        for position in range(self.padding[0], self.padding[0] + self.size):
            starts = (position - tap * stretch.dilation for tap in range(stretch.taps))
            windows = [start // stretch.step for start in starts if start % stretch.step == 0]
            inner = all(0 <= w < self.count and self.full[w] for w in windows)
            found.append(len(windows) if inner else -1)
        return tuple(found)


@dataclass(frozen=True)
class Windows:
    """Windows over one event.

    Attributes
    ----------
    sides
        The windows along each side.
    region
        Which part of a finite map counts. Windows inside the map are interior, those that reach
        over its edge are border; positions are interior where along each side all the windows are
        that would hold them in an unbounded map.
    hints
        What a user should know about this layout.
    """

    sides: tuple[Side, ...]
    region: Region = "all"
    hints: tuple[str, ...] = ()

    @property
    def kernel(self) -> tuple[int, ...]:
        """Positions of the largest window, by side."""
        return tuple(max(stretch.taps for stretch in side.stretches) for side in self.sides)

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
        return (..., *(side.stretches[0].at(o) for side, o in sides), slice(None))

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
        if self.region != "all":
            border, full = self.region == "border", prod(self.kernel)
            totals = Counter({e: n for e, n in totals.items() if (e.inside < full) == border})
        return {extent: n / totals.total() for extent, n in totals.items()}

    def per_window(self, value: Callable[[Extent], float]) -> float:
        """Return the mean over the windows of a function of their extent."""
        return sum(share * value(extent) for extent, share in self.shares.items())

    def per_position(self, value: Callable[[Extent], float]) -> float:
        """Return the sum over the windows of a function of their extent, for each kept position.

        In the interior there is one window to each stride period. Within a window, all positions
        have the same part in the sum.
        """
        if self.region != "all":
            full = Extent(prod(self.kernel), prod(self.kernel))
            visits = prod(sum(v for v in side.visits if v > 0) for side in self.sides)
            within, positions = value(full) / full.inside * visits, len(self.positions)
            if self.region == "interior":
                return within / positions
            whole = replace(self, region="all")
            return (whole.per_position(value) * prod(self.size) - within) / positions
        windows = prod(1 if side.period else side.count for side in self.sides)
        kept = prod(len(side.kept) for side in self.sides)
        return float(self.per_window(value) * windows / kept)

    @cached_property
    def positions(self) -> list[int]:
        """The positions of the region, in row-major order."""
        return self._chosen([tuple(v >= 0 for v in side.visits) for side in self.sides])

    @cached_property
    def indices(self) -> list[int]:
        """The windows of the region, in row-major order."""
        return self._chosen([side.full for side in self.sides])

    def _chosen(self, inner: Sequence[tuple[bool, ...]]) -> list[int]:
        cells = enumerate(itertools.product(*inner))
        return [i for i, along in cells if all(along) == (self.region == "interior")]

    def divisors(self, xp: Namespace, divisor: Callable[[Extent], int], like: Array) -> Array:
        """Return a divisor for every window, to broadcast with (count, n).

        A function of the extent that is a product over the sides.
        """
        found: Array = 1
        for axis, side in enumerate(self.sides):
            values = [divisor(extent) for extent in side.extents]
            if len(set(values)) == 1:
                found = found * values[0]
                continue
            found = found * laid_along(xp, values, axis, like)
        return found


def laid_along(xp: Namespace, values: Sequence[float], axis: int, like: Array) -> Array:
    """Return numbers along an axis of an array like another one, to broadcast with it."""
    shape = [1] * like.ndim
    shape[axis] = len(values)
    return xp.reshape(xp.asarray(values, dtype=like.dtype), tuple(shape))

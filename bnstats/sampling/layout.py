"""How a run is cut into pieces, and how the moments of the pieces are merged.

A run has one unit, or one for each scramble of Sobol' points. A unit is a row of leaves of equal
size, whose moments are merged as a binary tree over their indices. So a span of leaves that is a
whole subtree may be drawn anywhere, at any time, and leave nothing but its moments: the digits
depend on the leaves alone.

Spans are walked in bands, whose ends double: [0, 1), [1, 2), [2, 4), [4, 8) … in each unit. A
precision is judged where a band ends, and no span crosses such a place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

from bnstats.statistics.moments import Tally, as_unit


class Chunk(NamedTuple):
    """A piece of work: the stream it belongs to, its first draw, and how many it has."""

    unit: int
    first: int
    draws: int


class Span(NamedTuple):
    """Neighbouring leaves of a unit that are merged as one subtree.

    Attributes
    ----------
    unit
        Number of the unit.
    first, leaves
        The first leaf, and how many there are: a power of two, of which ``first`` is a multiple.
    draws
        Draws, or points, of these leaves.
    is_milestone
        Whether a precision may be judged once this span is merged.
    """

    unit: int
    first: int
    leaves: int
    draws: int
    is_milestone: bool = False


Known = Mapping[tuple[int, int], tuple[Span, Any]]  # spans and tallies by unit and first leaf


@dataclass(frozen=True)
class Layout:
    """How the draws of a run are numbered.

    Attributes
    ----------
    samples
        Draws, or points, of all units together.
    leaf
        Draws of a leaf; the last one of independent draws may have fewer.
    units
        Scrambles of Sobol' points; 1 of independent draws.
    largest_chunk
        Leaves that are drawn at once, at most.
    """

    samples: int
    leaf: int
    units: int = 1
    largest_chunk: int = 1

    @property
    def leaves(self) -> int:
        """Leaves of each unit."""
        return -(-self.samples // self.units // self.leaf)

    def span(self, unit: int, first: int, leaves: int) -> Span:
        """Return a span of leaves."""
        draws = min(leaves * self.leaf, self.samples // self.units - first * self.leaf)
        end = first + leaves
        is_milestone = unit == self.units - 1 and end & (end - 1) == 0
        return Span(unit, first, leaves, draws, is_milestone)

    def chunks(self, span: Span) -> Iterator[tuple[Span, Chunk]]:
        """Yield the chunks of a span, each with the part of the span that it is."""
        step = min(self.largest_chunk, span.leaves)
        for first in range(span.first, span.first + span.leaves, step):
            part = self.span(span.unit, first, step)
            # Of independent draws every leaf has a stream of its own.
            stream = span.unit if self.units > 1 else first
            yield part, Chunk(stream, first * self.leaf, part.draws)

    def part(self, number: int, parts: int) -> tuple[int, int]:
        """Return the leaves of one of several parts, from 1 on, where units follow each other."""
        # No chunk is cut: in a unit that is not longer than one, bands are chunks.
        grain = min(self.largest_chunk, self.leaves)
        grains = self.units * self.leaves // grain
        return grains * (number - 1) // parts * grain, grains * number // parts * grain

    def spans(
        self,
        *,
        known: Known | None = None,
        within: tuple[int, int] | None = None,
        wanted: Callable[[int], int] | None = None,
    ) -> Iterator[Span]:
        """Yield the spans of a run in the order in which they are merged.

        Parameters
        ----------
        known
            Spans that are not to be cut.
        within
            The leaves of a `part`; by default all.
        wanted
            Given how many leaves are left, returns how many a span should have, at most; by
            default a chunk's, and never fewer: chunks are always the same.
        """
        known = known or {}
        begin, end = within or (0, self.units * self.leaves)
        low, high = 0, 1
        while low < self.leaves:
            for unit in range(self.units):
                first = max(low, begin - unit * self.leaves)
                stop = min(high, self.leaves, end - unit * self.leaves)
                while first < stop:
                    at = known.get((unit, first))
                    if at is not None and first + at[0].leaves <= stop:
                        size = at[0].leaves
                    else:
                        left = (self.units - unit) * (stop - first)
                        left += self.units * (self.leaves - min(high, self.leaves))
                        most = max(self.largest_chunk, wanted(left) if wanted else 1)
                        size = min(first & -first or 1, _power(stop - first), _power(most))
                        while size > 1 and any(
                            u == unit and first < f < first + size for u, f in known
                        ):
                            size //= 2
                    yield self.span(unit, first, size)
                    first += size
            low, high = high, 2 * high


def _power(number: int) -> int:
    """Return the largest power of two up to a number ≥ 1."""
    return 1 << (number.bit_length() - 1)


def merge_tallies(left: Any, right: Any) -> Any:
    """Pool two tallies, moments or sums over networks, the left one's draws first; or one alone."""
    return left.merged(right) if left and right else left or right


def _as_unit(tally: Tally) -> Tally:
    found = Tally({direction: as_unit(m) for direction, m in tally.items()})
    found.joint = tally.joint and tally.joint.as_unit()
    return found


class Tree:
    """A binary merge tree over the leaves of a unit, in memory logarithmic in their number."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, int, Any]] = []  # first leaf, leaves, and their tally

    def push(self, span: Span, tally: Any) -> None:
        """Merge the next span into the tree."""
        first, leaves = span.first, span.leaves
        while self._stack and self._stack[-1][1] == leaves and first & leaves:
            first, _, left = self._stack.pop()
            tally = merge_tallies(left, tally)
            leaves *= 2
        self._stack.append((first, leaves, tally))

    def total(self) -> Any:
        """Return the tally of all leaves so far; an empty one of none."""
        tallies = (tally for *_, tally in reversed(self._stack))
        return reduce(lambda later, earlier: merge_tallies(earlier, later), tallies, Tally())


def pooled(drawn: Iterable[tuple[Span, Any]]) -> Any:
    """Return the tally of neighbouring spans, given in order with theirs."""
    tree = Tree()
    for span, tally in drawn:
        tree.push(span, tally)
    return tree.total()


class Merged:
    """The moments of a run so far.

    Several units stand side by side, each the one number that counts; between the ends of bands,
    the last whole band counts, where all of them have the same points.

    Attributes
    ----------
    draws
        Draws in `total`.
    """

    def __init__(self, layout: Layout) -> None:
        self.draws = 0
        self._trees = [Tree() for _ in range(layout.units)]
        self._pushed = 0
        self._level: Any = Tally()

    def push(self, span: Span, tally: Any) -> None:
        """Merge the next span."""
        self._trees[span.unit].push(span, tally)
        self._pushed += span.draws
        if len(self._trees) == 1:
            self.draws = self._pushed
        elif span.is_milestone:
            self.draws = self._pushed
            totals = (tree.total() for tree in self._trees)
            self._level = reduce(merge_tallies, map(_as_unit, totals))

    def total(self) -> Any:
        """Return the tally of what counts."""
        return self._trees[0].total() if len(self._trees) == 1 else self._level

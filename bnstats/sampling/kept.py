"""Moments that need not be drawn again: what is kept of a run, and how it is taken up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import MappingProxyType
from typing import Any

from bnstats.sampling.layout import Known, Layout, Span, merge_tallies

Drawn = Iterator[tuple[Span, Any]]


class Subtrees:
    """Spans of a run with their moments, as few as these can be.

    Siblings are merged, but not with a unit's first leaf: a precision is judged where bands end, so
    bands stay apart.

    Attributes
    ----------
    known
        The spans and their moments, by unit and first leaf.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.known: dict[tuple[int, int], tuple[Span, Any]] = {}

    def __iter__(self) -> Drawn:
        return iter(value for _, value in sorted(self.known.items()))

    def covers(self, span: Span) -> bool:
        """Whether all leaves of a span lie in one that is known."""
        leaves = span.leaves
        while leaves <= self.layout.leaves:
            at = self.known.get((span.unit, span.first & -leaves))
            if at is not None and at[0].leaves >= leaves:
                return True
            leaves *= 2
        return False

    def add(self, span: Span, tally: Any) -> None:
        """Add a span, unless it is known, in place of those that lie in it."""
        if self.covers(span):
            return
        unit, first, leaves = span[:3]
        within = (f for u, f in self.known if u == unit and first <= f < first + leaves)
        for inner in list(within):
            del self.known[unit, inner]
        while self._is_whole(span) and (span.first & ~leaves):
            sibling, theirs = self.known.get((unit, span.first ^ leaves), (None, None))
            if sibling is None or sibling.leaves != leaves or not self._is_whole(sibling):
                break
            del self.known[unit, sibling.first]
            pair = (theirs, tally) if sibling.first < span.first else (tally, theirs)
            tally = merge_tallies(*pair)
            leaves *= 2
            span = self.layout.span(unit, min(sibling.first, span.first), leaves)
        self.known[unit, span.first] = span, tally

    def _is_whole(self, span: Span) -> bool:
        """Whether no leaf lacks draws, as the last one of a run may."""
        return span.draws == span.leaves * self.layout.leaf


class Kept:
    """What is kept of a run; this keeps nothing, a subclass does."""

    known: Known = MappingProxyType({})

    def keep(self, span: Span, tally: Any) -> None:
        """Keep a span that was drawn."""

    def close(self) -> None:
        """Hear that the run is over, complete or not."""


class Both(Kept):
    """Keeps what another keeps, and all that was drawn or taken up, a last leaf as well."""

    def __init__(self, kept: Kept, drawn: Subtrees) -> None:
        self._kept, self._drawn = kept, drawn
        self.known = kept.known

    def keep(self, span: Span, tally: Any) -> None:
        """Keep a span in both places."""
        self._kept.keep(span, tally)
        self._drawn.add(span, tally)

    def close(self) -> None:
        """Hear that the run is over."""
        self._kept.close()


def taken_up(
    spans: Iterable[Span], known: Known, compute: Callable[[Iterator[Span]], Drawn]
) -> Drawn:
    """Yield spans with their moments in order: those that are known, and what is drawn of others.

    Nothing is drawn before the known ones that come first are heard.
    """
    waiting: deque[tuple[Span, Any]] = deque()
    unseen = iter(spans)

    def told() -> Drawn:
        while waiting and waiting[0][1] is not None:
            yield waiting.popleft()

    def unknown() -> Iterator[Span]:
        for span in unseen:
            there, tally = known.get((span.unit, span.first), (None, None))
            if there is None or there.leaves != span.leaves:  # more than this run draws
                tally = None
            waiting.append((span, tally))
            if tally is None:
                yield span

    fresh = unknown()
    first = next(fresh, None)
    yield from told()
    if first is None:
        return
    for span, tally in compute(chain([first], fresh)):
        yield from told()
        waiting.popleft()
        yield span, tally
    yield from told()

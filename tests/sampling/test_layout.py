"""Layouts: every leaf once whatever the spans are, siblings merged and nobody else."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from bnstats.sampling.kept import Subtrees, taken_up
from bnstats.sampling.layout import Layout, Merged, Span
from bnstats.statistics.moments import Tally

LAYOUTS = [
    Layout(1, 10),
    Layout(95, 10),
    Layout(640, 10),
    Layout(1237, 10),
    Layout(32 << 9, 16, 32, 4),
]


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a tally be text, in which merging is seen."""

    def merge(left: Any, right: Any) -> Any:
        return Tally({"y": f"({left['y']} {right['y']})"}) if left and right else left or right

    for module in ("layout", "kept"):
        monkeypatch.setattr(f"bnstats.sampling.{module}.merge_tallies", merge)
    monkeypatch.setattr("bnstats.sampling.layout.as_unit", lambda m: m)


def leaf(span: Span, at: int) -> Any:
    return Tally({"y": f"{span.unit}.{at}"})


def drawn(layout: Layout, span: Span) -> Any:
    """Return the moments of a span, by recursion."""
    if span.leaves == 1:
        return leaf(span, span.first)
    half = span.leaves // 2
    left, right = (layout.span(span.unit, f, half) for f in (span.first, span.first + half))
    return Tally({"y": f"({drawn(layout, left)['y']} {drawn(layout, right)['y']})"})


def whole(layout: Layout, spans: Any) -> Any:
    merged = Merged(layout)
    for span in spans:
        merged.push(span, drawn(layout, span))
    return merged.total(), merged.draws


@pytest.mark.parametrize("layout", LAYOUTS)
def test_spans_are_aligned_cover_every_leaf_once_and_cross_no_milestone(layout: Layout) -> None:
    sizes = random.Random(1)
    spans = list(layout.spans(wanted=lambda left: sizes.choice([1, 3, 8, 64])))
    leaves = [(s.unit, f) for s in spans for f in range(s.first, s.first + s.leaves)]
    assert sorted(leaves) == [(u, f) for u in range(layout.units) for f in range(layout.leaves)]
    assert all(s.first % s.leaves == 0 and s.leaves & (s.leaves - 1) == 0 for s in spans)
    assert sum(s.draws for s in spans) == layout.samples
    ends = [s.first + s.leaves for s in spans if s.is_milestone]
    doublings = [1 << k for k in range(30) if 1 << k <= layout.leaves]
    assert ends == doublings
    assert any(s.leaves > 1 for s in spans) or layout.leaves < 8


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_total_does_not_depend_on_how_leaves_are_gathered(layout: Layout) -> None:
    one = whole(layout, layout.spans(wanted=lambda left: 1))
    for seed in range(20):
        sizes = random.Random(seed)
        spans = layout.spans(wanted=lambda left, s=sizes: s.choice([1, 2, 16]))  # type: ignore[misc]
        assert whole(layout, spans) == one
    assert one[1] == layout.samples


@pytest.mark.parametrize("parts", [1, 2, 7, 64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_parts_together_are_the_whole(layout: Layout, parts: int) -> None:
    known = Subtrees(layout)
    for number in range(1, parts + 1):
        own = Subtrees(layout)
        for span in layout.spans(within=layout.part(number, parts)):
            assert not known.covers(span)
            own.add(span, drawn(layout, span))
        for span, tally in own:
            known.add(span, tally)
    spans = list(layout.spans(known=known.known))
    assert all((s.unit, s.first) in known.known for s in spans)
    merged = Merged(layout)
    for span in spans:
        merged.push(span, known.known[span.unit, span.first][1])
    assert (merged.total(), merged.draws) == whole(layout, layout.spans())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_known_is_not_drawn_again_and_changes_no_digit(layout: Layout) -> None:
    expected = whole(layout, layout.spans())
    spans = list(layout.spans())
    for seed in range(20):
        chance, known = random.Random(seed), Subtrees(layout)
        for span in chance.sample(spans, len(spans) // 2):
            known.add(span, drawn(layout, span))
        asked: list[Span] = []

        def compute(todo: Any, asked: list[Span] = asked) -> Any:
            for span in todo:
                asked.append(span)
                yield span, drawn(layout, span)

        wanted = chance.choice([1, 4, 64])
        walk = layout.spans(known=known.known, wanted=lambda left, w=wanted: w)  # type: ignore[misc]
        merged = Merged(layout)
        for span, tally in taken_up(walk, known.known, compute):
            merged.push(span, tally)
        assert (merged.total(), merged.draws) == expected
        assert not any(known.covers(span) for span in asked)


def test_a_shorter_run_takes_up_only_what_lies_within_it() -> None:
    long, short = Layout(160, 10), Layout(115, 10)
    known = Subtrees(long)
    for span in long.spans():
        known.add(span, drawn(long, span))
    assert [s.leaves for s, _ in known] == [1, 1, 2, 4, 8]
    asked: list[Span] = []
    merged = Merged(short)

    def compute(todo: Any) -> Any:
        for span in todo:
            asked.append(span)
            yield span, drawn(short, span)

    for span, tally in taken_up(short.spans(known=known.known), known.known, compute):
        merged.push(span, tally)
    assert (merged.total(), merged.draws) == whole(short, short.spans())
    assert [s.first for s in asked] == [8, 9, 10, 11]


def test_nothing_is_drawn_before_what_is_known_is_heard() -> None:
    layout = Layout(80, 10)
    known = Subtrees(layout)
    for span in list(layout.spans())[:4]:
        known.add(span, drawn(layout, span))
    begun: list[Span] = []

    def compute(todo: Any) -> Any:
        for span in todo:
            begun.append(span)
            yield span, drawn(layout, span)

    told = taken_up(layout.spans(known=known.known), known.known, compute)
    assert [next(told)[0].leaves for _ in range(3)] == [1, 1, 2]
    assert not begun


def test_what_is_kept_is_logarithmic_however_long_the_run() -> None:
    layout = Layout(10**15, 10)
    known, walk = Subtrees(layout), layout.spans()
    for _ in range(1000):
        span = next(walk)
        known.add(span, leaf(span, span.first))
    assert len(known.known) <= 20
    assert [s.first for s, _ in known] == sorted(s.first for s, _ in known)
    assert all(a.first + a.leaves == b.first for (a, _), (b, _) in pairwise(known))


def test_uniting_keeps_the_larger_of_two_that_overlap() -> None:
    layout = Layout(160, 10)
    known = Subtrees(layout)
    for first in (8, 10):
        known.add(layout.span(0, first, 1), Tally({"y": "small"}))
    known.add(layout.span(0, 8, 4), Tally({"y": "large"}))
    known.add(layout.span(0, 9, 1), Tally({"y": "small"}))
    assert [(s.first, s.leaves, t["y"]) for s, t in known] == [(8, 4, "large")]

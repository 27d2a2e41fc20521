"""Runs: the same digits whatever computes them, partial runs, and the merge tree."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import numpy as np
import pytest

from bnstats.api import compute, exact
from bnstats.backends import numpy_backend as xp
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, Law
from bnstats.layers._registry import USER_LAYERS
from bnstats.sampling.iid import chunk_draws, iid_blocks
from bnstats.sampling.layout import Chunk, Layout, Tree, merge_tallies
from bnstats.sampling.run import chunk_tally, run, y_pivot
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import parse
from bnstats.statistics.moments import Tally, of

POOL = "max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2"


def drawn(samples: int, spec: str = POOL, *, watch: Any = None, **how: Any) -> Any:
    return run(parse(spec), Sampling(**how), samples, watch=watch)


def size_of(spec: str = POOL) -> int:
    return chunk_draws(parse(spec).bound)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("samples", [1, 7, 3 * size_of(), 7 * size_of() + 13])
def test_the_same_digits_for_any_number_of_workers(samples, dtype):
    one, count = drawn(samples, seed=5, dtype=dtype)
    assert count == samples
    assert one["y"].count == one["dx"].count == samples
    for workers in (2, 3, 7):
        assert drawn(samples, seed=5, dtype=dtype, workers=workers) == (one, samples)


def test_the_seed_and_the_layer_fix_the_digits():
    again = drawn(5000, seed=1)[0]
    assert drawn(5000, seed=1)[0] == again
    assert drawn(5000, seed=2)[0] != again


@pytest.mark.parametrize("sampler", ["iid", "sobol"])
@pytest.mark.parametrize("spec", ["sigmoid", "dropout", "swiglu", "max_pool2d:kernel_size=2"])
def test_directions_are_drawn_alike(spec, sampler):
    kept = partial(drawn, 3000, spec, sampler=sampler, law=Law(0.5, 1.5, 2.0))
    both = kept()[0]
    assert kept(direction="forward")[0] == {"y": both["y"]}
    assert kept(direction="backward")[0] == {"dx": both["dx"]}


def merged(chunks: list[Any]) -> Any:
    """Merge as a binary tree over the index: the largest power of two on the left."""
    if len(chunks) == 1:
        return chunks[0]
    cut = 2 ** ((len(chunks) - 1).bit_length() - 1)
    return merge_tallies(merged(chunks[:cut]), merged(chunks[cut:]))


@pytest.mark.parametrize("count", [5, 6, 7])
def test_chunks_merge_as_a_binary_tree(count):
    pivot = y_pivot(parse(POOL).bound, STANDARD)
    samples = count * size_of() - 1000
    layout = Layout(samples, size_of())
    chunks = [
        chunk_tally(parse(POOL), Sampling(), pivot, chunk)
        for span in layout.spans()
        for _, chunk in layout.chunks(span)
    ]
    assert len(chunks) == count
    tree, flat = merged(chunks), reduce(merge_tallies, chunks)
    assert drawn(samples)[0] == tree
    for direction in ("y", "dx"):
        for field in ("count", "mean_a", "mean_b", "aa", "ab", "bb"):
            a, b = getattr(flat[direction], field), getattr(tree[direction], field)
            assert a == pytest.approx(b, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("leaves", [0, 1, 2, 3, 5, 8, 11])
def test_the_tree_keeps_order_and_few_nodes(leaves):
    values = np.random.default_rng(0).normal(size=(leaves, 100))
    tree, layout = Tree(), Layout(100 * leaves, 100)
    for span, row in zip(layout.spans(), values, strict=True):
        tree.push(span, Tally({"y": of(xp, row, 0.0)}))
    if not leaves:
        assert tree.total() == {}
        return
    whole = of(xp, values.ravel(), 0.0)
    total = tree.total()["y"]
    assert total.count == whole.count
    assert total.aa == pytest.approx(whole.aa, rel=1e-12)
    assert total.bb == pytest.approx(whole.bb, rel=1e-12)
    assert len(tree._stack) == leaves.bit_count()


def test_the_tree_merges_left_with_right(monkeypatch):
    def merge(left: str, right: str) -> str:
        return f"({left}{right})" if left and right else left or right

    monkeypatch.setattr("bnstats.sampling.layout.merge_tallies", merge)
    tree = Tree()
    for span, leaf in zip(Layout(7, 1).spans(), "abcdefg", strict=True):
        tree.push(span, leaf)
    assert tree.total() == "(((ab)(cd))((ef)g))"


def test_a_run_is_the_moments_of_its_draws():
    # the same draws, through the same layer, by numpy's own mean and variance
    law = Law(0.3, 2.0, 1.5)
    spec = parse("elu")
    how = Sampling(seed=9, law=law)
    tally = run(spec, how, 10_000)[0]
    parts = [
        {k: v.copy() for k, v in b.draws.items()}
        for b in iid_blocks(spec, how, Chunk(0, 0, 10_000))
    ]
    x, dy = (np.concatenate([p[k] for p in parts]) for k in ("x", "dy"))
    y, dx = np.where(x > 0, x, np.expm1(x)), dy * np.where(x > 0, 1, np.exp(x))
    m = tally["y"]
    assert m.pivot + m.mean_a == pytest.approx(y.mean(), rel=1e-12)
    assert m.mean_b - m.mean_a**2 == pytest.approx(y.var(), rel=1e-12)
    assert tally["dx"].pivot == 0
    assert tally["dx"].mean_b == pytest.approx(np.mean(dx**2), rel=1e-12)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_that_is_stopped_returns_what_it_has(workers):
    size = size_of()
    seen = []
    watch = Watch(on_progress=lambda done, _: seen.append(done), should_stop=lambda: len(seen) >= 3)
    tally, count = drawn(20 * size, workers=workers, watch=watch)
    assert 3 * size <= count < 20 * size
    assert count == seen[-1] == tally["y"].count
    assert tally == drawn(count)[0]  # a prefix of the whole, not a random part


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stopped_at_once_is_empty(workers):
    watch = Watch(should_stop=lambda: True)
    tally, count = drawn(10 * size_of(), workers=workers, watch=watch)
    assert count == 0
    assert all(m.count == 0 for m in tally.values())


def test_a_stopped_run_is_marked():
    result = compute(POOL, samples=10 * size_of(), workers=1, should_stop=_after(2))
    assert result.status == "interrupted"
    assert result.samples == 2 * size_of()
    assert compute(POOL, samples=100, workers=1).status == "complete"


def _after(calls: int):
    left = iter(range(calls))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_reports_growing_moments(workers):
    seen = []
    samples = 4 * size_of() + 10
    watch = Watch(on_progress=lambda n, t: seen.append((n, t["y"].count)))
    drawn(samples, workers=workers, watch=watch)
    assert [n for n, _ in seen] == [size_of() * i for i in (1, 2, 3, 4)] + [samples]
    assert all(n == count for n, count in seen)


@pytest.mark.parametrize(
    ("spec", "law", "pivot"),
    [
        ("sigmoid", STANDARD, 0.5),
        ("relu", STANDARD, 0.0),
        ("identity", Law(1e6, 1e-3, 1.0), 1e6),
        ("softplus", STANDARD, math.log(2)),
        ("avg_pool2d:kernel_size=2", Law(3.0, 1.0, 1.0), 3.0),
        ("dropout", Law(3.0, 1.0, 1.0), 0.0),  # a mask of 0.5 is not below 0.5
        ("dropout:p=0.1", Law(3.0, 1.0, 1.0), 3 / 0.9),
        ("linear:init=xavier_normal", Law(3.0, 1.0, 1.0), 0.0),
        ("linear:init=unit_fan_in", Law(3.0, 1.0, 1.0), 0.0),  # 0/0 is not a pivot
    ],
)
def test_the_pivot_is_y_at_the_mean_of_the_inputs(spec, law, pivot):
    assert y_pivot(parse(spec).bound, law) == pytest.approx(pivot)


def test_a_mean_far_from_zero_costs_no_digits():
    result = compute("identity", samples=20_000, law=Law(1e6, 1e-3, 1.0), workers=1)
    assert result.std_y.value == pytest.approx(1e-3, rel=0.03)
    assert abs(result.std_y.z) < 4.5
    assert abs(result.mean_y.z) < 4.5


def test_draws_that_are_not_finite_are_counted():
    result = compute("elu:alpha=1e78", samples=5000, workers=1)
    # y = 1e78·(e^x − 1) overflows in the fourth power below x = −0.1233: 45.1 %
    assert result.nonfinite["y"] == pytest.approx(5000 * 0.451, rel=0.1)
    assert not result.std_y.reliable
    assert any("not finite" in w for w in result.warnings)
    assert result.samples == 5000


@pytest.mark.parametrize("spec", ["relu", "sigmoid", "gelu", "max_pool2d:kernel_size=2", "dropout"])
def test_float32_is_not_biased(spec):
    result = compute(spec, samples=1_000_000, dtype="float32", workers=2)
    for name in ("mean_y", "std_y", "mean_dx", "std_dx"):
        assert abs(result.quantities[name].z) < 4.5, name


def test_a_layer_of_the_users_own_is_computed_in_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads that its function started, torch's or jax's, would not survive a fork."""
    monkeypatch.setitem(USER_LAYERS, "own", replace(LAYERS["relu"], name="own"))
    here = os.getpid()
    spec = parse("own")
    forward = spec.bound.forward

    def watched(xp: Any, draws: Any) -> Any:
        assert os.getpid() == here
        return forward(xp, draws)

    spec = replace(spec, bound=replace(spec.bound, forward=watched))
    samples = 5 * chunk_draws(spec.bound)
    assert run(spec, Sampling(workers=4), samples)[1] == samples


@pytest.mark.slow
def test_the_default_draws_of_the_largest_events_are_enough_for_their_intervals():
    """One dy goes to one of 90,000 x: dx² is its square, of which a third are effective."""
    result = compute("max_pool2d:kernel_size=300")
    assert result.std_y.reliable
    assert result.std_dx.reliable
    assert result.std_dx.n_eff < 0.5 * result.samples
    assert not result.warnings


def test_a_layer_too_wide_to_be_drawn_has_exact_values_still():
    """y = W·x, its weights of variance 1/fan_out: σ²[y] is fan_in/fan_out."""
    wide = "linear:in_features=90000,out_features=40000"
    assert exact(wide).std_y.value == pytest.approx(1.5, rel=1e-14)
    assert exact(wide).std_dx.value == pytest.approx(1.0, rel=1e-14)
    with pytest.raises(BnstatsError, match="one draw would hold 3,600,130,000 random") as raised:
        compute(wide, samples=1)
    assert raised.value.hint == f"bnstats exact {wide} draws none"


def test_a_draw_of_millions_of_weights_is_drawn():
    result = compute("linear:in_features=3000,out_features=2000", samples=2)
    assert result.std_y.value == pytest.approx(math.sqrt(1.5), rel=0.1)
    assert result.std_dx.value == pytest.approx(1, rel=0.1)

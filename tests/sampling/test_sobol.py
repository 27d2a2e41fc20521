"""Scrambled Sobol' points: the sequence, the scramble, the smoothing, and the run over them."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from bnstats import api, compute
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS
from bnstats.sampling.layout import Chunk
from bnstats.sampling.run import chunk_tally, run
from bnstats.sampling.settings import Directions, Sampling
from bnstats.sampling.sobol import (
    MAX_DIMENSIONS,
    MIN_LEVEL,
    REPLICATES,
    directions,
    level_for,
    points,
    reversed_bits,
    scrambled,
    smoothed_normal,
    sobol_blocks,
    sobol_layout,
)
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import parse
from bnstats.statistics.quantities import Direction


def scramble(dimensions: int, seed: int, *, first: int = 0, level: int) -> np.ndarray:
    """Scrambled points as uint32 of shape (dimensions, 2^level)."""
    seeds = np.random.default_rng(seed).integers(0, 2**32, dimensions, dtype=np.uint32)
    return scrambled(points(reversed_bits(directions(dimensions)), first, level), seeds)


def test_points_are_those_of_scipy() -> None:
    from scipy.stats import qmc

    theirs = qmc.Sobol(MAX_DIMENSIONS, scramble=False, bits=32).random(256)
    ours = points(directions(), 0, 8).T * 2.0**-32
    index = np.arange(256)
    np.testing.assert_array_equal(ours[index ^ index >> 1], theirs)  # scipy's is in Gray order


def test_reversed_bits() -> None:
    numbers = np.array([0, 1, 2**31, 0b1101, 0xFFFFFFFF, 0x12345678], np.uint32)
    by_text = [int(f"{n:032b}"[::-1], 2) for n in numbers.tolist()]
    np.testing.assert_array_equal(reversed_bits(numbers), np.array(by_text, np.uint32))


@pytest.mark.parametrize(("first", "level"), [(0, 6), (64, 6), (128, 4), (1024, 3)])
def test_any_block_is_a_piece_of_the_sequence(first: int, level: int) -> None:
    whole = scramble(5, 1, level=11)
    piece = scramble(5, 1, first=first, level=level)
    np.testing.assert_array_equal(piece, whole[:, first : first + (1 << level)])


@pytest.mark.parametrize("level", [1, 5, 10])
def test_a_scramble_keeps_every_coordinate_stratified(level: int) -> None:
    strata = np.sort(scramble(8, 2, level=level) >> np.uint32(32 - level), axis=1)
    np.testing.assert_array_equal(strata, np.tile(np.arange(1 << level), (8, 1)))


def test_a_scramble_keeps_the_net_in_two_dimensions() -> None:
    x, y = scramble(2, 3, level=8)
    for k in range(9):  # a (0, 8, 2)-net: one point in every box of 2^-k by 2^-(8 - k)
        boxes = (x.astype(np.uint64) >> np.uint64(32 - k) << np.uint64(8 - k)) | (
            y.astype(np.uint64) >> np.uint64(32 - (8 - k))
        )
        assert len(set(boxes.tolist())) == 256


def test_scrambled_points_are_uniform_and_independent_over_scrambles() -> None:
    # One fixed point over 5,000 scrambles: its bits are fair coins, its coordinates unrelated.
    u = np.array([scramble(3, seed, level=3)[:, 5] for seed in range(5_000)]).T * 2.0**-32
    scale = math.sqrt(1 / 12 / 5_000)
    assert np.all(np.abs(u.mean(axis=1) - 0.5) < 5 * scale)
    assert np.all(np.abs(np.corrcoef(u)[np.triu_indices(3, 1)]) < 5 / math.sqrt(5_000))
    assert np.all(np.abs((u**2).mean(axis=1) - 1 / 3) < 5 * math.sqrt(4 / 45 / 5_000))


def digits(x: np.ndarray) -> np.ndarray:
    """The 32 binary digits of uint32 numbers, most significant first, on a new last axis."""
    return (x[..., None] >> np.arange(31, -1, -1, dtype=np.uint32)) & np.uint32(1)


def test_a_digit_is_flipped_by_the_digits_before_it_alone() -> None:
    seeds = np.random.default_rng(5).integers(0, 2**32, 4000, dtype=np.uint32)
    one, other = 0b1011_0110_0111 << 20, 0b1011_0010_0111 << 20  # differ in the sixth digit only
    pair = np.array([one, other], np.uint32)
    out = digits(scrambled(np.tile(reversed_bits(pair), (len(seeds), 1)), seeds))
    flips = (out ^ digits(pair)).astype(float)  # (seeds, points, digits)
    np.testing.assert_array_equal(flips[:, 0, :6], flips[:, 1, :6])
    limit = 5 / math.sqrt(len(seeds))
    # Each flip is a fair coin, unrelated to those of other digits ...
    assert np.all(np.abs(2 * flips.mean(axis=0) - 1) < limit)
    coins = 2 * flips - 1
    among = np.abs(coins[:, 0].T @ coins[:, 0] / len(seeds) - np.eye(32))
    assert np.max(among) < limit
    # ... and behind the digit where two points differ, to those of the other point.
    between = np.abs(np.mean(coins[:, 0, 6:] * coins[:, 1, 6:], axis=0))
    assert np.max(between) < limit


@pytest.mark.parametrize(("keep", "direction"), [("forward", "y"), ("backward", "dx")])
def test_the_means_of_scrambles_are_normal(keep: Directions, direction: Direction) -> None:
    # Linear matrix scrambles have a kurtosis of 500 for E[y] and 20 for E[dx²] here.
    spec, found = parse("sigmoid"), []
    for seed in range(20):
        for unit in range(REPLICATES):
            how = Sampling(seed=seed, direction=keep, sampler="sobol")
            tally = chunk_tally(spec, how, 0.5, Chunk(unit, 0, 1 << MIN_LEVEL))
            found.append((tally[direction].mean_a, tally[direction].mean_b))
    for values in np.array(found).T:
        deviations = values - values.mean()
        assert np.mean(deviations**4) / np.mean(deviations**2) ** 2 == pytest.approx(3, abs=1.0)


@pytest.mark.parametrize("u", [1e-9, 0.001, 0.25, 0.5, 0.75, 0.999, 1 - 2.0**-33])
def test_the_smoothing_transform(u: float) -> None:
    z, weight = smoothed_normal(np.array([u]))
    with mpmath.workdps(40):
        v = mpmath.mpf(u)
        exact = -mpmath.log(1 / v - 1)
        assert abs(z[0] - exact) <= 1e-14 * (1 + abs(exact))
        # dz/du = 1/(u(1 - u)): under the weights, z is normal
        ratio = mpmath.npdf(exact) * mpmath.diff(lambda t: -mpmath.log(1 / t - 1), v)
        assert abs(weight[0] - ratio) <= 1e-12 * ratio


@pytest.mark.parametrize("samples", [1, 131_072, 131_073, 500_000])
def test_chunks_cover_each_scramble_once(samples: int) -> None:
    level = level_for(samples)
    assert REPLICATES << level >= samples
    covered: dict[int, list[int]] = {r: [] for r in range(REPLICATES)}
    layout = sobol_layout(samples)
    for span in layout.spans():
        for _, (unit, first, draws) in layout.chunks(span):
            covered[unit] += range(first, first + draws)
    assert all(sorted(points) == list(range(1 << level)) for points in covered.values())


def test_a_longer_run_begins_with_the_shorter_one() -> None:
    long, short = (list(sobol_layout(REPLICATES << level).spans()) for level in (14, 13))
    assert long[: len(short)] == short
    assert [s.is_milestone for s in long].count(True) == 14 - MIN_LEVEL + 1


PLAIN = [name for name, layer in LAYERS.items() if not layer.examples]
SMALL = [name for name in PLAIN if not parse(name).bound.why_inexact] + [
    "dropout",
    "dropout:scaling=none",
    "leaky_relu:negative_slope=0.2",
    "max_pool1d:kernel_size=3",
    "max_pool2d:kernel_size=3,stride=2",
    "avg_pool2d:input_size=4,kernel_size=3,padding=1",
    "linear:init=kaiming_uniform",
]


@pytest.mark.parametrize("spec", SMALL)
def test_agrees_with_exact_values(spec: str) -> None:
    result = compute(spec, sampler="sobol", samples=1, seed=11)
    assert result.samples == REPLICATES << MIN_LEVEL
    for name, estimate in result.quantities.items():
        assert estimate.z is not None, name
        assert abs(estimate.z) < 4.5, name


@pytest.mark.parametrize("spec", ["relu", "sigmoid", "dropout"])
def test_agrees_with_exact_values_under_another_law(spec: str) -> None:
    law = api.Law(0.7, 1.8, 0.3)
    result = compute(spec, sampler="sobol", samples=1, seed=5, law=law)
    for name in ("mean_y", "std_y", "mean_dx", "std_dx"):
        assert abs(result.quantities[name].z or 99) < 4.5, name


@pytest.mark.parametrize("spec", ["relu", "sigmoid", "tanh", "gelu"])
def test_gains_orders_of_magnitude(spec: str) -> None:
    result = compute(spec, sampler="sobol", samples=REPLICATES << 14, seed=1)
    spread = result.std_dx.exact.asymptotic_std  # type: ignore[union-attr]
    assert spread is not None
    assert result.std_dx.stderr is not None
    assert (spread**2 / result.samples) / result.std_dx.stderr**2 > 1e4


def test_smoothing_is_worth_it() -> None:
    # Plain points leave σ[dx] of relu at 7e-4 a scramble at level 12; smoothed ones at 5e-5.
    result = compute("relu", sampler="sobol", samples=1, seed=2)
    assert result.std_dx.stderr is not None
    assert result.std_dx.stderr * math.sqrt(REPLICATES) / result.std_dx.value < 1e-4


@pytest.mark.parametrize("spec", ["sigmoid", "max_pool2d:kernel_size=2", "dropout"])
def test_digits_do_not_depend_on_workers(spec: str) -> None:
    def drawn(seed: int, workers: int) -> object:
        sampling = Sampling(seed=seed, sampler="sobol", workers=workers)
        return run(parse(spec), sampling, REPLICATES << 14)

    assert drawn(3, 1) == drawn(3, 3) == drawn(3, 2) != drawn(4, 1)


def test_float32_draws_give_the_same_up_to_rounding() -> None:
    double = compute("tanh", sampler="sobol", samples=1, seed=1)
    single = compute("tanh", sampler="sobol", samples=1, seed=1, dtype="float32")
    assert single.std_dx.value == pytest.approx(double.std_dx.value, rel=1e-6)
    assert single.std_dx.value != double.std_dx.value


def test_a_mask_that_is_never_hit_is_no_information() -> None:
    # p so close to 1 that no point keeps x: identical replicates must not read as certainty.
    result = compute("dropout:p=0.999999999", sampler="sobol", samples=1)
    assert result.std_dx.stderr is None
    assert result.std_dx.interval is None
    assert any("no information" in warning for warning in result.warnings)


def test_says_when_it_does_not_help() -> None:
    result = compute("conv2d", sampler="sobol", samples=1)
    assert any("no better than independent draws" in w for w in result.warnings)
    result = compute("sigmoid", sampler="sobol", samples=1)
    assert not result.warnings


def test_too_many_dimensions_or_points() -> None:
    with pytest.raises(BnstatsError, match="281 coordinates; sobol has 256"):
        compute("max_pool2d:input_size=16,kernel_size=3", sampler="sobol")
    with pytest.raises(BnstatsError, match="at most"):
        compute("sigmoid", sampler="sobol", samples=10**15)


def test_an_interrupted_run_keeps_whole_levels() -> None:
    what = parse("relu"), Sampling(seed=1, sampler="sobol")

    def stopped_after(polls: int) -> object:
        left = iter(range(1000))
        watch = Watch(should_stop=lambda: next(left) > polls)
        return run(*what, REPLICATES << 14, watch=watch)

    tally, done = stopped_after(70)
    assert done == REPLICATES << 13
    assert (tally, done) == run(*what, REPLICATES << 13)
    assert stopped_after(3) == ({}, 0)


def test_blocks_name_the_weighted_input() -> None:
    chunk, how = Chunk(0, 0, 1 << MIN_LEVEL), Sampling(sampler="sobol")
    relu = parse("relu")
    y, dx = list(sobol_blocks(relu, how, chunk))[:2]
    assert (y.directions, dx.directions) == (("y",), ("dx",))
    assert y.weights is not None
    assert dx.weights is not None
    assert not np.array_equal(y.draws["x"], dx.draws["x"])
    pool = parse("max_pool2d:kernel_size=2")
    y, dx = list(sobol_blocks(pool, how, chunk))[:2]
    assert y.weights is None
    assert dx.weights is not None

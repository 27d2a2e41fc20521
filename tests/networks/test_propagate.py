"""Drawn stacks against exact laws of their mean squares, published numbers, and each other."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from cli_support import Cli, read_document
from scipy import special, stats

import bnstats
from bnstats.networks.engines import Engine
from bnstats.networks.passes import draw
from bnstats.networks.propagation import Side
from bnstats.networks.reduce import Direction, Drawn, Ends, Spread, Tally
from bnstats.networks.stack import Scale, Stack

NEAR = pytest.approx
FAR = 4.5  # standard errors that no test of a right program is expected to see


def drawn(stack: Stack, engine: Engine, networks: int, seed: int = 0) -> Tally:
    """Draw networks in pieces of 64."""
    pieces = (
        draw(stack, engine, np.random.Generator(np.random.SFC64([seed, k])), 64)
        for k in range(networks // 64)
    )
    ends = Ends.of_blocks(len(stack.labels), len(stack.block))
    return reduce(Tally.merged, (Tally.of(p, ends) for p in pieces))


def log_factor_of_relu(width: int) -> tuple[float, float]:
    """Return mean and variance of ln F, F = (2/n)·χ²_K, K ~ Bin(n, ½), given that K > 0.

    A He-initialised layer of relu multiplies |x|² by an F of its own (Hanin and Nica 2018).
    """
    k = np.arange(1, width + 1)
    p = stats.binom.pmf(k, width, 0.5)
    p /= p.sum()
    mean = np.log(4 / width) + special.digamma(k / 2)
    first = p @ mean
    return first, p @ (mean**2 + special.polygamma(1, k / 2)) - first**2


def log_norm_of_normals(width: int) -> tuple[float, float]:
    """Return mean and variance of ln(|x|²/n) of standard normals."""
    mean = math.log(2 / width) + special.digamma(width / 2)
    return float(mean), float(special.polygamma(1, width / 2))


def assert_law(way: Direction, row: int, mean: float, variance: float) -> None:
    """Compare mean and variance of ln M with those of a law that is close to normal."""
    count = way.ln.count[row]
    assert abs(way.ln.mean[row] - mean) < FAR * math.sqrt(variance / count)
    # 1.3: such laws have somewhat heavier tails than the normal one
    assert abs(math.log(way.ln.variance[row] / variance)) < FAR * 1.3 * math.sqrt(2 / count)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "networks"), [("exact", 12_800), ("matrices", 2_560)])
def test_relu_networks_follow_their_exact_law(engine: Engine, networks: int) -> None:
    """Forward and backward: gates are fair coins, independent of the weights' sizes."""
    width, depth = 64, 20
    of_layer, of_input = log_factor_of_relu(width), log_norm_of_normals(width)
    mean, variance = (depth * f + i for f, i in zip(of_layer, of_input, strict=True))
    assert (mean, variance) == NEAR((-0.8178, 1.6917), abs=1e-4)
    found = drawn(Stack(("linear", "relu"), width, depth, batch=1), engine, networks)
    assert_law(found.y, -1, mean, variance)
    assert_law(found.dx, 0, mean, variance)
    assert_law(found.y, 9, 5 * of_layer[0] + of_input[0], 5 * of_layer[1] + of_input[1])


@pytest.mark.parametrize("engine", ["exact", "matrices"])
def test_linear_networks_follow_their_exact_law(engine: Engine) -> None:
    width, depth = 16, 6
    of_layer = log_norm_of_normals(width)
    stack = Stack(("linear",), width, depth, batch=1, init="lecun")
    found = drawn(stack, engine, 6_400)
    for way, end in ((found.y, -1), (found.dx, 0)):
        assert_law(way, end, *((depth + 1) * m for m in of_layer))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "settings"),
    [
        ("linear relu", {"batch": 1}),
        ("linear relu", {"batch": 2}),
        ("linear tanh", {"batch": 3, "bias_std": 0.4}),
        ("linear gelu", {"batch": 2, "scale": "separate"}),
        ("skip relu linear add:alpha=0.7", {"batch": 2}),
        ("skip linear elu linear:gain=0.5,init=kaiming_normal add dropout", {"batch": 1}),
    ],
)
def test_networks_without_matrices_are_those_with_matrices(
    block: str, settings: dict[str, int]
) -> None:
    """Two engines, each of which knows nothing of the other's algebra."""
    stack = Stack(tuple(block.split()), 24, 5, **settings)  # type: ignore[arg-type]
    ours, theirs = drawn(stack, "exact", 6_400), drawn(stack, "matrices", 6_400, seed=1)
    for a, b in ((ours.y, theirs.y), (ours.dx, theirs.dx)):
        error = np.sqrt(a.ln.variance / a.ln.count + b.ln.variance / b.ln.count)
        assert np.all(np.abs(a.ln.mean - b.ln.mean) < FAR * error)
        ratio = np.log(a.ln.variance / b.ln.variance)
        assert np.all(np.abs(ratio) < 2 * FAR * np.sqrt(4 / 6_400))
    if ours.correlation and theirs.correlation:
        a, b = ours.correlation, theirs.correlation
        error = np.sqrt(a.variance / a.count + b.variance / b.count)
        assert np.all(np.abs(a.mean - b.mean) < FAR * error + 1e-12)


def test_more_inputs_than_units_leave_nothing_of_a_matrix_to_chance() -> None:
    """Their Gram matrix is singular, and W known on all of its space."""
    stack = Stack(("linear", "sigmoid"), 6, 3, batch=9, bias_std=0.1)
    ours, theirs = drawn(stack, "exact", 2_560), drawn(stack, "matrices", 2_560, seed=1)
    for a, b in ((ours.y, theirs.y), (ours.dx, theirs.dx)):
        error = np.sqrt(a.ln.variance / a.ln.count + b.ln.variance / b.ln.count)
        assert np.all(np.abs(a.ln.mean - b.ln.mean) < FAR * error)


def test_both_directions_of_one_network_depend_on_each_other_in_both_engines() -> None:
    """Of GELU their logarithms correlate by 0.77, of tanh by −0.2: a joint law, not two."""
    for block, gain, near in (("gelu", 1.5335, 0.77), ("tanh", 5 / 3, -0.20)):
        stack = Stack(("linear", block), 32, 12, 1, "lecun", gain)
        for engine in ("exact", "matrices"):
            got = draw(stack, engine, np.random.Generator(np.random.SFC64(5)), 2_000)  # type: ignore[arg-type]
            ends = np.corrcoef(got.ln_y[:, -1], got.ln_dx[:, 0])
            assert ends[0, 1] == NEAR(near, abs=0.12)


def test_the_tanh_networks_of_cs231n() -> None:
    """Its notes print 0.627953, 0.486051, … of one draw; a wide network's are these."""
    wide = (0.627929, 0.486262, 0.408236, 0.357638, 0.321622)
    wide += (0.294390, 0.272911, 0.255430, 0.240856, 0.228473)
    found = bnstats.propagate("linear tanh", width=500, depth=10, init="xavier", networks=200)
    rows = found.rows[1::2]
    assert [row.y.wide for row in rows] == NEAR(list(wide), abs=1e-6)
    assert all(row.y.isolated == NEAR(0.627929**row.depth, rel=1e-5) for row in rows)
    for row, printed in zip(rows, wide, strict=True):  # at 500 units almost that of a wide one
        assert row.y.typical.value == NEAR(printed, rel=0.01)
        assert abs(row.y.z_wide or 9) < FAR or row.depth > 3


def test_the_relu_networks_of_cs231n() -> None:
    """Mean and standard deviation 0.56419 and 0.82565 at every depth."""
    found = bnstats.propagate("linear relu", width=128, depth=3, networks=200)
    for row in found.rows[1::2]:
        assert row.y.wide == NEAR(1.0, abs=1e-9)
        assert row.correlation is not None
    first = found.rows[1].correlation
    assert first is not None
    assert first.wide is not None
    assert math.sqrt(first.wide) == NEAR(0.56419, abs=1e-5)
    assert math.sqrt(1 - first.wide) == NEAR(0.82565, abs=1e-5)
    assert abs(first.value - first.wide) < FAR * first.stderr + 2 / 128


@pytest.mark.parametrize(
    ("block", "width", "init", "exponent"),
    [("linear relu", 16, "he", 0.088199), ("linear", 100, "lecun", 0.00501667)],
)
def test_a_typical_network_shrinks_as_its_exact_law_says(
    block: str, width: int, init: str, exponent: float
) -> None:
    """Sussillo and Abbott 2014 fit √2·exp(1.2/(n − 2.4)) to the gain that stops it."""
    options = {"width": width, "depth": 12, "networks": 4_000, "batch": 1, "init": init}
    shrinks = bnstats.propagate(block, **options, confidence=0.9999)  # type: ignore[arg-type]
    for factor in shrinks.factor.values():
        assert factor is not None
        assert factor.interval is not None
        assert factor.interval[0] < math.exp(-exponent) < factor.interval[1]
    if init == "he":
        gain = math.sqrt(2) * math.exp(exponent)
        kept = bnstats.propagate(block, **options, gain=gain, confidence=0.9999)  # type: ignore[arg-type]
        for factor in kept.factor.values():
            assert factor is not None
            assert factor.interval is not None
            assert factor.interval[0] < 1 < factor.interval[1]


@pytest.mark.parametrize(("alpha", "growth"), [(1.0, 2.0), (1 / math.sqrt(10), 1.1)])
def test_residual_networks_grow_by_a_factor_a_block(alpha: float, growth: float) -> None:
    """E[x²] = 2^l, and (1 + 1/L)^l with branches scaled by 1/√L."""
    found = bnstats.propagate(
        f"skip relu linear add:alpha={alpha}", width=256, depth=10, networks=400
    )
    for row in found.rows:
        if row.layer.startswith("add"):
            assert row.y.wide == NEAR(growth ** (row.depth / 2), rel=1e-7)
            assert row.y.isolated == NEAR(row.y.wide)
            assert row.y.ensemble.reliable
            assert abs(row.y.z_wide or 9) < FAR
    assert found.rows[0].dx.wide == NEAR(growth**5, rel=1e-7)
    assert abs(found.rows[0].dx.z_wide or 9) < FAR


def test_torch_draws_weights_that_shrink_and_biases_that_take_over() -> None:
    found = bnstats.propagate("linear", width=64, depth=6, networks=200, init="torch")
    assert found.engine == "matrices"
    q = 1.0
    for row in found.rows:
        q = q / 3 + 1 / (3 * 64)
        assert row.y.wide == NEAR(math.sqrt(q))
        assert abs(row.y.z_wide or 9) < FAR
        assert abs(row.dx.z_wide or 9) < FAR
    assert found.verdict == "vanishing"


def test_orthogonal_weights_keep_every_norm() -> None:
    """Not only the mean: Saxe et al. 2014."""
    stack = Stack(("linear",), 16, 5, batch=2, init="orthogonal")
    got = draw(stack, "matrices", np.random.Generator(np.random.SFC64(1)), 20)
    assert np.ptp(got.ln_y, axis=1) == NEAR(np.zeros(20), abs=1e-12)
    assert np.ptp(got.ln_dx, axis=1) == NEAR(np.zeros(20), abs=1e-12)


@pytest.mark.parametrize(
    ("scale", "y", "dx"),
    [
        ("none", 0.627929, 0.627929 * 1.0853),
        ("forward", 1.0, 1.0853),
        ("backward", 1 / 1.0853, 1.0),
        ("separate", 1.0, 1.0),
    ],
)
def test_scaling_divides_by_the_constants_of_either_direction(
    scale: Scale, y: float, dx: float
) -> None:
    found = bnstats.propagate(
        "linear tanh", width=128, depth=1, init="lecun", scale=scale, networks=400
    )
    row = found.rows[1]
    assert (row.y.isolated, row.dx.isolated) == NEAR((y, dx), rel=5e-5)
    assert row.y.ensemble.value == NEAR(y, rel=0.02)
    assert row.dx.ensemble.value == NEAR(dx, rel=0.02)


def test_a_dead_network_is_counted_and_not_averaged() -> None:
    """P(dead) = 1 − (1 − 2^−n)^L: all units of some layer below 0."""
    networks, share = 4_096, 1 - (1 - 2**-8) ** 10
    found = bnstats.propagate("linear relu", width=8, depth=10, networks=networks, batch=1)
    end = found.rows[-1].y
    assert abs(end.dead - networks * share) < FAR * math.sqrt(networks * share)
    assert end.typical.value > 0
    assert found.rows[0].dx.dead >= end.dead
    assert any("networks are dead" in warning for warning in found.warnings)


def test_what_overflows_is_counted_and_makes_nothing_else_wrong() -> None:
    found = bnstats.propagate("linear exponential", width=16, depth=8, networks=100, gain=3)
    end = found.rows[-1].y
    assert (end.nonfinite, end.ensemble.reliable) == (100, False)
    assert math.isnan(end.typical.value)
    assert found.verdicts == {"y": "exploding", "dx": "exploding"}
    assert found.rows[0].y.nonfinite == 0
    assert found.rows[0].y.typical.value == NEAR(3.0, rel=0.05)


def test_a_signal_far_below_the_smallest_number_is_not_dead() -> None:
    """Half a million decades: a homogeneous network is brought back by powers of two."""
    tiny, he = (
        bnstats.propagate("linear relu", width=64, depth=400, networks=30, gain=gain)
        for gain in (math.sqrt(2) * 2.0**-20, None)
    )
    assert tiny.rows[-1].y.dead == tiny.rows[0].dx.dead == 0
    for way in ("y", "dx"):
        shrinks, keeps = tiny.factor[way], he.factor[way]  # type: ignore[index]
        assert shrinks is not None
        assert keeps is not None
        # 800 matrices of other shapes in between: the same stream, so the same networks
        assert shrinks.value == NEAR(keeps.value * 2.0**-20, rel=0.05)
    assert tiny.verdicts == {"y": "vanishing", "dx": "vanishing"}


def test_tallies_pool_to_what_all_networks_give_at_once() -> None:
    generator = np.random.default_rng(3)
    ln = generator.normal(size=(90, 4))
    ln[3, 2], ln[40, 1] = -np.inf, np.nan
    cosines = generator.uniform(size=(90, 4))
    ends = Ends.of_blocks(4, 2)
    whole = Tally.of(Drawn(ln, ln[:, ::-1], cosines), ends)
    parts = [
        Tally.of(Drawn(ln[s], ln[s][:, ::-1], cosines[s]), ends, int(s[0]))
        for s in np.split(np.arange(90), 9)
    ]
    pooled = reduce(Tally.merged, parts)
    assert pooled.networks == 90
    for a, b in ((pooled.y, whole.y), (pooled.dx, whole.dx)):
        for name in ("ln", "slope", "trial"):
            left, right = getattr(a, name), getattr(b, name)
            assert left.mean == NEAR(right.mean)
            assert left.variance == NEAR(right.variance)
        assert a.ln_sum == NEAR(b.ln_sum)
        assert a.ln_sum_squares == NEAR(b.ln_sum_squares)
        assert list(a.others) == list(b.others)
        assert list(a.dead) == list(b.dead)
        assert list(a.nonfinite) == list(b.nonfinite)
    assert (whole.y.dead[2], whole.y.nonfinite[1], whole.dx.dead[1]) == (1, 1, 1)
    finite = ln[:, 0]
    assert whole.y.ln.variance[0] == NEAR(np.var(finite, ddof=1))
    others = np.delete(finite, np.s_[3::4])
    assert whole.y.others[0] == len(others) == 68
    assert whole.y.ln_sum_squares[0] == NEAR(np.log(np.sum(np.exp(others) ** 2)))
    assert whole.y.trial.variance[0] == NEAR(np.var(finite[3::4], ddof=1))
    # blocks of two layers: lines through the second and the fourth layer, two blocks apart by one
    assert whole.y.slope.mean == NEAR(np.nanmean((ln[:, 3] - ln[:, 1]) / 2))
    assert whole.dx.slope.mean == NEAR(np.nanmean((ln[:, 1] - ln[:, 3]) / 2))


def test_intervals_are_students_on_the_logarithm_and_the_delta_methods_on_the_mean() -> None:
    found = bnstats.propagate("linear relu", width=16, depth=3, networks=150, batch=1, seed=4)
    again = [
        draw(found.subject, "exact", np.random.Generator(np.random.SFC64(0)), 1)
    ]  # the shape of a draw, from which the numbers below are not taken
    assert again[0].ln_y.shape == (1, 6)
    side = found.rows[-1].y
    assert side.typical.interval is not None
    assert side.ensemble.interval is not None
    low, high = np.log(side.typical.interval)
    assert (low + high) / 2 == NEAR(math.log(side.typical.value))
    assert np.log(side.ensemble.interval).mean() == NEAR(math.log(side.ensemble.value))
    t = stats.t.ppf(0.975, 112)  # a fourth of the networks is no part of the mean
    width = 2 * t * side.ensemble.stderr / side.ensemble.value
    assert np.diff(np.log(side.ensemble.interval))[0] == NEAR(width)


@pytest.mark.parametrize(("networks", "depth", "reliable"), [(400, 2, True), (100, 30, False)])
def test_an_ensemble_is_reliable_where_networks_differ_little(
    networks: int, depth: int, reliable: bool
) -> None:
    """100 of depth 30 have n/(e^(s²) − 1) of 10, and 400 of depth 2 of 2,000; 100 are needed."""
    found = bnstats.propagate("linear relu", width=64, depth=depth, networks=networks)
    assert found.rows[-1].y.ensemble.reliable is reliable
    assert (found.rows[-1].y.z_wide is not None) is reliable


def test_the_spread_between_networks_holds_what_it_says() -> None:
    many = bnstats.propagate("linear relu", width=32, depth=5, networks=4_000, batch=1)
    spread = many.rows[-1].y.spread
    generator = np.random.default_rng(8)
    coins = generator.binomial(32, 0.5, (10**6, 5))
    m = generator.chisquare(32, 10**6) / 32 * np.prod(generator.chisquare(coins) / 16, axis=1)
    assert spread is not None
    for end, share in zip(spread, (0.025, 0.975), strict=True):
        beyond = np.mean(np.sqrt(m) < end)  # of which a quantile of 4,000 has this error
        assert abs(beyond - share) < FAR * math.sqrt(share * (1 - share) / 4_000)
    few = bnstats.propagate("linear relu", width=32, depth=5, networks=99)
    assert few.rows[-1].y.spread is None


def test_digits_do_not_depend_on_the_number_of_workers() -> None:
    one, three = (
        bnstats.propagate("linear tanh", width=64, depth=20, networks=3_000, workers=w)
        for w in (1, 3)
    )
    assert one == three
    assert bnstats.propagate("linear tanh", width=64, depth=20, networks=3_000, seed=1) != one


def test_a_precision_is_reached_or_told_missed() -> None:
    near = bnstats.propagate("linear relu", width=64, depth=4, precision=0.01)
    assert near.status == "complete"
    assert near.networks > 100

    def half(side: Side) -> float:
        assert side.typical.interval is not None
        return float(np.diff(np.log(side.typical.interval))[0]) / 2

    assert all(half(row.y) <= 0.01 and half(row.dx) <= 0.01 for row in near.rows)
    short = bnstats.propagate("linear relu", width=64, depth=4, precision=1e-4, networks=50)
    assert (short.status, short.networks) == ("target_not_met", 50)
    timed = bnstats.propagate("linear relu", width=64, depth=4, max_time=0.05)
    assert timed.status == "complete"


def test_whoever_stops_gets_the_networks_so_far() -> None:
    seen: list[int] = []
    found = bnstats.propagate(
        "linear relu", networks=10**6, on_progress=seen.append, should_stop=lambda: len(seen) > 2
    )
    assert found.status == "interrupted"
    assert found.networks == seen[-1] < 1000


def test_a_document_holds_all_layers(cli: Cli) -> None:
    call = ("linear relu", "--width", 32, "--depth", 3, "--networks", 120, "--json")
    outcome = cli("propagate", *call)
    document = read_document(outcome.out)
    (entry,) = document["results"]
    assert outcome.code == 0
    assert (document["provenance"]["seed"], document["provenance"]["confidence"]) == (0, 0.95)
    assert [row["name"] for row in entry["rows"]][:3] == ["1.linear", "1.relu", "2.linear"]
    assert [row["depth"] for row in entry["rows"]] == [1, 1, 2, 2, 3, 3]
    same = bnstats.propagate("linear", "relu", width=32, depth=3, networks=120)
    assert entry["rows"][-1]["y"]["typical"]["value"] == same.rows[-1].y.typical.value
    assert entry["verdict"] == same.verdict
    assert entry["factor"]["dx"]["value"] == same.factor["dx"].value  # type: ignore[union-attr]
    one = read_document(cli("propagate", "linear", "--depth", 1, "--networks", 1, "--json").out)
    assert one["results"][0]["factor"] == {"y": None, "dx": None}


def test_the_text_fits_a_terminal(cli: Cli) -> None:
    text = cli("propagate", "linear", "gelu", "--depth", "50", "--networks", "100").out
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("linear gelu ×50   width 256 · he")
    assert [line.split()[0] for line in lines[3:9]] == [f"{d}.gelu" for d in (1, 2, 5, 10, 20, 50)]
    assert "forward   vanishing" in text
    assert "100 networks · 2 inputs each · no matrices · seed 0" in text
    every = cli("propagate", "linear", "gelu", "--depth", "50", "--networks", 50, "--all-rows").out
    assert "17.linear" in every


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["linear", "relu", "--require", "steady"], 0, ""),
        (["linear", "tanh", "--require", "std_y in 0.3..0.8"], 0, ""),
        (["linear", "sigmoid", "--require", "steady"], 1, "required: steady: not met\n"),
        (
            ["linear", "relu", "--require", "std_y in 0.935..2"],
            3,
            "required: std_y in 0.935..2: undecided\n",
        ),
        (["linear", "relu", "--precision", "1e-5"], 3, "the precision asked for was not reached\n"),
    ],
)
def test_exit_codes_tell_ok_from_fail_from_undecided(
    cli: Cli, arguments: list[str], code: int, said: str
) -> None:
    outcome = cli("propagate", *arguments, "--width", 64, "--depth", 4, "--networks", 200)
    assert (outcome.code, outcome.err) == (code, said)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["linear", "relu6x"], "unknown layer 'relu6x'", "did you mean 'relu6'?"),
        (["softmax"], "softmax is no layer of a dense stack", "linear, activations"),
        (["linear", "--width", "0"], "width 0 is not a whole number from 1", "--width 100"),
        (["linear", "--depth", "-3"], "depth -3 is not a whole number from 1", "--depth 100"),
        (["skip", "linear"], "skip without an add after it", "skip … linear add"),
        (["linear", "add"], "add without a skip before it", "skip … linear add"),
        (["skip", "add:beta=2"], "add:beta=2 is not alpha=NUMBER", "add:alpha=0.2"),
        (["linear:in_features=8"], "in_features is the width of the stack", "--width 256"),
        (["linear", "--init", "hee"], "unknown init 'hee'", "did you mean 'he'?"),
        (["linear", "--init", "unit_fan_in", "--gain", "2"], "gain has no effect", "another"),
        (["linear", "--gain", "x"], "Invalid value for '--gain'", "--help"),
        (["relu", "--gain", "auto"], "no gain keeps this block's scale", "--gain 1.4"),
        (["linear", "--bias-std", "-1"], "bias-std -1.0 is not a number from 0", None),
        (["linear", "--require", "fast"], "--require 'fast' is no requirement", "steady, 'std_y"),
        (["linear", "--require", "std_y in 2..1"], "--require 'std_y in 2..1'", "steady"),
        (
            ["linear", "--init", "orthogonal", "--width", "20000"],
            "a network would hold 12,000,000,000 weights",
            "need no matrices",
        ),
        (
            ["linear", "relu", "--width", "65536", "--depth", "10000"],
            "the signals of a network would be 5,242,880,000 numbers",
            "a smaller --batch",
        ),
        (
            ["linear", "--input", "65536", "--batch", "2"],
            "a network would hold 4,294,967,296 weights",
            "smaller layers",
        ),
        (
            ["relu", "--input", "65536", "--batch", "65536"],
            "the signals of a network would be 8,589,934,592 numbers",
            "a smaller --batch",
        ),
        ([], "Missing argument 'LAYER...'", "bnstats propagate --help"),
    ],
)
def test_wrong_input_is_told_in_a_line(
    cli: Cli, arguments: list[str], message: str, hint: str | None
) -> None:
    outcome = cli("propagate", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith(f"error: {message}"), lines
    assert hint is None or (lines[-1].startswith("hint:  ") and hint in lines[-1]), lines


def test_deep_stacks_cost_no_more_a_layer_than_shallow_ones(monkeypatch) -> None:
    """Every variance is computed for all layers at once, however many there are."""
    asked = []
    of_all = Spread.variance.fget

    def counted(spread: Spread) -> object:
        asked.append(spread)
        return of_all(spread)

    monkeypatch.setattr(Spread, "variance", property(counted))
    counts = []
    for depth in (2, 20):
        asked.clear()
        bnstats.propagate("linear tanh", width=4, depth=depth, networks=4)
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_a_function_of_the_users_goes_through_a_stack() -> None:
    theirs = bnstats.propagate("linear numpy:tanh", width=32, depth=2, networks=100)
    ours = bnstats.propagate("linear tanh", width=32, depth=2, networks=100)
    assert theirs.rows[-1].y.wide == NEAR(ours.rows[-1].y.wide, rel=1e-6)
    assert theirs.rows[-1].y.typical.value == NEAR(ours.rows[-1].y.typical.value, rel=0.05)

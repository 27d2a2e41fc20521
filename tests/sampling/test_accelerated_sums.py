"""Sums of an accelerator: float32 draws without a bias, whatever their scale, and what overflows.

`Block` is also run by numpy on the same draws, where every sum is checked against float64.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from accelerator_support import (
    drawn,
    each,
    each_and_numpy,
    namespace,
    processor,
    scalar,
    scope,
    words,
)

from bnstats.api import compute
from bnstats.layers import Law
from bnstats.sampling.counter import devices
from bnstats.sampling.counter.draws import round_keys
from bnstats.sampling.counter.reduction import Reduction
from bnstats.sampling.run import run
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse


def direct_sums(v: np.ndarray) -> list[float]:
    """Return the sums of a, a², ab, b, b² over draws of an event, exactly rounded."""
    v = v.astype(float).reshape(-1, v.shape[-1])
    a, b = v.mean(axis=0), (v * v).mean(axis=0)
    return [math.fsum(s) for s in (a, a * a, a * b, b, b * b)]


def block_sums(name: str, block: Reduction, draws: int, first: int = 0) -> np.ndarray:
    keys = round_keys(0, block.spec.text)
    with scope(name):
        xp = namespace(name)
        found = block(xp, scalar(name, first), scalar(name, draws), words(name, keys))
        return np.asarray(found).sum(axis=-1)


@each_and_numpy
@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("columns", [1, 256])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_block_sums_powers(name, dtype, columns, careful):
    """relu, about a pivot, where 301 of 512 draws count."""
    block = Reduction(parse("relu"), Sampling(dtype=dtype), 0.25, 512, columns, careful)
    found = block_sums(name, block, 301)
    draws = drawn(name, "relu", 256)
    x, dy = (draws[k][:301] for k in ("x", "dy"))
    expected = [direct_sums(np.maximum(x, 0) - 0.25), direct_sums(dy * (x > 0))]
    if careful:
        expected = [[301.0, *row] for row in expected]
    rel = {"float32": 1e-5, "float64": 1e-7 if name == "jax" else 1e-12}[dtype]  # jax fuses normals
    assert found.tolist() == [pytest.approx(row, rel=rel, abs=301 * rel) for row in expected]
    assert found.dtype == np.float64


@each_and_numpy
@pytest.mark.parametrize("careful", [False, True])
def test_a_block_sums_means_of_events(name, careful):
    block = Reduction(parse("max_pool2d:kernel_size=3"), Sampling(), 1.5, 64, 16, careful)
    found = block_sums(name, block, 50)
    draws = drawn(name, "max_pool2d:kernel_size=3", 64)
    x, dy = draws["x"][..., :50], draws["dy"][..., :50]
    y = x.max(axis=(0, 1))
    dx = np.where(x == y, dy, 0.0)
    expected = [direct_sums(np.atleast_2d(y) - 1.5), direct_sums(dx)]
    if careful:
        expected = [[50.0, *row] for row in expected]
    assert found.tolist() == [pytest.approx(row, rel=1e-12, abs=1e-12) for row in expected]


def test_a_careful_block_leaves_out_what_is_not_finite():
    """b² overflows float64 where |y| > 1e77."""
    spec = parse("elu:alpha=1e78")
    block = Reduction(spec, Sampling(direction="forward"), 0.0, 512, 256, True)
    with np.errstate(over="ignore"):
        ((kept, a, *_),) = block_sums("numpy", block, 512)
    x = drawn("numpy", "elu:alpha=1e78", 256)["x"]
    y = np.where(x > 0, x, 1e78 * np.expm1(np.minimum(x, 0)))
    fine = np.abs(y) < 1.15792e77  # the fourth root of the largest float64
    assert 200 < np.count_nonzero(~fine) < 260
    assert kept == np.count_nonzero(fine)
    assert a == pytest.approx(np.sum(y[fine]), rel=1e-9)


# --- float32 ---------------------------------------------------------------------------------


@each
def test_float32_sums_of_many_draws_are_not_biased(name):
    """20 million draws; of torch, eager here, 2 million. A naive float32 sum would end at 2^24."""
    namespace(name)
    samples = 20_000_000 if name == "jax" else 2_000_000
    for spec in ("relu", "sigmoid") if name == "jax" else ("relu",):
        result = compute(spec, samples=samples, backend=name, dtype="float32")
        for k in ("mean_y", "std_y", "rms_y", "mean_dx", "std_dx"):
            assert abs(result.quantities[k].z) < 4.5, (spec, k)
        assert result.std_dx.stderr / result.std_dx.value < 2.5e-3 * math.sqrt(1e6 / samples)


@each
def test_float32_and_float64_sums_of_the_same_draws_agree(monkeypatch, name):
    """To 3e-9 of the sum, which 1e16 draws would not show; a block's 64 rows of 0.8 lose 1e-7."""
    namespace(name)
    fast = compute("relu", samples=300_000, backend=name, dtype="float32")
    monkeypatch.setattr(devices, "_COLUMNS", 1)  # so that float64 adds from the first
    slow = compute("relu", samples=300_000, backend=name, dtype="float32")
    for k in ("mean_y", "std_y", "rms_dx"):
        e, exact = fast.quantities[k].value, slow.quantities[k].value
        assert e != exact, "the fast sums were not tried"
        assert e == pytest.approx(exact, rel=3e-9), k


@each
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equal_draws_add_up_exactly(name, dtype):
    """Of 0.1 as float32 has it, a sum in float32 is off by 1e-7 after a hundred terms."""
    namespace(name)
    spec = "threshold:threshold=1e6,value=0.1"
    result = compute(spec, samples=300_001, backend=name, dtype=dtype, law=Law(x_mean=-1.0))
    value = float(np.float32(0.1)) if dtype == "float32" else 0.1
    assert result.mean_y.value == pytest.approx(value, rel=1e-12)
    assert result.rms_y.value == pytest.approx(value, rel=1e-12)
    assert result.std_y.value == 0


@each
def test_a_mean_far_from_zero_costs_no_digits(name):
    namespace(name)
    result = compute("identity", samples=100_000, backend=name, law=Law(1e6, 1e-3, 1.0))
    assert abs(result.mean_y.z) < 4.5
    assert abs(result.std_y.z) < 4.5
    assert abs(result.std_y.value / 1e-3 - 1) < 0.02
    # y = 1000 + 1e-2·z holds 1.6 % of σ in float32: what is left is the rounding of y
    result = compute(
        "identity", samples=100_000, backend=name, law=Law(1e3, 1.0, 1.0), dtype="float32"
    )
    assert abs(result.mean_y.z) < 4.5
    assert abs(result.std_y.z) < 4.5


@each
@pytest.mark.parametrize("scale", [1e-20, 1e-10, 1e8, 1e20])
def test_float32_draws_of_any_scale(name, scale):
    """Their squares leave float32's range, their sums must not."""
    namespace(name)
    one = compute("relu", samples=50_000, backend=name, dtype="float32")
    law = Law(0.0, 1.0, scale)
    result = compute("relu", samples=50_000, backend=name, dtype="float32", law=law)
    for k in ("std_dx", "rms_dx"):
        e, standard = result.quantities[k], one.quantities[k]
        assert e.value == pytest.approx(scale * standard.value, rel=1e-6), k
        assert e.stderr == pytest.approx(scale * standard.stderr, rel=1e-4), k
    assert result.nonfinite == {"y": 0, "dx": 0}
    assert result.std_y.value == pytest.approx(one.std_y.value, rel=1e-8)


@each
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_draws_that_are_not_finite_are_counted(name, dtype):
    """e^x leaves float32 beyond 88.7, and its fourth power float64 beyond 177.4: σ = 100."""
    namespace(name)
    result = compute(
        "exponential", samples=20_000, backend=name, dtype=dtype, law=Law(0.0, 100.0, 1.0)
    )
    limit = 0.887 if dtype == "float32" else 1.774
    expected = 20_000 * math.erfc(limit / math.sqrt(2)) / 2
    for direction in ("y", "dx"):
        # dx = dy·e^x, and |dy| decides within a few of x
        assert abs(result.nonfinite[direction] - expected) < 5 * math.sqrt(expected) + 0.02 * 20_000
    assert result.nonfinite["y"] > 500
    assert not result.std_y.reliable
    assert any("not finite" in w for w in result.warnings)
    assert result.samples == 20_000


# --- beyond 2^32 -----------------------------------------------------------------------------


@each
def test_draws_beyond_two_to_the_32_do_not_repeat(name):
    """A launch there sums other draws than at the start, and those are the counter's."""
    xp = namespace(name)
    first = 2**34 + 2**12
    block = Reduction(parse("relu"), Sampling(), 0.0, 1024, 256, False)
    launch = xp.launcher(lambda *a: block(xp, *a), 1024, processor(name))
    keys = round_keys(0, "relu")
    here, wrapped = (xp.host(launch(keys, f, 3000, print)).sum(axis=-1) for f in (first, 2**12))
    draws = drawn("numpy", "relu", 1536, 0, first // 2)
    x, dy = draws["x"][:3000], draws["dy"][:3000]
    expected = [direct_sums(np.maximum(x, 0)), direct_sums(dy * (x > 0))]
    assert here.tolist() == [pytest.approx(row, rel=1e-6, abs=1e-4) for row in expected]
    assert abs(here - wrapped).max() > 1


# --- what is compiled ------------------------------------------------------------------------


def test_equal_blocks_are_one_program():
    one, same = (Reduction(parse("relu"), Sampling(), 0.0, 64, 8, False) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    others: list[Any] = [
        replace(one, spec=parse("relu6")),
        replace(one, sampling=Sampling(law=Law(1.0))),
        replace(one, sampling=Sampling(dtype="float32")),
        replace(one, sampling=Sampling(direction="forward")),
        replace(one, pivot=1.0),
        replace(one, size=128),
        replace(one, columns=4),
        replace(one, careful=True),
        "relu",
    ]
    assert [other for other in others if other == one] == []


@pytest.mark.parametrize(
    ("spec", "dtype", "columns", "careful", "short"),
    [
        ("relu", "float32", 256, False, True),
        ("layer_norm:normalized_shape=1000", "float32", 256, False, True),
        ("relu", "float64", 256, False, False),
        ("relu", "float32", 1, False, False),  # on a GPU
        ("relu", "float32", 256, True, False),
        ("layer_norm:normalized_shape=1001", "float32", 256, False, False),
    ],
)
def test_only_short_columns_of_float32_are_summed_in_float32(spec, dtype, columns, careful, short):
    sampling = Sampling(dtype=dtype)
    assert Reduction(parse(spec), sampling, 0.0, 512, columns, careful).is_short == short


@each_and_numpy
def test_a_wide_norm_has_the_error_that_theory_gives(name):
    """Of N draws of variance v, y² averages v/(v + ε), and v is 1 ± √(2/N)."""
    there = [processor(name)] if name != "numpy" else []
    spec = parse("batch_norm:batch_size=2048,eps=1e-6")
    moments = run(spec, Sampling(backend=name, direction="forward"), 3000, devices=there)[0]["y"]
    assert moments.bb / moments.count == pytest.approx(1e-12 * 2 / 2048, rel=0.1, abs=0)

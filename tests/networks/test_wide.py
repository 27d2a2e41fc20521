"""What infinitely wide stacks with shapes do: by hand, by chains of integrals, and as drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

import bnstats
from bnstats.networks.models.inputs import InputShape
from bnstats.networks.predictions import predict as predict_dense
from bnstats.networks.predictions import square_means
from bnstats.networks.shapes.graph import roots
from bnstats.networks.shapes.stack import ShapedStack
from bnstats.networks.shapes.wide import Wide, predict
from bnstats.networks.stack import Stack
from bnstats.specs.spec import parse

NEAR = pytest.approx
FAR = 4.5


def wide(block: str, sides: tuple[int, ...], depth: int = 1, init: str = "lecun") -> Wide:
    stack = ShapedStack(tuple(block.split()), InputShape(sides), depth, init=init)
    return predict(stack.nodes)


def dx(found: Wide) -> list[float]:
    return roots(found.gradients.sent)


@pytest.mark.parametrize(("side", "at_50"), [(7, 0.0045), (14, 0.171), (28, 0.497), (56, 0.726)])
def test_zero_padding_leaks_as_a_random_walk_does(side: int, at_50: float) -> None:
    # A walk that ends outside: one step a layer and side of the map, to each neighbour or none.
    squares = np.square(wide("conv2d:padding=1,out_channels=1", (1, side, side), 50).y)
    assert squares[0] == NEAR(((3 * side - 2) / (3 * side)) ** 2, rel=1e-12)
    assert squares[-1] == NEAR(at_50, rel=2e-2)  # printed to two or three digits
    factor = ((1 + 2 * math.cos(math.pi / (side + 1))) / 3) ** 2
    if side == 7:
        later = np.square(wide("conv2d:padding=1,out_channels=1", (1, side, side), 150).y)
        assert later[-1] / later[-2] == NEAR(factor, rel=1e-6)


def test_a_map_of_one_position_is_a_dense_layer_of_a_ninth() -> None:
    found = wide("conv2d:padding=1,out_channels=1 tanh", (1, 1, 1), 2)
    tanh = parse("tanh")
    first = square_means(tanh, 1 / 9)
    second = square_means(tanh, first[0].value / 9)
    assert found.y[1::2] == NEAR([first[0].value ** 0.5, second[0].value ** 0.5], rel=1e-7)
    last = second[1].value / 9
    assert dx(found)[2] == NEAR(last**0.5, rel=1e-7)
    assert dx(found)[0] == NEAR((last * first[1].value / 9) ** 0.5, rel=1e-7)


@pytest.mark.parametrize(
    "block",
    ["linear gelu", "linear relu", "linear erf linear skip linear tanh linear add:alpha=0.5"],
)
def test_features_are_those_of_dense_stacks(block: str) -> None:
    words = tuple(block.split())
    stages = Stack(words, init="he").stages
    dense = predict_dense(stages * 3, 256)
    found = wide(block, (7,), 3, "he")
    assert found.y == NEAR(dense.wide_y, rel=1e-7)
    assert dx(found) == NEAR(dense.wide_dx, rel=1e-7)
    assert found.correlation == NEAR(dense.correlation, rel=1e-6, abs=1e-12)


DRAWN = {
    "conv2d:out_channels=160,padding=1,stride=2 tanh conv2d:out_channels=160 gelu": "160x7x7",
    "conv1d:out_channels=160,dilation=2,padding=2,groups=2 relu": "160x9",
    "conv_transpose2d:out_channels=160,stride=2,padding=1 tanh": "160x4x4",
    "linear layer_norm gelu": "5x200",
    "skip rms_norm conv2d:out_channels=160,padding=1 add:alpha=0.5": "160x5x5",
    "conv2d:out_channels=160,padding=1 group_norm:num_groups=2 relu": "160x5x5",
    "conv2d:out_channels=120 batch_norm relu conv2d:out_channels=120 batch_norm relu": "120x6x6",
    "depthwise_conv2d:padding=1 conv2d:out_channels=160,kernel_size=1 relu": "160x7x7",
    "separable_conv2d:out_channels=160,padding=1 relu": "160x5x5",
    "conv2d:out_channels=160 relu flatten linear:out_features=300": "160x4x4",
    "depthwise_conv2d:depth_multiplier=2,padding=1 conv2d:out_channels=160 tanh": "160x6x6",
    "separable_conv2d:out_channels=160 relu": "160x6x6",
}


@pytest.mark.slow
@pytest.mark.parametrize("block", DRAWN)
def test_drawn_networks_are_near(block: str) -> None:
    """They have some hundred channels: within a few per cent, and many standard errors of 5 %."""
    batch = 48 if "batch_norm" in block else 3
    found = bnstats.propagate(block, input=DRAWN[block], batch=batch, networks=12, bias_std=0.2)
    for row in found.rows:
        assert row.dx is not None
        for side in (row.y, row.dx):
            assert side.wide is not None, row.name
            assert side.typical.value == NEAR(side.wide, rel=0.05), row.name
        assert row.correlation is not None
        assert row.correlation.wide is not None, row.name
        error = FAR * row.correlation.stderr + 0.02
        assert abs(row.correlation.value - row.correlation.wide) < error, row.name


@pytest.mark.parametrize(
    "block", ["depthwise_conv2d:kernel_size=3", "conv2d:groups=6,in_channels=6,out_channels=6"]
)
def test_sums_over_windows_of_one_channel_are_not_normal(block: str) -> None:
    """Twenty thousand networks draw 0.6213(4) after tanh, where normal numbers give 0.6279."""
    found = bnstats.propagate(f"{block} tanh", input="6x8x8", batch=2, networks=3)
    assert [row.y.wide is None for row in found.rows] == [False, True]
    assert [(gap.of, gap.begins, gap.why) for gap in found.gaps] == [
        ("wide", "1.tanh", "what it gets is not normal")
    ]


def test_gradients_of_averages_are_known_and_the_averages_are_not() -> None:
    found = wide("conv2d:out_channels=4 relu avg_pool2d:kernel_size=3,stride=2", (4, 9, 9))
    assert [math.isnan(v) for v in found.y] == [False, False, True]
    # windows of 9, four a side on 7: how many hold a position, over 81, averaged over positions
    counts = np.array([1, 1, 2, 1, 2, 1, 1])
    assert dx(found)[2] == NEAR(math.sqrt(counts.mean() ** 2 / 81), rel=1e-12)
    assert dx(found)[1] == NEAR(math.sqrt(counts.mean() ** 2 / 81 / 2), rel=1e-12)
    drawn = bnstats.propagate(
        "conv2d:out_channels=64 relu avg_pool2d:kernel_size=3,stride=2",
        input="64x9x9",
        batch=2,
        networks=60,
    )
    for row in drawn.rows:
        assert row.dx is not None
        assert row.dx.wide is not None
        assert row.dx.typical.value == NEAR(row.dx.wide, rel=0.03), row.name


@pytest.mark.parametrize(
    ("block", "known"),
    [
        ("conv2d:padding=1 max_pool2d:kernel_size=2 conv2d", [True, False, False]),
        ("relu relu", [True, False]),
        ("conv2d:padding=1 relu conv2d:padding=1 batch_norm", [True, True, True, False]),
        ("skip relu add", [True, True, False]),
        ("softmax", [False]),
    ],
)
def test_what_is_not_known_is_not_said(block: str, known: list[bool]) -> None:
    found = wide(block, (2, 6, 6))
    assert [math.isfinite(v) for v in found.y] == known
    assert found.why is not None
    assert found.why[0] == known.index(False)
    drawn = bnstats.propagate(block, input="2x6x6", networks=3)
    assert [row.y.wide is not None for row in drawn.rows] == known
    (gap,) = drawn.gaps
    assert (gap.of, gap.begins) == ("wide", drawn.rows[known.index(False)].name)


@pytest.mark.parametrize("input_", [None, "40"])
@pytest.mark.parametrize(
    ("block", "independent"),
    [
        ("skip add", False),
        ("linear skip dropout add", False),
        ("linear skip skip linear add add", False),  # the inner trunk is the outer branch
        ("linear skip linear skip linear add add", True),
        ("linear skip linear relu add", True),
    ],
)
def test_branches_without_weights_of_their_own_depend_on_their_trunk(
    block: str, independent: bool, input_: str | None
) -> None:
    """Two times x has four times its mean square, and not twice."""
    depth = {} if input_ else {"depth": 1}
    found = bnstats.propagate(block, input=input_, networks=16, **depth)
    why = [gap.why for gap in found.gaps]
    assert ("what it adds is not independent" in why) is not independent
    splits = [row.dx for row in found.rows if row.layer == "skip"]
    for dx in splits[: None if independent else 1]:
        assert dx is not None
        assert (dx.wide is not None) is independent
        if dx.wide is not None:
            assert dx.ensemble.value == NEAR(dx.wide, rel=0.15)

"""Stacks of layers with shapes: against torch, against laws by hand, and what does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cli_support import Cli, read_document

import bnstats
from bnstats.backends import numpy_backend
from bnstats.networks.models.inputs import InputShape, input_shape
from bnstats.networks.shapes.events import event_of, out_shape, through
from bnstats.networks.shapes.stack import ShapedStack
from bnstats.networks.stack import Scale
from bnstats.specs.spec import parse

NEAR = pytest.approx
FAR = 4.5
GENERATOR = np.random.default_rng(5)
MAP, BATCH = (8, 6, 5), 3


def normal(shape: tuple[int, ...]) -> np.ndarray:
    return GENERATOR.standard_normal(shape)


# A layer, its input's shape, and torch's function of (x, weight), x being batch first.
CASES = {
    "conv2d:out_channels=4,padding=1,stride=2,groups=2": "F.conv2d(x, w, stride=2, padding=1, "
    "groups=2)",
    "conv2d:out_channels=3,kernel_size=3x1,dilation=2": "F.conv2d(x, w, dilation=2)",
    "conv_transpose2d:out_channels=6,stride=2,padding=1": "F.conv_transpose2d(x, w, stride=2, "
    "padding=1)",
    "avg_pool2d:kernel_size=2": "F.avg_pool2d(x, 2)",
    "max_pool2d:kernel_size=3,stride=2,padding=1": "F.max_pool2d(x, 3, 2, 1)",
    "adaptive_avg_pool2d:output_size=3x2": "F.adaptive_avg_pool2d(x, (3, 2))",
    "global_avg_pool2d": "F.adaptive_avg_pool2d(x, 1)",
    "batch_norm": "F.batch_norm(x, None, None, training=True)",
    "layer_norm": "F.layer_norm(x, x.shape[1:])",
    "group_norm:num_groups=4": "F.group_norm(x, 4)",
    "instance_norm": "F.instance_norm(x)",
    "softmax": "F.softmax(x, 1)",
    "log_softmax": "F.log_softmax(x, 1)",
    "glu": "F.glu(x, 1)",
    "swiglu": "x[:, :4] * F.silu(x[:, 4:])",
    "maxout:k=4": "x.reshape(-1, 4, 2, 6, 5).amax(1)",
    "crelu": "torch.cat([F.relu(x), F.relu(-x)], 1)",
}
ROWS = {
    "linear:out_features=4": "F.linear(x, w)",
    "softmax": "F.softmax(x, -1)",
    "crelu": "torch.cat([F.relu(x), F.relu(-x)], -1)",
    "layer_norm": "F.layer_norm(x, x.shape[-1:])",
    "rms_norm:eps=1e-5": "F.rms_norm(x, x.shape[-1:], eps=1e-5)",
}


@pytest.mark.parametrize(
    ("text", "shape", "theirs"),
    [
        *((text, MAP, theirs) for text, theirs in CASES.items()),
        *((text, (4, 6), theirs) for text, theirs in ROWS.items()),
        *((text, (7,), theirs) for text, theirs in ROWS.items()),
        ("conv1d:out_channels=5,padding=1", (3, 9), "F.conv1d(x, w, padding=1)"),
        ("batch_norm", (7,), "F.batch_norm(x, None, None, training=True)"),
        ("geglu", (4, 6), "x[..., :3] * F.gelu(x[..., 3:])"),
    ],
)
def test_layers_do_to_a_batch_what_torchs_do(
    text: str, shape: tuple[int, ...], theirs: str
) -> None:
    """Forward and backward, weights shared by the batch."""
    torch = pytest.importorskip("torch")
    functions = {"F": torch.nn.functional, "torch": torch}
    name, _, items = text.partition(":")
    given = dict(i.split("=") for i in items.split(",") if i)
    event = event_of(name, shape, BATCH, given)
    known = {p.name for p in bnstats.layers.LAYERS[name].parameters}
    values = given | {k: v for k, v in event.values.items() if k in known}
    if "init" in known:
        values["init"] = "kaiming_normal"
    items = ",".join(f"{k}={v}" for k, v in values.items())
    spec = parse(f"{name}:{items}" if items else name)
    x, drawn = normal((*shape, BATCH)), {}

    def numbers(given: object, n: int) -> np.ndarray:
        assert n == 1
        drawn["w"] = normal((*given.shape, n))  # type: ignore[attr-defined]
        return drawn["w"]

    y, pull = through(spec, event, x, numbers)
    there = torch.tensor(np.moveaxis(x, -1, 0).copy(), requires_grad=True)
    w = None
    if drawn:
        shape_of = spec.bound.inputs["weight"].shape
        std = math.sqrt(2 / math.prod(shape_of[1:]))  # torch's fan_in
        w = torch.tensor(drawn["w"][..., 0] * std)
    expected = eval(theirs, functions | {"x": there, "w": w})
    assert np.moveaxis(y, -1, 0) == NEAR(expected.detach().numpy(), rel=1e-9, abs=1e-12)
    assert out_shape(spec, event, shape) == tuple(expected.shape[1:])
    dy = normal(y.shape)
    expected.backward(torch.tensor(np.moveaxis(dy, -1, 0).copy()))
    assert np.moveaxis(pull(dy), -1, 0) == NEAR(there.grad.numpy(), rel=1e-8, abs=1e-10)


def test_a_batch_shares_the_weights_of_one_draw() -> None:
    """The registry's formulas with weights of one draw, and with as many copies of it."""
    for text in (
        "conv2d:groups=2,in_channels=4,input_size=6,out_channels=6,padding=1,stride=2",
        "conv_transpose1d:in_channels=3,input_size=5,out_channels=2,stride=2",
        "linear",
    ):
        bound = parse(text).bound
        x = normal((*bound.inputs["x"].shape, 4))
        dy = normal((*bound.inputs["dy"].shape, 4))
        one = normal((*bound.inputs["weight"].shape, 1))
        copies = np.repeat(one, 4, axis=-1)
        y, pull = bound.forward(numpy_backend, {"x": x, "weight": one})
        expected, their_pull = bound.forward(numpy_backend, {"x": x, "weight": copies})
        assert y == NEAR(expected, abs=1e-12)
        assert pull(dy) == NEAR(their_pull(dy), abs=1e-12)


def test_dense_stacks_are_those_of_the_other_engines() -> None:
    """A third engine, without width: linear layers on features of one side."""
    ours = bnstats.propagate("linear gelu", input=48, depth=4, batch=2, networks=1_500)
    theirs = bnstats.propagate("linear gelu", width=48, depth=4, batch=2, networks=4_000)
    for a, b in zip(ours.rows, theirs.rows, strict=True):
        for mine, other in ((a.y, b.y), (a.dx, b.dx)):
            assert mine is not None
            assert other is not None
            error = math.hypot(mine.typical.relative or 9, other.typical.relative or 9)
            assert abs(math.log(mine.typical.value / other.typical.value)) < FAR * error
            assert mine.isolated == NEAR(other.isolated)
        assert a.correlation is not None
        assert b.correlation is not None
        apart = a.correlation.value - b.correlation.value
        assert abs(apart) < FAR * math.hypot(a.correlation.stderr, b.correlation.stderr)


def test_what_layers_do_alone_is_multiplied_whatever_the_shape_of_a_stack() -> None:
    """A layer with σ_w = σ_b = 1 makes 2 of a mean square of 1, three of them 8."""
    for size in ({"input": 16}, {"width": 16}):
        found = bnstats.propagate("linear", depth=3, bias_std=1, init="lecun", networks=2, **size)  # type: ignore[arg-type]
        assert [row.y.isolated for row in found.rows if row.y] == NEAR([2**0.5, 2, 8**0.5])


@pytest.mark.slow
def test_zero_padding_loses_what_the_transfer_matrix_says() -> None:
    """He-ReLU convolutions 3 × 3, padding 1, on 7 × 7: (19/21)², then towards .9011 a layer.

    Inputs are not correlated between positions, so that E[y²] at each is a sum over its window.
    """
    size, layers = 7, 4
    line = np.eye(size) + np.eye(size, k=1) + np.eye(size, k=-1)
    square, expected = np.ones(size), []
    for _ in range(layers):
        square = line @ square / 3
        expected.append(square.mean())  # one side of two that are alike
    found = bnstats.propagate(
        "conv2d:out_channels=24,padding=1 relu", input="24x7x7", depth=layers, batch=1, networks=300
    )
    for row, side in zip(found.rows[1::2], expected, strict=True):
        ensemble = row.y.ensemble
        assert ensemble.stderr is not None
        assert abs(ensemble.value - side) < FAR * ensemble.stderr, (row.name, side)
    assert expected[0] ** 2 == NEAR(0.8186, abs=1e-4)


@pytest.mark.slow
def test_batch_norm_makes_gradients_grow() -> None:
    """π/(π − 1) a layer with relu, in σ by 1.2112 (Yang et al. 2019: they always explode)."""
    found = bnstats.propagate(
        "linear batch_norm relu", input=256, depth=6, batch=256, networks=12, init="lecun"
    )
    second, last = found.rows[3].dx, found.rows[-3].dx  # normal inputs of the first are not alike
    assert second is not None
    assert last is not None
    factor = (second.typical.value / last.typical.value) ** (1 / 4)
    assert factor == NEAR(math.sqrt(math.pi / (math.pi - 1)), rel=0.005)
    assert found.rows[1].y.typical.value == NEAR(1.0, rel=1e-3)


def test_dropout_and_torchs_init_draw_what_they_should() -> None:
    found = bnstats.propagate(
        "conv2d:out_channels=8 dropout2d:p=0.25 flatten linear:out_features=16 dropout",
        input="3x6x6",
        batch=4,
        networks=400,
        init="torch",
    )
    for row in found.rows:
        assert row.y.isolated is not None
        assert row.y.ensemble.value == NEAR(row.y.isolated, rel=0.08), row.name
    first = found.rows[0].y
    assert first.isolated == NEAR(math.sqrt(1 / 3 + 1 / 81))  # weights 1/(3·27), biases 1/(3·27)


def test_biases_are_drawn_for_every_feature() -> None:
    """Of weights near 0 nothing else is left: torch's are U(±1/√fan_in), one for all inputs."""
    for bias in ({"init": "torch", "gain": 1e-8}, {"bias_std": 0.5, "gain": 1e-8}):
        found = bnstats.propagate("linear:out_features=2000", input=4, networks=20, batch=3, **bias)  # type: ignore[arg-type]
        end = found.rows[0]
        assert end.y.typical.value == NEAR(bias.get("bias_std", 1 / math.sqrt(12)), rel=0.02)
        assert end.correlation is not None
        assert end.correlation.value == NEAR(1.0)


@pytest.mark.parametrize("scale", ["forward", "backward", "separate"])
def test_pools_and_activations_are_divided_by_their_constants(scale: Scale) -> None:
    found = bnstats.propagate(
        "conv2d:out_channels=16 relu max_pool2d:kernel_size=2",
        input="16x8x8",
        networks=100,
        batch=4,
        scale=scale,
    )
    y, dx = found.rows[2].y.isolated, found.rows[1].dx
    assert dx is not None
    relu, pool = (0.5, 0.5), (1.5513288954, 0.25)
    if scale == "forward":
        assert y == NEAR(1.0)
        assert dx.isolated == NEAR(math.sqrt(relu[1] / relu[0] * pool[1] / pool[0]))
    elif scale == "backward":
        assert y == NEAR(math.sqrt(relu[0] / relu[1] * pool[0] / pool[1]))
        assert dx.isolated == NEAR(1.0)
    else:
        assert (y, dx.isolated) == NEAR((1.0, 1.0))


def test_a_gain_is_found_for_all_layers_together() -> None:
    found = bnstats.propagate(
        "conv2d:out_channels=16 tanh avg_pool2d:kernel_size=2",
        input="4x10x10",
        gain="auto",
        networks=50,
    )
    assert found.rows[-1].y.isolated == NEAR(1.0)


def test_residual_branches_meet_where_their_shapes_agree() -> None:
    found = bnstats.propagate(
        "skip relu conv2d:padding=1 add", input="8x6x6", depth=2, networks=150, batch=2
    )
    assert found.rows[-1].y.isolated == NEAR(
        math.sqrt((1 + (19 / 21 * 16 / 18) ** 0) ** 2), rel=0.2
    )
    assert [row.name for row in found.rows] == [
        f"{block}.{name}" for block in (1, 2) for name in ("skip", "relu", "conv2d", "add")
    ]


def test_digits_do_not_depend_on_the_number_of_workers() -> None:
    one, three = (
        bnstats.propagate("conv2d:padding=1 relu", input="8x16x16", networks=40, workers=w)
        for w in (1, 3)
    )
    assert one == three


def test_a_shape_is_read_from_text_and_numbers() -> None:
    assert input_shape("3x8x8") == input_shape((3, 8, 8)) == InputShape((3, 8, 8))
    assert input_shape(7) == InputShape((7,))
    assert input_shape("tokens:100x12") == InputShape((12,), 100)
    assert str(input_shape("tokens:100x12")) == "tokens:100x12"


def test_padding_resizing_and_depthwise_convolutions_have_their_place() -> None:
    """Each takes the shape before it; σ[y] of the whole is that of torch's padding and so on."""
    block = (
        "zero_pad2d:padding=1",
        "depthwise_conv2d:depth_multiplier=2,kernel_size=3",
        "upsample2d:scale_factor=2",
        "cropping2d:cropping=1",
    )
    stack = ShapedStack(block, InputShape((3, 6, 6)))
    assert [step.shape for step in stack.steps] == [(3, 8, 8), (6, 6, 6), (6, 12, 12), (6, 10, 10)]
    squares = [step.squares[0] for step in stack.steps]
    # 36 of 64 positions are not padding; weights have the variance 2/(9·(3 + 2)); copies keep σ
    assert squares == pytest.approx([36 / 64, 2 / 5, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["linear", "--input", "3x8x8"], "layer 1, linear, gets 3x8x8; it wants features", None),
        (
            ["flatten", "conv2d", "--input", "3x8x8"],
            "layer 2, conv2d, gets 192; it wants channels x height x width",
            None,
        ),
        (
            ["conv2d:in_channels=4", "--input", "3x8x8"],
            "layer 1, conv2d:in_channels=4, gets 3x8x8; it wants in_channels=4",
            None,
        ),
        (
            ["conv2d", "--input", "3x8x8", "--depth", "9"],
            "layer 4, conv2d, gets 3x2x2: kernel_size=3 is larger than the padded input, 2",
            "bnstats show conv2d",
        ),
        (
            ["relu", "flatten", "conv2d", "--input", "3x8x8"],
            "layer 3, conv2d, gets 192; it wants channels x height x width",
            None,
        ),
        (
            ["max_pool2d:kernel_size=2", "flatten", "linear", "--input", "3x8x8", "--depth", "2"],
            "layer 4, max_pool2d:kernel_size=2, gets 48; it wants channels x height x width",
            "the block is repeated and has changed the shape: --depth 1",
        ),
        (
            ["skip", "conv2d", "add", "--input", "3x8x8"],
            "layer 3, add, gets 3x6x6; it wants 3x8x8, the shape of its trunk",
            None,
        ),
        (["glu", "--input", "9"], "layer 1, glu, gets 9; it wants a multiple of 2 channels", None),
        (["mse_loss", "--input", "8"], "mse_loss is no layer of a stack", "linear, convolutions"),
        (["relu", "--input", "3xx8"], "input '3xx8' is not a shape", "--input 3x224x224"),
        (["relu", "--input", "tokens:9x9"], "tokens has no place", None),
        (["relu", "--input", "8", "--width", "9"], "width has no place", None),
        (["skip", "relu", "--input", "8"], "skip without an add after it", "skip … conv2d add"),
        (["add", "--input", "8"], "add without a skip before it", "skip … conv2d add"),
        (["linear", "--init", "hee", "--input", "8"], "unknown init 'hee'", "did you mean 'he'?"),
        (
            ["group_norm", "--input", "9x4x4"],
            "layer 1, group_norm, gets 9x4x4: num_channels=9",
            None,
        ),
        (
            ["conv2d:kernel=3", "--input", "3x8x8"],
            "layer 1, conv2d:kernel=3, gets 3x8x8: conv2d",
            None,
        ),
        *(
            ([text, "--input", "4x8x8"], f"layer 1, {text}, gets 4x8x8: {said}", None)
            for text, said in (
                ("conv2d:kernel_size=abc", "kernel_size=abc is not a size"),
                ("conv2d:kernel_size", "kernel_size= is not a size"),
                ("conv2d:groups=0", "groups=0 is outside"),
                ("conv2d:gain=x", "gain=x is not a number"),
                ("group_norm:num_groups=x", "num_groups=x is not a whole number"),
                ("maxout:k=0", "k=0 is outside"),
            )
        ),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(
    cli: Cli, arguments: list[str], message: str, hint: str | None
) -> None:
    outcome = cli("propagate", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith(f"error: {message}"), lines
    assert hint is None or hint in lines[-1], lines


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("group_norm:num_groups=2.0", "group_norm:num_groups=2"),
        ("conv2d:gain=4/2", "conv2d:gain=2"),
        ("conv2d:init=glorot_uniform,out_channels=9", "conv2d:init=xavier_uniform,out_channels=9"),
        ("conv2d:init=he_uniform", "conv2d:init=kaiming_uniform"),
    ],
)
def test_values_are_read_as_elsewhere(text: str, same: str) -> None:
    found, expected = (
        bnstats.propagate(block, input="4x8x8", networks=2).rows[0].y.isolated
        for block in (text, same)
    )
    assert found == expected


def test_a_document_of_shapes_is_complete(cli: Cli) -> None:
    call = ("conv2d:out_channels=4 relu flatten linear:out_features=3 softmax",)
    outcome = cli("propagate", *call, "--input", "3x5x5", "--networks", 20, "--json")
    (entry,) = read_document(outcome.out)["results"]
    assert (entry["input"], entry["batch"], entry["engine"]) == ("3x5x5", 8, "matrices")
    assert (entry["width"], entry["mode"], entry["init"]) == (None, None, "he")
    assert [row["name"] for row in entry["rows"]][-2:] == ["1.linear", "1.softmax"]


def test_stacks_survive_the_way_to_a_worker() -> None:
    import pickle

    stack = ShapedStack(("conv2d", "relu"), InputShape((2, 5, 5)))
    assert pickle.loads(pickle.dumps(stack)) == stack
    assert len(stack.steps) == 2

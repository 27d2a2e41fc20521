"""Pooling, convolution, linear and dropout: forward, backward, geometry and weights."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import oracles
import pytest
from layer_support import DRAWS, differences, draws_of, embedded, through

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, Event, ParameterError
from bnstats.reference import exact_values
from bnstats.sampling import Chunk, Task, iid_blocks
from bnstats.spec import Spec, parse

# sides, kernel, stride, padding, input size: overlapping, gapped, padded, non-square
FINITE = [
    (1, (2,), (2,), (0,), (6,)),
    (1, (3,), (1,), (1,), (5,)),
    (1, (2,), (3,), (0,), (9,)),
    (1, (5,), (2,), (2,), (4,)),
    (2, (2, 2), (2, 2), (0, 0), (5, 4)),
    (2, (3, 3), (2, 2), (1, 1), (7, 8)),
    (2, (3, 2), (1, 2), (1, 0), (4, 6)),
    (2, (2, 4), (3, 1), (1, 2), (5, 5)),
    (3, (2, 2, 2), (2, 2, 2), (0, 0, 0), (4, 4, 4)),
    (3, (3, 2, 1), (2, 1, 2), (1, 1, 0), (4, 3, 5)),
]
INTERIOR = [
    (1, (2,), (2,)),
    (1, (3,), (1,)),
    (1, (3,), (2,)),
    (1, (2,), (5,)),
    (1, (5,), (3,)),
    (2, (3, 3), (2, 2)),
    (2, (2, 4), (3, 1)),
    (2, (1, 5), (1, 2)),
    (3, (2, 3, 1), (2, 2, 1)),
]
finite = pytest.mark.parametrize(("sides", "kernel", "stride", "padding", "size"), FINITE)
interior = pytest.mark.parametrize(("sides", "kernel", "stride"), INTERIOR)
POOLS = [
    ("max_pool", {}),
    ("avg_pool", {}),
    ("avg_pool", {"count_include_pad": False}),
]
pools = pytest.mark.parametrize(("pool", "options"), POOLS, ids=["max", "avg", "avg-exclude-pad"])


def pool_event(
    pool: str, kernel: tuple[int, ...], stride: tuple[int, ...], **options: Any
) -> Event:
    layer = LAYERS[f"{pool}{len(kernel)}d"]
    return layer.bind(kernel_size=kernel, stride=stride, **options)


def twin(pool: str, geometry: oracles.Map, x: Any, dy: Any, options: dict[str, Any]) -> Any:
    if pool == "max_pool":
        return oracles.max_pool_twin(geometry, x, dy)
    return oracles.avg_pool_twin(geometry, x, dy, **options)


def torch_pool(pool: str, x: Any, dy: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Return torch's y and grad of x for arrays (*map, draws); skips without torch."""
    torch = pytest.importorskip("torch")
    f = getattr(torch.nn.functional, f"{pool}{x.ndim - 1}d")
    leaf = torch.tensor(np.moveaxis(x, -1, 0)[:, None], requires_grad=True)
    y = f(leaf, *args, **options)
    y.backward(torch.tensor(np.moveaxis(dy, -1, 0)[:, None]))
    return tuple(np.moveaxis(t.detach().numpy()[:, 0], 0, -1) for t in (y, leaf.grad))


@finite
@pools
def test_pooling_equals_the_scalar_twin(pool, options, sides, kernel, stride, padding, size):
    event = pool_event(pool, kernel, stride, padding=padding, input_size=size, **options)
    draws = draws_of(event)
    y, dx = through(event, draws)
    geometry = oracles.Map(size, kernel, stride, padding)
    assert event.inputs["x"].shape == size
    assert event.inputs["dy"].shape == geometry.count()
    for n in range(DRAWS):
        expected = twin(pool, geometry, draws["x"][..., n], draws["dy"][..., n], options)
        np.testing.assert_allclose(y[..., n], expected[0], rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(dx[..., n], expected[1], rtol=1e-14, atol=1e-14)


@finite
@pools
def test_pooling_equals_torch(pool, options, sides, kernel, stride, padding, size):
    event = pool_event(pool, kernel, stride, padding=padding, input_size=size, **options)
    draws = draws_of(event)
    y, dx = through(event, draws)
    expected = torch_pool(pool, draws["x"], draws["dy"], kernel, stride, padding, **options)
    np.testing.assert_allclose(y, expected[0], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(dx, expected[1], rtol=1e-13, atol=1e-14)


@interior
@pools
def test_the_interior_event_is_a_piece_of_a_large_map(pool, options, sides, kernel, stride):
    event = pool_event(pool, kernel, stride, **options)
    big, small, windows, kept = embedded(event, kernel, stride)
    assert event.inputs["x"].shape == small["x"].shape[:-1]
    y, dx = through(event, small)
    expected_y, expected_dx = torch_pool(pool, big["x"], big["dy"], kernel, stride, **options)
    np.testing.assert_allclose(y, expected_y[windows], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(dx, expected_dx[kept], rtol=1e-13, atol=1e-14)


@interior
def test_the_interior_event_equals_the_scalar_twin_of_a_large_map(sides, kernel, stride):
    event = pool_event("max_pool", kernel, stride)
    big, small, windows, kept = embedded(event, kernel, stride)
    y, dx = through(event, small)
    geometry = oracles.Map(big["x"].shape[:-1], kernel, stride, (0,) * sides)
    expected = oracles.max_pool_twin(geometry, big["x"][..., 0], big["dy"][..., 0])
    np.testing.assert_allclose(y[..., 0], expected[0][windows], rtol=1e-14)
    np.testing.assert_allclose(dx[..., 0], expected[1][kept], rtol=1e-14, atol=1e-15)


@interior
def test_the_interior_event_holds_just_the_windows_that_reach_its_period(sides, kernel, stride):
    event = pool_event("avg_pool", kernel, stride)
    draws = draws_of(event, n=1)
    for window in np.ndindex(event.inputs["dy"].shape):
        one_hot = np.zeros_like(draws["dy"])
        one_hot[window] = 1.0
        assert np.any(through(event, {**draws, "dy": one_hot})[1] != 0), window


@finite
@pools
def test_pooling_backward_equals_finite_differences(
    pool, options, sides, kernel, stride, padding, size
):
    event = pool_event(pool, kernel, stride, padding=padding, input_size=size, **options)
    draws = draws_of(event)
    np.testing.assert_allclose(through(event, draws)[1], differences(event, draws), atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_first_of_equal_elements_wins_as_in_torch(seed):
    event = pool_event("max_pool", (3, 2), (2, 1), padding=(1, 1), input_size=(6, 5))
    draws = draws_of(event)
    draws["x"] = np.random.default_rng(seed).integers(0, 2, draws["x"].shape).astype(float)
    y, dx = through(event, draws)
    geometry = oracles.Map((6, 5), (3, 2), (2, 1), (1, 1))
    for n in range(DRAWS):
        expected = oracles.max_pool_twin(geometry, draws["x"][..., n], draws["dy"][..., n])
        np.testing.assert_allclose(dx[..., n], expected[1], atol=1e-15)
    torchs = torch_pool("max_pool", draws["x"], draws["dy"], (3, 2), (2, 1), (1, 1))
    np.testing.assert_allclose(y, torchs[0])
    np.testing.assert_allclose(dx, torchs[1], atol=1e-15)


def test_a_padded_maximum_of_negative_inputs_is_not_the_padding():
    event = pool_event("max_pool", (3,), (1,), padding=(1,), input_size=(3,))
    x, dy = -np.ones((3, 1)), np.array([[1.0], [10.0], [100.0]])
    y, dx = through(event, {"x": x, "dy": dy})
    np.testing.assert_array_equal(y, -np.ones((3, 1)))
    np.testing.assert_array_equal(dx[:, 0], [11.0, 100.0, 0.0])


def test_input_size_accepts_one_number_for_all_sides():
    square = LAYERS["max_pool2d"].bind(kernel_size=2, input_size=6)
    assert square.inputs["x"].shape == (6, 6)
    assert square.inputs["dy"].shape == (3, 3)


def test_a_size_of_the_wrong_length_is_refused():
    with pytest.raises(ParameterError, match=r"input_size=6x6x6 has 3 sides .* 2"):
        LAYERS["max_pool2d"].bind(kernel_size=2, input_size=(6, 6, 6))


# --- convolution and linear ----------------------------------------------------------------------

CONVS = [
    {"kernel_size": (3, 3), "stride": (1, 1), "padding": (0, 0), "input_size": (5, 5)},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "input_size": (6, 5)},
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0), "input_size": (3, 7)},
    {"kernel_size": (1, 1), "stride": (1, 1), "padding": (0, 0), "input_size": (2, 3)},
    {"kernel_size": (2, 2), "stride": (3, 3), "padding": (0, 0), "input_size": (6, 8)},
]
convs = pytest.mark.parametrize("geometry", CONVS, ids=lambda g: "-".join(map(str, g.values())))
CHANNELS = {"in_channels": 3, "out_channels": 2}


def plain_conv(geometry: dict[str, Any]) -> tuple[Event, dict[str, np.ndarray]]:
    """Return a convolution whose weights are the draws: kaiming with gain √fan is W·1."""
    fan_in = CHANNELS["in_channels"] * math.prod(geometry["kernel_size"])
    event = LAYERS["conv2d"].bind(
        **CHANNELS, **geometry, init="kaiming_normal", gain=math.sqrt(fan_in)
    )
    return event, draws_of(event)


@convs
def test_convolution_equals_the_scalar_twin(geometry):
    event, draws = plain_conv(geometry)
    y, dx = through(event, draws)
    shape = oracles.Map(*(geometry[k] for k in ("input_size", "kernel_size", "stride", "padding")))
    for n in range(DRAWS):
        expected = oracles.conv_twin(
            shape, draws["x"][..., n], draws["dy"][..., n], draws["weight"][..., n]
        )
        np.testing.assert_allclose(y[..., n], expected[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dx[..., n], expected[1], rtol=1e-12, atol=1e-12)


def torch_conv(draws: dict[str, Any], **options: Any) -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    ys, dxs = [], []
    for n in range(draws["x"].shape[-1]):
        x, dy, weight = (torch.tensor(draws[k][..., n][None]) for k in ("x", "dy", "weight"))
        x.requires_grad_()
        y = torch.nn.functional.conv2d(x, weight[0], **options)
        y.backward(dy)
        ys.append(y.detach().numpy()[0])
        dxs.append(x.grad.numpy()[0])
    return np.stack(ys, -1), np.stack(dxs, -1)


@convs
def test_convolution_equals_torch(geometry):
    event, draws = plain_conv(geometry)
    y, dx = through(event, draws)
    expected = torch_conv(draws, stride=geometry["stride"], padding=geometry["padding"])
    np.testing.assert_allclose(y, expected[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, expected[1], rtol=1e-12, atol=1e-12)


@convs
def test_convolution_backward_equals_finite_differences(geometry):
    event, draws = plain_conv(geometry)
    np.testing.assert_allclose(through(event, draws)[1], differences(event, draws), atol=1e-7)


@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3), (1, 1)), ((3, 2), (2, 3)), ((4, 1), (2, 1))]
)
def test_the_interior_convolution_is_a_piece_of_a_large_map(kernel, stride):
    fan_in = 3 * math.prod(kernel)
    event = LAYERS["conv2d"].bind(
        **CHANNELS, kernel_size=kernel, stride=stride, init="kaiming_normal", gain=fan_in**0.5
    )
    big, small, windows, kept = embedded(event, kernel, stride, lead=(3, 2))
    weight = draws_of(event)["weight"]
    y, dx = through(event, {**small, "weight": weight})
    expected_y, expected_dx = torch_conv({**big, "weight": weight}, stride=stride)
    np.testing.assert_allclose(y, expected_y[windows], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, expected_dx[kept], rtol=1e-12, atol=1e-12)


def test_linear_is_a_matrix_product():
    event = LAYERS["linear"].bind(in_features=5, out_features=3, init="xavier_normal", gain=2.0)
    draws = draws_of(event)
    y, dx = through(event, draws)
    for n in range(DRAWS):
        w = draws["weight"][..., n] * 2 * math.sqrt(2 / (5 + 3))
        np.testing.assert_allclose(y[:, n], w @ draws["x"][:, n], rtol=1e-12)
        np.testing.assert_allclose(dx[:, n], w.T @ draws["dy"][:, n], rtol=1e-12)
    np.testing.assert_allclose(dx, differences(event, draws), atol=1e-7)


def drawn_weights(layer: str, n: int, **params: Any) -> np.ndarray:
    """Return weights as the layer uses them: y for one-hot inputs, dx for one-hot dy."""
    event = LAYERS[layer].bind(**params)
    task = Task(Spec(layer, LAYERS[layer], event), seed=5)
    block = next(iid_blocks(task, Chunk(0, 0, n, False))).draws
    kernel = event.inputs["weight"].shape[2 : -0 or None]
    columns = []
    for position in itertools.product(range(event.inputs["x"].shape[0]), *map(range, kernel)):
        one_hot = np.zeros_like(block["x"])
        one_hot[position] = 1.0
        y = event.forward(numpy_backend, {**block, "x": one_hot})[0]
        columns.append(y.reshape(y.shape[0], -1, n)[:, 0])
    return np.stack(columns, axis=1).reshape((*event.inputs["weight"].shape, n))


LINEAR = ("linear", {"in_features": 3, "out_features": 5})
# one window on a map of the kernel's size: y is the kernel's inner product with the map
CONV = ("conv2d", {**CHANNELS, "kernel_size": (3, 2), "input_size": (3, 2)})
parametric = pytest.mark.parametrize(("layer", "params"), [LINEAR, CONV], ids=["linear", "conv2d"])


@parametric
def test_unit_weights_have_norm_one_over_their_fan(layer, params):
    weights = drawn_weights(layer, 20, **params, init="unit_fan_in")
    over_inputs = tuple(range(1, weights.ndim - 1))
    np.testing.assert_allclose(np.sum(weights**2, axis=over_inputs), 1.0, rtol=1e-13)
    weights = drawn_weights(layer, 20, **params, init="unit_fan_out")
    over_outputs = (0, *range(2, weights.ndim - 1))
    np.testing.assert_allclose(np.sum(weights**2, axis=over_outputs), 1.0, rtol=1e-13)


FANS = {"linear": (3, 5), "conv2d": (18, 12)}  # in: 3·3·2, out: 2·3·2


@parametric
def test_the_fans_are_torchs(layer, params):
    torch = pytest.importorskip("torch")
    tensor = torch.empty(LAYERS[layer].bind(**params).inputs["weight"].shape)
    assert torch.nn.init._calculate_fan_in_and_fan_out(tensor) == FANS[layer]


@parametric
@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ({"init": "xavier_normal"}, lambda i, o: 2 / (i + o)),
        ({"init": "xavier_uniform"}, lambda i, o: 2 / (i + o)),
        ({"init": "xavier_uniform", "gain": 3.0}, lambda i, o: 9 * 2 / (i + o)),
        ({"init": "kaiming_normal"}, lambda i, o: 2 / i),
        ({"init": "kaiming_uniform"}, lambda i, o: 2 / i),
        ({"init": "kaiming_normal", "mode": "fan_out"}, lambda i, o: 2 / o),
        ({"init": "kaiming_uniform", "mode": "fan_out", "gain": 0.5}, lambda i, o: 0.25 / o),
    ],
    ids=lambda v: "-".join(map(str, v.values())) if isinstance(v, dict) else "",
)
def test_the_variance_of_the_weights_is_that_of_torch_init(layer, params, init, variance):
    weights = drawn_weights(layer, 500, **params, **init).ravel()
    expected = variance(*FANS[layer])
    # five standard errors; kurtosis 3 for normals bounds that of the uniform's 1.8
    assert np.mean(weights**2) == pytest.approx(expected, rel=5 * math.sqrt(2 / weights.size))
    assert abs(np.mean(weights)) < 5 * math.sqrt(expected / weights.size)
    if init["init"].endswith("uniform"):
        assert np.max(np.abs(weights)) <= math.sqrt(3 * expected)
        assert np.max(np.abs(weights)) > 0.99 * math.sqrt(3 * expected)
    else:
        assert np.max(np.abs(weights)) > 2.5 * math.sqrt(expected)


# --- dropout ---------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize(
    ("scaling", "factor"),
    [("inverted", lambda q: 1 / q), ("sqrt", lambda q: q**-0.5), ("none", lambda q: 1.0)],
)
def test_dropout_keeps_and_scales(p, scaling, factor):
    event = LAYERS["dropout"].bind(p=p, scaling=scaling)
    draws = draws_of(event, n=2000)
    y, dx = through(event, draws)
    kept = draws["mask"] < 1 - p
    np.testing.assert_allclose(y, np.where(kept, draws["x"] * factor(1 - p), 0), rtol=1e-15)
    np.testing.assert_allclose(dx, np.where(kept, draws["dy"] * factor(1 - p), 0), rtol=1e-15)
    assert abs(kept.mean() - (1 - p)) <= 5 * math.sqrt(p * (1 - p) / 2000)


def test_no_layer_writes_to_its_inputs():
    for name, params in [
        ("max_pool2d", {"kernel_size": 3, "stride": 2}),
        ("max_pool2d", {"kernel_size": 3, "padding": 1, "input_size": 5}),
        ("avg_pool2d", {"kernel_size": 3, "stride": 1}),
        ("conv2d", {"init": "unit_fan_out"}),
        ("linear", {}),
        ("dropout", {}),
    ]:
        event = LAYERS[name].bind(**params)
        draws = draws_of(event)
        kept = {k: v.copy() for k, v in draws.items()}
        through(event, draws)
        for k, v in draws.items():
            np.testing.assert_array_equal(v, kept[k], err_msg=f"{name}: {k}")


@pytest.mark.parametrize(("kernel", "padding", "size"), [(1, 2, 4), (3, 5, 2), (2, 3, 1)])
def test_windows_that_lie_in_the_padding_hold_nothing(kernel, padding, size):
    spec = f"conv2d:input_size={size},kernel_size={kernel},padding={padding},init=kaiming_normal"
    exact = exact_values(parse(spec).event, STANDARD)
    outputs = size + 2 * padding - kernel + 1
    # Of the windows' positions size² of each kernel element are real inputs, all others padding.
    held = (kernel * size / outputs) ** 2
    assert exact["var_y"].value == pytest.approx(held * 2 / kernel**2, rel=1e-12)
    assert exact["var_dx"].value == pytest.approx(2.0, rel=1e-12)  # no window is lost


def test_sizes_need_one_entry_or_one_for_each_side():
    for spec in ("max_pool1d:kernel_size=3x3", "max_pool3d:kernel_size=2x2"):
        with pytest.raises(BnstatsError, match="sides where the layer has"):
            parse(spec)
    assert parse("max_pool2d:kernel_size=3x3").text == "max_pool2d:kernel_size=3"


@pytest.mark.parametrize("params", ["gain=2,init=unit_fan_in", "init=xavier_normal,mode=fan_out"])
def test_parameters_without_effect_are_refused(params):
    with pytest.raises(BnstatsError, match="has no effect with init="):
        parse(f"linear:{params}")

"""Linear layers and convolutions: forward, backward, groups, dilation, and their weights."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import oracles_parametric as oracles
import pytest
from layer_support import DRAWS, draws_of, laws, through
from oracles_parametric import Conv
from scipy import stats

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, BoundLayer
from bnstats.layers._initialisation import _SCALED, Init
from bnstats.sampling.iid import iid_blocks
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.exact import exact_values

# in, out, kernel, stride, padding, dilation, groups, input size
CONVS = [
    Conv(3, 2, (3,), (1,), (1,), (1,), 1, (5,)),
    Conv(4, 6, (3,), (2,), (2,), (2,), 2, (7,)),
    Conv(2, 2, (2,), (3,), (0,), (3,), 2, (9,)),
    Conv(3, 2, (3, 3), (2, 2), (1, 1), (1, 1), 1, (6, 5)),
    Conv(3, 2, (2, 3), (1, 2), (1, 0), (2, 1), 1, (5, 7)),
    Conv(3, 6, (3, 2), (1, 1), (0, 2), (1, 2), 3, (4, 3)),  # depthwise, two outputs an input
    Conv(4, 2, (1, 1), (1, 1), (0, 0), (1, 1), 2, (2, 3)),
    Conv(2, 4, (2, 1, 3), (1, 2, 1), (1, 0, 1), (2, 1, 1), 2, (3, 4, 3)),
]
TRANSPOSED = [
    replace(conv, transposed=True, output_padding=extra)
    for conv, extra in zip(
        CONVS,
        [(0,), (1,), (2,), (1, 0), (0, 1), (0, 0), (0, 0), (0, 1, 0)],
        strict=True,
    )
]


def label(conv: Conv) -> str:
    sizes = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.input_size)
    return "-".join([conv.name, f"g{conv.groups}", *("x".join(map(str, s)) for s in sizes)])


every_conv = pytest.mark.parametrize("conv", [*CONVS, *TRANSPOSED], ids=label)


def test_every_layer_that_the_oracle_covers_is_tested():
    assert {c.name for c in [*CONVS, *TRANSPOSED]} | {"linear"} == set(oracles.COVERS)


def bound_layer(conv: Conv, *, interior: bool = False, **init: Any) -> BoundLayer:
    """Return the event; without an init its weights are the draws: kaiming of gain √fan is W·1."""
    plain = {"init": "kaiming_normal", "gain": math.sqrt(math.prod(conv.weight_shape[1:]))}
    sizes = conv.sizes
    if interior:
        sizes = {k: v for k, v in sizes.items() if "padding" not in k}
    else:
        sizes["input_size"] = conv.input_size
    channels = {"in_channels": conv.in_channels, "out_channels": conv.out_channels}
    return LAYERS[conv.name].bind(**channels, **sizes, **(init or plain))


# --- forward and backward ------------------------------------------------------------------------


@every_conv
def test_convolution_equals_the_scalar_twin(conv):
    bound = bound_layer(conv)
    assert bound.inputs["weight"].shape == conv.weight_shape
    assert bound.inputs["dy"].shape == (conv.out_channels, *conv.output_size())
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    for n in range(DRAWS):
        expected = conv.twin(*(draws[k][..., n] for k in ("x", "dy", "weight")))
        np.testing.assert_allclose(y[..., n], expected[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(dx[..., n], expected[1], rtol=1e-12, atol=1e-13)


@every_conv
def test_convolution_equals_torch(conv):
    bound = bound_layer(conv)
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    expected = conv.torch(draws)
    np.testing.assert_allclose(y, expected[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx, expected[1], rtol=1e-12, atol=1e-13)


@every_conv
def test_the_interior_is_a_piece_of_a_large_map(conv):
    bound = bound_layer(conv, interior=True)
    given = {name: i.shape[1:] for name, i in bound.inputs.items()}
    windows, size = given["dy"], given["x"]
    if conv.transposed:
        windows, size = size, windows
    sides = len(size)
    margin = tuple(
        d * (k - 1) // s + 2
        for k, s, d in zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
    )
    many = tuple(c + 2 * m for c, m in zip(windows, margin, strict=True))
    reach = (d * (k - 1) + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    full = tuple((c - 1) * s + r for c, s, r in zip(many, conv.stride, reach, strict=True))
    large = replace(
        conv,
        padding=(0,) * sides,
        output_padding=(0,) * sides,
        input_size=many if conv.transposed else full,
    )
    draws = draws_of(bound_layer(large))
    expected = dict(zip(("y", "dx"), large.torch(draws), strict=True))

    at = [m * s for m, s in zip(margin, conv.stride, strict=True)]
    on_windows = tuple(slice(m, m + c) for m, c in zip(margin, windows, strict=True))
    on_map = tuple(slice(a, a + n) for a, n in zip(at, size, strict=True))
    last = [a + (c - 1) * s for a, c, s in zip(at, windows, conv.stride, strict=True)]
    period = tuple(slice(f, f + s) for f, s in zip(last, conv.stride, strict=True))
    every = slice(None)
    x_at, dy_at, y_at, dx_at = on_map, on_windows, on_windows, period
    if conv.transposed:
        x_at, dy_at, y_at, dx_at = on_windows, on_map, period, on_windows
    piece = {"x": draws["x"][(every, *x_at)], "dy": draws["dy"][(every, *dy_at)]}
    y, dx = through(bound, {**piece, "weight": draws["weight"]})
    np.testing.assert_allclose(y, expected["y"][(every, *y_at)], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx, expected["dx"][(every, *dx_at)], rtol=1e-12, atol=1e-13)


def test_linear_is_a_matrix_product():
    bound = LAYERS["linear"].bind(in_features=5, out_features=3, init="xavier_normal", gain=2.0)
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    for n in range(DRAWS):
        w = draws["weight"][..., n] * 2 * math.sqrt(2 / (5 + 3))
        np.testing.assert_allclose(y[:, n], w @ draws["x"][:, n], rtol=1e-12)
        np.testing.assert_allclose(dx[:, n], w.T @ draws["dy"][:, n], rtol=1e-12)


# --- exact values by counting products -----------------------------------------------------------


@laws
@every_conv
def test_variances_equal_a_count_of_products(conv, law):
    first, second = conv.weight_shape[0], conv.weight_shape[1]
    taps = math.prod(conv.kernel_size)
    outs, ins = conv.out_channels // conv.groups, conv.in_channels // conv.groups
    ms_w = {
        "unit_fan_in": 1 / (ins * taps),
        "unit_fan_out": 1 / (outs * taps),
        "xavier_uniform": 2 / ((first + second) * taps),
        "he_normal": 2 / (second * taps),
        "orthogonal": 1 / max(first, second * taps),
    }
    # ones everywhere: y and dx count the products that enter them
    ones = [np.ones((conv.in_channels, *conv.input_size))]
    ones += [np.ones((conv.out_channels, *conv.output_size())), np.ones(conv.weight_shape)]
    products_y, products_dx = (float(np.mean(count)) for count in conv.twin(*ones))
    for init, ms in ms_w.items():
        exact = exact_values(bound_layer(conv, init=init), law)
        assert exact["mean_y"].value == 0
        var_y = products_y * ms * (law.x_std**2 + law.x_mean**2)
        assert exact["var_y"].value == pytest.approx(var_y, rel=1e-13), init
        ms_dx = products_dx * ms * law.dy_std**2
        assert exact["var_dx"].value == pytest.approx(ms_dx, rel=1e-13), init


# --- weights -------------------------------------------------------------------------------------


def drawn_weights(conv: Conv, n: int, **init: Any) -> np.ndarray:
    """Return weights (out, in, *kernel, n) as the layer uses them: y for one-hot inputs.

    One window makes one product of each weight. Across groups there are none: zeros.
    """
    bound = bound_layer(one_window(conv), **init)
    block = block_of(bound, n)
    columns = []
    for position in np.ndindex(bound.inputs["x"].shape):
        one_hot = np.zeros_like(block["x"])
        one_hot[position] = 1.0
        columns.append(bound.forward(numpy_backend, {**block, "x": one_hot})[0])
    if conv.transposed:  # y is (out, *kernel), x (in, 1…)
        return np.stack(columns, axis=1)
    w = np.stack([c.reshape(conv.out_channels, n) for c in columns], axis=1)
    return w.reshape(conv.out_channels, conv.in_channels, *conv.kernel_size, n)


def one_window(conv: Conv) -> Conv:
    ones, sides = (1,) * len(conv.kernel_size), len(conv.kernel_size)
    return replace(
        conv,
        stride=ones,
        dilation=ones,
        padding=(0,) * sides,
        output_padding=(0,) * sides,
        input_size=ones if conv.transposed else conv.kernel_size,
    )


def block_of(bound: BoundLayer, n: int) -> dict[str, np.ndarray]:
    spec = Spec("any", LAYERS["linear"], bound)
    blocks = iid_blocks(spec, Sampling(seed=5), Chunk(0, 0, n))
    parts = [{k: v.copy() for k, v in block.draws.items()} for block in blocks]
    return {k: np.concatenate([p[k] for p in parts], axis=-1) for k in parts[0]}


def in_group(conv: Conv, w: np.ndarray) -> np.ndarray:
    """Return the weights within groups, (groups, out, in, *kernel, n); the others must be 0."""
    outs, ins, g = conv.out_channels // conv.groups, conv.in_channels // conv.groups, conv.groups
    w = w.reshape(g, outs, g, ins, *w.shape[2:])
    for a, b in itertools.permutations(range(g), 2):
        assert not np.any(w[a, :, b])
    return np.stack([w[a, :, a] for a in range(g)])


@every_conv
def test_unit_weights_have_norm_one_over_their_fan(conv):
    kernel = tuple(range(3, 3 + len(conv.kernel_size)))
    for init, fan in (("unit_fan_in", 2), ("unit_fan_out", 1)):
        w = in_group(conv, drawn_weights(conv, 20, init=init))
        np.testing.assert_allclose(np.sum(w**2, axis=(fan, *kernel)), 1.0, rtol=1e-13)


# a linear layer, a convolution, one in groups and a transposed one in groups
MATRICES = [
    Conv(5, 3, (), (), (), (), 1, ()),
    Conv(3, 4, (3, 2), (), (), (), 1, ()),
    Conv(4, 4, (3,), (), (), (), 2, ()),
    Conv(4, 6, (2,), (), (), (), 2, (), transposed=True),
]
matrices = pytest.mark.parametrize(
    "conv", MATRICES, ids=lambda c: "x".join(map(str, c.weight_shape))
)


def weights_of(conv: Conv, n: int, **init: Any) -> np.ndarray:
    """Return the weights as the layer uses them, laid out as torch stores them."""
    if conv.kernel_size:
        w = in_group(conv, drawn_weights(conv, n, **init))
        if conv.transposed:
            w = np.swapaxes(w, 1, 2)
    else:
        bound = LAYERS["linear"].bind(
            in_features=conv.in_channels, out_features=conv.out_channels, **init
        )
        block = block_of(bound, n)
        eye = np.eye(conv.in_channels)
        w = np.stack(
            [
                bound.forward(numpy_backend, {**block, "x": np.outer(row, np.ones(n))})[0]
                for row in eye
            ],
            axis=1,
        )
    return w.reshape((*conv.weight_shape, n))


@matrices
def test_the_fans_are_torchs(conv):
    torch = pytest.importorskip("torch")
    fans = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(conv.weight_shape))
    first, second, *kernel = conv.weight_shape
    assert fans == (second * math.prod(kernel), first * math.prod(kernel))
    if conv.transposed:
        hint = bound_layer(one_window(conv), init="kaiming_normal").hints[0]
        assert hint.endswith(f"in {fans[0]}, out {fans[1]}")


def test_every_init_is_tested():
    inits = set(get_args(Init))
    assert inits == {*_SCALED, "unit_fan_in", "unit_fan_out", "orthogonal"}
    # those of the libraries' own layers are in test_library_initialisation
    others = set(_SCALED) - {"torch", "keras", "flax"}
    assert {name.partition(",")[0] for name in oracles.INITIALISATIONS} == others


@matrices
@pytest.mark.parametrize("name", oracles.INITIALISATIONS)
def test_independent_weights_have_the_law_and_the_variance_of_the_others(conv, name):
    oracle = oracles.INITIALISATIONS[name]
    first, second, *kernel = conv.weight_shape
    taps = math.prod(kernel)
    sigma = math.sqrt(oracle.variance(second * taps, first * taps))
    w = weights_of(conv, 400, init=name.partition(",")[0], **oracle.params)
    assert stats.kstest(w.ravel() / sigma, oracle.law.cdf).pvalue > 1e-5
    # no element differs from the others or is correlated with another
    flat = w.reshape(-1, 400) / sigma
    assert np.max(np.abs(flat.mean(axis=1))) < 5 / math.sqrt(400)
    correlations = np.corrcoef(flat) - np.eye(len(flat))
    assert np.max(np.abs(correlations)) < 5 / math.sqrt(400)
    if name.endswith("uniform") or "truncated" in name or oracle.law is oracles.CUT:
        assert np.max(np.abs(w)) <= oracle.law.support()[1] * sigma * (1 + 1e-12)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        (name, library)
        for name, oracle in oracles.INITIALISATIONS.items()
        for library in ("torch", "jax")
        if getattr(oracle, library) is not None
    ],
)
def test_the_oracles_laws_are_the_libraries_own(name, library):
    oracle = oracles.INITIALISATIONS[name]
    shape = (40, 24, 5)
    draw = oracle.torch_weights if library == "torch" else oracle.jax_weights
    w = draw(shape).ravel()
    sigma = math.sqrt(oracle.variance(24 * 5, 40 * 5))
    assert stats.kstest(w / sigma, oracle.law.cdf).pvalue > 1e-5
    # the variance to five standard errors; no law here has a kurtosis above 3
    assert np.mean(w**2) == pytest.approx(sigma**2, rel=5 * math.sqrt(2 / w.size))


def test_the_correction_of_truncated_normals_is_the_libraries_constant():
    assert math.sqrt(1 - 4 * stats.norm.pdf(2) / (2 * stats.norm.cdf(2) - 1)) == pytest.approx(
        0.87962566103423978, rel=1e-15
    )
    w = weights_of(MATRICES[0], 4000, init="lecun_normal")
    assert np.max(np.abs(w)) == pytest.approx(2 / math.sqrt(5) / 0.87962566103423978, rel=1e-3)


@pytest.mark.parametrize(
    ("word", "meant"), [("glorot_uniform", "xavier_uniform"), ("he_uniform", "kaiming_uniform")]
)
def test_the_uniforms_of_keras_and_jax_are_torchs_by_another_name(word, meant):
    for layer in ("linear", "conv2d", "conv_transpose1d"):
        assert parse(f"{layer}:init={word}").text == f"{layer}:init={meant}"


# --- orthogonal weights --------------------------------------------------------------------------


@matrices
@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_orthogonal_weights_are_semi_orthogonal_to_rounding(conv, gain):
    w = weights_of(conv, 50, init="orthogonal", gain=gain)
    w = np.moveaxis(w.reshape(conv.weight_shape[0], -1, 50), -1, 0)
    rows, columns = w.shape[1:]
    product = w @ w.transpose(0, 2, 1) if rows <= columns else w.transpose(0, 2, 1) @ w
    eye = np.broadcast_to(gain**2 * np.eye(min(rows, columns)), product.shape)
    np.testing.assert_allclose(product, eye, atol=2e-15 * gain**2 * max(rows, columns))


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (4, 3, 2), (7, 1, 3)])
def test_orthogonal_weights_equal_torchs_of_the_same_normals(shape):
    torch = pytest.importorskip("torch")
    torch.manual_seed(8)
    expected = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain=2.0).numpy()
    torch.manual_seed(8)
    flat = (shape[0], math.prod(shape[1:]))
    normals = torch.empty(flat, dtype=torch.float64).normal_().numpy()
    out, ins, *kernel = shape
    conv = one_window(Conv(ins, out, tuple(kernel), (), (), (), 1, ()))
    if not kernel:
        bound = LAYERS["linear"].bind(in_features=ins, out_features=out, init="orthogonal", gain=2)
    else:
        bound = bound_layer(conv, init="orthogonal", gain=2)
    x = np.random.default_rng(0).normal(size=(ins, *kernel, 1))
    y = bound.forward(numpy_backend, {"x": x, "weight": normals.reshape(*shape, 1)})[0]
    contracted = np.tensordot(expected, x[..., 0], axes=(range(1, len(shape)), range(x.ndim - 1)))
    np.testing.assert_allclose(y.reshape(out), contracted, rtol=1e-12, atol=1e-14)


def test_orthogonal_weights_are_haar():
    n, draws = 4, 40_000
    bound = LAYERS["linear"].bind(in_features=n, out_features=n, init="orthogonal")
    block = block_of(bound, draws)
    w = np.stack(
        [
            bound.forward(numpy_backend, {**block, "x": np.outer(e, np.ones(draws))})[0]
            for e in np.eye(n)
        ],
        axis=1,
    )
    # moments of Haar measure on O(n), by Weingarten calculus
    cross = n * (n - 1) * (n + 2)
    expected = {
        "W²": (w[1, 2] ** 2, 1 / n),
        "W⁴": (w[0, 3] ** 4, 3 / (n * (n + 2))),
        "same row": (w[0, 0] ** 2 * w[0, 1] ** 2, 1 / (n * (n + 2))),
        "same column": (w[0, 0] ** 2 * w[3, 0] ** 2, 1 / (n * (n + 2))),
        "neither": (w[0, 0] ** 2 * w[1, 1] ** 2, (n + 1) / cross),
        "mixed": (w[0, 0] * w[1, 1] * w[0, 1] * w[1, 0], -1 / cross),
        "trace": (np.trace(w), 0.0),
        "trace²": (np.trace(w) ** 2, 1.0),
        "trace⁴": (np.trace(w) ** 4, 3.0),
        # without the sign correction LAPACK's reflections leave a determinant of one sign
        "determinant": (np.linalg.det(np.moveaxis(w, -1, 0)), 0.0),
    }
    for name, (values, mean) in expected.items():
        z = (np.mean(values) - mean) / (np.std(values) / math.sqrt(draws))
        assert abs(z) < 4.5, (name, np.mean(values), mean)


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (5, 3)])
def test_the_fourth_moment_of_semi_orthogonal_weights(rows, columns):
    conv = Conv(columns, rows, (), (), (), (), 1, ())
    w = weights_of(conv, 20_000, init="orthogonal")
    n = max(rows, columns)
    for power, mean in ((1, 0.0), (2, 1 / n), (4, 3 / (n * (n + 2)))):
        values = w**power
        z = (values.mean(axis=-1) - mean) / (values.std(axis=-1) / math.sqrt(20_000))
        assert np.max(np.abs(z)) < 4.5, power


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("linear:gain=2,init=unit_fan_in", "gain has no effect with init=unit_fan_in"),
        ("linear:init=xavier_normal,mode=fan_out", "mode has no effect with init=xavier_normal"),
        ("linear:init=orthogonal,mode=fan_out", "mode has no effect with init=orthogonal"),
        ("conv1d:mode=fan_out", "mode has no effect with init=unit_fan_out"),
        ("conv2d:groups=2,in_channels=3", "in_channels=3 is not a multiple of groups=2"),
        ("conv2d:groups=2,out_channels=3", "out_channels=3 is not a multiple of groups=2"),
        (
            "conv1d:dilation=2,input_size=4",
            "kernel_size=3 at dilation=2 reaches over 5 positions",
        ),
        (
            "conv_transpose1d:input_size=4,output_padding=1",
            "output_padding=1 is smaller neither than stride=1 nor than dilation=1",
        ),
        ("conv_transpose1d:input_size=1,padding=2", "padding=2 leaves nothing of the output"),
    ],
)
def test_parameters_that_make_no_layer_are_refused(spec, message):
    with pytest.raises(BnstatsError, match=message):
        parse(spec)


def test_padding_in_the_interior_earns_a_hint():
    for spec in (
        "conv3d:padding=1",
        "conv_transpose2d:padding=0x1",
        "conv_transpose2d:output_padding=1",
    ):
        assert "input_size" in parse(spec).bound.hints[0]
    assert not parse("conv_transpose1d:input_size=4,padding=1").bound.hints

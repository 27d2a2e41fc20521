"""What torch, flax and keras draw for their layers, beside what bnstats says of their names.

The libraries' own layers are made again and again, with seeds. Their weights and biases are
compared with ours in law, and the variance of their y with our exact value.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import stats

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, BoundLayer
from bnstats.sampling.iid import iid_blocks
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.exact import exact_values

os.environ.setdefault("KERAS_BACKEND", "jax")

LAYERS_MADE = 60
INPUTS = 64  # to each of them, each with a dy


class Made(NamedTuple):
    """A library's layer: its weights and bias, and y = f(x) with the channels of x first."""

    weight: np.ndarray
    bias: np.ndarray
    f: Callable[[Any], Any]


# --- the libraries' layers ------------------------------------------------------------------------


def torch_layers(name: str, x: tuple[int, ...], *sizes: Any, **options: Any) -> Iterator[Made]:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    for _ in range(LAYERS_MADE):
        layer = getattr(torch.nn, name)(*sizes, dtype=torch.float64, **options)
        bias = np.zeros(1) if layer.bias is None else layer.bias.detach().numpy()

        def f(batch: np.ndarray, layer: Any = layer) -> np.ndarray:
            return layer(torch.tensor(batch)).detach().numpy()

        yield Made(layer.weight.detach().numpy(), bias, f)


def channels_last(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def g(batch: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.asarray(f(np.moveaxis(batch, 1, -1))), -1, 1)

    return g


def keras_layers(name: str, x: tuple[int, ...], *sizes: Any, **options: Any) -> Iterator[Made]:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(2)
    for _ in range(LAYERS_MADE):
        layer = getattr(keras.layers, name)(*sizes, **options)
        layer.build((None, *x[1:], x[0]))
        yield Made(np.asarray(layer.kernel), np.asarray(layer.bias), channels_last(layer))


def linen_layers(name: str, x: tuple[int, ...], *sizes: Any, **options: Any) -> Iterator[Made]:
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    for seed in range(LAYERS_MADE):
        layer = getattr(linen, name)(*sizes, **options)
        made = layer.init(jax.random.key(seed), np.zeros((1, *x[1:], x[0]), np.float32))

        def f(batch: np.ndarray, layer: Any = layer, made: Any = made) -> Any:
            return layer.apply(made, batch)

        held = made["params"]
        yield Made(np.asarray(held["kernel"]), np.asarray(held["bias"]), channels_last(f))


def nnx_layers(name: str, x: tuple[int, ...], *sizes: Any, **options: Any) -> Iterator[Made]:
    nnx = pytest.importorskip("flax.nnx")
    for seed in range(LAYERS_MADE):
        layer = getattr(nnx, name)(*sizes, rngs=nnx.Rngs(seed), **options)
        kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
        yield Made(kernel, bias, channels_last(layer))


# What we write, the shape of x (channels first), and the library's layer of the same sizes. The
# names that stand for several layers of ours go by their aliases.
CASES: dict[str, tuple[tuple[int, ...], Callable[[tuple[int, ...]], Iterator[Made]]]] = {
    "torch.nn.Linear:in_features=10,out_features=5": (
        (10,),
        lambda x: torch_layers("Linear", x, 10, 5),
    ),
    "torch.nn.Linear:in_features=3,out_features=8,bias=false": (
        (3,),
        lambda x: torch_layers("Linear", x, 3, 8, bias=False),
    ),
    "torch.nn.Conv1d:in_channels=4,out_channels=6,kernel_size=3,groups=2,input_size=5": (
        (4, 5),
        lambda x: torch_layers("Conv1d", x, 4, 6, 3, groups=2),
    ),
    "torch.nn.Conv1d:in_channels=2,out_channels=3,kernel_size=4,padding=same,input_size=5": (
        (2, 5),
        lambda x: torch_layers("Conv1d", x, 2, 3, 4, padding="same"),
    ),
    "torch.nn.Conv2d:in_channels=3,out_channels=4,kernel_size=3,padding=1,input_size=4": (
        (3, 4, 4),
        lambda x: torch_layers("Conv2d", x, 3, 4, 3, padding=1),
    ),
    "torch.nn.Conv3d:in_channels=2,out_channels=3,kernel_size=2,input_size=3": (
        (2, 3, 3, 3),
        lambda x: torch_layers("Conv3d", x, 2, 3, 2),
    ),
    "torch.nn.ConvTranspose1d:in_channels=2,out_channels=6,kernel_size=3,stride=2,input_size=3": (
        (2, 3),
        lambda x: torch_layers("ConvTranspose1d", x, 2, 6, 3, stride=2),
    ),
    "torch.nn.ConvTranspose2d:in_channels=4,out_channels=6,kernel_size=2,groups=2,input_size=3": (
        (4, 3, 3),
        lambda x: torch_layers("ConvTranspose2d", x, 4, 6, 2, groups=2),
    ),
    "torch.nn.ConvTranspose3d:in_channels=2,out_channels=5,kernel_size=2,input_size=2": (
        (2, 2, 2, 2),
        lambda x: torch_layers("ConvTranspose3d", x, 2, 5, 2),
    ),
    "keras.layers.Dense:in_features=10,out_features=5": (
        (10,),
        lambda x: keras_layers("Dense", x, 5),
    ),
    "keras.Conv1D:in_channels=4,out_channels=6,kernel_size=3,groups=2,input_size=5": (
        (4, 5),
        lambda x: keras_layers("Conv1D", x, 6, 3, groups=2),
    ),
    "keras.Conv2D:in_channels=2,out_channels=5,kernel_size=3,stride=2,padding=same,input_size=5": (
        (2, 5, 5),
        lambda x: keras_layers("Conv2D", x, 5, 3, strides=2, padding="same"),
    ),
    "keras.Conv3D:in_channels=2,out_channels=3,kernel_size=2,input_size=3": (
        (2, 3, 3, 3),
        lambda x: keras_layers("Conv3D", x, 3, 2),
    ),
    "keras.Conv1DTranspose:in_channels=2,out_channels=6,kernel_size=3,stride=2,input_size=3": (
        (2, 3),
        lambda x: keras_layers("Conv1DTranspose", x, 6, 3, 2),
    ),
    "keras.Conv2DTranspose:in_channels=4,out_channels=3,kernel_size=2,input_size=3": (
        (4, 3, 3),
        lambda x: keras_layers("Conv2DTranspose", x, 3, 2),
    ),
    "keras.Conv3DTranspose:in_channels=2,out_channels=5,kernel_size=2,input_size=2": (
        (2, 2, 2, 2),
        lambda x: keras_layers("Conv3DTranspose", x, 5, 2),
    ),
    "flax.linen.Dense:in_features=10,out_features=5": (
        (10,),
        lambda x: linen_layers("Dense", x, 5),
    ),
    "flax.nnx.Linear:in_features=3,out_features=8": ((3,), lambda x: nnx_layers("Linear", x, 3, 8)),
    "flax.Conv1d:in_channels=4,out_channels=6,kernel_size=4,groups=2,input_size=5": (
        (4, 5),
        lambda x: linen_layers("Conv", x, 6, (4,), feature_group_count=2),
    ),
    "flax.Conv2d:in_channels=2,out_channels=5,kernel_size=3,input_size=4": (
        (2, 4, 4),
        lambda x: nnx_layers("Conv", x, 2, 5, (3, 3)),
    ),
    "flax.Conv3d:in_channels=2,out_channels=3,kernel_size=2,stride=2,input_size=3": (
        (2, 3, 3, 3),
        lambda x: linen_layers("Conv", x, 3, (2, 2, 2), strides=2),
    ),
    "flax.ConvTranspose1d:in_channels=2,out_channels=6,kernel_size=3,input_size=4": (
        (2, 4),
        lambda x: linen_layers("ConvTranspose", x, 6, (3,), padding="VALID"),
    ),
    "flax.ConvTranspose2d:in_channels=4,out_channels=3,kernel_size=2,input_size=3": (
        (4, 3, 3),
        lambda x: nnx_layers("ConvTranspose", x, 4, 3, (2, 2), padding="VALID"),
    ),
    "flax.ConvTranspose3d:in_channels=2,out_channels=5,kernel_size=2,input_size=2": (
        (2, 2, 2, 2),
        lambda x: linen_layers("ConvTranspose", x, 5, (2, 2, 2), padding="VALID"),
    ),
}
every_case = pytest.mark.parametrize("text", CASES)


def test_every_library_has_a_case_of_each_weighted_layer() -> None:
    weighted = {
        name
        for name, layer in LAYERS.items()
        if {"bias", "init"} <= {p.name for p in layer.parameters}
    }
    for library in ("torch", "keras", "flax"):
        tried = {parse(text).layer.name for text in CASES if text.startswith(library)}
        assert tried == weighted, library


def drawn(bound: BoundLayer, n: int) -> dict[str, np.ndarray]:
    blocks = iid_blocks(Spec("any", LAYERS["linear"], bound), Sampling(seed=3), Chunk(0, 0, n))
    parts = [{k: v.copy() for k, v in block.draws.items()} for block in blocks]
    return {k: np.concatenate([p[k] for p in parts], axis=-1) for k in parts[0]}


def our_weights(text: str, n: int) -> np.ndarray:
    """Return weights as a layer uses them: of one window, y of one-hot inputs less y of none."""
    name, _, items = text.partition(":")
    kept = [
        i
        for i in items.split(",")
        if i.partition("=")[0] not in ("input_size", "stride", "padding")
    ]
    spec = parse(f"{name}:{','.join(kept)}")
    items_of = dict(i.split("=") for i in kept)
    if "kernel_size" in items_of:
        one = "1" if "Transpose" in name else items_of["kernel_size"]
        spec = parse(f"{name}:{','.join([*kept, f'input_size={one}', 'padding=0'])}")
    bound = spec.bound
    draws = drawn(bound, n)
    at_zero = bound.forward(numpy_backend, draws | {"x": np.zeros_like(draws["x"])})[0]
    columns = []
    for position in np.ndindex(bound.inputs["x"].shape):
        x = np.zeros_like(draws["x"])
        x[position] = 1.0
        columns.append(bound.forward(numpy_backend, draws | {"x": x})[0] - at_zero)
    return np.stack(columns)


@every_case
def test_weights_and_biases_have_the_librarys_law(text: str) -> None:
    shape, make = CASES[text]
    made = list(make(shape))
    theirs = np.concatenate([m.weight.ravel() for m in made])
    ours = our_weights(text, 300).ravel()
    ours = ours[np.abs(ours) > 1e-12]  # across groups there are none
    assert abs(np.mean(theirs)) < 5 * np.std(theirs) / math.sqrt(theirs.size)
    # the variance, the kurtosis and the ends tell laws of one shape apart, and shapes of one σ
    for power in (2, 4):
        a, b = theirs**power, ours**power
        error = math.hypot(np.std(a) / math.sqrt(a.size), np.std(b) / math.sqrt(b.size))
        assert abs(np.mean(a) - np.mean(b)) < 5 * error, power
    assert np.max(np.abs(theirs)) == pytest.approx(np.max(np.abs(ours)), rel=0.05)
    assert stats.ks_2samp(theirs, ours).pvalue > 1e-5
    bias = np.concatenate([m.bias.ravel() for m in made])
    bound = parse(text).bound
    if "bias" not in bound.inputs:
        assert not np.any(bias)
        return
    draws = drawn(bound, 300)
    at_zero = bound.forward(numpy_backend, draws | {"x": np.zeros_like(draws["x"])})[0]
    mine = at_zero.reshape(at_zero.shape[0], -1, 300)[:, 0].ravel()  # one position of each channel
    assert stats.ks_2samp(bias, mine).pvalue > 1e-5
    assert np.std(bias) == pytest.approx(np.std(mine), rel=0.15)


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@every_case
def test_the_librarys_layers_have_our_exact_sigma(text: str) -> None:
    """One layer with its own weights and bias is one unit; its inputs are not independent."""
    shape, make = CASES[text]
    exact = exact_values(parse(text).bound, STANDARD)
    rng = np.random.default_rng(5)
    squares, means = [], []
    for made in make(shape):
        y = np.asarray(made.f(rng.normal(size=(INPUTS, *shape)).astype(made.weight.dtype)), float)
        assert y[0].shape == parse(text).bound.inputs["dy"].shape
        squares.append(np.mean(y**2))
        means.append(np.mean(y))
    for values, value in ((squares, exact["var_y"].value), (means, 0.0)):
        error = np.std(values, ddof=1) / math.sqrt(LAYERS_MADE)
        assert error < 0.1
        assert abs(np.mean(values) - value) < 4.5 * error


# --- closed forms, by hand ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "std_y", "std_dx"),
    [
        ("torch.nn.Linear:in_features=100,out_features=50,bias=false", 1 / 3, 50 / 300),
        ("torch.nn.Linear:in_features=100,out_features=50", 1 / 3 + 1 / 300, 50 / 300),
        ("keras.layers.Dense:in_features=100,out_features=50", 200 / 150, 100 / 150),
        ("flax.linen.Dense:in_features=100,out_features=50", 1.0, 0.5),
        ("linear:init=torch,in_features=100,out_features=50", 1 / 3, 50 / 300),
        ("linear:init=torch,bias=true,in_features=100,out_features=50", 101 / 300, 50 / 300),
        ("linear:init=kaiming_uniform,a=sqrt(5),in_features=100,out_features=50", 1 / 3, 1 / 6),
        ("linear:init=kaiming_normal,a=0.2,in_features=10,out_features=10", 2 / 1.04, 2 / 1.04),
        ("linear:init=xavier_normal,gain=5/3,in_features=8,out_features=8", 25 / 9, 25 / 9),
    ],
)
def test_variances_by_hand(text: str, std_y: float, std_dx: float) -> None:
    exact = exact_values(parse(text).bound, STANDARD)
    assert exact["std_y"].value == pytest.approx(math.sqrt(std_y), rel=1e-14)
    assert exact["std_dx"].value == pytest.approx(math.sqrt(std_dx), rel=1e-14)


@pytest.mark.parametrize("name", ["kaiming_normal", "kaiming_uniform"])
@pytest.mark.parametrize("a", [0.01, 0.5, math.sqrt(5)])
def test_the_gain_of_a_slope_is_torchs(name: str, a: float) -> None:
    torch = pytest.importorskip("torch")
    gain = torch.nn.init.calculate_gain("leaky_relu", a)
    by_slope, by_gain = (
        exact_values(parse(f"linear:init={name},{given}").bound, STANDARD)["std_y"].value
        for given in (f"a={a!r}", f"gain={gain!r}")
    )
    assert by_slope == pytest.approx(by_gain, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linear:bias=true", "init=unit_fan_out is one of weights alone; bias=true needs init="),
        ("conv1d:bias=true,init=he_normal", "init=he_normal is one of weights alone"),
        ("linear:init=torch,gain=2", "gain has no effect with init=torch"),
        ("linear:init=keras,mode=fan_out", "mode has no effect with init=keras"),
        ("linear:init=he_normal,a=1", "a has no effect with init=he_normal"),
        ("linear:init=kaiming_normal,a=1,gain=2", "a stands for gain=sqrt(2/(1+a^2))"),
    ],
)
def test_what_has_no_effect_is_refused(text: str, message: str) -> None:
    with pytest.raises(BnstatsError) as caught:
        parse(text)
    assert message in caught.value.message


def test_padding_by_the_word_is_that_of_the_map() -> None:
    """⌈n/stride⌉ windows; torch's twin with the odd position of padding after the map."""
    for n, k, s in ((5, 4, 1), (5, 3, 2), (6, 3, 2), (7, 2, 3)):
        bound = parse(f"conv1d:kernel_size={k},stride={s},padding=same,input_size={n}").bound
        assert bound.inputs["dy"].shape == (2, -(-n // s))
    x, w = np.arange(1.0, 6), np.array([1.0, 10, 100, 1000])
    given = {"x": x[None, :, None], "weight": w[None, None, :, None]}
    bound = parse(
        "conv1d:kernel_size=4,padding=same,input_size=5,in_channels=1,out_channels=1,"
        "init=kaiming_normal,gain=2"
    ).bound
    y = bound.forward(numpy_backend, given)[0][0, :, 0]
    padded = np.concatenate([[0.0], x, [0.0, 0.0]])
    np.testing.assert_allclose(y, [padded[i : i + 4] @ w for i in range(5)])
    assert parse("conv2d:padding=same").bound.hints == ()

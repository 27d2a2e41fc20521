"""What torch, jax, flax and keras call a layer is a spec; what is no layer here says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnstats.custom import load_typed
from bnstats.errors import BnstatsError
from bnstats.layers import ALIASES, LAYERS, Layer
from bnstats.specs import libraries
from bnstats.specs.libraries import PARAMETERS, meaning
from bnstats.specs.names import resolve, split
from bnstats.specs.spec import example_specs, parse, value_text

DATA = json.loads(Path(libraries.__file__).with_name(libraries.FILE).read_text("utf-8"))


def refusal(text: str) -> tuple[str, str | None]:
    with pytest.raises(BnstatsError) as caught:
        parse(text, load_typed)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ReLU", "relu"),
        ("SiLU", "silu"),
        ("Linear:in_features=9,out_features=4", "linear:bias=true,in_features=9,init=torch"),
        ("BatchNorm1d:batch_size=8", "batch_norm:batch_size=8"),
        ("torch.nn.SiLU", "silu"),
        ("nn.SiLU", "silu"),
        ("torch.SiLU", "silu"),
        ("torch.nn.functional.silu", "silu"),
        ("jax.nn.silu", "silu"),
        ("jax.nn.gelu", "gelu:approximate=tanh"),
        ("flax.linen.gelu", "gelu:approximate=tanh"),
        ("torch.nn.functional.gelu", "gelu"),
        ("GELU:approximate=tanh", "gelu:approximate=tanh"),
        ("keras.Dense:in_features=4,out_features=4", "linear:bias=true,init=keras"),
        (
            "keras.layers.Dense:in_features=4,out_features=4,bias=false",
            "linear:init=keras",
        ),
        ("F.linear:in_features=4,out_features=4,init=torch", "linear:init=torch"),
        (
            "Conv2d:in_channels=2,out_channels=2,kernel_size=3,padding=same",
            "conv2d:bias=true,init=torch,padding=same",
        ),
        (
            "flax.Conv1d:in_channels=2,out_channels=2,kernel_size=3",
            "conv1d:bias=true,init=flax,padding=same",
        ),
        ("keras.MaxPool2D", "max_pool2d:kernel_size=2"),
        ("keras.layers.MaxPool2D:kernel_size=3", "max_pool2d:kernel_size=3"),
        ("LayerNormalization:normalized_shape=64", "layer_norm:eps=0.001"),
        ("LayerNorm:normalized_shape=64", "layer_norm"),
        ("flax.nnx.LayerNorm:normalized_shape=8", "layer_norm:eps=1e-06,normalized_shape=8"),
        ("PReLU", "prelu"),
        ("flax.PReLU", "prelu:weight=0.01"),
        ("F.silu", "silu"),
        ("F.leaky_relu:negative_slope=0.2", "leaky_relu:negative_slope=0.2"),
        ("nn.functional.gelu", "gelu"),
        ("nn.gelu", "gelu:approximate=tanh"),
        ("nn.Dense:in_features=4,out_features=4", "linear:bias=true,init=flax"),
        ("linen.gelu", "gelu:approximate=tanh"),
        ("tf.nn.relu", "keras_relu"),
        ("tf.nn.silu", "silu"),
        ("tf.nn.swish", "silu"),
        ("tf.nn.gelu", "gelu"),
        ("tf.nn.leaky_relu", "leaky_relu:negative_slope=0.2"),  # tensorflow's default is keras'
        ("tf.keras.layers.ReLU", "keras_relu"),
        ("tf.keras.layers.MaxPool2D", "max_pool2d:kernel_size=2"),
        ("tf.keras.activations.gelu", "gelu"),
    ],
)
def test_a_librarys_own_name_is_a_spec(text: str, canonical: str) -> None:
    assert parse(text).text == canonical
    assert parse(text, load_typed).text == canonical


def with_sizes(text: str, layer: Layer, given: set[str]) -> str:
    """Return the spec with what a name leaves open: the layer's own defaults."""
    left = [p for p in layer.parameters if p.assumed and p.name not in given]
    items = ",".join(f"{p.name}={value_text(p.default)}" for p in left)
    return f"{text}{',' if ':' in text else ':'}{items}" if left else text


def test_every_public_name_resolves_to_the_layer_with_the_librarys_defaults() -> None:
    for layer, by_library in DATA["layers"].items():
        for library, names in by_library.items():
            for name, carried in names.items():
                path = f"{library}.{name}"
                found = meaning(path)
                assert found is not None, path
                assert (found.path, found.reason) == (path, "")
                assert (layer, carried) in found.layers
                if len(found.layers) == 1:
                    assert resolve(path) == (LAYERS[layer], carried)
                    assert split(f"{path}:a=1") == (path, resolve(path))
                    example = example_specs(LAYERS[layer])[0].partition(":")[2]
                    given = {i.partition("=")[0] for i in f"{carried},{example}".split(",") if i}
                    if all(p.name in given for p in LAYERS[layer].parameters if p.required):
                        keys = {i.partition("=")[0] for i in carried.split(",")}
                        more = [i for i in example.split(",") if i.partition("=")[0] not in keys]
                        text = ":".join(filter(None, (path, ",".join(more))))
                        sized = with_sizes(text, LAYERS[layer], {*keys, *given})
                        assert parse(sized).layer is LAYERS[layer]
                        if sized != text:
                            message, hint = refusal(text)
                            assert message.startswith(f"{path} needs ")
                            assert hint == f"e.g. {sized}  (bnstats show {layer})"


IMPORTED = {
    "torch.nn.functional": "F",
    "torch.nn": "nn",
    "jax.nn": "nn",
    "flax.linen": "nn",
    "keras.layers": "tf.keras.layers",
    "keras.activations": "tf.nn",
}


def test_a_name_as_imported_is_the_full_one_or_refused_where_libraries_differ() -> None:
    full = {
        f"{library}.{name}"
        for by_library in DATA["layers"].values()
        for library, names in by_library.items()
        for name in names
    }
    meant: dict[str, set[str]] = {}
    for path in full:
        space, _, last = path.rpartition(".")
        if space in IMPORTED:
            meant.setdefault(f"{IMPORTED[space]}.{last}", set()).add(path)
    assert len(meant) > 200
    for short, paths in meant.items():
        layers = {meaning(path).layers for path in paths}  # type: ignore[union-attr]
        found = meaning(short)
        assert found is not None
        assert {found.path, *found.others} <= paths
        assert found.layers in layers
        assert bool(found.others) == (len(layers) > 1), short
        if len(layers) > 1 or len(found.layers) > 1:
            assert resolve(short) is None
        else:
            assert resolve(short) == resolve(found.path)


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("keras.layers.MaxPool2D:pool_size=2", "kernel_size"),
        ("keras.layers.MaxPool2D:strides=2", "stride"),
        ("keras.layers.Dense:units=3", "out_features"),
        ("flax.linen.Dense:features=3", "out_features"),
        ("flax.Conv2d:features=3", "out_channels"),
        ("keras.layers.Dense:use_bias=false", "bias"),
        ("keras.layers.Conv2D:filters=3", "out_channels"),
        ("keras.layers.Conv2D:dilation_rate=3", "dilation"),
        ("keras.layers.Dropout:rate=0.1", "p"),
        ("keras.layers.LayerNormalization:epsilon=0.1", "eps"),
        ("relu:strides=2", ""),
    ],
)
def test_another_librarys_word_for_a_parameter_is_told_in_ours(text: str, ours: str) -> None:
    _, hint = refusal(text)
    assert hint is not None
    if ours:
        assert hint.startswith(f"did you mean '{ours}'?  parameters: ")
    else:
        assert "did you mean" not in hint


def test_the_other_libraries_words_are_for_parameters_that_exist() -> None:
    ours = {p.name for layer in LAYERS.values() for p in layer.parameters}
    assert {word for words in PARAMETERS.values() for word in words} <= ours


def test_every_name_that_is_left_out_says_why() -> None:
    assert len(DATA["left_out"]) > 10
    for reason, by_library in DATA["left_out"].items():
        for library, names in by_library.items():
            for name in names:
                assert refusal(f"{library}.{name}") == (
                    f"{library}.{name} is no layer here ({reason})",
                    "bnstats list layers",
                )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "TransformerEncoder",
            "torch.nn.TransformerEncoder is no layer here "
            "(projections and masks around scaled_dot_product_attention, which is covered)",
            "bnstats list layers",
        ),
        (
            "keras.layers.Embedding",
            "keras.layers.Embedding is no layer here (integers in: no x to differentiate by)",
            "bnstats list layers",
        ),
        (  # torch's, although flax' function of this name is standardize
            "functional.normalize",
            "functional.normalize needs n",
            "e.g. functional.normalize:n=64  (bnstats show unit_normalization)",
        ),
        (
            "flax.linen.Conv:kernel_size=3",
            "flax.linen.Conv is several layers here",
            "name one: flax.Conv1d or flax.Conv2d or flax.Conv3d",
        ),
        (
            "nn.PReLU",  # 0.25 and 0.01
            "nn.PReLU is not the same in torch.nn.PReLU and flax.linen.PReLU",
            "name one: torch.nn.PReLU or flax.linen.PReLU",
        ),
        (
            "nn.LayerNorm:normalized_shape=3",
            "nn.LayerNorm is not the same in torch.nn.LayerNorm and flax.linen.LayerNorm",
            "name one: torch.nn.LayerNorm or flax.linen.LayerNorm",
        ),
        (
            "F.kl_div",
            "torch.nn.functional.kl_div is no layer here "
            "(a loss of sets of labels, triplets, sequences or distributions, for which there is "
            "no usual law)",
            "bnstats list layers",
        ),
        (
            "tf.keras.layers.Dens",
            "unknown layer 'tf.keras.layers.Dens'",
            "did you mean 'keras.layers.Dense'?  (bnstats list layers)",
        ),
        (
            "keras.Dens",
            "unknown layer 'keras.Dens'",
            "did you mean 'keras.layers.Dense'?  (bnstats list layers)",
        ),
        (
            "jax.nn.sillu",
            "unknown layer 'jax.nn.sillu'",
            "did you mean 'jax.nn.silu'?  (bnstats list layers)",
        ),
        (
            "ConvTranpose2d",
            "unknown layer 'ConvTranpose2d'",
            "did you mean 'ConvTranspose2d'?  (bnstats list layers)",
        ),
        (
            "torch.nn.Foobarq",
            "unknown layer 'torch.nn.Foobarq'",
            "code is named with a colon: torch.nn:Foobarq",
        ),
        (
            "acts.soft_step",
            "unknown layer 'acts.soft_step'",
            "code is named with a colon: acts:soft_step",
        ),
        ("torch", "unknown layer 'torch'", "bnstats list layers"),
        (
            "torch.nn.Linear(9, 4)",
            "unknown layer 'torch.nn.Linear(9, 4)'",
            "parameters follow a colon: torch.nn.Linear:in_features=…,out_features=…  "
            "(bnstats show torch.nn.Linear)",
        ),
        (
            "torch.nn.LayerNorm(64)",
            "unknown layer 'torch.nn.LayerNorm(64)'",
            "parameters follow a colon: torch.nn.LayerNorm:normalized_shape=…  "
            "(bnstats show torch.nn.LayerNorm)",
        ),
        (
            "nn.LeakyReLU(0.2)",
            "unknown layer 'nn.LeakyReLU(0.2)'",
            "parameters follow a colon: nn.LeakyReLU:KEY=VALUE  (bnstats show nn.LeakyReLU)",
        ),
    ],
)
def test_what_is_no_layer_says_so(text: str, message: str, hint: str) -> None:
    assert refusal(text) == (message, hint)


def test_bnstats_own_names_read_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_names() -> None:
        raise AssertionError("the names were read")

    monkeypatch.setattr(libraries, "_data", read_names)
    libraries._meanings.cache_clear()
    for name in (*LAYERS, *ALIASES):
        assert resolve(name) is not None
    with pytest.raises(AssertionError, match="the names were read"):
        resolve("ReLU")

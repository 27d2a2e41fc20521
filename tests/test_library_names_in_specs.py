"""What torch, jax, flax and keras call a layer is a spec; what is no layer here says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnstats import libraries
from bnstats.custom import read
from bnstats.errors import BnstatsError
from bnstats.layers import ALIASES, LAYERS
from bnstats.libraries import meaning
from bnstats.spec import example_specs, layer_name, parse, resolve

DATA = json.loads(Path(libraries.__file__).with_name(libraries.FILE).read_text("utf-8"))


def refusal(text: str) -> tuple[str, str | None]:
    with pytest.raises(BnstatsError) as caught:
        read(text)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ReLU", "relu"),
        ("SiLU", "silu"),
        ("Linear", "linear"),
        ("BatchNorm1d", "batch_norm"),
        ("torch.nn.SiLU", "silu"),
        ("nn.SiLU", "silu"),
        ("torch.SiLU", "silu"),
        ("torch.nn.functional.silu", "silu"),
        ("jax.nn.silu", "silu"),
        ("jax.nn.gelu", "gelu:approximate=tanh"),
        ("flax.linen.gelu", "gelu:approximate=tanh"),
        ("torch.nn.functional.gelu", "gelu"),
        ("GELU:approximate=tanh", "gelu:approximate=tanh"),
        ("keras.Dense", "linear"),
        ("keras.layers.Dense", "linear"),
        ("keras.MaxPool2D", "max_pool2d:kernel_size=2"),
        ("keras.layers.MaxPool2D:kernel_size=3", "max_pool2d:kernel_size=3"),
        ("LayerNormalization", "layer_norm:eps=0.001"),
        ("LayerNorm", "layer_norm"),
        ("flax.nnx.LayerNorm", "layer_norm:eps=1e-06"),
        ("PReLU", "prelu"),
        ("flax.PReLU", "prelu:weight=0.01"),
    ],
)
def test_a_librarys_own_name_is_a_spec(text: str, canonical: str) -> None:
    assert parse(text).text == canonical
    assert read(text).text == canonical


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
                    assert layer_name(f"{path}:a=1") == path
                    example = example_specs(LAYERS[layer])[0].partition(":")[2]
                    given = {i.partition("=")[0] for i in f"{carried},{example}".split(",") if i}
                    if all(p.name in given for p in LAYERS[layer].parameters if p.required):
                        text = path if carried or not example else f"{path}:{example}"
                        assert parse(text).layer is LAYERS[layer]


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
            "LSTM",
            "torch.nn.LSTM is no layer here "
            "(recurrent: the law of x at one step depends on the steps before)",
            "bnstats list layers",
        ),
        (
            "keras.layers.Embedding",
            "keras.layers.Embedding is no layer here (integers in: no x to differentiate by)",
            "bnstats list layers",
        ),
        (  # torch's, although flax' function of this name is standardize
            "normalize",
            "torch.nn.functional.normalize is no layer here "
            "(a layer with statistics of its own that bnstats does not cover yet)",
            "bnstats list layers",
        ),
        (
            "flax.linen.Conv:kernel_size=3",
            "flax.linen.Conv is several layers here",
            "name one: conv1d or conv2d or conv3d",
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

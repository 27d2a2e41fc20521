"""Names and defaults are those of the libraries they come from, asked of the libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnstats.backends import numpy_backend
from bnstats.layers import ALIASES, LAYERS
from bnstats.spec import Spec, parse

POINTS = np.concatenate([np.linspace(-31.7, 31.3, 127), np.random.default_rng(4).normal(size=60)])


def torch_functions() -> tuple[Any, Callable[[Any], Any]]:
    torch = pytest.importorskip("torch")
    return torch.nn.functional, torch.tensor


def jax_functions() -> tuple[Any, Callable[[Any], Any]]:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax.nn, jax.numpy.asarray


def keras_functions() -> tuple[Any, Callable[[Any], Any]]:
    keras = pytest.importorskip("keras")
    return keras.activations, keras.ops.convert_to_tensor


def value(spec: Spec) -> Any:
    with np.errstate(all="ignore"):
        return spec.event.forward(numpy_backend, {"x": POINTS})[0]


def specs_of(library: str) -> dict[str, Spec]:
    """Return what stands for each function of a library, by its name there."""
    alone = (k for k, layer in LAYERS.items() if not any(p.required for p in layer.parameters))
    bare = {name: name for name in (*alone, *ALIASES) if "." not in name}
    own = {name.removeprefix(f"{library}."): name for name in ALIASES if name.startswith(library)}
    specs = {name: parse(spec) for name, spec in (bare | own).items()}
    return {k: s for k, s in specs.items() if set(s.event.inputs) == {"x", "dy"}}


@pytest.mark.parametrize(
    ("library", "functions", "tolerance", "at_least"),
    [
        ("torch", torch_functions, 1e-12, 20),
        ("jax", jax_functions, 1e-12, 22),
        ("keras", keras_functions, 1e-5, 27),  # Keras casts to float32
    ],
)
def test_a_name_stands_for_what_its_library_computes_by_default(
    library, functions, tolerance, at_least
):
    module, array = functions()
    specs = {k: s for k, s in specs_of(library).items() if callable(getattr(module, k, None))}
    specs.pop("prelu", None)  # torch's takes a weight; its module's default is tested below
    compared = []
    for name, spec in specs.items():
        function = getattr(module, name)
        if isinstance(function, type):
            continue
        y = np.asarray(function(array(POINTS)))
        np.testing.assert_allclose(value(spec), y, rtol=tolerance, atol=tolerance, err_msg=name)
        compared.append(name)
    assert len(compared) >= at_least, compared


def default(spec: str, parameter: str) -> Any:
    name, _, carried = spec.partition(":")
    name, carried = ALIASES.get(name, (name, carried))
    if carried:
        return float(dict(item.split("=") for item in carried.split(","))[parameter])
    return next(p.default for p in LAYERS[name].parameters if p.name == parameter)


def test_initial_values_of_torch_modules():
    nn = pytest.importorskip("torch").nn
    assert default("prelu", "weight") == nn.PReLU().weight.item()
    assert default("rrelu", "lower") == nn.RReLU().lower
    assert default("rrelu", "upper") == nn.RReLU().upper


def test_initial_values_of_keras_layers():
    layers = pytest.importorskip("keras").layers
    assert default("keras.LeakyReLU", "negative_slope") == layers.LeakyReLU().negative_slope
    prelu = layers.PReLU()
    prelu.build((None, 1))
    assert default("keras.PReLU", "weight") == float(np.asarray(prelu.alpha)[0])

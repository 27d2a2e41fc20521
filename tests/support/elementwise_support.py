"""The registered activations, each with the parameters that its oracle is tried with."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracles_elementwise as oracles
import pytest

from bnstats.backends import numpy_backend
from bnstats.layers import LAYERS, Layer
from bnstats.specs.spec import example_specs, parse


def is_elementwise(layer: Layer) -> bool:
    try:
        inputs = parse(example_specs(layer)[0]).bound.inputs
    except TypeError:  # a layer whose defaults do not bind: let its own tests say so
        return True
    return set(inputs) == {"x", "dy"} and all(i.shape == () for i in inputs.values())


NAMES = sorted(name for name, layer in LAYERS.items() if is_elementwise(layer))
CASES = [
    pytest.param(name, params, id=":".join([name, *(f"{k}={v}" for k, v in params.items())]))
    for name in NAMES
    if name in oracles.ELEMENTWISE
    for params in oracles.ELEMENTWISE[name].cases
]


def event_of(name: str, params: dict[str, Any]) -> Any:
    return LAYERS[name].bind(**params)


def value_and_slope(name: str, params: dict[str, Any], x: Any) -> tuple[Any, Any]:
    """Return y and dx at dy = 1."""
    x = np.asarray(x)
    with np.errstate(all="ignore"):
        y, backward = event_of(name, params).forward(numpy_backend, {"x": x})
        return y, backward(np.ones_like(x))

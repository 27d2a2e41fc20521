"""Initial values of other libraries' layers, which no signature tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnstats.layers import ALIASES, LAYERS


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

"""Default parameters: those of other libraries' layers, which no signature tells, and our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.layers import ALIASES, LAYERS
from bnstats.specs.spec import parse

RESULTS = Path(__file__).parents[2] / "results"


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


def test_a_name_means_what_it_meant_when_the_table_was_made() -> None:
    """A default that is changed gives a published name another value, and is no oversight."""
    rows = read_constants(RESULTS / CONSTANTS)["results"]
    assert LAYERS.keys() <= {parse(row["layer"]).layer.name for row in rows}
    for row in rows:
        assert parse(row["layer"]).parameters() == row["parameters"], row["layer"]

"""Layers of a few numbers by hand: resized, unpooled, bilinear, with noise."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import through

from bnstats.layers import STANDARD, Known, Law
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def stated(spec: str, law: Law = STANDARD) -> dict[str, Known]:
    return parse(spec).bound.moments(law, Expectation(law)).stated


def test_two_aligned_positions_are_the_ends() -> None:
    spec = "upsample1d:size={},input_size=5,mode={},align_corners=true"
    x = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    for mode in ("linear", "cubic"):
        bound = parse(spec.format(2, mode)).bound
        y, dx = through(bound, {"x": x, "dy": np.array([[3.0], [5.0]])})
        assert y[:, 0].tolist() == [1, 16]
        assert dx[:, 0].tolist() == [3, 0, 0, 0, 5]
        y = through(parse(spec.format(1, mode)).bound, {"x": x, "dy": np.ones((1, 1))})[0]
        assert y[:, 0].tolist() == [1]


def test_an_unpooled_pair_has_half_the_square_of_its_number() -> None:
    """The mean of y² is x²/2, whose variance is 2·σ⁴/4."""
    assert stated("max_unpool1d:kernel_size=2", Law(0.0, 2.0, 1.0))["var_ms_y"].value == 8
    assert "var_ms_y" not in stated("max_unpool1d:kernel_size=1", Law(0.0, 2.0, 1.0))


def test_a_bilinear_layer_without_biases_by_hand() -> None:
    """Two products of weights U(±1/√2), of variance 1/6, and of inputs of mean square 4."""
    spec = "bilinear:in1_features=2,in2_features=1,out_features=1,bias="
    law = Law(0.0, 2.0, 1.0)
    assert stated(f"{spec}false", law)["var_y"].value == pytest.approx(16 / 3, rel=1e-14)
    assert stated(f"{spec}true", law)["var_y"].value == pytest.approx(16 / 3 + 1 / 6, rel=1e-14)


@pytest.mark.parametrize("spec", ["gaussian_dropout:rate=0.5", "gaussian_noise:stddev=2"])
def test_noise_leaves_the_mean_slope(spec: str) -> None:
    assert stated(spec, Law(0.5, 1.0, 3.0))["mean_slope"] == Known(1.0)

"""Weighted layers draw by draw: weights that all draws share, biases, and the fans told of."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import draws_of, through

from bnstats.backends import numpy_backend
from bnstats.specs.spec import parse


@pytest.mark.parametrize(
    "spec",
    [
        "linear:in_features=3,out_features=2",
        "conv1d:in_channels=2,out_channels=4,groups=2,input_size=7,padding=1,dilation=2",
        "conv2d:in_channels=4,out_channels=6,groups=2,input_size=5x4,kernel_size=3x2,stride=2,"
        "padding=1",
        "conv3d:in_channels=1,out_channels=2,kernel_size=2x1x2,input_size=3,stride=1x2x1",
        "conv_transpose2d:in_channels=4,out_channels=2,groups=2,input_size=3x2,stride=2,padding=1",
        "conv_transpose1d:in_channels=2,out_channels=3,input_size=3,kernel_size=2",
    ],
)
def test_a_batch_by_shared_weights_is_each_draw_by_itself(spec: str) -> None:
    bound = parse(spec).bound
    draws = draws_of(bound, 5)
    one = draws["weight"][..., 2:3]
    y, dx = through(bound, draws | {"weight": one})
    for i in range(5):
        alone = {"x": draws["x"][..., i : i + 1], "dy": draws["dy"][..., i : i + 1], "weight": one}
        its_y, its_dx = through(bound, alone)
        np.testing.assert_allclose(y[..., i], its_y[..., 0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dx[..., i], its_dx[..., 0], rtol=1e-12, atol=1e-14)
    assert np.ptp(y, axis=-1).min() > 0


def test_two_draws_share_the_matrix_that_units_show() -> None:
    bound = parse("linear:in_features=2,out_features=3,init=truncated_normal").bound
    weight = draws_of(bound, 1)["weight"]
    units = {"x": np.eye(2), "dy": np.zeros((3, 2)), "weight": weight}
    w = bound.forward(numpy_backend, units)[0]
    assert w.shape == (3, 2)
    x, dy = np.array([[1.0, -2.0], [0.5, 4.0]]), np.array([[1.0, 0.0], [2.0, 1.0], [-1.0, 3.0]])
    y, dx = through(bound, {"x": x, "dy": dy, "weight": weight})
    np.testing.assert_allclose(y, w @ x, rtol=1e-14)
    np.testing.assert_allclose(dx, w.T @ dy, rtol=1e-14)


@pytest.mark.parametrize("spec", ["linear:in_features=4", "conv2d:in_channels=1,kernel_size=2"])
def test_a_bias_is_added(spec: str) -> None:
    """Of torch, U(±1/2) of 4 inputs to each output: 0.75 of the way from −1/2 is 1/4."""
    bound = parse(f"{spec},bias=true,init=torch").bound
    draws = draws_of(bound, 2)
    draws |= {"x": np.zeros_like(draws["x"]), "bias": np.full(draws["bias"].shape, 0.75)}
    draws["bias"][0] = 0.0
    y = through(bound, draws)[0]
    np.testing.assert_allclose(y[0], -0.5, rtol=1e-15)
    np.testing.assert_allclose(y[1:], 0.25, rtol=1e-15)


@pytest.mark.parametrize(
    ("spec", "fans"),
    [
        # of one group what everyone takes them to be
        ("conv2d:in_channels=4,out_channels=6,init=he_normal", None),
        ("conv2d:in_channels=4,out_channels=6,groups=2,init=he_normal", "6x2x3x3|in 18, out 54"),
        ("conv_transpose2d:in_channels=4,out_channels=6,init=he_normal", "4x6x3x3|in 54, out 36"),
        ("conv2d:in_channels=4,out_channels=6,groups=2,init=unit_fan_in", None),
    ],
)
def test_fans_are_told_where_they_may_surprise(spec: str, fans: str | None) -> None:
    hints = " ".join(parse(spec).bound.hints)
    assert ("fans of the weight" in hints) == (fans is not None)
    assert all(text in hints for text in (fans or "").split("|"))

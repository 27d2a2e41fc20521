"""Depthwise and separable convolutions: beside keras' layers, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracles_depthwise as oracles
import pytest
from layer_support import draws_of, exact_of, spec_of, through
from scipy import stats

from bnstats.layers import Law
from bnstats.specs.spec import parse

every_case = pytest.mark.parametrize(
    ("name", "params"),
    [(name, params) for name, cases in oracles.COVERS.items() for params in cases],
)


def uniform_numbers(made: Any, name: str) -> np.ndarray:
    """Return the numbers in (0, 1) of which our layer makes the weights that keras has drawn."""
    found = []
    for kernel in oracles.kernels(made):
        rows = len(kernel) if kernel.ndim == 2 and name.startswith("separable") else None
        if rows:  # (out, in·multiplier)
            fans = kernel.shape[0] + kernel.shape[1]
        else:
            fans = np.prod(kernel.shape[2:]) * (kernel.shape[0] + kernel.shape[1])
        bound = np.sqrt(6 / fans)
        assert np.max(np.abs(kernel)) <= bound
        found.append((kernel / bound + 1) / 2)
    return np.concatenate([part.reshape(-1) for part in found])


@every_case
def test_both_passes_are_those_of_keras(name: str, params: dict[str, Any]) -> None:
    made = oracles.layer(name, **params)
    bound = parse(spec_of(name, params)).bound
    draws = draws_of(bound, 1, seed=3)
    draws["weight"] = uniform_numbers(made, name).reshape(draws["weight"].shape)
    y, dx = through(bound, draws)
    true = oracles.passes(made, draws["x"][..., 0], draws["dy"][..., 0])
    np.testing.assert_allclose(y[..., 0], true[0], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(dx[..., 0], true[1], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["depthwise_conv2d", "separable_conv2d"])
def test_keras_draws_its_weights_so(name: str) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(5)
    params = oracles.COVERS[name][1]
    numbers = np.stack([uniform_numbers(oracles.layer(name, **params), name) for _ in range(20)])
    assert stats.kstest(numbers.reshape(-1), "uniform").pvalue > 1e-5


def test_variances_by_hand() -> None:
    """Of 9 taps with fans 9·(3 + 2); then of 6 products with fans 6 + 4, and 4 outputs back."""
    law = Law(0.5, 1.0, 2.0)
    deep = exact_of("depthwise_conv2d:in_channels=3,depth_multiplier=2", law)
    weight = 2 / 45
    assert deep["var_y"].value == pytest.approx(9 * weight * 1.25)
    assert deep["var_dx"].value == pytest.approx(2 * 9 * weight * 4)
    both = exact_of("separable_conv2d:in_channels=3,depth_multiplier=2,out_channels=4", law)
    assert both["var_y"].value == pytest.approx(6 * (2 / 10) * 9 * weight * 1.25)
    assert both["var_dx"].value == pytest.approx(4 * (2 / 10) * 2 * 9 * weight * 4)

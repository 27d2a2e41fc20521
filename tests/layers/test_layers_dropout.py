"""Dropout and its relatives: forward, backward, shared masks and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracles_dropout as oracles
import pytest
from layer_support import draws_of, laws, spec_of, through

from bnstats.api import compute
from bnstats.layers import LAYERS, STANDARD, BoundLayer, Expect, Law
from bnstats.specs.spec import parse
from bnstats.statistics.exact import exact_values

every_case = pytest.mark.parametrize(
    ("name", "params"),
    [
        pytest.param(name, params, id=spec_of(name, params))
        for name, cases in oracles.COVERS.items()
        for params in cases
    ],
)


def moments_of(bound: BoundLayer, law: Law) -> dict[str, float]:
    def expect(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a closed form needs no quadrature")

    typed: Expect = expect
    return {k: v.value for k, v in bound.moments(law, typed).stated.items()}


def test_every_layer_of_the_family_is_tested():
    family = {name for name, layer in LAYERS.items() if layer.family == "dropout"}
    assert family == set(oracles.COVERS) == set(oracles.NOISY)


@laws
@every_case
def test_moments_equal_enumeration(name, params, law):
    bound = LAYERS[name].bind(**params)
    true = oracles.moments(name, *law, **params)
    single = math.prod(bound.inputs["x"].shape) == 1
    # fourth moments belong to a single element only
    expected = true if single else {k: v for k, v in true.items() if not k.startswith("m4")}
    scale = {"mean_y": math.sqrt(true["var_y"])}
    found = moments_of(bound, law)
    # what a layer does in a stack has oracles of its own, in tests/statistics
    assert set(found) - {"cov_xy", "drift", "mean_slope"} == set(expected)
    for key, value in expected.items():
        slack = 1e-12 * scale.get(key, abs(value))
        assert found[key] == pytest.approx(value, rel=1e-12, abs=slack), key


@every_case
def test_forward_equals_the_scalar_definition(name, params):
    bound = LAYERS[name].bind(**params)
    draws = draws_of(bound, n=20)
    y = through(bound, draws)[0]
    for *element, n in np.ndindex(y.shape):
        noise = (
            draws["noise"][n]
            if "noise" in draws
            else float(draws["mask"][n] < 1 - params.get("p", 0.5))
        )
        expected = oracles.NOISY[name].value(draws["x"][(*element, n)], noise, **params)
        assert y[(*element, n)] == pytest.approx(expected, rel=1e-13, abs=1e-13)


TORCH = {
    "dropout": {},
    "dropout1d": {"input_size": 5},
    "dropout2d": {"input_size": (3, 2)},
    "dropout3d": {"input_size": (2, 3, 2)},
    "alpha_dropout": {},
    "feature_alpha_dropout": {"elements": 5},
}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", TORCH)
def test_equals_torch_under_torchs_own_mask(name, p):
    bound = LAYERS[name].bind(p=p, **TORCH[name])
    draws = draws_of(bound, n=200)
    y, dx, kept = oracles.torch_dropout(name, draws["x"], draws["dy"], p)
    kept = kept.reshape(-1, 200)
    assert np.all(kept == kept[0])  # torch's elements of one channel share a mask
    assert abs(kept[0].mean() - (1 - p)) <= 5 * math.sqrt(p * (1 - p) / 200)
    draws["mask"] = np.where(kept[0], 0.0, 0.999999)
    ours = through(bound, draws)
    np.testing.assert_allclose(ours[0], y, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(ours[1], dx, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("scaling", "scale_by_keep"), [("inverted", True), ("none", False)])
def test_drop_path_equals_timms_loop(scaling, scale_by_keep):
    bound = LAYERS["drop_path"].bind(p=0.3, elements=3, scaling=scaling)
    draws = draws_of(bound, n=100)
    kept = draws["mask"] < 0.7
    assert 0 < kept.sum() < 100
    for source, found in zip(("x", "dy"), through(bound, draws), strict=True):
        expected = oracles.timm_drop_path(draws[source], kept, 0.3, scale_by_keep)
        np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.99])
def test_a_mask_keeps_a_share_of_one_minus_p(p):
    bound = LAYERS["dropout"].bind(p=p)
    draws = draws_of(bound, n=2000)
    kept = through(bound, draws)[1] != 0
    np.testing.assert_array_equal(kept, draws["mask"] < 1 - p)
    assert abs(kept.mean() - (1 - p)) <= 5 * math.sqrt(p * (1 - p) / 2000)


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 0.999])
def test_alpha_dropout_keeps_the_standard_normals_mean_and_variance(name, p):
    found = moments_of(LAYERS[name].bind(p=p), STANDARD)
    assert found["mean_y"] == 0
    assert found["var_y"] == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_gaussian_dropout_has_the_first_two_moments_of_dropout(rate):
    gaussian = moments_of(LAYERS["gaussian_dropout"].bind(rate=rate), Law(0.7, 1.3, 2.0))
    dropout = moments_of(LAYERS["dropout"].bind(p=rate), Law(0.7, 1.3, 2.0))
    for key in ("mean_y", "var_y", "ms_dx"):
        assert gaussian[key] == pytest.approx(dropout[key], rel=1e-14)
    assert gaussian["m4_dx"] != pytest.approx(dropout["m4_dx"], rel=0.1)


@pytest.mark.parametrize(
    ("spec", "elements", "p", "c"),
    [
        ("dropout2d:input_size=4", 16, 0.5, 2.0),
        ("drop_path:elements=8,p=0.3", 8, 0.3, 1 / 0.7),
        ("feature_alpha_dropout:elements=8,p=0", 8, 0.0, 1.0),
    ],
)
def test_a_shared_mask_shows_in_the_standard_error(spec, elements, p, c):
    # over the event, the mean of dx² is c²·m·χ²_K/K, and its mean square c⁴·(1 − p)·(1 + 2/K)
    result = compute(spec, samples=100_000, seed=1, workers=1)
    ms = c**2 * (1 - p)
    spread = math.sqrt(c**4 * (1 - p) * (1 + 2 / elements) - ms**2) / (2 * math.sqrt(ms))
    assert result.std_dx.stderr == pytest.approx(spread / math.sqrt(100_000), rel=0.02)


@pytest.mark.parametrize("spec", ["dropout1d:input_size=1", "gaussian_noise:stddev=1"])
def test_a_single_element_has_a_spread_and_a_shared_mask_has_none(spec):
    assert exact_values(parse(spec).bound, STANDARD)["std_y"].asymptotic_std is not None
    assert exact_values(parse("dropout1d").bound, STANDARD)["std_y"].asymptotic_std is None


def test_keras_names_are_the_same_layers():
    for sides in (1, 2, 3):
        assert parse(f"spatial_dropout{sides}d:p=0.1").text == f"dropout{sides}d:p=0.1"
    assert parse("stochastic_depth:p=0.1").text == "drop_path:p=0.1"

"""Layers whose elements depend on each other: softmax and kin, gated units, normalisation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import oracles_axis as oracles
import oracles_outputs
import pytest
from cli_support import Outcome
from layer_support import exact_of, laws, spec_of
from mpmath import mp, mpf

from bnstats.api import compute, exact
from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, Law
from bnstats.sampling.run import run
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimator
from bnstats.statistics.exact import Exact, exact_values
from bnstats.statistics.quadrature import Expectation

FAMILIES = ("gated", "normalization", "softmax")
NAMES = sorted(
    name
    for name, layer in LAYERS.items()
    if layer.family in FAMILIES and name not in oracles_outputs.COVERS
)
DRAWS = 48
CASES = [
    pytest.param(name, params, id=spec_of(name, params))
    for name, oracle in oracles.AXIS.items()
    for params in oracle.cases
]
every_case = pytest.mark.parametrize(("name", "params"), CASES)


def drawn(spec: str, law: Law = STANDARD, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    inputs = parse(spec).bound.inputs
    rng = np.random.default_rng(seed)
    x = law.x_mean + law.x_std * rng.normal(size=(*inputs["x"].shape, DRAWS))
    return x, law.dy_std * rng.normal(size=(*inputs["dy"].shape, DRAWS))


def through(spec: str, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, backward = parse(spec).bound.forward(numpy_backend, {"x": x, "dy": dy})
    return y, backward(dy)


def check(known: Exact, true: Any, slack: float = 1e-12) -> None:
    """Assert that a value lies within its error bound, and that the bound is tight."""
    true = float(true)
    assert abs(known.value - true) <= known.error + 4e-16 * abs(true), (known, true)
    assert known.error <= slack * max(abs(true), 1e-3), known


# --- forward and backward ---------------------------------------------------------------------


def test_every_layer_has_an_oracle_and_every_parameter_a_case():
    assert set(NAMES) == set(oracles.AXIS)
    for name in NAMES:
        for p in LAYERS[name].parameters:
            cases = oracles.AXIS[name].cases
            assert any(c.get(p.name, p.default) != p.default for c in cases), f"{name}: {p.name}"


ELSEWHERE = [
    (*case.values, library)
    for case in CASES
    for library in ("torch", "jax")
    if getattr(oracles.AXIS[case.values[0]], library) is not None
]


@pytest.mark.parametrize(("name", "params", "library"), ELSEWHERE)
def test_value_and_gradient_equal_autodiff(name, params, library):
    x, dy = drawn(spec_of(name, params), Law(0.7, 1.3, 2.0))
    autodiff = getattr(oracles, f"{library}_value_and_gradient")
    y, dx = autodiff(name, x, dy, params)
    ours = through(spec_of(name, params), x, dy)
    assert ours[0].shape == y.shape
    np.testing.assert_allclose(ours[0], y, rtol=1e-12, atol=1e-14 * np.abs(y).max())
    # dx cancels where a row has hardly any spread: its rounding is that of 1/σ of the row
    scale = np.abs(dx).max(axis=tuple(range(dx.ndim - 1)), initial=np.abs(dy).max())
    assert np.all(np.abs(ours[1] - dx) <= 2e-12 * scale)


@pytest.mark.parametrize("spec", ["softmax", "softmin", "log_softmax", "sparsemax", "swiglu"])
def test_large_inputs_stay_finite(spec):
    x, dy = drawn(spec, Law(0, 300, 1))
    y, dx = through(spec, x, dy)
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    if "max" in spec and "log" not in spec:
        np.testing.assert_allclose(y.sum(0), 1, rtol=1e-14)


def test_log_softmax_keeps_its_digits_near_zero():
    rows = [[30.0, 0.0, -3.0], [0.0, 40.0, 0.0], [5.0, 5.0, -60.0], [0.1, 0.2, 0.3]]
    y = through("log_softmax:n=3", np.array(rows).T, np.ones((3, 4)))[0]
    with mp.workdps(60):
        for row, ours in zip(rows, y.T, strict=True):
            total = mp.log(mp.fsum(mp.exp(mpf(v)) for v in row))
            true = [float(mpf(v) - total) for v in row]
            np.testing.assert_allclose(ours, true, rtol=1e-15)


def test_sizes_that_make_no_layer():
    with pytest.raises(BnstatsError, match="num_channels=6 is not a multiple of num_groups=4"):
        parse("group_norm:num_groups=4,num_channels=6")
    with pytest.raises(BnstatsError, match="a group of one element"):
        parse("group_norm:num_groups=4,num_channels=4,input_size=1")
    for spec in ("softmax:n=1", "layer_norm:normalized_shape=1", "layer_norm:eps=-1"):
        with pytest.raises(BnstatsError, match="outside"):
            parse(spec)


# --- exact values -----------------------------------------------------------------------------


@laws
@pytest.mark.parametrize("spec", oracles.GATES)
def test_gated_units(spec, law):
    true = oracles.gated_moments(spec, law.x_mean, law.x_std)
    exact = exact_of(spec, law)
    check(exact["mean_y"], true["mean_y"])
    check(exact["var_y"], true["var_y"])
    check(exact["var_dx"], law.dy_std**2 * true["ms_dx"])
    spread = mp.sqrt(true["m4_y"] - true["var_y"] ** 2)
    assert exact["var_y"].asymptotic_std == pytest.approx(float(spread), rel=1e-11)
    spread = law.dy_std**2 * mp.sqrt(true["square_dx"] - true["ms_dx"] ** 2)
    assert exact["var_dx"].asymptotic_std == pytest.approx(float(spread), rel=1e-9)


@laws
def test_concatenated_relu(law):
    exact = exact_of("crelu", law)
    mean, var = oracles.crelu_moments(law.x_mean, law.x_std)
    check(exact["mean_y"], mean)
    check(exact["var_y"], var)
    check(exact["var_dx"], law.dy_std**2)
    assert exact["var_dx"].asymptotic_std == pytest.approx(math.sqrt(2) * law.dy_std**2)


@laws
def test_maxout_is_max_pooling(law):
    pooled, exact = exact_of("max_pool1d:kernel_size=4", law), exact_of("maxout:k=4", law)
    assert exact == pooled
    check(exact["var_dx"], law.dy_std**2 / 4)


@laws
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_softmax_of_few(name, n, law):
    true = {2: oracles.softmax_pair, 3: oracles.softmax_triple}[n](law.x_std)
    log = "log_" * (name == "log_softmax")
    exact = exact_of(f"{name}:n={n}", law)
    check(exact["mean_y"], true["log_mean"] if log else 1 / n)
    check(exact["var_y"], true[f"{log}var"])
    check(exact["var_dx"], law.dy_std**2 * true[f"{log}ms_dx"])


@pytest.mark.parametrize("std", [1e-12, 1e-6, 1e-4, 1e-3, 0.03, 1.9])
def test_softmax_of_narrow_inputs(std):
    true, law = oracles.softmax_pair(std), Law(0.0, std, 1.0)
    softmax, log_softmax = exact_of("softmax:n=2", law), exact_of("log_softmax:n=2", law)
    check(softmax["gain_y"], 1 / mp.sqrt(true["var"]))
    check(softmax["var_dx"], true["ms_dx"])
    check(log_softmax["mean_y"], true["log_mean"])
    check(log_softmax["gain_y"], 1 / mp.sqrt(true["log_var"]), 1e-6)  # π²/6 has cancelled
    check(log_softmax["var_dx"], true["log_ms_dx"])


@pytest.mark.parametrize("spec", ["softmax", "softmax:n=2", "log_softmax"])
@pytest.mark.parametrize("std", [5.0, 24.0])
def test_softmax_of_wide_inputs(spec, std):
    law = Law(0.0, std, 1.0)
    exact = exact_of(spec, law)
    assert all(exact[name].error <= 1e-12 * exact[name].value for name in ("std_y", "std_dx"))
    sampled = compute(spec, samples=40_000, law=law, seed=3).quantities
    assert abs(sampled["std_y"].z) < 4.5
    assert abs(sampled["std_dx"].z) < 4.5


def test_softmax_of_very_many_is_that_of_the_central_limit():
    # E[log of the mean of n e^x] = std²/2 − v/(2n) + O(1/n²), v = e^(std²) − 1
    n, std = 1_000_000, 0.5
    known = exact_of(f"log_softmax:n={n}", Law(0.0, std, 1.0))["mean_y"]
    true = -math.log(n) - std**2 / 2 + math.expm1(std**2) / (2 * n)
    assert abs(known.value - true) <= known.error + 1e-12 < 2e-12


@laws
def test_sparsemax_of_two(law):
    exact = exact_of("sparsemax:n=2", law)
    var, ms_dx = oracles.sparsemax_pair(law.x_std)
    check(exact["mean_y"], 0.5)
    check(exact["var_y"], var)
    check(exact["var_dx"], law.dy_std**2 * ms_dx)


NORMS = [
    ("layer_norm:normalized_shape=2", 2, 1e-5, True),
    ("layer_norm:normalized_shape=3", 3, 1e-5, True),
    ("layer_norm:normalized_shape=8", 8, 1e-5, True),
    ("layer_norm:eps=0.5", 64, 0.5, True),
    ("layer_norm:eps=0,normalized_shape=5", 5, 0.0, True),
    ("batch_norm:batch_size=9", 9, 1e-5, True),
    ("group_norm:num_groups=16", 32, 1e-5, True),
    ("instance_norm:input_size=4", 4, 1e-5, True),
    ("standardize:epsilon=0.1,n=6", 6, 0.1, True),
    ("rms_norm:normalized_shape=12", 12, 2.0**-52, False),
    ("rms_norm:normalized_shape=1", 1, 2.0**-52, False),
    ("rms_norm:eps=0.3,normalized_shape=2", 2, 0.3, False),
    ("rms_norm:eps=0,normalized_shape=3", 3, 0.0, False),
]


@laws
@pytest.mark.parametrize(("spec", "n", "eps", "centred"), NORMS, ids=[n[0] for n in NORMS])
def test_normalization(spec, n, eps, centred, law):
    exact = exact_of(spec, law)
    mean, ms, ms_dx = oracles.normalization_moments(n, eps, law.x_mean, law.x_std, centred=centred)
    check(exact["mean_y"], mean)
    check(exact["rms_y"], mp.sqrt(ms))
    check(exact["var_y"], ms - mean**2, float(1e-13 * ms / (ms - mean**2)))
    check(exact["var_dx"], law.dy_std**2 * ms_dx)


@laws
@pytest.mark.parametrize(("spec", "n", "eps", "centred"), NORMS, ids=[n[0] for n in NORMS])
def test_the_spread_of_a_normalised_gradient(spec, n, eps, centred, law):
    exact = exact_of(spec, law)
    if eps == 0:  # 4 and 3 dimensions: E[1/v²] diverges
        assert exact["std_dx"].asymptotic_std is None
        assert parse(spec).bound.heavy_tailed == ("dx",)
        return
    inputs = n, eps, law.x_mean, law.x_std
    square = oracles.normalization_square(*inputs, centred=centred)
    ms = oracles.normalization_moments(*inputs, centred=centred)[2]
    var = law.dy_std**2 * mp.sqrt(square - ms**2)
    assert exact["var_dx"].asymptotic_std == pytest.approx(float(var), rel=1e-9)
    sigma = law.dy_std * mp.sqrt(ms)
    assert exact["std_dx"].asymptotic_std == pytest.approx(float(var / (2 * sigma)), rel=1e-9)
    assert exact["gain_dx"].asymptotic_std == pytest.approx(float(var / (2 * sigma**3)), rel=1e-9)
    assert exact["mean_dx"].asymptotic_std is None
    assert parse(spec).bound.heavy_tailed == ()


@pytest.mark.parametrize("std", [0.01, 1.0, 1e4])
@pytest.mark.parametrize(("spec", "n", "eps", "centred"), NORMS, ids=[n[0] for n in NORMS])
def test_the_spread_of_a_normalised_mean_square(spec, n, eps, centred, std):
    exact = exact_of(spec, Law(0, std, 1))
    if exact["rms_y"].by == "constant" or not eps:
        assert exact["std_y"].asymptotic_std is None
        return
    spread = oracles.normalization_spread(n, eps, std, centred=centred)
    assert exact["std_y"].asymptotic_std == pytest.approx(
        float(mp.sqrt(spread) / 2 / exact["std_y"].value), rel=1e-6
    )
    assert exact["rms_y"].asymptotic_std == exact["std_y"].asymptotic_std


def test_a_mean_that_is_not_zero_leaves_the_spread_to_the_sample():
    assert exact_of("rms_norm:normalized_shape=3", Law(0.5))["std_y"].asymptotic_std is None


@pytest.mark.parametrize(
    ("spec", "heavy_tailed"),
    [
        ("layer_norm:eps=0,normalized_shape=2", False),  # dx is 0
        ("layer_norm:eps=0,normalized_shape=3", True),
        ("layer_norm:eps=0,normalized_shape=5", True),
        ("layer_norm:eps=1e-300,normalized_shape=5", True),
        ("layer_norm:eps=0,normalized_shape=6", False),
        ("rms_norm:eps=0,normalized_shape=4", True),
        ("rms_norm:eps=0,normalized_shape=5", False),
    ],
)
def test_gradients_without_a_fourth_moment_are_known(spec, heavy_tailed):
    assert parse(spec).bound.heavy_tailed == (("dx",) if heavy_tailed else ())


@pytest.mark.parametrize("std", [1e-50, 1e-9, 1e9, 1e50])
@pytest.mark.parametrize("n", [2, 3, 9])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_normalization_at_any_scale(name, n, std):
    exact = exact_of(f"{name}:eps=0.00001,normalized_shape={n}", Law(0, std, 1))
    _, ms, ms_dx = oracles.normalization_moments(n, 1e-5, 0, std, centred=name == "layer_norm")
    check(exact["gain_y"], 1 / mp.sqrt(ms))
    check(exact["gain_dx"], 1 / mp.sqrt(ms_dx))


def test_without_eps_the_gradient_of_three_has_no_variance():
    exact = exact_of("layer_norm:eps=0,normalized_shape=3")
    assert "var_dx" not in exact
    check(exact["var_y"], 1)


# --- quadrature on the line -------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(-60.0, 8.0), (-300.0, 200.0), (-30.0, 10.0)])
def test_the_integral_lies_within_its_bound(low, high):
    expect = Expectation(STANDARD)
    known = expect.integral(lambda xp, t: xp.exp(t - xp.exp(t)), low, high)
    assert abs(known.value - 1) <= known.error < 1e-12
    bell = expect.integral(lambda xp, t: xp.exp(-((t - 1) ** 2)), low, high)
    assert abs(bell.value - math.sqrt(math.pi)) <= bell.error < 1e-13


def test_an_integrand_with_a_kink_or_a_cut_tail_says_so():
    expect = Expectation(STANDARD)
    kinked = expect.integral(lambda xp, t: xp.exp(-xp.abs(t - 0.3)), -50.0, 50.0)
    assert 1e-9 < abs(kinked.value - 2) <= 4 * kinked.error
    cut = expect.integral(lambda xp, t: xp.exp(t - xp.exp(t)), -8.0, 10.0)
    assert cut.error > 1e-5


# --- sampling ---------------------------------------------------------------------------------


@laws
@pytest.mark.parametrize("spec", ["softmax:n=100", "log_softmax:n=30", "rms_norm:eps=0.2"])
def test_sampling_agrees_with_exact_values_of_long_rows(spec, law):
    result = compute(spec, samples=20_000, seed=21, law=law)
    for name in ("std_y", "std_dx"):
        assert abs(result.quantities[name].z) < 4.5, (name, result.quantities[name])


@pytest.mark.parametrize("spec", ["layer_norm:normalized_shape=8", "softmax", "log_softmax"])
def test_intervals_cover_although_elements_depend_on_each_other(spec):
    # As if every element were a draw, they would cover 80 % for layer_norm.
    replications, quantity = 400, "std_y" if spec == "log_softmax" else "std_dx"
    bound, true, hits = parse(spec), exact_of(spec)[quantity].value, 0
    for seed in range(replications):
        tally, _ = run(bound, Sampling(seed=seed), 1000)
        low, high = Estimator().estimates(tally)[quantity].interval
        hits += low <= true <= high
    spread = math.sqrt(replications * 0.95 * 0.05)
    assert abs(hits - 0.95 * replications) < 5 * spread


CONSTANT = {
    **dict.fromkeys(["softmax", "softmin", "sparsemax"], ("mean_y", "mean_dx")),
    **dict.fromkeys(
        ["layer_norm", "batch_norm", "group_norm", "instance_norm", "standardize"],
        ("mean_y", "mean_dx"),
    ),
    "log_softmax": ("mean_dx",),
}


SAMPLED = [(name, "iid") for name in NAMES]
SAMPLED += [(name, "sobol") for name in NAMES if parse(name).bound.numbers <= 32]  # to be quick


@pytest.mark.parametrize(("name", "sampler"), SAMPLED)
def test_a_mean_that_is_the_same_in_every_draw_errs_by_rounding(name, sampler):
    spec = "sparsemax:n=3" if name == "sparsemax" else name
    law = Law(0.7, 1.3, 2.0)
    result = compute(spec, samples=300, law=law, sampler=sampler, seed=2)
    for quantity in ("mean_y", "mean_dx"):
        estimate = result.quantities[quantity]
        if quantity in CONSTANT.get(name, ()):
            assert estimate.exact.by == "constant"
            assert 0 < estimate.stderr < 1e-13
            assert abs(estimate.z) < 1
        else:
            assert estimate.stderr > 1e-10


def test_a_constant_that_is_wrong_is_far_off():
    bound = parse("softmax:n=4").bound
    leaky = replace(bound, forward=lambda xp, d: (bound.forward(xp, d)[0] * (1 + 1e-11), None))
    spec = replace(parse("softmax:n=4"), bound=leaky)
    tally, _ = run(spec, Sampling(direction="forward"), 500)
    found = Estimator(exact_values(bound, STANDARD)).estimates(tally)["mean_y"]
    assert found.z > 500


def test_constants_of_rows_are_verified(tmp_path, cli: Callable[..., Outcome]):
    path = tmp_path / "rows.json"
    specs = ("softmax", "log_softmax", "layer_norm:normalized_shape=8", "sparsemax:n=3")
    specs += ("rms_norm:normalized_shape=8", "layer_norm:eps=0,normalized_shape=8")
    assert cli("compute", *specs, "-n", "20000", "--export", path).code == 0
    outcome = cli("verify", path, "-n", "20000")
    assert outcome.code == 0, outcome.out
    constants, verified = re.fullmatch(
        r"(\d+) constants of 6 layers: (\d+) verified\n", outcome.out
    ).groups()
    assert constants == verified


# --- what a user is told ----------------------------------------------------------------------


def test_a_layer_without_exact_values_says_why(cli: Callable[..., Outcome]):
    reason = "which outputs are positive depends on all n inputs"
    for command in ("exact", "show"):
        out = " ".join(cli(command, "sparsemax").out.split())
        assert re.search(rf"no exact σ\[y\], σ\[dx\], Var\[dx\][^:]*: {reason}", out)
        assert "no exact" not in cli(command, "sparsemax:n=2").out
        assert "no exact" not in cli(command, "softmax").out
    assert "no exact σ[y], σ[dx]" in cli("exact", "softmax", "--x-std", "25").out


@pytest.mark.parametrize(
    ("spec", "x_std", "is_said"),
    [
        ("rms_norm", 1.0, False),
        ("rms_norm", 0.2, False),
        ("rms_norm", 0.01, True),
        ("torch.nn.RMSNorm:normalized_shape=8", 0.01, True),
        ("rms_norm:eps=1e-6", 0.01, False),
        ("flax.linen.RMSNorm:normalized_shape=8", 0.01, False),
    ],
)
def test_the_eps_of_a_dtype_is_mentioned_where_it_matters(spec, x_std, is_said):
    """torch's default eps=None is the eps of the dtype: in float32, y and dx differ from ours."""
    for dtype in ("float64", "float32"):
        found = compute(spec, samples=500, law=Law(x_std=x_std), dtype=dtype)
        assert any("eps=1.1920929e-07 in float32" in w for w in found.warnings) == is_said
    torch = pytest.importorskip("torch")
    x = torch.randn(2000, 64, generator=torch.manual_seed(0)) * x_std
    y = torch.nn.RMSNorm(64)(x).std().item()
    ours = exact("rms_norm:eps=1.1920929e-07", law=Law(x_std=x_std)).std_y
    assert y == pytest.approx(ours.value, rel=1e-5)

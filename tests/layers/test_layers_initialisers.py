"""Initialisers as layers: moments by mpmath, laws by scipy, and what the libraries draw."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import oracles_initialisers as oracles
import pytest
from layer_support import LAWS, exact_of, spec_of
from scipy import stats

from bnstats.backends import numpy_backend
from bnstats.claims.values import parse_value
from bnstats.errors import BnstatsError
from bnstats.layers import STANDARD, Known
from bnstats.sampling.iid import iid_blocks
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation

TRUNCATED = [{}, {"corrected": True}, *oracles.COVERS["truncated_normal"]]
COMPLEX = [{}, {"corrected": True}, *oracles.COVERS["complex_truncated_normal"]]
JAX_COMPLEX = 0.95311164380491208  # what jax divides complex weights by


def drawn(spec: str, n: int, seed: int = 7) -> np.ndarray:
    """Return y, its draws on the last axis."""
    found = parse(spec)
    blocks = list(iid_blocks(found, Sampling(seed=seed), Chunk(0, 0, n)))
    parts = [found.bound.forward(numpy_backend, b.draws)[0].copy() for b in blocks]
    return np.concatenate(parts, axis=-1)


def stated(spec: str) -> dict[str, Known]:
    return parse(spec).bound.moments(STANDARD, Expectation(STANDARD)).stated


# --- moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [("truncated_normal", p) for p in TRUNCATED]
    + [("complex_truncated_normal", p) for p in COMPLEX],
    ids=str,
)
def test_moments_are_mpmaths_within_their_bounds(name: str, params: dict[str, Any]) -> None:
    real = name == "truncated_normal"
    low, high = params.get("lower", -2.0 if real else 0.0), params.get("upper", 2.0)
    mean, var, m3, m4 = oracles.moments(oracles.normal if real else oracles.modulus, low, high)
    scale = mpmath.mpf(params.get("std", 1.0))
    if params.get("corrected"):
        scale /= mpmath.sqrt(var if real else var + mean**2)
    found = stated(spec_of(name, params))
    wanted = {
        "mean_y": scale * mean,
        "var_y": scale**2 * var,
        "m3_y": scale**3 * m3,
        "m4_y": scale**4 * m4,
    }
    for key, value in wanted.items():
        known = found[key]
        # a sum of known numbers does not count its own rounding
        assert abs(known.value - value) <= known.error + 3e-16 * abs(value) + 1e-30, key
        assert known.error <= 2e-12 * max(abs(value), scale**2 * var), key


def test_the_constants_that_libraries_divide_by() -> None:
    real = exact_of("truncated_normal")["std_y"]
    assert abs(real.value - parse_value(".87962566103423978").value) < 2e-16
    by_hand = math.sqrt(1 - 4 * stats.norm.pdf(2) / (1 - 2 * stats.norm.sf(2)))
    assert real.value == pytest.approx(by_hand, abs=3e-16)
    # E|w|² = 1 − 4e⁻⁴/(1 − e⁻⁴); jax left out the division
    complex_ = exact_of("complex_truncated_normal")["rms_y"]
    e = math.exp(-4)
    assert complex_.value == pytest.approx(math.sqrt(1 - 4 * e / (1 - e)), abs=3e-16)
    assert math.sqrt(1 - e - 4 * e) == pytest.approx(JAX_COMPLEX, abs=1e-12)
    assert complex_.value / JAX_COMPLEX == pytest.approx(1.0093, abs=5e-5)


@pytest.mark.parametrize("corrected", [True, False])
def test_corrected_weights_have_the_sigma_that_was_asked_for(corrected: bool) -> None:
    for bounds in ("lower=-2,upper=2", "lower=-1,upper=3", "lower=7.9,upper=8"):
        spec = f"truncated_normal:std=0.02,{bounds},corrected={str(corrected).lower()}"
        std = exact_of(spec)["std_y"].value
        assert (std == pytest.approx(0.02, rel=1e-12)) == corrected


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_scaled_weights_have_the_variance_of_their_fan(mode: str, distribution: str) -> None:
    fan_in, fan_out = 3 * 25, 8 * 25
    fan = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": (fan_in + fan_out) / 2,
        "fan_geo_avg": (fan_in * fan_out) ** 0.5,
    }[mode]
    spec = (
        f"variance_scaling:scale=2,mode={mode},distribution={distribution},"
        "in_features=3,out_features=8,receptive_field=25"
    )
    assert exact_of(spec)["var_y"].value == pytest.approx(2 / fan, rel=1e-13)
    assert parse(spec).bound.hints == (f"fans: in {fan_in}, out {fan_out}",)
    found = stated(spec)
    kurtosis = found["m4_y"].value / found["var_y"].value ** 2
    law = {
        "normal": stats.norm,
        "uniform": stats.uniform,
        "truncated_normal": stats.truncnorm(-2, 2),
    }[distribution]
    assert kurtosis == pytest.approx(3 + float(law.stats(moments="k")), rel=1e-10)


def test_no_law_of_the_inputs_changes_a_weight() -> None:
    for spec in ("truncated_normal:lower=-1", "complex_truncated_normal", "orthogonal"):
        values = {tuple(e.value for e in exact_of(spec, law).values()) for law in LAWS}
        assert len(values) == 1
        assert exact_of(spec)["std_dx"].value == 0


# --- laws, beside scipy's and the libraries' ------------------------------------------------------


@pytest.mark.parametrize("params", TRUNCATED, ids=str)
def test_truncated_normals_have_scipys_law(params: dict[str, Any]) -> None:
    low, high = params.get("lower", -2.0), params.get("upper", 2.0)
    law = stats.truncnorm(low, high)
    scale = params.get("std", 1.0) / (law.std() if params.get("corrected") else 1.0)
    y = drawn(spec_of("truncated_normal", params), 20_000)
    assert low * scale * (1 - 1e-12) - 1e-12 <= np.min(y)
    assert np.max(y) <= high * scale + 1e-12
    assert stats.kstest(y / scale, law.cdf).pvalue > 1e-5


def test_moduli_have_the_law_that_jax_draws() -> None:
    theirs = oracles.jax_drawn(
        lambda i: i.variance_scaling(1.0, "fan_in", "truncated_normal", dtype="complex64"),
        (1, 40_000),
    )
    y = drawn("complex_truncated_normal", 40_000)
    modulus = np.abs(theirs).ravel() * JAX_COMPLEX
    assert np.max(modulus) <= 2.000001
    assert stats.ks_2samp(modulus, y).pvalue > 1e-5
    # their weights are as much too wide as the constant is wrong
    square = np.abs(theirs) ** 2
    error = np.std(square) / math.sqrt(square.size)
    wide = (exact_of("complex_truncated_normal")["rms_y"].value / JAX_COMPLEX) ** 2
    assert abs(np.mean(square) - wide) < 4.5 * error
    assert abs(np.mean(square) - 1) > 4.5 * error


@pytest.mark.parametrize(
    ("spec", "draw"),
    [
        (
            "jax.nn.initializers.truncated_normal",
            lambda n: oracles.jax_drawn(lambda i: i.truncated_normal(), (n,)),
        ),
        (
            "truncated_normal:std=2,lower=-1,upper=3",
            lambda n: oracles.jax_drawn(lambda i: i.truncated_normal(2.0, lower=-1, upper=3), (n,)),
        ),
        (
            "keras.initializers.TruncatedNormal",
            lambda n: oracles.keras_drawn("TruncatedNormal", (n,)),
        ),
        (  # torch's bounds are absolute
            "truncated_normal:std=0.5,lower=-4,upper=2",
            lambda n: oracles.torch_drawn("trunc_normal_", (n,), 0.0, 0.5, -2.0, 1.0),
        ),
        (
            "keras.initializers.VarianceScaling:in_features=200,out_features=100",
            lambda n: oracles.keras_drawn("VarianceScaling", (200, 100)).ravel(),
        ),
        (
            "keras.initializers.VarianceScaling:scale=2,mode=fan_out,distribution=untruncated_normal,"
            "in_features=200,out_features=100",
            lambda n: oracles.keras_drawn(
                "VarianceScaling",
                (200, 100),
                scale=2.0,
                mode="fan_out",
                distribution="untruncated_normal",
            ).ravel(),
        ),
        (
            "jax.nn.initializers.variance_scaling:mode=fan_geo_avg,distribution=uniform,"
            "in_features=20,out_features=100,receptive_field=9",
            lambda n: oracles.jax_drawn(
                lambda i: i.variance_scaling(1.0, "fan_geo_avg", "uniform"), (3, 3, 20, 100)
            ).ravel(),
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_the_libraries_draw_the_same_law(spec: str, draw: Any) -> None:
    theirs, exact = draw(20_000), exact_of(spec)
    assert stats.ks_2samp(theirs, drawn(spec, 20_000)).pvalue > 1e-5
    error = np.std(theirs) / math.sqrt(theirs.size)
    assert abs(np.mean(theirs) - exact["mean_y"].value) < 5 * error
    # no law here has a kurtosis above 3
    assert np.std(theirs) == pytest.approx(exact["std_y"].value, rel=5 / math.sqrt(2 * theirs.size))


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 7), (7, 3)])
def test_orthogonal_matrices_have_the_sigma_of_the_libraries(rows: int, columns: int) -> None:
    spec = f"orthogonal:in_features={columns},out_features={rows},gain=2"
    y = drawn(spec, 50)
    short = min(rows, columns)
    for n in range(50):
        q = y[..., n] if rows <= columns else y[..., n].T
        np.testing.assert_allclose(q @ q.T, 4 * np.eye(short), atol=1e-13)
    exact = exact_of(spec)["std_y"].value
    for theirs in (
        oracles.torch_drawn("orthogonal_", (rows, columns), 2.0),
        oracles.jax_drawn(lambda i: i.orthogonal(2.0), (columns, rows)),
        oracles.keras_drawn("Orthogonal", (columns, rows), gain=2.0),
    ):
        assert math.sqrt(np.mean(theirs**2)) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("kernel", [(3,), (3, 3), (2, 3, 1)])
def test_delta_orthogonal_kernels_are_jaxs(kernel: tuple[int, ...]) -> None:
    taps = math.prod(kernel)
    spec = f"delta_orthogonal:in_channels=3,out_channels=5,receptive_field={taps},gain=2"
    y = drawn(spec, 20)
    theirs = oracles.jax_drawn(lambda i: i.delta_orthogonal(2.0), (*kernel, 3, 5))
    assert exact_of(spec)["rms_y"].value == pytest.approx(math.sqrt(np.mean(theirs**2)), rel=1e-6)
    assert y.shape == (5, 3, taps, 20)
    assert np.count_nonzero(y) == np.count_nonzero(theirs) * 20
    middle = y[:, :, (taps - 1) // 2]
    np.testing.assert_allclose(
        np.einsum("oin,ojn->ijn", middle, middle)[..., 0], 4 * np.eye(3), atol=1e-13
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("truncated_normal:lower=2", "lower=2 is not below upper=2"),
        ("truncated_normal:lower=3,upper=1", "lower=3 is not below upper=1"),
        ("truncated_normal:upper=9", "upper=9 is outside [-8, 8]"),
        ("delta_orthogonal:in_channels=5", "in_channels=5 is more than out_channels=4"),
        ("jax.nn.initializers.orthogonal", "needs in_features and out_features"),
    ],
)
def test_what_is_no_initialiser_says_so(spec: str, message: str) -> None:
    with pytest.raises(BnstatsError) as caught:
        parse(spec)
    assert message in caught.value.message


def test_single_precision_stays_within_the_bounds() -> None:
    """Shares beside 1 round to it, whose quantile is infinite."""
    for bounds in ((-8.0, 8.0), (-7.0, 8.0), (-8.0, 7.5)):
        bound = parse(f"truncated_normal:lower={bounds[0]},upper={bounds[1]}").bound
        u = np.array([2.0**-33, 0.5, 1 - 2.0**-25, 1.0], np.float32)
        draws = {"x": np.zeros(4, np.float32), "weight": u}
        y = bound.forward(numpy_backend, draws)[0]
        assert np.all(np.isfinite(y))
        assert bounds[0] <= np.min(y) <= np.max(y) <= bounds[1]

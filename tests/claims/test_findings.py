"""What the audit found, by means that are not bnstats' own: simulations and other libraries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnstats.claims import Claim, claim_set
from bnstats.claims.verdict import Verdict
from bnstats.verification.solved import judged


def _claims(name: str, layer: str, quantity: str) -> list[Claim]:
    found = claim_set(name).claims
    return [c for c in found if (c.spec.text, c.quantity) == (layer, quantity)]


def _verdict(claim: Claim) -> Verdict:
    found = judged(claim).verdict
    assert found is not None
    return found


# --- jax: complex truncated normals ---------------------------------------------------------------


def test_the_constant_of_complex_truncated_normals_lacks_a_division() -> None:
    (claim,) = _claims("truncated-normal", "complex_truncated_normal", "rms_y")
    verdict = _verdict(claim)
    assert verdict.grade == "wrong"
    # A sampler that rejects, of complex normals with E|w|² = 1, those beyond 2.
    rng = np.random.default_rng(7)
    w = (rng.standard_normal(2_000_000) + 1j * rng.standard_normal(2_000_000)) * math.sqrt(0.5)
    kept = np.abs(w)[np.abs(w) < 2]
    square, error = np.mean(kept**2), np.std(kept**2) / math.sqrt(kept.size)
    assert abs(square - verdict.truth**2) < 4 * error
    assert abs(square - claim.printed.value**2) > 20 * error
    # What is printed is √∫|w|²p over |w| < 2, undivided by the probability to be there.
    undivided = math.sqrt(np.sum(kept**2) / w.size)
    assert undivided == pytest.approx(claim.printed.value, rel=2e-3)
    assert math.sqrt(1 - 5 * math.exp(-4)) == pytest.approx(claim.printed.value, rel=1e-12)


def test_complex_weights_of_jax_come_out_too_wide() -> None:
    jax = pytest.importorskip("jax", reason="its initialiser is the witness")
    draw = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
    w = np.asarray(draw(jax.random.key(3), (1000, 1000), np.complex64))
    square = np.abs(w) ** 2 * 1000  # of a variance that shall be 1
    error = np.std(square) / math.sqrt(square.size)
    (claim,) = _claims("truncated-normal", "complex_truncated_normal", "rms_y")
    wide = (_verdict(claim).truth / claim.printed.value) ** 2
    assert wide == pytest.approx(1.0186, abs=1e-4)  # 0.93 % in σ
    assert abs(np.mean(square) - wide) < 4 * error
    assert abs(np.mean(square) - 1) > 10 * error


# --- one draw of a million, copied ----------------------------------------------------------------


def _family(torch: Any) -> dict[tuple[str, str], Callable[[Any], Any]]:
    functional = torch.nn.functional
    return {
        ("e3nn", "silu"): functional.silu,
        ("equiformer-v2", "sigmoid"): torch.sigmoid,
        ("equiformer-v2", "smooth_leaky_relu"): lambda x: 0.2 * x + 0.8 * functional.silu(x),
        ("simpoly", "shifted_softplus"): lambda x: functional.softplus(x) - math.log(2),
    }


def test_a_family_of_constants_is_one_draw_of_seed_0() -> None:
    torch = pytest.importorskip("torch", reason="torch's generator drew the numbers")
    draws = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for (name, layer), function in _family(torch).items():
        again = function(draws).pow(2).mean().pow(-0.5).item()
        (claim,) = _claims(name, layer, "gain_rms_y")
        assert again == pytest.approx(claim.printed.value, rel=1e-14)
        verdict = _verdict(claim)
        assert verdict.grade == "last digits are noise"
        assert verdict.remark.endswith("within the error of its own 1,000,000 draws")
        # one sample: all of its errors are to one side
        assert verdict.relative_error is not None
        assert 0.0002 < verdict.relative_error < 0.0017


# --- factors of others ----------------------------------------------------------------------------


def test_the_backward_factor_of_tanh_is_squared_twice() -> None:
    (claim,) = _claims("hendrycks2016-back", "tanh", "var_dx")
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights /= weights.sum()
    square = weights @ np.cosh(nodes) ** -4.0  # E[f′²], f′ = 1/cosh²
    assert _verdict(claim).truth == pytest.approx(square, rel=1e-6)
    assert abs(square**2 - claim.printed.value) < 5e-4
    grades = {c.spec.text: _verdict(c).grade for c in claim_set("hendrycks2016-back").claims}
    right = {"relu": "reproduced", "leaky_relu": "reproduced"}
    assert grades == right | dict.fromkeys(("elu", "gelu", "tanh"), "wrong")


def test_one_fitted_number_stands_for_two_activations() -> None:
    gelu, silu = (_claims("unit-scaling-curves", name, "gain_y")[0] for name in ("gelu", "silu"))
    assert gelu.printed.value == silu.printed.value == pytest.approx(1.7668, abs=1e-4)
    truths = [_verdict(claim).truth for claim in (gelu, silu)]
    assert truths[1] / truths[0] > 1.05
    assert truths[0] < gelu.printed.value < truths[1]


def test_a_gain_is_kept_against_its_own_comment() -> None:
    commented, used = _claims("katago", "silu", "gain_rms_y")
    assert [_verdict(c).grade for c in (commented, used)] == ["reproduced", "wrong"]
    assert _verdict(used).relative_error == pytest.approx(-0.156, abs=1e-3)


def _edge(bias: float) -> tuple[float, float]:
    """Return σ_w and √q of tanh at the edge of chaos: q = σ_b² + E[f²]/E[f′²], by iteration."""
    z = np.linspace(-12, 12, 4001)
    weights = np.exp(-z * z / 2)
    weights /= weights.sum()
    q, before = 1.0, 0.0
    while abs(q - before) > 1e-14 * q:
        y = np.tanh(math.sqrt(q) * z)
        back = float(weights @ (1 - y**2) ** 2)
        q, before = bias**2 + float(weights @ y**2) / back, q
    return 1 / math.sqrt(back), math.sqrt(q)


def test_the_edge_of_chaos_as_a_system_of_two_equations() -> None:
    """The claims name one equation in χ; here are the two that it stands for."""
    found = [c for c in claim_set("edge-of-chaos").claims if c.spec.text == "tanh"]
    edges = {text: _edge(float(text)) for text in {_bias(c) for c in found}}
    for claim in found:
        verdict = _verdict(claim)
        wanted = edges[_bias(claim)][claim.quantity == "x_std"]
        assert verdict.truth == pytest.approx(wanted, rel=1e-9)
        assert verdict.outcome == ("reproduced" if claim.printed.text == "sqrt(0.5)" else "refuted")
        assert verdict.digits_right <= 3


def _bias(claim: Claim) -> str:
    return claim.remark.rpartition(" = ")[2]

"""Layers made of others: a factor and a shift, and one layer behind another."""

from __future__ import annotations

import json
import math
import re
import shlex

import numpy as np
import pytest
from layer_support import LAWS, draws_of, embedded, exact_of, laws, through
from mpmath import mp, mpf

from bnstats.api import exact
from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import STANDARD, Law
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation

# --- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("4*sigmoid", "4*sigmoid"),
        ("2*3*swish", "6*silu"),
        ("sqrt(4)*torch.nn.Tanh", "2*tanh"),
        ("1/2*leaky_relu:negative_slope=0.20", "0.5*leaky_relu:negative_slope=0.2"),
        ("1+relu", "1+relu"),
        ("-relu", "-1*relu"),
        ("2-relu", "2-relu"),
        ("1-(2+1)*relu", "1-3*relu"),
        ("-0.5+2*softplus:beta=2", "-0.5+2*softplus:beta=2"),
        ("1*relu", "relu"),
        ("0+relu", "relu"),
        ("relu..max_pool2d:stride=2,kernel_size=2", "relu..max_pool2d:kernel_size=2"),
        ("2*swish..1+maxout:k=2", "2*silu..1+maxout"),
        ("relu..tanh..softmax:n=3", "relu..tanh..softmax:n=3"),
    ],
)
def test_composed_specs_have_one_canonical_text(typed, text):
    assert parse(typed).text == text
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0*relu", "scaled by a finite number that is not 0"),
        ("1-1*0*relu", "scaled by a finite number that is not 0"),
        ("1e300*1e300*relu", "scaled by a finite number|unknown layer"),
        ("2**relu", "unknown layer"),
        ("1e-relu", "unknown layer"),
        ("2/relu", "unknown layer"),
        ("(2*relu", "unknown layer"),
        ("leaky-relu", "unknown layer"),
        ("2*nothing", "unknown layer 'nothing'"),
        ("relu..", "a chain lacks a layer"),
        ("..relu", "a chain lacks a layer"),
        ("softmax..softmax", "of two layers in a chain one is an activation"),
        ("rrelu..dropout", "of two layers in a chain one is an activation"),
    ],
)
def test_what_is_no_composed_layer(text, message):
    with pytest.raises(BnstatsError, match=message):
        parse(text)


@pytest.mark.parametrize("layer", ["-relu", "2*tanh", "-1.5*sparsemax", "relu"])
def test_the_command_that_is_named_can_be_typed(cli, tmp_path, layer):
    """A shell takes none of it for an option or a pattern of files."""
    claims = tmp_path / "a.csv"
    claims.write_text(f"layer,quantity,value\n{layer},std_dx,7.5\n")
    check = json.loads(cli("verify", claims, "-n", 2000, "--json").out)["results"][0]["checks"][0]
    assert check["outcome"] != "ok"
    assert not re.search(r"[*?\[]", re.sub("'.*?'", "", check["command"]))
    code, out, err = cli(*shlex.split(check["command"])[1:], "--json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["layer"] == parse(layer).text


def test_a_page_shows_a_composed_layer(cli):
    shown = cli("show", "4*sigmoid").out
    assert "4*sigmoid" in shown
    assert "bnstats compute 4*sigmoid" in shown
    assert "relu..maxout" in cli("show", "relu..maxout").out


# --- a factor and a shift -------------------------------------------------------------------------


@laws
@pytest.mark.parametrize("inner", ["tanh", "max_pool1d:kernel_size=3", "layer_norm", "rrelu"])
def test_every_exact_value_of_a_scaled_layer_follows_from_those_of_the_layer(inner, law):
    plain, found = exact_of(inner, law), exact_of(f"0.75-3*{inner}", law)
    powers = {"mean_y": None, "var_y": 9, "std_y": 3, "std_dx": 3, "ms_dx": 9, "var_dx": 9}
    assert {"mean_y", "std_y", "std_dx"} <= set(plain)
    for name, power in powers.items():
        if name in plain:
            true = 0.75 - 3 * plain[name].value if power is None else power * plain[name].value
            assert found[name].value == pytest.approx(true, rel=1e-13, abs=1e-14), name
            assert found[name].error >= 0


@laws
@pytest.mark.parametrize(("spec", "c", "d"), [("2-3*tanh", -3, 2), ("0.5*tanh", 0.5, 0)])
def test_stated_moments_of_a_scaled_activation_by_mpmath(spec, c, d, law):
    known = parse(spec).bound.moments(law, Expectation(law)).stated
    with mp.workdps(30):
        m, s, dy2 = mpf(law.x_mean), mpf(law.x_std), mpf(law.dy_std) ** 2

        def over(f):
            ends = [m + k * s for k in (-13, -5, -2, 0, 2, 5, 13)]
            return mp.quad(lambda x: f(x, c * mp.tanh(x) + d) * mp.npdf(x, m, s), ends)

        mean = over(lambda x, y: y)
        slopes = [over(lambda x, y, k=k: (c * mp.sech(x) ** 2) ** k) for k in (2, 4)]
        true = {
            "mean_y": mean,
            **{f"m{k}_y": over(lambda x, y, k=k: (y - mean) ** k) for k in (3, 4)},
            "var_y": over(lambda x, y: (y - mean) ** 2),
            "ms_dx": dy2 * slopes[0],
            "m4_dx": 3 * dy2**2 * slopes[1],
            "cov_xy": over(lambda x, y: (x - m) * y),
            "drift": over(lambda x, y: (((x - m) / s) ** 2 - 1) * y**2) / 2,
            "mean_slope": over(lambda x, y: c * mp.sech(x) ** 2),
        }
    assert set(known) == set(true)
    for name, value in true.items():
        assert known[name].value == pytest.approx(float(value), rel=1e-11, abs=1e-13), name


def test_stated_moments_of_scaled_rows_are_multiples():
    plain, found = (
        parse(spec).bound.moments(LAWS[0], Expectation(LAWS[0])).stated
        for spec in ("rms_norm:eps=0.3", "-3*rms_norm:eps=0.3")
    )
    assert set(plain) == set(found) > {"ms_y", "var_ms_y", "var_ms_dx"}
    for name, power in {"ms_y": 2, "var_ms_y": 4, "var_ms_dx": 4, "ms_dx": 2, "var_y": 2}.items():
        assert found[name].value == pytest.approx(3**power * plain[name].value, rel=1e-14), name
    shifted = parse("1-3*rms_norm:eps=0.3").bound.moments(LAWS[0], Expectation(LAWS[0])).stated
    assert set(plain) - set(shifted) == {"ms_y", "var_ms_y"}  # of y about 0, which has moved


def test_four_times_a_sigmoid_has_mean_two():
    known = exact_of("4*sigmoid", Law(0.0, 1.3126771368, 1.0))
    assert known["mean_y"].value == pytest.approx(2, abs=1e-13)
    assert known["std_y"].value == pytest.approx(1, abs=1e-10)  # DavidS3141/tf-toolbox


@pytest.mark.parametrize("law", LAWS)
def test_the_drift_is_the_derivative_of_the_mean_square(law):
    bound = parse("2-3*tanh").bound

    def mean_square(scale: float) -> float:
        at = law._replace(x_std=law.x_std * math.sqrt(scale))
        known = exact_of("2-3*tanh", at)
        return known["std_y"].value ** 2 + known["mean_y"].value ** 2

    h = 1e-4
    slope = (mean_square(math.exp(h)) - mean_square(math.exp(-h))) / (2 * h)
    assert bound.moments(law, Expectation(law)).drift.value == pytest.approx(slope, rel=1e-6)


# --- chains ---------------------------------------------------------------------------------------


def _pooled(f, f_slope, count: int, windows: float) -> tuple[float, ...]:
    """Return E[y], Var[y], E[(y − E[y])⁴] and E[dx²] of the maximum of increasing f, by mpmath.

    x ~ N(0, 1); the largest of n has the density n·φ·Φ^(n − 1).
    """

    def over(g):
        def integrand(x):
            return count * g(x) * mp.npdf(x) * mp.ncdf(x) ** (count - 1)

        return mp.quad(integrand, [-12, -4, -1, 0, 1, 4, 12])

    with mp.workdps(25):
        mean = over(f)
        var, fourth = (over(lambda x, k=k: (f(x) - mean) ** k) for k in (2, 4))
        ms_dx = windows * over(lambda x: f_slope(x) ** 2)
        return float(mean), float(var), float(fourth), float(ms_dx)


def test_pooling_after_an_activation_has_the_moments_of_order_statistics():
    step = lambda x: mpf(1) if x > 0 else mpf(0)  # noqa: E731
    cases = {
        "relu..max_pool2d:kernel_size=3,stride=2": (lambda x: max(x, mpf(0)), step, 9, 1 / 4),
        "relu..maxout:k=2": (lambda x: max(x, mpf(0)), step, 2, 1 / 2),
        "tanh..max_pool1d:kernel_size=4": (mp.tanh, lambda x: mp.sech(x) ** 2, 4, 1 / 4),
    }
    for spec, case in cases.items():
        mean, var, fourth, ms_dx = _pooled(*case)
        known = exact_of(spec)
        assert known["mean_y"].value == pytest.approx(mean, rel=1e-13)
        assert known["var_y"].value == pytest.approx(var, rel=1e-12)
        assert known["std_dx"].value == pytest.approx(math.sqrt(ms_dx), rel=1e-12)
        bound = parse(spec).bound
        stated = bound.moments(STANDARD, Expectation(STANDARD)).stated
        assert ("m4_y" in stated) == (math.prod(bound.inputs["dy"].shape) == 1)
        if "m4_y" in stated:
            assert stated["m4_y"].value == pytest.approx(fourth, rel=1e-12)


@pytest.mark.parametrize(
    "first", ["gelu", "silu", "-relu", "abs", "-abs", "hardtanh:max_val=0.5..abs"]
)
def test_an_activation_that_falls_somewhere_has_no_exact_values_before_a_maximum(first):
    spec = f"{first}..max_pool1d:kernel_size=2"
    known = exact(spec)
    assert "std_y" not in known.quantities
    assert "std_y" in known.missing


def test_a_jump_downwards_is_seen():
    rises, falls = "threshold:threshold=1,value=0", "threshold:threshold=1,value=3"
    assert "std_y" in exact(f"{rises}..maxout").quantities
    assert "std_y" not in exact(f"{falls}..maxout").quantities


def test_a_chain_in_the_interior_is_a_piece_of_torch_s_map():
    torch = pytest.importorskip("torch")
    bound = parse("tanh..max_pool2d:kernel_size=3,stride=2").bound
    big, small, windows, kept = embedded(bound, (3, 3), (2, 2), ())
    y, dx = through(bound, small)
    x = torch.tensor(np.moveaxis(big["x"], -1, 0)[:, None], requires_grad=True)
    whole = torch.nn.functional.max_pool2d(x.tanh(), 3, 2)
    whole.backward(torch.tensor(np.moveaxis(big["dy"], -1, 0)[:, None]))
    whole_y = np.moveaxis(whole.detach().numpy()[:, 0], 0, -1)
    whole_dx = np.moveaxis(x.grad.numpy()[:, 0], 0, -1)
    np.testing.assert_allclose(y, whole_y[windows], rtol=1e-13)
    np.testing.assert_allclose(dx, whole_dx[kept], rtol=1e-12)


def test_a_chain_of_three_is_torch_s():
    torch = pytest.importorskip("torch")
    bound = parse("2*relu..tanh..softmax:n=4").bound
    draws = draws_of(bound, 7)
    y, dx = through(bound, draws)
    x = torch.tensor(draws["x"], requires_grad=True)
    whole = torch.softmax(torch.tanh(2 * torch.relu(x)), 0)
    whole.backward(torch.tensor(draws["dy"]))
    np.testing.assert_allclose(y, whole.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(dx, x.grad.numpy(), rtol=1e-11, atol=1e-15)
    assert exact_of("2*relu..softmax:n=4")["mean_y"].value == 0.25


def test_random_inputs_of_the_second_layer_are_drawn():
    bound = parse("relu..dropout:p=0.5").bound
    draws = draws_of(bound, 2000)
    y = bound.forward(numpy_backend, draws)[0]
    assert set(bound.inputs) > {"x", "dy"}
    kept = y != 0
    np.testing.assert_allclose(y[kept], 2 * np.maximum(draws["x"], 0)[kept])
    assert 0.2 < kept.mean() < 0.3

"""Losses, attention, noisy softmax and local response normalisation."""

from __future__ import annotations

import math

import numpy as np
import oracles_outputs as oracles
import pytest
from layer_support import draws_of, exact_of, laws, spec_of, through

from bnstats.api import compute
from bnstats.layers import STANDARD, Law
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation

CASES = [
    pytest.param(name, params, id=spec_of(name, params))
    for name, cases in oracles.COVERS.items()
    for params in cases
]


def stated(spec: str, law: Law = STANDARD):
    with np.errstate(all="ignore"):
        return parse(spec).bound.moments(law, Expectation(law)).stated


@pytest.mark.parametrize(("name", "params"), CASES)
def test_value_and_gradient_equal_torch_s(name, params):
    bound = parse(spec_of(name, params)).bound
    draws = draws_of(bound, 11, seed=4)
    draws["x"] = 0.4 + 1.3 * draws["x"]
    ours = through(bound, draws)
    true = oracles.torch_pass(name, draws, params)
    for found, wanted in zip(ours, true, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@laws
@pytest.mark.parametrize("params", oracles.COVERS["local_response_norm"][2:])
def test_local_response_norm_by_quadrature_over_all_channels(params, law):
    whole = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0, "num_channels": 3} | params
    whole["channels"] = whole.pop("num_channels")
    true = oracles.response_moments(**whole, law=law)
    known = stated(spec_of("local_response_norm", params), law)
    for name, value in true.items():
        assert known[name].value == pytest.approx(value, rel=1e-10, abs=1e-14), name
        assert known[name].error < 1e-10, name


def test_local_response_norm_of_windows_that_differ_by_quadrature():
    law = Law(0.7, 0.6, 2.0)
    given = {"alpha": 0.8, "beta": 0.6, "k": 1.5}
    true = oracles.response_moments(**given, size=2, channels=3, law=law)
    known = stated(spec_of("local_response_norm", given | {"size": 2, "num_channels": 3}), law)
    for name, value in true.items():
        assert known[name].value == pytest.approx(value, rel=1e-10), name


@laws
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_two_classes(smoothing, law):
    true = oracles.of_two_classes(smoothing, law)
    known = stated(f"cross_entropy:n=2,label_smoothing={smoothing}", law)
    assert ("var_y" in known) == (smoothing == 0)
    for name in set(true) & set(known):
        assert abs(known[name].value - float(true[name])) <= known[name].error + 1e-15, name
        assert known[name].error < 1e-10


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    known = exact_of("cross_entropy:n=1000", Law(0.0, 1e-4, 1.0))
    assert known["mean_y"].value == pytest.approx(math.log(1000), rel=1e-8)
    # (1 − 1/n)² + (n − 1)/n² over n elements
    assert known["std_dx"].value == pytest.approx(math.sqrt((1 - 1e-3) / 1000), rel=1e-6)


@laws
@pytest.mark.parametrize(("name", "power"), [("mse_loss", 2), ("l1_loss", 1)])
@pytest.mark.parametrize(("n", "reduction"), [(4, "mean"), (3, "sum"), (1, "mean")])
def test_losses_of_differences_by_quadrature(name, power, n, reduction, law):
    true = oracles.of_differences(power, n, n if reduction == "sum" else 1, law)
    if n == 1:  # a mean square of one element is its square
        true["m4_dx"] = true.pop("var_ms_dx") + true["ms_dx"] ** 2
    known = stated(f"{name}:n={n},reduction={reduction}", law)
    assert set(known) == set(true)
    for moment, value in true.items():
        assert known[moment].value == pytest.approx(float(value), rel=1e-12), moment


def test_attention_without_scores_is_a_mean():
    law, n = Law(0.0, 1e-3, 1.0), 9
    result = compute(f"scaled_dot_product_attention:length={n},head_dim=4", samples=20_000, law=law)
    assert result.quantities["std_y"].value == pytest.approx(1e-3 / 3, rel=0.01)
    values = f"scaled_dot_product_attention:length={n},head_dim=4,gradient=value"
    assert compute(values, samples=20_000, law=law).quantities["std_dx"].value == pytest.approx(
        1 / 3, rel=0.01
    )


def test_the_mean_of_attention_is_that_of_the_values():
    known = exact_of("scaled_dot_product_attention:length=3,head_dim=2", Law(-0.4, 1.5, 1.0))
    assert known["mean_y"].value == -0.4
    assert stated("scaled_dot_product_attention:gradient=key")["mean_dx"].value == 0


def test_gumbel_noise_draws_classes_by_their_softmax():
    """At a low temperature the largest is the class, drawn as often as the softmax says."""
    bound = parse("gumbel_softmax:n=3,tau=0.1").bound
    draws = draws_of(bound, 100_000)
    logits = np.array([0.0, 1.0, -0.5])
    draws["x"] = np.broadcast_to(logits[:, None], draws["x"].shape)
    shares = np.bincount(through(bound, draws)[0].argmax(0), minlength=3) / 100_000
    p = np.exp(logits) / np.exp(logits).sum()
    assert np.all(np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / 100_000))


def near(known, true, rel=1e-11):
    assert set(known) == set(true)
    for moment, value in true.items():
        value = float(value)
        assert known[moment].value == pytest.approx(value, rel=rel, abs=1e-14), moment
        assert known[moment].error <= 1e-9 * max(1.0, abs(value)), moment


SHAPES: dict[tuple[str, str], dict[str, float]] = {
    (name, str(shape)): shape
    for name in (*oracles.OF_DIFFERENCES, *oracles.OF_TARGETS)
    for params in oracles.COVERS[name][:2]
    for shape in [{k: v for k, v in params.items() if k not in ("n", "reduction")}]
}


@laws
@pytest.mark.parametrize(("name", "params"), [(key[0], shape) for key, shape in SHAPES.items()])
def test_losses_of_outputs_by_quadrature_of_one(name, params, law):
    one = oracles.of_one_output(name, law, **params)
    for n, reduction in ((4, "mean"), (3, "sum"), (1, "mean")):
        true = oracles.of_outputs(one, n, n if reduction == "sum" else 1, law)
        spec = spec_of(name, params | {"n": n, "reduction": reduction})
        near(stated(spec, law), true)


@laws
@pytest.mark.parametrize("margin", [0.0, 0.6])
def test_hinges_of_a_difference_by_quadrature(margin, law):
    of = oracles.of_hinge_of_a_difference(margin, 1.0, law)
    ms_dx = law.dy_std**2 * of["ms_slope"]
    true = {"mean_y": of["mean"], "var_y": of["var"], "m4_y": of["m4"], "ms_dx": ms_dx}
    true |= {"var_ms_dx": 3 * law.dy_std**2 * ms_dx - ms_dx**2, "mean_dx": 0.0}
    near(stated(f"margin_ranking_loss:margin={margin}", law), true)
    of = oracles.of_hinge_of_a_difference(margin, 0.5, law)  # the mean over two classes
    true = {"mean_y": of["mean"], "var_y": of["var"], "mean_dx": 0.0}
    true["ms_dx"] = law.dy_std**2 * of["ms_slope"]
    near(stated(f"multi_margin_loss:margin={margin},n=2", law), true)


@laws
def test_log_sums_of_two_by_quadrature(law):
    true = oracles.of_logsumexp_of_two(law)
    near(stated("logsumexp:n=2", law), true)
    near(stated("logmeanexp:n=2", law), true | {"mean_y": true["mean_y"] - math.log(2)})


@laws
@pytest.mark.parametrize("n", [1, 5])
def test_dot_by_cumulants(n, law):
    near(stated(f"dot:n={n}", law), oracles.of_dot(n, law))


@laws
def test_the_minimum_of_two_by_hand(law):
    known = stated("minimum:k=2", law)
    assert known["mean_y"].value == pytest.approx(law.x_mean - law.x_std / math.sqrt(math.pi))
    assert known["var_y"].value == pytest.approx(law.x_std**2 * (1 - 1 / math.pi))
    assert known["ms_dx"].value == pytest.approx(law.dy_std**2 / 2)


def test_the_cosine_in_space_is_uniform():
    law = Law(0.0, 2.0, 3.0)
    true = {"mean_y": 0.0, "var_y": 1 / 3, "m4_y": 1 / 5, "ms_dx": 9 * (2 / 9) / 4}
    near(stated("cosine_similarity:n=3", law), true)
    assert set(stated("cosine_similarity:n=3", Law(0.1, 1.0, 1.0))) == set()


@laws
def test_distances_of_numbers_and_of_points_in_a_plane_by_hand(law):
    std = math.sqrt(2) * law.x_std
    one, two = (stated(f"pairwise_distance:n={n}", law) for n in (1, 2))
    # |d| of a normal d, and a Rayleigh number; the 1e-6 in d moves both by less than 1e-11
    assert one["mean_y"].value == pytest.approx(std * math.sqrt(2 / math.pi), rel=1e-11)
    assert one["var_y"].value == pytest.approx(std**2 * (1 - 2 / math.pi), rel=1e-11)
    assert two["mean_y"].value == pytest.approx(std * math.sqrt(math.pi / 2), rel=1e-11)
    assert two["var_y"].value == pytest.approx(std**2 * (2 - math.pi / 2), rel=1e-11)
    assert two["m4_y"].value == pytest.approx(std**4 * (8 - 3 * math.pi**2 / 4), rel=1e-9)
    assert one["ms_dx"].value == pytest.approx(law.dy_std**2)
    assert two["ms_dx"].value == pytest.approx(law.dy_std**2 / 2)
    assert two["var_ms_dx"].value == pytest.approx(law.dy_std**4 / 2)


def test_bilinear_by_hand():
    """Of 3·2 products of variance x²·x²/9 each, and a bias of variance 1/9."""
    law = Law(0.5, 2.0, 3.0)
    x2 = 4.25
    known = stated("bilinear:in1_features=3,in2_features=2,out_features=5", law)
    assert known["var_y"].value == pytest.approx(6 * x2**2 / 9 + 1 / 9)
    # five dy², times two or three elements of the other input
    assert known["ms_dx"].value == pytest.approx(9 * 5 * (x2 / 9) * (3 * 2 + 2 * 3) / 5)
    assert known["mean_y"].value == 0


def test_unpooling_by_enumeration():
    law = Law(0.7, 1.3, 2.0)
    known = stated("max_unpool2d:kernel_size=3x2", law)
    x, w = np.polynomial.hermite_e.hermegauss(8)
    x, w = 0.7 + 1.3 * x, w / w.sum()
    y = np.concatenate([x, np.zeros(5 * len(x))])
    weight = np.concatenate([w / 6, np.repeat(w / 6, 5)])
    mean = np.sum(weight * y)
    assert known["mean_y"].value == pytest.approx(mean)
    assert known["var_y"].value == pytest.approx(np.sum(weight * (y - mean) ** 2))
    assert (known["ms_dx"].value, known["m4_dx"].value) == (4, 48)
    assert "var_ms_y" not in known
    (law, k) = Law(0.0, 2.0, 1.0), 6
    known = stated("max_unpool2d:kernel_size=3x2", law)
    assert known["var_ms_y"].value == pytest.approx((48 - 16) / k**2)  # of x²/6


@pytest.mark.parametrize(
    ("path", "as_labels"),
    [
        ("SoftMarginLoss", lambda t: 2 * t - 1),
        ("MultiLabelSoftMarginLoss", lambda t: t[None]),
        ("BCEWithLogitsLoss", lambda t: t),
    ],
)
def test_losses_of_labels_are_one(path, as_labels):
    """Of labels ±1, of a set of them, and of 0 and 1."""
    torch = pytest.importorskip("torch")
    bound = parse(f"torch.nn.{path}:n=6").bound
    draws = draws_of(bound, 1, seed=2)
    y, dx = through(bound, draws)
    x = torch.tensor(draws["x"][:, 0], requires_grad=True)
    labels = as_labels(torch.tensor((draws["target"][:, 0] > 0.5).astype(float)))
    loss = getattr(torch.nn, path)()(x.reshape(labels.shape), labels)
    loss.backward()
    assert y[0, 0] == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(dx[:, 0], x.grad.numpy() * draws["dy"][0, 0], rtol=1e-12)

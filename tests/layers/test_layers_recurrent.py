"""Recurrent cells by one step: beside the libraries' own cells, and by integrals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import oracles_recurrent as oracles
import pytest
from layer_support import draws_of, laws, spec_of, through
from scipy import stats

from bnstats.api import compute
from bnstats.backends import numpy_backend
from bnstats.layers import BoundLayer, Law
from bnstats.layers.recurrent import _drawn
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def stated(spec: str, law: Law) -> dict[str, Any]:
    return parse(spec).bound.moments(law, Expectation(law)).stated


def weights_of(
    name: str, init: str, draws: dict[str, np.ndarray], bound: BoundLayer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights of every draw as the layer makes them: of the input, the state, biases."""
    units = bound.inputs["dy"].shape[0]
    inputs = bound.inputs["weight"].shape[-1]
    drawn = _drawn(init, oracles.GATES[name], inputs, units)
    w = drawn.of_input.tensor(numpy_backend, draws["weight"])
    u = drawn.of_state.tensor(numpy_backend, draws["recurrent_weight"])
    return w, u, drawn.biases.tensor(numpy_backend, draws["bias"]) if drawn.biases else w[:, :0]


def compare(
    spec: str, name: str, init: str, step: Callable[..., tuple[np.ndarray, np.ndarray]], near: float
) -> None:
    """Compare a few draws of both passes with a library's step by the same weights."""
    bound = parse(spec).bound
    draws = draws_of(bound, 3, seed=5)
    w, u, b = weights_of(name, init, draws, bound)
    y, dx = through(bound, draws)
    for i in range(3):
        more = (b[..., i],) if b.size else ()
        true = step(w[..., i], u[..., i], *more, draws["x"][:, i], draws["dy"][:, i])
        np.testing.assert_allclose(y[:, i], true[0], rtol=near, atol=near)
        np.testing.assert_allclose(dx[:, i], true[1], rtol=near, atol=near)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("rnn_cell", {}),
        ("rnn_cell", {"nonlinearity": "relu"}),
        ("gru_cell", {}),
        ("lstm_cell", {}),
    ],
)
def test_a_step_is_torchs(name: str, params: dict[str, Any]) -> None:
    def step(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        return oracles.by_torch(name, *given, **params)

    spec = spec_of(name, {"input_size": 3, "hidden_size": 2, "init": "torch", **params})
    compare(spec, name, "torch", step, 1e-11)


@pytest.mark.parametrize("name", ["rnn_cell", "gru_cell", "lstm_cell"])
def test_a_step_is_keras(name: str) -> None:
    spec = f"{name}:input_size=3,hidden_size=2,init=keras"
    compare(spec, name, "keras", lambda *given: oracles.by_keras(name, *given), 1e-5)


@pytest.mark.parametrize("kind", oracles.LINEN)
def test_a_step_is_flaxs(kind: str) -> None:
    name = oracles.LINEN[kind][0]
    spec = f"{name}:input_size=3,hidden_size=2{'' if name == 'mgu_cell' else ',init=flax'}"
    compare(spec, name, "flax", lambda *given: oracles.by_linen(kind, *given), 1e-5)


@pytest.mark.parametrize("kind", oracles.NNX)
def test_a_step_is_nnx(kind: str) -> None:
    name = oracles.NNX[kind]
    spec = f"{name}:input_size=3,hidden_size=2,init=nnx"
    compare(spec, name, "nnx", lambda *given: oracles.by_nnx(kind, *given), 1e-5)


@pytest.mark.parametrize("gradient", ["input", "hidden", "cell"])
def test_a_part_is_that_of_all(gradient: str) -> None:
    whole, part = (
        parse(f"lstm_cell:input_size=3,hidden_size=2,gradient={g}").bound for g in ("all", gradient)
    )
    draws = draws_of(whole, 4)
    at = {"input": slice(0, 3), "hidden": slice(3, 5), "cell": slice(5, 7)}[gradient]
    np.testing.assert_array_equal(through(part, draws)[1], through(whole, draws)[1][at])


# --- how weights are drawn ------------------------------------------------------------------------


def our_weights(name: str, init: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bound = parse(f"{name}:input_size=5,hidden_size=4,init={init}").bound
    return weights_of(name, init, draws_of(bound, 400, seed=8), bound)


def same_law(theirs: np.ndarray, ours: np.ndarray) -> None:
    assert stats.ks_2samp(theirs.ravel(), ours.ravel()).pvalue > 1e-5
    assert np.max(np.abs(theirs)) == pytest.approx(np.max(np.abs(ours)), rel=0.05)
    assert np.std(theirs) == pytest.approx(np.std(ours), rel=0.06)


def same_gram(theirs: np.ndarray, ours: np.ndarray) -> None:
    """Columns are orthogonal over all gates, or in each gate: UᵀU says which."""
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs.T @ theirs, ours.T @ ours, atol=1e-5)
    first = theirs[: theirs.shape[1]]
    if abs((first.T @ first - np.eye(len(first))).max()) < 1e-5:
        np.testing.assert_allclose(ours[: len(first)].T @ ours[: len(first)], np.eye(4), atol=1e-5)


@pytest.mark.parametrize("name", ["rnn_cell", "gru_cell", "lstm_cell"])
def test_torch_draws_its_weights_so(name: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    cells = [oracles.torch_cell(name, 5, 4) for _ in range(400)]
    w, u, b = our_weights(name, "torch")
    for key, ours in (("weight_ih", w), ("weight_hh", u), ("bias_ih", b), ("bias_hh", b)):
        same_law(np.stack([getattr(c, key).detach().numpy() for c in cells]), ours)


@pytest.mark.parametrize("name", ["rnn_cell", "gru_cell", "lstm_cell"])
def test_keras_draws_its_weights_so(name: str) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(4)
    made = [oracles.keras_weights(name, 5, 4) for _ in range(30)]
    w, u, b = our_weights(name, "keras")
    assert not b.size
    same_law(np.stack([m[0] for m in made]), w)
    same_gram(made[0][1], u[..., 0])


@pytest.mark.parametrize("kind", [kind for kind in oracles.LINEN if kind != "MGUCell"])
def test_flax_draws_its_weights_so(kind: str) -> None:
    name = oracles.LINEN[kind][0]
    made = [oracles.linen_weights(kind, 5, 4, seed) for seed in range(20)]
    w, u, _ = our_weights(name, "flax")
    same_law(np.stack([m[0] for m in made]), w)
    same_gram(made[0][1], u[..., 0])


@pytest.mark.parametrize("kind", oracles.NNX)
def test_nnx_draws_its_weights_so(kind: str) -> None:
    made = [oracles.nnx_weights(kind, 5, 4, seed) for seed in range(20)]
    w, u, _ = our_weights(oracles.NNX[kind], "nnx")
    same_law(np.stack([m[0] for m in made]), w)
    same_gram(made[0][1], u[..., 0])


# --- moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["torch", "keras", "flax", "nnx"])
@pytest.mark.parametrize("std", [1.0, 0.3])
def test_a_cell_of_one_unit_by_integrals(init: str, std: float) -> None:
    law = Law(0.0, std, 2.0)
    true = oracles.of_one_unit("flax" if init == "nnx" else init, std, 2.0)
    for part in ("input", "hidden"):
        spec = f"rnn_cell:input_size=1,hidden_size=1,init={init},gradient={part}"
        known = stated(spec, law)
        assert known["var_y"].value == pytest.approx(true["ms_y"], rel=1e-6)
        assert known["ms_dx"].value == pytest.approx(true[part], rel=1e-6)
        assert known["var_y"].error < 1e-13
        assert known["mean_y"].value == 0
    both = stated(f"rnn_cell:input_size=1,hidden_size=1,init={init}", law)["ms_dx"].value
    assert both == pytest.approx((true["input"] + true["hidden"]) / 2, rel=1e-6)


def test_small_inputs_are_weighted_sums() -> None:
    """Without biases tanh is the identity there: σ[y]² = (I·E[W²] + H·E[U²])·x_std²."""
    known = stated("rnn_cell:input_size=6,hidden_size=3,init=keras", Law(0.0, 1e-4, 1.0))
    assert known["var_y"].value == pytest.approx(1e-8 * (6 * 2 / 9 + 1), rel=1e-6)
    assert known["ms_dx"].value == pytest.approx(3 * (6 * 2 / 9 + 3 / 3) / 9, rel=1e-6)


@laws
def test_a_relu_passes_half_of_the_squares(law: Law) -> None:
    x2 = law.x_mean**2 + law.x_std**2
    known = stated("rnn_cell:input_size=4,hidden_size=9,init=torch,nonlinearity=relu", law)
    assert known["ms_y"].value == pytest.approx((13 * x2 + 2) / 27 / 2)
    assert known["ms_dx"].value == pytest.approx(law.dy_std**2 * 9 / 27 / 2)
    # biases of 0; glorot_uniform of 4 → 9 units, and an orthogonal 9 × 9
    known = stated("rnn_cell:input_size=4,hidden_size=9,init=keras,nonlinearity=relu", law)
    assert known["ms_y"].value == pytest.approx((4 * 2 / 13 + 1) * x2 / 2)


@pytest.mark.parametrize("init", ["torch", "keras", "flax", "nnx"])
@pytest.mark.parametrize(("cell", "mean"), [("gru_cell", 0.35), ("rnn_cell", 0.0)])
def test_means_under_a_law_that_is_not_centred(cell: str, mean: float, init: str) -> None:
    law = Law(0.7, 1.3, 2.0)
    spec = f"{cell}:input_size=2,hidden_size=2,init={init}"
    assert stated(spec, law)["mean_y"].value == mean
    found = compute(spec, samples=20_000, law=law, workers=1).quantities["mean_y"]
    assert abs(found.z) < 4.5


@pytest.mark.parametrize("cell", ["lstm_cell", "mgu_cell"])
def test_means_of_symmetric_cells(cell: str) -> None:
    spec = f"{cell}:input_size=2,hidden_size=2"
    assert stated(spec, Law(0.0, 1.3, 2.0))["mean_y"].value == 0
    assert stated(spec, Law(0.7, 1.3, 2.0)) == {}

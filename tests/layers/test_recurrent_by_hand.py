"""Recurrent cells by hand: biases, weights of gates, means, laws of weighted sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from layer_support import draws_of, through
from scipy.integrate import quad

from bnstats.backends import numpy_backend
from bnstats.layers import STANDARD, Known, Law
from bnstats.layers._tanh_of_sums import uniform_weights
from bnstats.layers.recurrent import CellInit, _drawn
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def mean_of(spec: str, law: Law = STANDARD) -> Known:
    return parse(spec).bound.moments(law, Expectation(law)).stated["mean_y"]


@pytest.mark.parametrize(("init", "kept"), [("keras", 1 / (1 + math.exp(-1))), ("flax", 0.5)])
def test_keras_remembers_at_first(init: str, kept: float) -> None:
    """Input and state are 0: gates are σ(0) = 1/2, but the forget gate, in keras, σ(1)."""
    bound = parse(f"lstm_cell:input_size=2,hidden_size=1,init={init}").bound
    draws = draws_of(bound, 3)
    memory = np.array([-2.0, 0.25, 1.5])
    draws["x"] = np.stack((0 * memory, 0 * memory, 0 * memory, memory))
    y, dx = through(bound, draws)
    np.testing.assert_allclose(y[0], 0.5 * np.tanh(kept * memory), rtol=1e-14)
    slope = 0.5 * kept / np.cosh(kept * memory) ** 2
    np.testing.assert_allclose(dx[3], draws["dy"][0] * slope, rtol=1e-14)


@pytest.mark.parametrize("init", ["keras", "nnx", "flax"])
@pytest.mark.parametrize("gates", [1, 3])
def test_weights_of_the_state_are_orthogonal_by_gate_or_over_all(
    init: CellInit, gates: int
) -> None:
    of_state = _drawn(init, gates, 2, 3).of_state
    w = of_state.tensor(
        numpy_backend, np.random.default_rng(0).normal(size=(*of_state.drawn.shape, 2))
    )
    assert w.shape == (3 * gates, 3, 2)
    assert of_state.ms == pytest.approx(np.mean(w**2), rel=1e-14)
    each = gates if init == "flax" else 1
    for part in np.split(w, each):
        np.testing.assert_allclose(part[..., 1].T @ part[..., 1], np.eye(3), atol=1e-14)
    if gates > 1 and init == "flax":  # each gate by numbers of its own
        assert np.abs(w[:3] - w[3:6]).max() > 0.1


def test_means_by_symmetry_have_no_error() -> None:
    law = Law(0.75, 1.0, 1.0)
    for spec in ("rnn_cell:init=keras", "rnn_cell:init=torch", "lstm_cell", "mgu_cell", "gru_cell"):
        assert mean_of(spec) == Known(0.0, 0.0, "symmetry")
    assert mean_of("rnn_cell", law) == Known(0.0, 0.0, "symmetry")
    assert mean_of("gru_cell", law) == Known(0.375, 0.0, "symmetry")


@pytest.mark.parametrize("t", [0.01, 0.5, 0.99, 1.0, 1.01, 3.0])
def test_weights_of_a_bounded_uniform_law_by_an_integral(t: float) -> None:
    """E[w²·e^(itwx)] over x is the mean of w²·e^(−t²w²/2); the series ends at t²w² = 1."""
    summand = uniform_weights(1, 1.0, 1.0)
    found = summand.weighted(numpy_backend, np.array([t, -t]))
    true = quad(lambda w: w * w * math.exp(-0.5 * (t * w) ** 2), 0, 1, epsabs=0, epsrel=1e-13)[0]
    np.testing.assert_allclose(found, true, rtol=1e-13)
    true = quad(lambda w: math.exp(-0.5 * (t * w) ** 2), 0, 1, epsabs=0, epsrel=1e-13)[0]
    np.testing.assert_allclose(summand.transform(numpy_backend, np.array([t])), true, rtol=1e-13)

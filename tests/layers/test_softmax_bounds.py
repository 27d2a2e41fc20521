"""Softmax and its kin: bounds at both ends of x_std, what is known of how many, and no error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_support import through

from bnstats.layers import CONSTANT, STANDARD, Known, Law
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


def stated(spec: str, law: Law = STANDARD) -> dict[str, Known]:
    with np.errstate(all="ignore"):  # as whoever asks for them does
        return parse(spec).bound.moments(law, Expectation(law)).stated


@pytest.mark.parametrize("n", [2, 10])
@pytest.mark.parametrize("std", [1e-4, 1e-5])
def test_the_variance_of_narrow_inputs_ends_at_its_second_order(n: int, std: float) -> None:
    """Var[x − log Σe^x] is σ²·(1 − 1/n) and Σ a_k, of which a₂ = σ⁴·|H|²/2 is nearly all.

    H is the Hessian of log Σe^x at 0. The bound takes a₂ and all beyond for a number from 0 to a₂.
    """
    hessian = np.eye(n) / n - np.full((n, n), 1 / n**2)
    first, second = std**2 * (1 - 1 / n), std**4 * np.sum(hessian**2) / 2
    var = stated(f"log_softmax:n={n}", Law(0.0, std, 1.0))["var_y"]
    assert var.value + var.error - first == pytest.approx(second, rel=1e-3, abs=0)
    assert var.value - var.error - first == pytest.approx(0, abs=1e-3 * second)


class Ones:
    """Takes every integral for 1, where what counts is whether one is asked for."""

    def integral(self, function: Any, low: float, high: float) -> Known:
        return Known(1.0, 1.0)


@pytest.mark.parametrize("spec", ["softmax:n=2", "log_softmax:n=2", "logsumexp:n=2"])
def test_the_widest_inputs_are_known(spec: str) -> None:
    moments = parse(spec).bound.moments
    assert "var_y" in moments(Law(0.0, 24.0, 1.0), Ones()).stated  # type: ignore[arg-type]
    assert "var_y" not in moments(Law(0.0, 24.25, 1.0), Ones()).stated  # type: ignore[arg-type]


def test_what_is_not_known_of_sparsemax_is_said_of_more_than_two() -> None:
    assert parse("sparsemax:n=2").bound.why_inexact == ""
    for n in (3, 4):
        assert "known for n=2" in parse(f"sparsemax:n={n}").bound.why_inexact


@pytest.mark.parametrize(
    ("spec", "mean"),
    [("softmax:n=4", 0.25), ("gumbel_softmax:n=4", 0.25), ("sparsemax:n=4", 0.25)],
)
def test_means_that_are_the_same_in_every_draw_have_no_error(spec: str, mean: float) -> None:
    known = stated(spec)
    assert known["mean_y"] == Known(mean, 0.0, CONSTANT)
    assert known["mean_dx"] == Known(0.0, 0.0, CONSTANT)


@pytest.mark.parametrize(
    "spec",
    [
        "cross_entropy:n=3",
        "log_softmax:n=3",
        "pairwise_distance:n=3",
        "scaled_dot_product_attention:gradient=key",
    ],
)
def test_gradients_that_sum_to_nothing_have_a_mean_without_error(spec: str) -> None:
    assert stated(spec)["mean_dx"] == Known(0.0, 0.0, CONSTANT)


def test_the_gradient_of_a_loss_is_linear_in_that_of_its_mean() -> None:
    one, two = (
        stated("cross_entropy:n=3,label_smoothing=0.5", Law(0.0, 1.0, dy))["ms_dx"]
        for dy in (1.0, 2.0)
    )
    assert two.value == pytest.approx(4 * one.value, rel=1e-14)


def test_the_variance_of_a_smoothed_loss_is_not_known() -> None:
    plain, smoothed = "cross_entropy:n=3", "cross_entropy:n=3,label_smoothing=0.5"
    assert "var_y" in stated(plain)
    assert "var_y" not in stated(smoothed)
    assert "smoothed loss" in parse(smoothed).bound.why_inexact
    assert "smoothed loss" not in parse(plain).bound.why_inexact


def test_large_logits_choose_a_single_key() -> None:
    """Products of 4e6/√2 would overflow in an exponential."""
    bound = parse("scaled_dot_product_attention:length=2,head_dim=2").bound
    queries = keys = np.array([[2000.0, 0.0], [0.0, -2000.0]])
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    draws = {"x": np.stack((queries, keys, values))[..., None], "dy": np.ones((2, 2, 1))}
    y, dx = through(bound, draws)
    np.testing.assert_array_equal(y[..., 0], values)
    assert np.isfinite(dx).all()

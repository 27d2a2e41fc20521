"""Normalisation of a few numbers by hand: lengths, groups, and windows of channels."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import through

from bnstats.errors import BnstatsError
from bnstats.specs.spec import parse


def test_a_vector_of_three_and_four_has_the_length_five() -> None:
    bound = parse("unit_normalization:n=2").bound
    draws = {"x": np.array([[3.0], [4.0]]), "dy": np.array([[1.0], [0.0]])}
    y, dx = through(bound, draws)
    np.testing.assert_allclose(y[:, 0], [0.6, 0.8], rtol=1e-15)
    np.testing.assert_allclose(dx[:, 0], [(1 - 0.36) / 5, -0.48 / 5], rtol=1e-14)


def test_two_numbers_are_as_far_from_their_mean() -> None:
    x, dy = np.array([[1.0], [7.0]]), np.array([[1.0], [0.0]])
    y = through(parse("layer_norm:normalized_shape=2,eps=0").bound, {"x": x, "dy": dy})[0]
    assert y[:, 0].tolist() == [-1, 1]
    # the mean square is 9, with eps 25: y = ±3/5
    for spec in ("layer_norm:normalized_shape=2,eps=16", "batch_norm:batch_size=2,eps=16"):
        y, dx = through(parse(spec).bound, {"x": x, "dy": dy})
        np.testing.assert_allclose(y[:, 0], [-0.6, 0.6], rtol=1e-15)
        # y₁ is d/√(d² + eps) of d = (x₁ − x₂)/2, whose slope is eps/(d² + eps)^(3/2)
        np.testing.assert_allclose(dx[:, 0], [16 / 125 / 2, -16 / 125 / 2], rtol=1e-14)


def test_a_group_is_its_channels_times_their_positions() -> None:
    bound = parse("group_norm:num_groups=3,num_channels=6,input_size=5").bound
    assert bound.inputs["x"].shape == (10,)
    for smallest in (
        "num_groups=3,num_channels=6,input_size=1",
        "num_groups=4,num_channels=4,input_size=2",
    ):
        assert parse(f"group_norm:{smallest}").bound.inputs["x"].shape == (2,)
    with pytest.raises(BnstatsError, match="is not a multiple of"):
        parse("group_norm:num_groups=4,num_channels=6")


@pytest.mark.parametrize(
    ("size", "before", "after"), [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 2, 1), (5, 2, 2), (12, 6, 5)]
)
def test_a_channel_responds_to_those_around_it(size: int, before: int, after: int) -> None:
    """An even window has one more channel before than behind; a wide one is cut off."""
    spec = f"local_response_norm:size={size},alpha=0.5,beta=1,k=2,num_channels=4"
    bound = parse(spec).bound
    x, dy = np.array([1.0, -2.0, 3.0, 0.5]), np.array([1.0, 0.25, -1.0, 2.0])

    def response(x: np.ndarray) -> np.ndarray:
        sums = [sum(x[max(c - before, 0) : c + after + 1] ** 2) for c in range(4)]
        return x / (2 + 0.5 * np.array(sums) / size)

    y, dx = through(bound, {"x": x[:, None], "dy": dy[:, None]})
    np.testing.assert_allclose(y[:, 0], response(x), rtol=1e-14)
    step = 1e-5 * np.eye(4)
    slopes = [dy @ (response(x + e) - response(x - e)) / 2e-5 for e in step]
    np.testing.assert_allclose(dx[:, 0], slopes, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("spec", "heavy"),
    [
        ("layer_norm:normalized_shape=2,eps=0", False),
        ("layer_norm:normalized_shape=3,eps=0", True),
        ("layer_norm:normalized_shape=5,eps=0", True),
        ("layer_norm:normalized_shape=6,eps=0", False),
        ("rms_norm:normalized_shape=1,eps=0", False),
        ("rms_norm:normalized_shape=2,eps=0", True),
        ("rms_norm:normalized_shape=4,eps=0", True),
        ("rms_norm:normalized_shape=4,eps=1e-101", True),
        ("rms_norm:normalized_shape=4,eps=1e-100", False),
        ("rms_norm:normalized_shape=5,eps=0", False),
    ],
)
def test_a_gradient_is_heavy_tailed_where_the_inverse_square_has_no_mean(
    spec: str, heavy: bool
) -> None:
    """E[1/v²] of a chi-square of 4 or fewer; of one deviation dx is 0."""
    assert parse(spec).bound.heavy_tailed == (("dx",) if heavy else ())

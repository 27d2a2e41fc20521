"""Padding, cropping, resizing, unfolding and sums: beside torch, and its Jacobian."""

from __future__ import annotations

import numpy as np
import oracles_linear_maps as oracles
import pytest
from layer_support import draws_of, laws, spec_of, through

from bnstats.errors import BnstatsError
from bnstats.layers import STANDARD, Law
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation

CASES = [
    pytest.param(name, params, id=spec_of(name, params))
    for name, cases in oracles.COVERS.items()
    for params in cases
]
every_case = pytest.mark.parametrize(("name", "params"), CASES)


@every_case
def test_value_and_gradient_equal_torch_s(name, params):
    bound = parse(spec_of(name, params)).bound
    draws = draws_of(bound, 5, seed=4)
    ours, true = through(bound, draws), oracles.torch_pass(name, draws["x"], draws["dy"], params)
    for found, wanted in zip(ours, true, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@laws
@every_case
def test_moments_are_those_of_the_jacobian(name, params, law):
    bound = parse(spec_of(name, params)).bound
    true = oracles.moments(name, bound.inputs["x"].shape, params, law)
    known = bound.moments(law, Expectation(law)).stated
    assert set(known) == set(true)
    for moment, value in true.items():
        assert known[moment].value == pytest.approx(value, rel=1e-12, abs=1e-15), moment


@pytest.mark.parametrize(
    "text",
    [
        "linear:init=torch,bias=true,in_features=3,out_features=2",
        "conv2d:init=torch,bias=true,out_channels=2,input_size=4,padding=same",
        "conv_transpose1d:init=torch,bias=true,out_channels=3,stride=2",
    ],
)
def test_a_bias_is_added_to_every_position_of_its_channel(text):
    """Its law is symmetric, so that no moment tells a bias from its negative."""
    bound = parse(text).bound
    draws = draws_of(bound, 5, seed=4)
    none = np.full_like(draws["bias"], 0.5)  # of the uniform draw
    added = through(bound, draws)[0] - through(bound, draws | {"bias": none})[0]
    drawn = np.reshape(2 * draws["bias"] - 1, (len(added), *(1,) * (added.ndim - 2), 5))
    scale = added / drawn
    np.testing.assert_allclose(scale, scale.flat[0], rtol=1e-11)
    assert scale.flat[0] > 0.1


def test_a_mean_far_from_zero_has_a_bound_that_holds():
    """The variance of the means of an interpolation is 0, and cancels."""
    law = Law(1e6, 1.0, 1.0)
    bound = parse("upsample2d:input_size=5,scale_factor=3,mode=cubic").bound
    near = bound.moments(STANDARD, Expectation(STANDARD)).var_y
    far = bound.moments(law, Expectation(law)).var_y
    assert abs(far.value - near.value) <= far.error < 1e-2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reflection_pad1d:padding=3,input_size=3", "padding=3 is not smaller than input_size=3"),
        ("circular_pad2d:padding=1x4,input_size=3", "padding=4 is larger than input_size=3"),
        ("cropping2d:cropping=2,input_size=5x4", "cropping=2 leaves nothing of input_size=4"),
        ("upsample1d:input_size=3", "give one of them"),
        ("upsample1d:input_size=3,scale_factor=2,size=4", "give one of them"),
        ("upsample1d:align_corners=true,input_size=3,size=4", "align_corners has no effect with"),
        ("zero_pad1d:padding=1,input_size=100001", "a side of more than 100,000 positions"),
        ("repeat_vector:n=100001", "a side of more than 100,000 positions"),
        ("unfold:kernel_size=5,input_size=4", "kernel_size=5 is larger than the padded input, 4"),
        ("zero_pad2d:padding=1x2x3,input_size=4", "padding=1x2x3 has 3 sides where the layer has"),
    ],
)
def test_what_makes_no_layer_is_refused(text, message):
    with pytest.raises(BnstatsError) as caught:
        parse(text)
    assert message in caught.value.message


@pytest.mark.parametrize("word", ["bilinear", "trilinear", "linear"])
def test_the_librarys_words_for_a_mode_are_one(word):
    assert parse(f"upsample2d:input_size=3,scale_factor=2,mode={word}").text == (
        "upsample2d:input_size=3,mode=linear,scale_factor=2"
    )

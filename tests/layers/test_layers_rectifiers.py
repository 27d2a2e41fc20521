"""rrelu's random slope, and parameter values that make no activation."""

from __future__ import annotations

import numpy as np
import pytest

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import BoundLayer
from bnstats.specs.spec import parse


def draws_of(bound: BoundLayer, count: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    x, dy = generator.normal(size=(2, count))
    given = {"x": x, "dy": dy, "slope": generator.random(count)}
    return {name: given[name] for name in bound.inputs}


@pytest.mark.parametrize(("lower", "upper"), [(1 / 8, 1 / 3), (-0.5, 2.0), (0.7, 0.7)])
def test_rrelu_one_draw_at_a_time(lower, upper):
    bound = parse(f"rrelu:lower={lower!r},upper={upper!r}").bound
    assert bound.inputs["slope"].distribution == "uniform"
    draws = draws_of(bound, 500)
    y, backward = bound.forward(numpy_backend, draws)
    dx = backward(draws["dy"])
    for i, x in enumerate(draws["x"]):
        slope = 1.0 if x > 0 else lower * (1 - draws["slope"][i]) + upper * draws["slope"][i]
        assert y[i] == pytest.approx(x * slope, rel=1e-14)
        assert dx[i] == pytest.approx(draws["dy"][i] * slope, rel=1e-14)


@pytest.mark.parametrize(("lower", "upper"), [(1 / 8, 1 / 3), (-0.5, 2.0)])
def test_rrelu_in_evaluation_is_torch_s(lower, upper):
    torch = pytest.importorskip("torch")
    bound = parse(f"rrelu:lower={lower!r},upper={upper!r},training=false").bound
    draws = draws_of(bound, 500)
    assert set(draws) == {"x", "dy"}
    x = torch.tensor(draws["x"], requires_grad=True)
    y = torch.nn.functional.rrelu(x, lower, upper, training=False)
    y.backward(torch.tensor(draws["dy"]))
    ours, backward = bound.forward(numpy_backend, draws)
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(backward(draws["dy"]), x.grad.numpy(), rtol=1e-14)


def test_rrelu_in_training_has_torch_s_slopes():
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(6)
        slopes = -torch.nn.functional.rrelu(-torch.ones(100_000), training=True).numpy()
    bound = parse("rrelu").bound
    draws = draws_of(bound, 100_000) | {"x": -np.ones(100_000)}
    ours = -bound.forward(numpy_backend, draws)[0]
    # 5 standard errors of a uniform's mean and of its ends
    assert abs(ours.mean() - slopes.mean()) < 5 * (1 / 3 - 1 / 8) / np.sqrt(12 * 50_000)
    for end in (np.min, np.max):
        assert abs(end(ours) - end(slopes)) < 1e-4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rrelu:lower=0.5,upper=0.25", "lower=0.5 is above upper=0.25"),
        ("hardtanh:min_val=2", "min_val=2 is not below max_val=1"),
        ("hardtanh:min_val=0.5,max_val=0.5", "min_val=0.5 is not below max_val=0.5"),
        ("keras_relu:threshold=2,max_value=1", "max_value=1 is not above threshold=2"),
        ("keras_relu:max_value=0", r"max_value=0 is outside \(0, inf\)"),
        ("keras_relu:negative_slope=-0.1", r"negative_slope=-0.1 is outside \[0, inf\)"),
        ("keras_relu:threshold=-1", r"threshold=-1 is outside \[0, inf\)"),
        ("threshold:threshold=1", "threshold needs value"),
        ("celu:alpha=0", r"alpha=0 is outside \(0, inf\)"),
        ("squareplus:b=0", r"b=0 is outside \(0, inf\)"),
        ("hardshrink:lambd=-1", r"lambd=-1 is outside \[0, inf\)"),
        ("softshrink:lambd=-1", r"lambd=-1 is outside \[0, inf\)"),
    ],
)
def test_values_that_make_no_activation(spec, message):
    with pytest.raises(BnstatsError, match=message):
        parse(spec)

"""rrelu's random slope, and parameter values that make no activation."""

from __future__ import annotations

import numpy as np
import pytest
from layer_support import laws
from mpmath import mp, mpf

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import BoundLayer
from bnstats.specs.spec import parse
from bnstats.statistics.quadrature import Expectation


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


def test_rrelu_of_reciprocal_slopes_one_draw_at_a_time():
    """Xu et al. 2015: y = x/a where x < 0, a ~ U(3, 8) in training, its mean otherwise."""
    draws = draws_of(parse("rrelu").bound, 500)
    bound = parse("rrelu:lower=3,upper=8,reciprocal=true").bound
    y, backward = bound.forward(numpy_backend, draws)
    dx = backward(draws["dy"])
    fixed = parse("rrelu:lower=3,upper=8,reciprocal=true,training=false").bound
    for i, x in enumerate(draws["x"]):
        a = 1.0 if x > 0 else 3 + 5 * draws["slope"][i]
        assert y[i] == pytest.approx(x / a, rel=1e-14)
        assert dx[i] == pytest.approx(draws["dy"][i] / a, rel=1e-14)
        at_mean = fixed.forward(numpy_backend, {"x": np.array([x])})[0][0]
        assert at_mean == pytest.approx(x if x > 0 else x / 5.5, rel=1e-14)


@laws
@pytest.mark.parametrize(("lower", "upper"), [(3.0, 8.0), (0.5, 0.5), (0.2, 20.0)])
def test_moments_of_reciprocal_slopes_by_quadrature(lower, upper, law):
    """Over the slope and x in turn, each by mpmath."""
    bound = parse(f"rrelu:lower={lower!r},upper={upper!r},reciprocal=true").bound
    known = bound.moments(law, Expectation(law)).stated
    with mp.workdps(30):
        m, s = mpf(law.x_mean), mpf(law.x_std)
        ends = sorted({m - 13 * s, m - 2 * s, m, m + 2 * s, m + 13 * s, mpf(0)})
        if lower == upper:
            slopes = [1 / mpf(lower) ** k for k in range(5)]
        else:
            width = mpf(upper) - mpf(lower)
            at = [mpf(lower), mpf(lower) + width / 20, mpf(upper)]
            slopes = [mp.quad(lambda a, k=k: a**-k / width, at) for k in range(5)]

        def raw(k):  # E[y^k]
            return mp.quad(lambda x: x**k * (1 if x > 0 else slopes[k]) * mp.npdf(x, m, s), ends)

        ys = [raw(k) for k in range(5)]
        below = mp.ncdf(-m / s)
        dy2 = mpf(law.dy_std) ** 2
        mean = ys[1]
        true = {
            "mean_y": mean,
            "var_y": ys[2] - mean**2,
            "m4_y": ys[4] - 4 * mean * ys[3] + 6 * mean**2 * ys[2] - 3 * mean**4,
            "ms_dx": dy2 * (1 - below + slopes[2] * below),
            "m4_dx": 3 * dy2**2 * (1 - below + slopes[4] * below),
        }
    for name, value in true.items():
        assert abs(known[name].value - float(value)) <= known[name].error + 4e-16 * abs(value), name
        assert known[name].error <= 1e-11 * abs(value), name


def test_the_mean_of_reciprocal_slopes_is_a_logarithm():
    known = parse("rrelu:lower=3,upper=8,reciprocal=true").bound
    y = known.forward(numpy_backend, {"x": -np.ones(10**6), "slope": (np.arange(1e6) + 0.5) / 1e6})
    assert -y[0].mean() == pytest.approx(np.log(8 / 3) / 5, rel=1e-10)


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
        ("rrelu:lower=0,reciprocal=true", "lower=0 is not positive"),
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

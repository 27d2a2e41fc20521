"""Layers of the user's in torch and in jax: on every backend, by autodiff, and their mistakes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import bnstats
from bnstats.backends import load, numpy_backend
from bnstats.custom import load_typed
from bnstats.layers import USER_LAYERS, Law
from bnstats.sampling.counter.draws import round_keys
from bnstats.sampling.counter.reduction import Reduction
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec, parse

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")

read = partial(parse, load=load_typed)


pytestmark = pytest.mark.usefixtures("user_modules")

# Paths and the built-in layers that they are: their formulas are tested against mpmath.
TORCH_LAYERS = [
    ("torch.nn:GELU", "gelu"),
    ("torch.nn:GELU:approximate=tanh", "gelu:approximate=tanh"),
    ("torch.nn:ELU:alpha=0.5", "elu:alpha=0.5"),
    ("torch.nn:Softplus:beta=2", "softplus:beta=2"),
    ("torch.nn:PReLU:init=0.1", "leaky_relu:negative_slope=0.1"),
    ("torch.nn:Hardswish", "hardswish"),
    ("torch.nn.functional:silu", "silu"),
    ("torch.nn.functional:silu:inplace=true", "silu"),
    ("torch:tanh", "tanh"),
    ("torch_acts:Swish", "silu"),
    ("torch_acts:swish", "silu"),
    ("torch_acts:evaluated", "gelu"),
    ("torch_acts:in_place", "silu"),
    ("torch_acts:silu", "silu"),
    ("torch_acts:method", "sigmoid"),
    ("torch_acts:tanh_pair", "tanh"),
]
JAX_LAYERS = [
    ("jax.nn:silu", "silu"),
    ("jax.nn:gelu", "gelu:approximate=tanh"),
    ("jax.nn:gelu:approximate=false", "gelu"),
    ("jax.nn:elu:alpha=2", "elu:alpha=2"),
    ("jax_acts:silu", "silu"),
    ("jax_acts:tanh_pair", "tanh"),
]

ON = [("torch", *pair) for pair in TORCH_LAYERS] + [("jax", *pair) for pair in JAX_LAYERS]


@pytest.mark.parametrize(("backend", "path", "own"), ON)
def test_exact_values_are_those_of_the_built_in_layer(backend: str, path: str, own: str) -> None:
    ours, theirs = bnstats.exact(path), bnstats.exact(own)
    for name in ("mean_y", "std_y", "std_dx", "var_dx"):
        found, wanted = getattr(ours, name), getattr(theirs, name)
        assert found.value == pytest.approx(wanted.value, rel=1e-10, abs=1e-14)
        assert found.error < 1e-13
    assert ours.std_dx.by == "quadrature", "the slope is no finite difference"
    assert not any("finite differences" in w for w in ours.warnings)


def arrays_of(backend: str, xp: Any) -> Any:
    """Return the context in which a backend's formulas run on the processor."""
    return xp.scope(xp.devices()[-1]) if backend == "jax" else nullcontext()


def both_ways(
    spec: Spec, backend: str, x: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx of a backend; the input is not written to, and no gradient is left over."""
    xp: Any = numpy_backend if backend == "numpy" else load(backend)
    with arrays_of(backend, xp):
        draws = {name: xp.asarray(v.copy()) for name, v in (("x", x), ("dy", dy))}
        with torch.no_grad():
            y, backward = spec.bound.forward(xp, draws)
            dx = backward(draws["dy"])
        np.testing.assert_array_equal(np.asarray(draws["x"]), x)
        assert not getattr(y, "requires_grad", False)
        return np.asarray(y), np.asarray(dx)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("backend", "path", "own"), ON)
def test_both_directions_follow_the_built_in_formula(
    backend: str, path: str, own: str, dtype: str
) -> None:
    x, dy = np.random.default_rng(0).normal(scale=2, size=(2, 1000)).astype(dtype)
    wanted = both_ways(read(own), "numpy", x.astype(float), dy.astype(float))
    spec = read(path)
    for on in ("numpy", backend):
        found = both_ways(spec, on, x, dy)
        assert [v.dtype for v in found] == [x.dtype, x.dtype]
        eps = np.finfo(dtype).eps
        for got, want, scale in zip(found, wanted, (1, np.abs(dy)), strict=True):
            # The slope of gelu's tanh form multiplies tanh's rounding by up to x³/10.
            np.testing.assert_allclose(got / scale, want / scale, rtol=8 * eps, atol=64 * eps)


def sums(spec: Spec, backend: str, wrap: Callable[[Any], Any] | None = None) -> np.ndarray:
    """Return the power sums of 2^12 draws that depend on no name, as the backend launches them."""
    xp = load(backend)
    block: Any = partial(Reduction(spec.under(Law()), Sampling(), 0.0, 2**10, 4, False), xp)
    launch = xp.launcher(wrap(block) if wrap else block, 2**10, xp.devices()[-1])
    return xp.host(launch(round_keys(0, "the same"), 0, 2**12, pytest.fail))


# One of each way to a slope: a module with a parameter, a pair, a function. How each of ON computes
# is compared above; a launch compiles, seconds each, and adds only what all of them share.
SAMPLED = [
    ("torch", "torch.nn:ELU:alpha=0.5", "elu:alpha=0.5"),
    ("torch", "torch_acts:tanh_pair", "tanh"),
    ("jax", "jax.nn:silu", "silu"),
]


@pytest.mark.parametrize(("backend", "path", "own"), SAMPLED)
def test_a_backend_samples_the_built_in_digits(backend: str, path: str, own: str) -> None:
    np.testing.assert_allclose(sums(read(path), backend), sums(read(own), backend), rtol=1e-12)


@pytest.mark.parametrize(
    "path",
    [
        "torch.nn:GELU",
        "torch_acts:Swish:beta=2",
        "torch_acts:Bumps",
        "torch_acts:in_place",
        "torch_acts:tanh_pair",
        "acts:cubic",
        "torch_acts:rounded",
        "torch_acts:within",
    ],
)
def test_torch_traces_them_into_one_graph(path: str) -> None:
    """Their gradients too, those of one's own among them: torch.compile gets nothing else."""
    spec, graph = read(path), load("torch").one_graph

    def traced(block: Any) -> Any:
        return lambda *inputs: graph(block, *inputs)(*inputs)

    np.testing.assert_allclose(
        sums(spec, "torch", traced), sums(spec, "torch"), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("path", "on"),
    [("torch_acts:rounded", "torch"), ("torch_acts:within", "torch"), ("jax_acts:rounded", "jax")],
)
def test_a_gradient_of_ones_own_is_used(path: str, on: str) -> None:
    x, dy = np.random.default_rng(0).normal(size=(2, 100))
    for backend in ("numpy", on):
        y, dx = both_ways(read(path), backend, x, dy)
        np.testing.assert_array_equal(y, np.round(x))
        np.testing.assert_allclose(dx, 3 * dy, rtol=1e-15)
    found = bnstats.exact(path)
    assert found.std_dx.value == pytest.approx(3, rel=1e-12)
    assert any("is given as 3, but finite differences say" in w for w in found.warnings)


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize(
    ("path", "y", "slope"),
    [
        ("acts:cubic", lambda x: x**3 / (1 + x**2), lambda x: x**2 * (3 + x**2) / (1 + x**2) ** 2),
        ("acts:bell", lambda x: np.exp(-(x**2)), lambda x: -2 * x * np.exp(-(x**2))),
        ("acts:tanh_pair", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    ],
)
def test_functions_of_any_arrays_are_differentiated_by_the_backend(
    path: str, y: Any, slope: Any, backend: str
) -> None:
    x, dy = np.random.default_rng(0).normal(size=(2, 100))
    found = both_ways(read(path), backend, x, dy)
    np.testing.assert_allclose(found[0], y(x), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(found[1], dy * slope(x), rtol=1e-13, atol=1e-15)
    narrow = both_ways(read(path), backend, x.astype("f"), dy.astype("f"))
    assert [v.dtype for v in narrow] == [np.float32, np.float32]


@pytest.mark.parametrize(("path", "backend"), [("torch_acts:constant", "torch")])
def test_a_constant_has_no_slope(path: str, backend: str) -> None:
    x, dy = np.random.default_rng(0).normal(size=(2, 100))
    for on in ("numpy", backend):
        y, dx = both_ways(read(path), on, x, dy)
        assert (y == 3).all()
        assert (dx == 0).all()


def test_a_module_follows_the_dtype_and_is_left_as_it_was() -> None:
    import_module("torch_acts")
    module = sys.modules["torch_acts"].swish
    x, dy = np.random.default_rng(0).normal(size=(2, 100))
    both_ways(read("torch_acts:swish"), "torch", x, dy)
    assert module.beta.dtype == torch.float32
    assert module.beta.grad is None
    bumps = sys.modules["torch_acts"].Bumps()
    bnstats.register(bumps, name="bumps")
    both_ways(read("bumps"), "torch", x, dy)
    assert bumps.calls == 0


def test_parameters_of_a_class_have_full_precision_and_do_not_vary() -> None:
    dtype = torch.get_default_dtype()
    x, dy = np.random.default_rng(0).normal(size=(2, 100))
    y, _ = both_ways(read("torch_acts:Swish:beta=0.1"), "torch", x, dy)
    np.testing.assert_allclose(y, x / (1 + np.exp(-0.1 * x)), rtol=1e-14)  # 0.1f is 1.5e-8 off
    first = both_ways(read("torch_acts:Bumps"), "torch", x, dy)
    USER_LAYERS.clear()
    torch.rand(1)
    state = torch.random.get_rng_state()
    np.testing.assert_array_equal(first, both_ways(read("torch_acts:Bumps"), "torch", x, dy))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_default_dtype() == dtype


def test_specs_have_a_canonical_form() -> None:
    assert read("torch.nn:ELU:alpha=1.0").text == "torch.nn:ELU"
    assert read("torch.nn:GELU:approximate=none").text == "torch.nn:GELU"
    assert read("torch.nn:GELU:approximate=tanh").text == "torch.nn:GELU:approximate=tanh"
    assert read("torch_acts:Bumps:width=2").text == "torch_acts:Bumps:width=2"
    assert read("jax.nn:elu:alpha=2.0").text == "jax.nn:elu:alpha=2"


def test_modules_and_their_classes_can_be_registered() -> None:
    bnstats.register(torch.nn.ELU, name="my_elu", breakpoints=(0.0,))
    ours = bnstats.exact("my_elu:alpha=0.5")
    assert ours.std_dx.value == pytest.approx(
        bnstats.exact("elu:alpha=0.5").std_dx.value, rel=1e-12
    )
    assert ours.warnings == (), "its breakpoint is declared"
    bnstats.register(torch.nn.SiLU(), name="my_silu")
    assert bnstats.exact("my_silu").mean_y.value == pytest.approx(
        bnstats.exact("silu").mean_y.value, rel=1e-12
    )

"""The backends as namespaces: formulas, types and special functions agree with numpy's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from accelerator_support import array, each, each_and_numpy, namespace, scope
from layer_support import draws_of
from mpmath import mp

from bnstats.backends import numpy_backend
from bnstats.specs.spec import parse
from bnstats.tables.constants import table_specs

Values = Mapping[str, np.ndarray]


def both_ways(forward: Any, xp: Any, draws: Mapping[str, Any]) -> tuple[Any, Any]:
    y, backward = forward(xp, draws)
    return y, backward(draws["dy"])


def by_numpy(spec: str, draws: Values) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(all="ignore"):
        return both_ways(parse(spec).bound.forward, numpy_backend, draws)


def by_backend(name: str, spec: str, *sets: Values) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return y and dx of sets of draws as the library computes them.

    By jax in one program, which compiles sooner than two, and not optimised, so that nothing is
    fused.
    """
    forward, xp = parse(spec).bound.forward, namespace(name)

    def outputs(sets: Any) -> Any:
        return [both_ways(forward, xp, draws) for draws in sets]

    with scope(name):
        if name == "jax":
            import jax

            options = {"xla_backend_optimization_level": 0}
            outputs = jax.jit(outputs, compiler_options=options)
        found = outputs([{k: array(name, v) for k, v in draws.items()} for draws in sets])
        return [(np.asarray(y), np.asarray(dx)) for y, dx in found]


# --- layers ----------------------------------------------------------------------------------


# jax compiles each number of a window by itself: these 4,096 take it minutes and 20 GB.
SPECS = [spec for spec in table_specs() if spec != "maxout:k=4096"]


@each
@pytest.mark.parametrize("spec", SPECS)
def test_outputs_agree_to_rounding_on_equal_inputs(name, spec):
    """Libraries round exp, sums and products otherwise: 8 ulps of the largest output at most.

    The worst of all are 3.2, the 27 terms of conv_transpose3d.
    """
    draws = draws_of(parse(spec).bound, 8)
    # What jax compiles takes its time; its float64 is compared in the tails, and over whole runs.
    types = ("float32",) if name == "jax" else ("float64", "float32")
    sets = [{k: v.astype(dtype) for k, v in draws.items()} for dtype in types]
    for dtype, both, draws in zip(types, by_backend(name, spec, *sets), sets, strict=True):
        for found, expected in zip(both, by_numpy(spec, draws), strict=True):
            assert found.dtype == expected.dtype == np.dtype(dtype)
            assert found.shape == expected.shape
            allowed = 8 * np.finfo(dtype).eps * np.max(np.abs(expected))
            assert np.max(np.abs(found - expected)) <= allowed, dtype


POINTS = np.concatenate([np.linspace(-36, 36, 289), np.logspace(-30, 1, 63), -np.logspace(-30, 1)])
CANCELS = {"gelu", "gelu:approximate=tanh", "mish", "silu", "tanhshrink", "hardswish"}
CANCELS |= {"0.5-sigmoid", "self_gated", "self_gated:gate=gelu", "shifted_softplus"}
SCALAR = [
    spec
    for spec in SPECS
    if parse(spec).bound.inputs.keys() == {"x", "dy"} and not parse(spec).bound.inputs["x"].shape
]


@each
@pytest.mark.parametrize("spec", SCALAR)
def test_activations_agree_in_the_tails(name, spec):
    """Value and slope by themselves, not by the largest: where none of them cancels."""
    draws = {"x": POINTS, "dy": np.ones_like(POINTS)}
    (both,) = by_backend(name, spec, draws)
    for found, expected in zip(both, by_numpy(spec, draws), strict=True):
        small = 1e-290  # below it torch's erfc and XLA's exp leave digits behind, or all
        rtol = 1e-13 if spec in CANCELS else 2e-15
        atol = 1e-16 if spec in CANCELS else small
        assert np.allclose(found, expected, rtol=rtol, atol=atol)


# --- special functions -----------------------------------------------------------------------


SPECIAL: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "expit": (lambda x: 1 / (1 + mp.exp(-x)), [-80, -40, -5, -0.1, 0, 0.1, 5, 40]),
    "erf": (mpmath.erf, [-5, -1, -1e-10, 1e-30, 0.3, 2, 6]),
    "erfc": (mpmath.erfc, [-6, -1, 0, 0.5, 3, 5, 9]),
    "ndtri": (
        lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1),
        [1e-30, 2.0**-33, 0.01, 0.02425, 0.3, 0.7, 0.97575, 0.9999],
    ),
}


@cache
def special_values(function: str, dtype: str) -> list[float]:
    exact, points = SPECIAL[function]
    with mp.workdps(60):
        return [float(exact(mp.mpf(float(np.dtype(dtype).type(p))))) for p in points]


@each_and_numpy
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function", SPECIAL)
def test_special_functions(name, function, dtype):
    exact, points = special_values(function, dtype), np.array(SPECIAL[function][1], dtype)
    with scope(name), np.errstate(over="ignore"):
        found = np.asarray(getattr(namespace(name), function)(array(name, points)))
    assert found.dtype == np.dtype(dtype)
    tiny = float(np.finfo(dtype).tiny)  # what lies below may be flushed to zero
    assert found.tolist() == pytest.approx(exact, rel=4 * float(np.finfo(dtype).eps), abs=tiny)


@each
def test_adding_at_an_index_leaves_the_rest(name):
    with scope(name):
        target = array(name, np.zeros((3, 4)))
        found = namespace(name).add_at(target, (slice(0, 3, 2),), array(name, np.ones((2, 4))))
        found = namespace(name).add_at(found, (0,), array(name, np.arange(4.0)))
    assert np.asarray(found).tolist() == [[1, 2, 3, 4], [0, 0, 0, 0], [1, 1, 1, 1]]


@each
def test_padding(name):
    x = np.arange(6.0).reshape(2, 3)
    with scope(name):
        found = namespace(name).pad(array(name, x), [(1, 0), (2, 3)], constant_values=-7.0)
    assert np.array_equal(np.asarray(found), np.pad(x, [(1, 0), (2, 3)], constant_values=-7.0))

"""Runs on an accelerator: right values, the same digits however they are computed, honest ends."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from accelerator_support import drawn, each, namespace
from cli_support import environment

from bnstats.api import compute
from bnstats.custom import register
from bnstats.layers import USER_LAYERS, Law
from bnstats.result import Result
from bnstats.sampling.counter import devices
from bnstats.statistics.quantities import QUANTITIES

# What inputs a draw may have: scalars of one call for two draws or for one, events, uniforms,
# weights of both laws, and a matrix that is made orthogonal.
LAYERS = {
    "sigmoid": 200_000,
    "geglu": 200_000,
    "rrelu": 200_000,
    "dropout": 200_000,
    "softmax": 40_000,
    "max_pool2d:kernel_size=3": 40_000,
    "layer_norm:normalized_shape=8": 40_000,
    "linear:init=kaiming_normal": 20_000,
    "linear:init=kaiming_uniform": 20_000,
    "linear:init=orthogonal": 20_000,
}


@cache
def computed(name: str, spec: str, **more: Any) -> Result:
    namespace(name)
    return compute(spec, samples=LAYERS.get(spec, 20_000), backend=name, seed=1, **more)


def assert_equal(left: Result, right: Result, rel: float = 1e-11) -> None:
    """Compare all estimates; a mean near zero is as right as its standard error is."""
    assert left.samples == right.samples
    assert left.nonfinite == right.nonfinite
    for k, e in left.quantities.items():
        other = right.quantities[k]
        slack = rel * (e.stderr or 0)
        assert e.value == pytest.approx(other.value, rel=rel, abs=slack), k
        assert e.stderr == pytest.approx(other.stderr, rel=1e3 * rel), k


# --- values ----------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("spec", LAYERS)
def test_estimates_agree_with_exact_values_and_with_numpy(name, spec):
    """Some 200 z in all: beyond 4.5 by chance in one of 700 seeds."""
    result = computed(name, spec)
    numpys = compute(spec, samples=LAYERS[spec], seed=1)
    assert result.samples == LAYERS[spec]
    assert result.quantities.keys() == numpys.quantities.keys()
    known = 0
    for k, e in result.quantities.items():
        other = numpys.quantities[k]
        if e.z is not None:
            known += 1
            assert abs(e.z) < 4.5, k
        if e.stderr:
            assert e.stderr == pytest.approx(other.stderr, rel=0.2), k
            assert abs(e.value - other.value) < 4.5 * math.hypot(e.stderr, other.stderr), k
    assert known >= 2


@each
def test_the_law_of_the_inputs_is_obeyed(name):
    for dtype in ("float64", "float32"):
        result = computed(name, "elu", law=Law(0.5, 2.0, 3.0), dtype=dtype)
        zs = [e.z for e in result.quantities.values() if e.z is not None]
        assert len(zs) >= 6
        assert max(map(abs, zs)) < 4.5
    assert result.std_dx.exact.value > 2  # three times the standard one


@each
def test_one_direction_is_drawn_like_both(name):
    both = computed(name, "gelu")
    for direction, prefix in (("forward", "y"), ("backward", "dx")):
        one = computed(name, "gelu", direction=direction)
        assert set(one.quantities) == {k for k, q in QUANTITIES.items() if q.direction == prefix}
        for k, e in one.quantities.items():
            assert e.value == pytest.approx(both.quantities[k].value, rel=1e-12)


@pytest.mark.parametrize("spec", LAYERS)
def test_torch_and_jax_draw_alike(spec):
    """To float32's rounding of the normals, which averages away."""
    torchs, jaxs = computed("torch", spec), computed("jax", spec)
    for k, e in torchs.quantities.items():
        assert e.value == pytest.approx(
            jaxs.quantities[k].value, rel=1e-6, abs=1e-3 * (e.stderr or 1e-9)
        ), k


# --- digits ----------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_seed_gives_the_same_digits(name, dtype):
    namespace(name)
    one = compute("relu", samples=50_000, seed=3, backend=name, dtype=dtype)
    again = compute("relu", samples=50_000, seed=3, backend=name, dtype=dtype)
    assert one.quantities == again.quantities
    other = compute("relu", samples=50_000, seed=4, backend=name, dtype=dtype)
    assert one.std_dx.value != other.std_dx.value


@each
@pytest.mark.parametrize("spec", ["relu", "max_pool2d:kernel_size=3"])
def test_digits_do_not_depend_on_blocks_or_chunks(monkeypatch, name, spec):
    namespace(name)
    one = compute(spec, samples=30_001, backend=name)
    monkeypatch.setitem(devices._BLOCK_NUMBERS, "cpu", 3000)
    monkeypatch.setattr(devices, "_CHUNK_BLOCKS", 3)
    monkeypatch.setattr(devices, "_COLUMNS", 16)
    assert_equal(one, compute(spec, samples=30_001, backend=name))


TWO_DEVICES = """
import json
from bnstats.sampling.counter import devices
from bnstats.api import compute
from bnstats.custom import register
from bnstats.layers import USER_LAYERS
devices._CHUNK_BLOCKS = 1
found = []
for device in ("cpu:1", "cpu:all"):
    r = compute("relu", samples=200_001, backend="jax", device=device, dtype="float32")
    found.append((r.device, r.samples, {k: (e.value, e.stderr) for k, e in r.quantities.items()}))
print(json.dumps(found))
"""


def test_digits_do_not_depend_on_the_number_of_devices():
    namespace("jax")
    flags = environment(XLA_FLAGS="--xla_force_host_platform_device_count=2")
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], env=flags, capture_output=True, text=True, check=True
    )
    one, both = json.loads(done.stdout)
    assert (one[0], both[0]) == ("cpu:1", "cpu:0, cpu:1")
    assert one[1:] == both[1:]
    assert one[1] == 200_001


# --- how many --------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("spec", ["relu", "geglu"])
def test_exactly_so_many_draws_count(monkeypatch, name, spec):
    """Whatever n is, a run of it is the beginning of a longer one."""
    namespace(name)
    monkeypatch.setitem(devices._BLOCK_NUMBERS, "cpu", 512)  # blocks of 256 or 128 draws
    seen = []
    for n in (1, 2, 3, 129, 1001):
        result = compute(spec, samples=n, backend=name, dtype="float32")
        assert result.samples == n
        seen.append(n * result.rms_y.value**2)
    draws = longer_run(name, spec)
    assert seen == pytest.approx([np.sum(draws[:n]) for n in (1, 2, 3, 129, 1001)], rel=1e-5)


@cache
def longer_run(name: str, spec: str) -> np.ndarray:
    """Return y² of 2048 draws by numpy, from the inputs that the backend draws."""
    x = drawn(name, spec, 1024 if spec == "relu" else 2048)["x"]
    if spec == "relu":
        return np.maximum(x, 0) ** 2
    erf = np.vectorize(math.erf)
    return np.asarray((x[0] * x[1] * (1 + erf(x[1] / math.sqrt(2))) / 2) ** 2)


@each
def test_a_layer_registered_anew_is_compiled_anew(name):
    """Its spec is what it was."""
    namespace(name)
    found = []
    try:
        for factor in (2.0, 3.0):
            USER_LAYERS.pop("scaled_by", None)
            register(name="scaled_by")(eval(f"lambda x: {factor} * x"))
            found.append(compute("scaled_by", samples=1000, backend=name).std_y.value)
    finally:
        USER_LAYERS.pop("scaled_by", None)
    assert found[1] / found[0] == pytest.approx(1.5)

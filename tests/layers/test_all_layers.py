"""What every layer keeps to, over every example and every case that an oracle has.

A new layer inherits all of it; what it must bring along is an oracle that shares no code with it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
from layer_support import LAWS, draws_of, spec_of, through

from bnstats.api import compute
from bnstats.layers import LAYERS, STANDARD, BoundLayer, Law
from bnstats.specs.spec import example_specs, parse
from bnstats.statistics.quadrature import Expectation

# Layers by the module of oracles that covers them, each with parameters to be tried.
COVERED: dict[str, dict[str, Any]] = {
    path.stem: import_module(path.stem).COVERS
    for path in sorted(Path(oracles.__file__).parent.glob("oracles_*.py"))
    if path.stem != "oracles_philox"
}
EXAMPLES = sorted(spec for layer in LAYERS.values() for spec in example_specs(layer))

# Where the sample and the exact value can disagree and no example looks: strides that do not divide
# the input, windows cut off, groups, weights, regions, rare draws.
MORE = [
    "dropout1d:input_size=1,p=0.9",
    "dropout2d:input_size=3x2,p=0.2,scaling=sqrt",
    "drop_path:elements=1,p=0.9",
    "alpha_dropout:p=0.05",
    "feature_alpha_dropout:elements=1,p=0.8",
    "gaussian_dropout:rate=0.8",
    "gaussian_noise:stddev=2",
    "linear:init=glorot_normal,in_features=3,out_features=5",
    "linear:init=he_normal",
    "linear:init=lecun_uniform",
    "linear:gain=2,init=orthogonal,in_features=3,out_features=5",
    "linear:init=truncated_normal,mode=fan_out,in_features=3",
    "conv1d:dilation=2,groups=2,init=orthogonal,padding=1,input_size=6",
    "conv1d:in_channels=4,out_channels=8,groups=4,init=unit_fan_out",
    "conv1d:in_channels=4,out_channels=8,groups=4,init=unit_fan_in",
    "linear:bias=true,in_features=9,init=torch,out_features=2",
    "conv2d:bias=true,init=torch,input_size=5,padding=same,stride=2",
    "conv_transpose1d:bias=true,in_channels=3,init=torch,stride=2",
    "conv_transpose1d:in_channels=3,init=flax",
    "conv2d:groups=2,kernel_size=2,dilation=2,stride=2,init=lecun_normal",
    "conv3d:kernel_size=1x2x2,init=unit_fan_in",
    "conv_transpose1d:stride=2,init=unit_fan_in,in_channels=3",
    "conv_transpose1d:stride=2,init=unit_fan_out,in_channels=3,input_size=4,output_padding=1",
    "conv_transpose2d:kernel_size=2,stride=2,groups=2,init=orthogonal",
    "conv_transpose3d:kernel_size=2,stride=2",
    "max_pool1d:dilation=3,kernel_size=2,stride=2",
    "max_pool2d:ceil_mode=true,dilation=2x1,input_size=7x6,kernel_size=3,padding=1,stride=2",
    "avg_pool2d:ceil_mode=true,count_include_pad=false,input_size=6,kernel_size=3,padding=1,stride=2",
    "avg_pool1d:ceil_mode=true,divisor_override=2,input_size=6,kernel_size=3,stride=2",
    "adaptive_max_pool2d:input_size=7x5,output_size=3x2",
    "adaptive_avg_pool1d:input_size=3,output_size=5",
    "fractional_max_pool2d:input_size=6x5,kernel_size=2x3,output_size=4x2",
    "lp_pool2d:ceil_mode=true,input_size=4,kernel_size=3,norm_type=2,stride=2",
    "lp_pool1d:kernel_size=3,norm_type=1,stride=2",
    "3-2*tanh",
    "0.5+2*softplus:beta=2",
    "-1*avg_pool1d:kernel_size=2",
    "1+2*rrelu",
    "2*layer_norm:normalized_shape=5",
    "relu..max_pool2d:kernel_size=3,stride=2",
    "leaky_relu:negative_slope=0.2..maxout:k=3",
    "shifted_softplus..max_pool1d:input_size=5,kernel_size=3,padding=1",
]
# Chains whose exact values are not known.
SAMPLED = [
    "2*relu..conv2d:in_channels=2,out_channels=3,stride=2",
    "gelu..softmax:n=3",
    "swiglu..tanh",
]
REGIONS = [
    f"{spec},region={region}"
    for spec in (
        "max_pool2d:input_size=7,kernel_size=3,padding=1,stride=2",
        "avg_pool2d:ceil_mode=true,count_include_pad=false,input_size=6,kernel_size=3,stride=2",
        "conv2d:init=unit_fan_out,input_size=5,padding=1",
    )
    for region in ("interior", "border")
]
CASES = {
    spec_of(name, params)
    for covers in COVERED.values()
    for name, cases in covers.items()
    for params in cases
}
SPECS = sorted({*EXAMPLES, *MORE, *SAMPLED, *CASES})
every_spec = pytest.mark.parametrize("spec", SPECS)


def test_every_layer_has_an_independent_oracle():
    covered = set(itertools.chain(*COVERED.values()))
    absent = sorted(set(LAYERS) - covered)
    assert not absent, "name them in COVERS of a tests/support/oracles_*.py that tests them"
    assert covered <= set(LAYERS)


def draws_for(bound: BoundLayer) -> dict[str, np.ndarray]:
    """Return draws, fewer of wide layers, x away from where the layer is not smooth."""
    draws = draws_of(bound, 32 if bound.numbers < 300 else 4, seed=1)
    for point in bound.breakpoints:
        x = draws["x"]
        draws["x"] = np.where(np.abs(x - point) < 1e-3, x + 0.01, x)
    return draws


def blocks(bound: BoundLayer, dx: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for every place that dx may have in x, a random direction that is 0 elsewhere.

    The interior of a map is a period of it, in the midst of all that its windows see.
    """
    shape, part = bound.inputs["x"].shape, dx.shape[:-1]
    v = np.random.default_rng(3).normal(size=dx.shape)
    rooms = [range(whole - held + 1) for whole, held in zip(shape, part, strict=True)]
    for corner in itertools.product(*rooms):
        padded = np.zeros((*shape, dx.shape[-1]))
        padded[tuple(slice(c, c + n) for c, n in zip(corner, part, strict=True))] = v
        yield padded


@every_spec
def test_backward_is_the_transpose_of_the_jacobian(spec):
    """⟨dy, J·v⟩ = ⟨Jᵀ·dy, v⟩ in every draw, J·v by central differences."""
    spec = re.sub(r",region=\w+", "", spec)  # whose y and dx are parts of the whole map's
    bound, h = parse(spec).bound, 1e-5
    if spec.startswith("conv_transpose") and "input_size" not in spec:
        # in the interior of its map y is a period of what dy is given for
        bound = parse(f"{spec}{',' if ':' in spec else ':'}input_size=2").bound
    draws = draws_for(bound)
    y, dx = through(bound, draws)
    assert y.shape == draws["dy"].shape

    def of_each_draw(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, values.shape[-1]).sum(0)

    # central differences err by h²·f‴/6, and f‴ grows as a high power of the gradient's scale
    largest = np.abs(dx).reshape(-1, dx.shape[-1]).max(0)
    steep = largest > 20
    assert steep.mean() < 0.2
    matches = []
    for v in blocks(bound, dx):
        above, below = (through(bound, draws | {"x": draws["x"] + s * v})[0] for s in (h, -h))
        along = of_each_draw(draws["dy"] * (above - below)) / (2 * h)
        ours = of_each_draw(dx * np.random.default_rng(3).normal(size=dx.shape))
        matches.append(bool(np.all(steep | (np.abs(ours - along) <= 1e-6 * (1 + largest**2)))))
    assert any(matches)


@every_spec
def test_the_dtype_is_kept_and_the_inputs_are_left_alone(spec):
    bound = parse(spec).bound
    draws = draws_for(bound)
    y = through(bound, draws)[0]
    for dtype in ("float32", "float64"):
        given = {k: v.astype(dtype) for k, v in draws.items()}
        kept = {k: v.copy() for k, v in given.items()}
        found = through(bound, given)
        assert found[0].dtype == found[1].dtype == dtype
        for k, v in given.items():
            np.testing.assert_array_equal(v, kept[k], err_msg=k)
        np.testing.assert_allclose(found[0], y, rtol=1e-3, atol=1e-4)


def stated(bound: BoundLayer, law: Law = STANDARD) -> dict[str, Any]:
    """Return the moments that a layer states, by name."""
    with np.errstate(all="ignore"):
        return bound.moments(law, Expectation(law)).stated


@every_spec
def test_moments_are_those_that_a_layer_may_state(spec):
    bound = parse(spec).bound
    of_one = {"m3_y", "m4_y", "m4_dx"}
    of_several = {"var_ms_y", "var_ms_dx", "ms_y", "mean_dx"}
    single = {math.prod(bound.inputs[name].shape) for name in ("x", "dy")} == {1}
    of_scalars = {"cov_xy", "drift", "mean_slope"} if single else set()
    found = stated(bound)
    assert set(found) <= {"mean_y", "var_y", "ms_dx"} | of_one | of_several | of_scalars
    if not {"mean_y", "var_y", "ms_dx"} <= set(found):
        assert bound.why_inexact
    assert not set(found) & (of_several - {"ms_y", "mean_dx"} if single else {"m3_y"})
    if "mean_dx" in found:  # of every draw
        assert (found["mean_dx"].value, found["mean_dx"].error) == (0, 0)
    for name, known in found.items():
        assert known.error >= 0, name
        if not name.startswith(("mean", "m3", "cov", "drift")):
            assert known.value >= 0, name


@pytest.mark.parametrize("spec", [s for s in SPECS if parse(s).bound.is_scalar])
def test_moments_of_scalars_are_those_of_draws(spec):
    """What only stacks are told of is in no quantity that sampling compares."""
    bound, law = parse(spec).bound, LAWS[1]
    known = stated(bound, law)
    draws = draws_of(bound, 100_000, seed=21)
    z, dy = draws["x"], draws["dy"]
    draws |= {"x": law.x_mean + law.x_std * z, "dy": law.dy_std * dy}
    y, dx = through(bound, draws)
    samples = {
        "cov_xy": law.x_std * z * y,
        "drift": (z**2 - 1) * y**2 / 2,
        "mean_slope": dx * dy / law.dy_std,
    }
    for name in set(samples) & set(known):
        one = np.ravel(samples[name])
        error = np.std(one) / math.sqrt(one.size) + 1e-12
        assert abs(np.mean(one) - known[name].value) < 5 * error, name


@pytest.mark.parametrize(("law", "seed"), [(STANDARD, 11), (LAWS[1], 12)], ids=["standard", "law"])
@pytest.mark.parametrize("spec", [*EXAMPLES, *MORE, *REGIONS])
def test_sampling_agrees_with_the_exact_value(spec, law, seed):
    samples = min(max(2_000_000 // parse(spec).bound.numbers, 5000), 200_000)
    result = compute(spec, samples=samples, seed=seed, law=law, workers=1)
    tested = {name: q.z for name, q in result.quantities.items() if q.z is not None}
    for name, z in tested.items():
        assert abs(z) < 4.5, f"{name}: {result.quantities[name]}, {result.quantities[name].exact}"
    # a quantity with an exact value is left untested only where the sample shows no spread
    for name, estimate in result.quantities.items():
        assert name in tested or estimate.exact is None or estimate.stderr is None, name
        if spec not in EXAMPLES:
            assert name in tested, name

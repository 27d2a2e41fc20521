"""Pooling of every kind against torch, loops and enumerated exact values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import oracles_pooling as oracle
import pytest
from layer_support import DRAWS, LAWS, draws_of, embedded, laws, through
from mpmath import mp

from bnstats.layers import LAYERS, STANDARD, BoundLayer, Law, ParameterError
from bnstats.layers._chi import chi
from bnstats.specs.spec import example_specs, parse, value_text
from bnstats.statistics.exact import exact_values

FAMILIES = ("max_pooling", "average_pooling", "lp_pooling", "fractional_pooling")
NAMES = [layer.name for layer in LAYERS.values() if layer.family in FAMILIES]
# What a layer is called with; ``sides`` stands for itself, all else are its parameters. Sizes that
# the strides do not divide, windows cut off by ceil_mode, gaps, overlaps, unequal sides.
SLIDING: list[dict[str, Any]] = [
    {"kernel_size": (3,), "stride": (2,), "input_size": (6,), "ceil_mode": True},
    {"kernel_size": (2,), "stride": (3,), "input_size": (7,), "ceil_mode": True},
    {"kernel_size": (4,), "stride": (3,), "padding": (2,), "input_size": (3,), "ceil_mode": True},
    {"kernel_size": (5,), "stride": (3,), "input_size": (3,), "ceil_mode": True},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "input_size": (6, 7)},
    {"kernel_size": (3, 2), "stride": (2, 3), "input_size": (6, 6), "ceil_mode": True},
    {"kernel_size": (3, 4), "stride": (2, 3), "padding": (1, 2), "input_size": (6, 7)}
    | {"ceil_mode": True},
    {"kernel_size": (2, 3, 2), "stride": (2, 2, 1), "padding": (1, 0, 1), "input_size": (4, 4, 3)}
    | {"ceil_mode": True},
]
DILATED: list[dict[str, Any]] = [
    {"kernel_size": (3,), "stride": (1,), "dilation": (2,), "input_size": (7,)},
    {"kernel_size": (2,), "stride": (2,), "dilation": (4,), "input_size": (8,), "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 1), "dilation": (2, 3)}
    | {"input_size": (6, 7)},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (2, 1)}
    | {"input_size": (6, 6), "ceil_mode": True},
    {"kernel_size": (2, 2, 1), "stride": (1, 2, 2), "dilation": (2, 1, 3), "input_size": (4, 4, 3)},
]
ADAPTIVE: list[dict[str, Any]] = [
    {"output_size": (o,) * sides, "input_size": (n,) * sides}
    for (o, n), sides in itertools.product([(3, 8), (4, 6), (5, 3), (1, 4)], (1, 2))
] + [
    {"output_size": (2, 4), "input_size": (7, 6)},
    {"output_size": (2, 3, 1), "input_size": (5, 4, 3)},
]
FRACTIONAL: list[dict[str, Any]] = [
    {"kernel_size": (2, 2), "output_size": (4, 4), "input_size": (7, 7)},
    {"kernel_size": (3, 3), "output_size": (4, 4), "input_size": (10, 10)},
    {"kernel_size": (1, 2), "output_size": (5, 1), "input_size": (9, 5)},
    {"kernel_size": (2, 3), "output_size": (3, 4), "input_size": (7, 11)},
    {"kernel_size": (2, 3, 1), "output_size": (3, 2, 4), "input_size": (7, 8, 6)},
    {"kernel_size": (3, 2), "output_size": (1, 3), "input_size": (3, 5)},
]


def cases() -> Iterator[Any]:
    """Yield (layer without sides, parameters) of everything on a finite map."""
    found = [("max_pool", p) for p in SLIDING + DILATED]
    found += [
        ("avg_pool", p | options)
        for p in SLIDING
        for options in ({}, {"count_include_pad": False}, {"divisor_override": -3})
    ]
    found += [
        ("lp_pool", p | {"norm_type": norm})
        for p, norm in itertools.product(SLIDING, (1, 2, 4, 6))
        if "padding" not in p
    ]
    cube = {"kernel_size": (2, 1, 3), "stride": (1, 2, 2), "input_size": (3, 2, 4)}
    found += [("lp_pool", cube | {"norm_type": norm}) for norm in (1, 2, 4)]
    found += [(pool, p) for pool in ("adaptive_max_pool", "adaptive_avg_pool") for p in ADAPTIVE]
    found += [
        (pool, {"input_size": size})
        for pool in ("global_max_pool", "global_avg_pool")
        for size in ((5,), (3, 4), (2, 3, 2))
    ]
    found += [("fractional_max_pool", p) for p in FRACTIONAL]
    for pool, params in found:
        texts = (f"{k}={value_text(v)}" for k, v in params.items())
        yield pytest.param(pool, params, id=f"{pool}:{','.join(texts)}")


CASES = list(cases())
every_case = pytest.mark.parametrize(("pool", "params"), CASES)


def test_every_layer_that_the_oracle_covers_is_tested():
    assert {name_of(*case.values) for case in CASES} == set(oracle.COVERS) >= set(NAMES)


def name_of(pool: str, params: dict[str, Any]) -> str:
    return f"{pool}{len(params['input_size'])}d"


def event_of(pool: str, params: dict[str, Any]) -> BoundLayer:
    return LAYERS[name_of(pool, params)].bind(**params)


def windows_of(pool: str, params: dict[str, Any], u: Any = None) -> list[oracle.Window]:
    """Return the oracle's windows; ``u`` places those of fractional pooling."""
    size = params["input_size"]
    if pool.startswith("adaptive"):
        return oracle.adaptive(size, params["output_size"])
    if pool.startswith("global"):
        return oracle.adaptive(size, (1,) * len(size))
    if pool.startswith("fractional"):
        u = u[::-1] if len(size) == 2 else u  # torch's order of samples
        return oracle.fractional(size, params["kernel_size"], params["output_size"], u)
    return oracle.sliding(
        size,
        params["kernel_size"],
        params["stride"],
        params.get("padding", (0,) * len(size)),
        params.get("dilation", (1,) * len(size)),
        params.get("ceil_mode", False),
    )


def rule_of(pool: str, params: dict[str, Any]) -> oracle.Rule:
    if "max" in pool:
        return oracle.largest
    if pool == "lp_pool":
        return oracle.norm(params["norm_type"], math.prod(params["kernel_size"]))
    if pool != "avg_pool" or params.get("count_include_pad") is False:
        return oracle.average(lambda w: len(w.inside))
    override = params.get("divisor_override")
    return oracle.average(lambda w: w.counted if override is None else override)


def torch_pool(name: str, draws: dict[str, Any], params: dict[str, Any]) -> tuple[Any, Any]:
    """Return torch's y and the gradient of x; arrays are (*map, draws)."""
    torch = pytest.importorskip("torch")
    options = {k: v for k, v in params.items() if k != "input_size"}
    sides = len(params["input_size"])
    if name.startswith("global"):
        name = name.replace("global", "adaptive")
        options["output_size"] = (1,) * sides
    if name == "lp_pool1d":  # multiplies by its kernel_size, which must be a number
        options["kernel_size"] = options["kernel_size"][0]
    if name.startswith("adaptive") and sides == 1:
        options["output_size"] = options["output_size"][0]
    if "random_samples" in draws:
        options["_random_samples"] = torch.tensor(draws["random_samples"].T[:, None])
    leaf = torch.tensor(np.moveaxis(draws["x"], -1, 0)[:, None], requires_grad=True)
    y = getattr(torch.nn.functional, name)(leaf, **options)
    y.backward(torch.tensor(np.moveaxis(draws["dy"], -1, 0)[:, None]))
    return tuple(np.moveaxis(t.detach().numpy()[:, 0], 0, -1) for t in (y, leaf.grad))


# --- forward and backward ---------------------------------------------------------------------


def in_torch(pool: str, params: dict[str, Any]) -> bool:
    return not (name_of(pool, params) == "avg_pool1d" and "divisor_override" in params)


@pytest.mark.parametrize(("pool", "params"), [c for c in CASES if in_torch(*c.values)])
def test_pooling_equals_torch(pool, params):
    bound = event_of(pool, params)
    draws = draws_of(bound)
    expected = torch_pool(name_of(pool, params), draws, params)
    for ours, theirs in zip(through(bound, draws), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=2e-15)


@every_case
def test_pooling_equals_the_scalar_twin(pool, params):
    bound = event_of(pool, params)
    draws = draws_of(bound, seed=1)
    y, dx = through(bound, draws)
    for n in range(DRAWS):
        u = draws.get("random_samples", np.empty((0, DRAWS)))[:, n]
        windows = windows_of(pool, params, u)
        rule = rule_of(pool, params)
        expected = oracle.twin(windows, rule, draws["x"][..., n], draws["dy"][..., n])
        assert y[..., n].shape == expected[0].shape
        np.testing.assert_allclose(y[..., n], expected[0], rtol=1e-13, atol=2e-15)
        np.testing.assert_allclose(dx[..., n], expected[1], rtol=1e-13, atol=2e-15)


INTERIOR = [
    ((3,), (1,), (2,)),
    ((2,), (3,), (2,)),
    ((2,), (1,), (5,)),
    ((3, 2), (2, 1), (1, 3)),
    ((2, 3), (3, 2), (2, 2)),
    ((2, 2, 1), (1, 3, 2), (2, 1, 2)),
]


@pytest.mark.parametrize(("kernel", "stride", "dilation"), INTERIOR)
def test_the_dilated_interior_is_a_piece_of_a_large_map(kernel, stride, dilation):
    geometry = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
    bound = LAYERS[f"max_pool{len(kernel)}d"].bind(**geometry)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    big, small, windows, kept = embedded(bound, reach, stride)
    assert bound.inputs["x"].shape == small["x"].shape[:-1]
    y, dx = through(bound, small)
    size = big["x"].shape[:-1]
    expected = torch_pool(f"max_pool{len(kernel)}d", big, geometry | {"input_size": size})
    np.testing.assert_array_equal(y, expected[0][windows])
    np.testing.assert_allclose(dx, expected[1][kept], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), INTERIOR)
def test_the_outermost_windows_of_the_interior_reach_its_period(kernel, stride, dilation):
    bound = LAYERS[f"max_pool{len(kernel)}d"].bind(
        kernel_size=kernel, stride=stride, dilation=dilation
    )
    exact = exact_values(bound, STANDARD)["var_dx"]
    assert exact.value == pytest.approx(1 / math.prod(stride), rel=1e-15)
    # no window is there for nothing: those at both ends of a side reach the kept period
    count = bound.inputs["dy"].shape
    for window in itertools.product(*({0, n - 1} for n in count)):
        dy = np.zeros((*count, 200))
        dy[window] = 1.0
        x = np.random.default_rng(4).normal(size=(*bound.inputs["x"].shape, 200))
        assert np.any(through(bound, {"x": x, "dy": dy})[1] != 0), window


TIES = [c for c in CASES if c.values[0].endswith("max_pool")]


@pytest.mark.parametrize(("pool", "params"), TIES)
def test_the_first_of_equal_elements_wins_as_in_torch(pool, params):
    bound = event_of(pool, params)
    draws = draws_of(bound, n=8)
    draws["x"] = np.random.default_rng(3).integers(0, 2, draws["x"].shape).astype(float)
    expected = torch_pool(name_of(pool, params), draws, params)
    np.testing.assert_allclose(through(bound, draws)[1], expected[1], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("norm", [1, 2, 4])
def test_lp_pooling_has_torchs_gradient_where_all_elements_are_zero(norm):
    params = {"norm_type": norm, "kernel_size": (2, 2), "stride": (2, 2), "input_size": (4, 4)}
    bound = event_of("lp_pool", params)
    draws = draws_of(bound)
    draws["x"][:2, :2] = 0.0
    y, dx = through(bound, draws)
    assert np.all(y[0, 0] == 0)
    np.testing.assert_array_equal(dx[:2, :2], 0.0)
    expected = torch_pool("lp_pool2d", draws, params)
    np.testing.assert_allclose(dx, expected[1], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("norm", [2, 4, 12, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0])
@pytest.mark.parametrize("rest", [(-0.75, 0.5), (-0.0375, 0.025)])  # 0.0375^−300 overflows
@pytest.mark.parametrize("first", [0, 1, 2])
def test_lp_pooling_keeps_its_digits_where_powers_leave_the_range(norm, dtype, scale, rest, first):
    bound = event_of("lp_pool", {"norm_type": norm, "kernel_size": 3, "input_size": (3,)})
    x = np.roll(np.array([[1.0], [rest[0]], [rest[1]]], dtype), first, axis=0)
    x *= np.dtype(dtype).type(scale)
    y, dx = through(bound, {"x": x, "dy": np.ones((1, 1), dtype)})
    assert y.dtype == dx.dtype == dtype
    with mp.workdps(40):
        values = [mp.mpf(float(v)) for v in x[:, 0]]
        true = mp.fsum(v**norm for v in values) ** (mp.mpf(1) / norm)
        slopes = [float((v / true) ** (norm - 1)) for v in values]
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y[0, 0], float(true), rtol=8 * eps)
    np.testing.assert_allclose(dx[:, 0], slopes, rtol=8 * norm * eps, atol=1e-30)


# --- which parameters torch accepts -------------------------------------------------------------


def accepted(call: Any, *errors: type[Exception]) -> Any:
    try:
        return call()
    except errors:
        return None


def sizes() -> Iterator[dict[str, Any]]:
    """Yield small geometries, legal and illegal."""
    for n, k, s, p, ceil in itertools.product(
        range(1, 6), range(1, 5), range(1, 4), range(3), (False, True)
    ):
        yield {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": ceil, "input_size": (n,)}


@pytest.mark.parametrize(
    ("pool", "options"),
    [
        ("max_pool", {}),
        ("max_pool", {"dilation": 2}),
        ("max_pool", {"dilation": 3}),
        ("avg_pool", {}),
        ("avg_pool", {"count_include_pad": False}),
    ],
    ids=["max", "dilation=2", "dilation=3", "avg", "exclude-pad"],
)
def test_every_small_geometry_is_torchs_or_refused_by_both(pool, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    equal = refused = 0
    for params in sizes():
        params = params | options
        (n,) = params["input_size"]
        x = rng.normal(size=n)
        given = {k: v for k, v in params.items() if k != "input_size"}
        call = getattr(torch.nn.functional, f"{pool}1d")
        theirs = accepted(lambda: call(torch.tensor(x[None, None]), **given), RuntimeError)  # noqa: B023
        ours = accepted(lambda: event_of(pool, params), ParameterError)  # noqa: B023
        if ours is None:
            # torch answers −∞ where a window has no element
            assert theirs is None or not torch.isfinite(theirs).all(), params
            refused += 1
            continue
        assert theirs is not None, params
        y, _ = through(ours, {"x": x[:, None], "dy": np.zeros((theirs.shape[-1], 1))})
        np.testing.assert_allclose(y[:, 0], theirs[0, 0].numpy(), rtol=1e-13, atol=1e-15)
        equal += 1
    assert min(equal, refused) > 50


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("max_pool1d:kernel_size=3,padding=2", "padding=2 is more than half of kernel_size=3"),
        ("max_pool1d:kernel_size=3,padding=2,dilation=2", "more than half of kernel_size=3"),
        ("avg_pool2d:kernel_size=3x1,padding=1", "padding=1 is more than half of kernel_size=1"),
        ("avg_pool2d:kernel_size=4000x2501", "hold more than 10,000,000 elements"),
        ("max_pool1d:kernel_size=2,dilation=3,padding=1,input_size=2", "skip the whole input"),
        ("max_pool1d:kernel_size=3,dilation=2,input_size=4", "reaches over 5 positions"),
        ("avg_pool1d:kernel_size=5,input_size=4", "kernel_size=5 is larger than .* 4"),
        ("avg_pool2d:kernel_size=2,divisor_override=0", "divides by zero"),
        ("lp_pool2d:kernel_size=2,norm_type=3", "norm_type=3 is NaN"),
        ("lp_pool2d:kernel_size=2,norm_type=0", r"outside \[1, inf\)"),
        ("fractional_max_pool2d:kernel_size=2,output_size=6,input_size=6", "need 7 positions"),
        ("adaptive_avg_pool2d:output_size=2,input_size=0", r"outside \[1, inf\)"),
        ("adaptive_max_pool1d:output_size=2", "needs input_size"),
        ("global_max_pool2d", "needs input_size"),
        ("max_pool2d:kernel_size=2,dilation=1x1x1", "dilation=1x1x1 has 3 sides"),
    ],
)
def test_what_makes_no_layer_is_refused_with_its_reason(spec, message):
    with pytest.raises(Exception, match=message):
        parse(spec)


def test_the_largest_window_is_a_layer():
    assert LAYERS["avg_pool2d"].bind(kernel_size=(4000, 2500)).numbers == 10**7 + 1


@pytest.mark.parametrize(
    ("kernel", "output", "size"), list(itertools.product(range(1, 4), range(1, 5), range(1, 6)))
)
def test_fractional_pooling_refuses_what_torch_refuses(kernel, output, size):
    torch = pytest.importorskip("torch")
    params = {"kernel_size": kernel, "output_size": output}
    call = torch.nn.functional.fractional_max_pool2d
    theirs = accepted(lambda: call(torch.zeros(1, 1, size, size), **params), RuntimeError)
    ours = accepted(
        lambda: LAYERS["fractional_max_pool2d"].bind(input_size=size, **params), ParameterError
    )
    assert (theirs is None) == (ours is None)


def test_hints_name_what_has_no_effect_in_the_interior():
    (hint,) = parse("max_pool2d:kernel_size=3,padding=1,ceil_mode=true").bound.hints
    assert hint.startswith("padding and ceil_mode change nothing in the interior")
    (hint,) = parse("lp_pool2d:kernel_size=3,norm_type=2,ceil_mode=true").bound.hints
    assert hint.startswith("ceil_mode changes nothing")
    assert parse("avg_pool2d:kernel_size=3,padding=1,input_size=5").bound.hints == ()


@pytest.mark.parametrize(
    ("alias", "spec"),
    [
        ("max_pooling2d", "max_pool2d:kernel_size=2"),
        ("max_pooling1d:kernel_size=3,stride=1", "max_pool1d:kernel_size=3,stride=1"),
        ("average_pooling3d:kernel_size=2", "avg_pool3d:kernel_size=2"),
        ("global_max_pooling2d:input_size=7", "global_max_pool2d:input_size=7"),
        ("global_average_pooling1d:input_size=7", "global_avg_pool1d:input_size=7"),
    ],
)
def test_keras_names(alias, spec):
    assert parse(alias).text == spec


# --- exact values ----------------------------------------------------------------------------


def expected_moments(pool: str, params: dict[str, Any], law: Law) -> tuple[Any, Any, Any]:
    """Return mean and variance of y and E[dx²], from every window on its own."""
    windows = windows_of(pool, params, (0.3, 0.6, 0.8)[: len(params["input_size"])])
    m, s = law.x_mean, law.x_std
    rule = rule_of(pool, params)
    ones = np.ones(params["input_size"])
    parts = []
    for w in windows:
        count = len(w.inside)
        if "max" in pool:
            parts.append(oracle.largest_moments(count, m, s))
        elif pool == "lp_pool" and params["norm_type"] == 2:
            parts.append(oracle.length_moments(count, math.prod(params["kernel_size"]), m, s))
        else:
            parts.append(oracle.sum_moments(count, rule(w, ones)[1][0], m, s))
    return oracle.map_moments(parts, math.prod(params["input_size"]), law.dy_std)


def check(bound: BoundLayer, law: Law, expected: tuple[Any, Any, Any]) -> None:
    exact = exact_values(bound, law)
    mean, var, ms_dx = (float(e) for e in expected)
    # a variance is rounded relative to the mean square
    bounds = {"mean_y": (mean, math.sqrt(mean**2 + var)), "var_y": (var, mean**2 + var)}
    for name, (true, scale) in (bounds | {"var_dx": (ms_dx, ms_dx)}).items():
        known = exact[name]
        assert abs(known.value - true) <= known.error + 4e-16 * abs(true), f"{name}: {known}"
        assert known.error <= 2e-13 * scale, f"{name}: {known} is too loose"


@laws
@every_case
def test_exact_values_by_enumeration_of_the_windows(pool, params, law):
    bound = event_of(pool, params)
    if params.get("norm_type", 0) > 2:
        assert set(exact_values(bound, law)) == {"mean_dx"}
        assert bound.why_inexact
        return
    assert bound.why_inexact == ""
    check(bound, law, expected_moments(pool, params, law))


@laws
@pytest.mark.parametrize("kernel", [1, 2, 7, 64])
@pytest.mark.parametrize("norm", [1, 2])
def test_the_interior_of_lp_pooling(norm, kernel, law):
    bound = parse(f"lp_pool1d:kernel_size={kernel},stride=2,norm_type={norm}").bound
    found = oracle.length_moments(kernel, kernel, law.x_mean, law.x_std)
    if norm == 1:
        found = oracle.sum_moments(kernel, 1, law.x_mean, law.x_std)
    mean, var, ms_dx = oracle.map_moments([found], 2, law.dy_std)
    check(bound, law, (mean, var, ms_dx))


def test_any_norm_of_one_element_is_its_absolute_value():
    bound = parse("lp_pool1d:kernel_size=1,norm_type=6").bound
    check(bound, STANDARD, (mp.sqrt(2 / mp.pi), 1 - 2 / mp.pi, 1.0))
    assert bound.why_inexact == ""


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 50, 1001])
@pytest.mark.parametrize("noncentrality", [0.0, 1e-3, 1.0, 30.0, 324.0, 5000.0])
def test_moments_of_chi_equal_mpmath(degrees, noncentrality):
    found = chi(degrees, noncentrality)
    with mp.workdps(40):
        n, lam = mp.mpf(degrees), mp.mpf(noncentrality)

        def raw(k: int) -> Any:
            ratio = mp.gamma((n + k) / 2) / mp.gamma(n / 2)
            return mp.mpf(2) ** (mp.mpf(k) / 2) * ratio * mp.hyp1f1(-mp.mpf(k) / 2, n / 2, -lam / 2)

        one, two, three, four = (raw(k) for k in range(1, 5))
        var = two - one**2
        m4 = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
        assert abs(found.mean.value - one) <= found.mean.error < 1e-13 * (10 + noncentrality)
        assert (
            abs(found.var.value - var)
            <= found.var.error
            < 1e-14 * (degrees + noncentrality + 100) ** 1.5
        )
        if degrees + noncentrality < 100:
            assert found.m4.value == pytest.approx(float(m4), rel=1e-9)


def test_where_chi_would_take_long_only_dx_is_known():
    law = Law(x_mean=1e3)
    exact = exact_values(parse("lp_pool2d:kernel_size=2,norm_type=2").bound, law)
    assert set(exact) >= {"mean_dx", "var_dx"}
    assert "mean_y" not in exact


@pytest.mark.parametrize("law", LAWS[:2])
def test_the_spread_of_one_windows_length_is_that_of_chi(law):
    bound = parse("lp_pool1d:kernel_size=3,norm_type=2").bound
    with mp.workdps(30):
        lam = 3 * (mp.mpf(law.x_mean) / law.x_std) ** 2
        density = {
            "c": lambda r: r**2 * mp.exp(-(r**2) / 2) * mp.sqrt(2 / mp.pi),
            # three dimensions: the angle integrates to sinh
            "n": lambda r: (
                mp.sqrt(2 / mp.pi)
                * r
                * mp.exp(-(r**2 + lam) / 2)
                * mp.sinh(r * mp.sqrt(lam))
                / mp.sqrt(lam)
            ),
        }["n" if lam else "c"]
        cuts = [mp.mpf(i) for i in range(30)]
        raw = [mp.quad(lambda r, k=k: r**k * density(r), cuts) for k in range(5)]
        assert abs(raw[0] - 1) < 1e-20
        var = raw[2] - raw[1] ** 2
        m4 = raw[4] - 4 * raw[1] * raw[3] + 6 * raw[1] ** 2 * raw[2] - 3 * raw[1] ** 4
        spread = law.x_std * mp.sqrt(m4 - var**2) / (2 * mp.sqrt(var))
    exact = exact_values(bound, law)["std_y"]
    assert exact.asymptotic_std == pytest.approx(float(spread), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_moment_is_left_out_only_with_a_reason(name):
    for spec in example_specs(LAYERS[name]):
        bound = parse(spec).bound
        known = exact_values(bound, STANDARD)
        assert ({"mean_y", "std_y", "std_dx"} <= set(known)) == (bound.why_inexact == ""), spec

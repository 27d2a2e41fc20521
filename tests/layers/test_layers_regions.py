"""The interior and the border of a finite map, told apart by visiting every lattice window."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import oracles_pooling as oracle
import pytest
from layer_support import draws_of, through
from mpmath import mpf

from bnstats.layers import LAYERS, STANDARD, Law, ParameterError
from bnstats.statistics.exact import exact_values

REGIONS = ("interior", "border")
regions = pytest.mark.parametrize("region", REGIONS)
GEOMETRIES: list[dict[str, Any]] = [
    {"kernel_size": (3,), "stride": (2,), "padding": (1,), "input_size": (8,)},
    {"kernel_size": (3,), "stride": (2,), "input_size": (8,), "ceil_mode": True},
    {"kernel_size": (2,), "stride": (4,), "padding": (1,), "input_size": (11,)},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 1), "input_size": (6, 8)},
    {"kernel_size": (3, 3), "stride": (2, 1), "padding": (0, 1), "input_size": (7, 5)},
    {"kernel_size": (3, 2, 2), "stride": (1, 1, 2), "padding": (1, 0, 1), "input_size": (5, 3, 6)},
]
DILATED = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1), "dilation": (2, 3)} | {
    "input_size": (9, 9)
}
CASES = [
    *(("max_pool", g) for g in [*GEOMETRIES, DILATED]),
    *(("avg_pool", g) for g in GEOMETRIES),
    *(("avg_pool", g | {"count_include_pad": False}) for g in GEOMETRIES),
    ("lp_pool", GEOMETRIES[1] | {"norm_type": 2}),
    (
        "lp_pool",
        {"kernel_size": (3, 3), "stride": (2, 2), "input_size": (6, 8)}
        | {"ceil_mode": True, "norm_type": 2},
    ),
]
every_case = pytest.mark.parametrize(("pool", "params"), CASES)


def windows_of(params: dict[str, Any]) -> list[oracle.Window]:
    sides = len(params["input_size"])
    return oracle.sliding(
        params["input_size"],
        params["kernel_size"],
        params["stride"],
        params.get("padding", (0,) * sides),
        params.get("dilation", (1,) * sides),
        params.get("ceil_mode", False),
    )


def inner_positions(params: dict[str, Any]) -> set[tuple[int, ...]]:
    """Return the positions that along no side a window of an unbounded lattice ties to outside."""
    size, kernel, stride = (params[k] for k in ("input_size", "kernel_size", "stride"))
    padding = params.get("padding", (0,) * len(size))
    dilation = params.get("dilation", (1,) * len(size))
    along = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        lattice = [{w * s - p + d * j for j in range(k)} for w in range(-30, 60)]
        tied = [window for window in lattice if not window <= set(range(n))]
        along.append(set(range(n)).difference(*tied))
    return set(itertools.product(*along))


def split(params: dict[str, Any], region: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Return all windows, and the windows and the positions of the region, in order."""
    windows, full = windows_of(params), math.prod(params["kernel_size"])
    inner = inner_positions(params)
    chosen = [w for w in windows if (len(w.inside) == full) == (region == "interior")]
    positions = [
        p for p in np.ndindex(params["input_size"]) if (p in inner) == (region == "interior")
    ]
    return windows, chosen, positions


def bind(pool: str, params: dict[str, Any], **more: Any) -> Any:
    return LAYERS[f"{pool}{len(params['input_size'])}d"].bind(**params, **more)


@regions
@every_case
def test_a_region_is_a_part_of_the_whole(pool, params, region):
    bound = bind(pool, params, region=region)
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    whole_y, whole_dx = through(bind(pool, params), draws)
    _, windows, positions = split(params, region)
    np.testing.assert_array_equal(y, np.stack([whole_y[w.index] for w in windows]))
    np.testing.assert_array_equal(dx, np.stack([whole_dx[p] for p in positions]))


@pytest.mark.parametrize("law", [STANDARD, Law(0.7, 1.3, 2.0)], ids=["standard", "law"])
@regions
@every_case
def test_exact_values_by_enumeration(pool, params, region, law):
    def moments(w: oracle.Window) -> oracle.Moments:
        count, full = len(w.inside), math.prod(params["kernel_size"])
        if pool == "max_pool":
            return oracle.largest_moments(count, law.x_mean, law.x_std)
        if pool == "lp_pool":
            return oracle.length_moments(count, full, law.x_mean, law.x_std)
        divisor = w.counted if params.get("count_include_pad", True) else count
        return oracle.sum_moments(count, mpf(1) / divisor, law.x_mean, law.x_std)

    windows, chosen, positions = split(params, region)
    square = dict.fromkeys(np.ndindex(params["input_size"]), mpf(0))
    for w in windows:
        for p in w.inside:
            square[p] += moments(w).slopes / len(w.inside)
    mean, var, _ = oracle.map_moments([moments(w) for w in chosen], 1, 1.0)
    ms_dx = law.dy_std**2 * sum(square[p] for p in positions) / len(positions)
    exact = exact_values(bind(pool, params, region=region), law)
    for name, true in (("mean_y", mean), ("var_y", var), ("var_dx", ms_dx)):
        assert abs(exact[name].value - float(true)) <= exact[name].error + 1e-15, name
        assert exact[name].value == pytest.approx(float(true), rel=1e-12, abs=1e-13), name


@regions
def test_a_region_of_a_convolution_keeps_its_channels(region):
    params = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1), "input_size": (6, 4)}
    layer = LAYERS["conv2d"]
    options = {"in_channels": 3, "out_channels": 2, "init": "kaiming_normal"}
    bound = layer.bind(**options, **params, region=region)
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    whole_y, whole_dx = through(layer.bind(**options, **params), draws)
    windows, chosen, positions = split(params, region)
    np.testing.assert_array_equal(y, np.stack([whole_y[:, *w.index] for w in chosen], axis=1))
    np.testing.assert_array_equal(dx, np.stack([whole_dx[:, *p] for p in positions], axis=1))
    exact = exact_values(bound, STANDARD)
    held = sum(len(w.inside) for w in chosen) / len(chosen)
    assert exact["var_y"].value == pytest.approx(3 * held * 2 / 18, rel=1e-13)
    visits = sum(p in w.inside for w in windows for p in positions) / len(positions)
    assert exact["var_dx"].value == pytest.approx(2 * visits * 2 / 18, rel=1e-13)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel_size": 3, "region": "border"}, "needs input_size"),
        (
            {"kernel_size": 3, "padding": 1, "input_size": 3, "stride": 2, "region": "interior"},
            "region=interior holds no window",
        ),
        ({"kernel_size": 2, "input_size": 6, "region": "border"}, "region=border holds no window"),
        (
            {"kernel_size": 4, "padding": 2, "input_size": 4, "stride": 1, "region": "interior"},
            "region=interior holds no position",
        ),
    ],
)
def test_a_region_without_windows_or_positions_is_refused(params, message):
    with pytest.raises(ParameterError, match=message):
        LAYERS["max_pool1d"].bind(**params)

"""Exact values against mpmath, closed forms by hand and brute-force enumeration of windows."""

from __future__ import annotations

import functools
import math
from dataclasses import astuple, replace
from typing import Any

import mpmath
import numpy as np
import oracles
import pytest
from mpmath import mp, mpf
from oracles_elementwise import ELEMENTWISE

from bnstats.layers import LAYERS, STANDARD, ExactMoments, Known, Law
from bnstats.specs.spec import parse
from bnstats.statistics import quadrature as reference
from bnstats.statistics.exact import Exact, exact_values
from bnstats.statistics.quadrature import Expectation
from bnstats.statistics.quantities import QUANTITIES

LAWS = [STANDARD, Law(0.5, 1.7, 2.0), Law(-2.0, 0.5, 0.3)]
laws = pytest.mark.parametrize("law", LAWS, ids=lambda law: "x".join(map(str, law)))


def exact_of(spec: str, law: Law = STANDARD) -> dict[str, Exact]:
    return exact_values(parse(spec).bound, law)


def quantities(mean: float, var: float, ms_dx: float) -> dict[str, float]:
    """Return every reported quantity from three moments."""
    ms = var + mean**2
    return {
        "mean_y": mean,
        "std_y": math.sqrt(var),
        "var_y": var,
        "rms_y": math.sqrt(ms),
        "ms_y": ms,
        "gain_y": 1 / math.sqrt(var),
        "gain_rms_y": 1 / math.sqrt(ms),
        "gain_ms_y": 1 / ms,
        "mean_dx": 0.0,
        "std_dx": math.sqrt(ms_dx),
        "var_dx": ms_dx,
        "rms_dx": math.sqrt(ms_dx),
        "gain_dx": 1 / math.sqrt(ms_dx),
    }


def check(exact: dict[str, Exact], mean: Any, var: Any, ms_dx: Any, slack: float = 1e-12) -> None:
    """Assert that every quantity lies within its own error bound, and that the bound is tight."""
    expected = quantities(float(mean), float(var), float(ms_dx))
    assert set(expected) == set(exact) == set(QUANTITIES)
    for name, known in exact.items():
        # of the expected value itself, a float, and of the quadrature that it may come from
        rounding = 4e-16 * abs(expected[name]) + 1e-30
        distance = abs(known.value - expected[name])
        assert distance <= known.error + rounding, f"{name}: {known} is not {expected[name]!r}"
        scale = max(abs(expected[name]), expected["std_y"] if name == "mean_y" else 0.0)
        assert 0 <= known.error <= slack * scale, f"{name}: {known} is too loose"


# --- elementwise ------------------------------------------------------------------------------

CASES = [
    pytest.param(name, params, id=":".join([name, *(f"{k}={v}" for k, v in params.items())]))
    for name, oracle in ELEMENTWISE.items()
    if name in LAYERS
    for params in oracle.cases
]


@functools.cache
def mp_moments(name: str, items: tuple[Any, ...], law: Law) -> dict[str, Any]:
    params = dict(items)
    oracle = ELEMENTWISE[name]
    f = functools.partial(oracle.mp, **params)
    return oracles.moments_of(f, law.x_mean, law.x_std, oracle.breakpoints(**params))


@laws
@pytest.mark.parametrize(("name", "params"), CASES)
def test_elementwise_values_equal_mpmath_within_their_bounds(name, params, law):
    exact = exact_values(LAYERS[name].bind(**params), law)
    true = mp_moments(name, tuple(params.items()), law)
    check(exact, true["mean"], true["var"], true["ms_slope"] * mpf(law.dy_std) ** 2)


def check_spreads(exact: dict[str, Exact], true: dict[str, Any], dy_std: float) -> None:
    """Assert the spreads of a scalar event from its moments; dy⁴ has mean 3σ⁴."""
    ms_dx, m4_dx = true["ms_slope"] * mpf(dy_std) ** 2, 3 * true["m4_slope"] * mpf(dy_std) ** 4
    spread_var_y = mp.sqrt(max(true["m4"] - true["var"] ** 2, 0))
    spread_var_dx = mp.sqrt(m4_dx - ms_dx**2)
    sigma_y, sigma_dx = mp.sqrt(true["var"]), mp.sqrt(ms_dx)
    expected = {
        "mean_y": sigma_y,
        "var_y": spread_var_y,
        "std_y": spread_var_y / (2 * sigma_y),
        "gain_y": spread_var_y / (2 * sigma_y**3),
        "mean_dx": sigma_dx,
        "var_dx": spread_var_dx,
        "std_dx": spread_var_dx / (2 * sigma_dx),
        "rms_dx": spread_var_dx / (2 * sigma_dx),
        "gain_dx": spread_var_dx / (2 * sigma_dx**3),
    }
    for quantity, value in expected.items():
        assert exact[quantity].asymptotic_std == pytest.approx(float(value), rel=1e-9), quantity


@laws
@pytest.mark.parametrize(("name", "params"), CASES)
def test_elementwise_spreads_are_those_of_the_fourth_moments(name, params, law):
    exact = exact_values(LAYERS[name].bind(**params), law)
    true = mp_moments(name, tuple(params.items()), law)
    check_spreads(exact, true, law.dy_std)
    ms = true["var"] + true["mean"] ** 2
    spread = mp.sqrt(max(true["raw4"] - ms**2, 0))
    assert exact["rms_y"].asymptotic_std == pytest.approx(
        float(spread / (2 * mp.sqrt(ms))), rel=1e-9
    )
    assert exact["gain_rms_y"].asymptotic_std == pytest.approx(
        float(spread / (2 * ms**1.5)), rel=1e-9
    )


@pytest.mark.parametrize("spec", sorted(oracles.closed_forms()))
def test_closed_forms_by_hand(spec):
    exact = exact_of(spec)
    for name, value in oracles.closed_forms()[spec].items():
        assert exact[name].value == pytest.approx(value, rel=2e-15, abs=2e-15), name
        assert abs(exact[name].value - value) <= exact[name].error + 1e-15 * abs(value), name


@pytest.mark.parametrize("spec", sorted(oracles.closed_forms()))
def test_dx_scales_with_dy_and_where_the_layer_is_blind_to_scale_not_with_x(spec):
    flat = ("max_pooling", "average_pooling", "linear", "convolution", "dropout")
    blind = parse(spec).layer.family in flat
    law = Law(0.7, 1.3, 3.0) if blind else Law(0.0, 1.0, 3.0)
    plain, scaled = exact_of(spec)["var_dx"], exact_of(spec, law)["var_dx"]
    assert scaled.value == pytest.approx(9 * plain.value, rel=1e-14)


@pytest.mark.parametrize("law", [*LAWS, Law(-1e-3, 10.0, 1.0), Law(6.0, 1.0, 1.0)])
def test_relu_of_any_normal(law):
    exact, known = exact_of("relu", law), oracles.rectified_moments(law.x_mean, law.x_std)
    for name in ("mean_y", "var_y"):
        assert exact[name].value == pytest.approx(known[name], rel=1e-13), name
    assert exact["var_dx"].value == pytest.approx(known["ms_slope"] * law.dy_std**2, rel=1e-13)


ANY_SCALE = [*LAWS, Law(-1e-3, 10.0, 1.0), Law(6.0, 1.0, 1.0), Law(1.0, 1e-4, 1.0)]


@pytest.mark.parametrize(
    "law", [*LAWS, Law(1e-3, 10.0, 1.0), Law(6.0, 1.0, 1.0), Law(-50.0, 1.0, 1.0)]
)
@pytest.mark.parametrize(("lower", "upper"), [(1 / 8, 1 / 3), (-0.5, 2.0)])
def test_a_random_slope_by_raw_moments(lower, upper, law):
    true = oracles.randomised_leaky_moments(lower, upper, law.x_mean, law.x_std)
    exact = exact_of(f"rrelu:lower={lower!r},upper={upper!r}", law)
    check(exact, true["mean"], true["var"], true["ms_slope"] * mpf(law.dy_std) ** 2)
    check_spreads(exact, true, law.dy_std)


@pytest.mark.parametrize(
    "law", [*ANY_SCALE, Law(math.pi / 2, 1e-5, 1.0), Law(3.0, 400.0, 1.0), Law(0.2, 1e5, 1.0)]
)
def test_waves_of_any_normal(law):
    waves = oracles.wave_moments(law.x_mean, law.x_std)
    power = mpf(law.dy_std) ** 2
    for name, slope in [("sin", "ms_cos"), ("cos", "ms_sin")]:
        check(exact_of(name, law), *waves[name], power * waves[slope])


@pytest.mark.parametrize(
    "law", [*ANY_SCALE, Law(0.0, 8.0, 1.0), Law(150.3, 0.3, 1.0), Law(300.0, 4.0, 1.0)]
)
def test_the_exponential_of_any_normal(law):
    with mp.workdps(60):
        m, v = mpf(law.x_mean), mpf(law.x_std) ** 2
        raw = [mp.exp(k * m + k * k * v / 2) for k in range(5)]
        m4 = raw[4] - 4 * raw[1] * raw[3] + 6 * raw[1] ** 2 * raw[2] - 3 * raw[1] ** 4
        true = {"var": raw[2] - raw[1] ** 2, "ms_slope": raw[2], "m4": m4, "m4_slope": raw[4]}
    exact = exact_of("exponential", law)
    check(exact, raw[1], true["var"], raw[2] * mpf(law.dy_std) ** 2)
    if raw[4] < 1e300:
        check_spreads(exact, true, law.dy_std)
    else:
        assert exact["std_y"].asymptotic_std is None


@pytest.mark.parametrize("law", [*ANY_SCALE, Law(1e6, 1.0, 1.0), Law(0.0, 1e-20, 1.0)])
def test_the_square_of_any_normal(law):
    with mp.workdps(60):
        m, v = mpf(law.x_mean), mpf(law.x_std) ** 2
        raw = [1, m * m + v]
        raw.append(m**4 + 6 * m**2 * v + 3 * v**2)
        raw.append(m**6 + 15 * m**4 * v + 45 * m**2 * v**2 + 15 * v**3)
        raw.append(m**8 + 28 * m**6 * v + 210 * m**4 * v**2 + 420 * m**2 * v**3 + 105 * v**4)
        m4 = raw[4] - 4 * raw[1] * raw[3] + 6 * raw[1] ** 2 * raw[2] - 3 * raw[1] ** 4
        var = raw[2] - raw[1] ** 2
        true = {"var": var, "m4": m4, "ms_slope": 4 * raw[1], "m4_slope": 16 * raw[2]}
    exact = exact_of("square", law)
    check(exact, raw[1], var, 4 * raw[1] * mpf(law.dy_std) ** 2)
    check_spreads(exact, true, law.dy_std)


@pytest.mark.parametrize("std", [1e-6, 1e-20])
def test_small_inputs_see_the_leading_power(std):
    cubic = exact_of("tanhshrink", Law(0.0, std, 1.0))  # x³/3, whose slope is x²
    assert cubic["var_y"].value == pytest.approx(15 / 9 * std**6, rel=1e-10)
    assert cubic["var_dx"].value == pytest.approx(3 * std**4, rel=1e-10)


def test_a_fourth_moment_that_is_not_resolved_states_no_spread():
    waves = Law(0.0, 1e7, 1.0)
    assert exact_of("sin", waves)["std_y"].asymptotic_std is None
    assert exact_of("sin", Law(0.0, 10.0, 1.0))["std_y"].asymptotic_std is not None


@pytest.mark.parametrize("mean", [20.0, 25.0, 30.0])
def test_bounds_hold_where_a_variance_is_rounding(mean):
    # y is one but for e^-mean: what float64 keeps of that is the variance it reports
    law = Law(mean, 1.0, 1.0)
    known = exact_of("sigmoid", law)["var_y"]
    with mp.workdps(60):
        true = oracles.moments_of(lambda x: 1 / (1 + mp.exp(-x)), mean)["var"]
    assert abs(known.value - true) <= known.error


def test_the_reported_numbers_of_the_first_table():
    assert exact_of("sigmoid")["std_dx"].value == pytest.approx(0.21174570, abs=5e-9)
    assert exact_of("sigmoid")["std_y"].value == pytest.approx(0.20827634, abs=5e-9)
    assert exact_of("relu")["mean_y"].value == pytest.approx(0.39894228, abs=5e-9)
    assert exact_of("relu")["std_y"].value == pytest.approx(0.58381937, abs=5e-9)
    for kernel, mean, std in [(2, 1.02937537, 0.70122410), (3, 1.48501316, 0.59779037)]:
        exact = exact_of(f"max_pool2d:kernel_size={kernel}")
        assert exact["mean_y"].value == pytest.approx(mean, abs=5e-9)
        assert exact["std_y"].value == pytest.approx(std, abs=5e-9)
        assert exact["std_dx"].value == pytest.approx(1 / kernel, abs=1e-15)


# --- windows ----------------------------------------------------------------------------------


def brute_force(pool: str, geometry: oracles.Map, law: Law, **options: Any) -> tuple[Any, Any, Any]:
    """Return mean and variance of y and E[dx²] by visiting every window of a finite map."""
    mp.dps = oracles.DIGITS
    insides = list(geometry.inside())
    full = math.prod(geometry.kernel)
    square: dict[tuple[int, ...], float] = dict.fromkeys(np.ndindex(geometry.size), 0.0)
    first, second = mpf(0), mpf(0)
    for inside in insides:
        m = len(inside)
        if pool == "max":
            one, two = oracles.largest_of(m)[1:3]
            mean = law.x_mean + law.x_std * one
            ms = law.x_mean**2 + 2 * law.x_mean * law.x_std * one + law.x_std**2 * two
            share = mpf(1) / m  # one of the m positions gets all of dy
        else:
            divisor = full if options.get("count_include_pad", True) else m
            mean = mpf(law.x_mean) * m / divisor
            ms = mean**2 + mpf(law.x_std) ** 2 * m / divisor**2
            share = mpf(1) / divisor**2
        first, second = first + mean, second + ms
        for position in inside:
            square[position] += share
    mean = first / len(insides)
    ms_dx = law.dy_std**2 * mp.fsum(square.values()) / len(square)
    return mean, second / len(insides) - mean**2, ms_dx


BORDERED = [
    ((8, 8), (3, 3), (2, 2), (1, 1)),
    ((5, 6), (3, 2), (2, 1), (1, 0)),
    ((5, 5), (2, 2), (3, 3), (0, 0)),
    ((4, 7), (4, 4), (1, 2), (2, 2)),
    ((7,), (3,), (1,), (1,)),
    ((4, 3, 5), (3, 1, 2), (2, 2, 1), (1, 0, 1)),
]


def by_x(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))


@laws
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), BORDERED)
@pytest.mark.parametrize(
    ("pool", "options"), [("max", {}), ("avg", {}), ("avg", {"count_include_pad": False})]
)
def test_windows_with_borders_by_enumeration(pool, options, size, kernel, stride, padding, law):
    geometry = oracles.Map(size, kernel, stride, padding)
    spec = (
        f"{pool}_pool{len(size)}d:kernel_size={by_x(kernel)},stride={by_x(stride)},"
        f"padding={by_x(padding)},input_size={by_x(size)}"
    ) + (",count_include_pad=false" if options else "")
    check(exact_of(spec, law), *brute_force(pool, geometry, law, **options))


@laws
@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3), (2, 2)), ((2, 5), (3, 1)), ((4,), (3,)), ((3, 2, 1), (1, 2, 2))]
)
def test_the_interior_by_enumeration(pool, kernel, stride, law):
    # far from the border of a large map the visits of positions repeat with the stride
    margin = tuple(s * (-(-k // s)) for k, s in zip(kernel, stride, strict=True))
    size = tuple(2 * m + s + k for m, s, k in zip(margin, stride, kernel, strict=True))
    geometry = oracles.Map(size, kernel, stride, (0,) * len(size))
    period = [range(m, m + s) for m, s in zip(margin, stride, strict=True)]
    full = math.prod(kernel)
    visits = sum(
        all(p in r for p, r in zip(position, period, strict=True))
        for inside in geometry.inside()
        for position in inside
    )
    share = mpf(1) / (full if pool == "max" else full**2)
    ms_dx = mpf(law.dy_std) ** 2 * visits * share / math.prod(stride)
    mean, second = oracles.largest_of(full)[1:3] if pool == "max" else (mpf(0), 1 / mpf(full))
    spec = f"{pool}_pool{len(size)}d:kernel_size={by_x(kernel)},stride={by_x(stride)}"
    exact = exact_of(spec, law)
    check(
        exact,
        law.x_mean + law.x_std * mean,
        mpf(law.x_std) ** 2 * (second - mean**2),
        ms_dx,
    )


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("spec", ["max_pool2d:kernel_size=2", "max_pool1d:kernel_size=3"])
def test_the_spread_of_a_single_window_is_that_of_the_order_statistic(spec, law):
    moments = oracles.largest_of({"max_pool2d:kernel_size=2": 4}.get(spec, 3))
    mean = moments[1]
    var = moments[2] - mean**2
    m4 = moments[4] - 4 * mean * moments[3] + 6 * mean**2 * moments[2] - 3 * mean**4
    spread = law.x_std * mp.sqrt(m4 - var**2) / (2 * mp.sqrt(var))
    exact = exact_of(spec, law)
    assert exact["std_y"].asymptotic_std == pytest.approx(float(spread), rel=1e-9)
    # dx of a window, y of several windows: no scalar's fourth moment is theirs
    assert exact["std_dx"].asymptotic_std is None
    assert exact_of(f"{spec},stride=1", law)["std_y"].asymptotic_std is None


def test_the_spread_of_an_average_is_that_of_a_normal():
    exact = exact_of("avg_pool2d:kernel_size=3", Law(0.0, 2.0, 1.0))
    assert exact["std_y"].asymptotic_std == pytest.approx((2 / 3) / math.sqrt(2))
    assert exact_of("avg_pool2d:kernel_size=3,stride=2")["std_y"].asymptotic_std is None


@laws
@pytest.mark.parametrize("p", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("scaling", ["inverted", "sqrt", "none"])
def test_the_spread_of_dropout_is_that_of_the_mixture(p, scaling, law):
    keep = 1 - p
    c = {"inverted": 1 / keep, "sqrt": keep**-0.5, "none": 1.0}[scaling]
    m, s = c * law.x_mean, c * law.x_std
    raw = [1, m, m**2 + s**2, m**3 + 3 * m * s**2, m**4 + 6 * m**2 * s**2 + 3 * s**4]
    raw = [1, *(keep * r for r in raw[1:])]
    mean, var = raw[1], raw[2] - raw[1] ** 2
    m4 = raw[4] - 4 * mean * raw[3] + 6 * mean**2 * raw[2] - 3 * mean**4
    exact = exact_of(f"dropout:p={p},scaling={scaling}", law)
    assert exact["mean_y"].value == pytest.approx(mean)
    assert exact["var_y"].value == pytest.approx(var)
    assert exact["var_y"].asymptotic_std == pytest.approx(math.sqrt(m4 - var**2))
    ms_dx = keep * (c * law.dy_std) ** 2
    assert exact["var_dx"].value == pytest.approx(ms_dx)
    m4_dx = 3 * keep * (c * law.dy_std) ** 4
    assert exact["var_dx"].asymptotic_std == pytest.approx(math.sqrt(m4_dx - ms_dx**2))


@laws
@pytest.mark.parametrize("init", ["unit_fan_in", "unit_fan_out", "xavier_uniform"])
def test_a_bordered_convolution_by_enumeration(init, law):
    geometry = oracles.Map((5, 6), (3, 2), (2, 1), (1, 1))
    ins, outs, taps = 3, 2, 6
    ms_w = {
        "unit_fan_in": 1 / (ins * taps),
        "unit_fan_out": 1 / (outs * taps),
        "xavier_uniform": 2 / ((ins + outs) * taps),
    }[init]
    reach = [len(inside) for inside in geometry.inside()]
    var_y = ins * np.mean(reach) * ms_w * (law.x_std**2 + law.x_mean**2)
    ms_dx = outs * sum(reach) / 30 * ms_w * law.dy_std**2
    spec = (
        f"conv2d:in_channels={ins},out_channels={outs},kernel_size=3x2,stride=2x1,padding=1,"
        f"input_size=5x6,init={init}"
    )
    check(exact_of(spec, law), 0.0, var_y, ms_dx)


# --- quadrature and its error bound -----------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
def test_normal_moments(law):
    expect = Expectation(law)
    m, s = law.x_mean, law.x_std
    raw = [1, m, m**2 + s**2, m**3 + 3 * m * s**2, m**4 + 6 * m**2 * s**2 + 3 * s**4]
    for power, true in enumerate(raw):
        known = expect(lambda xp, x, power=power: x**power)
        assert abs(known.value - true) <= known.error + 1e-15 * abs(true)
        assert known.error < 1e-12 * max(abs(true), 1)
        assert known.by == "quadrature"


@pytest.mark.parametrize("point", [0.0, 0.3, 1 / math.pi, -2.2])
@pytest.mark.parametrize("jump", [False, True])
def test_the_error_bound_covers_an_undeclared_kink(point, jump):
    def f(xp: Any, x: Any) -> Any:
        return xp.where(x > point, 1.0, 0.0) if jump else xp.maximum(x - point, 0)

    cdf, pdf = float(mp.ncdf(-point)), float(mp.npdf(point))
    true = cdf if jump else pdf - point * cdf
    blind, told = Expectation(STANDARD)(f), Expectation(STANDARD)(f, breakpoints=(point,))
    assert abs(blind.value - true) <= 4 * blind.error
    assert abs(told.value - true) <= told.error < 1e-13


def test_an_integrand_that_grows_is_followed_into_its_tail():
    # E[e^X] is e^(std²/2); its integrand peaks at X = std standard deviations
    for std in [1.0, 6.0, *np.linspace(6.5, 18.6, 60).tolist()]:
        known = Expectation(Law(0.0, std, 1.0))(lambda xp, x: xp.exp(x))
        with mp.workdps(40):
            true = mp.exp(mpf(std) ** 2 / 2)
        assert abs(known.value - true) <= known.error < 1e-12 * true


@pytest.mark.parametrize("share", [2.0, 4.0, 6.0])
def test_the_error_bound_covers_the_tail_that_is_cut_off(share, monkeypatch):
    monkeypatch.setattr(reference, "_NEAR", 8.0)
    monkeypatch.setattr(reference, "_FAR", 10.0 + share)  # beyond 2 of them lie 2.3 %
    known = Expectation(Law(0.0, 10.0, 1.0))(lambda xp, x: xp.exp(x))
    true = math.exp(50)
    assert 1e-10 * true < abs(known.value - true) <= known.error


def test_a_moment_that_overflows_is_left_out():
    def moments(law: Law, expect: Any) -> ExactMoments:
        return ExactMoments(mean_y=expect(lambda xp, x: xp.exp(x)), ms_dx=Known(1.0))

    bound = replace(parse("relu").bound, moments=moments)
    exact = exact_values(bound, Law(0.0, 60.0, 1.0))
    assert "mean_y" not in exact
    assert exact["std_dx"].value == 1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 27, 49, 3136])
def test_the_largest_of_several(count):
    expect = Expectation(Law(0.5, 2.0, 1.0))
    true = oracles.largest_of(count)
    known = expect(lambda xp, x: x, maximum_of=count)
    mean = 0.5 + 2 * float(true[1])
    assert abs(known.value - mean) <= known.error + 1e-15 < 1e-12
    square = expect(lambda xp, x: (x - 0.5) ** 2, maximum_of=count)
    assert square.value == pytest.approx(4 * float(true[2]), rel=1e-13)
    assert known.by == ("order statistics" if count > 1 else "quadrature")


def stated(**moments: Known) -> dict[str, Exact]:
    """Return the exact quantities of an event that states these moments."""
    bound = replace(parse("relu").bound, moments=lambda law, expect: ExactMoments(**moments))
    return exact_values(bound, STANDARD)


@pytest.mark.parametrize("mean", [-2.0, 0.0, 2.0])
def test_errors_of_the_moments_reach_every_quantity(mean):
    exact = stated(mean_y=Known(mean, 1e-3), var_y=Known(0.25, 1e-4), ms_dx=Known(4.0, 1e-2))
    for shift in (-1, 0, 1):
        for change in (-1, 0, 1):
            true = quantities(mean + shift * 1e-3, 0.25 + change * 1e-4, 4.0 + change * 1e-2)
            for name, known in exact.items():
                assert abs(known.value - true[name]) <= known.error * (1 + 1e-9), name
    assert exact["std_dx"].error < 1e-2
    assert exact["rms_y"].error < 2.5e-3


def test_a_moment_of_which_nothing_is_known_is_left_out():
    # as of E[dx²] of log|x|, which diverges
    assert set(stated(ms_dx=Known(1e-8, 1e-8))) == {"mean_dx"}
    assert set(stated(ms_dx=Known(6e6, 4e6))) == {"mean_dx"}
    assert set(stated(ms_dx=Known(6e6, 1e6))) == {
        "mean_dx",
        "std_dx",
        "var_dx",
        "rms_dx",
        "gain_dx",
    }


@pytest.mark.parametrize("spec", ["sigmoid", "tanh", "softplus:beta=1000000", "gelu"])
@pytest.mark.parametrize("law", [Law(0, 1e6, 1), Law(0, 1e4, 1), Law(30, 1, 1), Law(0, 1e-6, 1)])
def test_bounds_hold_at_any_scale(spec, law):
    bound = parse(spec).bound
    exact = exact_values(bound, law)["var_dx"]
    beta = mpmath.mpf(spec.partition("beta=")[2] or 1)
    slopes = {
        "sigmoid": lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2,
        "tanh": lambda x: mpmath.sech(x) ** 2,
        "softplus": lambda x: 1 / (1 + mpmath.exp(-beta * x)),
        "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
    }
    slope = slopes[spec.partition(":")[0]]
    with mpmath.workdps(40):
        m, s = mpmath.mpf(law.x_mean), mpmath.mpf(law.x_std)
        grid = [mpmath.mpf(2) ** k for k in range(-24, 24)]
        steps = (m + k * s for k in range(-14, 15))
        cuts = sorted({*steps, *grid, *(-g for g in grid), mpmath.mpf(0)})
        cuts = [c for c in cuts if abs(c - m) <= 14 * s]
        points = oracles.panels(cuts)
        true = mpmath.fsum(w * slope(x) ** 2 * mpmath.npdf(x, m, s) for x, w in points)
        assert abs(exact.value - true) <= exact.error
        assert exact.error <= 1e-11 * true


def test_a_variance_of_zero_has_no_gain():
    exact = stated(mean_y=Known(1.0), var_y=Known(0.0, 1e-16))
    assert exact["std_y"].value == 0
    assert exact["std_y"].error >= 1e-8
    assert "gain_y" not in exact


@pytest.mark.parametrize("spec", sorted(oracles.closed_forms()))
def test_no_value_but_zero_is_known_without_rounding(spec):
    for name, known in exact_of(spec).items():
        if known.value:
            assert known.error >= 2**-53 * abs(known.value), name


def test_mean_of_dx_is_zero_by_symmetry():
    for name in ("relu", "max_pool2d:kernel_size=2", "linear:init=unit_fan_in"):
        zero = exact_of(name, Law(3.0, 0.1, 5.0))["mean_dx"]
        assert (zero.value, zero.error, zero.by) == (0.0, 0.0, "symmetry")


# --- sampling agrees with the exact values ----------------------------------------------------

EXAMPLES = [
    f"{layer.name}:{example}" if example else layer.name
    for layer in LAYERS.values()
    for example in layer.examples or ("",)
]


@pytest.mark.parametrize("spec", EXAMPLES)
def test_only_moments_of_dx_see_dy_and_their_bounds_scale_with_them(spec):
    bound = parse(spec).bound
    laws = [Law(0.7, 1.3, dy_std) for dy_std in (1.0, 2.0)]
    with np.errstate(all="ignore"):
        plain, scaled = (bound.moments(law, Expectation(law)) for law in laws)
    assert set(plain.stated) == set(scaled.stated)
    for name, known in plain.stated.items():
        assert known.error >= 0, name
        factor = {"ms_dx": 4, "m4_dx": 16, "var_ms_dx": 16}.get(name, 1)
        value, error, by = astuple(scaled.stated[name])
        assert (value, by) == (pytest.approx(factor * known.value, rel=1e-15), known.by), name
        assert error == pytest.approx(factor * known.error, rel=1e-15), name

"""What a layer does in a stack: exact values, estimates and their intervals."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce

import mpmath
import numpy as np
import pytest

import bnstats
from bnstats.backends import numpy_backend as xp
from bnstats.errors import BnstatsError
from bnstats.layers import Law
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimate, Estimator
from bnstats.statistics.exact import exact_moments, stack_quantities
from bnstats.statistics.joint import Drawn, Joint, joint_of
from bnstats.statistics.quantities import STACK_QUANTITIES
from bnstats.statistics.stacks import stack_estimates

NAMES = tuple(STACK_QUANTITIES)
LAWS = [Law(), Law(0.0, 0.5, 3.0), Law(0.7, 1.3)]
SMOOTH = {
    "tanh": mpmath.tanh,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}


def erf_values(law: Law) -> dict[str, float]:
    s2 = law.x_std**2
    u = 2 * s2 / (1 + 2 * s2)
    ms = 2 / math.pi * math.asin(u)
    slope_ms = 4 / math.pi / math.sqrt(1 + 4 * s2)
    cov = s2 * 2 / math.sqrt(math.pi * (1 + 2 * s2))
    return {
        "linear_share": cov**2 / s2 / ms,
        "chi": s2 * slope_ms / ms,
        "mean_degree": s2 * slope_ms / ms,
        "stability": 2 * s2 / (1 + 2 * s2) ** 2 / math.sqrt(1 - u * u) / math.asin(u),
        "c1": 0.0,
        "mean_slope": cov / s2,
        "var_slope": slope_ms - (cov / s2) ** 2,
    }


def leaky_values(a: float) -> dict[str, float]:
    mean, ms = (1 - a) / math.sqrt(2 * math.pi), (1 + a * a) / 2
    var = ms - mean**2
    return {
        "linear_share": ((1 + a) / 2) ** 2 / var,
        "chi": 1.0,
        "mean_degree": ms / var,
        "stability": 1.0,
        "c1": mean**2 / ms,
        "mean_slope": (1 + a) / 2,
        "var_slope": ((1 - a) / 2) ** 2,
    }


S2 = 0.25  # of Law(0, 0.5)
CLOSED = [
    ("relu", Law(), leaky_values(0.0)),
    ("leaky_relu:negative_slope=0.3", Law(0.0, 2.0, 0.1), leaky_values(0.3)),
    ("erf", Law(), erf_values(Law())),
    ("erf", Law(0.0, 3.0), erf_values(Law(0.0, 3.0))),
    ("identity", Law(), {"linear_share": 1, "chi": 1, "mean_degree": 1, "stability": 1, "c1": 0}),
    (
        "square",
        Law(0.0, 2.0),
        {"linear_share": 0, "chi": 4 / 3, "mean_degree": 2, "stability": 2, "c1": 1 / 3},
    ),
    (
        "exponential",
        Law(0.0, 0.5),
        {
            "linear_share": S2 / (math.exp(S2) - 1),
            "chi": S2,
            "mean_degree": S2 / (1 - math.exp(-S2)),
            "stability": 2 * S2,
            "c1": math.exp(-S2),
        },
    ),
    (  # it jumps at 0: E[y²] is (1 + s²)/2, and the slope knows nothing of the jump
        "threshold:threshold=0,value=1",
        Law(0.0, 2.0),
        {"stability": 4 / 5, "chi": 4 * 0.5 / 2.5},
    ),
    (
        "dropout:p=0.2",
        Law(0.5, 2.0, 3.0),
        {"linear_share": 4 / (4.25 / 0.8 - 0.25), "chi": 4 / 4.25, "stability": 4 / 4.25},
    ),
    ("gaussian_noise:stddev=0.5", Law(), {"linear_share": 0.8, "chi": 0.8, "stability": 0.8}),
    ("gaussian_dropout:rate=0.5", Law(), {"linear_share": 0.5, "chi": 1, "stability": 1}),
    ("avg_pool2d:kernel_size=3", Law(), {"chi": (1 / 9) ** 2 / (1 / 9), "c1": 0}),
    ("layer_norm", Law(), {"c1": 0}),
]


@pytest.mark.parametrize(("spec", "law", "wanted"), CLOSED, ids=lambda v: str(v)[:30])
def test_closed_forms(spec: str, law: Law, wanted: dict[str, float]) -> None:
    found = bnstats.exact(spec, law=law).quantities
    for name, value in wanted.items():
        assert abs(found[name].value - value) <= found[name].error + 4e-16 * abs(value), name
        assert found[name].error <= 1e-12 * max(abs(value), 1)


# Linear shares, χ, stability, c₁ and mean degree in print, by another program's quadrature.
PUBLISHED = {
    "sigmoid": (0.9842, 0.3909, 0.106, 0.852, 1.0167),
    "tanh": (0.9305, 1.0853, 0.461, 0.000, 1.0853),
    "elu": (0.9367, 1.0178, 0.891, 0.040, 1.0388),
    "erf": (0.9136, 1.1071, 0.409, 0.000, 1.1071),
    "silu": (0.7985, 1.0328, 1.173, 0.120, 1.1010),
    "gelu": (0.7233, 1.0354, 1.144, 0.187, 1.1484),
    "mish": (None, 1.0291, 1.076, 0.128, 1.1019),
}


@pytest.mark.parametrize("spec", PUBLISHED)
def test_numbers_of_another_program(spec: str) -> None:
    share, root_chi, stability, c1, root_degree = PUBLISHED[spec]
    found = bnstats.exact(spec).quantities
    assert share is None or found["linear_share"].value == pytest.approx(share, abs=6e-5)
    assert math.sqrt(found["chi"].value) == pytest.approx(root_chi, abs=6e-5)
    assert found["stability"].value == pytest.approx(stability, abs=6e-4)
    assert found["c1"].value == pytest.approx(c1, abs=6e-4)
    assert math.sqrt(found["mean_degree"].value) == pytest.approx(root_degree, abs=6e-5)


def test_selu_by_hand() -> None:
    """E[f′] is λ·(½ + α·√e·Φ(−1)), E[f′²] λ²·(½ + α²·e²·Φ(−2)); E[y] is 0, E[y²] is 1."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772

    def below(t: float) -> float:
        return 0.5 * math.erfc(t / math.sqrt(2))

    found = bnstats.exact("selu").quantities
    mean_slope = scale * (0.5 + alpha * math.exp(0.5) * below(1))
    assert found["linear_share"].value == pytest.approx(mean_slope**2, rel=1e-13)
    assert found["mean_slope"].value == pytest.approx(mean_slope, rel=1e-13)
    ms_slope = scale**2 * (0.5 + alpha**2 * math.exp(2) * below(2))
    assert found["var_slope"].value == pytest.approx(ms_slope - mean_slope**2, rel=1e-12)
    for name in ("chi", "mean_degree"):
        assert found[name].value == pytest.approx(ms_slope, rel=1e-13)
    assert found["c1"].value == pytest.approx(0, abs=1e-25)
    assert found["stability"].value == pytest.approx(0.783, abs=6e-4)


def test_the_linear_share_of_tanh_over_the_scale_of_x() -> None:
    scales = (0.25, 0.5, 1, 2, 4, 8)
    shares = [bnstats.exact("tanh", law=Law(0.0, s)).linear_share.value for s in scales]
    assert shares == pytest.approx([0.9981, 0.9842, 0.9305, 0.8377, 0.7523, 0.6977], abs=6e-5)
    half = bnstats.exact("sigmoid", law=Law(0.0, 0.5)).linear_share
    assert bnstats.exact("tanh", law=Law(0.0, 0.25)).linear_share.value == pytest.approx(half.value)


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("spec", SMOOTH)
def test_mpmath_agrees(spec: str, law: Law) -> None:
    f, mu, s = SMOOTH[spec], law.x_mean, law.x_std

    def mean_of(g) -> mpmath.mpf:
        def integrand(z):
            return g(z) * mpmath.npdf(z)

        return mpmath.quad(integrand, [-30, -8, -3, 0, 3, 8, 30])

    with mpmath.workdps(20):
        y = mean_of(lambda z: f(mu + s * z))
        ms = mean_of(lambda z: f(mu + s * z) ** 2)
        slope_ms = mean_of(lambda z: mpmath.diff(f, mu + s * z) ** 2)
        slope = mean_of(lambda z: mpmath.diff(f, mu + s * z))
        cov = mean_of(lambda z: s * z * f(mu + s * z))
        drift = mean_of(lambda z: s * z * f(mu + s * z) * mpmath.diff(f, mu + s * z))
    wanted = {
        "linear_share": cov**2 / s**2 / (ms - y**2),
        "chi": s**2 * slope_ms / ms,
        "mean_degree": s**2 * slope_ms / (ms - y**2),
        "stability": drift / ms,
        "c1": y**2 / ms,
        "mean_slope": slope,
        "var_slope": slope_ms - slope**2,
    }
    found = bnstats.exact(spec, law=law).quantities
    for name, value in wanted.items():
        assert abs(found[name].value - float(value)) <= found[name].error + 1e-15, name


@pytest.mark.parametrize("spec", ["gelu", "elu", "hardshrink", "rrelu:lower=0,upper=2"])
def test_stability_is_the_slope_of_the_mean_square_over_the_scale(spec: str) -> None:
    def ln_ms(s: float) -> float:
        return 2 * math.log(bnstats.exact(spec, law=Law(0.3, s)).rms_y.value)

    step = 1e-4
    slope = (ln_ms(math.exp(step)) - ln_ms(math.exp(-step))) / (4 * step)
    assert bnstats.exact(spec, law=Law(0.3, 1.0)).stability.value == pytest.approx(slope, rel=1e-7)


def test_layers_of_several_numbers_have_two_of_them() -> None:
    found = bnstats.exact("max_pool2d:kernel_size=2").quantities
    assert [name for name in NAMES if name in found] == ["chi", "c1"]
    with pytest.raises(BnstatsError, match="softmax has no stability: such a layer mixes") as told:
        bnstats.compute("softmax", quantities=["stability"])
    assert told.value.hint == "of such layers there are chi and c1"


def test_what_is_unknown_has_no_ratio() -> None:
    bound = parse("relu").bound
    moments = exact_moments(bound, Law())
    lost = replace(moments, ms_dx=replace(moments.ms_dx, error=math.inf))
    of_dx = {"chi", "mean_degree", "var_slope"}
    assert set(stack_quantities(bound, lost, Law())) == set(NAMES) - of_dx
    rough = replace(moments, ms_dx=replace(moments.ms_dx, error=0.4))
    assert "chi" not in stack_quantities(bound, rough, Law())
    nothing = replace(moments, mean_y=replace(moments.mean_y, value=1e-18, error=1e-17))
    c1 = stack_quantities(bound, nothing, Law())["c1"]
    assert c1.value == 0
    assert 0 < c1.error < 1e-30


# --- estimates


SPECS = ["relu", "tanh", "gelu", "sigmoid", "hardshrink", "threshold:threshold=0,value=1", "rrelu"]


@pytest.mark.parametrize("how", [{}, {"sampler": "sobol"}, {"law": Law(0.5, 2.0, 3.0)}], ids=str)
@pytest.mark.parametrize("spec", [*SPECS, "dropout", "gaussian_noise:stddev=0.3"])
def test_samples_agree_with_exact_values(spec: str, how: dict) -> None:
    result = bnstats.compute(spec, samples=300_000, quantities=NAMES, seed=5, **how)
    for name in NAMES:
        estimate = result.quantities[name]
        assert estimate.reliable, name
        assert estimate.z is not None
        assert abs(estimate.z) < 4.5, (name, estimate, estimate.exact)
        if estimate.exact.by != "constant":
            assert estimate.stderr > 0
            low, high = estimate.interval
            assert low <= estimate.value <= high


@pytest.mark.parametrize("spec", ["max_pool2d:kernel_size=2", "softmax", "layer_norm", "maxout"])
def test_samples_of_events_agree_with_exact_values(spec: str) -> None:
    for sampler in ("iid", "sobol"):
        result = bnstats.compute(spec, samples=40_000, quantities=["chi", "c1"], sampler=sampler)
        for name in ("chi", "c1"):
            z = result.quantities[name].z
            assert z is None or abs(z) < 4.5, (name, result.quantities[name])
        assert result.chi.z is not None


def test_the_usual_digits_do_not_change() -> None:
    plain = bnstats.compute("gelu", samples=200_000)
    more = bnstats.compute("gelu", samples=200_000, quantities=NAMES)
    assert {n: more.quantities[n] for n in plain.quantities} == dict(plain.quantities)
    assert set(more.quantities) - set(plain.quantities) == set(NAMES)
    assert plain.sampling == replace(more.sampling, quantities=())


def test_the_digits_do_not_depend_on_workers() -> None:
    alone, four = (
        bnstats.compute("tanh", samples=6_000_000, quantities=NAMES, workers=w) for w in (1, 4)
    )
    assert alone.quantities == four.quantities


def brute(name: str, x, y, slope, law: Law) -> float:
    """Return the estimate from the draws themselves, by the formulas that people read."""
    s2, ms = law.x_std**2, np.mean(y**2)
    z = (x - law.x_mean) / law.x_std
    return {
        "linear_share": np.corrcoef(x, y)[0, 1] ** 2,
        "chi": s2 * np.mean(slope**2) / ms,
        "mean_degree": s2 * np.mean(slope**2) / np.var(y),
        "stability": np.mean(law.x_std * z * y * slope) / ms,
        "c1": np.mean(y) ** 2 / ms,
        "mean_slope": np.mean(slope),
        "var_slope": np.var(slope),
    }[name]


def drawn(law: Law, n: int, rng: np.random.Generator):
    x = law.x_mean + law.x_std * rng.normal(size=n)
    y = np.logaddexp(x, 0)
    return x, y, 1 / (1 + np.exp(-x))


def joint(x, y, slope, law: Law, pivot: float = 0.7) -> Joint:
    z = (x - law.x_mean) / law.x_std
    return joint_of(xp, Drawn(y, slope**2, z, law.x_std * z * y * slope, slope), pivot)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_estimates_and_errors_are_those_of_the_draws(law: Law) -> None:
    x, y, slope = drawn(law, 5000, np.random.default_rng(1))
    found = stack_estimates(joint(x, y, slope, law), NAMES, Estimator(), law)
    for name in NAMES:
        value = brute(name, x, y, slope, law)
        assert found[name].value == pytest.approx(value, rel=1e-11), name
        # The jackknife over 100 groups knows no derivative.
        groups = np.arange(5000) % 100
        left_out = [
            brute(name, x[groups != g], y[groups != g], slope[groups != g], law) for g in range(100)
        ]
        spread = math.sqrt(99 / 100 * np.sum((left_out - np.mean(left_out)) ** 2))
        assert found[name].stderr == pytest.approx(spread, rel=0.35), name


def test_pieces_merge_to_the_whole() -> None:
    x, y, slope = drawn(Law(), 900, np.random.default_rng(2))
    whole = joint(x, y, slope, Law())
    cuts = np.split(np.arange(900), [100, 500])
    parts = [joint(x[c], y[c], slope[c], Law()) for c in cuts]
    merged = reduce(Joint.merged, parts, Joint())
    assert merged.count == whole.count == merged.points
    for name in ("mean", "between", "within"):
        assert getattr(merged, name) == pytest.approx(getattr(whole, name), rel=1e-11)
    one, other = (replace(p, nonfinite=k) for p, k in zip(parts[:2], (2.0, 3.0), strict=True))
    assert one.merged(other).nonfinite == one.merged(Joint(nonfinite=3.0)).nonfinite == 5
    units = reduce(Joint.merged, (p.as_unit() for p in parts))
    assert (units.count, units.points) == (3, 900)
    means = np.array([p.mean for p in parts])
    assert units.mean == pytest.approx(means.mean(axis=0))
    about = means - means.mean(axis=0)
    assert units.between == pytest.approx(about.T @ about)


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    x, y, slope = drawn(Law(), 1000, np.random.default_rng(3))
    kept = joint(x[10:], y[10:], slope[10:], Law())
    y[:9], slope[9] = np.inf, np.nan
    found = joint(x, y, slope, Law())
    assert found.nonfinite == 10
    assert found.mean == pytest.approx(kept.mean)
    estimate = stack_estimates(found, ["chi"], Estimator(), Law())["chi"]
    assert not estimate.reliable
    nothing = joint(x[:9], y[:9], slope[:9], Law())
    assert nothing.count == 0
    found = stack_estimates(nothing, ["c1"], Estimator(), Law())["c1"]
    assert math.isnan(found.value)
    assert (found.stderr, found.interval, found.n_eff, found.log_scale) == (None, None, 0, False)


def test_weights_count() -> None:
    rng = np.random.default_rng(4)
    x, y, slope = drawn(Law(), 4000, rng)
    weights = rng.integers(0, 3, 4000).astype(float)
    weights /= weights.mean()
    found = joint_of(xp, Drawn(y, slope**2, x, x * y * slope, slope, weights), 0.7)
    wanted = np.average(np.stack([y - 0.7, (y - 0.7) ** 2]), axis=1, weights=weights)
    assert found.mean[:2] == pytest.approx(wanted)


def test_a_ratio_that_every_draw_has_is_constant() -> None:
    result = bnstats.compute("relu", samples=10_000, quantities=["stability", "chi"])
    assert result.stability.exact.by == "constant"
    assert result.stability.reliable
    assert result.chi.exact.by == "quadrature"
    # Nobody knows it of a function whose exact value is unknown.
    x = np.random.default_rng(0).normal(size=1000)
    found = stack_estimates(joint(x, 2 * x, 0 * x + 2, Law(), 0.0), NAMES, Estimator(), Law())
    assert found["linear_share"].interval is None
    assert found["stability"].stderr is None
    assert found["chi"].stderr > 0


def test_heavy_tails_are_not_believed() -> None:
    result = bnstats.compute("exponential", samples=100_000, law=Law(0, 2), quantities=NAMES)
    assert not any(result.quantities[name].reliable for name in NAMES)


def test_a_share_near_one_hinges_on_the_tails_of_the_rest() -> None:
    """Of the part of sigmoid that is not linear, E[r⁴]/E[r²]² draws are one effective draw."""
    x, weights = np.polynomial.hermite_e.hermegauss(200)
    weights /= weights.sum()
    y = 1 / (1 + np.exp(-x)) - 0.5
    rest = y - x * (weights @ (x * y))
    kurtosis = weights @ rest**4 / (weights @ rest**2) ** 2
    assert 15 < kurtosis < 40
    for sampler in ("iid", "sobol"):
        many = bnstats.compute("sigmoid", samples=500_000, quantities=NAMES, sampler=sampler)
        assert many.linear_share.n_eff == pytest.approx(many.samples / kurtosis, rel=0.25)
        assert many.c1.n_eff > many.samples / 4
    few = bnstats.compute("sigmoid", samples=1000, quantities=NAMES)
    assert not few.linear_share.reliable
    assert few.c1.reliable


def test_intervals_of_squares() -> None:
    for root, error in ((0.5, 0.01), (0.0, 0.01), (0.999, 1e-4), (0.005, 0.01)):
        stderr = math.hypot(2 * root * error, math.sqrt(2) * error**2)
        estimate = Estimate(root**2, stderr, None, 1e6, log_scale=False, squared=True)
        low, high = estimate.interval_at(2.0)
        at, step = math.atanh(root), 2 * error / (1 - root**2)
        assert high == pytest.approx(math.tanh(at + step) ** 2, rel=1e-6)
        assert low == pytest.approx(max(math.tanh(at - step), 0) ** 2, rel=1e-6, abs=1e-15)
    assert Estimate(1.0, 1e-14, None, 1e6, log_scale=False, squared=True).interval_at(3)[1] == 1


@pytest.mark.slow
@pytest.mark.parametrize("law", [Law(), Law(0.5, 1.5)], ids=str)
def test_intervals_cover(law: Law) -> None:
    """Of 2,000 intervals 95 % cover, to within four binomial standard errors (0.005)."""
    rng, exact = np.random.default_rng(7), bnstats.exact("softplus", law=law).quantities
    hits, reps, n = dict.fromkeys(NAMES, 0), 2000, 1500
    zs = {name: [] for name in NAMES}
    for _ in range(reps):
        found = stack_estimates(joint(*drawn(law, n, rng), law), NAMES, Estimator(exact), law)
        for name, estimate in found.items():
            low, high = estimate.interval
            hits[name] += low <= exact[name].value <= high
            zs[name].append(estimate.z)
    for name in NAMES:
        assert abs(hits[name] / reps - 0.95) < 0.02, (name, hits[name])
        assert np.std(zs[name]) == pytest.approx(1, abs=0.1)


def test_c1_of_an_odd_function_is_covered_at_zero() -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(1000):
        x = rng.normal(size=500)
        y = np.tanh(x)
        found = stack_estimates(joint(x, y, 1 - y**2, Law(), 0.0), ["c1"], Estimator(), Law())
        low, high = found["c1"].interval
        hits += low <= 0 <= high
    assert 930 <= hits <= 972

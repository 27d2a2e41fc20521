"""Standard errors, intervals and z against brute force and formulas by hand."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from bnstats.api import compute
from bnstats.backends import numpy_backend as xp
from bnstats.layers import CONSTANT, Law
from bnstats.statistics.estimate import (
    MIN_N_EFF,
    Crossing,
    Estimate,
    Estimator,
    as_normal,
    independent_error,
    quantile,
)
from bnstats.statistics.exact import Exact
from bnstats.statistics.moments import Moments, as_unit, merge, of
from bnstats.statistics.quantities import QUANTITIES
from bnstats.statistics.tails import Tail

LOG = [name for name, q in QUANTITIES.items() if q.moment != "mean"]


def sample(values: Any, pivot: float = 0.0, exact: Any = None, confidence: float = 0.95) -> Any:
    """Return every quantity's estimate, y and dx both being the values."""
    values = np.asarray(values, float)
    moments = {"y": of(xp, values, pivot), "dx": of(xp, values, 0.0)}
    return Estimator(exact or {}, confidence).estimates(moments)


def skewed(rng: Any, n: int, bound: int = 1) -> np.ndarray:
    """Return draws of several dependent, skewed elements with a mean: shape (event, n)."""
    shared = rng.exponential(size=n)
    return np.stack([1.5 + shared + 0.5 * rng.normal(size=n) for _ in range(bound)])


def test_values_are_the_plain_sample_moments():
    values = skewed(np.random.default_rng(0), 1000, bound=3)
    mean, var, ms = np.mean(values), np.var(values), np.mean(values**2)
    for pivot in (0.0, 2.0):
        found = sample(values, pivot)
        expected = {
            "mean_y": mean,
            "std_y": math.sqrt(var),
            "var_y": var,
            "rms_y": math.sqrt(ms),
            "ms_y": ms,
            "gain_y": 1 / math.sqrt(var),
            "gain_rms_y": 1 / math.sqrt(ms),
            "gain_ms_y": 1 / ms,
            "mean_dx": mean,
            "std_dx": math.sqrt(var),
            "var_dx": var,
            "rms_dx": math.sqrt(ms),
            "gain_dx": 1 / math.sqrt(var),
        }
        assert set(expected) == set(QUANTITIES) == set(found)
        for name, value in expected.items():
            assert found[name].value == pytest.approx(value, rel=1e-12), name


@pytest.mark.slow
@pytest.mark.parametrize("bound", [1, 3])
@pytest.mark.parametrize("pivot", [0.0, 2.0, 5.0])
def test_the_standard_error_is_the_spread_over_replications(bound, pivot):
    rng = np.random.default_rng(1)
    runs = [sample(skewed(rng, 400, bound), pivot) for _ in range(1000)]
    for name in QUANTITIES:
        spread = np.std([r[name].value for r in runs])
        claimed = math.sqrt(np.mean([r[name].stderr ** 2 for r in runs]))
        assert claimed == pytest.approx(spread, rel=0.07), name


@pytest.mark.parametrize("pivot", [0.0, 2.0, -3.0])
def test_the_standard_error_is_the_delta_method(pivot):
    # influence functions: v for the mean, (v − μ)² for the variance, v² for the mean square,
    # each averaged over the event
    n = 500
    v = skewed(np.random.default_rng(2), n, bound=2)
    mu, var, ms = v.mean(), v.var(), (v**2).mean()
    influence = {
        "mean": v.mean(axis=0),
        "var": ((v - mu) ** 2).mean(axis=0),
        "ms": (v**2).mean(axis=0),
    }
    moment = {"mean": mu, "var": var, "ms": ms}
    found = sample(v, pivot)
    for name, q in QUANTITIES.items():
        stderr = np.std(influence[q.moment], ddof=1) / math.sqrt(n)
        if q.moment == "var":  # and −(ā − μ)² to second order: sd √2, bias 1, times Var[a]/n
            a = v.mean(axis=0)
            stderr = math.hypot(stderr, math.sqrt(3) * np.var(a) / n)
        stderr *= abs(q.power * moment[q.moment] ** (q.power - 1))
        assert found[name].stderr == pytest.approx(stderr, rel=1e-10), name


def test_dependent_elements_are_not_draws():
    rng = np.random.default_rng(3)
    x = rng.normal(size=1000)
    one, copies = sample(x), sample(np.stack([x] * 10))
    for name in QUANTITIES:
        assert copies[name].value == pytest.approx(one[name].value)
        assert copies[name].stderr == pytest.approx(one[name].stderr)


def test_intervals():
    found = sample(skewed(np.random.default_rng(4), 300), confidence=0.9)
    z = 1.6448536269514722
    for name, e in found.items():
        low, high = e.interval
        if QUANTITIES[name].moment == "mean":
            assert not e.log_scale
            assert (low, high) == pytest.approx((e.value - z * e.stderr, e.value + z * e.stderr))
        else:
            assert e.log_scale
            r = e.stderr / e.value
            assert (low, high) == pytest.approx(
                (e.value * math.exp(-z * r), e.value * math.exp(z * r))
            )
        assert e.interval_at(z) == pytest.approx(e.interval)
    # the ends of Var are those of σ squared, those of the gain its reciprocals
    std, var, gain = (found[k].interval for k in ("std_y", "var_y", "gain_y"))
    assert var == pytest.approx((std[0] ** 2, std[1] ** 2))
    assert gain == pytest.approx((1 / std[1], 1 / std[0]))


def test_the_interval_of_a_square_that_is_as_good_as_one():
    """Of a root 1 ± 0.01, whose square has the variance 4·0.01² + 2·0.01⁴ (normal root)."""
    stderr = math.sqrt(4e-4 + 2e-8)
    found = Estimate(1.0, stderr, None, 1e4, log_scale=False, squared=True)
    assert found.interval_at(2.0) == pytest.approx((0.98**2, 1.0), rel=1e-12)
    assert found.interval_at(200.0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("how", "hopeless"),
    [
        ({}, False),
        ({"heavy_tailed": ("y",)}, True),
        ({"heavy_tailed": ("dx",)}, False),
        ({"tails": {"y": Tail(0.4, 0.5)}}, False),
        ({"tails": {"y": Tail(0.6, 0.5)}}, True),  # no second moment
    ],
)
def test_what_no_number_of_draws_makes_sure(how, hopeless):
    assert Estimator(**how).is_hopeless("y") is hopeless


def test_the_half_width_is_that_of_the_interval_where_theory_is_silent():
    values = np.random.default_rng(5).normal(size=10_000)
    estimator = Estimator({}, 0.9)
    tally = {"y": of(xp, values, 0.0)}
    low, high = estimator.estimates(tally)["std_y"].interval
    wanted = (high - low) / (2 * np.std(values))
    assert estimator.half_width(tally) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("confidence", "z"), [(0.95, 1.959963984540054), (0.5, 0.6744897501960817), (0.99, 2.5758293)]
)
def test_normal_quantile(confidence, z):
    assert quantile(confidence, Moments(count=9, points=9)) == pytest.approx(z, rel=1e-8)


def test_over_replicates_the_quantile_is_students():
    # t of 31 degrees of freedom, from tables
    replicates = Moments(count=32, points=32 * 4096)
    assert quantile(0.95, replicates) == pytest.approx(2.0395, abs=5e-5)
    assert quantile(0.99, replicates) == pytest.approx(2.7440, abs=5e-5)


@pytest.mark.parametrize(("t", "z"), [(0.0, 0.0), (2.0395134, 1.959964), (-2.0395134, -1.959964)])
def test_a_t_over_replicates_reads_as_a_normal_deviate(t, z):
    assert as_normal(t, Moments(count=32, points=64)) == pytest.approx(z, abs=1e-6)
    assert as_normal(t, Moments(count=32, points=32)) == t


@pytest.mark.parametrize("t", [8.0, -30.0])
def test_a_t_far_out_reads_as_a_normal_deviate(t):
    with mp.workdps(60):
        share = mp.betainc(15.5, 0.5, 0, 31 / (31 + mp.mpf(t) ** 2), regularized=True)
        z = mp.sign(t) * mp.sqrt(2) * mp.erfinv(1 - share)
    assert as_normal(t, Moments(count=32, points=64)) == pytest.approx(float(z), rel=1e-9)


def test_the_error_of_independent_draws():
    """Of σ̂ from 100 draws of kurtosis κ it is √((κ − 1)/100)/2, and n_eff is 100/κ."""
    assert independent_error(100 / 3, 100) == pytest.approx(math.sqrt(2 / 100) / 2)
    assert independent_error(100, 100) == 0  # κ = 1
    assert independent_error(101, 100) == 0


def test_the_share_of_the_error_that_a_sample_has_seen():
    values = np.random.default_rng(3).normal(2.0, 1.5, size=5000)
    alone, n = sample(values), len(values)
    exact = {"mean_y": Exact(2.1, 0, "", 1.4), "std_y": Exact(1.6, 0, "", 1.2)}
    found = sample(values, exact=exact)
    assert alone["mean_y"].tail_coverage == 1
    of_mean = alone["mean_y"].stderr / (1.4 / math.sqrt(n))
    assert found["mean_y"].tail_coverage == pytest.approx(of_mean)
    relative = alone["std_y"].stderr / alone["std_y"].value / (1.2 / 1.6 / math.sqrt(n))
    assert found["std_y"].tail_coverage == pytest.approx(relative)


def test_n_eff():
    v = np.array([1.0, -2.0, 0.5, 3.0])
    c = (v - v.mean()) ** 2
    expected = 4 * np.mean(c) ** 2 / np.mean(c**2)
    for pivot in (0.0, 0.625, 40.0):
        assert of(xp, v, pivot).n_eff == pytest.approx(expected)
    assert of(xp, v, 0.0).n_eff == pytest.approx(expected)
    assert sample(v)["std_dx"].n_eff == pytest.approx(expected)
    assert of(xp, np.ones(50), 0.0).n_eff == pytest.approx(50)
    rare = np.zeros(10_000)
    rare[:7] = 1.0
    assert of(xp, rare, 0.0).n_eff == pytest.approx(7, rel=2e-3)  # a mask hit seven times
    assert of(xp, rare, 1.0).n_eff == pytest.approx(7, rel=2e-3)  # also about where y never is
    assert of(xp, np.zeros(5), 0.0).n_eff == 0
    # normal values: n/3
    normal = np.random.default_rng(5).normal(size=100_000)
    assert of(xp, normal, 0.0).n_eff == pytest.approx(100_000 / 3, rel=0.05)


def test_reliable_from_a_hundred_effective_draws_on():
    assert MIN_N_EFF == 100
    for n_eff, interval, reliable in [(99.9, (0, 1), False), (100.0, (0, 1), True)]:
        assert Estimate(1.0, 0.1, interval, n_eff).reliable is reliable
    assert not Estimate(1.0, None, None, 1e9).reliable


def test_one_draw_holds_no_information():
    for e in sample([1.5]).values():
        assert e.stderr is None
        assert e.interval is None
        assert e.z is None
        assert e.interval_at(2.0) is None
        assert not e.reliable


@pytest.mark.parametrize("constant", [0.1, 1 / 3, -7.25, 1e10])
@pytest.mark.parametrize("pivot", [0.0, 0.3])
def test_constant_values_hold_no_information_on_errors(constant, pivot):
    found = sample(np.full(1000, constant), pivot)
    for name, e in found.items():
        assert e.stderr is None, name  # never "± 0"
        assert e.interval is None, name
        assert e.z is None, name
    assert found["mean_y"].value == pytest.approx(constant)
    assert found["std_y"].value == 0
    assert found["gain_y"].value == math.inf


def test_values_that_are_all_zero():
    found = sample(np.zeros(100))
    assert {found[k].value for k in ("mean_dx", "std_dx", "var_dx", "rms_dx")} == {0.0}
    assert found["gain_dx"].value == math.inf
    assert all(e.interval is None and e.n_eff == 0 for e in found.values())


def test_a_constant_magnitude_has_a_mean_square_without_error():
    # v = ±1: b is constant, a is not
    found = sample(np.tile([1.0, -1.0], 500))
    assert found["rms_dx"].stderr is None
    assert found["mean_dx"].stderr == pytest.approx(1 / math.sqrt(999))


def test_no_draws_at_all():
    found = Estimator().estimates({"y": Moments(nonfinite=3.0)})
    assert set(found) == {name for name, q in QUANTITIES.items() if q.direction == "y"}
    for e in found.values():
        assert math.isnan(e.value)
        assert e.interval is None
        assert e.n_eff == 0


def test_an_error_far_beyond_its_value_has_an_interval():
    lost = Estimate(1.0, 445.0, None, 1e4)
    low, high = lost.interval_at(3.3)
    assert 0 < low < 1e-300
    assert 1e300 < high < math.inf


def test_a_mean_far_from_zero_keeps_its_spread():
    values = 1e6 + np.random.default_rng(6).normal(size=5000)
    e = sample(values, pivot=1e6)["std_y"]
    assert e.value == pytest.approx(np.std(values), rel=1e-9)
    assert e.stderr == pytest.approx(e.value / math.sqrt(2 * 5000), rel=0.1)


def test_z_without_a_spread_uses_the_samples_error():
    values = skewed(np.random.default_rng(7), 2000)
    plain = sample(values)
    for name in QUANTITIES:
        for shift in (-3.0, 2.0):
            true = plain[name].value - shift * plain[name].stderr
            e = sample(values, exact={name: Exact(true, 0.0, "test")})[name]
            if name in LOG:
                r = e.stderr / e.value
                assert e.z == pytest.approx(math.log(e.value / true) / r), name
            else:
                assert e.z == pytest.approx(shift), name
            assert math.copysign(1, e.z) == math.copysign(1, shift)


def test_z_with_a_spread_uses_the_theory():
    values = skewed(np.random.default_rng(8), 400)
    for name, true, spread in [("std_y", 1.1, 3.0), ("var_dx", 1.3, 9.0), ("mean_y", 2.4, 1.6)]:
        e = sample(values, exact={name: Exact(true, 0.0, "test", spread)})[name]
        if name in LOG:
            second_order = 4 * abs(QUANTITIES[name].power) * true / 400
            scale = math.hypot(spread / math.sqrt(400), second_order)
            expected = math.log(e.value / true) * true / scale
        else:
            expected = (e.value - true) / (spread / math.sqrt(400))
        assert e.z == pytest.approx(expected), name


def test_z_counts_the_error_of_the_exact_value():
    values = skewed(np.random.default_rng(9), 400)
    stderr = sample(values)["mean_y"].stderr
    exact = {"mean_y": Exact(0.0, stderr, "test")}
    assert sample(values, exact=exact)["mean_y"].z == pytest.approx(
        np.mean(values) / (stderr * math.sqrt(2))
    )


def test_spread_where_there_should_be_none_is_infinitely_far():
    values = np.random.default_rng(10).normal(size=100)
    assert sample(values, exact={"std_y": Exact(0.0, 0.0, "test")})["std_y"].z == math.inf
    constant = sample(np.zeros(100), exact={"std_y": Exact(0.0, 0.0, "test")})
    assert constant["std_y"].z is None


def test_two_point_values_have_an_error_of_second_order():
    # v = ±1 with p = 1/2: v² is constant, and σ̂² = 1 − ā² misses 1 by 1/n on average
    rng = np.random.default_rng(12)
    z = []
    for _ in range(500):
        v = rng.choice([-1.0, 1.0], size=1000)
        e = sample(v, exact={"std_y": Exact(1.0, 0.0, "test", 0.0)})["std_y"]
        assert e.stderr is None or e.interval[0] < 1 < e.interval[1] * 1.01
        z.append(e.z or 0.0)
    assert np.sqrt(np.mean(np.square(z))) < 1.1


@pytest.mark.parametrize("name", ["std_y", "var_y", "gain_y"])
def test_two_point_values_alarm_no_more_often_than_normal_ones(name):
    # ā of n values ±1 is Z/√n, and σ̂² = 1 − Z²/n: |z| > 4 where |Z| > 4, and so it should be
    n, alarms = 10_000, []
    for big in (3.6, 3.9, 4.1, 4.4):
        above = round(n / 2 * (1 + big / math.sqrt(n)))
        v = np.repeat([1.0, -1.0], [above, n - above])
        alarms.append(abs(sample(v, exact={name: Exact(1.0, 0.0, "test", 0.0)})[name].z) > 4)
    assert alarms == [False, False, True, True]


@pytest.mark.slow
def test_a_mean_square_that_hardly_varies_is_known_to_its_own_standard_error():
    # softplus of small β: y is near 693, and E[y²] is known far better than to 1/n
    z = [compute("softplus:beta=0.001", samples=500, seed=seed).rms_y.z for seed in range(200)]
    assert 0.85 < np.std(z) < 1.15


def test_what_all_draws_share_is_no_error_of_a_variance():
    # a layer norm's mean is 0 in every draw: nothing of second order is left
    z = [compute("layer_norm:eps=0.1", samples=500, seed=seed).std_y.z for seed in range(200)]
    assert 0.85 < np.std(z) < 1.15


def test_rounding_is_an_error_that_draws_do_not_average_away():
    values = np.random.default_rng(13).normal(size=1000)
    m = {"dx": of(xp, values, 0.0)}
    plain, rounded = (Estimator(rounding=r).estimates(m)["std_dx"] for r in (0.0, 0.1))
    expected = math.hypot(plain.stderr, 0.05 * plain.value)  # of the variance 0.1
    assert rounded.stderr == pytest.approx(expected, rel=2e-3)


def test_the_rounding_of_a_mean_that_is_taken_away_is_felt_at_its_size():
    # 12 numbers about 1444.664 miss their own mean by some 1e-13, all to one side; of 1e-9 is not
    for seed in range(5):
        spec = "group_norm:num_groups=1,num_channels=3,input_size=4"
        found = compute(spec, samples=20_000, seed=seed, x_mean=1444.664)
        assert found.mean_y.is_constant or abs(found.mean_y.z) < 1
    off = {"y": of(xp, np.random.default_rng(15).normal(1e-9, 1e-12, size=(12, 1000)), 0.0)}
    known = {"mean_y": Exact(0.0, 0.0, CONSTANT)}
    found = Estimator(known, farness=1445).estimates(off)["mean_y"]
    assert found.z is not None
    assert found.z > 50


def test_draws_left_out_make_an_estimate_unreliable():
    values = np.random.default_rng(14).normal(size=1000)
    assert sample(values)["std_dx"].reliable
    values[3] = math.inf
    assert not sample(values)["std_dx"].reliable


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_coverage_of_the_intervals(confidence):
    # relu's dx: half the draws zero, kurtosis 6; 1500 replications of n = 2000
    rng = np.random.default_rng(11)
    dx = rng.normal(size=(1500, 2000)) * (rng.random((1500, 2000)) < 0.5)
    true = {"std_dx": math.sqrt(0.5), "var_dx": 0.5, "mean_dx": 0.0, "gain_dx": math.sqrt(2)}
    hits = dict.fromkeys(true, 0)
    for row in dx:
        found = Estimator(confidence=confidence).estimates({"dx": of(xp, row, 0.0)})
        for name, value in true.items():
            low, high = found[name].interval
            hits[name] += low <= value <= high
    for name, hit in hits.items():
        assert hit / 1500 == pytest.approx(confidence, abs=0.035), name


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["relu", "sigmoid", "dropout:p=0.9", "max_pool1d:kernel_size=2"])
def test_z_is_a_standard_normal_over_seeds(spec):
    law = Law(0.3, 1.5, 2.0)
    runs = [compute(spec, samples=2000, seed=s, law=law, workers=1) for s in range(150)]
    for name in ("mean_y", "std_y", "mean_dx", "std_dx"):
        z = np.array([r.quantities[name].z for r in runs])
        assert abs(z.mean()) < 4.5 / math.sqrt(150), name
        assert 0.75 < z.std() < 1.3, name


def test_moments_of_pieces_give_the_same_estimate():
    values = skewed(np.random.default_rng(12), 1000)
    merged = merge(of(xp, values[..., :300], 2.0), of(xp, values[..., 300:], 2.0))
    whole = sample(values, 2.0)["std_y"]
    e = Estimator().estimates({"y": merged})["std_y"]
    assert (e.value, e.stderr) == pytest.approx((whole.value, whole.stderr), rel=1e-12)


def test_an_estimate_prints_its_standard_error():
    assert str(Estimate(0.2116763, 0.0000523, (0.2, 0.3), 1e6)) == "0.211676(52)"
    assert repr(Estimate(1.0, None, None, 1.0)) == "Estimate(1(?))"


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("mean_y", lambda mean: 3.0 - 1.0),
        ("var_y", lambda mean: (3.0 - mean) ** 2 - (1.0 - mean) ** 2),
        ("ms_y", lambda mean: 3.0**2 - 1.0**2),
    ],
)
def test_two_points_beyond_a_jump_add_what_they_change(name: str, one: Any) -> None:
    y = np.random.default_rng(0).gamma(2.0, size=400)
    m = reduce(merge, (as_unit(of(xp, part, 0.5)) for part in np.split(y, 8)))
    crossings = {"y": (Crossing(1.0, 3.0, 0.25),)}
    plain = Estimator().estimates({"y": m})[name].stderr
    wider = Estimator(crossings=crossings).estimates({"y": m})[name].stderr
    assert plain
    assert wider
    added = 2 * abs(one(y.mean())) * 0.25 / 400
    assert math.sqrt(wider**2 - plain**2) == pytest.approx(added, rel=1e-6)

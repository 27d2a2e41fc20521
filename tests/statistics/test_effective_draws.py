"""How many draws count: about the mean, no more than theory allows, and of rare events few.

Every study here has fixed seeds; the bounds on how often an interval may miss say how rarely a
correct program would exceed them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from bnstats.api import compute
from bnstats.backends import numpy_backend as xp
from bnstats.layers import Law
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import MIN_N_EFF, Estimator
from bnstats.statistics.exact import Exact, exact_moments, heavy_tailed
from bnstats.statistics.moments import as_unit, merge, of


def test_a_value_that_hardly_leaves_its_pivot_has_few_effective_draws() -> None:
    # a bump that 8 of 20,000 draws meet, about its peak, where y is at the mean of all inputs
    y = np.zeros(20_000)
    y[::2500] = 1.0
    for pivot in (0.0, 0.5, 1.0):
        (e, *_) = (
            v for k, v in Estimator().estimates({"y": of(xp, y, pivot)}).items() if k == "mean_y"
        )
        assert e.n_eff == pytest.approx(8, rel=2e-3), pivot
        assert not e.reliable


def test_of_an_event_the_effective_draws_follow_from_the_standard_error_of_sigma() -> None:
    rng = np.random.default_rng(0)
    values = 3.0 + rng.exponential(size=2000) + 0.2 * rng.normal(size=(4, 2000))
    e = Estimator().estimates({"y": of(xp, values, 2.5)})["std_y"]
    c = ((values - values.mean()) ** 2).mean(axis=0)
    r = np.std(c) / math.sqrt(2000) / (2 * c.mean())  # by hand: Var[c]/n, halved by the root
    assert e.n_eff == pytest.approx(1 / (4 * r * r + 1 / 2000), rel=1e-9)


@pytest.mark.parametrize("pivot", [0.0, 5.0])
@pytest.mark.parametrize("events", [1, 3])
def test_of_replicates_the_effective_draws_are_those_of_all_their_points(pivot, events) -> None:
    rng = np.random.default_rng(1)
    shape = (events, 4096) if events > 1 else (4096,)
    pieces = [rng.exponential(size=shape) ** 1.5 for _ in range(8)]
    # each replicate's points come in two chunks
    units = [
        as_unit(merge(of(xp, p[..., :1000], pivot), of(xp, p[..., 1000:], pivot))) for p in pieces
    ]
    found = units[0]
    for unit in units[1:]:
        found = merge(found, unit)
    assert found.count == 8
    assert found.n_eff == pytest.approx(of(xp, np.concatenate(pieces, -1), pivot).n_eff, rel=0.02)


def test_weights_count() -> None:
    rng = np.random.default_rng(2)
    v, w = rng.normal(2.0, 1.0, size=4096), rng.choice([0.5, 1.5], size=4096)
    found = as_unit(of(xp, v, 0.0, w))
    mean = np.average(v, weights=w)
    c = (v - mean) ** 2
    expected = 4096 * np.average(c, weights=w) ** 2 / np.average(c**2, weights=w)
    assert found.n_eff == pytest.approx(expected, rel=2e-3)


def test_a_sample_has_no_more_effective_draws_than_theory_allows() -> None:
    values = np.random.default_rng(3).normal(size=1000)
    exact = {"std_dx": Exact(1.0, 0.0, "test", 5.0)}  # r = 5/√1000
    found = Estimator(exact).estimates({"dx": of(xp, values, 0.0)})
    for e in found.values():
        assert e.n_eff == pytest.approx(1 / (4 * 25 / 1000 + 1e-3))
        assert not e.reliable


def test_selection_at_a_hundred_effective_draws() -> None:
    """Samples that pass there are no longer those that missed the tail.

    Dropout at p = 0.99 with 33,000 draws has 110 effective ones in theory; with 20,000 it has 67,
    and whatever a sample takes itself for, it does not pass.
    """
    few = [compute("dropout:p=0.99", samples=20_000, seed=seed) for seed in range(60)]
    assert not any(r.std_dx.reliable for r in few)
    assert max(r.std_dx.n_eff for r in few) < MIN_N_EFF


@pytest.mark.slow
@pytest.mark.parametrize(("size", "samples"), [(3, 3000), (5, 4000), (3, 1000)])
def test_rare_events_of_small_norms_alarm_no_one(size: int, samples: int) -> None:
    """1 − E[y²] is rare: one draw more than was due is no 17 standard errors.

    |z| > 4 at 6e-5 would be seen once in 80 runs of this test.
    """
    spec = f"layer_norm:normalized_shape={size}"
    seeds = [*range(200), 55, 1978]
    found = [compute(spec, samples=samples, seed=seed).std_y for seed in seeds]
    assert max(abs(e.z) for e in found) < 4
    for e in found:  # z and the interval tell one story, unless the sample lacks the rare event
        if abs(e.z) > 2 and not e.missed_tails:
            assert not e.interval[0] <= e.exact.value <= e.interval[1]


def test_an_error_of_the_formula_is_still_seen() -> None:
    # relu's sample against a σ that is 1 % too large, at 1e5 draws: about seven standard errors
    right = compute("relu", samples=100_000, seed=5, law=Law())
    z = []
    for factor in (1.0, 1.02):
        wrong = {k: e.exact for k, e in right.quantities.items()}
        std = wrong["std_dx"]
        wrong["std_dx"] = Exact(std.value * factor, std.error, std.by, std.asymptotic_std * factor)
        tally = {
            "dx": of(
                xp, np.random.default_rng(7).normal(size=100_000) * (np.arange(100_000) % 2), 0.0
            )
        }
        z.append(Estimator(wrong).estimates(tally)["std_dx"].z)
    assert abs(z[0]) < 4 < abs(z[1])


@pytest.mark.parametrize(
    "spec", ["lp_pool1d:kernel_size=2,norm_type=2", "max_pool2d:kernel_size=2"]
)
@pytest.mark.parametrize("law", [Law(), Law(-2.0, 0.01), Law(100.0, 1e-3)])
def test_a_moment_that_is_not_stated_is_not_infinite(spec: str, law: Law) -> None:
    bound = parse(spec).bound
    assert heavy_tailed(bound, exact_moments(bound, law)) == ()

"""The shape of a tail, and whom it flags: by laws whose tails and moments are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bnstats import compute
from bnstats.backends import numpy_backend as xp
from bnstats.layers import LAYERS, STANDARD, BoundLayer, ExactMoments, Input, Law
from bnstats.sampling.tails import tails
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.estimate import MIN_N_EFF, Estimator
from bnstats.statistics.moments import of
from bnstats.statistics.tails import Tail, pareto_shape, tail_of


@pytest.mark.parametrize("shape", [-0.5, 0.0, 0.25, 0.5, 1.0])
def test_the_shape_of_a_pareto_law_is_found(shape: float) -> None:
    rng = np.random.default_rng(0)
    found = [
        pareto_shape(np.sort(stats.genpareto.rvs(shape, scale=3.0, size=1000, random_state=rng)))
        for _ in range(50)
    ]
    # The asymptotic variance is (1 + k)²/n (Smith 1987), and the prior pulls by 1 % towards ½.
    expected = (1000 * shape + 5) / 1010
    assert np.mean(found) == pytest.approx(expected, abs=0.02)
    assert np.std(found) == pytest.approx((1 + max(shape, -0.4)) / math.sqrt(1000), rel=0.4)


@pytest.mark.parametrize("n", [20, 25, 42])
def test_the_shape_is_that_of_the_paper(n: int) -> None:
    """Zhang and Stephens (2009), term by term: k of their law is minus the shape, and θ is k/σ."""
    x = [-(math.log1p(-(i - 0.5) / n) ** 3) for i in range(1, n + 1)]
    assert x == sorted(x)
    m = 20 + math.floor(math.sqrt(n)) + 10
    first_quartile = x[math.floor(n / 4 + 0.5) - 1]
    theta = [
        1 / x[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * first_quartile) for j in range(1, m + 1)
    ]

    def k(t: float) -> float:
        return -sum(math.log(1 - t * value) for value in x) / n

    def profile(t: float) -> float:
        return n * (math.log(t / k(t)) + k(t) - 1)

    weights = [1 / sum(math.exp(profile(s) - profile(t)) for s in theta) for t in theta]
    shape = -k(sum(t * w for t, w in zip(theta, weights, strict=True)))
    assert pareto_shape(np.array(x)) == pytest.approx((n * shape + 10 * 0.5) / (n + 10), rel=1e-9)


@pytest.mark.parametrize(
    ("draws", "power", "largest"),
    [
        (2000, 1.0, 134),  # 3·√2000
        (2000, 3.0, None),  # as many as there are effective draws
        (100, 0.5, 20),  # a fifth, and the fewest that tell a shape
        (95, 0.5, 0),
    ],
)
def test_the_tail_is_that_of_the_largest(draws: int, power: float, largest: int | None) -> None:
    c = np.random.default_rng(6).exponential(size=draws) ** power
    share = np.mean(c) ** 2 / np.mean(c * c)
    if largest is None:
        largest = math.floor(share * draws)
        assert 20 < largest < 134
    found, ascending = tail_of(c), sorted(c)
    assert found.share == pytest.approx(share)
    if not largest:
        assert found.shape == math.inf
        return
    beyond = [x - ascending[-largest - 1] for x in ascending[-largest:]]
    assert found.shape == pytest.approx(pareto_shape(np.array(beyond)), rel=1e-9)


@pytest.mark.parametrize("seed", [8, 290, 478, 542])
def test_all_of_the_largest_are_found_wherever_they_lie(seed: int) -> None:
    """Orders of draws that a partition next to the right one leaves unsorted (found by search)."""
    c = np.random.default_rng(seed).exponential(size=2000)
    threshold, *largest = sorted(c)[-135:]
    expected = pareto_shape(np.array(largest) - threshold)
    assert tail_of(c).shape == pytest.approx(expected, rel=1e-9)


def test_draws_that_are_equal_to_the_threshold_exceed_it_by_nothing() -> None:
    c = np.sort(np.random.default_rng(6).exponential(size=2000))
    c[-300:-100] = c[-200]  # the 134th among them
    assert tail_of(c).shape == pytest.approx(pareto_shape(c[-100:] - c[-200]), rel=1e-9)


def test_effective_draws_by_hand() -> None:
    """Shape ¼ is below 1 − 1/log₁₀(n), ½ of twice of it, from 10² draws on."""
    tail = Tail(0.25, 0.3)
    assert tail.effective(100.0) == 0
    assert tail.effective(101.0) == pytest.approx(0.3 * 101 / 1.5)
    assert tail.effective(22.0, order=1) == pytest.approx(0.3 * 22 / 1.5)  # 1 − 1/1.342 = 0.255
    assert tail.effective(21.0, order=1) == 0
    assert Tail(-1.0, 0.3).effective(10.0) == 0
    assert Tail(-1.0, 0.3).effective(10.5) == pytest.approx(0.3 * 10.5 / 1.5)


def test_the_shape_has_no_scale() -> None:
    x = np.sort(np.random.default_rng(1).pareto(2.0, size=500))
    for scale in (1e-100, 1e100):
        assert pareto_shape(scale * x) == pytest.approx(pareto_shape(x), rel=1e-9)
    c = np.random.default_rng(1).pareto(2.0, size=5000)
    for scale in (1e-300, 1e300):
        found, plain = tail_of(scale * c), tail_of(c)
        assert (found.shape, found.share) == pytest.approx((plain.shape, plain.share), rel=1e-9)
    assert tail_of(np.append(c, [math.inf, math.nan])) == tail_of(c)


def test_what_is_seldom_or_always_the_same_has_no_tail() -> None:
    assert tail_of(np.zeros(1000)) is None
    assert tail_of(np.array([])) is None
    few = np.zeros(10_000)
    few[::100] = 1.0
    assert tail_of(few) == Tail(-math.inf, pytest.approx(0.01))
    few[:] = 0
    few[::1000] = 1.0  # ten of them tell nothing
    assert tail_of(few) == Tail(math.inf, pytest.approx(0.001))
    assert tail_of(few).effective(1e12) == 0


def test_more_draws_are_needed_the_heavier_the_tail() -> None:
    # 2k < 1 − 1/log₁₀ n: 0.75 at 10⁴
    assert Tail(0.3749, 0.6).effective(1e4) == pytest.approx(4000)
    assert Tail(0.3751, 0.6).effective(1e4) == 0
    assert Tail(0.3751, 0.6).effective(1.1e4) == pytest.approx(4400)
    # The error of a mean is made of c, and not of c²
    assert Tail(0.7499, 0.6).effective(1e4, 1) == pytest.approx(4000)
    assert Tail(0.7501, 0.6).effective(1e4, 1) == 0
    assert Tail(-math.inf, 0.5).effective(10) == 0
    assert Tail(0.49, 0.5).is_finite
    assert not Tail(0.5, 0.5).is_finite


def as_spec(name: str, inputs: int, value: Callable[[Any], Any]) -> Spec:
    def forward(xp: Any, draws: Any) -> Any:
        y = value(draws["x"])
        return y, lambda dy: dy * (y if y.ndim == 1 else y[0])

    given = {"x": Input((inputs,)), "dy": Input()}
    bound = BoundLayer(given, forward, lambda law, expect: ExactMoments())
    return Spec(name, LAYERS["identity"], bound)


def student(freedom: int) -> Callable[[Any], Any]:
    return lambda x: x[0] * np.sqrt(freedom / np.sum(x[1:] ** 2, axis=0))


LIGHT = {
    "normal": (1, lambda x: x[0]),
    "uniform": (2, lambda x: np.exp(-0.5 * np.sum(x * x, axis=0))),
    "relu": (1, lambda x: np.maximum(x[0], 0)),
    "t10": (11, student(10)),
    "product of 2": (2, lambda x: x[0] * x[1]),
    "event": (4, lambda x: 100.0 + x),
    "far": (1, lambda x: 1e6 + 1e-3 * x[0]),
}
HEAVY = {
    "t3": (4, student(3)),
    "t4": (5, student(4)),
    "lognormal": (1, lambda x: np.exp(x[0])),
    "product of 6": (6, lambda x: np.prod(x, axis=0)),
    "exp(x^2/5)": (1, lambda x: np.exp(x[0] ** 2 / 5)),
    "|x|^-0.3": (1, lambda x: np.abs(x[0]) ** -0.3),
}


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_tail_raises_no_alarm(name: str) -> None:
    for seed in range(20):
        tail = tails(as_spec(name, *LIGHT[name]), STANDARD, ("y",), 1000, seed)["y"]
        assert tail.effective(2000) > MIN_N_EFF


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_tail_is_flagged_whatever_the_sample(name: str) -> None:
    """Of a sample of 1e4, those that pass by their own effective draws missed the tail."""
    for seed in range(20):
        tail = tails(as_spec(name, *HEAVY[name]), STANDARD, ("y",), 1e5, seed)["y"]
        assert tail.effective(1e5) == 0


def test_a_share_of_effective_draws_is_that_of_the_kurtosis() -> None:
    kurtosis = {"normal": 3.0, "uniform": 1.8, "product of 2": 9.0, "t10": 4.0}
    for name, expected in kurtosis.items():
        found = tails(as_spec(name, *LIGHT[name]), STANDARD, ("y",), 1)["y"].share
        assert found == pytest.approx(1 / expected, rel=0.1)
    # The mean of four squares has a variance of 2/4, and deviates from 100.
    share = tails(as_spec("event", *LIGHT["event"]), STANDARD, ("y",), 1)["y"].share
    assert share == pytest.approx(1 / 1.5, rel=0.03)
    assert tails(as_spec("far", *LIGHT["far"]), STANDARD, ("y",), 1)["y"].share == pytest.approx(
        1 / 3, rel=0.05
    )


def test_a_rare_event_is_looked_for_among_more_draws() -> None:
    width = 0.02
    spec = as_spec("bump", 2, lambda x: np.exp(-0.5 * np.sum(x * x, axis=0) / width**2))
    few, many = (tails(spec, STANDARD, ("y",), n)["y"] for n in (1e4, 1e7))
    # E[c]²/E[c²] = E[y²]²/E[y⁴] to first order in w²: (w²/2)²/(w²/4)
    assert many.share == pytest.approx(width**2, rel=0.2)
    assert few.effective(1e4) < MIN_N_EFF < many.effective(1e7)


def test_only_what_theory_does_not_know_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        "bnstats.runs.drawing.tails", lambda s, law, d, n: asked.append((s.text, d)) or {}
    )
    for spec in ("relu", "dropout:p=0", "maxout", "rms_norm", "linear"):
        compute(spec, samples=1000)
    compute("linear", samples=1000, direction="forward")
    assert asked == [
        ("relu", ()),
        ("dropout:p=0", ()),
        ("maxout", ("dx",)),
        ("rms_norm", ("y",)),
        ("linear", ("y", "dx")),
        ("linear", ("y",)),
    ]


def test_layers_of_the_catalogue_are_light() -> None:
    for name in ("linear", "conv1d", "dropout2d", "feature_alpha_dropout", "softmax", "sparsemax"):
        for law in (STANDARD, Law(1.0, 2.0)):
            found = tails(parse(name), law, ("y", "dx"), 1e5)
            assert all(t.effective(10_000) > 5 * MIN_N_EFF for t in found.values()), name


def test_a_flag_is_a_matter_of_the_law_and_of_no_seed() -> None:
    spec = as_spec("lognormal", *HEAVY["lognormal"])
    for seed in range(5):
        found = compute(spec, samples=10_000, seed=seed).std_y
        assert (found.n_eff, found.reliable) == (0, False)


def test_an_estimate_and_its_own_effective_draws_stay_as_they_are_where_there_are_enough() -> None:
    values = np.random.default_rng(0).normal(size=3000)
    tally = {"y": of(xp, values, 0.0)}
    plain = Estimator().estimates(tally)
    assert Estimator(tails={"y": Tail(0.1, 0.2)}).estimates(tally) == plain
    found = Estimator(tails={"y": Tail(0.1, 0.02)}).estimates(tally)["std_y"]
    assert found.n_eff == pytest.approx(40)
    assert (found.value, found.interval) == (plain["std_y"].value, plain["std_y"].interval)

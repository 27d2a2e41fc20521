"""Warnings that a result gives of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from bnstats.api import compute
from bnstats.layers import Law
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import MIN_N_EFF


def unseen(spec: str, samples: int, **how: object) -> list[str]:
    """Return the directions whose standard error is said to have missed the tails."""
    found = compute(spec, samples=samples, **how).warnings  # type: ignore[arg-type]
    return [warning.partition(":")[0] for warning in found if "hardly seen the tails" in warning]


def test_of_the_samples_that_missed_the_tails_most_say_so() -> None:
    """σ[dx] of e^x hinges on E[e^4x·dy⁴], to which draws beyond 4σ give most."""
    told, silent = [], []
    for seed in range(100):
        result = compute("exponential", samples=2**15, seed=seed, direction="backward")
        std = result.std_dx
        assert std.interval is not None
        assert std.exact is not None
        if std.n_eff >= MIN_N_EFF:
            missed = not std.interval[0] <= std.exact.value <= std.interval[1]
            (silent if std.reliable else told).append(missed)
            assert std.reliable != any("tails" in w for w in result.warnings)
    assert sum(told) >= 5  # of 95 at 5 % nominal: 9 % miss in all
    assert sum(silent) <= 0.07 * len(silent)
    assert len(silent) >= 30


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_factor_is_not_taken_for_unseen_tails(factor: float) -> None:
    spec = parse("gelu")

    def forward(xp: object, draws: Mapping[str, object]) -> tuple[object, Callable[..., object]]:
        y, backward = spec.bound.forward(xp, draws)
        return y, lambda dy: factor * backward(dy)

    wrong = replace(spec, bound=replace(spec.bound, forward=forward))
    result = compute(wrong, samples=10**4)
    assert result.std_dx.tail_coverage == pytest.approx(1, abs=0.1)
    (told,) = [w for w in result.warnings if w.startswith("σ[dx]")]
    assert told.endswith("a formula or a backend is wrong")


@pytest.mark.parametrize("spec", ["exponential", "sigmoid", "dropout:p=0.9", "square"])
def test_a_sample_that_saw_them_does_not(spec: str) -> None:
    assert not unseen(spec, 2**22)


def test_sobol_points_are_told_apart_from_a_lack_of_tails() -> None:
    """Their standard errors are a small share of those of draws, and rightly so."""
    assert not unseen("sigmoid", 2**17, sampler="sobol")


@pytest.mark.parametrize("seed", [0, 2])
def test_sobol_points_that_miss_the_tails_say_so_and_blame_no_formula(seed: int) -> None:
    result = compute("rms_norm:normalized_shape=2", samples=2**17, seed=seed, sampler="sobol")
    std = result.std_dx
    assert std.missed_tails
    assert not std.reliable
    assert std.z is not None
    assert std.z < -5
    assert any(w.startswith("dx: 0 effective draws are too few") for w in result.warnings)
    assert not any("is wrong" in w for w in result.warnings)


@pytest.mark.parametrize("spec", ["relu", "exponential", "gelu", "square", "reglu", "dropout"])
def test_sobol_points_that_saw_the_tails_do_not(spec: str) -> None:
    assert not [w for w in compute(spec, samples=2**18, sampler="sobol").warnings if "tails" in w]


@pytest.mark.parametrize("seed", range(8))
def test_a_mean_square_of_values_that_are_rarely_small(seed: int) -> None:
    """Of 1000 draws of a saturated tanh, one lies inside: y² is 1 in nearly every one."""
    result = compute("tanh", samples=1000, seed=seed, law=Law(x_std=1e4), direction="forward")
    rms = result.rms_y
    assert rms.exact is not None
    missed = rms.interval is not None and not rms.interval[0] <= rms.exact.value <= rms.interval[1]
    assert not missed or any(w.startswith("rms[y]") for w in result.warnings)


def test_values_whose_fourth_powers_overflow_are_not_called_infinite() -> None:
    """What is left of the draws, those above 0, says nothing of the exact value: there is no z."""
    result = compute("leaky_relu:negative_slope=1e200", samples=1000)
    left_out = result.nonfinite["y"]
    told = [w for w in result.warnings if "draws of y" in w]
    assert told == [
        f"{left_out} of 1,000 draws of y are not finite, or their fourth powers are not, and are "
        "left out: the estimates are of the others; smaller parameters or a smaller `x_std` keep "
        "them finite"
    ]
    for name, estimate in result.quantities.items():
        assert not estimate.reliable, name
        assert estimate.z is None, name
    assert result.mean_y.exact is not None
    assert not any("try `samples" in w for w in result.warnings)


@pytest.mark.parametrize("seed", range(4))
def test_a_normalised_gradient_that_is_rarely_large_is_no_alarm(seed: int) -> None:
    """Of two elements 1/v has an infinite mean but for eps: σ[dx] hinges on what is never seen."""
    result = compute("rms_norm:normalized_shape=2", samples=10**6, seed=seed)
    std = result.std_dx
    assert std.exact is not None
    assert std.z is not None
    assert std.value < 0.8 * std.exact.value
    assert abs(std.z) < 0.1
    told = [w for w in result.warnings if "dx" in w]
    assert len(told) == 1
    assert "hardly seen the tails" in told[0] or "too few" in told[0]


@pytest.mark.parametrize(
    "spec", ["layer_norm:eps=0,normalized_shape=3", "rms_norm:eps=0,normalized_shape=4"]
)
def test_without_a_fourth_moment_nothing_of_a_direction_is_reliable(spec: str) -> None:
    result = compute(spec, samples=10**6)
    assert not result.std_dx.reliable
    assert not result.var_dx.reliable
    (told,) = [w for w in result.warnings if w.startswith("dx:")]
    assert told.endswith("; no `samples` is sure to help")
    aimed = compute(spec, precision=0.1, samples=10**8)
    assert aimed.status == "target_not_met"
    assert aimed.samples < 10**7


def test_a_fourth_moment_that_underflows_is_not_called_infinite() -> None:
    result = compute("square", samples=1000, law=Law(x_std=1e-50))
    (told,) = [w for w in result.warnings if w.startswith("σ[y]")]
    assert told.endswith("; try a larger `samples`")


def remedies(spec: str, samples: int, **law: float) -> list[str]:
    found = compute(spec, samples=samples, law=Law(**law)).warnings
    return [warning.rpartition("; ")[2] for warning in found]


def test_no_number_of_draws_is_named_where_none_helps() -> None:
    found = compute("exponential", samples=10_000, law=Law(x_std=30.0)).warnings
    beyond = "infinite, or beyond what quadrature can tell; no `samples` is sure to help"
    assert [told.partition("; ")[2] for told in found] == [
        f"no exact σ[y]: {beyond}",
        f"no exact σ[dx]: {beyond}",
    ]
    rare = "believe the exact value: what makes it is too rare for any `samples`"
    assert remedies("relu", 10_000, x_mean=-14.0) == [rare] * 2
    assert remedies("relu", 10_000, x_mean=-45.0) == []


@pytest.mark.parametrize("samples", [300, 3000, 30_000])
def test_the_draws_that_are_named_suffice_however_few_were_taken(samples: int) -> None:
    told = {
        w.rpartition("try `samples=")[2].rstrip("`") for w in remedies("relu", samples, x_mean=-3.3)
    }
    assert told
    needed = int(max(map(float, told)))
    result = compute("relu", samples=needed, law=Law(-3.3))
    assert result.std_y.reliable
    assert result.std_dx.reliable
    assert not result.warnings

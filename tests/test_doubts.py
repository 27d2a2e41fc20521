"""Warnings that a result gives of itself."""

from __future__ import annotations

import pytest

from bnstats.api import compute


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
        if std.reliable:
            missed = not std.interval[0] <= std.exact.value <= std.interval[1]
            (told if any("tails" in w for w in result.warnings) else silent).append(missed)
    assert sum(told) >= 5  # of 95 at 5 % nominal: 9 % miss in all
    assert sum(silent) <= 0.07 * len(silent)
    assert len(silent) >= 30


@pytest.mark.parametrize("spec", ["exponential", "sigmoid", "dropout:p=0.9", "square"])
def test_a_sample_that_saw_them_does_not(spec: str) -> None:
    assert not unseen(spec, 2**22)


def test_sobol_points_are_told_apart_from_a_lack_of_tails() -> None:
    """Their standard errors are a small share of those of draws, and rightly so."""
    assert not unseen("sigmoid", 2**17, sampler="sobol")

"""The bounds on exact values hold where a rule does not settle, against closed forms of mpmath."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from mpmath import mpf

from bnstats.layers import Known, Law
from bnstats.statistics import quadrature
from bnstats.statistics.quadrature import Expectation

STANDARD = Law()


def holds(known: Known, true: Any) -> bool:
    """Whether the truth is within the bound; an infinite bound holds whatever it is of."""
    return abs(mpf(known.value) - mpf(true)) <= known.error


@pytest.mark.parametrize("std", [1e-3, 1.0, 40.0])
@pytest.mark.parametrize(
    "p", [0.501, 0.51, 0.53, 0.55, 0.57, 0.58, 0.6, 0.62, 0.65, 0.7, 0.75, 0.8, 0.9]
)
def test_an_algebraic_singularity(p: float, std: float) -> None:
    """E[f′(X)²] of f = sign(x)·|x|^p is p²·E|X|^(2p − 2), a gamma function."""
    known = Expectation(Law(0.0, std))(
        lambda xp, x: (p * xp.abs(x) ** (p - 1)) ** 2, breakpoints=(0.0,)
    )
    with mp.workdps(30):
        k = 2 * mpf(p) - 2
        true = mpf(p) ** 2 * (mpf(std) * mp.sqrt(2)) ** k * mp.gamma((k + 1) / 2) / mp.sqrt(mp.pi)
        assert holds(known, true)
    if p >= 0.6:
        assert known.error < 0.3 * known.value  # and says something


@pytest.mark.parametrize("power", [1.0, 1.01, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("place", [0.0, 1.0, 1.1, -2.345, 1 / 3])
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("std", [1.0, 30.0])
def test_what_has_no_expectation_has_no_bound(power, place, declared, std) -> None:
    """1/|x − c| and its like, also where the two sides cancel in a rule's sum."""
    breakpoints = (place,) if declared else ()
    for sign in (False, True):

        def f(xp: Any, x: Any, sign: bool = sign) -> Any:
            y = xp.abs(x - place) ** -power
            return xp.where(x > place, y, -y) if sign else y

        with np.errstate(all="ignore"):
            known = Expectation(Law(0.0, std))(f, breakpoints=breakpoints)
        assert not math.isfinite(known.value + known.error)


@pytest.mark.parametrize("wave", [300.0, 1000.0, 3000.0, 10_000.0, 1e6])
def test_a_wave_that_panels_do_not_resolve(wave: float) -> None:
    expect = Expectation(STANDARD)
    assert holds(expect(lambda xp, x: xp.sin(wave * x)), 0)
    true = (1 - mp.exp(-2 * mpf(wave) ** 2)) / 2
    assert holds(expect(lambda xp, x: xp.sin(wave * x) ** 2), true)
    assert holds(
        expect(lambda xp, x: xp.sin(wave * x + 0.3)), mp.sin(0.3) * mp.exp(-(mpf(wave) ** 2) / 2)
    )


def staircase(step: float, offset: float, std: float) -> tuple[Callable[[Any, Any], Any], Any]:
    """Return a quantiser and its mean under N(0, std²), step by step."""
    count = math.ceil(12 * std / step) + 2
    edges = [mpf(offset) + mpf(step) * k for k in range(-count, count + 1)]
    # floor((x − o)/s)·s is −count·s·… at the left end, and every edge adds a step
    mean = mpf(step) * (-count - 1) + mp.fsum(mpf(step) * mp.ncdf(-e / std) for e in edges)
    return lambda xp, x: step * xp.floor((x - offset) / step), mean


@pytest.mark.parametrize("case", range(60))
def test_steps_that_nobody_declared(case: int) -> None:
    rng = np.random.default_rng(case)
    step, offset, std = 10 ** rng.uniform(-2.0, 0.3), rng.uniform(-1, 1), 10 ** rng.uniform(-1, 1)
    step *= std
    f, true = staircase(step, offset, std)
    known = Expectation(Law(0.0, std))(f)
    assert holds(known, true)
    known = Expectation(Law(0.0, std))(lambda xp, x: x - f(xp, x))  # a sawtooth
    assert holds(known, -true)


@pytest.mark.parametrize("count", [17, 40, 200])
def test_any_number_of_declared_steps_is_exact(count: int) -> None:
    edges = np.sort(np.random.default_rng(count).uniform(-5, 5, count))
    known = Expectation(STANDARD)(
        lambda xp, x: xp.astype(xp.searchsorted(xp.asarray(edges), x), x.dtype),
        breakpoints=tuple(edges.tolist()),
    )
    true = mp.fsum(mp.ncdf(-mpf(e)) for e in edges.tolist())
    assert holds(known, true)
    assert known.error < 1e-12 * known.value


@pytest.mark.parametrize("case", range(40))
def test_a_window_far_narrower_than_the_law(case: int) -> None:
    """P(a < X < b) keeps its relative precision, however close a and b are."""
    rng = np.random.default_rng(case)
    mean, std, low = rng.normal(), 10 ** rng.uniform(-1, 2), rng.normal()
    high = low + std * 10 ** rng.uniform(-9, -2)
    known = Expectation(Law(mean, std))(
        lambda xp, x: xp.astype((x > low) & (x < high), x.dtype), breakpoints=(low, high)
    )
    with mp.workdps(50):
        z = [(mpf(end) - mpf(mean)) / mpf(std) for end in (low, high)]
        true = mp.quad(mp.npdf, z)
        assert holds(known, true)
    assert known.error < 1e-11 * known.value


@pytest.mark.parametrize("case", range(40))
def test_an_edge_far_out(case: int) -> None:
    """A relative error of z there is z² times as large in the probability beyond it."""
    rng = np.random.default_rng(case)
    z = rng.uniform(8, 36)
    mean, std = rng.normal() * 3, 10 ** rng.uniform(-2, 2)
    edge = mean + std * z
    for power in (0, 1, 2):
        known = Expectation(Law(mean, std))(
            lambda xp, x, power=power: xp.where(x > edge, (x - edge) ** power, 0 * x),
            breakpoints=(edge,),
        )
        with mp.workdps(50):
            t = (mpf(edge) - mpf(mean)) / mpf(std)
            tail = mp.ncdf(-t)
            first = mp.npdf(t) - t * tail
            true = [tail, mpf(std) * first, mpf(std) ** 2 * (tail - t * first)][power]
            assert holds(known, true), (power, z)
        assert known.error < 1e-9 * known.value or known.value < 1e-290


@pytest.mark.parametrize("rate", [400.0, 500.0, 900.0])
def test_what_underflows_is_not_known_to_be_zero(rate: float) -> None:
    """E[e^(−2rX)] at X = 1 ± 1e-3 is below 1e-308: 0 within a bound that holds."""
    known = Expectation(Law(1.0, 1e-3))(lambda xp, x: xp.exp(-rate * x) ** 2)
    with mp.workdps(30):
        true = mp.exp(-2 * mpf(rate) + 2 * mpf(rate) ** 2 * mpf("1e-6"))
        assert holds(known, true)
    assert 0 < known.error < 1e-300


def test_the_last_coefficients_are_those_of_a_legendre_series():
    found = quadrature._last_coefficients()
    nodes = np.polynomial.legendre.leggauss(len(found))[0]
    series = np.random.default_rng(2).normal(size=len(found))
    values = np.polynomial.legendre.legval(nodes, series)
    np.testing.assert_allclose(values @ found, series[-2:], rtol=1e-9, atol=1e-11)

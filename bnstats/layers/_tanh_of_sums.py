"""Moments of tanh(Σ w_i·x_i + b), x standard normal and w drawn, by characteristic functions.

The products w_i·x_i are independent and alike, so that the characteristic function φ of their sum s
is a power; and E[f(s)] = ∫ F(t)·φ(t) dt/2π with F the Fourier transform of f, which of sech² is
πt/sinh(πt/2), and of sech⁴ (t² + 4)/6 times that (Oberhettinger, Tables of Fourier Transforms).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from bnstats.layers._bound import Array, Expect, Namespace
from bnstats.layers._initialisation import TRUNCATED_STD
from bnstats.layers._known import Known

_REACH = 40.0  # t/sinh(πt/2) is 1e-26 there
_APART = 1 / math.pi  # so that no node lies on 0
_SERIES = 16  # terms of an alternating series in numbers below 1/2

Function: TypeAlias = Callable[[Namespace, Array], Array]


class Summand(NamedTuple):
    """A number of independent products w·x, or of numbers b.

    Attributes
    ----------
    number
        How many there are.
    transform
        The characteristic function of one.
    weighted
        E[w²·e^(itwx)] of one.
    """

    number: int
    transform: Function
    weighted: Function


def uniform_weights(count: int, bound: float, std: float) -> Summand:
    """Return the products of weights U(±bound) with normal numbers of a standard deviation.

    With u = t·std·bound, E[e^(−u²v²/2)] over v in (0, 1) is √(π/2)·erf(u/√2)/u, and with the factor
    v² it is (that − e^(−u²/2))/u².
    """

    def transform(xp: Namespace, t: Array) -> Array:
        u = xp.abs(t) * std * bound
        return math.sqrt(math.pi / 2) * xp.erf(u / math.sqrt(2)) / u

    def weighted(xp: Namespace, t: Array) -> Array:
        half = 0.5 * (t * std * bound) ** 2
        small = xp.minimum(half, 0.5)
        series: Array = 0.0
        for k in reversed(range(_SERIES)):  # Σ (−half)^k/(k!·(2k + 3))
            series = 1 / (math.factorial(k) * (2 * k + 3)) - small * series
        far = (transform(xp, t) - xp.exp(-half)) / (2 * xp.maximum(half, 0.5))
        return bound**2 * xp.where(half < 0.5, series, far)

    return Summand(count, transform, weighted)


def truncated_weights(count: int, weight_std: float, std: float) -> Summand:
    """Return the products of weights cut at ±2σ with normal numbers of a standard deviation.

    With r² = 1 + (t·std·σ)² the two are erf(√2·r)/r and (that − 4·e^(−2r²)/√(2π))·σ²/r², each over
    erf(√2).
    """
    sigma = weight_std / TRUNCATED_STD

    def transform(xp: Namespace, t: Array) -> Array:
        r = xp.hypot(1.0, t * std * sigma)
        return xp.erf(math.sqrt(2) * r) / (r * math.erf(math.sqrt(2)))

    def weighted(xp: Namespace, t: Array) -> Array:
        r = xp.hypot(1.0, t * std * sigma)
        edge = 4 / (math.sqrt(2 * math.pi) * math.erf(math.sqrt(2))) * xp.exp(-2 * r * r)
        return (sigma / r) ** 2 * (transform(xp, t) - edge)

    return Summand(count, transform, weighted)


def orthogonal_weights(count: int, std: float) -> Summand:
    """Return the whole product of a row of an orthogonal matrix, which is normal."""

    def transform(xp: Namespace, t: Array) -> Array:
        return xp.exp(-0.5 * (t * std) ** 2)

    return Summand(1, transform, lambda xp, t: transform(xp, t) / count)


def uniform_biases(count: int, bound: float) -> Summand:
    """Return numbers U(±bound), which have no x."""

    def transform(xp: Namespace, t: Array) -> Array:
        return xp.sin(t * bound) / (t * bound)

    return Summand(count, transform, transform)


def tanh_moments(expect: Expect, summands: Sequence[Summand]) -> tuple[Known, list[Known]]:
    """Return E[tanh² s], and for each summand E[w²·sech⁴ s]."""

    def integral(function: Function) -> Known:
        def integrand(xp: Namespace, t: Array) -> Array:
            return t / xp.sinh(0.5 * math.pi * t) * function(xp, t)

        return expect.integral(integrand, -_REACH, _REACH * (1 + _APART))

    def product(xp: Namespace, t: Array, chosen: int | None = None) -> Array:
        found: Array = 1.0
        for i, summand in enumerate(summands):
            found = found * summand.transform(xp, t) ** (summand.number - (i == chosen))
        return found if chosen is None else found * summands[chosen].weighted(xp, t)

    def of_square(chosen: int) -> Known:
        return integral(lambda xp, t: (t * t + 4) * product(xp, t, chosen)) / 12

    return 1 - 0.5 * integral(product), [of_square(i) for i in range(len(summands))]

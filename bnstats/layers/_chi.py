"""Moments of the chi distribution: the length of a vector of normals, centred or not."""

from __future__ import annotations

import math
from typing import NamedTuple

from bnstats.layers._known import UNKNOWN, Known

_MOST_DEGREES = 20_000  # above, binomial coefficients take long


class Chi(NamedTuple):
    """Mean, variance and fourth central moment of a length, in units of σ of its elements."""

    mean: Known
    var: Known
    m4: Known  # without a bound


def chi(degrees: int, noncentrality: float = 0.0) -> Chi:
    """Return moments of √(Σ(z_i + c_i)²), ``degrees`` standard normals z, Σc² = noncentrality.

    Its distribution is that of a centred chi with ``degrees`` + 2j degrees of freedom, where j is
    Poisson with mean noncentrality/2 (Johnson, Kotz and Balakrishnan, Continuous Univariate
    Distributions 2, ch. 29). They are unknown if more than 20,000 degrees of freedom matter.
    """
    rate = noncentrality / 2
    mode = int(rate)
    reach = 14 * math.sqrt(rate) + 40 if rate else 0.0
    if degrees + 2 * (mode + reach) > _MOST_DEGREES:
        return Chi(UNKNOWN, UNKNOWN, UNKNOWN)
    centre = _mean(degrees + 2 * mode)
    up = _terms(degrees, rate, mode, centre, int(mode + reach))
    down = _terms(degrees, rate, mode, centre, max(int(mode - reach), 0))
    terms = [*up, *down[1:]]
    total = math.fsum(weight for weight, _, _ in terms)
    mean = math.fsum(weight * first for weight, _, first in terms) / total
    third = math.fsum(weight * (d + 1) * first for weight, d, first in terms) / total
    second = degrees + noncentrality
    fourth = second**2 + 2 * (second + noncentrality)
    m4 = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    relative = (8 + 4 * math.sqrt(rate)) * 2.0**-52  # of terms that matter, by recursion
    return Chi(
        mean=Known(mean, relative * mean),
        var=Known(second - mean**2, 2 * relative * second),
        m4=Known(m4),
    )


def _mean(degrees: int) -> float:
    """Mean of a centred chi, √2·Γ((d+1)/2)/Γ(d/2), by central binomial coefficients."""
    j, odd = divmod(degrees, 2)
    binomial, power = math.comb(2 * j, j), 1 << 2 * j
    if odd:
        return math.sqrt(2 / math.pi) * (power / binomial)
    return math.sqrt(2 * math.pi) * (j * binomial / power)


def _terms(
    degrees: int, rate: float, mode: int, centre: float, end: int
) -> list[tuple[float, int, float]]:
    """Return (relative Poisson weight, degrees, mean of chi) for j from the mode to an end."""
    weight, first, j = 1.0, centre, mode
    terms = [(weight, degrees + 2 * j, first)]
    while j != end:
        if end > mode:
            d = degrees + 2 * j
            weight, first, j = weight * rate / (j + 1), first * (d + 1) / d, j + 1
        else:
            d = degrees + 2 * (j - 1)
            weight, first, j = weight * j / rate, first * d / (d + 1), j - 1
        terms.append((weight, degrees + 2 * j, first))
    return terms

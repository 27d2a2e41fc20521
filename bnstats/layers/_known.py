"""Moments that are known without sampling, and arithmetic with the bounds on their errors."""

from __future__ import annotations

import math
from typing import NamedTuple

CONSTANT = "constant"  # how e.g. the mean of outputs that sum to one is known


class Known(NamedTuple):
    """A moment that is known without sampling, with a bound on its absolute error."""

    value: float
    error: float = 0.0
    by: str = "closed form"


def combined(*terms: tuple[float, Known]) -> Known:
    """Return Σ c·k over pairs (c, k); the bounds on the errors add up."""
    return Known(
        math.fsum(c * k.value for c, k in terms),
        math.fsum(abs(c) * k.error for c, k in terms),
        terms[0][1].by,
    )


def squared(known: Known) -> Known:
    """Return a square, found in the same way."""
    value, error = known.value, known.error
    return Known(value**2, (2 * abs(value) + error) * error, known.by)

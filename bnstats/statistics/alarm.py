"""The two-stage gate in numbers: when z raises an alarm, and when a second one confirms it.

A test fails when |z| > 4 and then, on an independent stream, z has the same sign and at least the
size that `second_threshold` returns. Under a true null the two tail probabilities multiply, so a
family of tests fails with a chance of at most ``family_error`` (Bonferroni's inequality).
"""

from __future__ import annotations

import math
from statistics import NormalDist

FAMILY_ERROR = 1e-6
FIRST_THRESHOLD = 4.0
SECOND_STAGE_FACTOR = 4  # times the samples of the first stage
_LEAST_CHANCE = 1e-300  # smaller ones are as good as none, and no float64 beyond


def two_sided(chance: float) -> float:
    """Return the size that a standard normal z exceeds with this chance, to either side.

    >>> round(two_sided(0.05), 2)
    1.96
    """
    return -NormalDist().inv_cdf(max(chance, _LEAST_CHANCE) / 2)


def second_threshold(tests: int, family_error: float = FAMILY_ERROR) -> float:
    """Return the |z| at which the second stage fails a test.

    The chance that both stages of a correct constant fail is then ``family_error/tests``.

    >>> round(second_threshold(150), 2)
    3.71
    """
    normal = NormalDist()
    first = 2 * normal.cdf(-FIRST_THRESHOLD)
    return two_sided(min(2 * family_error / (tests * first), 1.0))


def confirmed(first: float, second: float, threshold: float) -> bool:
    """Whether a second, independent z confirms the alarm that the first one raised."""
    return abs(first) > FIRST_THRESHOLD and first * second > 0 and abs(second) >= threshold


def round_up(number: float) -> int:
    """Round a number of draws up to one significant digit."""
    if not math.isfinite(number):
        return 10**18
    unit: int = 10 ** math.floor(math.log10(max(number, 1)))
    return math.ceil(number / unit) * unit

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


def second_threshold(tests: int, family_error: float = FAMILY_ERROR) -> float:
    """Return the |z| at which the second stage fails a test.

    The chance that both stages of a correct constant fail is then ``family_error/tests``.

    >>> round(second_threshold(150), 2)
    3.71
    """
    normal = NormalDist()
    first = 2 * normal.cdf(-FIRST_THRESHOLD)
    share = min(family_error / (tests * first), 0.5)
    return -normal.inv_cdf(share)


def confirmed(first: float, second: float, threshold: float) -> bool:
    """Whether a second, independent z confirms the alarm that the first one raised."""
    return abs(first) > FIRST_THRESHOLD and first * second > 0 and abs(second) >= threshold


def round_up(number: float) -> int:
    """Round a number of draws up to one significant digit."""
    if not math.isfinite(number):
        return 10**18
    unit: int = 10 ** max(math.floor(math.log10(max(number, 1))), 0)
    return math.ceil(number / unit) * unit

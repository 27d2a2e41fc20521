"""A rule that is refined tells what is missing to its limit, on results made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from bnstats.statistics.quadrature import _converged, _has_settled, _remainder, _slowness, _Sum

FINE = 2.0**-40
HALVING = [0.0, 8.0, 12.0, 14.0, 15.0]
SLOW = [0.0, 1000.0, 1900.0, 2710.0, 3439.0]  # changes by 9/10 of the one before
STEADY = 1000.0


def sums(values: Sequence[float], sizes: Sequence[float] = (), **last: float) -> list[_Sum]:
    """Return results of a rule; attributes of the last one may be given besides."""
    found = [_Sum(v, s, 0.0) for v, s in zip(values, sizes or [STEADY] * len(values), strict=True)]
    return [*found[:-1], found[-1]._replace(**last)]


@pytest.mark.parametrize(
    ("values", "slowest"),
    [
        (HALVING, 0.5),
        ([0.0, 1.0, 1.75, 2.125, 2.21875], 0.75),  # 3/4, 1/2 and 1/4: the largest, though first
        ([0.0, -1.0, -0.75, -0.875, -0.78125], 0.75),  # changes count by their size
        ([0.0, 1.0, 101.0, 105.0, 107.0, 108.0], 0.5),  # of five changes the first has no say
        ([5.0, 5.0, 6.0, 6.5, 6.75], math.inf),  # from no change at all to one
        ([math.nan, 8.0, 12.0, 14.0, 15.0], math.inf),
        ([0.0, math.inf, math.inf, 14.0, 15.0], math.inf),
        ([0.0, 8.0, 12.0, 14.0], math.inf),  # two ratios are too few
        ([1.0], math.inf),
    ],
)
def test_the_slowness_is_the_largest_of_three_ratios(values: list[float], slowest: float) -> None:
    assert _slowness(values) == slowest


@pytest.mark.parametrize(
    ("values", "sizes", "tolerance", "settled"),
    [
        ([0.0, 2.0**-10], [1.0, 1.0], 2.0**-10, True),  # at the tolerance
        ([0.0, 2.0**-10], [1.0, 0.9999], 2.0**-10, False),  # in units of the last size
        ([2.0**-10, 0.0], [1.0, 1.0], 2.0**-11, False),
        ([3.0, 3.0], [1.0, 1.0], FINE, True),
        ([3.0, 3.0], [999.0, 1000.0], FINE, True),  # a size may change by a thousandth
        ([3.0, 3.0], [1001.0, 1000.0], FINE, True),
        ([3.0, 3.0], [998.9, 1000.0], FINE, False),
        ([3.0, 3.0], [60.0, 64.0], 2.0**-4, True),  # or by the tolerance, which is larger
        ([3.0, 3.0], [59.9, 64.0], 2.0**-4, False),
        ([3.0, 3.0, 3.0], [1.0, 1.0, 2.0], FINE, False),  # the last two of three
        ([9.0, 3.0, 3.0], [7.0, 1.0, 1.0], FINE, True),
        ([math.nan, math.nan], [1.0, 1.0], FINE, False),
        ([3.0], [1.0], 1.0, False),
    ],
)
def test_a_rule_has_settled_where_two_results_agree(
    values: list[float], sizes: list[float], tolerance: float, settled: bool
) -> None:
    assert _has_settled(sums(values, sizes), tolerance) is settled


def test_what_is_missing_to_a_rule_that_has_settled_is_its_last_change() -> None:
    assert _remainder(sums([0.0, 9.0, 9.0 + 2.0**-36]), FINE) == 2.0**-36
    assert _remainder(sums([0.0, 9.0, 9.0]), FINE) == 0.0


def test_a_rule_that_underflows_may_lack_all_that_it_ever_had() -> None:
    assert _remainder(sums([1.0, 3.0, 0.0], [1.0, 5.0, 0.0]), FINE) == 5.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_is_known_of_a_rule_that_ends_in_no_number(bad: float) -> None:
    flat: dict[str, float] = {"peaked": False, "unresolved": 1e9}
    assert _remainder(sums([*HALVING[:-1], bad], **flat), FINE) == math.inf
    assert _remainder(sums([*HALVING[:-2], bad, 15.0], **flat), FINE) == math.inf
    assert _remainder(sums(HALVING, [*[STEADY] * 4, math.nan], **flat), FINE) == math.inf


@pytest.mark.parametrize("at", range(3))
def test_what_a_rule_was_before_its_last_two_results_may_be_no_number(at: int) -> None:
    values = HALVING.copy()
    values[at] = math.inf
    assert _remainder(sums(values, peaked=False, unresolved=1.5), FINE) == 1.5


def test_errors_of_panels_count_where_many_make_them_and_they_explain_the_last_change() -> None:
    assert _remainder(sums(HALVING, peaked=False, unresolved=1.0), FINE) == 1.0
    assert _remainder(sums(HALVING, peaked=False, unresolved=1.75), FINE) == 1.75
    assert _remainder(sums(HALVING, peaked=False, unresolved=0.75), FINE) == 2.0
    assert _remainder(sums(HALVING, peaked=True, unresolved=1.0), FINE) == 2.0
    assert _remainder(sums(HALVING, peaked=True, unresolved=3.0), FINE) == 3.0


def test_small_changes_are_taken_a_hundredfold() -> None:
    """Of a size of a million, a change by one is small; that of the size must be so as well."""
    million = [1e6 + 50, 1e6 + 40, 1e6 + 30, 1e6, 1e6]
    values = [0.0, 9.0, 7.0, 3.0]  # changes that grow: no ratio would do
    assert _remainder(sums([*values, 4.0], million), FINE) == 100.0
    assert _remainder(sums([*values, 2.5], million), FINE) == 50.0
    assert _remainder(sums([*values, 3.5], [*million[:3], 1e6 - 1, 1e6]), FINE) == 50.0
    assert _remainder(sums([*values, 4.0], million, unresolved=300.0), FINE) == 300.0
    growing = [0.0, 9.0, 7.0, 6.0]
    assert _remainder(sums([*growing, 7.5], million), FINE) == math.inf
    # A size that still changes, and values whose changes shrink by halves.
    assert _remainder(sums(HALVING, [*million[:3], 1e6 - 2, 1e6]), FINE) == 2.0


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (HALVING, 2.0),  # half of each change: as much again is missing, and twice that is told
        ([0.0, 64.0, 80.0, 84.0, 85.0], 2.0),  # a quarter: no less than the last change itself
        ([0.0, 64.0, 112.0, 148.0, 175.0], 2 * 27 * 3.0),  # three quarters: three times that
        ([100.0, 0.0, 64.0, 112.0, 148.0, 175.0], 2 * 27 * 3.0),
        (SLOW, math.inf),  # nine tenths: too slow
        ([0.0, 1.0, 3.0, 7.0, 15.0], math.inf),
    ],
)
def test_what_is_missing_to_a_slow_rule_is_told_by_ratios(
    values: list[float], missing: float
) -> None:
    assert _remainder(sums(values), FINE) == missing


@pytest.mark.parametrize(
    ("sizes", "known"),
    [
        ([35.0, 43.0, 47.0, 49.0, 50.0], True),  # the last change is a fiftieth
        ([65.0, 57.0, 53.0, 51.0, 50.0], True),
        ([35.0, 43.0, 47.0, 48.9, 50.0], False),
        ([65.0, 57.0, 53.0, 51.1, 50.0], False),
        # Where changes of sizes do not shrink, a thousandth is as much as the last may be.
        ([1000.0, 1001.0, 1002.0, 999.0, 1000.0], True),
        ([1000.0, 1001.0, 1002.0, 1001.5, 1000.0], False),
    ],
)
def test_the_size_must_be_on_its_way_to_a_limit(sizes: list[float], known: bool) -> None:
    assert _remainder(sums(HALVING, sizes), FINE) == (2.0 if known else math.inf)


def test_sizes_are_slow_from_nine_tenths_on() -> None:
    """Their changes are 1000, 900, 810 and 729, of a size of 100,000."""
    end = 1e5
    at_nine_tenths = [end - 3439, end - 2439, end - 1539, end - 729, end]
    assert _remainder(sums(HALVING, at_nine_tenths), FINE) == math.inf
    less = [end - 3400, end - 2400, end - 1501, end - 700, end]
    assert _remainder(sums(HALVING, less), FINE) == 2.0


def test_a_rule_is_refined_until_it_settles() -> None:
    asked: list[int] = []

    def rule(parts: int) -> _Sum:
        asked.append(parts)
        return _Sum(1.0 + 4.0 ** -len(asked), 2.0, 0.0)

    found, missing = _converged(rule, [3, 5, 7, 11, 13, 17], 2.0**-5, 0.0)
    assert asked == [3, 5, 7]  # where it changes by 3/64, which is less than 1/32 of 2
    assert (found.value, missing) == (1.0 + 2.0**-6, 3 * 2.0**-6)


def test_a_rule_that_changes_within_noise_is_known_by_its_last_change() -> None:
    results = iter(sums([0.0, 1.0, 0.0, 1.0]))
    found, missing = _converged(lambda parts: next(results), range(4), FINE, 2.0**-9)
    assert (found.value, missing) == (1.0, 1.0)
    results = iter(sums([0.0, 1.0, 0.0, 1.0]))
    assert _converged(lambda parts: next(results), range(4), FINE, FINE)[1] == math.inf

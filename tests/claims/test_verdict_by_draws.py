"""Verdicts by draws alone: the ends of both intervals, and the draws that would decide."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import claim_support
import pytest
from claim_support import claim, within

from bnstats.claims.values import Printed
from bnstats.claims.verdict import _advice, _draws_that_decide, judge, verdicts_on
from bnstats.layers import STANDARD
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimate

sampled = partial(claim_support.sampled, log_scale=False)

# --- by the sample ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        # ±4·0.125 around it, within or beside [0, 2]
        (0.5, "reproduced"),
        (1.5, "reproduced"),
        (0.5 - 2**-20, "undecided"),
        (1.5 + 2**-20, "undecided"),
        (-0.5, "undecided"),
        (2.5, "undecided"),
        (-0.5 - 2**-20, "refuted"),
        (2.5 + 2**-20, "refuted"),
    ],
)
def test_a_sample_decides_by_the_ends_of_both_intervals(value: float, outcome: str) -> None:
    found = judge(within(1.0, 1.0), {}, {"std_dx": sampled(value, 0.125)}, samples=100, z=4.0)
    assert found.outcome == outcome
    assert found.decided_by == "sample"


def test_a_wide_interval_around_a_narrow_claim_decides_nothing() -> None:
    found = judge(within(1.0, 0.25), {}, {"std_dx": sampled(1.0, 0.125)}, samples=100, z=4.0)
    assert found.outcome == "undecided"


def test_without_a_standard_error_a_sample_is_not_reliable() -> None:
    estimate = Estimate(1.0, None, (0.9, 1.1), 1e6)
    found = judge(within(1.0, 0.25), {}, {"std_dx": estimate}, samples=100)
    assert found.remark == "the interval is not reliable at this sample size"


def test_a_sample_tells_why_and_what_else_the_value_is() -> None:
    known = {"std_dx": sampled(0.75, 2.0**-10), "var_dx": sampled(0.5, 2.0**-12)}
    found = judge(within(0.5, 2.0**-6), {}, known, samples=10_000, z=4.0)
    assert (found.grade, found.value_of) == ("wrong quantity", "var_dx")
    assert found.remark == "sampled 0.75000(98); 0.5 is Var[dx]"
    # An error of a quarter is that of 2¹⁶ times fewer draws than have an error of 2⁻¹⁰.
    other = judge(within(0.5, 2.0**-6), {}, known | {"var_dx": sampled(0.7, 2.0**-12)}, samples=4)
    assert other.equal_error_samples == pytest.approx(4 * (2.0**-10 / 0.25) ** 2)
    assert other.remark == "sampled 0.75000(98); off by −33 %"


def test_a_sampled_value_is_not_called_cut_off_within_its_error() -> None:
    # 0.75 claims [0.745, 0.755]; 0.757 ± 4·0.0004 is beyond, and its digits may begin with 0.75.
    at = {"std_dx": sampled(0.757, 0.0004)}
    assert judge(claim("0.75"), {}, at, samples=100, z=4.0).grade == "cut off"
    assert (
        judge(claim("0.75"), {}, {"std_dx": sampled(0.7583, 0.0004)}, samples=100, z=4.0).grade
        == "cut off"
    )
    assert (
        judge(claim("0.75"), {}, {"std_dx": sampled(0.7587, 0.0004)}, samples=100, z=4.0).grade
        == "wrong"
    )


def test_the_draws_and_their_interval_are_named() -> None:
    known = {"std_dx": sampled(1.0, 0.125)}
    positional: Callable[..., Any] = judge
    with pytest.raises(TypeError, match="positional"):
        positional(within(1.0, 0.25), {}, known, 100)


# --- advice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spread", "z", "half_width", "draws"),
    [
        (1.0, 3.0, 0.05, 640_000),  # 4 standard errors in 0.005: 800², rounded up below
        (2.0, 3.0, 0.05, 2_560_000),
        (1.0, 4.0, 0.05, 1_000_000),
        (1.0, 4.9, 0.5, 13_924),
    ],
)
def test_the_draws_of_which_z_and_one_standard_errors_fit_into_a_tenth(
    spread: float, z: float, half_width: float, draws: int
) -> None:
    found = _draws_that_decide(spread, Printed("", 1.0, half_width, 2), z)
    assert found is not None
    unit = 10 ** (len(str(draws)) - 1)
    assert draws * (1 - 1e-9) <= found <= draws + unit


def test_nobody_can_draw_more_than_a_quintillion() -> None:
    printed = Printed("", 1.0, 10.0 * 2**-20, 9)  # a tenth of which is 2⁻²⁰
    assert _draws_that_decide(1e9 / 2**21, printed, 1.0) == 10**18
    assert _draws_that_decide(1.001e9 / 2**21, printed, 1.0) is None


@pytest.mark.parametrize(
    ("needed", "samples", "said"),
    [
        (2000, 999, "2000 draws decide nine in ten such values"),
        (2000, 1000, "the truth is next to an end of what is claimed: fewer digits can be told"),
        (2000, 5000, "the truth is next to an end of what is claimed: fewer digits can be told"),
        (2000, 0, "2000 draws decide nine in ten such values"),
        (
            None,
            5000,
            "no number of draws can tell so many digits: fewer, or a tolerance, can be told",
        ),
    ],
)
def test_the_advice(needed: int | None, samples: int, said: str) -> None:
    assert _advice(needed, samples) == said


def test_no_draws_are_behind_what_nobody_counted() -> None:
    found = judge(within(1.0, 0.25), {}, {"std_dx": sampled(1.0, 0.125)}, z=4.0)
    assert found.samples_needed == 0
    refuted = judge(within(1.0, 0.25), {}, {"std_dx": sampled(2.0, 0.125)}, z=4.0)
    assert refuted.equal_error_samples == 0
    known = {"rms_y": sampled(0.652, 0.001)}
    published = verdicts_on(parse("gelu"), STANDARD, {}, known)
    assert {v.samples_needed for v in published if v.samples_needed is not None} == {0}

"""Verdicts on printed numbers, digit counts and the two-stage gate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from claim_support import claim, sampled

from bnstats.api import compute, exact
from bnstats.claims import Claim, claim_set, claim_sets
from bnstats.claims.grades import OUTCOMES, digits_right
from bnstats.claims.values import parse_value
from bnstats.claims.verdict import Verdict, judge
from bnstats.layers import Law
from bnstats.specs.spec import parse
from bnstats.statistics.alarm import FIRST_THRESHOLD, confirmed, round_up, second_threshold
from bnstats.statistics.exact import Exact


def against(value: str, layer: str, quantity: str, **more: Any) -> Verdict:
    """Judge a claim by the exact values of its layer."""
    return judge(claim(value, layer, quantity, **more), exact(layer).quantities)


# --- the published values ---------------------------------------------------------------------

# Written by hand from the posts and the true values beside them; max pooling 2×2 and sigmoid's
# σ[dx] are wrong in the last digits they print.
FENG2016 = {
    ("relu", "mean_y"): "reproduced",
    ("relu", "std_y"): "reproduced",
    ("relu", "mean_dx"): "reproduced",
    ("relu", "std_dx"): "reproduced",
    ("sigmoid", "mean_y"): "reproduced",
    ("sigmoid", "std_y"): "reproduced",
    ("sigmoid", "mean_dx"): "reproduced",
    ("sigmoid", "std_dx"): "refuted",
    ("max_pool2d:kernel_size=3", "mean_y"): "reproduced",
    ("max_pool2d:kernel_size=3", "std_y"): "reproduced",
    ("max_pool2d:kernel_size=3", "std_dx"): "reproduced",
    ("max_pool2d:kernel_size=2", "mean_y"): "refuted",
    ("max_pool2d:kernel_size=2", "std_y"): "refuted",
    ("max_pool2d:kernel_size=2", "std_dx"): "reproduced",
    ("avg_pool2d:kernel_size=3", "mean_y"): "reproduced",
    ("avg_pool2d:kernel_size=3", "std_y"): "reproduced",
    ("avg_pool2d:kernel_size=3", "std_dx"): "reproduced",
    ("avg_pool2d:kernel_size=2", "std_y"): "reproduced",
    ("avg_pool2d:kernel_size=2", "std_dx"): "reproduced",
    ("dropout:scaling=none", "std_y"): "reproduced",
    ("dropout:scaling=sqrt", "std_y"): "reproduced",
    ("dropout:scaling=sqrt", "std_dx"): "reproduced",
    ("linear:init=unit_fan_in", "std_y"): "reproduced",
    ("linear", "std_dx"): "reproduced",
}
REPOSTS = dict.fromkeys([("relu", "std_dx"), ("relu", "mean_y"), ("dropout", "std_dx")], "refuted")
EXPECTED = {"feng2016": FENG2016, "feng2016-repost": REPOSTS}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_published_claim_has_its_outcome(name):
    outcomes = {
        (c.spec.text, c.quantity): judge(c, exact(c.spec).quantities).outcome
        for c in claim_set(name).claims
    }
    assert outcomes == EXPECTED[name]


@pytest.mark.slow
def test_every_claim_that_ships_can_be_judged():
    for claims in claim_sets():
        for c in claims.claims:
            known = exact(c.spec).quantities
            if c.quantity in known:
                assert judge(c, known).decided_by == "exact"


@pytest.mark.parametrize(
    ("layer", "quantity", "value", "grade", "remark"),
    [
        ("sigmoid", "std_dx", "0.2123", "wrong", "0.2117; 3 digits right"),
        ("max_pool2d:kernel_size=2", "mean_y", "1.0291", "wrong", "1.0294; 4 digits right"),
        ("max_pool2d:kernel_size=2", "std_y", "0.7010", "wrong", "0.7012; 3 digits right"),
        ("relu", "std_dx", "1/2", "wrong quantity", "0.7071; 1/2 is Var[dx]"),
        ("relu", "std_dx", "0.500", "wrong quantity", "0.7071; 0.500 is Var[dx]"),
        # σ[dx] of gelu is 0.675167287…
        ("gelu", "std_dx", "0.67516", "cut off", "0.67516729; cut off, not rounded"),
        ("gelu", "std_dx", "0.675167287", "reproduced", "exact 0.67516728716"),
        ("gelu", "std_dx", "0.675168", "wrong", "0.675167; 5 digits right"),
        ("gelu", "std_dx", "0.67515", "wrong", "0.67517; 4 digits right"),
        (
            "gelu",
            "std_dx",
            "-0.67516",
            "wrong",
            "0.6752; off by −200 %; σ[y]: 0.5879; rms[y]: 0.6521",
        ),
        ("tanh", "mean_y", "0.0001", "wrong", "0; 0 is exact"),
        # the digit that is wrong can be seen
        ("tanh", "std_dx", "0.681471133", "wrong", "0.681471131; 8 digits right"),
        # NFNets' relu: 16 digits of a sample of about 3e6 draws
        (
            "relu",
            "gain_y",
            "1.7139588594436646",
            "last digits are noise",
            "1.713; 3 of 17 digits right, an error typical of a simulation with 3,000,000 draws",
        ),
    ],
)
def test_grades_and_why(layer, quantity, value, grade, remark):
    verdict = against(value, layer, quantity)
    assert str(verdict) == f"{grade}: {remark}"
    assert (verdict.grade, verdict.outcome) == (grade, OUTCOMES[grade])
    assert verdict.decided_by == "exact"


@pytest.mark.parametrize(
    ("samples", "grade"),
    [(100_000, "last digits are noise"), (1_000_000, "wrong"), (None, "wrong")],
)
def test_only_the_error_of_its_own_draws_makes_a_few_digits_noise(samples, grade):
    # 0.2123 is one standard error of 1e5 draws off, and three of 1e6
    assert against("0.2123", "sigmoid", "std_dx", samples=samples).grade == grade


def test_a_tolerance_is_not_what_makes_a_value_another_quantity():
    # 0.75 ± 0.3 would hold E[y] = 0.5
    printed = replace(parse_value("0.75"), half_width=0.3, tolerance=0.3)
    verdict = judge(Claim("t", parse("sigmoid"), "std_dx", printed), exact("sigmoid").quantities)
    assert verdict.grade == "wrong"
    assert verdict.value_of is None
    assert printed.claimed == "0.75 ± 0.3"
    assert parse_value("0.7071 ± 0.0001").claimed == "0.7071 ± 0.0001"


@pytest.mark.parametrize("kind", ["placeholder", "rule of thumb"])
def test_what_claims_no_moment_is_not_refuted(kind):
    verdict = against("5/3", "tanh", "gain_rms_y", kind=kind)
    assert (verdict.grade, verdict.outcome) == ("not a moment", "not a moment")
    assert verdict.remark.startswith(f"1.593; a {kind}, off by +5 %")
    assert against("1.5925", "tanh", "gain_rms_y", kind=kind).grade == "reproduced"


def test_a_sample_grades_as_an_exact_value_does():
    """Judged by a million draws alone, claims get the grades that the exact values give them."""
    drawn = compute("gelu", samples=1_000_000, workers=1)
    for value, quantity, more in [
        ("0.6", "std_dx", {}),  # 0.675: cut off
        ("1.5", "std_y", {}),  # 1/rms[y]
        ("0.60", "std_y", {}),
        ("0.60", "std_y", {"samples": 500}),  # within the error of its draws
        ("0.60", "std_y", {"kind": "rule of thumb"}),
        ("0.6", "std_y", {}),
    ]:
        given = claim(value, "gelu", quantity, **more)
        by_draws = judge(given, {}, drawn.quantities, samples=drawn.samples)
        by_theory = judge(given, exact("gelu").quantities)
        assert (by_draws.grade, by_draws.value_of) == (by_theory.grade, by_theory.value_of), value
        assert by_draws.decided_by == "sample"


@pytest.mark.parametrize(
    ("value", "samples", "quantity", "remark"),
    [
        # SE of σ[dx] from 1e5 draws: 5.3e-4; 0.2123 is 5.5e-4 off
        ("0.2123", 100_000, "std_dx", "within the error of its own 100,000 draws"),
        ("0.2123", 10_000_000, "std_dx", "standard errors off, beyond the error of its own"),
    ],
)
def test_a_refuted_value_is_held_against_its_own_sample_size(value, samples, quantity, remark):
    assert remark in against(value, "sigmoid", quantity, samples=samples).remark


# --- by the exact value -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("0.2117", "reproduced"),
        ("0.21175", "reproduced"),
        ("0.2", "reproduced"),
        ("0.2118", "refuted"),
        ("0.21174", "refuted"),
        ("0.211745699721", "reproduced"),
        ("0.2117456997206660", "reproduced"),  # 5e-17 is below the exact value's own error
        ("0.211745699720700", "refuted"),  # the 13th digit is known
        ("2.117e-1", "reproduced"),
        ("-0.2117", "refuted"),
        ("0", "refuted"),
        ("sqrt(0.0448)", "reproduced"),  # as rounded under the root
        ("sqrt(0.0449)", "refuted"),
    ],
)
def test_outcomes_by_the_exact_value(value, outcome):
    verdict = against(value, "sigmoid", "std_dx")
    assert verdict.outcome == outcome
    assert verdict.truth == pytest.approx(0.21174569972)


@pytest.mark.parametrize(
    ("layer", "quantity", "value"),
    [  # as code writes them
        ("relu", "gain_rms_y", math.sqrt(2)),
        ("relu", "gain_rms_y", 2**0.5),
        ("relu", "std_dx", math.sqrt(0.5)),
        ("relu", "mean_y", 1 / math.sqrt(2 * math.pi)),
        ("max_pool2d:kernel_size=3", "std_dx", 1 / 3),
    ],
)
def test_a_float_claims_no_more_than_can_be_known(layer, quantity, value):
    verdict = against(str(value), layer, quantity)
    assert verdict.outcome == "reproduced"
    assert verdict.remark.endswith("; all 13 digits that are known are right")
    for relative in (3e-14, 1e-12, 1e-9):  # beyond the exact value's error
        assert against(f"{value * (1 + relative):.17f}", layer, quantity).outcome == "refuted"
        assert against(f"{value * (1 - relative):.17f}", layer, quantity).outcome == "refuted"


@pytest.mark.parametrize(
    ("error", "outcome", "remark"),
    [
        (1e-12, "reproduced", "all 11 digits that are known are right"),
        (1e-11, "undecided", "all 10 that are known are right: fewer, or a tolerance, can be told"),
        (1e-3, "undecided", "all 2 that are known are right: fewer, or a tolerance, can be told"),
    ],
)
def test_few_known_digits_do_not_speak_for_the_others(error, outcome, remark):
    known = {"std_dx": Exact(1 / 3 + error / 2, error, "test")}
    verdict = judge(claim("0.3333333333333333"), known)
    assert verdict.outcome == outcome
    assert verdict.remark.endswith(f"; {remark}")
    # What the error bound leaves no room for is wrong whatever the number of digits.
    assert judge(claim(repr(1 / 3 + 2 * error)), known).outcome == "refuted"


def test_a_hair_off_zero_is_refuted():
    verdict = against("1e-300", "abs", "mean_dx")
    assert verdict.outcome == "refuted"
    assert verdict.equal_error_samples == math.inf


@pytest.mark.parametrize(
    ("true", "error", "outcome"),
    [
        (0.1234, 0.0, "reproduced"),
        (0.12349, 5e-6, "reproduced"),  # 0.123 claims [0.1225, 0.1235]
        (0.12349, 2e-5, "undecided"),
        (0.12351, 2e-5, "undecided"),
        (0.12351, 5e-6, "refuted"),
        (0.1221, 1e-5, "refuted"),
        (0.123, 1e-2, "undecided"),  # a lucky centre is no knowledge
    ],
)
def test_the_exact_values_error_counts(true, error, outcome):
    verdict = judge(claim("0.123"), {"std_dx": Exact(true, error, "test")})
    assert verdict.outcome == outcome


@pytest.mark.parametrize(
    ("value", "true", "outcome"),
    [
        ("1/3", 1 / 3, "reproduced"),
        ("1/3", 1 / 3 + 1e-14, "reproduced"),
        ("1/3", 1 / 3 + 1e-11, "refuted"),
        ("0", 0.0, "reproduced"),
        ("1", 1.0 + 1e-9, "refuted"),
        ("1000000", 1e6 + 1e-7, "reproduced"),  # relative to the size
    ],
)
def test_symbolic_values_claim_themselves(value, true, outcome):
    exact = {"std_dx": Exact(true, 1e-16, "test")}
    assert judge(claim(value), exact).outcome == outcome


def test_a_sample_at_odds_with_the_exact_value_leaves_a_claim_undecided():
    known = exact("sigmoid").quantities
    for z, outcome in [(3.9, "reproduced"), (-4.1, "undecided"), (4.1, "undecided")]:
        verdict = judge(claim("0.2117"), known, {"std_dx": sampled(0.2, 0.01, z=z)})
        assert verdict.outcome == outcome
        assert verdict.decided_by == "exact"
    assert "sample disagrees" in verdict.remark


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("0.12", "reproduced"),
        ("0.13", "reproduced"),
        ("0.125", "reproduced"),
        ("0.11", "refuted"),
        ("0.124", "refuted"),
        ("0.1199999999999999", "refuted"),
    ],
)
def test_both_ways_to_round_a_tie_hold(value, outcome):
    # In floats |0.13 − 1/8| is a little more than half a hundredth.
    known = {"std_dx": Exact(0.125, 0.0, "closed form")}
    assert judge(claim(value), known).outcome == outcome


def test_nothing_to_judge_by_is_an_error():
    with pytest.raises(ValueError, match="std_dx"):
        judge(claim("0.2117"), {}, {})


def test_relative_error():
    verdict = against("0.2123", "sigmoid", "std_dx")
    assert verdict.relative_error == pytest.approx((0.2123 - 0.2117457) / 0.2117457, rel=1e-3)
    assert against("0.5", "sigmoid", "mean_dx").relative_error is None


# --- by the sample ----------------------------------------------------------------------------

Z = 4.891638475699  # two-sided 1e-6


@pytest.mark.parametrize(
    ("value", "estimate", "outcome"),
    [
        ("0.212", sampled(0.2121, 5e-5), "reproduced"),  # [0.2115, 0.2125]
        ("0.212", sampled(0.2121, 9e-5), "undecided"),
        ("0.212", sampled(0.2130, 5e-5), "refuted"),
        ("0.212", sampled(0.2130, 2e-4), "undecided"),
        ("0.212", sampled(0.2109, 5e-5), "refuted"),
        ("0.212", sampled(0.2121, 5e-5, n_eff=99), "undecided"),
        ("0.212", sampled(0.5, 5e-5, n_eff=99), "undecided"),
        ("0.212", sampled(0.2121, None), "undecided"),
        ("1/3", sampled(1 / 3, 1e-9), "undecided"),  # a sample cannot confirm a symbolic value
        ("1/3", sampled(0.334, 1e-5), "refuted"),
    ],
)
def test_outcomes_by_the_sample(value, estimate, outcome):
    verdict = judge(claim(value), {}, {"std_dx": estimate}, samples=1000)
    assert verdict.outcome == outcome
    assert verdict.decided_by == "sample"
    assert verdict.truth == estimate.value


def test_more_tests_need_more_evidence():
    # half-width 5e-4, distance 1e-3 − 5e-4: the interval's z decides
    at = {"std_dx": sampled(0.2130, 5e-4 / 5.2, log_scale=False)}
    assert judge(claim("0.212"), {}, at, samples=1).outcome == "refuted"  # z = 4.89
    assert judge(claim("0.212"), {}, at, samples=1, z=5.73).outcome == "undecided"  # 5.73
    assert judge(claim("0.212"), {}, at, samples=1, z=6.1).outcome == "undecided"
    at = {"std_dx": sampled(0.2130, 5e-4 / 4.8, log_scale=False)}  # one-sided 4.75 would do
    assert judge(claim("0.212"), {}, at, samples=1).outcome == "undecided"


def test_no_sample_size_confirms_a_symbolic_value():
    verdict = judge(claim("1/3"), {}, {"std_dx": sampled(0.3334, 1e-4)}, samples=1000)
    assert verdict.outcome == "undecided"
    assert verdict.samples_needed is None
    assert "cannot confirm" in verdict.remark


def advised(value: float, n: int, seed: int, scale: float = 1.0) -> Verdict:
    """Judge σ[y] of a relu as printed by draws alone."""
    found = compute(
        "relu", samples=n, seed=seed, law=Law(x_std=scale), workers=1, direction="forward"
    )
    return judge(claim(value, "relu", "std_y"), {}, found.quantities, samples=n)


def test_the_draws_that_would_decide_are_the_same_whatever_was_drawn():
    for value, spread in (("0.58", 0.5e-2), ("0.584", 0.5e-3), ("0.5838194", 0.5e-7)):
        needed = {advised(value, n, n).samples_needed for n in (1000, 3000, 10_000)}
        # the variance of one draw's (y − E[y])² is 1.1345 times σ⁴ by hand: κ − 1
        exactly = (59 * known_spread() / spread) ** 2
        assert all(0.5 * exactly <= n <= 2.2 * exactly for n in needed)
        assert len(needed) <= 2  # rounded up to one digit


def known_spread() -> float:
    """Return √n times the standard error of relu's σ̂, from its first four moments."""
    m1, m2, m3, m4 = math.sqrt(1 / (2 * math.pi)), 1 / 2, math.sqrt(2 / math.pi), 3 / 2
    var = m2 - m1**2
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return math.sqrt(fourth - var**2) / (2 * math.sqrt(var))


@pytest.mark.slow
def test_who_obeys_the_advice_gets_a_decision():
    """Of 40 values that were honestly rounded nine in ten are decided (36 ± 1.9)."""
    decided, wrong = 0, 0
    for i in range(40):
        scale = 0.6 + 0.0437 * i
        truth = exact("relu", law=Law(x_std=scale)).std_y.value
        first = advised(f"{truth:.1f}", 1000, i, scale)
        assert first.outcome == "undecided"
        assert first.remark.endswith(" draws decide nine in ten such values")
        second = advised(f"{truth:.1f}", first.samples_needed, i + 1000, scale)
        decided += second.outcome != "undecided"
        wrong += second.outcome == "refuted"
        if second.outcome == "undecided":
            assert second.remark.endswith(
                "next to an end of what is claimed: fewer digits can be told"
            )
    assert decided >= 34, decided
    assert not wrong


def test_no_number_of_draws_tells_seventeen_digits():
    verdict = judge(
        claim("0.21174569972066582"), {}, {"std_dx": sampled(0.2117, 1e-3)}, samples=10_000
    )
    assert verdict.samples_needed is None
    assert verdict.remark.endswith(
        "no number of draws can tell so many digits: fewer, or a tolerance, can be told"
    )


def test_a_real_sample_decides():
    found = compute("relu", samples=400_000, workers=1).quantities
    for value, outcome in [("0.7", "reproduced"), ("0.74", "refuted"), ("0.7071", "undecided")]:
        verdict = judge(claim(value, "relu"), {}, found, samples=400_000)
        assert verdict.outcome == outcome, value


# --- digits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "true", "digits"),
    [
        (0.2123, 0.2117457, 3),
        (1.0291, 1.02937537, 4),
        (0.7010, 0.70122410, 3),
        (0.5, 0.70710678, 0),
        (1.0, 1.0, 16),
        (0.7, 0.70122410, 2),  # 0.70 = 0.70
        (0.9996, 1.0, 3),
        (0.2123, -0.2123, 0),
        (0.0, 0.0, 16),
        (1.0, 1.4142, 1),
        (123456.0, 123457.0, 5),
        (1e-9, 1.04e-9, 2),
        (2.0, 20.0, 0),
        (1.70590341, 1.70483163, 3),  # 1.71 and 1.70, but no unit apart
        (9.9996, 10.0, 4),
        (10.0004, 9.9996, 4),
        (1.0, math.inf, 0),
        (1.0, math.nan, 0),
    ],
)
def test_digits_right(claimed, true, digits):
    assert digits_right(claimed, true) == digits


@pytest.mark.parametrize(
    ("number", "rounded"),
    [(1, 1), (1.1, 2), (9.1, 10), (1234, 2000), (2000, 2000), (0.3, 1), (math.inf, 10**18)],
)
def test_round_up(number, rounded):
    assert round_up(number) == rounded


# --- the gate ---------------------------------------------------------------------------------


def upper_tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


@pytest.mark.parametrize("tests", [1, 10, 150, 1000, 100_000])
@pytest.mark.parametrize("family_error", [1e-9, 1e-6, 1e-4])
def test_the_second_threshold_spends_the_family_error(tests, family_error):
    # P(|z1| > 4) · P(z2 has the same sign and |z2| ≥ threshold) = family error / tests
    threshold = second_threshold(tests, family_error)
    false_alarm = 2 * upper_tail(4.0) * upper_tail(threshold)
    if threshold > 1e-9:
        assert false_alarm == pytest.approx(family_error / tests, rel=1e-9)
    else:  # the first stage alone spends less than is allowed
        assert 2 * upper_tail(4.0) * 0.5 <= family_error / tests * (1 + 1e-9)


def test_thresholds():
    assert FIRST_THRESHOLD == 4
    assert second_threshold(150) == pytest.approx(3.71, abs=0.005)


@pytest.mark.parametrize(
    ("first", "second", "fails"),
    [
        (4.5, 3.8, True),
        (-4.5, -3.8, True),
        (4.5, -3.8, False),
        (-9.0, 9.0, False),
        (4.5, 3.7, False),
        (4.5, 3.71, True),
        (4.0, 9.0, False),
        (3.9, 9.0, False),
        (4.5, 0.0, False),
        (math.nan, 9.0, False),
        (9.0, math.nan, False),
    ],
)
def test_an_alarm_is_confirmed_only_by_a_second_one_on_the_same_side(first, second, fails):
    assert confirmed(first, second, 3.71) is fails


def test_the_simulated_rate_of_false_alarms():
    # at a rate that can be simulated: the first stage is given, the second must hold 1 in 20
    rng = np.random.default_rng(0)
    share = 0.05
    threshold = second_threshold(1, 2 * upper_tail(4.0) * share)
    first = np.where(rng.random(20_000) < 0.5, 4.2, -4.2)
    second = rng.normal(size=20_000)
    fails = sum(confirmed(a, b, threshold) for a, b in zip(first, second, strict=True))
    assert fails / 20_000 == pytest.approx(share, abs=4 * math.sqrt(share / 20_000))


@pytest.mark.parametrize("samples", [1, 1000])
def test_the_gain_of_what_did_not_vary_is_undecided(samples):
    """No value is exact where σ is 0, and none is sampled."""
    found = compute("threshold:threshold=40,value=3", samples=samples)
    verdict = judge(claim("1.0", found.layer, "gain_y"), {}, found.quantities, samples=samples)
    assert verdict.outcome == "undecided"
    assert verdict.digits_right == 0


def test_a_claim_on_what_is_next_to_nothing_is_refuted():
    """Φ(−37) = 5.7e-300: neither shares of it nor squares of its inverse are numbers to print."""
    tail = "threshold:threshold=37,value=0"
    assert "off by +2e151 %" in against("0.5", tail, "std_dx").remark
    assert against("0.5", tail, "gain_dx").outcome == "refuted"
    assert against("4.179e149", tail, "gain_dx").outcome == "reproduced"
    nearly = claim("4.1791753e149", tail, "gain_dx")
    assert judge(nearly, exact(tail).quantities).equal_error_samples != 0

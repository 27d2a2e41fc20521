"""Claims against draws that are stated: what decides, what both streams must deny, what is wide."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bnstats.claims import Claim
from bnstats.claims.files import claim
from bnstats.claims.values import Printed
from bnstats.errors import BnstatsError
from bnstats.sampling import iid
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.verification import claims as module
from bnstats.verification import gate
from bnstats.verification.check import Check
from bnstats.verification.claims import _contradicts, _distance, verify_claims
from bnstats.verification.gate import DISAGREES, MISSED, VerifySettings
from bnstats.verification.solved import Subject

RELU = {"layer": "relu", "quantity": "std_dx", "value": "0.7071"}


def estimate(value: float, stderr: float | None = 0.1, **more: Any) -> Estimate:
    interval = None if stderr is None else (value - stderr, value + stderr)
    return Estimate(value, stderr, interval, 1e6, **({"log_scale": False} | more))


class Stages:
    """Stands for sampling: the estimate of σ[dx] by seed, and what was drawn."""

    def __init__(self, patch: pytest.MonkeyPatch, first: Estimate, second: Estimate) -> None:
        self.stages, self.asked = {1: first, 2: second}, list[tuple[str, int]]()
        patch.setattr(gate, "sample", self)

    def __call__(self, spec: Any, how: Any, *rest: object) -> Any:
        self.asked.append((spec.text, how.seed))
        found = {"std_dx": self.stages[how.seed], "std_y": self.stages[how.seed]}
        return SimpleNamespace(
            spec=spec, quantities=found, samples=how.samples, seed=how.seed, notes=()
        )


def unknown(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "subject", lambda c: Subject(c.spec, c.law, {}))


def judged(*claims: Claim) -> tuple[Check, ...]:
    return verify_claims(claims, VerifySettings(samples=100, family_error=1e-6))


# --- by the exact value, with draws as witnesses ------------------------------------------------

HALF_ROOT = Exact(math.sqrt(0.5), 1e-16, "closed form")


@pytest.mark.parametrize(
    ("value", "first", "second", "outcome", "grade", "reason"),
    [
        ("0.7071", 0.0, 0.0, "ok", "reproduced", ""),
        ("0.7072", 0.0, 0.0, "fail", "wrong", "wrong: 0.7071; 3 digits right"),
        ("0.7071", 9.0, 0.0, "ok", "reproduced", ""),
        ("0.7071", 9.0, 9.0, "fail", "failed", DISAGREES),
        ("0.7072", 9.0, 9.0, "fail", "failed", DISAGREES),
    ],
)
def test_exact_values_decide_unless_draws_deny_them(
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    first: float,
    second: float,
    outcome: str,
    grade: str,
    reason: str,
) -> None:
    one, two = (estimate(0.7, exact=HALF_ROOT, z=z) for z in (first, second))
    stages = Stages(monkeypatch, one, two)
    (check,) = judged(claim(RELU | {"value": value}))
    assert (check.outcome, check.grade, check.reason) == (outcome, grade, reason)
    assert (check.wanted, check.z, check.z_wanted) == (value, second, None)
    assert len(stages.asked) == (2 if first else 1)
    shown = "bnstats exact relu --quantity std_dx"
    assert (check.command == shown) is (value == "0.7072" and grade != "failed")


def test_draws_that_deny_an_estimated_error_decide_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guess = replace(HALF_ROOT, error_is_estimate=True)
    monkeypatch.setattr(
        module, "subject", lambda c: Subject(c.spec, c.law, {"std_dx": guess, "std_y": guess})
    )
    denied = estimate(0.7, exact=guess, z=9.0)
    Stages(monkeypatch, denied, denied)
    (check,) = judged(claim(RELU))
    assert (check.outcome, check.reason, check.verdict) == ("undecided", MISSED, None)
    Stages(monkeypatch, replace(denied, z=0.0), denied)
    assert judged(claim(RELU))[0].grade == "reproduced"


@pytest.mark.parametrize(
    ("outcome", "z", "denied"),
    [
        ("fail", 5.0, True),
        ("fail", None, True),
        ("undecided", 4.0, False),
        ("undecided", 4.001, True),
        ("undecided", -4.001, True),
        ("undecided", None, False),
        ("ok", 5.0, False),  # an alarm that the second stage has cleared
    ],
)
def test_what_draws_deny(outcome: Any, z: float | None, denied: bool) -> None:
    assert _contradicts(Check("", "", outcome, "", z=z)) is denied


# --- by draws alone -----------------------------------------------------------------------------

QUARTER = claim(RELU | {"value": "0.5", "tolerance": "0.25"})


@pytest.mark.parametrize(
    ("errors", "outcome"),
    # Of four claims 5.158 standard errors to each side are believed: 2Φ(−5.158) = 1e-6/4.
    [(5.1, "undecided"), (5.2, "ok")],
)
def test_all_claims_share_the_chance_that_draws_mislead(
    monkeypatch: pytest.MonkeyPatch, errors: float, outcome: str
) -> None:
    unknown(monkeypatch)
    stages = Stages(monkeypatch, estimate(0.5, 0.25 / errors), estimate(9.0))
    others = [claim(RELU | {"layer": layer}) for layer in ("tanh", "gelu", "elu")]
    check, *_ = judged(QUARTER, *others)
    assert (check.outcome, check.z, check.exact) == (outcome, None, None)
    assert ("relu", 2) not in stages.asked


@pytest.mark.parametrize(
    ("first", "second", "outcome", "says"),
    [
        # Beyond 0.75 by so many standard errors of 0.1, of 0.05 then; 2.15 confirm an alarm.
        (5.0, 3.0, "fail", "wrong: sampled 0.900(50); off by −44 %"),
        (5.0, 2.0, "undecided", "undecided: sampled 0.850(50); "),
        (5.0, -4.0, "undecided", "undecided: sampled 0.550(50); "),
        (3.0, 9.0, "undecided", "undecided: sampled 1.05(10); "),
        (4.0, 9.0, "undecided", "undecided: sampled 1.15(10); "),
    ],
)
def test_what_two_streams_deny_is_refuted(
    monkeypatch: pytest.MonkeyPatch, first: float, second: float, outcome: str, says: str
) -> None:
    unknown(monkeypatch)
    stages = Stages(monkeypatch, estimate(0.75 + 0.1 * first), estimate(0.75 + 0.05 * second, 0.05))
    (check,) = judged(QUARTER)
    assert (check.outcome, check.reason.startswith(says)) == (outcome, True)
    assert stages.asked == [("relu", 1), ("relu", 2)][: 2 if first > 4 else 1]


def test_the_stage_that_decides_is_the_one_that_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown(monkeypatch)
    # The first is far off; of the second all that may be true is within what is claimed.
    Stages(monkeypatch, estimate(1.0, 0.04), estimate(0.5, 0.02))
    (check,) = judged(QUARTER)
    assert (check.outcome, check.grade) == ("ok", "reproduced")
    # The first would reproduce it.
    Stages(monkeypatch, estimate(0.5, 0.02), estimate(1.0, 0.01))
    assert judged(QUARTER)[0].grade == "reproduced"


def test_what_one_stream_denies_the_other_does_not_confirm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown(monkeypatch)
    # Beyond both ends in turn, each further than chance allows.
    Stages(monkeypatch, estimate(1.75), estimate(-0.5, 0.05))
    (check,) = judged(QUARTER)
    assert check.outcome == "undecided"
    assert check.reason.endswith("sampled −0.500(50), which a second stream does not confirm")


@pytest.mark.parametrize(
    ("value", "stderr", "log_scale", "errors"),
    [
        (1.0, 0.125, False, 2.0),
        (0.0, 0.125, False, -2.0),
        (0.5, 0.125, False, 0.0),
        (0.75, 0.125, False, 0.0),
        (1.5, 0.25, True, 6 * math.log(2)),  # twice 0.75, and an error of a sixth
        (0.125, 0.0625, True, -2 * math.log(2)),
        (0.5, 0.125, True, 0.0),
        (1.0, None, False, None),
        (1.0, 0.0, False, None),
    ],
)
def test_the_distance_from_what_is_claimed(
    value: float, stderr: float | None, log_scale: bool, errors: float | None
) -> None:
    drawn = estimate(value, stderr, log_scale=log_scale)
    found = _distance(Printed("", 0.5, 0.25), drawn)
    assert found == (None if errors is None else pytest.approx(errors, abs=1e-14))


def test_what_cannot_be_negative_is_far_from_what_is() -> None:
    drawn = estimate(0.5, 0.125, log_scale=True)
    assert _distance(Printed("", -0.25, 0.25), drawn) == math.inf
    assert _distance(Printed("", -0.75, 0.25), drawn) == math.inf
    assert _distance(Printed("", -0.75, 0.25), estimate(0.5, 0.125)) == 8.0


# --- what is not drawn --------------------------------------------------------------------------


def test_what_is_too_wide_is_judged_by_exact_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iid, "MAX_NUMBERS", 1)
    stages = Stages(monkeypatch, estimate(0.5), estimate(0.5))
    right, wrong = judged(claim(RELU), claim(RELU | {"value": "0.7072"}))
    assert (right.outcome, wrong.outcome) == ("ok", "fail")
    assert (right.estimate, right.exact) == (None, wrong.exact)
    unknown(monkeypatch)
    with pytest.raises(BnstatsError, match="one draw would hold 2 random numbers, more than 1"):
        judged(claim(RELU))
    assert stages.asked == []


def test_claims_keep_their_order_whatever_layer_they_are_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = estimate(0.7, exact=HALF_ROOT, z=0.0)
    stages = Stages(monkeypatch, one, one)
    layers = ("relu", "tanh", "relu", "gelu", "tanh")
    checks = judged(*(claim(RELU | {"layer": layer, "source": layer}) for layer in layers))
    assert tuple(check.layer for check in checks) == layers
    assert stages.asked == [("relu", 1), ("tanh", 1), ("gelu", 1)]


@pytest.mark.parametrize("quantity", ["x_std", "std_y"])
def test_what_has_no_solution_stands_beside_what_is_drawn(
    monkeypatch: pytest.MonkeyPatch, quantity: str
) -> None:
    known = Exact(0.2083, 1e-9, "")
    drawn = estimate(0.2083, exact=known, z=0.0)
    stages = Stages(monkeypatch, drawn, drawn)

    def subject(c: Claim) -> Subject:
        return Subject(
            c.spec, c.law, {} if c.inverse else {"std_y": known}, "why" if c.inverse else ""
        )

    monkeypatch.setattr(module, "subject", subject)
    fields = {"layer": "sigmoid", "quantity": "std_y", "value": "0.2083"}
    solved = {"over": "x_std=0.1:10:log", "find": "std_y=1", "quantity": quantity}
    plain, none = claim(fields), claim(fields | solved)
    for order in ((plain, none), (none, plain)):
        found = {check.inverse is None: check for check in judged(*order)}
        assert (found[True].grade, found[True].estimate) == ("reproduced", drawn)
        assert (found[False].grade, found[False].estimate) == ("undecided", None)
    assert stages.asked == [("sigmoid", 1)] * 2

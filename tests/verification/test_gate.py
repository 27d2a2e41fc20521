"""The gate by itself: two stages whose draws are stated, and what is asked of whom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace
from typing import Any

import pytest

from bnstats.errors import BnstatsError
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.verification import gate
from bnstats.verification.check import Check
from bnstats.verification.gate import (
    FreshDraws,
    Stopped,
    VerifySettings,
    _relative_error,
    by_layer,
)

RELU = parse("relu")


def estimate(value: float = 1.0, stderr: float | None = 0.1, **more: Any) -> Estimate:
    fields: dict[str, Any] = {"z": 0.0, "log_scale": False} | more
    return Estimate(value, stderr, (0.0, 2.0), fields.pop("n_eff", 1000.0), **fields)


class Stages:
    """Stands for sampling: each stage by its seed, and the draws that were asked for."""

    def __init__(self, patch: pytest.MonkeyPatch, **stages: Estimate) -> None:
        self.stages, self.asked = stages, list[tuple[int, int]]()
        self.nonfinite = {"y": 0, "dx": 0}
        patch.setattr(gate, "sample", self)
        patch.setattr(gate, "more_draws", lambda result, direction: f"of {direction}")

    def __call__(self, spec: Any, how: Any, *rest: object) -> Any:
        assert isinstance(how.samples, int)
        self.asked.append((how.seed, how.samples))
        found = {"std_y": estimate(), "std_dx": estimate()}
        named = {name[:-1]: e for name, e in self.stages.items() if name.endswith(str(how.seed))}
        return SimpleNamespace(
            quantities=found | named,
            samples=how.samples,
            seed=how.seed,
            notes=(),
            nonfinite=self.nonfinite,
        )


def gated(
    patch: pytest.MonkeyPatch, first: Estimate, second: Estimate, **more: Any
) -> tuple[Check, list[tuple[int, int]]]:
    """Pass σ[y] through both stages; the threshold of the second is 2.15, for one test of 1e-6."""
    stages = Stages(patch, std_y1=first, std_y2=second)
    draws = FreshDraws(RELU, VerifySettings(samples=1000), 1)
    assert draws.threshold == pytest.approx(2.15, abs=0.005)
    return draws.gate("std_y", lambda e: e.z, **more), stages.asked


KNOWN = Exact(1.0, 0.0, "closed form")


@pytest.mark.parametrize(
    ("first", "second", "outcome", "stages"),
    [
        (4.0, 9.0, "ok", 1),  # an alarm is beyond 4
        (-4.0, -9.0, "ok", 1),
        (4.0 + 2**-40, 9.0, "fail", 2),
        (-5.0, -2.2, "fail", 2),
        (5.0, 2.1, "ok", 2),
        (5.0, -9.0, "ok", 2),
        (5.0, None, "undecided", 2),
        (None, 9.0, "undecided", 1),
    ],
)
def test_the_second_stage_confirms_an_alarm_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
    first: float | None,
    second: float | None,
    outcome: str,
    stages: int,
) -> None:
    # Where theory has an exact value, it has the error as well: that of the draws may have grown.
    one = estimate(z=first, exact=KNOWN)
    two = estimate(z=second, exact=KNOWN, stderr=0.9)
    check, asked = gated(monkeypatch, one, two)
    assert check.outcome == outcome
    assert asked == [(1, 1000), (2, 4000)][:stages]
    assert (check.z, check.z_wanted) == ((first, second)[stages - 1], None)
    assert check.estimate is (one, two)[stages - 1]
    assert isinstance(check.reason, str)
    assert bool(check.reason) == (outcome != "ok")


def test_too_few_draws_decide_nothing_and_ask_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    few = estimate(z=9.0, n_eff=99.0)
    check, asked = gated(monkeypatch, few, few)
    assert (check.outcome, len(asked)) == ("undecided", 1)
    assert check.reason == "too few effective draws; of y"
    check, asked = gated(monkeypatch, estimate(z=9.0), few)
    assert (check.outcome, len(asked)) == ("undecided", 2)


def test_what_is_the_same_in_every_draw_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    constant = estimate(stderr=None, z=None, exact=KNOWN, n_eff=0.0)
    assert gated(monkeypatch, constant, constant)[0].outcome == "ok"
    assert gated(monkeypatch, replace(constant, value=1.1), constant)[0].outcome == "undecided"


@pytest.mark.parametrize(
    ("second", "threshold", "outcome"), [(3.0, 5.0, "ok"), (2.0, 1.5, "fail"), (2.0, None, "ok")]
)
def test_who_needs_another_threshold_says_so(
    monkeypatch: pytest.MonkeyPatch, second: float, threshold: float | None, outcome: str
) -> None:
    first, then = estimate(z=5.0, exact=KNOWN), estimate(z=second, exact=KNOWN)
    check, _ = gated(monkeypatch, first, then, threshold=threshold, disagreement="no")
    assert (check.outcome, check.reason) == (outcome, "no" if outcome == "fail" else "")


@pytest.mark.parametrize(
    ("first_z", "z", "stderr", "value", "log_scale", "found", "outcome"),
    [
        # Four times the draws halve an error of 0.2.
        (7.0, 3.0, 0.1, 1.0, False, 3.0, "fail"),
        (7.0, 3.0, 0.1, 8.0, False, 3.0, "fail"),
        (7.0, 3.0, 0.2, 2.0, True, 3.0, "fail"),  # relative: 0.1
        # Twice as large as it should be: the first z was half as much.
        (7.0, 3.0, 0.2, 1.0, False, 3.0, "ok"),
        (9.0, 3.0, 0.2, 1.0, False, 3.0, "fail"),
        (9.0, 2.0, 0.2, 1.0, False, 2.0, "ok"),
        (7.0, 3.0, 0.4, 2.0, True, 3.0, "ok"),
        # Half as large: the second z is half as much.
        (7.0, 3.0, 0.05, 1.0, False, 1.5, "ok"),
        (7.0, 6.0, 0.05, 1.0, False, 3.0, "fail"),
        (7.0, 6.0, 0.1, 2.0, True, 3.0, "fail"),
        (7.0, 6.0, 0.0, 1.0, False, 0.0, "ok"),  # no error at all is not believed
    ],
)
def test_where_theory_has_no_error_the_larger_one_of_both_stages_counts(
    monkeypatch: pytest.MonkeyPatch,
    first_z: float,
    z: float,
    stderr: float,
    value: float,
    log_scale: bool,
    found: float,
    outcome: str,
) -> None:
    first = estimate(1.0, 0.2, z=first_z, log_scale=log_scale)
    second = estimate(value, stderr, z=z, log_scale=log_scale)
    check, _ = gated(monkeypatch, first, second)
    assert check.z is None
    assert check.z_wanted == pytest.approx(found, abs=1e-12)
    assert check.outcome == outcome


@pytest.mark.parametrize(
    ("y", "dx", "doubted"),
    [
        (((0.0, 1.0), 5.0), (None, 50.0), "dx"),
        ((None, 50.0), ((0.0, 1.0), 5.0), "y"),
        (((0.0, 1.0), 6.0), ((0.0, 1.0), 5.0), "dx"),
        (((0.0, 1.0), 5.0), ((0.0, 1.0), 6.0), "y"),
    ],
)
def test_the_doubt_is_about_the_direction_that_is_known_least(
    monkeypatch: pytest.MonkeyPatch, y: Any, dx: Any, doubted: str
) -> None:
    stages = Stages(monkeypatch, std_y1=Estimate(1.0, 0.1, *y), std_dx1=Estimate(1.0, 0.1, *dx))
    settings = VerifySettings(samples=1000)
    assert FreshDraws(RELU, settings, 1).doubt == f"too few effective draws; of {doubted}"
    stages.nonfinite = {"y": 3, "dx": 12}
    assert FreshDraws(RELU, settings, 1).doubt.startswith("12 of 1,000 draws are left out: they")


# --- how much is drawn ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "default", "draws"),
    [
        # A pilot of 1e5 draws with this error: ten standard errors in 1 % are 0.001.
        (0.0199, 10**7, 4 * 10**7),  # 19.9² times as many
        (0.0175, 10**7, 4 * 10**7),  # 17.5² times
        (0.0173, 10**7, 3 * 10**7),
        (0.001, 10**7, 10**7),
        (9.9, 10**7, 10**8),  # no more than ten times the default
        (math.inf, 10**7, 10**8),
        (0.01, 2000, 10_000),  # of a pilot of no fewer than 100
    ],
)
def test_a_pilot_tells_how_many_draws_resolve_one_per_cent(
    monkeypatch: pytest.MonkeyPatch, error: float, default: int, draws: int
) -> None:
    monkeypatch.setattr(gate, "default_samples", lambda bound: default)
    wide, narrow = estimate(2.0, 2 * error, exact=Exact(2.0, 0.0, "")), estimate(1.0, 1e-9)
    stages = Stages(monkeypatch, std_y7=wide, std_dx7=narrow)
    assert FreshDraws(RELU, VerifySettings(seed=7), 1).samples == draws
    assert stages.asked == [(7, max(default // 100, 100))]
    assert FreshDraws(RELU, VerifySettings(samples=123, seed=7), 1).samples == 123
    assert len(stages.asked) == 1


@pytest.mark.parametrize(
    ("name", "value", "stderr", "exact", "error"),
    [
        ("std_y", 2.0, 0.25, None, 0.125),
        ("rms_dx", 2.0, 0.25, None, 0.125),
        ("mean_y", -2.0, 0.25, None, 0.125),
        ("std_y", 2.0, 0.25, Exact(4.0, 0.01, ""), 0.0625),
        ("mean_y", 0.25, 0.25, None, 0.0),  # within its error of 0
        ("mean_y", 0.5, 0.25, None, 0.5),
        ("mean_y", 0.5, 0.125, Exact(0.25, 0.25, ""), 0.0),
        ("mean_y", 0.5, 0.125, Exact(0.25, 0.125, ""), 0.5),
        ("var_y", 2.0, 0.25, None, 0.0),
        ("gain_y", 2.0, 0.25, None, 0.0),
        ("chi", 2.0, 0.25, None, 0.0),
        ("std_y", 2.0, None, None, 0.0),
    ],
)
def test_the_relative_error_of_a_mean_or_a_root(
    name: str, value: float, stderr: float | None, exact: Exact | None, error: float
) -> None:
    assert _relative_error(name, estimate(value, stderr, exact=exact)) == error


# --- layer after layer ------------------------------------------------------------------------


def walked(fault: Exception | None = None, **more: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Check three layers, the second of which ends by a fault; return those checked, and told."""
    told: list[tuple[Any, ...]] = []

    def check(spec: Any, row: str) -> Iterator[Check]:
        if row == "b" and fault is not None:
            raise fault
        yield Check(spec.text, row, "ok", "")

    settings = VerifySettings(on_layer=lambda *said: told.append(said), **more)
    checks = by_layer([(RELU, "a"), (parse("tanh"), "b"), (RELU, "c")], check, settings)
    return [c.quantity for c in checks], told


def test_layers_are_told_one_by_one() -> None:
    assert walked() == (["a", "b", "c"], [("relu", 0, 3), ("tanh", 1, 3), ("relu", 2, 3)])


def test_who_is_asked_to_stop_once_goes_on_with_nothing() -> None:
    asked = iter([False, True, False])
    assert walked(should_stop=lambda: next(asked)) == (["a"], [("relu", 0, 3)])
    assert walked(Stopped()) == (["a"], [("relu", 0, 3), ("tanh", 1, 3)])


def test_an_error_goes_to_who_takes_it_and_else_up() -> None:
    fault, heard = BnstatsError("no"), list[BnstatsError]()
    assert walked(fault, on_failure=heard.append)[0] == ["a"]
    assert heard == [fault]
    with pytest.raises(BnstatsError, match="no"):
        walked(fault)


def test_settings_are_those_of_one_process_and_do_not_change() -> None:
    settings = VerifySettings()
    assert (settings.seed, settings.workers, settings.samples) == (1, 1, None)
    assert settings.watch is settings.watch
    assert settings.sampling is settings.sampling
    with pytest.raises(FrozenInstanceError):
        settings.seed = 2  # type: ignore[misc]
    with pytest.raises(BnstatsError, match="workers"):
        VerifySettings(workers=0)

"""Committed constants: when they are right, when they stray, and how often chance may do that."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from bnstats.layers import STANDARD
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.verification import gate
from bnstats.verification.check import Check
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import (
    _is_void,
    _strays,
    _two_sample_z,
    _why_wrong,
    verify_constants,
)

NAMES = ("mean_y", "std_y")  # two constants, whose committed estimates are tested as well
HALF = Exact(0.5, 0.0, "closed form")


def entry(value: float | None = 0.5, **more: Any) -> dict[str, Any]:
    committed = {"value": 0.5, "error": 0.0, "by": "closed form"}
    return {"exact": committed, "value": value, "stderr": 0.01, "n_eff": 1000.0} | more


def sampled(value: float = 0.5, **more: Any) -> Estimate:
    fields: dict[str, Any] = {"exact": HALF, "z": 0.0, "log_scale": False} | more
    return Estimate(value, 0.01, (0.48, 0.52), 1000.0, **fields)


def verified(
    monkeypatch: pytest.MonkeyPatch, first: Estimate, second: Estimate, **row: Any
) -> dict[str, Check]:
    """Verify a relu's constants against draws that are stated for each stage."""

    def sample(spec: Any, how: Any, *rest: object) -> Any:
        found = dict.fromkeys(NAMES, {1: first, 2: second}[how.seed])
        return SimpleNamespace(quantities=found, samples=how.samples, seed=how.seed, notes=())

    monkeypatch.setattr(gate, "sample", sample)
    document = {
        "results": [{"layer": "relu"} | dict.fromkeys(NAMES, entry()) | row],
        "provenance": {"law": STANDARD._asdict()},
    }
    checks = verify_constants(document, VerifySettings(samples=1000, family_error=1e-6))
    return {check.quantity: check for check in checks}


@pytest.mark.parametrize(("second", "outcome"), [(2.6, "ok"), (2.7, "fail")])
def test_the_committed_estimate_counts_as_a_test_of_its_own(
    monkeypatch: pytest.MonkeyPatch, second: float, outcome: str
) -> None:
    # Of four tests both stages spend 1e-6/4: 2Φ(−4)·Φ(−2.66). Two would allow 2.41, six need 2.79.
    found = verified(monkeypatch, sampled(z=5.0), sampled(z=second))
    assert {check.outcome for check in found.values()} == {outcome}
    assert list(found) == list(NAMES)


@pytest.mark.parametrize(
    ("off", "n_eff", "outcome"),
    [
        (5.1, 1000.0, "ok"),  # 2Φ(−5.16) = 1e-6/4
        (5.2, 1000.0, "fail"),
        (-5.2, 100.0, "fail"),
        (5.2, 99.0, "ok"),  # whose error may not be believed
        (5.2, None, "ok"),
        (0.0, 1000.0, "ok"),
    ],
)
def test_a_committed_estimate_is_refused_where_chance_would_not_make_it(
    monkeypatch: pytest.MonkeyPatch, off: float, n_eff: float | None, outcome: str
) -> None:
    row = {"mean_y": entry(0.5 + 0.01 * off, n_eff=n_eff)}
    found = verified(monkeypatch, sampled(), sampled(), **row)
    assert found["mean_y"].outcome == outcome
    assert found["std_y"].outcome == "ok"
    said = "the committed estimate is not a sample of this layer"
    assert found["mean_y"].reason == (said if outcome == "fail" else "")
    assert found["mean_y"].wanted == "0.5"


def test_what_the_draws_deny_is_not_blamed_on_the_committed_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = verified(monkeypatch, sampled(z=9.0), sampled(z=9.0), mean_y=entry(0.9))
    assert "fresh draws disagree with the exact value" in found["mean_y"].reason


@pytest.mark.parametrize(
    ("off", "second", "outcome"),
    [
        (0.07, 0.07, "ok"),  # √2·0.01·5.16 = 0.073
        (0.09, 0.07, "ok"),
        (0.09, 0.08, "fail"),
        (0.09, -0.09, "ok"),
    ],
)
def test_where_nothing_is_exact_two_streams_must_deny_the_committed_estimate(
    monkeypatch: pytest.MonkeyPatch, off: float, second: float, outcome: str
) -> None:
    # The second stage takes the same error, of four times the draws: nothing of it has grown.
    first, again = (sampled(0.5 + by, exact=None, z=None) for by in (off, second))
    again = Estimate(again.value, 0.01, again.interval, 1000.0, log_scale=False)
    first = Estimate(first.value, 0.02, first.interval, 1000.0, log_scale=False)
    row = {name: entry(exact=None) for name in NAMES}
    found = verified(monkeypatch, first, again, **row)["mean_y"]
    assert found.outcome == outcome
    assert (found.wanted, found.z) == ("0.5", None)


@pytest.mark.parametrize(
    ("committed", "exact", "right"),
    [
        ((2**-9, 0.0), (0.0, 2**-10), True),  # twice the error
        ((2**-9 + 2**-40, 0.0), (0.0, 2**-10), False),
        ((-(2**-9), 0.0), (0.0, 2**-10), True),
        ((-(2**-9) - 2**-40, 0.0), (0.0, 2**-10), False),
        ((1 + 0.9e-12, 0.0), (1.0, 0.0), True),  # another machine's rounding
        ((1 + 1.1e-12, 0.0), (1.0, 0.0), False),
        ((1000 + 0.9e-9, 0.0), (1000.0, 0.0), True),
        ((-1.0, 0.0), (1.0, 0.0), False),
        ((1.0, 0.0095), (1.0, 0.001), True),  # the error is about right
        ((1.0, 0.0105), (1.0, 0.001), False),
        ((1.0, 1e-15), (1.0, 0.0), True),
        ((1.0, 2e-15), (1.0, 0.0), False),
        ((2.0, 2e-15), (1.0, 0.0), False),
    ],
)
def test_a_committed_exact_value_is_the_one_computed_now(
    committed: tuple[float, float], exact: tuple[float, float], right: bool
) -> None:
    was = {"value": committed[0], "error": committed[1], "by": "quadrature"}
    now = Exact(*exact, "quadrature")
    assert _why_wrong(was, now) == ("" if right else "the committed exact value is wrong")


def test_an_exact_value_is_known_in_the_same_way_or_not_at_all() -> None:
    was = {"value": 0.5, "error": 0.0, "by": "quadrature"}
    assert _why_wrong(was, HALF) == "the committed exact value is wrong"
    assert _why_wrong(None, HALF) == "no exact value is committed"
    assert _why_wrong(was, None) == "the committed exact value is unknown"
    assert _why_wrong(None, None) == ""


@pytest.mark.parametrize(
    ("value", "stderr", "exact", "name", "strays"),
    [
        # 1.96 standard errors at one in twenty; of 3 and an error of 4 these are 9.8.
        (109.7, 3.0, Exact(100.0, 4.0, ""), "mean_y", False),
        (109.9, 3.0, Exact(100.0, 4.0, ""), "mean_y", True),
        (90.1, 3.0, Exact(100.0, 4.0, ""), "mean_y", True),
        (90.3, 3.0, Exact(100.0, 4.0, ""), "mean_y", False),
        # On the scale of logarithms a half doubled is off by ln 2/2 = 0.3466, and 0.5 halved too.
        (1.0, 0.3466 / 1.95, HALF, "std_y", False),
        (1.0, 0.3466 / 1.97, HALF, "std_y", True),
        (0.25, 0.3466 / 1.95, HALF, "std_y", False),
        (0.25, 0.3466 / 1.97, HALF, "std_y", True),
        (5.0, 1.0, Exact(5.0, 0.0, ""), "std_y", False),
        (0.0, 1.0, HALF, "std_y", True),  # no σ of what varies
        (-0.5, 1.0, HALF, "std_y", True),
        (0.5, 0.1, HALF, "std_y", False),
        (1.0, 0.1, Exact(0.0, 0.0, ""), "std_y", True),  # no logarithm
        (0.1, 0.1, Exact(0.0, 0.0, ""), "std_y", False),
        (-0.5, 0.1, Exact(-0.5, 0.0, ""), "std_y", False),
        (9.0, 0.0, HALF, "std_y", False),  # no information
        (None, 0.1, HALF, "std_y", False),
        (9.0, None, HALF, "std_y", False),
    ],
)
def test_an_estimate_strays_beyond_the_standard_errors_of_its_chance(
    value: float | None, stderr: float | None, exact: Exact, name: str, strays: bool
) -> None:
    assert _strays(value, stderr, exact, name, 0.05) is strays


@pytest.mark.parametrize("name", ["mean_y", "std_y"])
def test_an_estimate_that_is_right_never_strays(name: str) -> None:
    assert not _strays(0.5, 0.1, HALF, name, 1.0)  # of which any other one does
    assert _strays(0.5 + 1e-9, 0.1, HALF, name, 1.0)


@pytest.mark.parametrize(
    ("value", "stderr", "fresh", "z"),
    [
        (1.0, 0.375, (3.0, 0.5), 3.2),  # 2/√(3² + 4²)·8
        (3.0, 0.375, (1.0, 0.5), -3.2),
        (1.0, 0.0, (3.0, 0.5), 4.0),
        (1.0, 3.0, (11.0, 4.0), 2.0),
        (1.0, 0.0, (3.0, 0.0), None),
        (None, 0.5, (3.0, 0.5), None),
        (1.0, None, (3.0, 0.5), None),
        (1.0, 0.5, (3.0, None), None),
    ],
)
def test_two_samples_are_apart_by_their_common_error(
    value: float | None, stderr: float | None, fresh: tuple[float, float | None], z: float | None
) -> None:
    assert _two_sample_z(value, stderr, Estimate(*fresh, None, 1e3)) == z


@pytest.mark.parametrize(
    ("name", "row", "void"),
    [
        ("gain_y", {"gain_y": {"exact": None}, "std_y": {"exact": {"value": 0.0}}}, True),
        ("gain_y", {"gain_y": {"exact": None}, "std_y": {"exact": {"value": 0.5}}}, False),
        ("gain_y", {"gain_y": {"exact": None}, "std_y": {"exact": None}}, False),
        ("gain_y", {"gain_y": {"exact": None}}, False),
        ("gain_y", {"gain_y": {"exact": None}, "std_dx": {"exact": {"value": 0.0}}}, False),
        ("gain_dx", {"gain_dx": {"exact": None}, "std_dx": {"exact": {"value": 0.0}}}, True),
        ("std_y", {"std_y": {"exact": {"value": 0.0}}}, False),
        (
            "gain_y",
            {"gain_y": {"exact": None, "value": 2.0}, "std_y": {"exact": {"value": 0.0}}},
            False,
        ),
        ("chi", {"chi": {"exact": None}, "std_y": {"exact": {"value": 0.0}}}, False),
    ],
)
def test_the_gain_of_what_does_not_vary_is_void(name: str, row: dict[str, Any], void: bool) -> None:
    assert _is_void(row, name) is void


def test_what_is_void_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"std_y": entry(exact={"value": 0.0, "error": 0.0, "by": "constant"}, value=0.0)}
    row["gain_y"] = {"exact": None, "value": None, "stderr": None, "n_eff": math.nan}
    assert list(verified(monkeypatch, sampled(), sampled(), **row)) == list(NAMES)

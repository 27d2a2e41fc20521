"""What a claim is judged by: the layer at a solution, with the error that the solution leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from bnstats.claims import Claim
from bnstats.claims.files import claim
from bnstats.layers import STANDARD, Law
from bnstats.runs.solve import Solution
from bnstats.statistics.exact import Exact
from bnstats.verification import solved
from bnstats.verification.solved import Subject, exact_command, judged, subject, without_solution

LOG = "x_std=0.1:10:log"


def plain(value: str = "0.6312", layer: str = "gelu", quantity: str = "std_dx") -> Claim:
    return claim({"layer": layer, "quantity": quantity, "value": value})


def inverse(quantity: str = "x_std", value: str = "1.3219", over: str = LOG, **more: str) -> Claim:
    fields = {"layer": "elu", "over": over, "find": "std_y=1", "quantity": quantity}
    return claim(fields | {"value": value} | more)


# --- the error of a solution --------------------------------------------------------------------


def at(
    patch: pytest.MonkeyPatch, known: Callable[[float], dict[str, Exact]], *solution: Any
) -> Subject:
    """Return a layer at a solution, of which everything is known by a function of σ[x]."""
    patch.setattr(solved, "_known", lambda spec, law: known(law.x_std))
    given = inverse()
    assert given.inverse is not None
    return solved._at(given, Solution(given.inverse.wanted, *solution))


@pytest.mark.parametrize(
    ("function", "own", "error"),
    [
        (lambda x: x * x, 0.0, 5.0),  # 4, between 1 and 9
        (lambda x: 12 / x, 0.0, 6.0),  # 6, between 12 and 4
        (lambda x: x, 0.25, 1.25),  # each with an error of its own
        (lambda x: 7.0, 0.25, 0.25),
    ],
)
def test_a_value_there_is_off_by_what_the_solution_may_be_off(
    monkeypatch: pytest.MonkeyPatch, function: Callable[[float], float], own: float, error: float
) -> None:
    found = at(monkeypatch, lambda x: {"std_y": Exact(function(x), own, "")}, 2.0, 1.0)
    assert (found.exact["std_y"].value, found.exact["std_y"].error) == (function(2.0), error)
    assert (found.exact["x_std"].value, found.exact["x_std"].error) == (2.0, 1.0)
    assert found.law == Law(x_std=2.0)


def test_what_is_known_least_at_the_solution_itself_stays_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = {1.0: 0.25, 2.0: 4.0, 3.0: 0.25}
    found = at(monkeypatch, lambda x: {"std_y": Exact(x, errors[x], "")}, 2.0, 1.0)
    assert found.exact["std_y"].error == 4.0


def test_what_is_unknown_on_one_side_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def known(x: float) -> dict[str, Exact]:
        return {"std_y": Exact(x, 0.0, "")} | ({"chi": Exact(x, 0.0, "")} if x < 3 else {})

    assert set(at(monkeypatch, known, 2.0, 1.0).exact) == {"std_y", "x_std"}
    assert set(at(monkeypatch, known, 2.0, 0.5).exact) == {"std_y", "chi", "x_std"}


def test_a_solution_at_zero_is_one_at_zero() -> None:
    given = inverse("x_mean", over="x_mean=-1:1", layer="tanh", find="mean_y=0")
    assert given.inverse is not None
    found = solved._at(given, Solution(given.inverse.wanted, 0.0, 0.0))
    assert (found.exact["x_mean"].value, found.exact["x_mean"].error) == (0.0, 0.0)
    assert found.law == STANDARD


def test_the_nearest_of_several_solutions_is_that_of_the_claim() -> None:
    def far(value: str, known: dict[str, Exact]) -> float:
        return solved._distance(plain(value), Subject(plain().spec, STANDARD, known))

    known = {"std_dx": Exact(0.75, 0.0, ""), "std_y": Exact(0.5, 0.0, "")}
    assert far("0.5", known) == far("1.0", known) == 0.25
    assert far("-0.5", known) == 1.25
    assert far("0.5", {"std_y": Exact(0.5, 0.0, "")}) == math.inf


# --- what an author is told ---------------------------------------------------------------------


def test_the_command_is_about_what_decides() -> None:
    there = Subject(inverse().spec, Law(x_std=1.5), {})
    none = Subject(inverse().spec, STANDARD, {}, "why")
    sweep = "bnstats sweep elu --over x_std=0.1:10:log --find std_y=1"
    of_gelu = Subject(plain().spec, STANDARD, {})
    assert exact_command(plain(), of_gelu) == "bnstats exact gelu --quantity std_dx"
    assert exact_command(inverse("std_dx"), there) == (
        "bnstats exact elu --x-std 1.5 --quantity std_dx"
    )
    assert exact_command(inverse("std_dx"), none) == sweep
    assert exact_command(inverse("x_std"), there) == sweep
    assert exact_command(inverse("x_std"), none) == sweep
    assert exact_command(inverse("x_std", x_mean="0.5"), none) == f"{sweep} --x-mean 0.5"


@pytest.mark.parametrize(
    ("kind", "grade", "remark"),
    [
        ("moment", "undecided", "σ[y] = 1 has no solution: why"),
        ("rule of thumb", "not a moment", "a rule of thumb; σ[y] = 1 has no solution: why"),
    ],
)
def test_without_a_solution_no_digit_is_right(kind: str, grade: str, remark: str) -> None:
    verdict = without_solution(inverse(kind=kind), "why")
    assert (verdict.grade, verdict.remark, verdict.digits_right) == (grade, remark, 0)
    assert math.isnan(verdict.truth)


@pytest.mark.parametrize(
    ("value", "error", "right"),
    [
        (0.6722, 0.0, "0.6722"),
        (0.6722, 0.0008, "0.67"),  # from 0.6714 to 0.6730
        (0.6722, 0.004, "0.7"),  # from 0.6682 to 0.6762
        (0.65, 0.6, None),
    ],
)
def test_what_to_print_instead_holds_whatever_the_truth_is(
    monkeypatch: pytest.MonkeyPatch, value: float, error: float, right: str | None
) -> None:
    known = {"std_dx": Exact(value, error, "")}
    monkeypatch.setattr(solved, "subject", lambda c: Subject(c.spec, c.law, known))
    judged.cache_clear()
    found = judged(plain("9.6312"))
    assert found.verdict is not None
    assert (found.verdict.outcome, found.instead) == ("refuted", right)
    with pytest.raises(FrozenInstanceError):
        found.instead = "0.5"  # type: ignore[misc]
    judged.cache_clear()


# --- what is worked out once --------------------------------------------------------------------


def test_claims_about_one_solution_solve_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def solve(over: Any, wanted: Any, quantity: Any) -> list[Solution]:
        asked.append(wanted.equation)
        return [Solution(wanted, why="why")]

    monkeypatch.setattr(solved, "solve", solve)
    solved._solutions.cache_clear()
    found = [subject(inverse(quantity)) for quantity in ("x_std", "std_dx", "x_std")]
    assert asked == ["std_y=1"]
    assert {about.why for about in found} == {"why"}
    assert not any(about.exact for about in found)
    solved._solutions.cache_clear()
    with pytest.raises(FrozenInstanceError):
        found[0].why = ""  # type: ignore[misc]


def test_what_is_known_of_a_layer_is_found_once() -> None:
    given = plain()
    assert solved._known(given.spec, given.law) is solved._known(given.spec, given.law)
    assert judged(given) is judged(given)

"""Checks as plain data, and which wrong values can be replaced by what."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from bnstats.claims.files import claim, read_claims_file
from bnstats.claims.places import Place
from bnstats.claims.verdict import judge
from bnstats.layers import Law
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.verification import fix
from bnstats.verification.check import Check
from bnstats.verification.document import checks_document, warnings_of
from bnstats.verification.fix import (
    Change,
    _bounds,
    corrections,
    rewritten,
    rewritten_files,
    verified_again,
)
from bnstats.verification.gate import VerifySettings

PLACE = Place(Path("a.json"), 3, 20, 26, 7)
KNOWN = Exact(0.6752, 1e-12, "quadrature")
DRAWN = Estimate(0.675, 0.001, (0.673, 0.677), 1e4, KNOWN, -0.2)


def check(value: str = "0.6312", outcome: Any = "fail", **more: Any) -> Check:
    """Return the check of a claim by what is known exactly."""
    given = claim({"layer": "gelu", "quantity": "std_dx", "value": value})
    verdict = judge(given, {"std_dx": KNOWN})
    fields: dict[str, Any] = {
        "exact": KNOWN,
        "estimate": DRAWN,
        "z": -0.2,
        "verdict": verdict,
        "place": PLACE,
    }
    return Check("gelu", "std_dx", outcome, value, **(fields | more))


# --- plain data ---------------------------------------------------------------------------------


def test_a_check_as_plain_data() -> None:
    whole = check(warnings=("a", "b"), law=Law(x_std=2.0))
    bare = Check("relu", "mean_y", "ok", "0.4", warnings=("a",))
    found = checks_document([whole, bare, replace(whole, warnings=("b", "c"))], "complete", [])
    gelu, relu = found["results"]
    assert (found["status"], gelu["layer"], relu["layer"]) == ("complete", "gelu", "relu")
    assert (gelu["warnings"], relu["warnings"]) == (["a", "b", "c"], ["a"])
    assert [c["printed"] for c in gelu["claims"]] == ["0.6312"] * 2
    assert relu["claims"] == []
    entry, again = gelu["checks"]
    assert again == entry
    assert (entry["value"], entry["stderr"], entry["z"]) == (0.675, 0.001, -0.2)
    assert (entry["file"], entry["line"], entry["column"]) == ("a.json", 3, 7)
    assert entry["law"] == {"x_mean": 0.0, "x_std": 2.0, "dy_std": 1.0}
    assert "over" not in entry
    (entry,) = relu["checks"]
    absent = ("exact", "value", "stderr", "z", "z_wanted", "file", "line", "column")
    assert [entry[name] for name in absent] == [None] * 8
    assert (entry["outcome"], entry["wanted"], entry["reason"]) == ("ok", "0.4", "")


def test_what_a_check_solves_is_told_beside_it() -> None:
    fields = {"layer": "gelu", "over": "x_std=1:2", "find": "std_y=1", "quantity": "x_std"}
    solved = check(inverse=claim(fields | {"value": "1.5"}).inverse)
    (entry,) = checks_document([solved], "complete", [])["results"][0]["checks"]
    assert (entry["over"], entry["find"]) == ("x_std=1:2", "std_y=1")


def test_what_is_said_twice_is_told_once() -> None:
    said = [check(warnings=("a", "b")), check(warnings=("b",)), Check("relu", "", "ok", "")]
    assert warnings_of(said) == (("gelu", "a"), ("gelu", "b"))


def test_a_check_does_not_change_and_says_what_it_is_about() -> None:
    found = check(law=Law(x_std=2.0))
    assert repr(found) == "Check(fail: gelu σ[dx] at x_std = 2, 0.6312)"
    with pytest.raises(FrozenInstanceError):
        found.outcome = "ok"  # type: ignore[misc]


# --- corrections --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digits", "new"),
    [
        ("0.6312", None, "0.6752"),
        ("sqrt(1.55)", 3, "0.675"),  # its decimal has three digits, and it is no decimal
        ("sqrt(2)", 4, "0.6752"),
        ("2", 2, "0.68"),
        ("3e2", 2, "0.68"),  # a whole number
    ],
)
def test_a_decimal_is_replaced_and_what_is_none_only_if_asked(
    value: str, digits: int | None, new: str
) -> None:
    ((change,), refused) = corrections([check(value)], 1e-6, digits)
    assert (change.new, change.old, change.place, refused) == (new, value, PLACE, [])
    with pytest.raises(FrozenInstanceError):
        change.new = "1"  # type: ignore[misc]
    if digits is not None:
        (changes, ((wrong, why),)) = corrections([check(value)], 1e-6)
        assert (changes, wrong.wanted) == ([], value)
        assert why == "an expression or a whole number; `digits=N` replaces it by N digits"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"place": None}, "not in a file of yours"),
        ({"place": Place(Path("a.json"))}, "bnstats table regenerates results"),
        ({"verdict": None}, "the draws disagree with the exact value"),
        (
            {"estimate": None},
            "too wide to be drawn: no sample bears witness to the exact value",
        ),
        ({"z": None}, "the draws are too few to bear witness; try a larger `samples`"),
        (
            {"estimate": replace(DRAWN, n_eff=99.0)},
            "the draws are too few to bear witness; try a larger `samples`",
        ),
        (
            {"exact": Exact(0.5, 3.0, "")},
            "too few digits of it are known; try a larger `samples`",
        ),
    ],
)
def test_a_wrong_value_stays_for_a_reason(more: dict[str, Any], why: str) -> None:
    wrong = check(**more)
    assert corrections([wrong, check(outcome="ok"), check(outcome="undecided")], 1e-6) == (
        [],
        [(wrong, why)],
    )


def test_the_truth_lies_between_bounds() -> None:
    assert _bounds(check(exact=Exact(0.5, 0.125, "")), 4.0) == (0.375, 0.625)
    drawn = Estimate(0.5, 0.125, None, 1e3, log_scale=False)
    assert _bounds(check(exact=None, estimate=drawn), 2.0) == (0.25, 0.75)
    anywhere = (-math.inf, math.inf)
    assert _bounds(check(exact=None, estimate=None), 4.0) == anywhere
    assert _bounds(check(exact=None, estimate=replace(drawn, stderr=None)), 4.0) == anywhere


# --- files --------------------------------------------------------------------------------------


def write(path: Path, *values: str) -> list[Place]:
    """Write a file of claims and return where their values stand."""
    layers = ("gelu", "relu", "tanh")
    rows = [
        {"layer": layer, "quantity": "std_dx", "value": value}
        for layer, value in zip(layers, values, strict=False)
    ]
    path.write_text(json.dumps(rows))
    places = [found.place for found in read_claims_file(path).claims]
    return [place for place in places if place is not None]


def test_values_are_replaced_from_the_last_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    one, two, three = write(path, "0.6312", "0.6312", "0.5")
    text = path.read_text()
    changes = [Change("", one, "0.6312", "0.67517"), Change("", three, "0.5", "0.68147")]
    new = text.replace('"0.6312"', '"0.67517"', 1).replace('"0.5"', '"0.68147"')
    assert rewritten(text, changes) == rewritten(text, changes[::-1]) == new
    assert rewritten("\ufeff" + text, changes) == "\ufeff" + new
    assert rewritten_files(changes) == {path: (text, new)}
    assert rewritten(text, []) == text
    assert two.start == text.index('"0.6312"', one.end)


def test_what_was_changed_is_verified_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def verify_claims(claims: Any, settings: object) -> list[Check]:
        asked.append([(c.place.path.name, c.printed.text) for c in claims])
        return [Check(c.spec.text, c.quantity, "ok", c.printed.text) for c in claims]

    monkeypatch.setattr(fix, "verify_claims", verify_claims)
    first = write(tmp_path / "a.json", "0.1", "0.2", "0.3")
    second = write(tmp_path / "b.json", "0.4", "0.5")
    nowhere = Check("elu", "std_y", "fail", "0.9")
    before = [Check("", "std_dx", "fail", p.path.name, place=p) for p in (*first, *second)]
    checks = [*before[::-1], nowhere]
    changes = [Change("", place, "", "") for place in (first[2], first[0], second[1])]
    found = verified_again(checks, changes, VerifySettings())
    of_first, of_second = [("a.json", "0.1"), ("a.json", "0.3")], [("b.json", "0.5")]
    assert sorted(asked) == [of_first, of_second]
    assert [c.wanted for c in found] == ["0.5", "b.json", "0.3", "a.json", "0.1", "0.9"]

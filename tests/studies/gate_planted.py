"""The rows that the gate is measured on, and errors planted in their formulas and exact values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from unittest.mock import patch

from bnstats.layers import STANDARD, BoundLayer, ExactMoments, Law
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.exact import exact_values
from bnstats.statistics.quantities import QUANTITIES
from bnstats.tables.constants import table_specs
from bnstats.verification.check import Check
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import verify_constants

Row = Mapping[str, Any]

PLANTED = ("forward formula", "backward formula", "exact E[y]", "exact σ[y]", "exact σ[dx]")
EXACT = {"mean_y": PLANTED[2], "std_y": PLANTED[3], "std_dx": PLANTED[4]}


def known_row(spec: Spec) -> Row:
    """Return a row of exact values alone, which nothing but fresh draws can contradict."""
    exact = exact_values(spec.bound, STANDARD)
    return {"layer": spec.text, **{name: {"exact": asdict(e)} for name, e in exact.items()}}


def rows(committed: Mapping[str, Any]) -> dict[str, Row]:
    """Return the row of every layer of the table, as committed or else of its exact values."""
    found = {row["layer"]: row for row in committed["results"]}
    return {text: found.get(text) or known_row(parse(text)) for text in table_specs()}


def check(
    row: Row, settings: VerifySettings, of: int, spec: Spec | None = None
) -> tuple[Check, ...]:
    """Verify one row as a table of ``of`` rows like it would have it; ``spec`` stands for its own.

    The tests of a table share its family-wise error equally, so one row's share is 1/of.
    """
    document = {"provenance": {"law": STANDARD._asdict()}, "results": [row]}
    settings = replace(settings, family_error=settings.family_error / of)
    with patch("bnstats.verification.results.parse", return_value=spec or parse(row["layer"])):
        return verify_constants(document, settings)


def scaled(spec: Spec, y: float = 1.0, dx: float = 1.0) -> Spec:
    """Return a layer whose forward and backward formulas are wrong by a factor."""
    right = spec.bound.forward

    def forward(xp: Any, draws: Any) -> Any:
        value, backward = right(xp, draws)
        return value * y, lambda dy: backward(dy) * dx

    return replace(spec, bound=replace(spec.bound, forward=forward))


def misknown(spec: Spec, factor: float) -> Spec:
    """Return a layer whose exact moments make E[y], σ[y] and σ[dx] wrong by a factor."""
    right = spec.bound.moments

    def moments(law: Law, expect: Any) -> ExactMoments:
        powers = {"mean_y": 1, "mean_dx": 1, "var_y": 2, "ms_y": 2, "ms_dx": 2}
        powers |= {"m3_y": 3, "m4_y": 4, "m4_dx": 4, "var_ms_y": 4, "var_ms_dx": 4}
        powers |= {"cov_xy": 1, "drift": 2, "mean_slope": 1}
        known = right(law, expect)
        wrong = {
            name: replace(m, value=m.value * factor ** powers[name])
            for name, m in known.stated.items()
        }
        return replace(known, **wrong)

    bound: BoundLayer = replace(spec.bound, moments=moments)
    return replace(spec, bound=bound)


def caught(
    text: str, row: Row, settings: VerifySettings, of: int, factor: float
) -> dict[str, bool]:
    """Return which planted errors verification catches by fresh draws.

    The formula's errors are in the draws alone; those of the exact values are in the code and in
    the row alike, as in a table that was made with them. A committed estimate is no help: it is
    taken out of the row wherever there is an exact value.
    """
    spec = parse(text)
    known = {q: {"exact": e} for q in QUANTITIES if (e := row.get(q, {}).get("exact"))}
    bare = {**row, **known}
    wrong = check(bare, settings, of, scaled(spec, factor, factor))
    failed = {QUANTITIES[c.quantity].direction for c in wrong if c.outcome == "fail"}
    found = {PLANTED[0]: "y" in failed, PLANTED[1]: "dx" in failed}
    mistaken = misknown(spec, factor)
    outcomes = {c.quantity: c for c in check(known_row(mistaken), settings, of, mistaken)}
    for name, what in EXACT.items():
        exact = outcomes[name].exact if name in outcomes else None
        if exact is not None and abs(exact.value) > exact.error:  # 1 % of zero is no error
            found[what] = outcomes[name].outcome == "fail"
    return found

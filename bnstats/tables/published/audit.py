"""Every published claim beside what is known of it: its verdict, and independent draws."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bnstats.claims import Claim, claim_sets
from bnstats.claims.grades import GRADES, OUTCOMES, Grade
from bnstats.statistics.exact import exact_entry
from bnstats.statistics.quantities import symbol_of
from bnstats.tables.published.stack import Growth, growth
from bnstats.verification.solved import Judged, judged

_WORST_FIRST: tuple[Grade, ...] = ("wrong", "wrong quantity", "last digits are noise", "cut off")
_ORDER: tuple[Grade, ...] = (*_WORST_FIRST, "not a moment", "undecided", "reproduced")
assert {*_ORDER} == {*GRADES}
_MUCH = 0.01  # a relative error of which nobody says that it is one of the last digits
# A source that names a file of a program; what papers, posts and threads print, nobody imports.
_PROGRAM = re.compile(r"\.(?:py|ipynb|jl|lua|c|cc|cpp|cu|h|m|r|rs|swift)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Audited:
    """A claim with its verdict.

    Attributes
    ----------
    judged
        The claim, and its verdict by the exact value.
    drawn
        What the table of constants holds of the quantity: its exact value, and draws of it. Empty
        of a layer, a law or a quantity that it does not have.
    by_draws
        The verdict that the table of constants holds, which decides where no exact value is known.
    """

    judged: Judged
    drawn: Mapping[str, Any]
    by_draws: Mapping[str, Any]

    @property
    def claim(self) -> Claim:
        """The published value."""
        return self.judged.claim

    @cached_property
    def verdict(self) -> Mapping[str, Any]:
        """The verdict as plain data; of what nothing is known it is undecided."""
        found = self.judged.verdict
        known = self.by_draws if found is None else found.to_dict()
        unknown = {"grade": "undecided", "remark": "no exact value"}
        missing = ("relative_error", "digits_right", "digits_printed", "equal_error_samples")
        return known or unknown | dict.fromkeys(missing)

    @property
    def grade(self) -> Grade:
        """The grade of the verdict."""
        grade: Grade = self.verdict["grade"]
        return grade

    @property
    def refuted(self) -> bool:
        """Whether the claim is wrong."""
        return OUTCOMES[self.grade] == "refuted"

    @property
    def off(self) -> bool:
        """Whether its value is not the quantity's, be it claimed or not."""
        return self.refuted or self.grade == "not a moment"

    @property
    def much(self) -> bool:
        """Whether its value is off by more than 1 %."""
        return self.off and abs(self.error) > _MUCH

    @property
    def in_program(self) -> bool:
        """Whether its source is a program, by its files' names."""
        return bool(_PROGRAM.search(self.claim.source))

    @property
    def layer(self) -> str:
        """The layer, with what is unusual about the law of its input, and what is solved for."""
        law = "".join(f" at {k}={v:g}" for k, v in self.claim.law.changes.items())
        where = f" where {self.claim.inverse}" if self.claim.inverse else ""
        return f"{self.claim.spec.text}{law}{where}"

    @property
    def quantity(self) -> str:
        """The symbol of the quantity claimed, or the parameter that is solved for."""
        return symbol_of(self.claim.quantity)

    @property
    def exact(self) -> Mapping[str, Any] | None:
        """The exact value, as the table of constants holds it where it does."""
        return self.drawn.get("exact") or exact_entry(self.judged.exact)

    @property
    def error(self) -> float:
        """The relative error; 0 where the truth is 0 or not known."""
        return self.verdict["relative_error"] or 0.0

    @cached_property
    def growth(self) -> Growth | None:
        """What an error above 1 % does to a stack of such layers; None of what scales nothing."""
        exact = self.judged.exact
        return growth(self.claim, exact.value) if self.much and exact else None


def audited(constants: Mapping[str, Any]) -> list[Audited]:
    """Return every claim of the sets, the most surprising first, beside a document of constants.

    They are in the order of their grades; of one grade, larger relative errors come first.
    """
    rows = {row["layer"]: row for row in constants["results"]}
    found = [
        _beside(claim, rows.get(claim.spec.text, {})) for s in claim_sets() for claim in s.claims
    ]
    # The error of a reproduced value is rounding, by which there is nothing to order.
    return sorted(found, key=lambda a: (_ORDER.index(a.grade), -abs(a.error) * a.off))


def _beside(claim: Claim, row: Mapping[str, Any]) -> Audited:
    if not claim.is_usual:
        row = {}  # it is about other inputs, or another value of a parameter
    same = (
        entry
        for entry in row.get("claims", ())
        if (claim.set, claim.quantity, claim.printed.text, claim.source)
        == (entry["set"], entry["quantity"], entry["printed"], entry["source"])
    )
    return Audited(judged(claim), row.get(claim.quantity, {}), next(same, {}))

"""Published claims as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnstats.claims import ClaimSet, claim_sets
from bnstats.claims.grades import Grade
from bnstats.notation import percent_off, signed, significant
from bnstats.report.rows import estimate_cell, exact_cell
from bnstats.tables.published.audit import Audited
from bnstats.tables.published.stack import DEPTH


@dataclass(frozen=True)
class ClaimRow:
    """A published claim with its verdict, as text and as numbers to sort by.

    Attributes
    ----------
    audited
        The claim, and what is known of it.
    rank
        The place of its grade, 0 being the most surprising one.
    """

    audited: Audited
    rank: int

    @property
    def true_value(self) -> float:
        """The best known value; nan where nothing is known."""
        exact, drawn = self.audited.exact, self.audited.drawn.get("value")
        value = exact["value"] if exact else drawn
        return math.nan if value is None else float(value)

    @property
    def truth(self) -> str:
        """The best known value as text."""
        exact, drawn = self.audited.exact, self.audited.drawn
        if exact:
            return exact_cell({"exact": exact, "stderr": drawn.get("stderr")})
        return estimate_cell(drawn) if drawn.get("value") is not None else ""

    @property
    def off(self) -> str:
        """The relative error of a value that is not the quantity's."""
        return percent_off(self.audited.error, digits=2) if self.audited.off else ""

    @property
    def off_by(self) -> float:
        """The size of that error; nan where the value is the quantity's."""
        return abs(self.audited.error) if self.audited.off else math.nan

    @property
    def remark(self) -> str:
        """Why the verdict is as it is, and what a reader should know of the value."""
        remark = self.audited.verdict["remark"]
        if self.audited.grade == "reproduced":  # its exact value has a column of its own
            remark = remark.partition("; ")[2]
        return "; ".join(filter(None, (remark, self.audited.claim.remark, self._stack)))

    @property
    def _stack(self) -> str:
        """What a large error does to a stack."""
        found = self.audited.growth
        if found is None:
            return ""
        return f"after {DEPTH} layers a scale of 1 is {signed(significant(found.after, 2))}"

    @property
    def source(self) -> str:
        """Where it was published, and where else the same number stands."""
        claim = self.audited.claim
        copies = f"also: {'; '.join(claim.copies)}" if claim.copies else ""
        return "; ".join(filter(None, (claim.source, copies)))


def claim_rows(found: Sequence[Audited]) -> list[ClaimRow]:
    """Return a row for each claim, in their order, which is that of their grades."""
    ranks: dict[Grade, int] = {}
    return [ClaimRow(a, ranks.setdefault(a.grade, len(ranks))) for a in found]


def set_rows(rows: Sequence[ClaimRow]) -> list[tuple[ClaimSet, int, int]]:
    """Return each set that has claims here, with how many there are, and how many are refuted."""
    of = {s.name: [r.audited for r in rows if r.audited.claim.set == s.name] for s in claim_sets()}
    return [(s, len(of[s.name]), sum(a.refuted for a in of[s.name])) for s in claim_sets()]

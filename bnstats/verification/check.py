"""What became of one constant that was verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bnstats.claims.places import Place
from bnstats.claims.verdict import Verdict
from bnstats.claims.wanted import Inverse
from bnstats.layers import STANDARD, Law
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import symbol_of

Outcome = Literal["ok", "fail", "undecided"]


@dataclass(frozen=True)
class Check:
    """One constant, checked.

    Attributes
    ----------
    layer, quantity
        The layer's spec and the quantity of it that the constant states.
    outcome
        ``ok``, ``fail`` or ``undecided``.
    wanted
        The committed or claimed value, as text.
    exact, estimate
        The value known without sampling, and the latest fresh draws; None where there is no such
        value, or where the layer is too wide to be drawn.
    z
        (fresh draws − exact value)/standard error, as everywhere; of the second stage, if there was
        one. None where there is no exact value.
    z_wanted
        Where there is no exact value: by how many standard errors the draws lie beyond what is
        wanted, the committed estimate or the interval that is claimed.
    reason
        Why it did not pass, or why it was not judged; empty where it is right.
    command
        A command that reproduces what decided: the fresh draws, or the exact value.
    verdict
        The verdict on a claim; None for a committed constant.
    place
        Where the constant stands in the file that was verified.
    warnings
        What the layer and the backend had to say by the time of the check.
    law
        The law of the inputs that the constant is of.
    inverse
        What is solved for a parameter that layer and law are without, or None. The estimate is then
        at the solution; where the quantity is that parameter, of the quantity in the equation.
    """

    layer: str
    quantity: str
    outcome: Outcome
    wanted: str
    exact: Exact | None = None
    estimate: Estimate | None = None
    z: float | None = None
    z_wanted: float | None = None
    reason: str = ""
    command: str = ""
    verdict: Verdict | None = None
    place: Place | None = None
    warnings: tuple[str, ...] = ()
    law: Law = STANDARD
    inverse: Inverse | None = None

    @property
    def name(self) -> str:
        """The layer and the symbol of the quantity, with what is unusual about the inputs."""
        law = "".join(f" at {name} = {value:g}" for name, value in self.law.changes.items())
        where = f" where {self.inverse}" if self.inverse else ""
        return f"{self.layer} {symbol_of(self.quantity)}{law}{where}"

    def __repr__(self) -> str:
        return f"Check({self.outcome}: {self.name}, {self.wanted})"

    @property
    def grade(self) -> str:
        """The grade of a claim; of a committed constant verified, failed or undecided.

        A claim that an exact value reproduces and no draws bear witness for is undecided.
        """
        if self.verdict is not None and self.outcome != "undecided":
            return self.verdict.grade
        return {"ok": "verified", "fail": "failed"}.get(self.outcome, self.outcome)

"""What became of one constant that was verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bnstats.claims.places import Place
from bnstats.claims.verdict import Verdict
from bnstats.layers import STANDARD, Law
from bnstats.statistics.alarm import FIRST_THRESHOLD
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES

Outcome = Literal["ok", "fail", "undecided"]


@dataclass(frozen=True, repr=False)
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
        Distance of the fresh draws (those of the second stage, if there was one) from the exact
        value in standard errors, or from the committed value where there is no exact one.
    reason
        Why it did not pass; empty for ``ok``.
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
    """

    layer: str
    quantity: str
    outcome: Outcome
    wanted: str
    exact: Exact | None = None
    estimate: Estimate | None = None
    z: float | None = None
    reason: str = ""
    command: str = ""
    verdict: Verdict | None = None
    place: Place | None = None
    warnings: tuple[str, ...] = ()
    law: Law = STANDARD

    @property
    def name(self) -> str:
        """The layer and the symbol of the quantity, with what is unusual about the inputs."""
        law = "".join(f" at {name} = {value:g}" for name, value in self.law.changes.items())
        return f"{self.layer} {QUANTITIES[self.quantity].symbol}{law}"

    def __repr__(self) -> str:
        return f"Check({self.outcome}: {self.name}, {self.wanted})"

    @property
    def shown_z(self) -> float | None:
        """The z that people see, or None where it would say nothing.

        For a committed constant it is ``z``. For a wrong claim it is the distance from the claim
        to the sample in standard errors, unless the exact value decided and the sample is too
        small to see the error. For other claims there is none: the exact value decides, and the
        sample only confirms it.
        """
        if self.verdict is None:
            return self.z
        estimate = self.estimate
        if self.outcome != "fail" or estimate is None or not estimate.stderr:
            return None
        z = (estimate.value - self.verdict.claim.printed.value) / estimate.stderr
        return z if self.verdict.decided_by == "sample" or abs(z) > FIRST_THRESHOLD else None

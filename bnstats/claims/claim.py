"""A claim, a published value, and a set of them from one source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bnstats.claims.places import Place
from bnstats.claims.values import Printed
from bnstats.layers import STANDARD, Law
from bnstats.specs.spec import Spec

if TYPE_CHECKING:  # few claims solve for something
    from bnstats.claims.wanted import Inverse

Kind = Literal["moment", "placeholder", "rule of thumb"]


@dataclass(frozen=True)
class Claim:
    """A published value of one quantity of one layer.

    Attributes
    ----------
    set
        The name of the claim set that it belongs to.
    spec
        The layer with its parameters.
    quantity
        The name of the quantity, e.g. ``std_dx``; in an inverse problem perhaps that of the
        parameter, e.g. ``x_std``.
    printed
        The value as it stands in the source. Its half-width is the claim's tolerance, if it has
        one.
    samples
        The number of Monte Carlo draws behind it; None if the source does not say. A wrong value is
        not excused by their error, but explained.
    kind
        ``moment``, the quantity itself; or what else the source gives in its place, which is shown
        beside the quantity and not refuted.
    source, remark
        Where it was published, and what a reader should know about it.
    copies
        Further places that print the same number, as the source does.
    place
        The place of the value in a user's own file; None for the sets of the package.
    law
        The law of the inputs that the value is of.
    inverse
        The problem that the parameter solves at which the quantity has the value; None where
        nothing is solved for. ``spec`` and ``law`` are then without the parameter.
    """

    set: str
    spec: Spec
    quantity: str
    printed: Printed
    samples: int | None = None
    source: str = ""
    remark: str = ""
    copies: tuple[str, ...] = ()
    place: Place | None = None
    law: Law = STANDARD
    kind: Kind = "moment"
    inverse: Inverse | None = None

    @property
    def is_usual(self) -> bool:
        """Whether it is about x, dy ~ N(0, 1), and solves for nothing."""
        return self.law == STANDARD and self.inverse is None

    @property
    def drawn(self) -> str:
        """The quantity that draws tell: where a parameter is claimed, that of the equation."""
        of_parameter = self.inverse is not None and self.quantity == self.inverse.over.name
        return self.inverse.wanted.quantity if self.inverse and of_parameter else self.quantity


@dataclass(frozen=True)
class ClaimSet:
    """Claims from one source.

    Attributes
    ----------
    name
        The name of the set: the file's without its suffix.
    claims
        The claims, in the order of the file.
    title, url
        The source, and where it is published; empty if the file does not say.
    convention
        What the numbers of the source are, e.g. standard deviations; empty if it does not say.
    """

    name: str
    claims: tuple[Claim, ...]
    title: str = ""
    url: str = ""
    convention: str = ""

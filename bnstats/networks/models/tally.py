"""What is kept of models that were drawn: their rows, and what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from bnstats.errors import BnstatsError, printable
from bnstats.networks.models.placing import Traced
from bnstats.networks.reduce import Label, Tally

_SHOWN = 3  # names in a message


class Weight(NamedTuple):
    """What tells whether a parameter was drawn anew: two sums of it, and if all of it is alike."""

    name: str
    sums: tuple[float, float]
    constant: bool


@dataclass(frozen=True)
class ModelTally(Tally):
    """A tally of models that must have the same rows, and must not have the same weights.

    Attributes
    ----------
    labels
        What each row is of.
    weights
        Of the first model.
    stuck
        Parameters that are the same in every draw and not constant.
    name
        Of what makes the models.
    per
        What lines over the depth go through: a class of modules, or ``layer``.
    calls
        Of the first model: what it does.
    squares
        Sums over models: of the mean squares of weights and biases of each call.
    """

    labels: tuple[Label, ...] = ()
    weights: tuple[Weight, ...] = ()
    stuck: tuple[str, ...] = ()
    name: str = ""
    per: str = "layer"
    calls: tuple[Traced, ...] = ()
    squares: tuple[tuple[float, float], ...] = ()

    @property
    def notes(self) -> Sequence[str]:
        """Which parameters are not drawn anew."""
        if not self.stuck:
            return ()
        more = ", …" if len(self.stuck) > _SHOWN else ""
        some = ", ".join(printable(name, 60) for name in self.stuck[:_SHOWN])
        return (f"{len(self.stuck)} parameters are the same in every draw: {some}{more}",)

    def merged(self, other: Tally) -> Self:
        """Pool two tallies.

        Raises
        ------
        BnstatsError
            Their models differ in their layers, or have the same weights.
        """
        assert isinstance(other, ModelTally)
        self._check_rows(other)
        merged = super().merged(other)
        if len(self.squares) == len(other.squares):
            sums = zip(self.squares, other.squares, strict=True)
            merged = replace(merged, squares=tuple((a + c, b + d) for (a, b), (c, d) in sums))
        else:  # nothing is expected of models that call other layers, which no row shows
            merged = replace(merged, calls=(), squares=())
        if not (self.networks == 1 and other.weights):
            return merged
        pairs = zip(self.weights, other.weights, strict=True)
        random_ones = [(a, b) for a, b in pairs if not (a.constant and b.constant)]
        stuck = tuple(a.name for a, b in random_ones if a.sums == b.sums)
        if random_ones and len(stuck) == len(random_ones):
            raise BnstatsError(
                f"{self.name} does not draw its weights anew: two models have the same ones",
                hint="it may set a seed, load a checkpoint or return one model twice",
            )
        return replace(merged, stuck=stuck)

    def _check_rows(self, other: ModelTally) -> None:
        if self.labels == other.labels:
            return
        pairs = zip(self.labels, other.labels, strict=False)
        ours, theirs = next(
            ((a.name, b.name) for a, b in pairs if a != b),
            (f"{len(self.labels)} layers", f"{len(other.labels)} layers"),
        )
        raise BnstatsError(
            f"{self.name} calls other layers in other draws: '{ours}', then '{theirs}'",
            hint="layers that are left out by chance in training are all there with `mode='eval'`",
        )

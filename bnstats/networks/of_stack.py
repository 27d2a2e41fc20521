"""What the tasks of dense stacks and of stacks with shapes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from bnstats.layers import LAYERS
from bnstats.networks.reduce import Label, Tally
from bnstats.networks.stack import AnyStack
from bnstats.specs.sources import sources_digest


@dataclass(frozen=True)
class OfStack(Generic[AnyStack]):
    """A task whose networks are those of a stack."""

    subject: AnyStack

    @property
    def source(self) -> str | None:
        """Digest of the sources of the user's layers."""
        return sources_digest(spec.layer for spec in self.subject.specs)

    def labels(self, tally: Tally) -> Sequence[Label]:
        """Return what each row is of."""
        return self.subject.labels

    def per(self, tally: Tally) -> str:
        """Return what a factor is of."""
        return "block"

    def within(self, workers: int, shares: int) -> int:
        """Return how many processes so many shares of work are worth.

        It is one where a function of a user's may run threads, which no fork survives.
        """
        may_fork = all(spec.layer.name in LAYERS for spec in self.subject.specs)
        return min(workers, 1 + shares) if may_fork else 1

"""What the tasks of dense stacks and of stacks with shapes share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from bnstats.layers import LAYERS
from bnstats.networks.reduce import Label, Tally
from bnstats.networks.stack import AnyStack
from bnstats.specs.sources import sources_digest
from bnstats.specs.spec import Spec


@dataclass(frozen=True)
class OfStack(Generic[AnyStack]):
    """A task whose networks are those of a stack."""

    stack: AnyStack

    @property
    def subject(self) -> AnyStack:
        """The stack."""
        return self.stack

    @property
    def specs(self) -> Iterator[Spec]:
        """The layers that may be the user's own."""
        return self.stack.specs

    @property
    def source(self) -> str | None:
        """Digest of the sources of the user's layers."""
        return sources_digest(spec.layer for spec in self.specs)

    @property
    def may_fork(self) -> bool:
        """Whether no function of a user's may run threads, which no fork survives."""
        return all(spec.layer.name in LAYERS for spec in self.specs)

    def labels(self, tally: Tally) -> Sequence[Label]:
        """Return what each row is of."""
        return self.stack.labels

    def per(self, tally: Tally) -> str:
        """Return what a factor is of."""
        return "block"

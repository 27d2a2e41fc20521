"""Draws of stacks of dense layers, many networks at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bnstats.layers import LAYERS
from bnstats.networks.engines import Engine
from bnstats.networks.passes import draw
from bnstats.networks.predictions import Predictions, predict
from bnstats.networks.reduce import Ends, Label, Tally
from bnstats.networks.stack import Stack
from bnstats.sampling.iid import stream
from bnstats.sampling.layout import Chunk
from bnstats.specs.sources import sources_digest
from bnstats.specs.spec import Spec

_BLOCK_NUMBERS = 2**15  # of one layer of the networks that are drawn together
_TAPE_NUMBERS = 2**24  # of all their layers, which the way back needs
_MATRIX_NUMBERS = 2**23
_SHARE_NUMBERS = 2**26  # random numbers that are worth a process


@dataclass(frozen=True)
class StackTask:
    """Everything that fixes the digits of a run, except how many networks."""

    stack: Stack
    engine: Engine
    seed: int

    default: ClassVar = 400

    @property
    def subject(self) -> Stack:
        """The stack."""
        return self.stack

    @property
    def specs(self) -> Iterator[Spec]:
        """The layers that may be the user's own."""
        return self.stack.specs

    @property
    def source(self) -> str | None:
        """Digest of the sources of the user's layers."""
        return sources_digest(self.stack.specs)

    @property
    def size(self) -> int:
        """Networks that are drawn together: a function of the stack, as streams depend on it."""
        stack = self.stack
        layer = stack.width * stack.batch
        tape = 2 * layer * len(stack.stages) * stack.depth
        size = min(_BLOCK_NUMBERS // layer, _TAPE_NUMBERS // tape)
        if self.engine == "matrices":
            size = min(size, _MATRIX_NUMBERS // max(stack.matrix_numbers, 1))
        return max(size, 1)

    def tally(self, chunk: Chunk) -> Tally:
        """Draw a chunk's networks."""
        text = f"propagate {self.engine} {self.stack.text}"
        generator = stream(self.seed, text, chunk.unit)
        drawn = draw(self.stack, self.engine, generator, chunk.draws)
        block = len(self.stack.stages)
        return Tally.of(drawn, Ends.of_blocks(block * self.stack.depth, block), chunk.first)

    def processes(self, workers: int, networks: int) -> int:
        """Return how many processes are worth their start."""
        stack = self.stack
        if any(spec.layer.name not in LAYERS for spec in stack.specs):
            return 1  # a user's function may run threads, torch's or jax's, which no fork survives
        numbers = stack.matrix_numbers
        if self.engine == "exact":
            numbers = 2 * stack.width * stack.batch * len(stack.stages) * stack.depth
        return min(workers, 1 + networks * numbers // _SHARE_NUMBERS)

    def labels(self, tally: Tally) -> Sequence[Label]:
        """Return what each row is of."""
        return self.stack.labels

    def per(self, tally: Tally) -> str:
        """Return what a factor is of."""
        return "block"

    def predicted(self) -> Predictions:
        """Return what is expected of each row."""
        stack = self.stack
        return predict(stack.stages * stack.depth, stack.width, correlated=stack.batch > 1)


def task_of(stack: Stack, *, matrices: bool, seed: int) -> StackTask:
    """Return what draws a stack, with matrices only where it must or shall be.

    Raises
    ------
    BnstatsError
        The matrices do not fit into memory.
    """
    engine: Engine = "matrices" if matrices or not stack.gaussian else "exact"
    if engine == "matrices":
        stack.check_matrices()
    return StackTask(stack, engine, seed)

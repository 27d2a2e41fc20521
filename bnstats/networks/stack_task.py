"""Draws of stacks of dense layers, many networks at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bnstats.networks.engines import Engine
from bnstats.networks.of_stack import OfStack
from bnstats.networks.passes import draw
from bnstats.networks.predictions import Predictions, predict
from bnstats.networks.reduce import Ends, Tally
from bnstats.networks.stack import Stack
from bnstats.sampling.iid import stream
from bnstats.sampling.layout import Chunk

_BLOCK_NUMBERS = 2**15  # of one layer of the networks that are drawn together
_TAPE_NUMBERS = 2**24  # of all their layers, which the way back needs
_MATRIX_NUMBERS = 2**23
_SHARE_NUMBERS = 2**26  # random numbers that are worth a process


@dataclass(frozen=True)
class StackTask(OfStack[Stack]):
    """Everything that fixes the digits of a run, except how many networks."""

    engine: Engine
    seed: int

    default: ClassVar = 400

    @property
    def size(self) -> int:
        """Networks that are drawn together: a function of the stack, as streams depend on it."""
        stack = self.subject
        layer = stack.width * stack.batch
        size = min(_BLOCK_NUMBERS // layer, _TAPE_NUMBERS // stack.numbers)
        if self.engine == "matrices":
            size = min(size, _MATRIX_NUMBERS // max(stack.matrix_numbers, 1))
        return max(size, 1)

    def tally(self, chunk: Chunk) -> Tally:
        """Draw a chunk's networks."""
        text = f"propagate {self.engine} {self.subject.text}"
        generator = stream(self.seed, text, chunk.unit)
        drawn = draw(self.subject, self.engine, generator, chunk.draws)
        ends = Ends.of_blocks(len(self.subject.steps), len(self.subject.block))
        return Tally.of(drawn, ends, chunk.first)

    def processes(self, workers: int, networks: int) -> int:
        """Return how many processes are worth their start."""
        stack = self.subject
        numbers = stack.numbers if self.engine == "exact" else stack.matrix_numbers
        return self.within(workers, networks * numbers // _SHARE_NUMBERS)

    def predicted(self, tally: Tally) -> Predictions:
        """Return what is expected of each row."""
        stack = self.subject
        return predict(stack.steps, stack.width, correlated=stack.batch > 1)


def task_of(stack: Stack, *, matrices: bool, seed: int) -> StackTask:
    """Return what draws a stack, with matrices only where it must or shall be.

    Raises
    ------
    BnstatsError
        A network does not fit into memory.
    """
    engine: Engine = "matrices" if matrices or not stack.gaussian else "exact"
    stack.check_numbers(stack.matrix_numbers if engine == "matrices" else 0, stack.numbers)
    return StackTask(stack, engine, seed)

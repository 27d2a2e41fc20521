"""Draws of stacks with shapes, one network at a time, and what is expected of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any, ClassVar

import numpy as np

from bnstats.layers import Backward
from bnstats.networks.engines import drawn_of, elementwise, unit_biases
from bnstats.networks.of_stack import OfStack
from bnstats.networks.predictions import Predictions
from bnstats.networks.reduce import Drawn, Ends, Tally
from bnstats.networks.shapes.events import through
from bnstats.networks.shapes.predicted import predictions
from bnstats.networks.shapes.stack import ShapedStack
from bnstats.networks.shapes.steps import Flatten, Placed
from bnstats.networks.stages import Add, Skip
from bnstats.sampling.iid import stream
from bnstats.sampling.layout import Chunk

_SHARE_NUMBERS = 2**24  # numbers that pass through layers, worth a process


@dataclass(frozen=True)
class ShapedTask(OfStack[ShapedStack]):
    """Everything that fixes the digits of a run, except how many networks."""

    seed: int

    engine: ClassVar = "matrices"
    default: ClassVar = 200
    size: ClassVar = 1

    def processes(self, workers: int, networks: int) -> int:
        """Return how many processes are worth their start."""
        return self.within(workers, networks * self.subject.numbers // _SHARE_NUMBERS)

    def tally(self, chunk: Chunk) -> Tally:
        """Draw one network and send a batch through it, forward and backward."""
        generator = stream(self.seed, f"propagate shapes {self.subject.text}", chunk.unit)
        with np.errstate(all="ignore"):  # what is not finite is counted
            drawn = _Pass(self.subject, generator).run()
        ends = Ends.of_blocks(len(self.subject.steps), len(self.subject.block))
        return Tally.of(drawn, ends, chunk.first)

    def predicted(self, tally: Tally) -> Predictions:
        """Return what is expected of each row."""
        return predictions(self.subject.nodes, correlated=self.subject.batch > 1)


class _Pass:
    """One network, and a batch as the last axis of every array."""

    def __init__(self, stack: ShapedStack, generator: np.random.Generator) -> None:
        self.stack, self.generator = stack, generator

    def run(self) -> Drawn:
        """Send normal x forward and normal dy backward."""
        h = self.generator.standard_normal((*self.stack.input.sides, self.stack.batch))
        tape: list[Backward | Skip | Add] = []
        found, trunks = [], []
        for step in self.stack.steps:
            if isinstance(step, Placed):
                h, backward = self._placed(step, h)
                tape.append(backward)
            elif isinstance(step, Flatten):
                tape.append(methodcaller("reshape", h.shape))
                h = h.reshape(*step.shape, -1)
            elif isinstance(step, Skip):
                trunks.append(h)
                tape.append(step)
            else:
                h = trunks.pop() + step.alpha * h
                tape.append(step)
            found.append(_numbers(h))
        ln_y, cosines = zip(*found, strict=True)
        ln_dx = self._backward(tape, h.shape)
        y, dx, c = (np.array([values]) for values in (ln_y, ln_dx, cosines))
        return Drawn(y, dx, c if self.stack.batch > 1 else None)

    def _backward(
        self, tape: Sequence[Backward | Skip | Add], shape: tuple[int, ...]
    ) -> list[float]:
        d = self.generator.standard_normal(shape)
        found, trunks = [], []
        for step in reversed(tape):
            if isinstance(step, Add):
                trunks.append(d)
                d = step.alpha * d
            elif isinstance(step, Skip):
                d = d + trunks.pop()
            else:
                d = step(d)
            found.append(_numbers(d)[0])
        return found[::-1]

    def _placed(self, step: Placed, x: Any) -> tuple[Any, Backward]:
        if step.event is None:
            y, pull = elementwise(step.spec, self.generator, x)
        else:
            y, pull = through(step.spec, step.event, x, partial(drawn_of, self.generator))
        if step.bias_std:
            axis = 0 if len(step.shape) > 2 else len(step.shape) - 1
            sides = [1] * y.ndim
            sides[axis] = y.shape[axis]
            y = y + step.bias_std * unit_biases(self.generator, step.bias_law, tuple(sides))
        if step.forward != 1:
            y = y * step.forward
        return y, pull if step.backward == 1 else lambda d: pull(d) * step.backward


def _numbers(h: Any) -> tuple[float, float]:
    """Return ln of the mean square, and the mean cosine between inputs."""
    flat = h.reshape(-1, h.shape[-1])
    squares = np.einsum("db,db->b", flat, flat)
    total, batch = float(squares.sum()), flat.shape[1]
    if not math.isfinite(total):
        return math.nan, math.nan
    ln = math.log(total / flat.size) if total else -math.inf
    if batch == 1 or not squares.all():
        return ln, math.nan
    together = flat @ squares**-0.5
    return ln, float((together @ together - batch) / (batch * (batch - 1)))

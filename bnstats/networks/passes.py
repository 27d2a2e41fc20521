"""From a stack and a stream of random numbers to what is kept of some networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bnstats.networks.engines import ENGINES, Backward, Engine, Source, elementwise, gram
from bnstats.networks.reduce import Drawn
from bnstats.networks.stack import Stack
from bnstats.networks.stages import Add, Dense, Elementwise, Skip

_LARGE = 64  # powers of two from 1 beyond which a root mean square is brought back to it


def draw(stack: Stack, engine: Engine, generator: np.random.Generator, networks: int) -> Drawn:
    """Draw networks and send normal x forward and normal dy back through each."""
    with np.errstate(all="ignore"):  # what is not finite is counted
        return _Pass(stack, engine, generator, networks).run()


class _Pass:
    def __init__(
        self, stack: Stack, engine: Engine, generator: np.random.Generator, networks: int
    ) -> None:
        self.stack, self.dense, self.generator = stack, ENGINES[engine], generator
        self.shape = (networks, stack.width, stack.batch)
        most = stack.width if engine == "matrices" else stack.batch
        self.source = Source(generator, networks * stack.width * max(most, stack.batch))

    def run(self) -> Drawn:
        inners, shifts, tape = self._forward()
        ln_y = self._log_means(inners, shifts)
        cosines = _cosines(inners) if self.stack.batch > 1 else None
        inners, shifts = self._backward(tape)
        return Drawn(ln_y, self._log_means(inners, shifts)[:, ::-1], cosines)

    def _forward(self) -> tuple[Any, Any, list[Backward | Skip | Add]]:
        """Return Gram matrices (networks, layers, batch, batch), their scales, and the tape."""
        h = self.generator.standard_normal(self.shape)
        inner = gram(h)
        shift = np.zeros(self.shape[0])
        inners, shifts, trunks = [], [], []
        tape: list[Backward | Skip | Add] = []
        for _ in range(self.stack.depth):
            for stage in self.stack.stages:
                if isinstance(stage, Dense):
                    h, backward = self.dense(self.source, stage, h, inner)
                    tape.append(backward)
                elif isinstance(stage, Elementwise):
                    h, backward = self._elementwise(stage, h)
                    tape.append(backward)
                elif isinstance(stage, Skip):
                    trunks.append(h)
                    tape.append(stage)
                else:
                    h = trunks.pop() + stage.alpha * h
                    tape.append(stage)
                inner = gram(h)
                inners.append(inner)
                shifts.append(shift)
            if self.stack.homogeneous:
                h, inner, shift = _rescaled(h, inner, shift)
        return np.stack(inners, 1), np.stack(shifts, 1), tape

    def _backward(self, tape: list[Backward | Skip | Add]) -> tuple[Any, Any]:
        """Return Gram matrices of the gradients, from the output back, and their scales."""
        d = self.generator.standard_normal(self.shape)
        inner = gram(d)
        shift = np.zeros(self.shape[0])
        inners, shifts, trunks = [], [], []
        for at, step in enumerate(reversed(tape), 1):
            if isinstance(step, Add):
                trunks.append(d)
                d = step.alpha * d
            elif isinstance(step, Skip):
                d = d + trunks.pop()
            else:
                d = step(d, inner)
            inner = gram(d)
            inners.append(inner)
            shifts.append(shift)
            if at % len(self.stack.stages) == 0:
                d, inner, shift = _rescaled(d, inner, shift)
        return np.stack(inners, 1), np.stack(shifts, 1)

    def _elementwise(self, stage: Elementwise, x: Any) -> tuple[Any, Backward]:
        y, pull = elementwise(stage.spec, self.generator, x)

        def backward(d: Any, inner_d: Any) -> Any:
            dx = pull(d)
            return dx if stage.backward == 1 else dx * stage.backward

        return y if stage.forward == 1 else y * stage.forward, backward

    def _log_means(self, inners: Any, shifts: Any) -> Any:
        """Return ln of the mean squares, (networks, layers), from Gram matrices."""
        totals = np.einsum("rlbb->rl", inners)
        ln = np.log(totals / (self.shape[1] * self.shape[2])) + shifts
        ln[ln == math.inf] = math.nan
        return ln


def _cosines(inners: Any) -> Any:
    """Return the mean over pairs of inputs of their cosine, (networks, layers)."""
    squares = np.einsum("rlbb->rlb", inners)
    first, second = np.triu_indices(squares.shape[2], 1)
    norms = np.sqrt(squares[:, :, first] * squares[:, :, second])
    return (inners[:, :, first, second] / norms).mean(axis=2)


def _rescaled(v: Any, inner: Any, shift: Any) -> tuple[Any, Any, Any]:
    """Divide by a power of two of each network's own where it has become very large or small.

    Return that, its Gram matrices, and the logarithm of what M was divided by so far.
    """
    total = np.einsum("rbb->r", inner) / (v.shape[1] * v.shape[2])
    if np.all((total > 4.0**-_LARGE) & (total < 4.0**_LARGE)):
        return v, inner, shift
    power = np.log2(total) / 2
    power = np.where(np.isfinite(power), np.round(power), 0.0)
    factor = np.exp2(-power)[:, None, None]
    return v * factor, inner * factor**2, shift + power * 2 * math.log(2)

"""From a stack and a stream of random numbers to what is kept of some networks."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.networks.engines import ENGINES, Backward, Engine, Source, gram
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
        self.source = Source(generator, math.prod(self.shape))

    def run(self) -> Drawn:
        ln_y, correlation, tape = self._forward()
        ln_dx = self._backward(tape)
        cosines = np.stack(correlation, 1) if correlation else None
        return Drawn(np.stack(ln_y, 1), np.stack(ln_dx, 1), cosines)

    def _forward(self) -> tuple[list[Any], list[Any], list[Backward | Skip | Add]]:
        h = self.generator.standard_normal(self.shape)
        inner = gram(h)
        shift = np.zeros(self.shape[0])
        ln_y, correlation = [], []
        tape: list[Backward | Skip | Add] = []
        trunks = []
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
                ln_y.append(self._log_mean(inner) + shift)
                if self.stack.batch > 1:
                    correlation.append(_cosine(inner))
            if self.stack.homogeneous:
                h, inner, shift = _rescaled(h, inner, ln_y[-1], shift)
        return ln_y, correlation, tape

    def _backward(self, tape: list[Backward | Skip | Add]) -> list[Any]:
        d = self.generator.standard_normal(self.shape)
        inner = gram(d)
        shift = np.zeros(self.shape[0])
        ln_dx, trunks = [], []
        for at, step in enumerate(reversed(tape), 1):
            if isinstance(step, Add):
                trunks.append(d)
                d = step.alpha * d
            elif isinstance(step, Skip):
                d = d + trunks.pop()
            else:
                d = step(d, inner)
            inner = gram(d)
            ln_dx.append(self._log_mean(inner) + shift)
            if at % len(self.stack.stages) == 0:
                d, inner, shift = _rescaled(d, inner, ln_dx[-1], shift)
        return ln_dx[::-1]

    def _elementwise(self, stage: Elementwise, x: Any) -> tuple[Any, Backward]:
        bound = stage.spec.bound
        numbers = {
            name: self.generator.standard_normal(x.size)
            if given.distribution == "normal"
            else self.generator.random(x.size)
            for name, given in bound.inputs.items()
            if name not in ("x", "dy")
        }
        y, pull = bound.forward(numpy_backend, {"x": x.reshape(-1), **numbers})

        def backward(d: Any, inner_d: Any) -> Any:
            dx = pull(d.reshape(-1)).reshape(x.shape)
            return dx if stage.backward == 1 else dx * stage.backward

        y = y.reshape(x.shape)
        return y if stage.forward == 1 else y * stage.forward, backward

    def _log_mean(self, inner: Any) -> Any:
        """Return ln of the mean square, from Gram matrices."""
        ln = np.log(np.trace(inner, axis1=1, axis2=2) / (self.shape[1] * self.shape[2]))
        ln[ln == math.inf] = math.nan
        return ln


def _cosine(inner: Any) -> Any:
    squares = np.diagonal(inner, axis1=1, axis2=2)
    first, second = _pairs(squares.shape[1])
    norms = np.sqrt(squares[:, first] * squares[:, second])
    return (inner[:, first, second] / norms).mean(axis=1)


@lru_cache(maxsize=8)
def _pairs(inputs: int) -> tuple[Any, Any]:
    first, second = np.triu_indices(inputs, 1)
    return first, second


def _rescaled(v: Any, inner: Any, ln: Any, shift: Any) -> tuple[Any, Any, Any]:
    """Divide by a power of two of each network's own where it has become very large or small.

    Return that, its Gram matrices, and the logarithm of what M was divided by so far.
    """
    power = (ln - shift) / (2 * math.log(2))
    if np.all(np.abs(power) < _LARGE):
        return v, inner, shift
    power = np.where(np.isfinite(power), np.round(power), 0.0)
    factor = np.exp2(-power)[:, None, None]
    return v * factor, inner * factor**2, shift + power * 2 * math.log(2)

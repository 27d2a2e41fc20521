"""Many small networks trained at once, activations scaled forward, backward or separately.

A tensor holds one layer of all networks, networks first, so that a step of training is one batched
product a layer. Networks share nothing but the time at which they are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, get_args

import torch
from torch.nn import functional

import bnstats
from bnstats.networks.stack import Scale

SCALES: tuple[Scale, ...] = get_args(Scale)
MOMENTUM = 0.9

exact = cache(bnstats.exact)


class Activation(NamedTuple):
    """An activation: its function, its slope by y, and whether its mean is subtracted.

    The mean is E[y] under standard normal x; Normalizing All Layers (2016) subtracts it.
    """

    layer: str
    function: Callable[[Any], Any]
    slope_of_y: Callable[[Any], Any]
    centred: bool = False

    def mean(self) -> float:
        """Return what is subtracted from y."""
        return exact(self.layer).mean_y.value if self.centred else 0.0

    def constants(self) -> tuple[float, float]:
        """Return what standard normal x and dy become: √E[y²], of y as it is used, and σ[dx]."""
        known = exact(self.layer)
        y = known.std_y if self.centred else known.rms_y
        return y.value, known.std_dx.value

    def factors(self, scale: Scale) -> tuple[float, float]:
        """Return what y is multiplied by, and what the gradient is."""
        if scale == "none":
            return 1.0, 1.0
        y, dx = (1 / constant for constant in self.constants())
        return (dx if scale == "backward" else y), (y if scale == "forward" else dx)


_RELU = Activation("relu", torch.relu, lambda y: (y > 0).to(y.dtype))
_SIGMOID = Activation("sigmoid", torch.sigmoid, lambda y: y * (1 - y))
ACTIVATIONS = {
    "tanh": Activation("tanh", torch.tanh, lambda y: 1 - y * y),
    "relu": _RELU,
    "relu − mean": _RELU._replace(centred=True),
    "sigmoid − mean": _SIGMOID._replace(centred=True),
}


class Scaled(torch.autograd.Function):
    """y = a·(f(x) − mean) forward, dx = b·f′(x)·dy backward: of no function, where a ≠ b."""

    @staticmethod
    def forward(ctx: Any, x: Any, of: Activation, a: float, b: float) -> Any:
        y = of.function(x)
        ctx.save_for_backward(y)
        ctx.of, ctx.b = of, b
        return a * (y - of.mean())

    @staticmethod
    def backward(ctx: Any, *dy: Any) -> Any:
        (y,) = ctx.saved_tensors
        return ctx.b * ctx.of.slope_of_y(y) * dy[0], None, None, None


class Design(NamedTuple):
    """What networks are: their layers and how activations are scaled.

    ``depth`` counts activations. With ``alpha`` every layer but the first is a residual branch,
    h + alpha·y.
    """

    depth: int
    activation: str
    scale: Scale
    width: int = 32
    alpha: float | None = None

    def weights(self, seeds: Sequence[int], inputs: int, classes: int) -> list[Any]:
        """Draw normal weights of variance 1/fan-in, the same for every scaling of a seed."""
        sizes = [inputs, *[self.width] * self.depth, classes]
        drawn = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            drawn.append(
                [
                    torch.randn(n, m, generator=generator, dtype=torch.float64) / math.sqrt(n)
                    for n, m in pairwise(sizes)
                ]
            )
        return [torch.stack(layer) for layer in zip(*drawn, strict=True)]

    def output(self, x: Any, weights: Sequence[Any]) -> Any:
        """Return the logits (networks, images, classes) of x (networks, images, inputs)."""
        of = ACTIVATIONS[self.activation]
        a, b = of.factors(self.scale)
        h = x
        for layer, w in enumerate(weights[:-1]):
            y = Scaled.apply(torch.bmm(h, w), of, a, b)
            h = y if self.alpha is None or not layer else h + self.alpha * y
        return torch.bmm(h, weights[-1])

    def ratio(self) -> float:
        """What an activation multiplies a gradient by, in units of the true gradient."""
        a, b = ACTIVATIONS[self.activation].factors(self.scale)
        return b / a


def gradients(design: Design, x: Any, labels: Any, weights: Sequence[Any]) -> list[Any]:
    """Return what backward propagation gives for every layer, of each network's own loss."""
    leaves = [w.detach().requires_grad_() for w in weights]
    logits = design.output(x, leaves)
    loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    found = torch.autograd.grad(loss, leaves)
    return [g / labels.shape[1] for g in found]


def train(
    design: Design,
    weights: Sequence[Any],
    batches: Sequence[tuple[Any, Any]],
    rates: Sequence[Any],
) -> list[Any]:
    """Return the weights after a pass of gradient descent with momentum.

    Parameters
    ----------
    design, weights
        Of the networks; a layer's weights are (networks, inputs, outputs).
    batches
        Of each step: images (networks, images, inputs) and labels (networks, images).
    rates
        Learning rates of each layer, (networks,).
    """
    weights = [w.clone() for w in weights]
    speeds = [torch.zeros_like(w) for w in weights]
    for x, labels in batches:
        for w, v, g, rate in zip(
            weights, speeds, gradients(design, x, labels, weights), rates, strict=True
        ):
            v.mul_(MOMENTUM).add_(g)
            w.sub_(rate[:, None, None] * v)
    return weights


def accuracy(design: Design, x: Any, labels: Any, weights: Sequence[Any]) -> Any:
    """Return the share of images (networks,) that are told right; 0 where logits are not finite."""
    with torch.no_grad():
        logits = design.output(x, weights)
        right = (logits.argmax(-1) == labels) & torch.isfinite(logits).all(-1)
    return right.double().mean(-1)

"""Losses of one example: y is the loss, and dx the gradient that the network's output receives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import CONSTANT, ExactMoments, Known
from bnstats.layers._parameters import Elements, Probability, Width
from bnstats.layers._registry import structured
from bnstats.layers.softmax import log_softmax

Reduction = Literal["mean", "sum"]


@structured(
    "y = log Σ e^x − x_t,  t the class",
    "dx = dy·(e^x/Σ e^x − [i = t])",
    cite="torch.nn.functional",
    aliases=("torch.CrossEntropyLoss",),
    examples=("", "n=2", "n=1000"),
)
def cross_entropy(*, n: Elements = 10, label_smoothing: Probability = 0.0) -> BoundLayer:
    """Cross-entropy of n logits with a class; all classes are alike, so the class is the first."""
    logarithm, spread = log_softmax(n=n), label_smoothing / n

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        one = xp.ones_like(x[:1])
        target = xp.add_at(xp.zeros_like(x) + spread, slice(0, 1), (1 - label_smoothing) * one)
        y, backward = logarithm.forward(xp, {"x": x})
        loss = -xp.sum(target * y, axis=0, keepdims=True)
        return loss, lambda dy: backward(-dy * target)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # −y is an element of the log-softmax. With targets q, |s − q|² is |s|² − 2·s·q + |q|²,
        # where E[s·q] is 1/n and E|s|² is that of the log-softmax, 1 + n·E[s₁²] − 2/n.
        known, dy2 = logarithm.moments(law, expect), law.dy_std**2
        rest = (1 - label_smoothing) ** 2 + (2 - label_smoothing) * spread - 1
        found = {"mean_y": -known.mean_y, "mean_dx": Known(0.0, 0.0, CONSTANT)}
        if not label_smoothing:
            found["var_y"] = known.var_y
        return ExactMoments(**found, ms_dx=(known.ms_dx + dy2 * rest) / n)

    why = logarithm.why_inexact
    if label_smoothing:
        why = "the variance of a smoothed loss is that of log Σ e^x less a mean of x"
    inputs = {"x": Input((n,)), "dy": Input((1,))}
    return BoundLayer(inputs, forward, moments, why_inexact=why)


def _of_differences(
    n: int, reduction: Reduction, loss: Callable[[Namespace, Array], tuple[Array, Array]]
) -> tuple[Callable[[Namespace, Draws], tuple[Array, Backward]], dict[str, Input]]:
    """Return the forward pass of a loss of x − t, t a standard normal number, and its inputs."""
    share = 1 / n if reduction == "mean" else 1.0

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        each, slope = loss(xp, draws["x"] - draws["target"])
        return share * xp.sum(each, axis=0, keepdims=True), lambda dy: share * dy * slope

    return forward, {"x": Input((n,)), "dy": Input((1,)), "target": Input((n,))}


def _spread(n: int, var_ms_dx: float, ms_dx: float) -> ExactMoments:
    """Return the spread of dx² as it is stated of several elements, or of one."""
    if n > 1:
        return ExactMoments(var_ms_dx=Known(var_ms_dx))
    return ExactMoments(m4_dx=Known(var_ms_dx + ms_dx**2))


@structured(
    "y = mean (x − t)²,  t ~ N(0, 1);  Σ (x − t)² if reduction=sum",
    "dx = dy·2(x − t)/n",
    cite="torch.nn.functional",
    examples=("", "reduction=sum"),
)
def mse_loss(*, n: Width = 10, reduction: Reduction = "mean") -> BoundLayer:
    """Mean square error of n outputs, of which the targets are standard normal numbers."""
    forward, inputs = _of_differences(n, reduction, lambda xp, d: (d * d, 2 * d))

    def moments(law: Law, expect: Expect) -> ExactMoments:
        m2, v, dy2 = law.x_mean**2, law.x_std**2 + 1, law.dy_std**2
        total = n if reduction == "sum" else 1
        mean, var = m2 + v, (2 * v * v + 4 * m2 * v) / n  # of the mean of squares
        scale = 4 * dy2 * (total / n) ** 2
        return ExactMoments(
            mean_y=Known(total * mean),
            var_y=Known(total**2 * var),
            ms_dx=Known(scale * mean),
        ) | _spread(n, scale**2 * (3 * var + 2 * mean**2), scale * mean)

    return BoundLayer(inputs, forward, moments)


@structured(
    "y = mean |x − t|,  t ~ N(0, 1);  Σ |x − t| if reduction=sum",
    "dx = dy·sign(x − t)/n",
    cite="torch.nn.functional",
    examples=("", "reduction=sum"),
)
def l1_loss(*, n: Width = 10, reduction: Reduction = "mean") -> BoundLayer:
    """Mean absolute error of n outputs, of which the targets are standard normal numbers."""
    forward, inputs = _of_differences(n, reduction, lambda xp, d: (xp.abs(d), xp.sign(d)))

    def moments(law: Law, expect: Expect) -> ExactMoments:
        v, dy2 = law.x_std**2 + 1, law.dy_std**2
        z, total = law.x_mean / math.sqrt(2 * v), n if reduction == "sum" else 1
        mean = math.sqrt(2 * v / math.pi) * math.exp(-z * z) + law.x_mean * math.erf(z)
        scale = dy2 * (total / n) ** 2
        return ExactMoments(
            mean_y=Known(total * mean),
            var_y=Known(total**2 * (law.x_mean**2 + v - mean**2) / n),
            ms_dx=Known(scale),
        ) | _spread(n, 2 * scale**2, scale)

    return BoundLayer(inputs, forward, moments)

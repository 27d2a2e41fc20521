"""Softmax of logits and Gumbel noise, a relaxed draw of one class."""

from __future__ import annotations

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import CONSTANT, ExactMoments, Known
from bnstats.layers._parameters import Elements, Positive
from bnstats.layers._registry import structured
from bnstats.layers.softmax import softmax


@structured(
    "y = softmax((x + g)/τ),  g = −log(−log U)",
    "dx = y·(dy − Σ y·dy)/τ",
    cite="arXiv:1611.01144",
    examples=("", "tau=0.5"),
)
def gumbel_softmax(*, n: Elements = 10, tau: Positive = 1.0) -> BoundLayer:
    """Softmax over n elements with Gumbel noise; hard draws pass on the same gradient."""
    plain = softmax(n=n)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        exponential = xp.maximum(-xp.log(draws["noise"]), xp.finfo(x.dtype).tiny)
        y, backward = plain.forward(xp, {"x": (x - xp.log(exponential)) / tau})
        return y, lambda dy: backward(dy) / tau

    def moments(law: Law, expect: Expect) -> ExactMoments:
        zero = Known(0.0, 0.0, CONSTANT)
        return ExactMoments(mean_y=Known(1 / n, 0.0, CONSTANT), mean_dx=zero)

    inputs = {"x": Input((n,)), "dy": Input((n,)), "noise": Input((n,), "uniform")}
    why = "the sum of a normal and a Gumbel number has no law in closed form"
    return BoundLayer(inputs, forward, moments, why_inexact=why)

"""Losses of one example that has a class, or two inputs to be told apart.

y is the loss, and dx the gradient that the network's output receives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import NO_SUM, ExactMoments, Known
from bnstats.layers._maps import along, linear_map
from bnstats.layers._parameters import Elements, NonNegative, Probability
from bnstats.layers._registry import structured
from bnstats.layers.softmax import log_softmax

_loss = partial(structured, cite="torch.nn.functional")


@_loss(
    "y = log Σ e^x − x_t,  t the class",
    "dx = dy·(e^x/Σ e^x − [i = t])",
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
        found = {"mean_y": -known.mean_y, "mean_dx": NO_SUM}
        if not label_smoothing:
            found["var_y"] = known.var_y
        return ExactMoments(**found, ms_dx=(known.ms_dx + dy2 * rest) / n)

    why = logarithm.why_inexact
    if label_smoothing:
        why = "the variance of a smoothed loss is that of log Σ e^x less a mean of x"
    inputs = {"x": Input((n,)), "dy": Input((1,))}
    return BoundLayer(inputs, forward, moments, why_inexact=why)


@_loss("y = −x_t,  t the class", "dx = −dy·[i = t]", examples=("", "n=2"))
def nll_loss(*, n: Elements = 10) -> BoundLayer:
    """Negative log-likelihood, x being n log-probabilities; the class is the first."""
    return linear_map([along(n, 1, lambda i: {0: -1.0})])


@_loss(
    "y = Σ max(0, margin − x_t + x_i)/n over i ≠ t,  t the class",
    "dx_i = dy·s_i/n,  s_i = [margin − x_t + x_i > 0] for i ≠ t;  dx_t = −dy·Σ s_i/n",
    examples=("", "n=2"),
)
def multi_margin_loss(*, n: Elements = 10, margin: NonNegative = 1.0) -> BoundLayer:
    """Hinge loss of n scores with a class; all classes are alike, so the class is the first."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        short = margin - x[:1] + x[1:]
        active = xp.astype(short > 0, x.dtype)
        y = xp.sum(xp.maximum(short, 0), axis=0, keepdims=True) / n

        def backward(dy: Array) -> Array:
            of_class = -xp.sum(active, axis=0, keepdims=True)
            return dy / n * xp.concat((of_class, active), axis=0)

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # Given x_t the other terms are independent, normal numbers of mean a·s cut off at 0.
        def of_term(xp: Namespace, x: Array) -> tuple[Array, Array, Array]:
            """Return P(term > 0), and the means of the term and of its square, given x_t = x."""
            a = (margin - x + law.x_mean) / law.x_std
            above = 0.5 * xp.erfc(-a / math.sqrt(2))
            density = xp.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
            mean, square = density + a * above, (1 + a * a) * above + a * density
            return above, law.x_std * mean, law.x_std**2 * square

        def over(value: Callable[[Array, Array, Array], Array]) -> Known:
            return expect(lambda xp, x: value(*of_term(xp, x)))

        share, others = (n - 1) / n, n - 2
        mean = share * over(lambda p, e, e2: e)
        ms_dx = (2 * share / n**2) * over(lambda p, e, e2: p + 0.5 * others * p * p)
        return ExactMoments(
            mean_y=mean,
            var_y=(share / n) * over(lambda p, e, e2: e2 + others * e * e) - mean.squared(),
            ms_dx=law.dy_std**2 * ms_dx,
            mean_dx=NO_SUM,
        )

    return BoundLayer({"x": Input((n,)), "dy": Input((1,))}, forward, moments)


@_loss(
    "y = max(0, margin − t·(a − b)),  x = (a, b),  t = ±1 equally likely",
    "da = −dy·t·[y > 0],  db = −da",
    examples=("", "margin=1"),
)
def margin_ranking_loss(*, margin: NonNegative = 0.0) -> BoundLayer:
    """Hinge loss of a pair whose order is a coin's."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        t = 2 * xp.astype(draws["target"] < 0.5, x.dtype) - 1
        short = margin - t * (x[:1] - x[1:])
        slope = -t * xp.astype(short > 0, x.dtype)
        return xp.maximum(short, 0), lambda dy: xp.concat((dy * slope, -dy * slope), axis=0)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # t·(a − b) is normal of mean 0, √2 times as wide as x.
        edge = law.x_mean + margin / math.sqrt(2)

        def over(value: Callable[[Array], Array]) -> Known:
            def of_x(xp: Namespace, x: Array) -> Array:
                return value(xp.maximum(margin - math.sqrt(2) * (x - law.x_mean), 0))

            return expect(of_x, breakpoints=(edge,))

        mean = over(lambda y: y)
        ms_dx = Known(0.5 * law.dy_std**2 * math.erfc(-margin / (2 * law.x_std)))
        return ExactMoments(
            mean_y=mean,
            var_y=over(lambda y: (y - mean.value) ** 2),
            m4_y=over(lambda y: (y - mean.value) ** 4),
            mean_dx=NO_SUM,
            ms_dx=ms_dx,
            var_ms_dx=3 * law.dy_std**2 * ms_dx - ms_dx.squared(),
        )

    inputs = {"x": Input((2,)), "dy": Input((1,)), "target": Input((1,), "uniform")}
    return BoundLayer(inputs, forward, moments)

"""Losses that are means over n outputs, each of which has a target of its own.

y is the loss, and dx the gradient that the network's output receives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, NamedTuple, TypeAlias

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments, Known, summed
from bnstats.layers._parameters import Positive, Range, Width
from bnstats.layers._registry import Pair, structured

Reduction = Literal["mean", "sum"]
Variance = Annotated[float, Range("[1e-6, inf)")]  # torch cuts it off there
# Of outputs and targets, with its slope.
Loss: TypeAlias = Callable[[Namespace, Array, Array], Pair]

_NORMAL, _UNIFORM = "t ~ N(0, 1)", "t = 0 or 1 equally likely"
_loss = partial(structured, cite="torch.nn.functional")
_COUNTS = 21  # a Poisson number of mean 1 is larger with a probability below 1e-19


class _One(NamedTuple):
    """Central moments of the loss of one output, and the means of its slope's powers."""

    mean: Known
    var: Known
    slope2: Known
    slope4: Known
    m4: Known


Moments: TypeAlias = Callable[[Law, Expect], _One]


def _mean_of(n: int, reduction: Reduction, target: Input, loss: Loss, one: Moments) -> BoundLayer:
    """Return the layer of the mean or the sum of n losses, which are independent."""
    total = n if reduction == "sum" else 1
    share = total / n

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        each, slope = loss(xp, draws["x"], draws["target"])
        return share * xp.sum(each, axis=0, keepdims=True), lambda dy: share * dy * slope

    def moments(law: Law, expect: Expect) -> ExactMoments:
        of, scale = one(law, expect), (law.dy_std * share) ** 2
        known = ExactMoments(
            mean_y=total * of.mean,
            var_y=total**2 / n * of.var,
            # that of a sum of n independent numbers
            m4_y=share**4 * (n * of.m4 + 3 * n * (n - 1) * of.var.squared()),
            ms_dx=scale * of.slope2,
        )
        if n == 1:
            return known | ExactMoments(m4_dx=3 * scale**2 * of.slope4)
        # All dx share one dy; Var[dy²·mean s²] with E[dy⁴] = 3·dy_std⁴
        spread = (2 - 3 / n) * of.slope2.squared() + 3 / n * of.slope4
        return known | ExactMoments(var_ms_dx=scale**2 * spread)

    inputs = {"x": Input((n,)), "dy": Input((1,)), "target": target}
    return BoundLayer(inputs, forward, moments)


def _of_differences(
    n: int,
    reduction: Reduction,
    loss: Callable[[Namespace, Array], Pair],
    breakpoints: tuple[float, ...] = (),
    closed_form: Callable[[Law], _One] | None = None,
) -> BoundLayer:
    """Return the layer of a loss of d = x − t, t a standard normal number."""

    def one(law: Law, expect: Expect) -> _One:
        # d has the mean of x and is wider than x
        m, wider = law.x_mean, math.hypot(1, 1 / law.x_std)
        edges = [m + (k - m) / wider for k in breakpoints]

        def over(value: Callable[[Array, Array], Array]) -> Known:
            return expect(lambda xp, x: value(*loss(xp, m + wider * (x - m))), breakpoints=edges)

        return _one(over)

    moments = one if closed_form is None else lambda law, expect: closed_form(law)
    return _mean_of(n, reduction, Input((n,)), lambda xp, x, t: loss(xp, x - t), moments)


def _of_cut_slopes(n: int, reduction: Reduction, scale: float, most: float) -> BoundLayer:
    """Return the layer of d²/(2·scale), the slope of which is cut off at ±most."""

    def loss(xp: Namespace, d: Array) -> Pair:
        cut = xp.minimum(xp.maximum(d / scale, -most), most)
        return cut * (d - 0.5 * scale * cut), cut

    return _of_differences(n, reduction, loss, (-scale * most, scale * most))


def _of_counts(
    n: int,
    reduction: Reduction,
    loss: Loss,
    law_of_target: tuple[float, ...],
    breakpoints: tuple[float, ...] = (),
) -> BoundLayer:
    """Return the layer of a loss whose target is 0, 1, 2 … with these probabilities."""
    below = tuple(itertools.accumulate(law_of_target))[:-1]

    def of_uniform(xp: Namespace, x: Array, u: Array) -> Pair:
        return loss(xp, x, sum(xp.astype(u > edge, x.dtype) for edge in below))

    def one(law: Law, expect: Expect) -> _One:
        def over(value: Callable[[Array, Array], Array]) -> Known:
            def given(t: int) -> Known:
                return expect(lambda xp, x: value(*loss(xp, x, t)), breakpoints=breakpoints)

            return summed(*(p * given(t) for t, p in enumerate(law_of_target)))

        return _one(over)

    return _mean_of(n, reduction, Input((n,), "uniform"), of_uniform, one)


def _one(over: Callable[[Callable[[Array, Array], Array]], Known]) -> _One:
    """Return the moments of one output's loss, by expectations of the loss and its slope."""
    mean = over(lambda y, slope: y)
    return _One(
        mean=mean,
        var=over(lambda y, slope: (y - mean.value) ** 2),
        slope2=over(lambda y, slope: slope**2),
        slope4=over(lambda y, slope: slope**4),
        m4=over(lambda y, slope: (y - mean.value) ** 4),
    )


def _of_squares(law: Law) -> _One:
    m2, v = law.x_mean**2, law.x_std**2 + 1
    mean, var = m2 + v, 2 * v * v + 4 * m2 * v
    m4 = 48 * v**4 + 192 * m2 * v**3 + 3 * var**2  # by the cumulants of a noncentral chi-squared
    return _One(*map(Known, (mean, var, 4 * mean, 16 * (var + mean**2), m4)))


@_loss(
    f"y = mean (x − t)²,  {_NORMAL};  Σ (x − t)² if reduction=sum",
    "dx = dy·2(x − t)/n",
    examples=("", "reduction=sum"),
)
def mse_loss(*, n: Width = 10, reduction: Reduction = "mean") -> BoundLayer:
    """Mean square error of n outputs, of which the targets are standard normal numbers."""
    return _of_differences(n, reduction, lambda xp, d: (d * d, 2 * d), closed_form=_of_squares)


def _of_distances(law: Law) -> _One:
    m, v = law.x_mean, law.x_std**2 + 1
    z = m / math.sqrt(2 * v)
    bell = math.sqrt(2 * v / math.pi) * math.exp(-z * z)
    mean, square = bell + m * math.erf(z), m**2 + v
    cube = bell * (m**2 + 2 * v) + (m**3 + 3 * m * v) * math.erf(z)
    raw4 = m**4 + 6 * m**2 * v + 3 * v**2
    m4 = raw4 - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
    return _One(*map(Known, (mean, square - mean**2, 1.0, 1.0, m4)))


@_loss(
    f"y = mean |x − t|,  {_NORMAL};  Σ |x − t| if reduction=sum",
    "dx = dy·sign(x − t)/n",
    examples=("", "reduction=sum"),
)
def l1_loss(*, n: Width = 10, reduction: Reduction = "mean") -> BoundLayer:
    """Mean absolute error of n outputs, of which the targets are standard normal numbers."""
    return _of_differences(
        n, reduction, lambda xp, d: (xp.abs(d), xp.sign(d)), closed_form=_of_distances
    )


@_loss(
    f"y = mean h,  d = x − t,  {_NORMAL},  h = d²/2 if |d| < delta, else delta·(|d| − delta/2)",
    "dx = dy·d/n, d cut off at ±delta",
    cite="Huber, Annals of Mathematical Statistics 1964",
    examples=("", "delta=0.5"),
)
def huber_loss(
    *, n: Width = 10, reduction: Reduction = "mean", delta: Positive = 1.0
) -> BoundLayer:
    """Huber loss of n outputs, of which the targets are standard normal numbers."""
    return _of_cut_slopes(n, reduction, 1.0, delta)


@_loss(
    f"y = mean h,  d = x − t,  {_NORMAL},  h = d²/(2·beta) if |d| < beta, else |d| − beta/2",
    "dx = dy·d/(beta·n), cut off at ±dy/n",
    cite="arXiv:1504.08083",
    examples=("", "beta=0.5"),
)
def smooth_l1_loss(
    *, n: Width = 10, reduction: Reduction = "mean", beta: Positive = 1.0
) -> BoundLayer:
    """Smooth L1 loss, which is Huber's divided by beta; targets are standard normal numbers."""
    return _of_cut_slopes(n, reduction, beta, 1.0)


@_loss(
    f"y = mean ½·(log var + (x − t)²/var),  {_NORMAL};  + ½·log 2π if full=true",
    "dx = dy·(x − t)/(var·n)",
    cite="Nix and Weigend, ICNN 1994",
    examples=("", "full=true,var=2"),
)
def gaussian_nll_loss(
    *, n: Width = 10, reduction: Reduction = "mean", var: Variance = 1.0, full: bool = False
) -> BoundLayer:
    """Gaussian likelihood of a given variance; the targets are standard normal numbers."""
    constant = 0.5 * math.log(var * (2 * math.pi if full else 1))
    half = 0.5 / var

    def closed_form(law: Law) -> _One:
        of = _of_squares(law)
        mean, slope4 = half * of.mean + constant, half**4 * of.slope4
        mean = mean.widened(2.0**-52 * (abs(mean.value) + abs(constant)))
        return _One(mean, half**2 * of.var, half**2 * of.slope2, slope4, half**4 * of.m4)

    return _of_differences(
        n, reduction, lambda xp, d: (half * d * d + constant, 2 * half * d), closed_form=closed_form
    )


@_loss(
    f"y = mean log(1 + e^x) − t·x,  {_UNIFORM}",
    "dx = dy·(1/(1 + e^-x) − t)/n",
    aliases=(
        "torch.BCEWithLogitsLoss",
        "torch.SoftMarginLoss",
        "torch.soft_margin_loss",
        "torch.MultiLabelSoftMarginLoss",
        "torch.multilabel_soft_margin_loss",
    ),
    examples=("", "reduction=sum"),
)
def binary_cross_entropy_with_logits(*, n: Width = 10, reduction: Reduction = "mean") -> BoundLayer:
    """Cross-entropy of n logits with labels of equal chance, the soft margin loss of labels ±1."""

    def loss(xp: Namespace, x: Array, t: Array) -> Pair:
        return xp.logaddexp(x, 0.0 * x) - t * x, xp.expit(x) - t

    return _of_counts(n, reduction, loss, (0.5, 0.5))


@_loss(
    "y = mean e^x − t·x,  t a Poisson number of mean 1",
    "dx = dy·(e^x − t)/n",
    examples=("",),
)
def poisson_nll_loss(*, n: Width = 10, reduction: Reduction = "mean") -> BoundLayer:
    """Poisson likelihood of n counts, of which x is the logarithm of the rate."""

    def loss(xp: Namespace, x: Array, t: Array) -> Pair:
        rate = xp.exp(x)
        return rate - t * x, rate - t

    chances = tuple(1 / (math.e * math.factorial(t)) for t in range(_COUNTS))
    return _of_counts(n, reduction, loss, chances)


@_loss(
    "y = mean h,  h = max(0, margin − x) or x, equally likely",
    "dx = dy/n where h = x, −dy/n·[x < margin] elsewhere",
    examples=("", "margin=0.5"),
)
def hinge_embedding_loss(
    *, n: Width = 10, reduction: Reduction = "mean", margin: float = 1.0
) -> BoundLayer:
    """Loss of n distances x between pairs, half of which are alike."""

    def loss(xp: Namespace, x: Array, alike: Array) -> Pair:
        near = xp.astype(x < margin, x.dtype)
        return alike * x + (1 - alike) * near * (margin - x), alike - (1 - alike) * near

    return _of_counts(n, reduction, loss, (0.5, 0.5), (margin,))

"""Activations that are linear on one side: identity, relu and its leaky and exponential kin."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments, Known, summed
from bnstats.layers._parameters import NonNegative, ParameterError, Positive, Range
from bnstats.layers._registry import Pair, elementwise, pointwise_layer, structured

# What moves elements, and leaves each of them what it is.
_MOVES = (
    "torch.Flatten",
    "torch.Unflatten",
    "torch.ChannelShuffle",
    "torch.PixelShuffle",
    "torch.PixelUnshuffle",
    "keras.Flatten",
    "keras.Permute",
    "keras.Reshape",
    "keras.Concatenate",
)


@elementwise("y = x", "dx = dy", aliases=("keras.linear", *_MOVES), cite="torch.nn")
def identity(xp: Namespace, x: Array) -> Pair:
    """No activation, or x rearranged: the yardstick that every other layer is compared with."""
    return x, xp.ones_like(x)


@elementwise(
    "y = max(0, x)", "dx = dy·[x > 0]", breakpoints=(0.0,), cite="Nair and Hinton, ICML 2010"
)
def relu(xp: Namespace, x: Array) -> Pair:
    """Rectified linear unit."""
    return xp.maximum(x, 0), xp.astype(x > 0, x.dtype)


@elementwise(
    "y = max(0, x)^p,  p = power",
    "dx = dy·p·max(0, x)^(p − 1)",
    breakpoints=lambda power: (0.0,) if power <= 2 else (),
    cite="arXiv:2109.08668; arXiv:1903.05858 for any power",
    aliases=(
        "relu_squared:power=2",
        "relu2:power=2",
        "relu_cubed:power=3",
        "relu3:power=3",
    ),
    examples=("power=2", "power=3"),
)
def rectified_power(xp: Namespace, x: Array, *, power: Annotated[int, Range("[1, 16]")]) -> Pair:
    """Power of the relu: squared relu at power=2, cubed at power=3."""
    r = xp.maximum(x, 0)
    lower = xp.astype(x > 0, x.dtype)
    for _ in range(power - 1):
        lower = lower * r  # a power of a scalar would be slow, and change float32's dtype
    return lower * r, power * lower


@elementwise(
    "y = max(0, x) + a·min(0, x),  a = negative_slope",
    "dx = dy·(1 if x > 0 else a)",
    breakpoints=(0.0,),
    cite="Maas, Hannun and Ng, ICML 2013",
    aliases=("keras.leaky_relu:negative_slope=0.2", "keras.LeakyReLU:negative_slope=0.3"),
    examples=("", "negative_slope=0.2"),
)
def leaky_relu(xp: Namespace, x: Array, *, negative_slope: float = 0.01) -> Pair:
    """Leaky rectified linear unit."""
    above = xp.astype(x > 0, x.dtype)
    slope = above + (1 - above) * negative_slope  # where() mispredicts
    return x * slope, slope


@elementwise(
    "y = max(0, x) + a·min(0, x),  a = weight",
    "dx = dy·(1 if x > 0 else a)",
    breakpoints=(0.0,),
    cite="arXiv:1502.01852",
    aliases=("flax.PReLU:weight=0.01", "keras.PReLU:weight=0"),
)
def prelu(xp: Namespace, x: Array, *, weight: float = 0.25) -> Pair:
    """Leaky rectified linear unit with a learnt slope, here at its initial value."""
    return leaky_relu(xp, x, negative_slope=weight)


class _Slopes(NamedTuple):
    """The law of a random slope: its mean, and its central moments with bounds on their errors."""

    mean: float
    var: Known
    m3: Known
    m4: Known


def _uniform(lower: float, upper: float) -> _Slopes:
    width = upper - lower
    return _Slopes((lower + upper) / 2, Known(width**2 / 12), Known(0.0), Known(width**4 / 80))


def _reciprocal(lower: float, upper: float) -> _Slopes:
    """Return the law of 1/U: E[U^-k] is (lower^(1−k) − upper^(1−k))/((k − 1)·width)."""
    width, product = upper - lower, lower * upper
    mean = math.log1p(width / lower) / width if width else 1 / lower
    second, third = 1 / product, (lower + upper) / (2 * product**2)
    fourth = (lower**2 + product + upper**2) / (3 * product**3)
    m3 = third - 3 * mean * second + 2 * mean**3
    m4 = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    unit = 2.0**-49  # the terms are as large as the raw moments
    return _Slopes(
        mean,
        Known(max(second - mean**2, 0.0), unit * second),
        Known(m3, 2 * unit * third),
        Known(max(m4, 0.0), 4 * unit * fourth),
    )


@structured(
    "y = max(0, x) + a·min(0, x),  a ~ U(lower, upper), or 1/a if reciprocal;  "
    "a = (lower + upper)/2 if not training",
    "dx = dy·(1 if x > 0 else a)",
    cite="arXiv:1505.00853",
    # The module is in training, the function is not unless it is told.
    aliases=("torch.RReLU", "torch.rrelu:training=false", "torch.rrelu_:training=false"),
    examples=("", "training=false", "lower=3,reciprocal=true,upper=8"),
)
def rrelu(
    *,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = True,
    reciprocal: bool = False,
) -> BoundLayer:
    """Randomised leaky relu: every draw has a slope of its own, as a paper's 1/U(3, 8)."""
    if lower > upper:
        raise ParameterError(f"lower={lower:g} is above upper={upper:g}")
    if reciprocal and lower <= 0:
        raise ParameterError(f"lower={lower:g} is not positive, and slopes are its reciprocals")
    width = upper - lower
    slopes = (_reciprocal if reciprocal else _uniform)(lower, upper)
    fixed_slope = 2 / (lower + upper) if reciprocal else (lower + upper) / 2
    centre = slopes.mean if training else fixed_slope

    fixed = pointwise_layer(partial(leaky_relu, negative_slope=centre), breakpoints=(0.0,))
    if not training:
        return fixed

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        above = xp.astype(x > 0, x.dtype)
        slope = lower + width * draws["slope"]
        factor = above + (1 - above) * (1 / slope if reciprocal else slope)
        return x * factor, lambda dy: dy * factor

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # Given x, y is its value g at the mean slope plus min(0, x)·D, D the slope's deviation.
        known, (_, var, m3, m4) = fixed.moments(law, expect), slopes

        def times(known: Known, of_x: Callable[[Array], Array]) -> Known:
            """Return a moment of D times E[of_x(min(0, x))]."""
            kink = (0.0,)
            found = expect(lambda xp, x: of_x(xp.minimum(x, 0)), breakpoints=kink)
            size = expect(lambda xp, x: xp.abs(of_x(xp.minimum(x, 0))), breakpoints=kink)
            return (known.value * found).widened(known.error * size.value)

        def from_mean(below: Array) -> Array:  # where x < 0; elsewhere its factor is 0
            return centre * below - known.mean_y.value

        below = 0.5 * math.erfc(law.x_mean / (law.x_std * math.sqrt(2)))  # P(x < 0)
        above = 0.5 * math.erfc(-law.x_mean / (law.x_std * math.sqrt(2)))
        square = centre**2 + var
        fourth = summed(Known(centre**4), 6 * centre**2 * var, 4 * centre * m3, m4)
        dy2 = law.dy_std**2
        return ExactMoments(
            mean_y=known.mean_y,
            var_y=known.var_y + times(var, lambda b: b * b),
            m4_y=summed(
                known.m4_y,
                6 * times(var, lambda b: (from_mean(b) * b) ** 2),
                4 * times(m3, lambda b: from_mean(b) * b**3),
                times(m4, lambda b: b**4),
            ),
            ms_dx=dy2 * (above + below * square),
            m4_dx=3 * dy2**2 * (above + below * fourth),
            cov_xy=known.cov_xy,
            mean_slope=known.mean_slope,
            # E[(x − E[x])·y·dy/dx], for min(0, x)·D beside g
            drift=known.drift + times(var, lambda b: (b - law.x_mean) * b),
        )

    inputs = {"x": Input(), "dy": Input(), "slope": Input(distribution="uniform")}
    return BoundLayer(inputs, forward, moments, breakpoints=fixed.breakpoints)


@elementwise(
    "y = x if x > threshold, else value",
    "dx = dy·[x > threshold]",
    breakpoints=lambda threshold, value: (threshold,),
    cite="Torch7 nn",
    aliases=("keras.ThresholdedReLU:threshold=1,value=0",),
    examples=("threshold=1,value=0",),
)
def threshold(xp: Namespace, x: Array, *, threshold: float, value: float) -> Pair:
    """Identity above a threshold, a constant below; f may jump there."""
    above = xp.astype(x > threshold, x.dtype)
    return above * x + (1 - above) * value, above


def _keras_breakpoints(
    negative_slope: float, max_value: float | None, threshold: float
) -> tuple[float, ...]:
    if max_value is None:
        return (threshold,)
    if max_value <= threshold:
        raise ParameterError(f"max_value={max_value:g} is not above threshold={threshold:g}")
    return threshold, max_value


@elementwise(
    "y = min(x, max_value) if x > threshold, else negative_slope·(x − threshold)",
    "dx = dy·([x < max_value] if x > threshold, else negative_slope)",
    breakpoints=_keras_breakpoints,
    cite="keras.activations.relu",
    aliases=("keras.relu",),
    examples=("negative_slope=0.1,max_value=6,threshold=1",),
)
def keras_relu(
    xp: Namespace,
    x: Array,
    *,
    negative_slope: NonNegative = 0.0,
    max_value: Annotated[float | None, Range("(0, inf)")] = None,
    threshold: NonNegative = 0.0,
) -> Pair:
    """Keras' relu: leaky below a threshold, where f may jump, and clipped above max_value."""
    above = xp.astype(x > threshold, x.dtype)
    leak = (1 - above) * negative_slope
    if max_value is None:
        return above * x + leak * (x - threshold), above + leak
    inside = above * xp.astype(x < max_value, x.dtype)
    return above * xp.minimum(x, max_value) + leak * (x - threshold), inside + leak


@elementwise(
    "y = x if x > 0 else α·(e^x − 1)",
    "dx = dy·(1 if x > 0 else α·e^x)",
    breakpoints=(0.0,),
    cite="arXiv:1511.07289",
)
def elu(xp: Namespace, x: Array, *, alpha: float = 1.0) -> Pair:
    """Exponential linear unit."""
    above = xp.astype(x > 0, x.dtype)
    below = xp.minimum(x, 0)
    slope = above + (1 - above) * (alpha * xp.exp(below))
    return xp.maximum(x, 0) + alpha * xp.expm1(below), slope


@elementwise(
    "y = x if x > 0 else α·(e^(x/α) − 1)",
    "dx = dy·(1 if x > 0 else e^(x/α))",
    breakpoints=(0.0,),
    cite="arXiv:1704.07483",
    examples=("", "alpha=0.5"),
)
def celu(xp: Namespace, x: Array, *, alpha: Positive = 1.0) -> Pair:
    """Exponential linear unit whose slope is continuous for every α."""
    below = xp.minimum(x, 0) / alpha
    return xp.maximum(x, 0) + alpha * xp.expm1(below), xp.exp(below)


# Klambauer et al., appendix: the fixed point of mean 0 and variance 1, to float64's digits.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@elementwise(
    "y = λ·(x if x > 0 else α·(e^x − 1)),  λ = scale",
    "dx = dy·λ·(1 if x > 0 else α·e^x)",
    breakpoints=(0.0,),
    cite="arXiv:1706.02515",
)
def selu(
    xp: Namespace, x: Array, *, alpha: float = _SELU_ALPHA, scale: float = _SELU_SCALE
) -> Pair:
    """Scaled exponential linear unit; by default self-normalising at mean 0 and variance 1."""
    y, slope = elu(xp, x, alpha=alpha)
    return scale * y, scale * slope

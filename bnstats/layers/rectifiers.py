"""Activations that are linear on one side: identity, relu and its leaky and exponential kin."""

from __future__ import annotations

from typing import Annotated

from bnstats.layers._bound import Array, Namespace
from bnstats.layers._parameters import NonNegative, ParameterError, Positive, Range
from bnstats.layers._registry import Pair, elementwise


@elementwise("y = x", "dx = dy", aliases=("keras.linear",), cite="torch.nn")
def identity(xp: Namespace, x: Array) -> Pair:
    """No activation: the yardstick that every other layer is compared with."""
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
    del negative_slope
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

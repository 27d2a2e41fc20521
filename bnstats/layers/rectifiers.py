"""Activations that are linear on one side: identity, relu and its leaky and exponential kin."""

from __future__ import annotations

from bnstats.layers._registry import Array, Namespace, elementwise


@elementwise("y = x", "dx = dy")
def identity(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """No activation: the yardstick that every other layer is compared with."""
    return x, xp.ones_like(x)


@elementwise("y = max(0, x)", "dx = dy·[x > 0]", kinks=(0.0,), cite="Nair and Hinton, ICML 2010")
def relu(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Rectified linear unit."""
    return xp.maximum(x, 0), xp.astype(x > 0, x.dtype)


@elementwise(
    "y = max(0, x) + a·min(0, x),  a = negative_slope",
    "dx = dy·(1 if x > 0 else a)",
    kinks=(0.0,),
    cite="Maas, Hannun and Ng, ICML 2013",
    aliases=("keras.leaky_relu:negative_slope=0.2", "keras.LeakyReLU:negative_slope=0.3"),
    examples=("", "negative_slope=0.2"),
)
def leaky_relu(xp: Namespace, x: Array, *, negative_slope: float = 0.01) -> tuple[Array, Array]:
    """Leaky rectified linear unit."""
    slope = xp.where(x > 0, xp.ones_like(x), negative_slope)
    return x * slope, slope


@elementwise(
    "y = x if x > 0 else α·(e^x − 1)",
    "dx = dy·(1 if x > 0 else α·e^x)",
    kinks=(0.0,),
    cite="arXiv:1511.07289",
)
def elu(xp: Namespace, x: Array, *, alpha: float = 1.0) -> tuple[Array, Array]:
    """Exponential linear unit."""
    below = alpha * xp.expm1(xp.minimum(x, 0))
    return xp.maximum(x, 0) + below, xp.where(x > 0, xp.ones_like(x), below + alpha)


# Klambauer et al., appendix: the fixed point of mean 0 and variance 1, to float64's digits.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@elementwise(
    "y = λ·(x if x > 0 else α·(e^x − 1)),  λ = 1.0507, α = 1.6733",
    "dx = dy·λ·(1 if x > 0 else α·e^x)",
    kinks=(0.0,),
    cite="arXiv:1706.02515",
)
def selu(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Scaled exponential linear unit, self-normalising at mean 0 and variance 1."""
    y, slope = elu(xp, x, alpha=_SELU_ALPHA)
    return _SELU_SCALE * y, _SELU_SCALE * slope

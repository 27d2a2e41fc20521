"""Activations that saturate on both sides."""

from __future__ import annotations

import math

from bnstats.layers._bound import Array, Namespace
from bnstats.layers._registry import Pair, elementwise


@elementwise(
    "y = 1/(1 + e^-x)", "dx = dy·y·(1 − y)", aliases=("logistic",), cite="torch.nn.functional"
)
def sigmoid(xp: Namespace, x: Array) -> Pair:
    """Logistic sigmoid."""
    y, slope = logistic(xp, x)
    slope *= y
    return y, slope


def logistic(xp: Namespace, x: Array) -> Pair:
    """Return s = 1/(1 + e^-x) and 1 − s, each with all its digits."""
    s = xp.minimum(xp.exp(x), 1 / xp.finfo(x.dtype).tiny)  # 1/(1 + s) stays normal: no ∞·0
    rest = 1 / (1 + s)
    s *= rest
    return s, rest


@elementwise("y = tanh(x)", "dx = dy·(1 − y²)", cite="torch.nn.functional")
def tanh(xp: Namespace, x: Array) -> Pair:
    """Hyperbolic tangent."""
    e = xp.exp(-2 * xp.abs(x))
    return xp.tanh(x), 4 * e / (1 + e) ** 2  # 1 − y² loses its digits where |y| is close to one


@elementwise(
    "y = 1.7159·tanh(2x/3)",
    "dx = dy·1.7159·2/3·(1 − tanh(2x/3)²)",
    cite="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998",
)
def lecun_tanh(xp: Namespace, x: Array) -> Pair:
    """Tanh scaled such that f(±1) is close to ±1."""
    y, slope = tanh(xp, x * (2 / 3))
    return 1.7159 * y, (1.7159 * 2 / 3) * slope


@elementwise(
    "y = x/(1 + |x|)",
    "dx = dy/(1 + |x|)²",
    breakpoints=(0.0,),
    cite="Bergstra, Desjardins, Lamblin and Bengio, DIRO 1337, 2009",
    aliases=("soft_sign",),
)
def softsign(xp: Namespace, x: Array) -> Pair:
    """Algebraic sigmoid of slow tails; its curvature jumps at 0."""
    r = 1 / (1 + xp.abs(x))
    return x * r, r * r


@elementwise("y = erf(x)", "dx = dy·2/√π·e^(−x²)", cite="Williams, NIPS 1996")
def erf(xp: Namespace, x: Array) -> Pair:
    """Error function."""
    return xp.erf(x), (2 / math.sqrt(math.pi)) * xp.exp(-x * x)


@elementwise("y = arctan(x)", "dx = dy/(1 + x²)", cite="arXiv:2110.01765")
def atan(xp: Namespace, x: Array) -> Pair:
    """Inverse tangent."""
    return xp.atan(x), 1 / (1 + x * x)

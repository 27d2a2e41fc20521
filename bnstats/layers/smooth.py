"""Smooth relatives of relu."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from bnstats.layers._parameters import Range
from bnstats.layers._registry import Array, Namespace, elementwise


@elementwise(
    "y = x·Φ(x);  tanh form: y = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))",
    "dx = dy·(Φ(x) + x·φ(x));  tanh form: the derivative of that form",
    cite="arXiv:1606.08415",
    examples=("", "approximate=tanh"),
)
def gelu(
    xp: Namespace, x: Array, *, approximate: Literal["none", "tanh"] = "none"
) -> tuple[Array, Array]:
    """Gaussian error linear unit; jax's default is the tanh form, torch's the exact one."""
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        t = xp.tanh(c * (x + 0.044715 * x * x * x))  # x**3 would take a scalar pow
        inner = c * (1 + 3 * 0.044715 * x * x)
        return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner
    cdf = 0.5 * xp.erfc(x * -math.sqrt(0.5))
    pdf = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return x * cdf, cdf + x * pdf


@elementwise(
    "y = x/(1 + e^-x)",
    "dx = dy·s·(1 + x·(1 − s)),  s = 1/(1 + e^-x)",
    cite="arXiv:1702.03118",
    aliases=("swish",),
)
def silu(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Sigmoid linear unit."""
    s = xp.expit(x)
    return x * s, s * (1 + x * (1 - s))


@elementwise(
    "y = log(1 + e^(βx))/β, and x where βx > threshold",
    "dx = dy/(1 + e^(−βx)), and dy where βx > threshold",
    kinks=lambda beta, threshold: (threshold / beta,),
    cite="Dugas et al., NIPS 2000",
)
def softplus(
    xp: Namespace,
    x: Array,
    *,
    beta: Annotated[float, Range("(0, inf)")] = 1.0,
    threshold: float = 20.0,
) -> tuple[Array, Array]:
    """Softplus, cut to the identity beyond the threshold as torch does."""
    z = beta * x
    linear = z > threshold
    soft = xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))
    return (
        xp.where(linear, x, soft * (1 / beta)),
        xp.where(linear, xp.ones_like(x), xp.expit(z)),
    )

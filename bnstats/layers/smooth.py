"""Smooth relatives of relu."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from bnstats.layers._bound import Array, Namespace
from bnstats.layers._parameters import Positive, Range, Synonyms
from bnstats.layers._registry import Pair, elementwise
from bnstats.layers.sigmoidal import logistic

# keras' and jax' word for the tanh form is a boolean.
Approximate = Annotated[Literal["none", "tanh"], Synonyms((("true", "tanh"), ("false", "none")))]


@elementwise(
    "y = x·Φ(x);  tanh form: y = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))",
    "dx = dy·(Φ(x) + x·φ(x));  tanh form: the derivative of that form",
    cite="arXiv:1606.08415",
    aliases=("jax.gelu:approximate=tanh",),
    examples=("", "approximate=tanh"),
)
def gelu(xp: Namespace, x: Array, *, approximate: Approximate = "none") -> Pair:
    """Gaussian error linear unit; jax's default is the tanh form, torch's the exact one."""
    if approximate == "tanh":
        c = math.sqrt(8 / math.pi)
        # (1 + tanh u)/2 is the sigmoid of 2u, which keeps its digits where tanh u is close to −1
        s, complement = logistic(xp, c * (x + 0.044715 * x * x * x))  # x**3 would take a scalar pow
        y = x * s
        return y, s + y * complement * (c * (1 + 3 * 0.044715 * x * x))
    cdf = 0.5 * xp.erfc(x * -math.sqrt(0.5))
    pdf = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return x * cdf, cdf + x * pdf


@elementwise(
    "y = x/(1 + e^(−βx))",
    "dx = dy·s·(1 + βx·(1 − s)),  s = 1/(1 + e^(−βx))",
    cite="arXiv:1702.03118; arXiv:1710.05941 for β",
    aliases=("swish", "quick_gelu:beta=1.702"),
    examples=("", "beta=1.702"),
)
def silu(xp: Namespace, x: Array, *, beta: float = 1.0) -> Pair:
    """Sigmoid linear unit; swish by another name, and quick gelu at beta=1.702."""
    s, complement = logistic(xp, x if beta == 1 else beta * x)
    y = x * s
    return y, s + (y if beta == 1 else beta * y) * complement


@elementwise(
    "y = a·x + (1 − a)·x/(1 + e^-x),  a = negative_slope",
    "dx = dy·(a + (1 − a)·s·(1 + x·(1 − s))),  s = 1/(1 + e^-x)",
    cite="arXiv:2306.12059, fairchem's SmoothLeakyReLU",
)
def smooth_leaky_relu(xp: Namespace, x: Array, *, negative_slope: float = 0.2) -> Pair:
    """Leaky relu made smooth by silu: slope a far to the left, 1 far to the right."""
    y, slope = silu(xp, x)
    y = negative_slope * x + (1 - negative_slope) * y
    return y, negative_slope + (1 - negative_slope) * slope


@elementwise(
    "y = x·g(x),  g = silu or gelu",
    "dx = dy·(g(x) + x·g′(x))",
    cite="arXiv:2409.10594",
    examples=("", "gate=gelu"),
)
def self_gated(xp: Namespace, x: Array, *, gate: Literal["silu", "gelu"] = "silu") -> Pair:
    """Gated unit whose two halves are the same x: swiglu or geglu with a = b."""
    g, slope = (silu if gate == "silu" else gelu)(xp, x)
    return x * g, g + x * slope


@elementwise(
    "y = x·tanh(log(1 + e^x))",
    "dx = dy·(t + x·s·(1 − t²)),  t = tanh(log(1 + e^x)),  s = 1/(1 + e^-x)",
    cite="arXiv:1908.08681",
)
def mish(xp: Namespace, x: Array) -> Pair:
    """Self-gated like silu, by the tanh of softplus."""
    # With e = e^x, tanh(log(1 + e)) is n/(n + 2), n = e(e + 2); beyond 30 it is 1 to all digits.
    e = xp.exp(xp.minimum(x, 30))
    n = e * (e + 2)
    share = 1 / (n + 2)
    t = n * share
    return x * t, t + x * (4 * e * (e + 1) * share * share)


@elementwise(
    "y = −log(1 + e^-x)", "dx = dy/(1 + e^x)", aliases=("log_sigmoid",), cite="torch.nn.functional"
)
def logsigmoid(xp: Namespace, x: Array) -> Pair:
    """Logarithm of the sigmoid."""
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x))), xp.expit(-x)


@elementwise(
    "y = log(1 + e^(βx))/β, and x where βx > threshold",
    "dx = dy/(1 + e^(−βx)), and dy where βx > threshold",
    breakpoints=lambda beta, threshold: (threshold / beta,),
    cite="Dugas et al., NIPS 2000",
    aliases=("jax.softplus:threshold=inf", "keras.softplus:threshold=inf"),
)
def softplus(
    xp: Namespace,
    x: Array,
    *,
    beta: Positive = 1.0,
    threshold: Annotated[float, Range("(-inf, inf]")] = 20.0,
) -> Pair:
    """Softplus, cut to the identity beyond the threshold as torch does; never at threshold=inf."""
    z = beta * x
    linear = z > threshold
    soft = xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))
    return xp.where(linear, x, soft * (1 / beta)), xp.where(linear, xp.ones_like(x), xp.expit(z))


@elementwise(
    "y = log((1 + e^x)/2)",
    "dx = dy/(1 + e^-x)",
    cite="arXiv:1706.08566",
    aliases=("ssp",),
)
def shifted_softplus(xp: Namespace, x: Array) -> Pair:
    """Softplus less log 2, SchNet's: 0 at 0."""
    # log((1 + e^−|x|)/2) as log1p, which keeps its digits near 0
    return xp.maximum(x, 0) + xp.log1p(0.5 * xp.expm1(-xp.abs(x))), xp.expit(x)


@elementwise(
    "y = (x + √(x² + b))/2",
    "dx = dy·(1 + x/√(x² + b))/2",
    cite="arXiv:2112.11687",
    examples=("", "b=1"),
)
def squareplus(xp: Namespace, x: Array, *, b: Positive = 4.0) -> Pair:
    """Algebraic relative of softplus; at b = 4 its curvature at 0 is 1/4, as that of softplus."""
    root = xp.sqrt(x * x + b)
    # the other root of y² − xy = b/4: x + √(x² + b) cancels where x < 0
    y = xp.maximum(x, 0) + (0.5 * b) / (xp.abs(x) + root)
    return y, y / root


@elementwise("y = (√(x² + 1) − 1)/2 + x", "dx = dy·(x/(2√(x² + 1)) + 1)", cite="arXiv:2110.01765")
def bentid(xp: Namespace, x: Array) -> Pair:
    """Bent identity: slope 1/2 far to the left, 3/2 far to the right."""
    root = xp.sqrt(x * x + 1)
    return x * (1 + 0.5 * x / (root + 1)), 1 + 0.5 * x / root

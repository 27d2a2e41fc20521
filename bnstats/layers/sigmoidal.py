"""Activations that saturate on both sides."""

from __future__ import annotations

from bnstats.layers._registry import Array, Namespace, elementwise


@elementwise("y = 1/(1 + e^-x)", "dx = dy·y·(1 − y)", aliases=("logistic",))
def sigmoid(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Logistic sigmoid."""
    e = xp.minimum(xp.exp(-x), xp.finfo(x.dtype).max)  # finite, so that e·y is
    y = e + 1
    y = 1 / y
    e *= y  # 1 − y, with all its digits where y is close to one
    e *= y
    return y, e


@elementwise("y = tanh(x)", "dx = dy·(1 − y²)")
def tanh(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Hyperbolic tangent."""
    e = xp.exp(-2 * xp.abs(x))
    return xp.tanh(x), 4 * e / (1 + e) ** 2  # 1 − y² loses its digits where |y| is close to one

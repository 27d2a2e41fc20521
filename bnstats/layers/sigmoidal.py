"""Activations that saturate on both sides."""

from __future__ import annotations

from bnstats.layers._registry import Array, Namespace, elementwise


@elementwise("y = 1/(1 + e^-x)", "dx = dy·y·(1 − y)", aliases=("logistic",))
def sigmoid(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Logistic sigmoid."""
    y = xp.expit(x)
    return y, y * (1 - y)


@elementwise("y = tanh(x)", "dx = dy·(1 − y²)")
def tanh(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Hyperbolic tangent."""
    y = xp.tanh(x)
    return y, 1 - y * y

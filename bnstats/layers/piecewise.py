"""Activations of a few straight or parabolic pieces, most of them stand-ins for smooth ones."""

from __future__ import annotations

from bnstats.layers._bound import Array, Namespace
from bnstats.layers._parameters import ParameterError
from bnstats.layers._registry import Pair, elementwise


@elementwise(
    "y = min(max(0, x), 6)",
    "dx = dy·[0 < x < 6]",
    breakpoints=(0.0, 6.0),
    cite="Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010",
)
def relu6(xp: Namespace, x: Array) -> Pair:
    """Rectified linear unit, clipped at 6."""
    return xp.clip(x, 0, 6), xp.astype((x > 0) & (x < 6), x.dtype)


def _ends(min_val: float, max_val: float) -> tuple[float, float]:
    if min_val >= max_val:
        raise ParameterError(f"min_val={min_val:g} is not below max_val={max_val:g}")
    return min_val, max_val


@elementwise(
    "y = min(max(min_val, x), max_val)",
    "dx = dy·[min_val < x < max_val]",
    breakpoints=_ends,
    cite="Collobert, Large scale machine learning, PhD thesis, Paris VI, 2004",
    aliases=("hard_tanh",),
)
def hardtanh(xp: Namespace, x: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> Pair:
    """Identity, clipped at both ends."""
    return xp.clip(x, min_val, max_val), xp.astype((x > min_val) & (x < max_val), x.dtype)


@elementwise(
    "y = min(max(0, x + 3), 6)/6",
    "dx = dy·[−3 < x < 3]/6",
    breakpoints=(-3.0, 3.0),
    cite="arXiv:1905.02244",
    aliases=("hard_sigmoid",),
)
def hardsigmoid(xp: Namespace, x: Array) -> Pair:
    """Piecewise linear sigmoid of slope 1/6, that of torch, jax and Keras 3."""
    return xp.clip(x + 3, 0, 6) / 6, xp.astype((x > -3) & (x < 3), x.dtype) / 6


@elementwise(
    "y = x·min(max(0, x + 3), 6)/6",
    "dx = dy·(0 if x < −3, 1 if x > 3, else (2x + 3)/6)",
    breakpoints=(-3.0, 3.0),
    cite="arXiv:1905.02244",
    aliases=("hard_swish", "hard_silu"),
)
def hardswish(xp: Namespace, x: Array) -> Pair:
    """Piecewise parabolic relative of silu."""
    gate, slope = hardsigmoid(xp, x)
    return x * gate, gate + x * slope


@elementwise(
    "y = 0 if x ≤ −1, x if x ≥ 1, else (x + 1)²/4",
    "dx = dy·min(max(0, x + 1), 2)/2",
    breakpoints=(-1.0, 1.0),
    cite="arXiv:1901.02324",
)
def sparse_plus(xp: Namespace, x: Array) -> Pair:
    """Sparse twin of softplus; its curvature jumps where the pieces meet."""
    slope = xp.clip(x + 1, 0, 2) / 2
    return slope * slope + xp.maximum(x - 1, 0), slope


@elementwise(
    "y = min(max(0, x + 1), 2)/2",
    "dx = dy·[−1 < x < 1]/2",
    breakpoints=(-1.0, 1.0),
    cite="arXiv:1901.02324",
)
def sparse_sigmoid(xp: Namespace, x: Array) -> Pair:
    """Piecewise linear sigmoid of slope 1/2, the derivative of sparse_plus."""
    return xp.clip(x + 1, 0, 2) / 2, xp.astype((x > -1) & (x < 1), x.dtype) / 2

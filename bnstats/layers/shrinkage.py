"""Activations that shrink their input towards zero."""

from __future__ import annotations

from functools import partial

from bnstats.layers._bound import Array, Namespace
from bnstats.layers._parameters import NonNegative
from bnstats.layers._registry import Pair, elementwise


def _both_sides(lambd: float) -> tuple[float, ...]:
    return (-lambd, lambd) if lambd else ()


_thresholding = partial(
    elementwise,
    gradient="dx = dy·[|x| > λ]",
    breakpoints=_both_sides,
    cite="Donoho and Johnstone, Biometrika 81 (1994) 425-455",
)


@_thresholding("y = x if |x| > λ, else 0;  λ = lambd", aliases=("hard_shrink",))
def hardshrink(xp: Namespace, x: Array, *, lambd: NonNegative = 0.5) -> Pair:
    """Hard thresholding: small values become zero, and f jumps there."""
    kept = xp.astype(xp.abs(x) > lambd, x.dtype)
    return x * kept, kept


@_thresholding("y = sign(x)·max(0, |x| − λ),  λ = lambd", aliases=("soft_shrink",))
def softshrink(xp: Namespace, x: Array, *, lambd: NonNegative = 0.5) -> Pair:
    """Soft thresholding: the proximal operator of λ|x|."""
    return x - xp.clip(x, -lambd, lambd), xp.astype(xp.abs(x) > lambd, x.dtype)


# (x·cosh x − sinh x)/x³ in powers of x²: 2k/(2k + 1)!, to float64's digits where |x| < 1/2.
_SERIES = (1 / 3, 1 / 30, 1 / 840, 1 / 45360, 1 / 3991680, 1 / 518918400, 1 / 93405312000)


@elementwise("y = x − tanh(x)", "dx = dy·tanh(x)²", aliases=("tanh_shrink",), cite="Torch7 nn")
def tanhshrink(xp: Namespace, x: Array) -> Pair:
    """Identity less tanh, cubic near 0."""
    t = xp.tanh(x)
    slope = t * t
    # x − tanh(x) has no digits left near 0, where it is x³/3
    near = xp.astype(xp.abs(x) < 0.5, x.dtype)
    z = near * x
    square = z * z
    series = _SERIES[-1] * square
    for c in reversed(_SERIES[1:-1]):
        series = (series + c) * square
    small = z * square * (series + _SERIES[0]) * xp.sqrt(1 - slope)  # 1/cosh(x)
    return small + (1 - near) * (x - t), slope

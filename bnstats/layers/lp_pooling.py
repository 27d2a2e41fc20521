"""Lp pooling: the p-norm of each window, by torch's formula."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from math import prod, sqrt

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._chi import chi
from bnstats.layers._known import UNKNOWN, ExactMoments, Known, mixture
from bnstats.layers._layout import in_region, windows
from bnstats.layers._parameters import Count, MapSize, ParameterError, Sizes, Stride
from bnstats.layers._reductions import Reduced, Reduction, over_windows
from bnstats.layers._registry import structured_by_sides
from bnstats.layers._windows import Region, Windows
from bnstats.layers.average_pooling import mean_of


def power(x: Array, n: int) -> Array:
    """Return xⁿ, n ≥ 1, by squaring: pow() of float64 is slow."""
    if n == 1:
        return x
    half = power(x * x, n // 2)
    return half * x if n % 2 else half


def _root(xp: Namespace, x: Array, n: int) -> Array:
    while n % 2 == 0:
        x, n = xp.sqrt(x), n // 2
    return x if n == 1 else x ** (1 / n)


def _norm(p: int) -> Reduction:
    """Return the reduction to (Σ x^p)^(1/p), p even; where all x are 0 the gradient is 0."""

    def reduction(xp: Namespace, taps: Sequence[Array]) -> Reduced:
        # Squares of normals keep within range; higher powers are taken relative to the largest.
        scale: Array = 1.0
        if p > 2:
            largest = reduce(xp.maximum, map(abs, taps))
            scale = largest + (largest == 0)
        y = scale * _root(xp, reduce(operator.add, (power(tap / scale, p) for tap in taps)), p)
        divisor = y + (y == 0)
        return y, lambda dy, i: dy * power(taps[i] / divisor, p - 1)

    return reduction


@structured_by_sides(
    "y_w = (Σ x_i^p)^(1/p) over i in window w, p = norm_type",
    "dx_i = Σ_w dy_w·(x_i/y_w)^(p−1), 0 where y_w = 0",
    name="lp_pool{}d",
    cite="torch.nn.functional; arXiv:1204.3968",
    examples={
        1: ("kernel_size=2,norm_type=2",),
        2: ("kernel_size=2,norm_type=2", "kernel_size=3,norm_type=2,stride=2"),
        3: ("kernel_size=2,norm_type=2",),
    },
)
def lp_pool(
    sides: int,
    *,
    norm_type: Count,
    kernel_size: Sizes,
    stride: Stride = None,
    ceil_mode: bool = False,
    input_size: MapSize = None,
    region: Region = "all",
) -> BoundLayer:
    """Norm of each window, of order norm_type: an even number, or 1 for the sum, signs kept.

    Where ceil_mode cuts a window off, torch scales the sum of powers up to the full window.
    """
    if norm_type > 1 and norm_type % 2:
        raise ParameterError(
            f"norm_type={norm_type} is NaN where a window's sum of odd powers is negative; "
            "1 and even numbers are defined"
        )
    w = windows(sides, kernel_size, stride, 0, input_size, ceil_mode=ceil_mode, region=region)
    return in_region(_sum_of(w) if norm_type == 1 else _norm_of(w, norm_type), w)


def _sum_of(w: Windows) -> BoundLayer:
    bound = mean_of(w, factor=prod(w.kernel))

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, backward = bound.forward(xp, draws)
        return y, lambda dy: backward(dy * (y != 0))  # torch's gradient at 0

    return replace(bound, forward=forward)


def _norm_of(w: Windows, p: int) -> BoundLayer:
    full = prod(w.kernel)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, backward = over_windows(xp, draws["x"], w, _norm(p))
        c = (full / w.divisors(xp, lambda e: e.inside, y)) ** (1 / p)
        return y * c, lambda dy: backward(dy * c)

    known = p == 2 or full == 1  # the absolute value, whatever p
    return BoundLayer(
        {"x": Input(w.size), "dy": Input(w.count)},
        forward,
        partial(_chi_moments, w) if known else lambda law, expect: ExactMoments(),
        why_inexact="" if known else f"the {p}-norm of normals has no closed form",
    )


def _chi_moments(w: Windows, law: Law, expect: Expect) -> ExactMoments:
    """Return the moments of the 2-norm; a cut-off window of m elements has y² up by full/m."""
    full = prod(w.kernel)
    noncentrality = (law.x_mean / law.x_std) ** 2
    parts = [
        (share, law.x_std * sqrt(full / e.inside), chi(e.inside, e.inside * noncentrality))
        for e, share in w.shares.items()
    ]
    mean, var = mixture([(share, c * length.mean, c**2 * length.var) for share, c, length in parts])
    _, c, length = parts[0]
    return ExactMoments(
        mean_y=mean,
        var_y=var,
        m4_y=c**4 * length.m4 if prod(w.count) == 1 else UNKNOWN,
        # A window's dx are y's slopes, c·x/|x| with c² = full/m: their squares add up to c².
        ms_dx=Known(law.dy_std**2 * w.per_position(lambda e: full / e.inside)),
    )

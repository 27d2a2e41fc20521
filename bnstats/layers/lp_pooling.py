"""Lp pooling: the p-norm of each window, by torch's formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod, sqrt
from typing import Annotated

from bnstats.layers._chi import chi
from bnstats.layers._known import Known
from bnstats.layers._layout import border_hints, in_region, windows
from bnstats.layers._parameters import Follows, ParameterError, Range, Size
from bnstats.layers._reductions import Reduced, Reduction, over_windows
from bnstats.layers._registry import (
    Array,
    Backward,
    BoundLayer,
    Expect,
    Input,
    Law,
    Namespace,
    structured,
)
from bnstats.layers._windows import Region, Windows, inside
from bnstats.layers.average_pooling import average_event


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
            largest = abs(taps[0])
            for tap in taps[1:]:
                largest = xp.maximum(largest, abs(tap))
            scale = largest + (largest == 0)
        y = sum((power(tap / scale, p) for tap in taps[1:]), start=power(taps[0] / scale, p))
        y = scale * _root(xp, y, p)
        divisor = y + (y == 0)
        return y, lambda dy, i: dy * power(taps[i] / divisor, p - 1)

    return reduction


def lp_pool(
    sides: int,
    *,
    norm_type: Annotated[int, Range("[1, inf)")],
    kernel_size: Annotated[Size, Range("[1, inf)")],
    stride: Annotated[Size | None, Range("[1, inf)"), Follows("kernel_size")] = None,
    ceil_mode: bool = False,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
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
    bound = _sum_event(w) if norm_type == 1 else _norm_event(w, norm_type)
    hints = border_hints(input_size, ceil_mode=ceil_mode)
    return in_region(replace(bound, hints=hints), w)


def _sum_event(w: Windows) -> BoundLayer:
    bound = average_event(w, inside, prod(w.kernel))

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        y, backward = bound.forward(xp, draws)
        return y, lambda dy: backward(dy * (y != 0))  # torch's gradient at 0

    return replace(bound, forward=forward)


def _norm_event(w: Windows, p: int) -> BoundLayer:
    full = prod(w.kernel)

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        y, backward = over_windows(xp, draws["x"], w, _norm(p))
        c = (full / w.divisors(xp, inside, y)) ** (1 / p)
        return y * c, lambda dy: backward(dy * c)

    known = p == 2 or full == 1  # the absolute value, whatever p
    bound = BoundLayer(
        {"x": Input(w.size), "dy": Input(w.count)},
        forward,
        partial(_chi_moments, w) if known else lambda law, expect: {},
    )
    if known:
        return bound
    return replace(bound, why_inexact=f"the {p}-norm of normals has no closed form")


def _chi_moments(w: Windows, law: Law, expect: Expect) -> Mapping[str, Known]:
    """Return the moments of the 2-norm; a cut-off window of m elements has y² up by full/m."""
    del expect
    full = prod(w.kernel)
    # A window's dx are y's slopes, c·x/|x| with c² = full/m: their squares add up to c².
    known = {"ms_dx": Known(law.dy_std**2 * w.per_position(lambda e: full / e.inside))}
    lengths = {e: chi(e.inside, e.inside * (law.x_mean / law.x_std) ** 2) for e in w.shares}
    parts = [
        (share, law.x_std * sqrt(full / e.inside), length)
        for e, share in w.shares.items()
        if (length := lengths[e]) is not None
    ]
    if len(parts) < len(w.shares):
        return known
    mean = sum(share * c * y.mean for share, c, y in parts)
    error = sum(share * c * y.mean_error for share, c, y in parts)
    var = sum(share * (c**2 * y.var + (c * y.mean - mean) ** 2) for share, c, y in parts)
    var_error = sum(
        share * (c**2 * y.var_error + 2 * abs(c * y.mean - mean) * (c * y.mean_error + error))
        for share, c, y in parts
    )
    known |= {"mean_y": Known(mean, error), "var_y": Known(var, var_error)}
    if prod(w.count) == 1:
        known["m4_y"] = Known(parts[0][1] ** 4 * parts[0][2].m4)
    return known


for _sides in (1, 2, 3):
    structured(
        "y_w = (Σ x_i^p)^(1/p) over i in window w, p = norm_type",
        "dx_i = Σ_w dy_w·(x_i/y_w)^(p−1), 0 where y_w = 0",
        name=f"lp_pool{_sides}d",
        cite="torch.nn.functional; arXiv:1204.3968",
        examples=("kernel_size=2,norm_type=2", "kernel_size=3,norm_type=2,stride=2")
        if _sides == 2
        else ("kernel_size=2,norm_type=2",),
    )(partial(lp_pool, _sides))

"""Unpooling: each x is put back where its window's maximum was, among zeros."""

from __future__ import annotations

from math import prod

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import UNKNOWN, ExactMoments, Known
from bnstats.layers._layout import per_side
from bnstats.layers._parameters import Sizes
from bnstats.layers._registry import structured_by_sides


@structured_by_sides(
    "y = x at one position of its window, 0 at the others",
    "dx = dy at that position",
    name="max_unpool{}d",
    cite="arXiv:1311.2901",
    examples=dict.fromkeys((1, 2, 3), ("kernel_size=2",)),
)
def max_unpool(sides: int, *, kernel_size: Sizes) -> BoundLayer:
    """One x and the window that it fills; every position may as well have been the largest."""
    kernel = per_side("kernel_size", kernel_size, sides)
    n = prod(kernel)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x, u = draws["x"], n * draws["position"]
        places = [xp.astype((u >= i) & (u < i + 1), x.dtype) for i in range(n)]
        held = xp.reshape(xp.stack(places), (*kernel, -1))
        return held * x, lambda dy: xp.sum(held * dy, axis=tuple(range(sides)))

    def moments(law: Law, expect: Expect) -> ExactMoments:
        mean, ms, dy2 = law.x_mean / n, (law.x_mean**2 + law.x_std**2) / n, law.dy_std**2
        return ExactMoments(
            mean_y=Known(mean),
            var_y=Known(ms - mean**2),
            var_ms_y=Known(2 * law.x_std**4 / n**2) if n > 1 and not mean else UNKNOWN,
            ms_dx=Known(dy2),
            m4_dx=Known(3 * dy2**2),
        )

    inputs = {"x": Input(), "dy": Input(kernel), "position": Input((), "uniform")}
    return BoundLayer(inputs, forward, moments)

"""Pooling over windows that may overlap and hang over the border, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from math import prod
from typing import Annotated

from bnstats.layers._parameters import Follows, ParameterError, Range, Size
from bnstats.layers._registry import (
    Array,
    Backward,
    Event,
    Expect,
    Input,
    Known,
    Law,
    Namespace,
    structured,
)
from bnstats.layers._windows import Windows, padding_hint, per_side, windows

_CITE = "torch.nn.functional; https://arxiv.org/abs/1603.07285 for the geometry"


def _pool_windows(
    sides: int, kernel_size: Size, stride: Size | None, padding: Size, input_size: Size | None
) -> Windows:
    """Lay out pooling windows; padding above half the kernel raises, as in torch."""
    for k, p in zip(
        per_side("kernel_size", kernel_size, sides),
        per_side("padding", padding, sides),
        strict=True,
    ):
        if p > k // 2:
            raise ParameterError(f"padding={p} is more than half of kernel_size={k}")
    return windows(sides, kernel_size, stride, padding, input_size)


def max_pool(
    sides: int,
    *,
    kernel_size: Annotated[Size, Range("[1, inf)")],
    stride: Annotated[Size | None, Range("[1, inf)"), Follows("kernel_size")] = None,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
) -> Event:
    """Largest element of each window; padding is −∞."""
    w = _pool_windows(sides, kernel_size, stride, padding, input_size)

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        x = w.pad(xp, draws["x"], -float("inf"))
        offsets = list(w.offsets())
        y = x[w.at(offsets[0])]
        winner = xp.zeros(y.shape, dtype=xp.int32)
        for i, offset in enumerate(offsets[1:], start=1):
            candidate = x[w.at(offset)]
            # The first of equals wins, as in torch. No where(): its branches mispredict.
            winner = xp.maximum(winner, xp.astype(candidate > y, xp.int32) * i)
            y = xp.maximum(y, candidate)

        def backward(dy: Array) -> Array:
            dx = xp.zeros_like(x)
            for i, offset in enumerate(offsets):
                dx = xp.add_at(dx, w.at(offset), dy * (winner == i))
            return w.crop(dx)

        return y, backward

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        # y is the largest of as many x as its window holds; each window sends its dy to one x.
        total = prod(w.count)
        reach = {inside: n / total for inside, n in w.reach().items()}
        mean = _mixture(reach, lambda m: expect(lambda xp, x: x, maximum_of=m))
        known = {
            "mean_y": mean,
            "var_y": _mixture(
                reach, lambda m: expect(lambda xp, x: (x - mean.value) ** 2, maximum_of=m)
            ),
            "ms_dx": Known(law.dy_std**2 * w.visits(lambda inside: 1 / inside)),
        }
        if total == 1:
            known["m4_y"] = _mixture(
                reach, lambda m: expect(lambda xp, x: (x - mean.value) ** 4, maximum_of=m)
            )
        return known

    inputs = {"x": Input(w.size), "dy": Input(w.count)}
    return Event(inputs, forward, moments, hints=padding_hint(padding, input_size))


def avg_pool(
    sides: int,
    *,
    kernel_size: Annotated[Size, Range("[1, inf)")],
    stride: Annotated[Size | None, Range("[1, inf)"), Follows("kernel_size")] = None,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
    count_include_pad: bool = True,
) -> Event:
    """Mean of each window; padding is 0 and counts as elements unless count_include_pad=false."""
    w = _pool_windows(sides, kernel_size, stride, padding, input_size)
    full = prod(w.kernel)

    def divisor(inside: int) -> int:
        return full if count_include_pad else inside

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        x = w.pad(xp, draws["x"], 0.0)
        total = reduce(lambda a, offset: a + x[w.at(offset)], w.offsets(), 0.0)
        weight = 1 / full
        if not count_include_pad:
            inside = w.pad(xp, xp.ones_like(draws["x"]), 0.0)
            weight = 1 / reduce(lambda a, offset: a + inside[w.at(offset)], w.offsets(), 0.0)

        def backward(dy: Array) -> Array:
            share, dx = dy * weight, xp.zeros_like(x)
            for offset in w.offsets():
                dx = xp.add_at(dx, w.at(offset), share)
            return w.crop(dx)

        return total * weight, backward

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        del expect
        total = prod(w.count)
        reach = {inside: n / total for inside, n in w.reach().items()}
        mean = sum(p * law.x_mean * m / divisor(m) for m, p in reach.items())
        var = sum(
            p * (law.x_std**2 * m / divisor(m) ** 2 + (law.x_mean * m / divisor(m) - mean) ** 2)
            for m, p in reach.items()
        )
        known = {
            "mean_y": Known(mean),
            "var_y": Known(var),
            "ms_dx": Known(law.dy_std**2 * w.visits(lambda inside: 1 / divisor(inside) ** 2)),
        }
        if total == 1:
            known["m4_y"] = Known(3 * var**2)  # one window of normals: y is normal
        return known

    inputs = {"x": Input(w.size), "dy": Input(w.count)}
    return Event(inputs, forward, moments, hints=padding_hint(padding, input_size))


def _mixture(weights: Mapping[int, float], of: Callable[[int], Known]) -> Known:
    """Average a moment over windows of different reach."""
    parts = [(p, of(m)) for m, p in weights.items()]
    return Known(
        sum(p * k.value for p, k in parts), sum(p * k.error for p, k in parts), "order statistics"
    )


_EXAMPLES = {
    1: ("kernel_size=2", "kernel_size=3"),
    2: (
        "kernel_size=2",
        "kernel_size=3",
        "kernel_size=3,stride=2",
        "input_size=8,kernel_size=3,padding=1,stride=2",
    ),
    3: ("kernel_size=2", "kernel_size=3"),
}

for _sides in (1, 2, 3):
    structured(
        "y_w = max of x_i over i in window w",
        "dx_i = Σ_w dy_w·[x_i is the maximum of w]",
        name=f"max_pool{_sides}d",
        cite=_CITE,
        examples=_EXAMPLES[_sides],
    )(partial(max_pool, _sides))
    structured(
        "y_w = mean of x_i over i in window w",
        "dx_i = Σ_w dy_w/|w| over the windows w that hold i",
        name=f"avg_pool{_sides}d",
        cite=_CITE,
        examples=_EXAMPLES[_sides],
    )(partial(avg_pool, _sides))

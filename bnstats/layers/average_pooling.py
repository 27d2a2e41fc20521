"""Average pooling: over sliding windows, windows that adapt to the size, and the whole map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Annotated

from bnstats.layers._known import Known
from bnstats.layers._layout import (
    adaptive_windows,
    border_hints,
    in_region,
    refuse_wide_padding,
    windows,
)
from bnstats.layers._parameters import Follows, ParameterError, Range, Size
from bnstats.layers._reductions import over_windows, total
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
from bnstats.layers._windows import Extent, Region, Windows, inside, padded

_CITE = "torch.nn.functional; https://arxiv.org/abs/1603.07285 for the geometry"


def average_event(
    w: Windows,
    divisor: Callable[[Extent], int],
    factor: float = 1.0,
    hints: tuple[str, ...] = (),
) -> BoundLayer:
    """Return the event of y = c·Σx over each window, c = factor/divisor(extent).

    The divisor is a product over the sides.
    """

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        y, backward = over_windows(xp, draws["x"], w, total)
        c = factor / w.divisors(xp, divisor, y)
        return y * c, lambda dy: backward(dy * c)

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        # A window of m elements has y ~ N(c·m·x_mean, c²·m·x_std²); m of the dx get c·dy each.
        del expect

        def reach(e: Extent) -> float:
            return factor * e.inside / divisor(e)

        def square(e: Extent) -> float:
            return e.inside * (factor / divisor(e)) ** 2

        mean = law.x_mean * w.per_window(reach)
        within = law.x_std**2 * w.per_window(square)
        between = w.per_window(lambda e: (law.x_mean * reach(e) - mean) ** 2)
        known = {
            "mean_y": Known(mean),
            "var_y": Known(within + between),
            "ms_dx": Known(law.dy_std**2 * w.per_position(square)),
        }
        if prod(w.count) == 1:
            known["m4_y"] = Known(3 * within**2)  # one window of normals: y is normal
        return known

    inputs = {"x": Input(w.size), "dy": Input(w.count)}
    return BoundLayer(inputs, forward, moments, hints=hints)


def avg_pool(
    sides: int,
    *,
    kernel_size: Annotated[Size, Range("[1, inf)")],
    stride: Annotated[Size | None, Range("[1, inf)"), Follows("kernel_size")] = None,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
    region: Region = "all",
) -> BoundLayer:
    """Mean of each window; padding is 0 and counts as elements unless count_include_pad=false.

    What ceil_mode adds beyond the padding never counts. ``divisor_override`` is there for all
    sides; torch has it for two and three.
    """
    refuse_wide_padding(sides, kernel_size, padding)
    if divisor_override == 0:
        raise ParameterError("divisor_override=0 divides by zero")
    w = windows(sides, kernel_size, stride, padding, input_size, ceil_mode=ceil_mode, region=region)
    hints = border_hints(input_size, padding=padding, ceil_mode=ceil_mode)
    if divisor_override is not None:
        return in_region(average_event(w, lambda e: 1, 1 / divisor_override, hints), w)
    return in_region(average_event(w, padded if count_include_pad else inside, hints=hints), w)


def adaptive_avg_pool(
    sides: int,
    *,
    output_size: Annotated[Size, Range("[1, inf)")],
    input_size: Annotated[Size, Range("[1, inf)")],
) -> BoundLayer:
    """Mean of each of output_size windows, which share out the input."""
    return average_event(adaptive_windows(sides, output_size, input_size), inside)


def global_avg_pool(sides: int, *, input_size: Annotated[Size, Range("[1, inf)")]) -> BoundLayer:
    """Mean of the whole map."""
    return average_event(adaptive_windows(sides, 1, input_size), inside)


_EXAMPLES = {
    1: ("kernel_size=2", "kernel_size=3"),
    2: (
        "kernel_size=2",
        "kernel_size=3",
        "kernel_size=3,stride=2",
        "input_size=8,kernel_size=3,padding=1,stride=2",
        "count_include_pad=false,input_size=8,kernel_size=3,padding=1,stride=2",
        "divisor_override=1,kernel_size=2",
    ),
    3: ("kernel_size=2", "kernel_size=3"),
}
_FORMULA = "y_w = mean of x_i over i in window w"
_GRADIENT = "dx_i = Σ_w dy_w/|w| over the windows w that hold i"

for _sides in (1, 2, 3):
    structured(
        _FORMULA,
        _GRADIENT,
        name=f"avg_pool{_sides}d",
        cite=_CITE,
        aliases=(f"average_pooling{_sides}d",),
        examples=_EXAMPLES[_sides],
    )(partial(avg_pool, _sides))
    structured(
        f"{_FORMULA} = [⌊w·n/o⌋, ⌈(w+1)·n/o⌉)",
        _GRADIENT,
        name=f"adaptive_avg_pool{_sides}d",
        cite=_CITE,
        examples=("input_size=8,output_size=3",) if _sides < 3 else ("input_size=5,output_size=2",),
    )(partial(adaptive_avg_pool, _sides))
    structured(
        "y = mean of x_i over the whole map",
        "dx_i = dy/n, n positions",
        name=f"global_avg_pool{_sides}d",
        cite="keras.layers",
        aliases=(f"global_average_pooling{_sides}d",),
        examples=("input_size=7",) if _sides < 3 else ("input_size=4",),
    )(partial(global_avg_pool, _sides))

"""Average pooling: over sliding windows, windows that adapt to the size, and the whole map."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import UNKNOWN, ExactMoments, Known
from bnstats.layers._layout import CITE, SHARED_OUT, WHOLE_MAP, adaptive_windows, in_region, windows
from bnstats.layers._parameters import MapSize, Padding, ParameterError, Sizes, Stride
from bnstats.layers._reductions import over_windows, total
from bnstats.layers._registry import structured_by_sides
from bnstats.layers._windows import Extent, Region, Windows

_FORMULA = "y_w = mean of x_i over i in window w"
_GRADIENT = "dx_i = Σ_w dy_w/|w| over the windows w that hold i"


def mean_of(
    w: Windows, divisor: Callable[[Extent], int] = lambda extent: extent.inside, factor: float = 1.0
) -> BoundLayer:
    """Return the layer of y = c·Σx over each window, c = factor/divisor(extent).

    The divisor is a product over the sides.
    """

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, backward = over_windows(xp, draws["x"], w, total)
        c = factor / w.divisors(xp, divisor, y)
        return y * c, lambda dy: backward(dy * c)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # A window of m elements has y ~ N(c·m·x_mean, c²·m·x_std²); m of the dx get c·dy each.

        def reach(e: Extent) -> float:
            return factor * e.inside / divisor(e)

        def square(e: Extent) -> float:
            return e.inside * (factor / divisor(e)) ** 2

        mean = law.x_mean * w.per_window(reach)
        within = law.x_std**2 * w.per_window(square)
        between = w.per_window(lambda e: (law.x_mean * reach(e) - mean) ** 2)
        return ExactMoments(
            mean_y=Known(mean),
            var_y=Known(within + between),
            # One window of normals is normal.
            m4_y=Known(3 * within**2) if prod(w.count) == 1 else UNKNOWN,
            ms_dx=Known(law.dy_std**2 * w.per_position(square)),
        )

    return BoundLayer({"x": Input(w.size), "dy": Input(w.count)}, forward, moments)


@structured_by_sides(
    _FORMULA,
    _GRADIENT,
    name="avg_pool{}d",
    cite=CITE,
    aliases=(
        "average_pooling{}d",
        "flax.avg_pool{}d:stride=1",
        "keras.AveragePooling{}D:count_include_pad=false",
    ),
    examples={
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
    },
)
def avg_pool(
    sides: int,
    *,
    kernel_size: Sizes,
    stride: Stride = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    input_size: MapSize = None,
    region: Region = "all",
) -> BoundLayer:
    """Mean of each window; padding is 0 and counts as elements unless count_include_pad=false.

    What ceil_mode adds beyond the padding never counts. ``divisor_override`` is there for all
    sides; torch has it for two and three.
    """
    if divisor_override == 0:
        raise ParameterError("divisor_override=0 divides by zero")
    w = windows(sides, kernel_size, stride, padding, input_size, ceil_mode=ceil_mode, region=region)
    if divisor_override is not None:
        return in_region(mean_of(w, lambda e: 1, 1 / divisor_override), w)
    return in_region(mean_of(w, lambda e: e.padded if count_include_pad else e.inside), w)


@structured_by_sides(
    f"{_FORMULA} = [⌊w·n/o⌋, ⌈(w+1)·n/o⌉)",
    _GRADIENT,
    name="adaptive_avg_pool{}d",
    cite=CITE,
    examples=SHARED_OUT,
)
def adaptive_avg_pool(sides: int, *, output_size: Sizes, input_size: Sizes) -> BoundLayer:
    """Mean of each of output_size windows, which share out the input."""
    return mean_of(adaptive_windows(sides, output_size, input_size))


@structured_by_sides(
    "y = mean of x_i over the whole map",
    "dx_i = dy/n, n positions",
    name="global_avg_pool{}d",
    cite="keras.layers",
    aliases=("global_average_pooling{}d",),
    examples=WHOLE_MAP,
)
def global_avg_pool(sides: int, *, input_size: Sizes) -> BoundLayer:
    """Mean of the whole map."""
    return mean_of(adaptive_windows(sides, 1, input_size))

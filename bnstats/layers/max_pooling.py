"""Max pooling: over sliding windows, over windows that adapt to the size, and over the whole map.

A window sends all of its dy to one x. Several may send theirs to the same x, but their dy are
independent with mean zero, so E[dx²] is dy_std² times the number of windows per position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Annotated

from bnstats.layers._known import Known, combined
from bnstats.layers._layout import (
    adaptive_windows,
    border_hints,
    in_region,
    refuse_wide_padding,
    windows,
)
from bnstats.layers._parameters import Follows, ParameterError, Range, Size
from bnstats.layers._reductions import largest, over_windows
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
from bnstats.layers._windows import Region, Windows

_CITE = "torch.nn.functional; https://arxiv.org/abs/1603.07285 for the geometry"


def _max_event(w: Windows, hints: tuple[str, ...] = ()) -> BoundLayer:
    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        return over_windows(xp, draws["x"], w, largest, padding=-float("inf"))

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        shares = [(extent.inside, share) for extent, share in w.shares.items()]
        return max_moments(shares, w.per_position(lambda e: 1), prod(w.count) == 1, law, expect)

    return BoundLayer({"x": Input(w.size), "dy": Input(w.count)}, forward, moments, hints=hints)


def max_moments(
    shares: Sequence[tuple[int, float]], windows: float, scalar: bool, law: Law, expect: Expect
) -> Mapping[str, Known]:
    """Return the moments where y is the largest of m elements, for pairs of m and its share.

    ``windows`` is their number per position of x; a scalar y has a fourth moment.
    """

    def over_y(value: Callable[[Array], Array]) -> Known:
        parts = ((share, expect(lambda xp, x: value(x), maximum_of=m)) for m, share in shares)
        return combined(*parts)._replace(by="order statistics")

    mean = over_y(lambda x: x)
    known = {
        "mean_y": mean,
        "var_y": over_y(lambda x: (x - mean.value) ** 2),
        "ms_dx": Known(law.dy_std**2 * windows),
    }
    if scalar:
        known["m4_y"] = over_y(lambda x: (x - mean.value) ** 4)
    return known


def max_pool(
    sides: int,
    *,
    kernel_size: Annotated[Size, Range("[1, inf)")],
    stride: Annotated[Size | None, Range("[1, inf)"), Follows("kernel_size")] = None,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    dilation: Annotated[Size, Range("[1, inf)")] = 1,
    ceil_mode: bool = False,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
    region: Region = "all",
) -> BoundLayer:
    """Largest element of each window; padding is −∞."""
    refuse_wide_padding(sides, kernel_size, padding)
    w = windows(
        sides,
        kernel_size,
        stride,
        padding,
        input_size,
        dilation,
        ceil_mode=ceil_mode,
        region=region,
    )
    # torch answers −∞, with no position to send dy to
    if any(extent.inside == 0 for extent in w.shares):
        raise ParameterError("a window lies in the padding, its positions skip the whole input")
    hints = border_hints(input_size, padding=padding, ceil_mode=ceil_mode)
    return in_region(_max_event(w, hints), w)


def adaptive_max_pool(
    sides: int,
    *,
    output_size: Annotated[Size, Range("[1, inf)")],
    input_size: Annotated[Size, Range("[1, inf)")],
) -> BoundLayer:
    """Largest element of each of output_size windows, which share out the input."""
    return _max_event(adaptive_windows(sides, output_size, input_size))


def global_max_pool(sides: int, *, input_size: Annotated[Size, Range("[1, inf)")]) -> BoundLayer:
    """Largest element of the whole map."""
    return _max_event(adaptive_windows(sides, 1, input_size))


_EXAMPLES = {
    1: ("kernel_size=2", "kernel_size=3"),
    2: (
        "kernel_size=2",
        "kernel_size=3",
        "kernel_size=3,stride=2",
        "input_size=8,kernel_size=3,padding=1,stride=2",
        "input_size=8,kernel_size=3,padding=1,region=border,stride=2",
        "ceil_mode=true,input_size=8,kernel_size=3,stride=2",
        "dilation=2,kernel_size=3,stride=1",
    ),
    3: ("kernel_size=2", "kernel_size=3"),
}
_FORMULA = "y_w = max of x_i over i in window w"
_GRADIENT = "dx_i = Σ_w dy_w·[x_i is the maximum of w]"

for _sides in (1, 2, 3):
    structured(
        _FORMULA,
        _GRADIENT,
        name=f"max_pool{_sides}d",
        cite=_CITE,
        aliases=(f"max_pooling{_sides}d:kernel_size=2",),
        examples=_EXAMPLES[_sides],
    )(partial(max_pool, _sides))
    structured(
        f"{_FORMULA} = [⌊w·n/o⌋, ⌈(w+1)·n/o⌉)",
        _GRADIENT,
        name=f"adaptive_max_pool{_sides}d",
        cite=_CITE,
        examples=("input_size=8,output_size=3",) if _sides < 3 else ("input_size=5,output_size=2",),
    )(partial(adaptive_max_pool, _sides))
    structured(
        "y = max of x_i over the whole map",
        "dx_i = dy·[x_i is the maximum]",
        name=f"global_max_pool{_sides}d",
        cite="keras.layers",
        aliases=(f"global_max_pooling{_sides}d",),
        examples=("input_size=7",) if _sides < 3 else ("input_size=4",),
    )(partial(global_max_pool, _sides))

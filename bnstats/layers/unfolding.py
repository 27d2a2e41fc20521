"""Sliding windows laid out side by side, and summed back into a map."""

from __future__ import annotations

from bnstats.layers._bound import BoundLayer
from bnstats.layers._layout import windows
from bnstats.layers._maps import Along, Taps, along, linear_map
from bnstats.layers._parameters import Padding, Sizes
from bnstats.layers._registry import structured
from bnstats.layers._windows import Side


def _laid_out(side: Side) -> Along:
    """Return the map from a side to the positions of its windows, one window after another."""
    (stretch,) = side.stretches

    def taps(i: int) -> Taps:
        window, tap = divmod(i, stretch.taps)
        position = window * stretch.step + tap * stretch.dilation - side.padding[0]
        return {position: 1.0} if 0 <= position < side.size else {}

    return along(side.size, stretch.count * stretch.taps, taps)


@structured(
    "y_w,k = x at position k of window w, 0 in the padding",
    "dx_i = Σ dy over the windows that hold i",
    cite="torch.nn",
    examples=("input_size=4,kernel_size=2", "input_size=5,kernel_size=3,padding=1,stride=2"),
)
def unfold(
    *,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Padding = 0,
    stride: Sizes = 1,
    input_size: Sizes,
) -> BoundLayer:
    """All windows of an image, laid out side by side; each position is copied to every window."""
    w = windows(2, kernel_size, stride, padding, input_size, dilation, any_padding=True)
    return linear_map([_laid_out(side) for side in w.sides])


@structured(
    "y_i = Σ x over the windows that hold i",
    "dx_w,k = dy at position k of window w, 0 in the padding",
    cite="torch.nn",
    examples=("kernel_size=2,output_size=4", "kernel_size=3,output_size=5,padding=1,stride=2"),
)
def fold(
    *,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Padding = 0,
    stride: Sizes = 1,
) -> BoundLayer:
    """Sum of windows, side by side in x, into an image: the transpose of `unfold`."""
    w = windows(2, kernel_size, stride, padding, output_size, dilation, any_padding=True)
    return linear_map([_laid_out(side).transposed() for side in w.sides])

"""Convolution and transposed convolution in one to three dimensions, with groups and dilation.

Weights are drawn afresh for every draw: the numbers are over the initialisation too. A depthwise
convolution is groups=in_channels.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from bnstats.layers._bound import BoundLayer
from bnstats.layers._initialisation import CITE, Gain, InitName, Mode, weights
from bnstats.layers._layout import by_side, idle_hints, in_region, windows
from bnstats.layers._parameters import Count, MapSize, Padding, ParameterError, Sizes
from bnstats.layers._registry import structured_by_sides
from bnstats.layers._weighted import weighted_layer
from bnstats.layers._windows import Region


@structured_by_sides(
    "y_o,w = Σ_c Σ_k W_o,c,k·x_c,w+k,  W drawn by init",
    "dx_c,i = Σ_o Σ_w W_o,c,i−w·dy_o,w",
    name="conv{}d",
    cite=CITE,
    examples={1: ("",), 2: ("init=unit_fan_out", "init=unit_fan_in", "stride=2"), 3: ("",)},
)
def conv(
    sides: int,
    *,
    in_channels: Count = 2,
    out_channels: Count = 2,
    kernel_size: Sizes = 3,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: Count = 1,
    input_size: MapSize = None,
    region: Region = "all",
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Gain = None,
) -> BoundLayer:
    """Convolution without bias; the numbers are over fresh weights for every draw."""
    w = windows(
        sides, kernel_size, stride, padding, input_size, dilation, region=region, any_padding=True
    )
    drawn = partial(weights, init, mode, gain)
    return in_region(weighted_layer(w, drawn, in_channels, out_channels, groups=groups), w)


@structured_by_sides(
    "y_o,i = Σ_c Σ_w W_c,o,i−w·x_c,w,  W drawn by init",
    "dx_c,w = Σ_o Σ_k W_c,o,k·dy_o,w+k",
    name="conv_transpose{}d",
    cite=CITE,
    examples={1: ("",), 2: ("stride=2",), 3: ("",)},
)
def conv_transpose(
    sides: int,
    *,
    in_channels: Count = 2,
    out_channels: Count = 2,
    kernel_size: Sizes = 3,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Padding = 0,
    groups: Count = 1,
    dilation: Sizes = 1,
    input_size: MapSize = None,
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Gain = None,
) -> BoundLayer:
    """Transposed convolution without bias: a convolution's backward as the forward, and back."""
    output_size = None
    if input_size is not None:
        slid = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        slid |= {"output_padding": output_padding, "dilation": dilation}
        each = by_side(sides, input_size=input_size, **slid)
        output_size = tuple(_output_size(*side) for side in each)
    w = windows(sides, kernel_size, stride, padding, output_size, dilation, any_padding=True)
    if input_size is None and not w.hints:
        w = replace(w, hints=idle_hints(output_padding))
    drawn = partial(weights, init, mode, gain)
    bound = weighted_layer(w, drawn, in_channels, out_channels, groups=groups, transposed=True)
    return in_region(bound, w)


def _output_size(n: int, kernel: int, stride: int, padding: int, extra: int, dilation: int) -> int:
    """Return the size on which a convolution makes n outputs; ``extra`` chooses among several."""
    if extra >= stride:
        raise ParameterError(f"output_padding={extra} is not smaller than stride={stride}")
    size = (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + extra
    if size < 1:
        raise ParameterError(f"padding={padding} leaves nothing of the output")
    return size

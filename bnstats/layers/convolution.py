"""Convolution and transposed convolution in one to three dimensions, with groups and dilation.

Weights are drawn afresh for every draw: the numbers are over the initialisation too. A depthwise
convolution is groups=in_channels, keras' a layer of its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from bnstats.layers._bound import BoundLayer
from bnstats.layers._initialisation import CITE, Bias, Gain, InitName, Mode, weights
from bnstats.layers._layout import by_side, idle_hints, in_region, windows
from bnstats.layers._parameters import (
    Assumed,
    Count,
    MapSize,
    NonNegative,
    Padding,
    PaddingOrSame,
    ParameterError,
    Sizes,
    Width,
)
from bnstats.layers._registry import structured_by_sides
from bnstats.layers._weighted import weighted_layer
from bnstats.layers._windows import Region, Side


@structured_by_sides(
    "y_o,w = b_o + Σ_c Σ_k W_o,c,k·x_c,w+k,  W and b drawn by init",
    "dx_c,i = Σ_o Σ_w W_o,c,i−w·dy_o,w",
    name="conv{}d",
    cite=CITE,
    aliases=(
        "torch.Conv{}d:bias=true,init=torch",
        "torch.conv{}d:bias=false",
        "keras.Conv{}D:bias=true,init=keras",
        "flax.Conv{}d:bias=true,init=flax,padding=same",
    ),
    aliases_of={1: ("torch.conv_tbc",)},
    examples={1: ("",), 2: ("init=unit_fan_out", "init=unit_fan_in", "stride=2"), 3: ("",)},
)
def conv(
    sides: int,
    *,
    in_channels: Width = 2,
    out_channels: Width = 2,
    kernel_size: Annotated[Sizes, Assumed()] = 3,
    stride: Sizes = 1,
    padding: PaddingOrSame = 0,
    dilation: Sizes = 1,
    groups: Count = 1,
    input_size: MapSize = None,
    region: Region = "all",
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Gain = None,
    a: NonNegative = 0.0,
    bias: Bias = False,
) -> BoundLayer:
    """Convolution, its weights drawn afresh for every draw; b is 0 unless bias=true."""
    w = windows(
        sides, kernel_size, stride, padding, input_size, dilation, region=region, any_padding=True
    )
    drawn, offset = partial(weights, init, mode, gain, a=a), init if bias else None
    bound = weighted_layer(w, drawn, in_channels, out_channels, bias=offset, groups=groups)
    return in_region(bound, w)


@structured_by_sides(
    "y_o,i = b_o + Σ_c Σ_w W_c,o,i−w·x_c,w,  W and b drawn by init",
    "dx_c,w = Σ_o Σ_k W_c,o,k·dy_o,w+k",
    name="conv_transpose{}d",
    cite=CITE,
    aliases=(
        "torch.ConvTranspose{}d:bias=true,init=torch",
        "torch.conv_transpose{}d:bias=false",
        "keras.Conv{}DTranspose:bias=true,init=keras",
        "flax.ConvTranspose{}d:bias=true,init=flax",
    ),
    examples={1: ("",), 2: ("stride=2",), 3: ("",)},
)
def conv_transpose(
    sides: int,
    *,
    in_channels: Width = 2,
    out_channels: Width = 2,
    kernel_size: Annotated[Sizes, Assumed()] = 3,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Padding = 0,
    groups: Count = 1,
    dilation: Sizes = 1,
    input_size: MapSize = None,
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Gain = None,
    a: NonNegative = 0.0,
    bias: Bias = False,
) -> BoundLayer:
    """Transposed convolution: a convolution's backward as the forward, and back."""
    output_size = None
    if input_size is not None:
        slid = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        slid |= {"output_padding": output_padding, "dilation": dilation}
        each = by_side(sides, input_size=input_size, **slid)
        output_size = tuple(_output_size(*side) for side in each)
    w = windows(sides, kernel_size, stride, padding, output_size, dilation, any_padding=True)
    if input_size is None and not w.hints:
        w = replace(w, hints=idle_hints(output_padding))
    if input_size is not None:  # output_padding ≥ stride has room for further windows
        n = (size for (size,) in by_side(sides, input_size=input_size))
        w = replace(w, sides=tuple(map(_with_windows, w.sides, n)))
    drawn, offset = partial(weights, init, mode, gain, a=a), init if bias else None
    bound = weighted_layer(
        w, drawn, in_channels, out_channels, bias=offset, groups=groups, transposed=True
    )
    return in_region(bound, w)


def _with_windows(side: Side, count: int) -> Side:
    (stretch,) = side.stretches
    return replace(side, stretches=(replace(stretch, count=count),))


def _output_size(n: int, kernel: int, stride: int, padding: int, extra: int, dilation: int) -> int:
    """Return the size on which a convolution makes n outputs; ``extra`` chooses among several."""
    if extra >= max(stride, dilation):
        raise ParameterError(
            f"output_padding={extra} is smaller neither than stride={stride} nor than "
            f"dilation={dilation}"
        )
    size = (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + extra
    if size < 1:
        raise ParameterError(f"padding={padding} leaves nothing of the output")
    return size

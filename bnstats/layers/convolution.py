"""Convolution and transposed convolution in one to three dimensions, with groups and dilation.

Weights are drawn afresh for every draw: the numbers are over the initialisation too. A depthwise
convolution is groups=in_channels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from bnstats.layers._bound import BoundLayer
from bnstats.layers._initialisation import CITE, InitName, Mode
from bnstats.layers._layout import idle_hints, in_region, per_side, windows
from bnstats.layers._parameters import ParameterError, Range, Size
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
    in_channels: Annotated[int, Range("[1, inf)")] = 2,
    out_channels: Annotated[int, Range("[1, inf)")] = 2,
    kernel_size: Annotated[Size, Range("[1, inf)")] = 3,
    stride: Annotated[Size, Range("[1, inf)")] = 1,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    dilation: Annotated[Size, Range("[1, inf)")] = 1,
    groups: Annotated[int, Range("[1, inf)")] = 1,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
    region: Region = "all",
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Annotated[float | None, Range("(0, inf)")] = None,
) -> BoundLayer:
    """Convolution without bias; the numbers are over fresh weights for every draw."""
    w = windows(sides, kernel_size, stride, padding, input_size, dilation, region=region)
    bound = weighted_layer(
        w, in_channels, out_channels, groups=groups, init=init, mode=mode, gain=gain
    )
    return in_region(bound, w)


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
    in_channels: Annotated[int, Range("[1, inf)")] = 2,
    out_channels: Annotated[int, Range("[1, inf)")] = 2,
    kernel_size: Annotated[Size, Range("[1, inf)")] = 3,
    stride: Annotated[Size, Range("[1, inf)")] = 1,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    output_padding: Annotated[Size, Range("[0, inf)")] = 0,
    groups: Annotated[int, Range("[1, inf)")] = 1,
    dilation: Annotated[Size, Range("[1, inf)")] = 1,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Annotated[float | None, Range("(0, inf)")] = None,
) -> BoundLayer:
    """Transposed convolution without bias: a convolution's backward as the forward, and back."""
    output_size = None
    if input_size is not None:
        names = ("input_size", "kernel_size", "stride", "padding", "output_padding", "dilation")
        given = (input_size, kernel_size, stride, padding, output_padding, dilation)
        by_side = (per_side(k, v, sides) for k, v in zip(names, given, strict=True))
        output_size = tuple(_output_size(*side) for side in zip(*by_side, strict=True))
    w = windows(sides, kernel_size, stride, padding, output_size, dilation)
    if input_size is None and not w.hints:
        w = replace(w, hints=idle_hints(output_padding))
    bound = weighted_layer(
        w,
        in_channels,
        out_channels,
        groups=groups,
        init=init,
        mode=mode,
        gain=gain,
        transposed=True,
    )
    return in_region(bound, w)


def _output_size(n: int, kernel: int, stride: int, padding: int, extra: int, dilation: int) -> int:
    """Return the size on which a convolution makes n outputs; ``extra`` chooses among several."""
    if extra >= stride:
        raise ParameterError(f"output_padding={extra} is not smaller than stride={stride}")
    size = (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + extra
    if size < 1:
        raise ParameterError(f"padding={padding} leaves nothing of the output")
    return size

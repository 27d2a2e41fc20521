"""Depthwise and separable convolutions as keras draws them: its fans are those of no convolution.

Elsewhere a depthwise convolution is `conv1d` … with groups=in_channels. Biases begin at 0.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Annotated, Any

from bnstats.layers._bound import Array, BoundLayer, Input, Namespace
from bnstats.layers._initialisation import Weights, independent
from bnstats.layers._layout import in_region, windows
from bnstats.layers._parameters import Assumed, Count, MapSize, PaddingOrSame, Sizes, Width
from bnstats.layers._registry import structured_by_sides
from bnstats.layers._weighted import weighted_layer

_CITE = "arXiv:1610.02357; weights: glorot_uniform of keras"


def _glorot_std(fan_in: int, fan_out: int) -> float:
    return sqrt(2 / (fan_in + fan_out))


@structured_by_sides(
    "y_c,m,w = Σ_k W_c,m,k·x_c,w+k,  W ~ U(±√(6/fans)), fans = kernel·(in_channels + multiplier)",
    "dx_c,i = Σ_m Σ_w W_c,m,i−w·dy_c,m,w",
    name="depthwise_conv{}d",
    cite=_CITE,
    examples={1: ("",), 2: ("",)},
)
def depthwise_conv(
    sides: int,
    *,
    in_channels: Width = 2,
    depth_multiplier: Count = 1,
    kernel_size: Annotated[Sizes, Assumed()] = 3,
    stride: Sizes = 1,
    padding: PaddingOrSame = 0,
    dilation: Sizes = 1,
    input_size: MapSize = None,
) -> BoundLayer:
    """Convolution of every channel by itself, its weights drawn afresh for every draw."""
    w = windows(sides, kernel_size, stride, padding, input_size, dilation, any_padding=True)
    taps = prod(w.kernel)
    std = _glorot_std(taps * in_channels, taps * depth_multiplier)

    def drawn(shape: tuple[int, ...], **layout: Any) -> Weights:
        return independent("uniform", std, shape)

    made = in_channels * depth_multiplier
    return in_region(weighted_layer(w, drawn, in_channels, made, groups=in_channels), w)


@structured_by_sides(
    "y_o,w = Σ_c Σ_m P_o,c,m Σ_k W_c,m,k·x_c,w+k,  W and P each glorot_uniform",
    "dx_c,i = Σ_m Σ_w W_c,m,i−w Σ_o P_o,c,m·dy_o,w",
    name="separable_conv{}d",
    cite=_CITE,
    examples={1: ("",), 2: ("",)},
)
def separable_conv(
    sides: int,
    *,
    in_channels: Width = 2,
    out_channels: Width = 2,
    depth_multiplier: Count = 1,
    kernel_size: Annotated[Sizes, Assumed()] = 3,
    stride: Sizes = 1,
    padding: PaddingOrSame = 0,
    dilation: Sizes = 1,
    input_size: MapSize = None,
) -> BoundLayer:
    """Depthwise convolution, then a pointwise one: their weights are drawn for every draw."""
    w = windows(sides, kernel_size, stride, padding, input_size, dilation, any_padding=True)
    taps, made = prod(w.kernel), in_channels * depth_multiplier
    depthwise = independent(
        "uniform", _glorot_std(taps * in_channels, taps * depth_multiplier), (made * taps,)
    )
    pointwise = independent("uniform", _glorot_std(made, out_channels), (out_channels * made,))

    def drawn(shape: tuple[int, ...], **layout: Any) -> Weights:
        def tensor(xp: Namespace, draws: Array) -> Array:
            n = draws.shape[-1]
            deep = depthwise.tensor(xp, draws[: made * taps])
            deep = xp.reshape(deep, (1, in_channels, depth_multiplier, taps, n))
            across = pointwise.tensor(xp, draws[made * taps :])
            across = xp.reshape(across, (out_channels, in_channels, depth_multiplier, 1, n))
            return xp.reshape(xp.sum(across * deep, axis=2), (*shape, n))

        # Elements of the product are uncorrelated, as those of a matrix of zero mean are.
        ms = depth_multiplier * depthwise.ms * pointwise.ms
        return Weights(Input(((taps + out_channels) * made,), "uniform"), ms, tensor)

    return in_region(weighted_layer(w, drawn, in_channels, out_channels), w)

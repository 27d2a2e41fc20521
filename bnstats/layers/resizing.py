"""Resizing: y is x on a finer or coarser map, each position looked up or interpolated."""

from __future__ import annotations

from collections import defaultdict
from math import floor
from typing import Annotated, Literal

from bnstats.layers._bound import BoundLayer
from bnstats.layers._layout import by_side
from bnstats.layers._maps import Along, Taps, along, linear_map
from bnstats.layers._parameters import Count, MapSize, ParameterError, Sizes, Synonyms
from bnstats.layers._registry import structured, structured_by_sides

_WORDS = Synonyms((("bilinear", "linear"), ("trilinear", "linear"), ("bicubic", "cubic")))
Mode = Annotated[Literal["nearest", "linear", "cubic"], _WORDS]

_BEND = -0.75  # the free parameter of Keys' kernel, as in torch


@structured_by_sides(
    "y_j = Σ_i w_j,i·x_i over the positions i nearest to that of j",
    "dx_i = Σ_j w_j,i·dy_j",
    name="upsample{}d",
    cite="torch.nn; cubic: Keys, IEEE TASSP 1981",
    aliases=("torch.interpolate{}d", "keras.UpSampling{}D:scale_factor=2"),
    aliases_of={
        2: (
            "torch.UpsamplingNearest2d",
            "torch.upsample_nearest",
            "torch.UpsamplingBilinear2d:align_corners=true,mode=linear",
            "torch.upsample_bilinear:align_corners=true,mode=linear",
            "keras.Resizing:mode=linear",
        )
    },
    examples={
        1: ("input_size=4,scale_factor=2", "input_size=4,mode=linear,scale_factor=2"),
        2: ("input_size=4,scale_factor=2", "input_size=4,mode=linear,scale_factor=2"),
        3: ("input_size=3,scale_factor=2", "input_size=3,mode=linear,scale_factor=2"),
    },
)
def upsample(
    sides: int,
    *,
    scale_factor: MapSize = None,
    size: MapSize = None,
    mode: Mode = "nearest",
    align_corners: bool = False,
    input_size: Sizes,
) -> BoundLayer:
    """Upsampling by whole factors, or to a size, without antialiasing where that is smaller."""
    if scale_factor is not None and size is None:
        factors = by_side(sides, input_size=input_size, scale_factor=scale_factor)
        each = [(n, n * factor) for n, factor in factors]
    elif size is not None and scale_factor is None:
        each = by_side(sides, input_size=input_size, size=size)
    else:
        raise ParameterError("a map is resized by scale_factor or to size: give one of them")
    if align_corners and mode == "nearest":
        raise ParameterError("align_corners has no effect with mode=nearest")
    return linear_map([_resized(n, out, mode, align_corners) for n, out in each])


def _resized(n: int, outputs: int, mode: Mode, align_corners: bool) -> Along:
    """Return the map from n positions to others: their centres, or their ends if aligned, meet."""

    def at(j: int) -> float:
        if align_corners:
            return j * (n - 1) / (outputs - 1) if outputs > 1 else 0.0
        return (j + 0.5) * n / outputs - 0.5

    def nearest(j: int) -> Taps:
        return {j * n // outputs: 1.0}

    def linear(j: int) -> Taps:
        below = floor(at(j))
        return _within(n, {below: below + 1 - at(j), below + 1: at(j) - below})

    def cubic(j: int) -> Taps:
        below = floor(at(j))
        return _within(n, {i: _keys(at(j) - i) for i in range(below - 1, below + 3)})

    return along(n, outputs, {"nearest": nearest, "linear": linear, "cubic": cubic}[mode])


def _within(n: int, taps: Taps) -> Taps:
    """Return taps of which those beyond the map are at its edge, and none are 0."""
    found = defaultdict[int, float](float)
    for position, weight in taps.items():
        found[min(max(position, 0), n - 1)] += weight
    return {position: weight for position, weight in found.items() if weight}


def _keys(t: float) -> float:
    """Return Keys' cubic convolution kernel, which is 0 beyond ±2."""
    t = abs(t)
    if t <= 1:
        return ((_BEND + 2) * t - (_BEND + 3)) * t * t + 1
    return _BEND * (((t - 5) * t + 8) * t - 4) if t < 2 else 0.0


@structured("y_j = x,  j = 1 … n", "dx = Σ dy", cite="keras.layers", examples=("n=3",))
def repeat_vector(*, n: Count) -> BoundLayer:
    """Repetition of x, n times."""
    return linear_map([along(1, n, lambda j: {0: 1.0})])

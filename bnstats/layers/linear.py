"""The linear layer, its weights drawn afresh for every draw."""

from __future__ import annotations

from typing import Annotated

from bnstats.layers._bound import BoundLayer
from bnstats.layers._initialisation import CITE, InitName, Mode
from bnstats.layers._layout import windows
from bnstats.layers._parameters import Range
from bnstats.layers._registry import structured
from bnstats.layers._weighted import weighted_layer


@structured(
    "y = W·x,  W (out_features, in_features) drawn by init",
    "dx = Wᵀ·dy",
    cite=CITE,
    aliases=("dense",),
    examples=(
        "init=unit_fan_out",
        "init=unit_fan_in",
        "init=xavier_normal",
        "init=kaiming_normal",
        "init=kaiming_uniform",
        "init=lecun_normal",
        "init=orthogonal",
    ),
)
def linear(
    *,
    in_features: Annotated[int, Range("[1, inf)")] = 4,
    out_features: Annotated[int, Range("[1, inf)")] = 4,
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Annotated[float | None, Range("(0, inf)")] = None,
) -> BoundLayer:
    """Linear layer without bias; the numbers are over fresh weights for every draw."""
    point = windows(0, (), (), (), ())
    return weighted_layer(point, in_features, out_features, init=init, mode=mode, gain=gain)

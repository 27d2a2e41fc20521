"""The linear layer, its weights drawn afresh for every draw."""

from __future__ import annotations

from functools import partial

from bnstats.layers._bound import BoundLayer
from bnstats.layers._initialisation import CITE, Gain, InitName, Mode, weights
from bnstats.layers._layout import windows
from bnstats.layers._parameters import Count
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
    in_features: Count = 4,
    out_features: Count = 4,
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Gain = None,
) -> BoundLayer:
    """Linear layer without bias; the numbers are over fresh weights for every draw."""
    point = windows(0, (), (), (), ())
    return weighted_layer(point, partial(weights, init, mode, gain), in_features, out_features)

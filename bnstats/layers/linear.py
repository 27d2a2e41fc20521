"""The linear layer, its weights drawn afresh for every draw."""

from __future__ import annotations

from functools import partial

from bnstats.layers._bound import BoundLayer
from bnstats.layers._initialisation import CITE, Bias, Gain, InitName, Mode, Slope, weights
from bnstats.layers._layout import windows
from bnstats.layers._parameters import Width
from bnstats.layers._registry import structured
from bnstats.layers._weighted import weighted_layer


@structured(
    "y = W·x + b,  W (out_features, in_features) and b drawn by init",
    "dx = Wᵀ·dy",
    cite=CITE,
    aliases=(
        "dense",
        "torch.Linear:bias=true,init=torch",
        "torch.linear:bias=false",
        "keras.Dense:bias=true,init=keras",
        "flax.Dense:bias=true,init=flax",
        "flax.Linear:bias=true,init=flax",
        "flax.DenseGeneral:bias=true,init=flax",
        "flax.LinearGeneral:bias=true,init=flax",
        "flax.Einsum:bias=true,init=flax",
        "keras.EinsumDense:bias=false,init=keras",
    ),
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
    in_features: Width = 4,
    out_features: Width = 4,
    init: InitName = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Gain = None,
    a: Slope = 0.0,
    bias: Bias = False,
) -> BoundLayer:
    """Linear layer, its weights drawn afresh for every draw; b is 0 unless bias=true."""
    point, drawn = windows(0, (), (), (), ()), partial(weights, init, mode, gain, a=a)
    return weighted_layer(point, drawn, in_features, out_features, bias=init if bias else None)

"""Linear and bilinear layers, their weights drawn afresh for every draw."""

from __future__ import annotations

import math
from functools import partial

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._initialisation import CITE, Bias, Gain, InitName, Mode, independent, weights
from bnstats.layers._known import ExactMoments, Known
from bnstats.layers._layout import windows
from bnstats.layers._parameters import NonNegative, Width
from bnstats.layers._registry import structured
from bnstats.layers._weighted import inputs_of, weighted_layer


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
    a: NonNegative = 0.0,
    bias: Bias = False,
) -> BoundLayer:
    """Linear layer, its weights drawn afresh for every draw; b is 0 unless bias=true."""
    point, drawn = windows(0, (), (), (), ()), partial(weights, init, mode, gain, a=a)
    return weighted_layer(point, drawn, in_features, out_features, bias=init if bias else None)


@structured(
    "y_o = Σ_i Σ_j a_i·W_o,i,j·b_j + c_o,  x = (a, b),  W, c ~ U(±1/√in1_features)",
    "da_i = Σ_o dy_o Σ_j W_o,i,j·b_j,  db_j = Σ_o dy_o Σ_i W_o,i,j·a_i",
    cite="torch.nn",
    aliases=("torch.Bilinear", "torch.bilinear:bias=false"),
)
def bilinear(
    *,
    in1_features: Width = 4,
    in2_features: Width = 4,
    out_features: Width = 4,
    bias: bool = True,
) -> BoundLayer:
    """Bilinear layer of torch, its weights drawn afresh for every draw."""
    first, second = in1_features, in2_features
    std = 1 / math.sqrt(3 * first)
    weight = independent("uniform", std, (out_features, first, second))
    offset = independent("uniform", std, (out_features,)) if bias else None

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        a, b = draws["x"][:first], draws["x"][first:]
        w = weight.tensor(xp, draws["weight"])
        with_b = xp.sum(w * b, axis=2)  # (out, in1, n)
        y = xp.sum(with_b * a, axis=1)
        if offset is not None:
            y = y + offset.tensor(xp, draws["bias"])

        def backward(dy: Array) -> Array:
            with_a = xp.sum(w * a[:, None], axis=1)  # (out, in2, n)
            da, db = (xp.sum(part * dy[:, None], axis=0) for part in (with_b, with_a))
            return xp.concat((da, db), axis=0)

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        x2, products = law.x_mean**2 + law.x_std**2, first * second
        of_bias = std**2 if bias else 0.0
        return ExactMoments(
            mean_y=Known(0.0),
            var_y=Known(products * std**2 * x2**2 + of_bias),
            ms_dx=Known(
                law.dy_std**2 * out_features * std**2 * x2 * 2 * products / (first + second)
            ),
        )

    x, dy = Input((first + second,)), Input((out_features,))
    inputs = inputs_of(x, dy, weight=weight, bias=offset)
    return BoundLayer(inputs, forward, moments)

"""Parametric layers: linear and convolution, their weights drawn afresh for every draw.

The numbers are therefore over the initialisation as well as over the inputs. A linear layer is a
convolution over no sides at all, so one builder serves both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Annotated, Literal

from bnstats.layers._layout import border_hints, in_region, windows
from bnstats.layers._parameters import ParameterError, Range, Size
from bnstats.layers._registry import (
    Array,
    Backward,
    Event,
    Expect,
    Input,
    Known,
    Law,
    Namespace,
    structured,
)
from bnstats.layers._windows import Region, Windows, inside

Init = Literal[
    "unit_fan_in",
    "unit_fan_out",
    "xavier_normal",
    "xavier_uniform",
    "kaiming_normal",
    "kaiming_uniform",
]
Mode = Literal["fan_in", "fan_out"]
_CITE = "unit: arXiv:1603.01431; xavier: Glorot and Bengio, AISTATS 2010; kaiming: arXiv:1502.01852"


def _weights(
    init: Init, mode: Mode, gain: float | None, shape: tuple[int, ...]
) -> tuple[Input, float, Callable[[Namespace, Array], Array]]:
    """Return the draw behind a weight tensor (out, in, *kernel), E[W²], and the map to W.

    ``unit_fan_in`` puts the weights of each output on the unit sphere over its inputs,
    ``unit_fan_out`` those of each input on the unit sphere over its outputs (uniformly: normals
    divided by their norm). Xavier and kaiming scale independent elements as torch.nn.init does;
    ``gain`` defaults to 1 and √2.
    """
    if mode != "fan_in" and not init.startswith("kaiming"):
        raise ParameterError(f"mode has no effect with init={init}")
    if gain is not None and init.startswith("unit"):
        raise ParameterError(f"gain has no effect with init={init}")
    fan_in, fan_out = prod(shape[1:]), shape[0] * prod(shape[2:])
    if init in ("unit_fan_in", "unit_fan_out"):
        over = tuple(a for a in range(len(shape)) if a != (0 if init == "unit_fan_in" else 1))
        fan = fan_in if init == "unit_fan_in" else fan_out

        def project(xp: Namespace, w: Array) -> Array:
            return w / xp.sqrt(xp.sum(w * w, axis=over, keepdims=True))

        return Input(shape), 1 / fan, project
    if init in ("xavier_normal", "xavier_uniform"):
        var = (1.0 if gain is None else gain) ** 2 * 2 / (fan_in + fan_out)
    else:
        fan = fan_in if mode == "fan_in" else fan_out
        var = (2.0 if gain is None else gain**2) / fan
    std = math.sqrt(var)
    if init.endswith("normal"):
        return Input(shape), var, lambda xp, w: w * std
    bound = math.sqrt(3) * std
    return Input(shape, "uniform"), var, lambda xp, u: (2 * u - 1) * bound


def _event(w: Windows, shape: tuple[int, ...], init: Init, mode: Mode, gain: float | None) -> Event:
    weight_input, weight_ms, weights = _weights(init, mode, gain, shape)
    spread = (slice(None),) * 2 + (None,) * len(w.sides) + (slice(None),)

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        x, weight = w.pad(xp, draws["x"], 0.0), weights(xp, draws["weight"])
        # per window position: weights (out, in, 1…, n), x of all windows (in, *count, n)
        terms = [(w.at(o), weight[(slice(None), slice(None), *o)][spread]) for o in w.offsets()]
        # One channel at a time: all at once would hold out·in·positions numbers a draw.
        y = sum(part[:, c] * x[at][None, c] for at, part in terms for c in range(shape[1]))

        def backward(dy: Array) -> Array:
            dx = xp.zeros_like(x)
            for at, part in terms:
                for o in range(shape[0]):
                    dx = xp.add_at(dx, at, part[o] * dy[None, o])
            return w.crop(dx)

        return y, backward

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        # Weights are symmetric about 0, exchangeable and uncorrelated: only E[W²] enters.
        del expect
        per_output, per_input = w.per_window(inside), w.per_position(inside)
        ms_x = law.x_std**2 + law.x_mean**2
        return {
            "mean_y": Known(0.0),
            "var_y": Known(shape[1] * per_output * weight_ms * ms_x),
            "ms_dx": Known(shape[0] * per_input * weight_ms * law.dy_std**2),
        }

    inputs = {
        "x": Input((shape[1], *w.size)),
        "dy": Input((shape[0], *w.count)),
        "weight": weight_input,
    }
    return Event(inputs, forward, moments)


@structured(
    "y = W·x,  W (out_features, in_features) drawn by init",
    "dx = Wᵀ·dy",
    cite=_CITE,
    aliases=("dense",),
    examples=(
        "init=unit_fan_out",
        "init=unit_fan_in",
        "init=xavier_normal",
        "init=kaiming_normal",
        "init=kaiming_uniform",
    ),
)
def linear(
    *,
    in_features: Annotated[int, Range("[1, inf)")] = 4,
    out_features: Annotated[int, Range("[1, inf)")] = 4,
    init: Init = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Annotated[float | None, Range("(0, inf)")] = None,
) -> Event:
    """Linear layer without bias; the numbers are over fresh weights for every draw."""
    return _event(windows(0, (), (), (), ()), (out_features, in_features), init, mode, gain)


def conv(
    sides: int,
    *,
    in_channels: Annotated[int, Range("[1, inf)")] = 2,
    out_channels: Annotated[int, Range("[1, inf)")] = 2,
    kernel_size: Annotated[Size, Range("[1, inf)")] = 3,
    stride: Annotated[Size, Range("[1, inf)")] = 1,
    padding: Annotated[Size, Range("[0, inf)")] = 0,
    input_size: Annotated[Size | None, Range("[1, inf)")] = None,
    region: Region = "all",
    init: Init = "unit_fan_out",
    mode: Mode = "fan_in",
    gain: Annotated[float | None, Range("(0, inf)")] = None,
) -> Event:
    """Convolution without bias; the numbers are over fresh weights for every draw."""
    w = windows(sides, kernel_size, stride, padding, input_size, region=region)
    event = _event(w, (out_channels, in_channels, *w.kernel), init, mode, gain)
    hints = border_hints(input_size, padding=padding)
    return in_region(replace(event, hints=hints), w)


structured(
    "y_o,w = Σ_c Σ_k W_o,c,k·x_c,w+k,  W drawn by init",
    "dx_c,i = Σ_o Σ_w W_o,c,i−w·dy_o,w",
    name="conv2d",
    cite=_CITE,
    examples=("init=unit_fan_out", "init=unit_fan_in", "init=unit_fan_out,stride=2"),
)(partial(conv, 2))

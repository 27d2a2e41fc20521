"""Weighted sums over windows, in groups of channels, their weights drawn afresh for every draw.

One linear map takes a map of channels to windows, its transpose takes windows back to the map. They
are the forward and the backward of a convolution, and the other way round of a transposed one. A
linear layer is a convolution over no sides at all.

Where the weights have one draw on their last axis and x has several, all of x shares them, as a
batch does in one network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._initialisation import Init, Weights, biases
from bnstats.layers._known import ExactMoments, Known
from bnstats.layers._parameters import ParameterError
from bnstats.layers._windows import Windows


def weighted_layer(
    w: Windows,
    weights: Callable[..., Weights],
    in_channels: int,
    out_channels: int,
    *,
    bias: Init | None = None,
    groups: int = 1,
    transposed: bool = False,
) -> BoundLayer:
    """Return the layer of a convolution, or of a transposed one.

    Parameters
    ----------
    w
        The windows of the input's map, or if transposed those of the output's.
    weights
        `bnstats.layers._initialisation.weights` with an initialisation chosen.
    bias
        The initialisation that draws a bias for each channel of y; None for no bias.
    in_channels, out_channels, groups
        The channels of x and y; each is split into ``groups``, and a group of outputs sees one
        group of inputs.
    transposed
        Whether the forward takes windows to the map.

    Raises
    ------
    ParameterError
        Channels that do not split into the groups, or an initialisation without biases.
    """
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise ParameterError(f"{name}={channels} is not a multiple of groups={groups}")
    # Channels of the windows and of the map; torch stores the weights as (windows', map's).
    outer, inner = (in_channels, out_channels) if transposed else (out_channels, in_channels)
    rows, columns = outer // groups, inner // groups
    shape = (outer, columns, *w.kernel)
    weight = weights(shape, groups=groups, transposed=transposed)
    offset = biases(bias, shape, out_channels) if bias else None
    stretched = (slice(None),) * 3 + (None,) * len(w.kernel) + (slice(None),)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        n = draws["x"].shape[-1]
        tensor = weight.tensor(xp, draws["weight"])
        tensor = xp.reshape(tensor, (groups, rows, columns, *w.kernel, tensor.shape[-1]))
        map_shape, window_shape = (groups, columns, *w.size, n), (groups, rows, *w.count, n)
        if tensor.shape[-1] == n:
            # of each position of a window: where it lies, weights (groups, rows, columns, 1…, n)
            terms = [(w.at(o), tensor[(slice(None),) * 3 + o][stretched]) for o in w.offsets()]
            windows_of, map_of = _by_channel(xp, terms, rows, columns)
        else:
            terms = [(w.at(o), tensor[(slice(None),) * 3 + o][..., 0]) for o in w.offsets()]
            windows_of, map_of = _by_product(xp, terms)

        def to_windows(x: Array) -> Array:
            y = windows_of(w.pad(xp, xp.reshape(x, map_shape), 0.0))
            return xp.reshape(y, (outer, *w.count, n))

        def to_map(dy: Array) -> Array:
            blank = w.pad(xp, xp.zeros(map_shape, dtype=dy.dtype), 0.0)
            dx = w.crop(map_of(blank, xp.reshape(dy, window_shape)))
            return xp.reshape(dx, (inner, *dx.shape[2:]))

        there, back = (to_map, to_windows) if transposed else (to_windows, to_map)
        y = there(draws["x"])
        if offset is not None:
            b = offset.tensor(xp, draws["bias"])
            y = y + xp.reshape(b, (out_channels, *(1,) * len(w.kernel), n))
        return y, back

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # Weights have mean 0 and are uncorrelated, so that E[x]² adds to the power of x.
        to_window = columns * w.per_window(lambda e: e.inside) * weight.ms
        to_position = rows * w.per_position(lambda e: e.inside) * weight.ms
        to_y, to_dx = (to_position, to_window) if transposed else (to_window, to_position)
        return ExactMoments(
            mean_y=Known(0.0),
            var_y=Known(to_y * (law.x_std**2 + law.x_mean**2) + (offset.ms if offset else 0.0)),
            ms_dx=Known(to_dx * law.dy_std**2),
        )

    on_map, on_windows = Input((inner, *w.size)), Input((outer, *w.count))
    x, dy = (on_windows, on_map) if transposed else (on_map, on_windows)
    inputs = inputs_of(x, dy, weight=weight, bias=offset)
    hints: tuple[str, ...] = ()
    if weight.fans and (groups > 1 or transposed):
        stored, (fan_in, fan_out) = "x".join(map(str, shape)), weight.fans
        hints = (f"fans of the weight, {stored} as torch stores it: in {fan_in}, out {fan_out}",)
    return BoundLayer(inputs, forward, moments, hints=hints)


def inputs_of(x: Input, dy: Input, **drawn: Weights | None) -> dict[str, Input]:
    """Return the inputs of a layer with weights by name, but for those that are None."""
    return {"x": x, "dy": dy} | {name: w.drawn for name, w in drawn.items() if w is not None}


def _by_channel(
    xp: Namespace, terms: Sequence[tuple[Any, Array]], rows: int, columns: int
) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
    """Return both maps where every draw has weights of its own, one channel at a time.

    All at once would hold rows·columns·positions numbers a draw.
    """

    def windows_of(x: Array) -> Array:
        return sum(part[:, :, c] * x[at][:, None, c] for at, part in terms for c in range(columns))

    def map_of(dx: Array, dy: Array) -> Array:
        for at, part in terms:
            for r in range(rows):
                dx = xp.add_at(dx, at, part[:, r] * dy[:, None, r])
        return dx

    return windows_of, map_of


def _by_product(
    xp: Namespace, terms: Sequence[tuple[Any, Array]]
) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
    """Return both maps where all draws share their weights, by products of matrices."""

    def windows_of(x: Array) -> Array:
        x_at = ((part, x[at]) for at, part in terms)
        return sum(xp.matmul(part, xp.reshape(v, (*v.shape[:2], -1))) for part, v in x_at)

    def map_of(dx: Array, dy: Array) -> Array:
        flat = xp.reshape(dy, (*dy.shape[:2], -1))
        for at, part in terms:
            found = xp.matmul(xp.permute_dims(part, (0, 2, 1)), flat)
            found = xp.reshape(found, (*found.shape[:2], *dy.shape[2:]))
            dx = xp.add_at(dx, at, found)
        return dx

    return windows_of, map_of

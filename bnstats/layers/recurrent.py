"""Cells of recurrent networks by one step: x is the input and the state before, y the state after.

Weights are drawn afresh for every draw: the numbers are over the initialisation too. A layer that
runs a cell along a sequence means one step here, because the law of a later state depends on the
steps before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, TypeAlias

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._initialisation import Weights, independent, weights
from bnstats.layers._known import SYMMETRIC, ExactMoments, Known
from bnstats.layers._parameters import Assumed, Width
from bnstats.layers._registry import structured
from bnstats.layers._tanh_of_sums import (
    Summand,
    orthogonal_weights,
    tanh_moments,
    truncated_weights,
    uniform_biases,
    uniform_weights,
)
from bnstats.layers._weighted import inputs_of

CellInit = Literal["torch", "keras", "flax", "nnx"]
InitOfCell = Annotated[CellInit, Assumed()]
PartOfX = Literal["all", "input", "hidden"]
PartOfLstm = Literal["all", "input", "hidden", "cell"]

# y and its backward, from the weighted sums of input and state, (gates, units, n) with biases, and
# the states (states, units, n). The backward returns the gradients of both sums, and of each state.
Grads: TypeAlias = tuple[Array, Array, list[Array]]
Stepped: TypeAlias = tuple[Array, Callable[[Array], Grads]]
Step: TypeAlias = Callable[[Namespace, Array, Array, Array], Stepped]

_CITE = (
    "{}; init: torch: U(±1/√hidden_size), biases too; keras: glorot_uniform, and orthogonal for "
    "the state, over all gates at once, an LSTM's forget gate with a bias of 1; flax (linen): "
    "lecun_normal and orthogonal, gate by gate; nnx: those over all gates at once"
)
_WHY = "the weighted sums of several gates depend on each other by x and the state"


class _Weights(NamedTuple):
    """Weights of the input and of the state, gates on the first axis, and two biases if drawn."""

    of_input: Weights
    of_state: Weights
    biases: Weights | None


def _drawn(init: CellInit, gates: int, input_size: int, hidden_size: int) -> _Weights:
    rows = gates * hidden_size
    if init == "torch":
        std = 1 / math.sqrt(3 * hidden_size)
        drawn = (independent("uniform", std, (rows, n)) for n in (input_size, hidden_size, 2))
        return _Weights(*drawn)
    kernel = weights("keras" if init == "keras" else "flax", "fan_in", None, (rows, input_size))
    if init != "flax":
        return _Weights(kernel, weights("orthogonal", "fan_in", None, (rows, hidden_size)), None)
    of_gate = weights("orthogonal", "fan_in", None, (hidden_size, hidden_size))

    def tensor(xp: Namespace, draws: Array) -> Array:
        return xp.concat([of_gate.tensor(xp, draws[g]) for g in range(gates)], axis=0)

    return _Weights(kernel, Weights(Input((gates, *of_gate.drawn.shape)), of_gate.ms, tensor), None)


def _cell(
    drawn: _Weights,
    step: Step,
    part: str,
    moments: Callable[[Law, Expect], ExactMoments],
    why: str = _WHY,
    parts: tuple[str, ...] = ("input", "hidden"),
) -> BoundLayer:
    """Return a cell; ``parts`` of x are the input and the states, in their order.

    dx is that of the part that is named, or of all.
    """
    start, units = (w.drawn.shape[-1] for w in drawn[:2])

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        of_input = drawn.of_input.tensor(xp, draws["weight"])
        of_state = drawn.of_state.tensor(xp, draws["recurrent_weight"])
        a = xp.sum(of_input * x[:start][None], axis=1)
        b = xp.sum(of_state * x[start : start + units][None], axis=1)
        if drawn.biases is not None:
            biases = drawn.biases.tensor(xp, draws["bias"])
            a, b = a + biases[:, 0], b + biases[:, 1]
        gates = (-1, units, x.shape[-1])
        states = xp.reshape(x[start:], gates)
        y, back = step(xp, xp.reshape(a, gates), xp.reshape(b, gates), states)

        def backward(dy: Array) -> Array:
            da, db, (dh, *others) = back(dy)
            flat = (-1, 1, dy.shape[-1])
            found = [
                xp.sum(of_input * xp.reshape(da, flat), axis=0),
                xp.sum(of_state * xp.reshape(db, flat), axis=0) + dh,
                *others,
            ]
            return xp.concat(found, axis=0) if part == "all" else found[parts.index(part)]

        return y, backward

    x, dy = Input((start + (len(parts) - 1) * units,)), Input((units,))
    kernels = {"weight": drawn.of_input, "recurrent_weight": drawn.of_state}
    inputs = inputs_of(x, dy, **kernels, bias=drawn.biases)
    return BoundLayer(inputs, forward, moments, why_inexact=why)


@structured(
    "y = f(W·x + U·h + b),  f = tanh or relu,  x = (x, h)",
    "dx = Wᵀ·d,  dh = Uᵀ·d,  d = dy·f′",
    cite=_CITE.format("Elman, Cognitive Science 1990"),
    aliases=(
        "torch.RNNCell:init=torch",
        "torch.RNN:init=torch",
        "keras.SimpleRNNCell:init=keras",
        "keras.SimpleRNN:init=keras",
        "flax.SimpleCell:init=flax",
    ),
    examples=("", "gradient=hidden", "init=keras", "init=flax", "nonlinearity=relu"),
)
def rnn_cell(
    *,
    input_size: Width = 4,
    hidden_size: Width = 4,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    init: InitOfCell = "torch",
    gradient: PartOfX = "all",
) -> BoundLayer:
    """One step of a simple recurrent layer, whose input and state have one law."""
    is_tanh = nonlinearity == "tanh"
    drawn = _drawn(init, 1, input_size, hidden_size)

    def step(xp: Namespace, a: Array, b: Array, states: Array) -> Stepped:
        s = a + b
        y = xp.tanh(s) if is_tanh else xp.maximum(s, 0)
        slope = 1 - y * y if is_tanh else xp.astype(s > 0, s.dtype)

        def back(dy: Array) -> Grads:
            d = dy * slope[0]
            return d, d, [xp.zeros_like(dy)]

        return y[0], back

    def of_parts(of_input: Known, of_state: Known) -> Known:
        """Return the mean over the elements that dx has of what an element of each part has."""
        if gradient != "all":
            return of_input if gradient == "input" else of_state
        share = input_size / (input_size + hidden_size)
        return share * of_input + (1 - share) * of_state

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # dx_i² is Σ (dy_j·W_ji·f′_j)² and products of different dy, whose mean is 0.
        scale = hidden_size * law.dy_std**2
        if not is_tanh:
            # A row of weights and bias is as likely with the other sign: that s > 0 tells nothing
            # of |s| or of the square of a weight.
            x2 = law.x_mean**2 + law.x_std**2
            ms = (input_size * drawn.of_input.ms + hidden_size * drawn.of_state.ms) * x2
            ms += 2 * drawn.biases.ms if drawn.biases else 0.0
            squares = of_parts(Known(drawn.of_input.ms), Known(drawn.of_state.ms))
            return ExactMoments(ms_y=Known(ms / 2), ms_dx=0.5 * scale * squares)
        if law.x_mean:
            return ExactMoments(mean_y=SYMMETRIC)
        ms_y, (of_input, of_state, *_) = tanh_moments(expect, _summands(init, drawn, law.x_std))
        ms_dx = scale * of_parts(of_input, of_state)
        return ExactMoments(mean_y=SYMMETRIC, var_y=ms_y, ms_dx=ms_dx)

    why = "E|s| of the weighted sum s" if not is_tanh else "known for x_mean=0"
    return _cell(drawn, step, gradient, moments, why)


def _summands(init: CellInit, drawn: _Weights, std: float) -> list[Summand]:
    """Return the parts of the weighted sum of one gate: of the input, of the state and biases."""
    input_size, hidden_size = (w.drawn.shape[-1] for w in drawn[:2])
    bounds = [math.sqrt(3 * w.ms) for w in drawn if w is not None]
    if init == "torch":
        return [
            uniform_weights(input_size, bounds[0], std),
            uniform_weights(hidden_size, bounds[1], std),
            uniform_biases(2, bounds[2]),
        ]
    if init == "keras":
        of_input = uniform_weights(input_size, bounds[0], std)
    else:
        of_input = truncated_weights(input_size, math.sqrt(drawn.of_input.ms), std)
    return [of_input, orthogonal_weights(hidden_size, std)]


@structured(
    "y = (1 − z)·n + z·h,  r, z = σ(W·x + U·h + b),  n = tanh(W·x + b + r·(U·h + c)),  x = (x, h)",
    "dx = Wᵀ·d,  dh = Uᵀ·d + z·dy,  d the gradients of the gates' weighted sums",
    cite=_CITE.format("arXiv:1406.1078"),
    aliases=(
        "torch.GRUCell:init=torch",
        "torch.GRU:init=torch",
        "keras.GRUCell:init=keras",
        "keras.GRU:init=keras",
        "flax.GRUCell:init=flax",
        "flax.nnx.GRUCell:init=nnx",
    ),
    examples=("", "gradient=hidden", "init=keras", "init=flax"),
)
def gru_cell(
    *,
    input_size: Width = 4,
    hidden_size: Width = 4,
    init: InitOfCell = "torch",
    gradient: PartOfX = "all",
) -> BoundLayer:
    """One step of a gated recurrent unit, whose input and state have one law."""

    def step(xp: Namespace, a: Array, b: Array, states: Array) -> Stepped:
        h = states[0]
        r, z = xp.expit(a[0] + b[0]), xp.expit(a[1] + b[1])
        n = xp.tanh(a[2] + r * b[2])

        def back(dy: Array) -> Grads:
            dn = dy * (1 - z) * (1 - n * n)
            dr, dz = dn * b[2] * r * (1 - r), dy * (h - n) * z * (1 - z)
            return xp.stack((dr, dz, dn)), xp.stack((dr, dz, dn * r)), [dy * z]

        return (1 - z) * n + z * h, back

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # With the rows of n of the other sign n changes its own; with those of z, z is 1 − z.
        return ExactMoments(mean_y=Known(law.x_mean / 2, 0.0, "symmetry"))

    drawn = _drawn(init, 3, input_size, hidden_size)
    return _cell(drawn, step, gradient, moments)


@structured(
    "y = (1 − f)·n + f·h,  f = σ(W·x + U·h + 1),  n = tanh(W·x + f·U·h),  x = (x, h)",
    "dx = Wᵀ·d,  dh = Uᵀ·d + f·dy,  d the gradients of the gates' weighted sums",
    cite="arXiv:1603.09420",
    aliases=("flax.MGUCell",),
)
def mgu_cell(
    *, input_size: Width = 4, hidden_size: Width = 4, gradient: PartOfX = "all"
) -> BoundLayer:
    """One step of flax's minimal gated unit, whose input and state have one law."""

    def step(xp: Namespace, a: Array, b: Array, states: Array) -> Stepped:
        h = states[0]
        f = xp.expit(a[0] + b[0] + 1)
        n = xp.tanh(a[1] + f * b[1])

        def back(dy: Array) -> Grads:
            dn = dy * (1 - f) * (1 - n * n)
            df = (dy * (h - n) + dn * b[1]) * f * (1 - f)
            return xp.stack((df, dn)), xp.stack((df, dn * f)), [dy * f]

        return (1 - f) * n + f * h, back

    drawn = _drawn("flax", 2, input_size, hidden_size)
    return _cell(drawn, step, gradient, _symmetric)


@structured(
    "y = o·tanh(f·c + i·g),  i, f, o = σ(W·x + U·h + b),  g = tanh(W·x + U·h + b),  x = (x, h, c)",
    "dx = Wᵀ·d,  dh = Uᵀ·d,  dc = dy·o·f·(1 − tanh²),  d the gradients of the weighted sums",
    cite=_CITE.format("Hochreiter and Schmidhuber, Neural Computation 1997"),
    aliases=(
        "torch.LSTMCell:init=torch",
        "torch.LSTM:init=torch",
        "keras.LSTMCell:init=keras",
        "keras.LSTM:init=keras",
        "flax.LSTMCell:init=flax",
        "flax.OptimizedLSTMCell:init=flax",
        "flax.nnx.OptimizedLSTMCell:init=nnx",
    ),
    examples=("", "gradient=hidden", "gradient=cell", "init=keras", "init=flax"),
)
def lstm_cell(
    *,
    input_size: Width = 4,
    hidden_size: Width = 4,
    init: InitOfCell = "torch",
    gradient: PartOfLstm = "all",
) -> BoundLayer:
    """One step of long short-term memory; input, state and memory have one law, y is the state."""
    remembers = 1.0 if init == "keras" else 0.0

    def step(xp: Namespace, a: Array, b: Array, states: Array) -> Stepped:
        c, s = states[1], a + b
        i, f, o = xp.expit(s[0]), xp.expit(s[1] + remembers), xp.expit(s[3])
        g = xp.tanh(s[2])
        t = xp.tanh(f * c + i * g)

        def back(dy: Array) -> Grads:
            dc = dy * o * (1 - t * t)
            di, df, do = dc * g * i * (1 - i), dc * c * f * (1 - f), dy * t * o * (1 - o)
            d = xp.stack((di, df, dc * i * (1 - g * g), do))
            return d, d, [xp.zeros_like(dy), dc * f]

        return o * t, back

    drawn = _drawn(init, 4, input_size, hidden_size)
    return _cell(drawn, step, gradient, _symmetric, parts=("input", "hidden", "cell"))


def _symmetric(law: Law, expect: Expect) -> ExactMoments:
    """Return E[y] = 0 of a cell whose y is odd in the states and in the rows of its tanh."""
    return ExactMoments() if law.x_mean else ExactMoments(mean_y=SYMMETRIC)

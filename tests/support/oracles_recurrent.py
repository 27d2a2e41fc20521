"""One step of the libraries' own recurrent cells, by weights that are given; and their weights.

Nothing here is imported from bnstats. Weights have gates on the first axis, in torch's order: r, z
and n of a GRU, i, f, g and o of an LSTM. x is the input, the state and an LSTM's memory, in a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

os.environ.setdefault("KERAS_BACKEND", "jax")

COVERS: dict[str, tuple[dict[str, Any], ...]] = {
    "rnn_cell": (
        {"input_size": 3, "hidden_size": 2},
        {"input_size": 2, "hidden_size": 3, "gradient": "hidden", "init": "keras"},
        {"input_size": 2, "hidden_size": 3, "gradient": "input", "nonlinearity": "relu"},
        {"input_size": 3, "hidden_size": 2, "init": "flax"},
    ),
    "gru_cell": (
        {"input_size": 3, "hidden_size": 2},
        {"input_size": 2, "hidden_size": 3, "gradient": "hidden", "init": "flax"},
        {"input_size": 2, "hidden_size": 3, "gradient": "input", "init": "nnx"},
        {"input_size": 3, "hidden_size": 2, "init": "keras"},
    ),
    "mgu_cell": ({"input_size": 3, "hidden_size": 2}, {"gradient": "hidden"}),
    "lstm_cell": (
        {"input_size": 3, "hidden_size": 2},
        {"input_size": 2, "hidden_size": 3, "gradient": "cell", "init": "flax"},
        {"input_size": 2, "hidden_size": 3, "gradient": "hidden", "init": "nnx"},
        {"input_size": 3, "hidden_size": 2, "init": "keras"},
    ),
}
GATES = {"rnn_cell": 1, "gru_cell": 3, "mgu_cell": 2, "lstm_cell": 4}

# Where each library has our gates, in the words of its weights.
_KERAS = {"rnn_cell": "SimpleRNNCell", "gru_cell": "GRUCell", "lstm_cell": "LSTMCell"}
_KERAS_ORDER = {"rnn_cell": (0,), "gru_cell": (1, 0, 2), "lstm_cell": (0, 1, 2, 3)}
LINEN = {
    "SimpleCell": ("rnn_cell", ("",)),
    "GRUCell": ("gru_cell", ("r", "z", "n")),
    "MGUCell": ("mgu_cell", ("f", "n")),
    "LSTMCell": ("lstm_cell", ("i", "f", "g", "o")),
    "OptimizedLSTMCell": ("lstm_cell", ("i", "f", "g", "o")),
}
NNX = {"SimpleCell": "rnn_cell", "GRUCell": "gru_cell", "OptimizedLSTMCell": "lstm_cell"}

Passes = tuple[np.ndarray, np.ndarray]


def torch_cell(name: str, input_size: int, hidden_size: int, **params: Any) -> Any:
    """Return a cell of torch in float64, as it comes."""
    torch = pytest.importorskip("torch")
    kind = {"rnn_cell": "RNNCell", "gru_cell": "GRUCell", "lstm_cell": "LSTMCell"}[name]
    return getattr(torch.nn, kind)(input_size, hidden_size, **params).double()


def by_torch(
    name: str,
    w: np.ndarray,
    u: np.ndarray,
    biases: np.ndarray,
    x: np.ndarray,
    dy: np.ndarray,
    **params: Any,
) -> Passes:
    """Return y and dx of one draw; biases are (rows, 2), of the input and of the state."""
    torch = pytest.importorskip("torch")
    inputs, units = w.shape[1], u.shape[1]
    cell = torch_cell(name, inputs, units, **params)
    given = {"weight_ih": w, "weight_hh": u, "bias_ih": biases[:, 0], "bias_hh": biases[:, 1]}
    with torch.no_grad():
        for key, value in given.items():
            getattr(cell, key).copy_(torch.tensor(value))
    leaf = torch.tensor(x[None], requires_grad=True)
    at_input, *states = leaf.split([inputs, *[units] * ((len(x) - inputs) // units)], dim=1)
    y = cell(at_input, tuple(states))[0] if len(states) > 1 else cell(at_input, *states)
    y.backward(torch.tensor(dy[None]))
    return y.detach().numpy()[0], leaf.grad.numpy()[0]


def _by_jax(step: Callable[[Any, Sequence[Any]], Any], sizes: list[int], x: Any, dy: Any) -> Passes:
    """Return y and dx of a step of the input and the states; float32."""
    jax = pytest.importorskip("jax")
    ends = np.cumsum(sizes)[:-1].tolist()

    def f(v: Any) -> Any:
        at_input, *states = jax.numpy.split(v[None], ends, axis=1)
        return step(at_input, states)[0]

    y, pull = jax.vjp(f, jax.numpy.asarray(x, dtype=np.float32))
    return np.asarray(y, float), np.asarray(pull(jax.numpy.asarray(dy, dtype=np.float32))[0], float)


def _sizes(w: np.ndarray, u: np.ndarray, x: np.ndarray) -> list[int]:
    inputs, units = w.shape[1], u.shape[1]
    return [inputs, *[units] * ((len(x) - inputs) // units)]


def keras_cell(name: str, input_size: int, hidden_size: int) -> Any:
    """Return a built cell of keras, as it comes."""
    keras = pytest.importorskip("keras")
    cell = getattr(keras.layers, _KERAS[name])(hidden_size)
    cell.build((None, input_size))
    return cell


def by_keras(name: str, w: np.ndarray, u: np.ndarray, x: np.ndarray, dy: np.ndarray) -> Passes:
    """Return y and dx of one draw; the biases are keras' own."""
    units = u.shape[1]
    cell = keras_cell(name, w.shape[1], units)
    rows = np.concatenate([np.arange(units) + units * gate for gate in _KERAS_ORDER[name]])
    cell.kernel.assign(w[rows].T)
    cell.recurrent_kernel.assign(u[rows].T)
    return _by_jax(lambda v, states: cell(v, list(states))[0], _sizes(w, u, x), x, dy)


def keras_weights(name: str, input_size: int, hidden_size: int) -> Passes:
    """Return fresh weights of the input and of the state, gates on the first axis, keras' order."""
    cell = keras_cell(name, input_size, hidden_size)
    return np.asarray(cell.kernel).T, np.asarray(cell.recurrent_kernel).T


def _linen(kind: str, input_size: int, hidden_size: int, seed: int) -> tuple[Any, Any]:
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    cell = getattr(linen, kind)(features=hidden_size)
    v = np.zeros((1, input_size), np.float32)
    carry = cell.initialize_carry(jax.random.key(1), v.shape)
    return cell, cell.init(jax.random.key(seed), carry, v)["params"]


def linen_weights(kind: str, input_size: int, hidden_size: int, seed: int) -> Passes:
    """Return fresh weights of a cell of flax.linen, gates on the first axis."""
    _, held = _linen(kind, input_size, hidden_size, seed)
    gates = LINEN[kind][1]
    of_input, of_state = (
        np.concatenate([np.asarray(held[side + gate]["kernel"]).T for gate in gates])
        for side in "ih"
    )
    return of_input, of_state


def by_linen(kind: str, w: np.ndarray, u: np.ndarray, x: np.ndarray, dy: np.ndarray) -> Passes:
    """Return y and dx of one draw; the biases are flax' own."""
    units = u.shape[1]
    cell, held = _linen(kind, w.shape[1], units, 0)
    for i, gate in enumerate(LINEN[kind][1]):
        rows = slice(i * units, (i + 1) * units)
        held[f"i{gate}"]["kernel"], held[f"h{gate}"]["kernel"] = (
            np.asarray(m[rows].T, np.float32) for m in (w, u)
        )

    def step(v: Any, states: Sequence[Any]) -> Any:
        carry = tuple(reversed(states)) if len(states) > 1 else states[0]  # (c, h)
        return cell.apply({"params": held}, carry, v)[1]

    return _by_jax(step, _sizes(w, u, x), x, dy)


def _nnx(kind: str, input_size: int, hidden_size: int, seed: int) -> Any:
    nnx = pytest.importorskip("flax.nnx")
    return getattr(nnx, kind)(input_size, hidden_size, rngs=nnx.Rngs(seed))


def nnx_weights(kind: str, input_size: int, hidden_size: int, seed: int) -> Passes:
    """Return fresh weights of a cell of flax.nnx that takes all gates at once."""
    cell = _nnx(kind, input_size, hidden_size, seed)
    return tuple(np.asarray(part.kernel[...]).T for part in (cell.dense_i, cell.dense_h))


def by_nnx(kind: str, w: np.ndarray, u: np.ndarray, x: np.ndarray, dy: np.ndarray) -> Passes:
    """Return y and dx of one draw; the biases are flax' own."""
    cell = _nnx(kind, w.shape[1], u.shape[1], 0)
    cell.dense_i.kernel[...], cell.dense_h.kernel[...] = (m.T.astype(np.float32) for m in (w, u))

    def step(v: Any, states: Sequence[Any]) -> Any:
        carry = tuple(reversed(states)) if len(states) > 1 else states[0]
        return cell(carry, v)[1]

    return _by_jax(step, _sizes(w, u, x), x, dy)


# --- exact moments of the smallest cell -------------------------------------------------------


def of_one_unit(init: str, std: float, dy_std: float) -> dict[str, Any]:
    """Return moments of a tanh cell of one unit and one input, as integrals over all it draws.

    Given the weights the sum is normal. Those of the state are ±1 where they are orthogonal; of the
    input U(±√3) (keras, glorot of fans 1 and 1), a normal number cut at ±2 and corrected (flax), or
    U(±1) as the rest (torch).
    """
    with mp.workdps(20):
        cut = mp.sqrt(1 - 4 * mp.npdf(2) / (2 * mp.ncdf(2) - 1))

        def density(v: Any) -> Any:
            return mp.npdf(v) / (2 * mp.ncdf(2) - 1)

        nodes = 24
        points, weights = np.polynomial.legendre.leggauss(nodes)
        v, p = [mpf(float(t)) for t in points], [mpf(float(t)) / 2 for t in weights]
        if init == "keras":
            of_input = [(mp.sqrt(3) * t, q) for t, q in zip(v, p, strict=True)]
        elif init == "flax":
            of_input = [(2 * t / cut, 4 * q * density(2 * t)) for t, q in zip(v, p, strict=True)]
        else:
            of_input = list(zip(v, p, strict=True))
        of_state = list(zip(v, p, strict=True)) if init == "torch" else [(mpf(1), mpf(1))]
        biases = [(0.0, 1.0)]
        if init == "torch":  # the sum of two is triangular on ±2, its law even
            biases = [(float(1 + t), float(q * (1 - t))) for t, q in zip(v, p, strict=True)]
    z = np.linspace(-10, 10, 801)
    zw = np.exp(-z * z / 2)
    zw = zw / zw.sum()
    total = np.zeros(3)
    for w, q in of_input:
        for u, r in of_state:
            spread = std * np.hypot(float(w), float(u))
            for b, s in biases:
                y = np.tanh(b + spread * z)
                slope2 = (1 - y * y) ** 2
                mean = float(q * r) * s
                total += mean * np.array(
                    [zw @ y**2, float(w) ** 2 * (zw @ slope2), float(u) ** 2 * (zw @ slope2)]
                )
    return {"ms_y": total[0], "input": dy_std**2 * total[1], "hidden": dy_std**2 * total[2]}

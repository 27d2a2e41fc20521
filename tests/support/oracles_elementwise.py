"""Elementwise activations elsewhere: by mpmath, in torch and in jax.

Nothing here is imported from bnstats: a formula that feeds both the code and its test shows
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

DIGITS = 50


@dataclass(frozen=True)
class Elementwise:
    """An activation elsewhere: by mpmath (value only), in torch and in jax.

    ``torch(F, x, **params)`` and ``jax(nn, x, **params)`` take the layer's own parameter names;
    ``cases`` are the parameter values to test, the default first; ``breakpoints`` is where f is not
    twice continuously differentiable, as a function of them.
    """

    mp: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    jax: Callable[..., Any] | None = None
    cases: Sequence[dict[str, Any]] = ({},)
    breakpoints: Callable[..., tuple[float, ...]] = lambda **params: ()


def _at(*points: float) -> Callable[..., tuple[float, ...]]:
    return lambda **params: points


def _both_sides(lambd: float = 0.5) -> tuple[float, ...]:
    return (-lambd, lambd)


def _clip(x: Any, low: float, high: float) -> Any:
    return min(max(x, mpf(low)), mpf(high))


def _mp_sparse_plus(x: Any) -> Any:
    return mpf(0) if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4


def _mp_keras_relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    # keras.activations.relu, its documentation
    if max_value is not None and x >= max_value:
        return mpf(max_value)
    return x if x > threshold else negative_slope * (x - threshold)


def _jax_keras_relu(
    nn: Any,
    x: Any,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Any:
    import jax.numpy as jnp

    # keras 3.15, keras/src/activations/activations.py: ReLU.static_call
    y = jnp.where(x > threshold, x, 0)
    y = y if max_value is None else jnp.clip(y, 0, max_value)
    return y - negative_slope * nn.relu(threshold - x)


def _jnp(name: str) -> Callable[..., Any]:
    def call(nn: Any, x: Any) -> Any:
        import jax.numpy as jnp

        return getattr(jnp, name)(x)

    return call


def _torch_prelu(F: Any, x: Any, weight: float = 0.25) -> Any:  # noqa: N803
    return F.prelu(x, x.new_tensor(weight))


def _jax_threshold(nn: Any, x: Any, threshold: float, value: float) -> Any:
    import jax.numpy as jnp

    return jnp.where(x > threshold, x, value)


def _jax_erf(nn: Any, x: Any) -> Any:
    import jax.scipy.special

    return jax.scipy.special.erf(x)


def _jax_bentid(nn: Any, x: Any) -> Any:
    import jax.numpy as jnp

    # dks 0.1.2, dks/jax/activation_transform.py
    return (jnp.sqrt(jnp.square(x) + 1.0) - 1.0) / 2.0 + x


def _jax_hardtanh(nn: Any, x: Any, **ends: float) -> Any:
    import jax.numpy as jnp

    return jnp.clip(x, ends.get("min_val", -1.0), ends.get("max_val", 1.0))


def _jax_lecun_tanh(nn: Any, x: Any) -> Any:
    import jax.numpy as jnp

    return 1.7159 * jnp.tanh(2 * x / 3)


def _jax_shrink(hard: bool) -> Callable[..., Any]:
    def call(nn: Any, x: Any, lambd: float = 0.5) -> Any:
        import jax.numpy as jnp

        shift = 0.0 if hard else lambd * jnp.sign(x)
        return jnp.where(jnp.abs(x) > lambd, x - shift, 0.0)

    return call


def _mp_elu(x: Any, alpha: float = 1.0) -> Any:
    return x if x > 0 else alpha * mp.expm1(x)


def _mp_selu(x: Any, alpha: Any = None, scale: Any = None) -> Any:
    # Solved here rather than copied: the fixed point of mean 0, variance 1 is tested separately.
    alpha = mpf("1.6732632423543772848170429916717") if alpha is None else alpha
    scale = mpf("1.0507009873554804934193349852946") if scale is None else scale
    return scale * _mp_elu(x, alpha)


def _torch_selu(F: Any, x: Any, **p: float) -> Any:  # noqa: N803
    return p["scale"] * F.elu(x, p["alpha"]) if p else F.selu(x)


def _jax_selu(nn: Any, x: Any, **p: float) -> Any:
    return p["scale"] * nn.elu(x, p["alpha"]) if p else nn.selu(x)


def _jax_equiformer(nn: Any, x: Any, negative_slope: float = 0.2) -> Any:
    # fairchem, equiformer_v2/activation.py: SmoothLeakyReLU
    x1 = ((1 + negative_slope) / 2) * x
    return x1 + ((1 - negative_slope) / 2) * x * (2 * nn.sigmoid(x) - 1)


def _gate(space: Any, x: Any, gate: str = "silu") -> Any:
    return getattr(space, gate)(x)


def _jax_gate(nn: Any, x: Any, gate: str = "silu") -> Any:
    return x * (nn.silu(x) if gate == "silu" else nn.gelu(x, approximate=False))


def _mp_gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        # 1 + tanh u = 2/(1 + e^-2u) does not cancel at either end
        u = mp.sqrt(2 / mp.pi) * (x + mpf(0.044715) * x**3)
        return x / (1 + mp.exp(-2 * u))
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


def _mp_softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return x if beta * x > threshold else mp.log1p(mp.exp(beta * x)) / beta


def _jax_softplus(nn: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    import jax.numpy as jnp

    return jnp.where(beta * x > threshold, x, nn.softplus(beta * x) / beta)


ELEMENTWISE: dict[str, Elementwise] = {
    "identity": Elementwise(
        mp=lambda x: x,
        torch=lambda F, x: x * 1,  # noqa: N803
        jax=lambda nn, x: nn.identity(x),
    ),
    "relu": Elementwise(
        mp=lambda x: max(x, mpf(0)),
        torch=lambda F, x: F.relu(x),  # noqa: N803
        jax=lambda nn, x: nn.relu(x),
        breakpoints=_at(0.0),
    ),
    "leaky_relu": Elementwise(
        mp=lambda x, negative_slope=0.01: x if x > 0 else negative_slope * x,
        torch=lambda F, x, **p: F.leaky_relu(x, **p),  # noqa: N803
        jax=lambda nn, x, **p: nn.leaky_relu(x, **p),
        cases=({}, {"negative_slope": 0.2}, {"negative_slope": -0.5}, {"negative_slope": 3.0}),
        breakpoints=_at(0.0),
    ),
    "elu": Elementwise(
        mp=_mp_elu,
        torch=lambda F, x, **p: F.elu(x, **p),  # noqa: N803
        jax=lambda nn, x, **p: nn.elu(x, **p),
        cases=({}, {"alpha": 0.5}, {"alpha": 2.0}, {"alpha": 1.75}),
        breakpoints=_at(0.0),
    ),
    "selu": Elementwise(
        mp=_mp_selu,
        torch=_torch_selu,
        jax=_jax_selu,
        cases=({}, {"alpha": 1.9769021954242, "scale": 1.0738512396160456}),
        breakpoints=_at(0.0),
    ),
    "rectified_power": Elementwise(
        mp=lambda x, power: max(x, mpf(0)) ** power,
        torch=lambda F, x, power: F.relu(x) ** power,  # noqa: N803
        jax=lambda nn, x, power: nn.relu(x) ** power,
        cases=({"power": 2}, {"power": 3}, {"power": 1}),
        breakpoints=_at(0.0),
    ),
    "smooth_leaky_relu": Elementwise(
        mp=lambda x, negative_slope=0.2: (
            mpf(negative_slope) * x + (1 - mpf(negative_slope)) * x / (1 + mp.exp(-x))
        ),
        jax=_jax_equiformer,
        cases=({}, {"negative_slope": 0.5}),
    ),
    "self_gated": Elementwise(
        mp=lambda x, gate="silu": x * (_mp_gelu(x) if gate == "gelu" else x / (1 + mp.exp(-x))),
        torch=lambda F, x, **p: x * _gate(F, x, **p),  # noqa: N803
        jax=_jax_gate,
        cases=({}, {"gate": "gelu"}),
    ),
    "shifted_softplus": Elementwise(
        mp=lambda x: mp.log((1 + mp.exp(x)) / 2),
        torch=lambda F, x: F.softplus(x, threshold=1e9) - np.log(2),  # noqa: N803
        jax=lambda nn, x: nn.softplus(x) - np.log(2),
    ),
    "sigmoid": Elementwise(
        mp=lambda x: 1 / (1 + mp.exp(-x)),
        torch=lambda F, x: x.sigmoid(),  # noqa: N803
        jax=lambda nn, x: nn.sigmoid(x),
    ),
    "tanh": Elementwise(
        mp=mp.tanh,
        torch=lambda F, x: x.tanh(),  # noqa: N803
        jax=lambda nn, x: nn.tanh(x),
    ),
    "gelu": Elementwise(
        mp=_mp_gelu,
        torch=lambda F, x, **p: F.gelu(x, **p),  # noqa: N803
        jax=lambda nn, x, approximate="none": nn.gelu(x, approximate=approximate == "tanh"),
        cases=({}, {"approximate": "tanh"}),
    ),
    "silu": Elementwise(
        mp=lambda x, beta=1.0: x / (1 + mp.exp(-beta * x)),
        torch=lambda F, x, beta=1.0: x * (beta * x).sigmoid(),  # noqa: N803
        jax=lambda nn, x, beta=1.0: nn.silu(beta * x) / beta,
        cases=({}, {"beta": 1.702}, {"beta": -0.5}),
    ),
    "softplus": Elementwise(
        mp=_mp_softplus,
        torch=lambda F, x, **p: F.softplus(x, **p),  # noqa: N803
        jax=_jax_softplus,
        cases=(
            {},
            {"beta": 2.5},
            {"beta": 0.5, "threshold": 1.0},
            {"beta": 3.0, "threshold": -2.0},
            {"threshold": float("inf")},
        ),
        breakpoints=lambda beta=1.0, threshold=20.0: (
            () if threshold == float("inf") else (threshold / beta,)
        ),
    ),
    "relu6": Elementwise(
        mp=lambda x: _clip(x, 0, 6),
        torch=lambda F, x: F.relu6(x),  # noqa: N803
        jax=lambda nn, x: nn.relu6(x),
        breakpoints=_at(0.0, 6.0),
    ),
    "prelu": Elementwise(
        mp=lambda x, weight=0.25: x if x > 0 else weight * x,
        torch=_torch_prelu,
        jax=lambda nn, x, weight=0.25: nn.leaky_relu(x, weight),
        cases=({}, {"weight": 0.0}, {"weight": -0.7}),
        breakpoints=_at(0.0),
    ),
    "threshold": Elementwise(
        mp=lambda x, threshold, value: x if x > threshold else mpf(value),
        torch=lambda F, x, **p: F.threshold(x, **p),  # noqa: N803
        jax=_jax_threshold,
        cases=(
            {"threshold": 1.0, "value": 0.0},
            {"threshold": -0.5, "value": 2.0},
            {"threshold": -0.75, "value": -0.75},  # its slope jumps, f does not
        ),
        breakpoints=lambda threshold, value: (threshold,),
    ),
    "keras_relu": Elementwise(
        mp=_mp_keras_relu,
        jax=_jax_keras_relu,
        cases=(
            {},
            {"max_value": 1.5},
            {"negative_slope": 0.1, "max_value": 6.0, "threshold": 1.0},
            {"negative_slope": 1.0, "threshold": 0.5},  # f jumps, its slope does not
        ),
        breakpoints=lambda negative_slope=0.0, max_value=None, threshold=0.0: (
            (threshold,) if max_value is None else (threshold, max_value)
        ),
    ),
    "celu": Elementwise(
        mp=lambda x, alpha=1.0: x if x > 0 else alpha * mp.expm1(x / alpha),
        torch=lambda F, x, **p: F.celu(x, **p),  # noqa: N803
        jax=lambda nn, x, **p: nn.celu(x, **p),
        cases=({}, {"alpha": 0.5}, {"alpha": 2.5}),
        breakpoints=_at(0.0),
    ),
    "hardtanh": Elementwise(
        mp=lambda x, min_val=-1.0, max_val=1.0: _clip(x, min_val, max_val),
        torch=lambda F, x, **p: F.hardtanh(x, **p),  # noqa: N803
        jax=_jax_hardtanh,
        cases=({}, {"min_val": -2.0, "max_val": 0.5}, {"min_val": 0.25}),
        breakpoints=lambda min_val=-1.0, max_val=1.0: (min_val, max_val),
    ),
    "hardsigmoid": Elementwise(
        mp=lambda x: _clip(x + 3, 0, 6) / 6,
        # the backward of F.hardsigmoid has a float32 1/6 in float64, too
        torch=lambda F, x: F.relu6(x + 3) / 6,  # noqa: N803
        jax=lambda nn, x: nn.hard_sigmoid(x),
        breakpoints=_at(-3.0, 3.0),
    ),
    "hardswish": Elementwise(
        mp=lambda x: mpf(0) if x < -3 else x if x > 3 else x * (x + 3) / 6,
        torch=lambda F, x: F.hardswish(x),  # noqa: N803
        jax=lambda nn, x: nn.hard_silu(x),
        breakpoints=_at(-3.0, 3.0),
    ),
    "sparse_plus": Elementwise(
        mp=_mp_sparse_plus,
        jax=lambda nn, x: nn.sparse_plus(x),
        breakpoints=_at(-1.0, 1.0),
    ),
    "sparse_sigmoid": Elementwise(
        mp=lambda x: _clip((x + 1) / 2, 0, 1),
        jax=lambda nn, x: nn.sparse_sigmoid(x),
        breakpoints=_at(-1.0, 1.0),
    ),
    "hardshrink": Elementwise(
        mp=lambda x, lambd=0.5: x if abs(x) > lambd else mpf(0),
        torch=lambda F, x, **p: F.hardshrink(x, **p),  # noqa: N803
        jax=_jax_shrink(hard=True),
        cases=({}, {"lambd": 1.25}, {"lambd": 0.0}),
        breakpoints=_both_sides,
    ),
    "softshrink": Elementwise(
        mp=lambda x, lambd=0.5: mp.sign(x) * max(abs(x) - lambd, mpf(0)),
        torch=lambda F, x, **p: F.softshrink(x, **p),  # noqa: N803
        jax=_jax_shrink(hard=False),
        cases=({}, {"lambd": 1.25}, {"lambd": 0.0}),
        breakpoints=_both_sides,
    ),
    "tanhshrink": Elementwise(
        mp=lambda x: x - mp.tanh(x),
        torch=lambda F, x: F.tanhshrink(x),  # noqa: N803
        jax=lambda nn, x: x - nn.tanh(x),
    ),
    "lecun_tanh": Elementwise(
        mp=lambda x: mpf(1.7159) * mp.tanh(2 * x / 3),
        torch=lambda F, x: 1.7159 * (2 * x / 3).tanh(),  # noqa: N803
        jax=_jax_lecun_tanh,
    ),
    "softsign": Elementwise(
        mp=lambda x: x / (1 + abs(x)),
        torch=lambda F, x: F.softsign(x),  # noqa: N803
        jax=lambda nn, x: nn.soft_sign(x),
        breakpoints=_at(0.0),
    ),
    "erf": Elementwise(
        mp=mp.erf,
        torch=lambda F, x: x.erf(),  # noqa: N803
        jax=_jax_erf,
    ),
    "mish": Elementwise(
        mp=lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
        torch=lambda F, x: F.mish(x),  # noqa: N803
        jax=lambda nn, x: nn.mish(x),
    ),
    "logsigmoid": Elementwise(
        mp=lambda x: -mp.log1p(mp.exp(-x)),
        torch=lambda F, x: F.logsigmoid(x),  # noqa: N803
        jax=lambda nn, x: nn.log_sigmoid(x),
    ),
    "squareplus": Elementwise(
        mp=lambda x, b=4.0: (x + mp.sqrt(x * x + b)) / 2,
        jax=lambda nn, x, **p: nn.squareplus(x, **p),
        cases=({}, {"b": 1.0}, {"b": 0.25}),
    ),
    "bentid": Elementwise(
        mp=lambda x: (mp.sqrt(x * x + 1) - 1) / 2 + x,
        jax=_jax_bentid,
    ),
    "rescaling": Elementwise(
        mp=lambda x, scale, offset=0.0: scale * x + offset,
        torch=lambda F, x, scale, offset=0.0: x * scale + offset,  # noqa: N803
        jax=lambda nn, x, scale, offset=0.0: x * scale + offset,
        cases=({"scale": 0.5}, {"scale": -3.0, "offset": 0.7}),
    ),
    "exponential": Elementwise(
        mp=mp.exp,
        torch=lambda F, x: x.exp(),  # noqa: N803
        jax=_jnp("exp"),
    ),
    "square": Elementwise(
        mp=lambda x: x * x,
        torch=lambda F, x: x.square(),  # noqa: N803
        jax=_jnp("square"),
    ),
    "abs": Elementwise(
        mp=abs,
        torch=lambda F, x: x.abs(),  # noqa: N803
        jax=_jnp("abs"),
        breakpoints=_at(0.0),
    ),
    "sin": Elementwise(
        mp=mp.sin,
        torch=lambda F, x: x.sin(),  # noqa: N803
        jax=_jnp("sin"),
    ),
    "cos": Elementwise(
        mp=mp.cos,
        torch=lambda F, x: x.cos(),  # noqa: N803
        jax=_jnp("cos"),
    ),
    "asinh": Elementwise(
        mp=mp.asinh,
        torch=lambda F, x: x.asinh(),  # noqa: N803
        jax=_jnp("arcsinh"),
    ),
    "atan": Elementwise(
        mp=mp.atan,
        torch=lambda F, x: x.atan(),  # noqa: N803
        jax=_jnp("arctan"),
    ),
}


# Of the others a scalar loop, in the tests of rectifiers.
COVERS = {name: oracle.cases for name, oracle in ELEMENTWISE.items()} | {
    "rrelu": ({}, {"lower": 3.0, "upper": 8.0, "reciprocal": True})
}


def mp_values(f: Callable[[Any], Any], xs: Sequence[float]) -> np.ndarray:
    """Return f at float64 points, correctly rounded."""
    with mp.workdps(DIGITS):
        return np.array([float(f(mpf(float(x)))) for x in xs])


def mp_slopes(f: Callable[[Any], Any], xs: Sequence[float]) -> np.ndarray:
    """Return f′ at float64 points by numerical differentiation at 50 digits."""
    with mp.workdps(DIGITS):
        return np.array([float(mp.diff(f, mpf(float(x)))) for x in xs])


def mp_tails(f: Callable[[Any], Any], xs: Sequence[float]) -> np.ndarray:
    """Return f, f′ and f″ at float64 points, shape (points, 3), by central differences.

    800 digits tell erf(40) from 1 and leave the differences more than float64's.
    """
    with mp.workdps(800):
        h = mpf(10) ** -30
        rows = []
        for x in xs:
            below, here, above = (f(mpf(float(x)) + k * h) for k in (-1, 0, 1))
            rows.append((here, (above - below) / (2 * h), (above - 2 * here + below) / h**2))
        return np.array([[float(v) for v in row] for row in rows])


def torch_value_and_slope(name: str, xs: np.ndarray, params: dict[str, Any]) -> tuple[Any, Any]:
    """Return value and slope by torch's autograd in float64; skips without torch."""
    torch = pytest.importorskip("torch")
    call = ELEMENTWISE[name].torch
    assert call is not None
    x = torch.tensor(np.asarray(xs), dtype=torch.float64, requires_grad=True)
    y = call(torch.nn.functional, x, **params)
    y.sum().backward()
    return y.detach().numpy(), x.grad.numpy()


def jax_value_and_slope(name: str, xs: np.ndarray, params: dict[str, Any]) -> tuple[Any, Any]:
    """Return value and slope by jax's autodiff in float64; skips without jax."""
    jax = pytest.importorskip("jax")
    call = ELEMENTWISE[name].jax
    assert call is not None

    def f(v: Any) -> Any:
        return call(jax.nn, v, **params)

    with jax.enable_x64(True):  # of this thread, as long as it is needed
        x = jax.numpy.asarray(np.asarray(xs), dtype="float64")
        return np.asarray(f(x)), np.asarray(jax.vmap(jax.grad(f))(x))

"""Oracles for layers whose elements depend on each other: autodiff elsewhere, mpmath, brute force.

Nothing here is imported from bnstats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import oracles
import oracles_elementwise
import pytest
from mpmath import mp, mpf

# --- values and gradients by torch and jax ----------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """A layer elsewhere: ``torch(torch, x, **params)`` and ``jax(jnp, nn, x, **params)``.

    x holds the draws on its first axis; so does the result. ``cases`` are the parameters to test.
    """

    torch: Callable[..., Any] | None = None
    jax: Callable[..., Any] | None = None
    cases: Sequence[dict[str, Any]] = ({},)


def _halves(gate: Callable[..., Any]) -> Callable[..., Any]:
    return lambda space, x, **p: x[:, 0] * gate(space, x[:, 1], **p)


def _jax_halves(gate: Callable[..., Any]) -> Callable[..., Any]:
    return lambda jnp, nn, x, **p: x[:, 0] * gate(nn, x[:, 1], **p)


def _torch_group_norm(
    torch: Any, x: Any, num_groups: int = 8, num_channels: int = 32, input_size: int = 16, **p: Any
) -> Any:
    # the draws are the groups of a whole minibatch
    images = x.reshape(-1, num_channels, input_size)
    return torch.nn.functional.group_norm(images, num_groups, **p).reshape(x.shape)


def _torch_sparsemax(torch: Any, x: Any, n: int = 10) -> Any:
    """Find the threshold by bisection, then differentiate with its support held."""
    with torch.no_grad():
        low, high = x.amax(1, keepdim=True) - 1, x.amax(1, keepdim=True)
        for _ in range(70):
            middle = (low + high) / 2
            above = (x - middle).clamp(min=0).sum(1, keepdim=True) > 1
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        support = (x > high).to(x.dtype)
    tau = ((x * support).sum(1, keepdim=True) - 1) / support.sum(1, keepdim=True)
    return (x - tau) * support


def _jax_norm(jnp: Any, nn: Any, x: Any, eps: float = 1e-5, **sizes: int) -> Any:
    centred = x - jnp.mean(x, axis=1, keepdims=True)  # nn.standardize loses digits in v
    return centred / jnp.sqrt(jnp.mean(centred * centred, axis=1, keepdims=True) + eps)


SIZES: tuple[dict[str, Any], ...] = ({}, {"n": 2}, {"n": 37})
AXIS: dict[str, Axis] = {
    "softmax": Axis(
        torch=lambda torch, x, n=10: torch.nn.functional.softmax(x, 1),
        jax=lambda jnp, nn, x, n=10: nn.softmax(x, axis=1),
        cases=SIZES,
    ),
    "softmin": Axis(
        torch=lambda torch, x, n=10: torch.nn.functional.softmin(x, 1),
        jax=lambda jnp, nn, x, n=10: nn.softmax(-x, axis=1),
        cases=SIZES,
    ),
    "log_softmax": Axis(
        torch=lambda torch, x, n=10: torch.nn.functional.log_softmax(x, 1),
        jax=lambda jnp, nn, x, n=10: nn.log_softmax(x, axis=1),
        cases=SIZES,
    ),
    "sparsemax": Axis(torch=_torch_sparsemax, cases=SIZES),
    "glu": Axis(
        torch=lambda torch, x: torch.nn.functional.glu(x, 1)[:, 0],
        jax=lambda jnp, nn, x: nn.glu(x, axis=1)[:, 0],
    ),
    "swiglu": Axis(
        torch=_halves(lambda torch, b: torch.nn.functional.silu(b)),
        jax=_jax_halves(lambda nn, b: nn.silu(b)),
    ),
    "geglu": Axis(
        torch=_halves(lambda torch, b, **p: torch.nn.functional.gelu(b, **p)),
        jax=_jax_halves(lambda nn, b, approximate="none": nn.gelu(b, approximate == "tanh")),
        cases=({}, {"approximate": "tanh"}),
    ),
    "reglu": Axis(
        torch=_halves(lambda torch, b: torch.relu(b)),
        jax=_jax_halves(lambda nn, b: nn.relu(b)),
    ),
    "multiply": Axis(
        torch=_halves(lambda torch, b: b),
        jax=_jax_halves(lambda nn, b: b),
    ),
    "maxout": Axis(
        torch=lambda torch, x, k=2: x.max(1, keepdim=True).values,
        jax=lambda jnp, nn, x, k=2: jnp.max(x, axis=1, keepdims=True),
        cases=({}, {"k": 1}, {"k": 5}),
    ),
    "crelu": Axis(
        torch=lambda torch, x: torch.stack((torch.relu(x), torch.relu(-x)), 1),
        jax=lambda jnp, nn, x: jnp.stack((nn.relu(x), nn.relu(-x)), 1),
    ),
    "layer_norm": Axis(
        torch=lambda torch, x, normalized_shape=64, **p: torch.nn.functional.layer_norm(
            x, (normalized_shape,), **p
        ),
        jax=_jax_norm,
        cases=(
            {},
            {"normalized_shape": 2},
            {"normalized_shape": 5, "eps": 0.3},
            {"normalized_shape": 7, "eps": 0.0},
        ),
    ),
    "rms_norm": Axis(
        torch=lambda torch, x, normalized_shape=64, **p: torch.nn.functional.rms_norm(
            x, (normalized_shape,), **p
        ),
        jax=lambda jnp, nn, x, normalized_shape=64, eps=2.0**-52: (
            x / jnp.sqrt(jnp.mean(x * x, axis=1, keepdims=True) + eps)
        ),
        cases=({}, {"normalized_shape": 3}, {"normalized_shape": 5, "eps": 0.3}),
    ),
    "batch_norm": Axis(
        torch=lambda torch, x, batch_size=64, **p: (
            torch.nn.functional.batch_norm(x.T, None, None, training=True, **p).T
        ),
        jax=_jax_norm,
        cases=({}, {"batch_size": 4}, {"batch_size": 9, "eps": 0.1}),
    ),
    "instance_norm": Axis(
        torch=lambda torch, x, input_size=64, **p: torch.nn.functional.instance_norm(x[None], **p)[
            0
        ],
        jax=_jax_norm,
        cases=({}, {"input_size": 4}, {"input_size": 9, "eps": 0.1}),
    ),
    "group_norm": Axis(
        torch=_torch_group_norm,
        jax=_jax_norm,
        cases=(
            {},
            {"num_groups": 4},
            {"num_groups": 2, "num_channels": 6, "input_size": 5, "eps": 0.2},
            {"num_groups": 2, "num_channels": 6, "input_size": 1},
        ),
    ),
    "unit_normalization": Axis(
        torch=lambda torch, x, n=64: torch.nn.functional.normalize(x, dim=1),
        jax=lambda jnp, nn, x, n=64: x / jnp.linalg.norm(x, axis=1, keepdims=True),
        cases=({}, {"n": 6}),
    ),
    "standardize": Axis(
        jax=lambda jnp, nn, x, n=64, epsilon=1e-5: nn.standardize(x, axis=1, epsilon=epsilon),
        cases=({}, {"n": 3}, {"n": 6, "epsilon": 0.4}),
    ),
}


COVERS = {name: oracle.cases for name, oracle in AXIS.items()}


def torch_value_and_gradient(
    name: str, x: np.ndarray, dy: np.ndarray, params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx by torch's autograd; draws on the last axis of x, dy and both results."""
    torch = pytest.importorskip("torch")
    call = AXIS[name].torch
    assert call is not None
    leaf = torch.tensor(np.moveaxis(x, -1, 0), requires_grad=True)
    y = call(torch, leaf, **params)
    y.backward(torch.tensor(np.moveaxis(dy, -1, 0)))
    return np.moveaxis(y.detach().numpy(), 0, -1), np.moveaxis(leaf.grad.numpy(), 0, -1)


def jax_value_and_gradient(
    name: str, x: np.ndarray, dy: np.ndarray, params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx by jax's autodiff; draws on the last axis of x, dy and both results."""
    jax = pytest.importorskip("jax")
    call = AXIS[name].jax
    assert call is not None
    with jax.enable_x64(True):  # of this thread, as long as it is needed
        draws = jax.numpy.asarray(np.moveaxis(x, -1, 0))
        y, pull = jax.vjp(lambda v: call(jax.numpy, jax.nn, v, **params), draws)
        (dx,) = pull(jax.numpy.asarray(np.moveaxis(dy, -1, 0)))
        return np.moveaxis(np.asarray(y), 0, -1), np.moveaxis(np.asarray(dx), 0, -1)


# --- moments ----------------------------------------------------------------------------------

GATES: dict[str, tuple[Callable[[Any], Any], tuple[float, ...]]] = {
    "glu": (oracles_elementwise.ELEMENTWISE["sigmoid"].mp, ()),
    "swiglu": (oracles_elementwise.ELEMENTWISE["silu"].mp, ()),
    "geglu": (oracles_elementwise.ELEMENTWISE["gelu"].mp, ()),
    "geglu:approximate=tanh": (
        lambda x: oracles_elementwise.ELEMENTWISE["gelu"].mp(x, approximate="tanh"),
        (),
    ),
    "reglu": (oracles_elementwise.ELEMENTWISE["relu"].mp, (0.0,)),
    "multiply": (lambda b: b, ()),
}


def gated_moments(spec: str, mean: float, std: float) -> dict[str, Any]:
    """Return mean, var, m4 of a·g(b) and E[dx²] at E[dy²] = 1, from raw moments at 30 digits."""
    gate, breakpoints = GATES[spec]
    with mp.workdps(oracles.DIGITS):
        m, s = mpf(mean), mpf(std)
        points = oracles.weighted(gate, mean, std, breakpoints)
        a = [1, m, m**2 + s**2, m**3 + 3 * m * s**2, m**4 + 6 * m**2 * s**2 + 3 * s**4]
        raw = [a[k] * mp.fsum(w * g**k for w, g, _ in points) for k in range(5)]
        mu = raw[1]
        return {
            "mean_y": mu,
            "var_y": raw[2] - mu**2,
            "m4_y": raw[4] - 4 * mu * raw[3] + 6 * mu**2 * raw[2] - 3 * mu**4,
            "ms_dx": mp.fsum(w * (g**2 + a[2] * slope**2) for w, g, slope in points) / 2,
            # (g² + a²g′²)², of which E[dy⁴] = 3
            "square_dx": mpf(3)
            / 4
            * mp.fsum(
                w * (g**4 + 2 * a[2] * g**2 * slope**2 + a[4] * slope**4) for w, g, slope in points
            ),
        }


def crelu_moments(mean: float, std: float) -> tuple[Any, Any]:
    """Return mean and variance over both outputs, from the folded normal's mean."""
    m, s = mpf(mean), mpf(std)
    folded = s * mp.sqrt(2 / mp.pi) * mp.exp(-((m / s) ** 2) / 2) + m * mp.erf(m / s / mp.sqrt(2))
    return folded / 2, (m**2 + s**2) / 2 - folded**2 / 4


def sparsemax_pair(std: float) -> tuple[Any, Any]:
    """Return Var[y] and E[dx²] of sparsemax over two: x₁ − x₂ is normal with variance 2·std²."""
    s = mp.sqrt(2) * mpf(std)
    inside = mp.erf(1 / s / mp.sqrt(2))
    square = s**2 * (inside - 2 / s * mp.npdf(1 / s))  # E[d²; |d| < 1]
    return (square + 1 - inside) / 4, inside / 2


def softmax_pair(std: float) -> dict[str, Any]:
    """Return moments over two inputs, where s₁ is the logistic function of their difference."""
    with mp.workdps(oracles.DIGITS):
        d = [(mp.sqrt(2) * mpf(std) * z, w) for z, w in oracles.normal_points()]
        points = [(1 / (1 + mp.exp(-x)), -mp.log1p(mp.exp(-x)), w) for x, w in d]
        mean = mp.fsum(w * y for _, y, w in points)
        return {
            "var": mp.fsum(w * (s - mpf(1) / 2) ** 2 for s, _, w in points),
            "ms_dx": 2 * mp.fsum(w * (s * (1 - s)) ** 2 for s, _, w in points),
            "log_mean": mean,
            "log_var": mp.fsum(w * (y - mean) ** 2 for _, y, w in points),
            "log_ms_dx": mp.fsum(w * ((1 - s) ** 2 + s**2) for s, _, w in points),
        }


def softmax_triple(std: float) -> dict[str, float]:
    """Return the same over three inputs, by the trapezoid rule in three dimensions.

    E[dx²] is the mean square of the Jacobian, written out entry by entry.
    """
    step = 0.25
    z = np.arange(-9, 9 + step, step)
    weight = np.exp(-0.5 * z * z) * step / math.sqrt(2 * math.pi)
    x = std * np.stack(np.meshgrid(z, z, z, indexing="ij"))
    w = weight[:, None, None] * weight[:, None] * weight
    e = np.exp(x)
    s, y = e / e.sum(0), x - np.log(e.sum(0))
    jacobian = {(i, j): s[i] * ((i == j) - s[j]) for i, j in itertools.product(range(3), repeat=2)}
    mean = float(np.sum(w * y[0]))
    return {
        "var": float(np.sum(w * (s[0] - 1 / 3) ** 2)),
        "ms_dx": sum(float(np.sum(w * v * v)) for v in jacobian.values()) / 3,
        "log_mean": mean,
        "log_var": float(np.sum(w * (y[0] - mean) ** 2)),
        "log_ms_dx": sum(
            float(np.sum(w * ((i == j) - s[i]) ** 2))
            for i, j in itertools.product(range(3), repeat=2)
        )
        / 3,
    }


def _inverse_power(p: Any, k: int, c: Any, noncentrality: Any) -> Any:
    """Return E[(Q + c)^−p] for a chi-square Q: Tricomi's U, mixed over a Poisson count."""

    def central(k: int) -> Any:
        if not c:
            return mpf(2) ** -p * mp.gamma(mpf(k) / 2 - p) / mp.gamma(mpf(k) / 2)
        h = mpf(k) / 2
        return c ** (h - p) * mpf(2) ** -h * mp.hyperu(h, h - p + 1, c / 2)

    if not noncentrality:
        return central(k)
    rate, total, weight, j = noncentrality / 2, mpf(0), mp.exp(-noncentrality / 2), 0
    while j < rate or weight > mpf(10) ** -25:
        total += weight * central(k + 2 * j)
        j += 1
        weight *= rate / j
    return total


@cache
def normalization_moments(
    n: int, eps: float, mean: float, std: float, *, centred: bool
) -> tuple[Any, Any, Any]:
    """Return E[y], E[y²] and E[dx²] at E[dy²] = 1 from the law of the sum of squares.

    E[x₁·f(|x|²)] is the mean of x times E[f] with two more degrees of freedom. dx is the Jacobian,
    its eigenvalues (v + eps)^−½ but one, eps·(v + eps)^−3/2 along y, times dy.
    """
    with mp.workdps(oracles.DIGITS + round(2 * abs(math.log10(std)))):
        m, s, e = mpf(mean), mpf(std), mpf(eps)
        k, noncentrality = (n - 1, mpf(0)) if centred else (n, n * (m / s) ** 2)

        def inverse(p: Any, more: int = 0) -> Any:
            scale = n / s**2
            return scale**p * _inverse_power(p, k + more, e * scale, noncentrality)

        mean_y = mpf(0) if centred else m * inverse(mpf(1) / 2, 2)
        ms_dx = mpf(0) if k == 1 else (k - 1) * inverse(mpf(1))
        if eps:
            ms_dx += e**2 * inverse(mpf(3))
        return mean_y, 1 - (e * inverse(mpf(1)) if eps else 0), ms_dx / n


def normalization_square(n: int, eps: float, mean: float, std: float, *, centred: bool) -> Any:
    """Return E[(mean of dx²)²] at E[dy²] = 1.

    Given v, |dx|² is Σ λ²z² over the eigenvalues λ of the Jacobian: its square has the mean
    (Σ λ²)² + 2·Σ λ⁴.
    """
    with mp.workdps(oracles.DIGITS):
        m, s, e = mpf(mean), mpf(std), mpf(eps)
        k, noncentrality = (n - 1, mpf(0)) if centred else (n, n * (m / s) ** 2)

        def inverse(p: int) -> Any:
            scale = n / s**2
            return scale**p * _inverse_power(mpf(p), k, e * scale, noncentrality)

        found = mpf(0) if k == 1 else ((k - 1) ** 2 + 2 * (k - 1)) * inverse(2)
        if eps:
            along = e**4 * inverse(6)
            found += 2 * (k - 1) * e**2 * inverse(4) + along + 2 * along
        return found / n**2


def normalization_spread(n: int, eps: float, std: float, *, centred: bool) -> Any:
    """Return the variance of the mean of y², v/(v + eps), at x_mean = 0."""
    with mp.workdps(2 * oracles.DIGITS):
        k, scale, e = n - 1 if centred else n, n / mpf(std) ** 2, mpf(eps)
        first, second = (_inverse_power(mpf(p), k, e * scale, 0) * scale**p for p in (1, 2))
        return e**2 * (second - first**2)

"""What a stack with shapes makes of signals where its channels and features are infinitely many.

With fresh weights of zero mean a layer returns normal numbers, independent between channels. All
that the next one needs are E[x²] at each position and, of two inputs, E[x·x′] at the same position:
shared weights carry both as they carry an average, padding counted as 0, and so do gradients, which
are uncorrelated between positions. Pools look at several positions, whose covariance this leaves
out; what follows an activation without weights in between is not normal. There nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bnstats.layers import Input
from bnstats.networks.maps import Function, power_series
from bnstats.networks.predictions import DEGREES, PANELS, TOLERANCE, square_means
from bnstats.networks.shapes.events import through
from bnstats.networks.shapes.stack import Flatten, Placed, Step
from bnstats.networks.stages import Add, Skip
from bnstats.specs.spec import parse

Back: TypeAlias = Callable[[Any], Any]  # from the mean squares of dy to those of dx

_ALIKE = 1e-9  # mean squares that differ by no more are those of alike positions
_MOST_PAIRS = 16  # of mean square and correlation, which take some milliseconds each
_AVERAGES = ("avg_pool", "global_avg_pool")
_OF_ONE_INPUT = ("layer_norm", "rms_norm", "group_norm")


class Wide(NamedTuple):
    """Of every layer: root mean squares of y and dx, the cosine of two inputs; nan if not known."""

    y: list[float]
    dx: list[float]
    correlation: list[float]


class _Signal(NamedTuple):
    """E[x²] and E[x·x′] at every place, and whether x is normal with zero mean."""

    q: Any
    k: Any
    normal: bool = True


def predict(shape: tuple[int, ...], steps: Sequence[Step], *, correlated: bool = True) -> Wide:
    """Predict the layers of a whole stack, in order; x and dy are standard normals.

    ``correlated`` tells whether correlations are wanted too, which take longer.
    """
    signal = _Signal(np.ones(shape), np.full(shape, 0.0 if correlated else math.nan))
    y, cosines, backs, trunks = [], [], list[Back | Skip | Add](), []
    with np.errstate(all="ignore"):  # what over- or underflows has no prediction
        for step in steps:
            if isinstance(step, Skip):
                trunks.append(signal)
                backs.append(step)
            elif isinstance(step, Add):
                signal = _added(trunks.pop(), signal, step.alpha)
                backs.append(step)
            elif isinstance(step, Flatten):
                backs.append(_reshaped(signal.q.shape))
                signal = signal._replace(q=signal.q.reshape(-1), k=signal.k.reshape(-1))
            else:
                signal, back = _through(step, signal)
                backs.append(back)
            y.append(math.sqrt(signal.q.mean()))
            cosines.append(float(signal.k.mean() / signal.q.mean()))
        dx = list(_backward(backs, signal.q.shape))[::-1]
    return Wide(y, dx, cosines)


def _backward(backs: Sequence[Back | Skip | Add], shape: tuple[int, ...]) -> Iterator[float]:
    d, trunks = np.ones(shape), []
    for step in reversed(backs):
        if isinstance(step, Add):
            trunks.append(d)
            d = step.alpha**2 * d
        elif isinstance(step, Skip):
            d = d + trunks.pop()
        else:
            d = step(d)
        yield math.sqrt(d.mean())


def _through(step: Placed, signal: _Signal) -> tuple[_Signal, Back]:
    name = step.spec.layer.name
    if step.event is None:
        return _elementwise(step, signal)
    if "weight" in step.spec.bound.inputs:
        return _weighted(step, signal)
    values = step.spec.values
    if name.startswith(_AVERAGES) and not (
        np.any(values.get("padding", 0)) or values.get("ceil_mode")
    ):
        return _unknown(step), _averaged(step, signal.q.shape)
    if name in _OF_ONE_INPUT or name == "batch_norm":
        return _normalised(step, signal)
    return _unknown(step), lambda d: np.full(signal.q.shape, math.nan)


def _unknown(step: Placed) -> _Signal:
    nothing = np.full(step.shape, math.nan)
    return _Signal(nothing, nothing, normal=False)


def _added(trunk: _Signal, branch: _Signal, alpha: float) -> _Signal:
    """Add a branch that ends in fresh weights, which make it uncorrelated with the trunk."""
    if not (trunk.normal and branch.normal):
        nothing = np.full(trunk.q.shape, math.nan)
        return _Signal(nothing, nothing, normal=False)
    return _Signal(trunk.q + alpha**2 * branch.q, trunk.k + alpha**2 * branch.k)


def _reshaped(shape: tuple[int, ...]) -> Back:
    return lambda d: d.reshape(shape)


def _weighted(step: Placed, signal: _Signal) -> tuple[_Signal, Back]:
    """Carry both maps as weights that are all alike carry an average.

    A convolution of single channels sums but a few elements: its outputs are no normals.
    """
    layer, given = step.spec.layer, step.spec.values
    values = {k: v for k, v in given.items() if k not in ("init", "mode", "gain", "a")}
    if "init" in given:  # of others a uniform 1 makes all weights alike
        values |= {"init": "kaiming_normal", "gain": 1.0}
    alike = parse(layer.name, given=values)
    assert step.event is not None
    maps = np.stack([np.ones(signal.q.shape), signal.q, signal.k], axis=-1)
    y, pull = through(alike, step.event, maps, _ones)
    y = y * (step.squares[0] / y[..., 0].mean())
    bias = step.bias_std**2

    def back(d: Any) -> Any:
        dx = pull(np.stack([np.ones(d.shape), d, d], axis=-1))
        return dx[..., 1] * (step.squares[1] / dx[..., 0].mean())

    normal = not layer.name.startswith("depthwise")
    return _Signal(y[..., 1] + bias, y[..., 2] + bias, normal), back


def _averaged(step: Placed, shape: tuple[int, ...]) -> Back:
    """Return how an average sends back gradients that are uncorrelated between positions."""
    assert step.event is not None
    ones = np.ones((*shape, 2))
    _, pull = through(step.spec, step.event, ones, _ones)

    def back(d: Any) -> Any:
        # Every element of a window has one weight, so squares go back as gradients do.
        dx = pull(np.stack([np.ones(d.shape), d], axis=-1))
        return dx[..., 1] * (step.squares[1] / dx[..., 0].mean()) * step.backward**2

    return back


def _ones(given: Input, n: int) -> Any:
    return np.ones((*given.shape, n))


def _elementwise(step: Placed, signal: _Signal) -> tuple[_Signal, Back]:
    plain = step.spec.bound.inputs == {"x": Input(), "dy": Input()}
    q, at = np.unique(_rounded(signal.q), return_inverse=True)
    found = [square_means(step.spec, v) if 0 < v < math.inf else None for v in q.tolist()]
    squares, slopes = (
        np.array([f[i].value if f else math.nan for f in found])[at].reshape(signal.q.shape)
        for i in (0, 1)
    )
    if not signal.normal:
        squares = slopes = np.full(signal.q.shape, math.nan)
    shared = np.full(signal.q.shape, math.nan)
    if plain and signal.normal:
        shared = _shared(step, signal)
    factor = step.backward**2
    return (
        _Signal(squares * step.forward**2, shared * step.forward**2, normal=False),
        lambda d: d * slopes * factor,
    )


def _shared(step: Placed, signal: _Signal) -> Any:
    """Return E[f(x)·f(x′)] at every place."""
    c = np.minimum(signal.k / signal.q, 1.0)
    pairs = np.stack([_rounded(signal.q).ravel(), _rounded(c).ravel()], axis=1)
    known, at = np.unique(pairs, axis=0, return_inverse=True)
    if len(known) > _MOST_PAIRS or not np.isfinite(known).all() or not (known[:, 0] > 0).all():
        return np.full(signal.q.shape, math.nan)
    f = Function(step.spec, TOLERANCE)
    values = [power_series(f, q, c, DEGREES, PANELS).value for q, c in known.tolist()]
    return np.array(values)[at].reshape(signal.q.shape)


def _rounded(v: Any) -> Any:
    """Round to ten digits, so that positions that are alike by symmetry have the same number."""
    power = 10.0 ** (9 - np.floor(np.log10(np.where(v > 0, v, 1.0))))
    return np.where(np.isfinite(v), np.round(v * power) / power, v)


def _normalised(step: Placed, signal: _Signal) -> tuple[_Signal, Back]:
    """Divide by the root mean square of what is normalised together, which does not fluctuate.

    A batch norm, of infinitely many inputs, takes away what these have in common. It is known where
    all positions are alike, or nothing is in common.
    """
    assert step.event is not None
    q, k = signal.q, signal.k
    if not signal.normal:
        return _unknown(step), lambda d: np.full(d.shape, math.nan)
    axes = tuple(a for a in step.event.axes if a >= 0)
    if step.event.groups:
        axes = tuple(range(q.ndim))  # groups of infinitely many channels are alike
    if step.spec.layer.name == "batch_norm":
        alike = np.ptp(q) <= _ALIKE * q.mean() and np.ptp(k) <= _ALIKE * q.mean()
        if not alike and np.any(k):
            return _unknown(step), lambda d: np.full(d.shape, math.nan)
        q, k = q - k, np.zeros_like(k)
    scale = step.forward**2 / (q.mean(axis=axes, keepdims=True) + step.spec.values["eps"])
    pulled = scale * (step.backward / step.forward) ** 2
    return _Signal(q * scale, k * scale), lambda d: d * pulled

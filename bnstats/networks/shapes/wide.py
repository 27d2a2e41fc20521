"""What a stack with shapes makes of signals where its channels and features are infinitely many.

With fresh weights of zero mean a layer returns normal numbers, independent between channels. All
that the next one needs are E[x²] at each position and, of two inputs, E[x·x′] at the same position:
shared weights carry both as they carry an average, padding counted as 0, and so do gradients, which
are uncorrelated between positions. All channels are alike, so that one stands for them. Pools look
at several positions, whose covariance this leaves out; what follows an activation without weights
in between is not normal; and branches that meet must come from different weights. Elsewhere nothing
is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bnstats.layers import Input
from bnstats.networks.maps import power_series
from bnstats.networks.predictions import function_of, square_means
from bnstats.networks.shapes.events import Shape, through
from bnstats.networks.shapes.graph import Back, Gradients, roots, sent_back
from bnstats.networks.shapes.steps import Flatten, Node, Placed
from bnstats.networks.stages import Add, Skip
from bnstats.specs.spec import parse

_ALIKE = 1e-9  # mean squares that differ by no more are those of alike positions
_MOST_PAIRS = 16  # of mean square and correlation, which take some milliseconds each
_AVERAGES = ("avg_pool", "global_avg_pool")
_OF_ONE_INPUT = ("layer_norm", "rms_norm", "group_norm")
_DEPENDENT = "its windows hold numbers that depend on each other"


class Wide(NamedTuple):
    """What is known of every layer.

    Attributes
    ----------
    y, correlation
        Root mean square of y, and the cosine of two inputs; nan where it is not known.
    gradients
        Mean squares, of maps.
    why
        The first layer of whose y nothing is known, and why; None where all is known.
    """

    y: list[float]
    correlation: list[float]
    gradients: Gradients
    why: tuple[int, str] | None


class _Signal(NamedTuple):
    """E[x²] and E[x·x′] at every place of a channel, whether x is normal, and where it comes from.

    ``origins`` are the layers whose weights made it what it is, and −1, the input.
    """

    q: Any
    k: Any
    normal: bool = True
    origins: frozenset[int] = frozenset([-1])


_Found: TypeAlias = tuple[_Signal | str, Back | None]  # or why nothing is known, if not before


def predict(nodes: Sequence[Node], *, correlated: bool = True) -> Wide:
    """Predict the layers of a graph, in order; x and dy of the last layer are standard normals.

    ``correlated`` tells whether correlations are wanted too, which take longer.
    """
    first, last = nodes[0], nodes[-1]
    ones, why = np.ones(_place(first.got)), None
    start = _Signal(ones, ones * (0.0 if correlated else math.nan))
    signals: dict[int, _Signal | None] = {-1: start}
    backs = list[Back | None]()
    with np.errstate(all="ignore"):  # what over- or underflows has no prediction
        for at, node in enumerate(nodes):
            found, back = _through(at, node, [signals[source] for source in node.sources])
            if isinstance(found, str):
                why = why or ((at, found) if found else None)
            signals[at] = None if isinstance(found, str) else found
            backs.append(back)
        dy = np.ones(_place(getattr(last.step, "shape", last.got)))
        gradients = sent_back(nodes, backs, dy)
        kept = list(signals.values())[1:]
        return Wide(
            roots(s and s.q for s in kept),
            [float(s.k.mean() / s.q.mean()) if s else math.nan for s in kept],
            gradients,
            why,
        )


def _place(shape: Shape) -> Shape:
    """Return the shape of one channel; features are all kept."""
    return (1, *shape[1:]) if len(shape) > 1 else shape


def _through(at: int, node: Node, arriving: Sequence[_Signal | None]) -> _Found:
    step = node.step
    signal = arriving[-1] if arriving else None
    if step is None or node.why:
        return node.why, None
    if isinstance(step, Skip):
        return signal or "", _same
    if isinstance(step, Add):
        return _added(arriving[0], signal, step.alpha)
    if isinstance(step, Flatten):
        return _reshaped(step, node.got, signal)
    if "weight" in step.spec.bound.inputs:
        return _weighted(at, step, node.got, signal)
    name, values = step.spec.layer.name, step.spec.values
    padded = np.any(values.get("padding", 0)) or values.get("ceil_mode")
    if name.startswith(_AVERAGES) and not padded:
        return _DEPENDENT, _averaged(step, _place(node.got))
    if signal is None:
        return "", None
    if not signal.normal:
        return "what it gets is not normal", None
    if step.event is None:
        return _elementwise(step, signal)
    if name in _OF_ONE_INPUT or name == "batch_norm":
        return _normalised(step, signal)
    return _DEPENDENT if "pool" in name else "there is no formula for it", None


def _same(d: Any) -> Any:
    return d


def _added(trunk: _Signal | None, branch: _Signal | None, alpha: float) -> _Found:
    """Add what comes from different weights, which make it uncorrelated, and gradients as well."""
    if trunk is None or branch is None:
        return "", None
    if trunk.origins & branch.origins:
        return "what it adds is not independent", None
    if not (trunk.normal and branch.normal):
        return "what it adds is not normal", _same
    q, k = trunk.q + alpha**2 * branch.q, trunk.k + alpha**2 * branch.k
    return _Signal(q, k, origins=trunk.origins | branch.origins), _same


def _reshaped(step: Flatten, got: Shape, signal: _Signal | None) -> _Found:
    """Give maps another shape, of all channels, which must be alike again."""

    def back(d: Any) -> Any:
        whole = np.broadcast_to(d, step.shape).reshape(got)
        return whole.mean(axis=0, keepdims=True) if len(got) > 1 else whole

    if signal is None:
        return "", back
    q, k = (np.broadcast_to(m, got).reshape(step.shape) for m in (signal.q, signal.k))
    if len(step.shape) > 1:
        if np.ptp(q, axis=0).max() > _ALIKE * q.mean():
            return "its channels differ", back
        q, k = q[:1], k[:1]
    return signal._replace(q=q, k=k), back


def _weighted(at: int, step: Placed, got: Shape, signal: _Signal | None) -> _Found:
    """Carry both maps as weights that are all alike carry an average."""
    assert step.event is not None
    place, bias = _place(got), step.bias_std**2
    ones = np.ones(place)
    maps = [ones, signal.q, signal.k] if signal else [ones]
    if step.spec.layer.name == "linear":
        whole = np.ones(_place(step.shape))
        y = [whole * m.mean(axis=-1, keepdims=True) for m in maps]
        pull: Back = lambda d: ones * d.mean(axis=-1, keepdims=True)  # noqa: E731
    else:
        y, pull = _convolved(step, maps)
    factor = step.squares[0] / y[0].mean()

    def back(d: Any) -> Any:
        return pull(d) * (step.squares[1] / pull(np.ones(d.shape)).mean())

    if signal is None:
        return "", back
    q, k = (m * factor + bias for m in y[1:])
    return _Signal(q, k, not _is_depthwise(step), origins=frozenset([at])), back


def _is_depthwise(step: Placed) -> bool:
    """Whether outputs are sums over a window of one channel: not normal, however many channels."""
    values = step.spec.values
    groups = values.get("groups", 1)
    return step.spec.layer.name.startswith("depthwise") or 1 < groups == values["in_channels"]


def _convolved(step: Placed, maps: Sequence[Any]) -> tuple[list[Any], Back]:
    """Convolve maps of one channel with weights that are all alike."""
    assert step.event is not None
    values = {k: v for k, v in step.spec.values.items() if k not in ("mode", "gain", "a")}
    values |= {k: 1 for k in ("in_channels", "out_channels", "groups") if k in values}
    values |= {"init": "kaiming_normal"} if "init" in values else {}
    alike = parse(step.spec.layer.name, given=values)
    y, pull = through(alike, step.event, np.stack(maps, axis=-1), _ones)

    def back(d: Any) -> Any:
        whole = np.broadcast_to(d[..., None], y.shape)
        return pull(whole)[..., 0]

    return [m.mean(axis=0, keepdims=True) for m in np.moveaxis(y, -1, 0)], back


def _averaged(step: Placed, place: Shape) -> Back:
    """Return how an average sends back gradients that are uncorrelated between positions."""
    assert step.event is not None
    _, pull = through(step.spec, step.event, np.ones((*place, 1)), _ones)

    def back(d: Any) -> Any:
        # Every element of a window has one weight, so squares go back as gradients do.
        dx = pull(d[..., None])[..., 0]
        ones = pull(np.ones((*d.shape, 1)))[..., 0]
        return dx * (step.squares[1] / ones.mean()) * step.backward**2

    return back


def _ones(given: Input, n: int) -> Any:
    return np.ones((*given.shape, n))


def _elementwise(step: Placed, signal: _Signal) -> _Found:
    plain = step.spec.bound.inputs == {"x": Input(), "dy": Input()}
    q, at = np.unique(_rounded(signal.q), return_inverse=True)
    found = [square_means(step.spec, v) if 0 < v < math.inf else None for v in q.tolist()]
    squares, slopes = (
        np.array([f[i].value if f else math.nan for f in found])[at].reshape(signal.q.shape)
        for i in (0, 1)
    )
    shared = _shared(step, signal) if plain else np.full(signal.q.shape, math.nan)
    factor = step.forward**2
    known = signal._replace(q=squares * factor, k=shared * factor, normal=False)
    here = "its E[y²] is not known" if np.isnan(squares).any() else known
    return here, lambda d: d * slopes * step.backward**2


def _shared(step: Placed, signal: _Signal) -> Any:
    """Return E[f(x)·f(x′)] at every place."""
    c = np.minimum(signal.k / signal.q, 1.0)
    pairs = np.stack([_rounded(signal.q).ravel(), _rounded(c).ravel()], axis=1)
    known, at = np.unique(pairs, axis=0, return_inverse=True)
    if len(known) > _MOST_PAIRS or not np.isfinite(known).all() or not (known[:, 0] > 0).all():
        return np.full(signal.q.shape, math.nan)
    f = function_of(step.spec)
    values = [power_series(f, q, c).value for q, c in known.tolist()]
    return np.array(values)[at].reshape(signal.q.shape)


def _rounded(v: Any) -> Any:
    """Round to ten digits, so that positions that are alike by symmetry have the same number."""
    power = 10.0 ** (9 - np.floor(np.log10(np.where(v > 0, v, 1.0))))
    return np.where(np.isfinite(v), np.round(v * power) / power, v)


def _normalised(step: Placed, signal: _Signal) -> _Found:
    """Divide by the root mean square of what is normalised together, which does not fluctuate.

    A batch norm, of infinitely many inputs, takes away what these have in common. It is known where
    all positions are alike, or nothing is in common.
    """
    assert step.event is not None
    q, k = signal.q, signal.k
    axes = tuple(a for a in step.event.axes if a >= 0)
    if step.event.pieces:
        axes = tuple(range(q.ndim))  # groups of infinitely many channels are alike
    if step.spec.layer.name == "batch_norm":
        alike = np.ptp(q) <= _ALIKE * q.mean() and np.ptp(k) <= _ALIKE * q.mean()
        if not alike and np.any(k):
            return "its positions differ", None
        q, k = q - k, np.zeros_like(k)
    scale = 1 / (q.mean(axis=axes, keepdims=True) + step.spec.values["eps"])
    forward, backward = scale * step.forward**2, scale * step.backward**2
    return signal._replace(q=q * forward, k=k * forward), lambda d: d * backward

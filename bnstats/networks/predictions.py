"""What is expected of a stack without drawing it: from isolated layers, and of a wide network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from bnstats.layers import Input, Known, Law
from bnstats.networks.maps import Function, power_series
from bnstats.networks.stages import Add, Dense, Elementwise, Skip, Stage
from bnstats.specs.spec import Spec
from bnstats.statistics.exact import exact_values

Kind = Literal["isolated", "wide"]


class Predictions(NamedTuple):
    """Of every layer in order, root mean squares of y and of dx; nan where there is none.

    The isolated ones multiply what each layer does to standard normals. The wide ones are those
    of infinitely many units, with the correlation of two inputs that begin independent. ``why``
    tells the first layer of whose y nothing is known, by its number, and the reason.
    """

    isolated_y: list[float]
    isolated_dx: list[float]
    wide_y: list[float]
    wide_dx: list[float]
    correlation: list[float]
    why: Mapping[Kind, tuple[int, str]] = {}


def function_of(spec: Spec) -> Function:
    """Return an elementwise layer with errors far below what can be seen beside a sample."""
    return Function(spec, tolerance=1e-8, degrees=(256,), panels=(32, 64))


@lru_cache(maxsize=4096)
def square_means(spec: Spec, q: float) -> tuple[Known, Known]:
    """Return E[y²] and E[dx²]/E[dy²] of an elementwise layer for x ~ N(0, q)."""
    if spec.bound.inputs == {"x": Input(), "dy": Input()}:
        f = function_of(spec)
        return f.square(q), f.slope_square(q)
    law = Law(0.0, math.sqrt(q))
    found = exact_values(spec.under(law).bound, law)
    y, dx = (
        Known(found[n].value ** 2, 2 * found[n].value * found[n].error)
        if n in found
        else Known(math.nan)
        for n in ("rms_y", "rms_dx")
    )
    return y, dx


def isolated_squares(spec: Spec) -> tuple[float, float]:
    """Return E[y²] and E[dx²] of a layer alone under standard normals; nan where not known."""
    y, dx = square_means(spec, 1.0)
    return y.value, dx.value


class _Signal(NamedTuple):
    """E[x²], the correlation of two inputs, whether x is normal, and owes nothing to open trunks.

    What has passed through no weights since a branch began does, and adds to its trunk's own.
    """

    q: float
    c: float
    normal: bool = True
    fresh: bool = True

    @property
    def lost(self) -> _Signal:
        """The same where its size is not known."""
        return self._replace(q=math.nan, c=math.nan, normal=False)


def predict(stages: Sequence[Stage], width: int, *, correlated: bool = True) -> Predictions:
    """Predict the layers of a whole stack, in order; x and dy are standard normals.

    ``correlated`` tells whether correlations are wanted too, which take longer.
    """
    with np.errstate(all="ignore"):  # what overflows has no prediction
        return _predict(stages, width, 0.0 if correlated else math.nan)


def _predict(stages: Sequence[Stage], width: int, c: float) -> Predictions:
    signal, isolated = _Signal(1.0, c), 1.0
    open_branches: list[tuple[_Signal, float]] = []
    isolated_y, signals, why = [], [signal], dict[Kind, tuple[int, str]]()
    for at, stage in enumerate(stages):
        lost = "its E[y²] is not known" if signal.normal else "what it gets is not normal"
        if isinstance(stage, Skip):
            open_branches.append((signal, isolated))
            signal = signal._replace(fresh=False)
        elif isinstance(stage, Add):
            lost = f"what it adds is not {'normal' if signal.fresh else 'independent'}"
            trunk, before = open_branches.pop()
            isolated = before + stage.alpha**2 * isolated
            signal = _added(trunk, signal, stage.alpha)
        else:
            isolated *= _factors(stage, 1.0, width)[0]
            signal = _through(stage, signal, width)
        if not math.isfinite(signal.q):
            why.setdefault("wide", (at, lost))
        isolated_y.append(isolated)
        signals.append(signal)
    isolated_dx, wide_dx = _backward(stages, signals, width)
    return Predictions(
        [math.sqrt(v) for v in isolated_y],
        isolated_dx,
        [math.sqrt(s.q) for s in signals[1:]],
        wide_dx,
        [s.c for s in signals[1:]],
        why,
    )


def _factors(stage: Stage, q: float, width: int) -> tuple[float, float]:
    """Return what a layer makes of the mean square of normals of this q, and of dy's."""
    if isinstance(stage, Dense):
        factor = stage.weights.ms * width
        return factor + stage.bias_std**2 / q, factor
    assert isinstance(stage, Elementwise)
    if not 0 < q < math.inf:
        return math.nan, math.nan
    # Twelve digits: near a fixed point, where q hardly changes any more, nothing is found twice.
    y, dx = square_means(stage.spec, float(f"{q:.12g}"))
    return y.value * stage.forward**2 / q, dx.value * stage.backward**2


def _through(stage: Stage, signal: _Signal, width: int) -> _Signal:
    if isinstance(stage, Dense):
        factor = stage.weights.ms * width
        q, bias = factor * signal.q, stage.bias_std**2
        c = (q * signal.c + bias) / (q + bias) if q + bias > 0 else math.nan
        return _Signal(q + bias, c)
    assert isinstance(stage, Elementwise)
    if not signal.normal or not 0 < signal.q < math.inf:
        return signal.lost
    q = signal.q * _factors(stage, signal.q, width)[0]
    c = math.nan
    if stage.spec.bound.inputs == {"x": Input(), "dy": Input()} and math.isfinite(signal.c):
        f, at = function_of(stage.spec), float(f"{signal.q:.12g}")
        shared = power_series(f, at, min(signal.c, 1.0)).value
        c = shared / f.square(at).value if f.square(at).value else math.nan
    return signal._replace(q=q, c=c, normal=False)


def _added(trunk: _Signal, branch: _Signal, alpha: float) -> _Signal:
    """Add a branch that ends in a dense layer, whose fresh weights make it uncorrelated."""
    if not (trunk.normal and branch.normal and branch.fresh):
        return trunk.lost
    q, more = trunk.q, alpha**2 * branch.q
    c = (q * trunk.c + more * branch.c) / (q + more)
    return _Signal(q + more, c, fresh=trunk.fresh)


def _backward(
    stages: Sequence[Stage], signals: Sequence[_Signal], width: int
) -> tuple[list[float], list[float]]:
    """Return isolated and wide predictions of dx, from the output back, in order of layers."""
    found: list[tuple[float, float]] = []
    isolated = wide = 1.0
    trunks: list[tuple[float, float]] = []
    for stage, arriving in zip(reversed(stages), reversed(signals[:-1]), strict=True):
        if isinstance(stage, Add):
            trunks.append((isolated, wide))
            isolated *= stage.alpha**2
            wide *= stage.alpha**2 if arriving.fresh else math.nan
        elif isinstance(stage, Skip):
            trunk = trunks.pop()
            isolated, wide = isolated + trunk[0], wide + trunk[1]
        else:
            isolated *= _factors(stage, 1.0, width)[1]
            normal = arriving.normal or isinstance(stage, Dense)
            wide *= _factors(stage, arriving.q, width)[1] if normal else math.nan
        found.append((math.sqrt(isolated), math.sqrt(wide)))
    isolated_dx, wide_dx = zip(*reversed(found), strict=True)
    return list(isolated_dx), list(wide_dx)

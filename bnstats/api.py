"""compute, exact and gain: from a layer to a record, or to a number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, Literal

from bnstats.claims.verdict import verdicts_on
from bnstats.custom import load_typed
from bnstats.custom.objects import spec_of
from bnstats.errors import ArgumentError, BnstatsError, kind_of, printable, suggestion
from bnstats.layers import STANDARD, Law, Layer
from bnstats.result import Reference, Result
from bnstats.runs.drawing import sample
from bnstats.sampling.settings import (
    Directions,
    DType,
    Sampler,
    Sampling,
    checked_law,
    checked_quantities,
)
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import Spec, UnknownParameterError, parse
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import (
    Exact,
    exact_moments,
    known_quantities,
)
from bnstats.statistics.moments import Tally


def compute(
    layer: Any,
    /,
    *,
    samples: int | float | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    dtype: DType = "float64",
    direction: Directions = "both",
    sampler: Sampler = "iid",
    precision: float | None = None,
    max_time: float | None = None,
    workers: int = 1,
    backend: str = "numpy",
    device: str | None = None,
    law: Law = STANDARD,
    x_mean: float | None = None,
    x_std: float | None = None,
    dy_std: float | None = None,
    quantities: Iterable[str] = (),
    cluster: Any = None,
    checkpoint: str | PathLike[str] | None = None,
    on_progress: Callable[[int, Tally], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **parameters: Any,
) -> Result:
    """Estimate E[y], σ[y], E[dx], σ[dx] and their kin by sampling.

    Parameters
    ----------
    layer
        A layer by name, e.g. ``"sigmoid"`` or ``"max_pool2d:kernel_size=3,stride=2"``; the path of
        a function, ``"mypkg.mymodule:my_act"``, which is imported for it; or the layer itself: an
        elementwise function of an array, or a torch module such as ``nn.GELU()``.
    samples
        Independent draws, at most 1e18; memory does not depend on it. The default holds about
        2e7 random numbers: 1e7 draws of a scalar activation, fewer of larger events.
    seed
        A whole number ≥ 0; the same seed gives the same digits whatever ``workers`` is.
    confidence
        Probability that an interval covers the truth, between 0 and 1.
    dtype
        Type of the draws and the layer's arithmetic, ``"float64"`` or ``"float32"``. Independent
        normals carry 24 bits in either: one in 1e7 is exactly 0.
    direction
        ``"both"``, ``"forward"`` (y only) or ``"backward"`` (dx only).
    sampler
        ``"iid"`` for independent draws; ``"sobol"`` for 32 scrambled Sobol' point sets, which is
        far more precise where a draw holds few random numbers.
    precision
        Sample until the half-width of the interval of every σ is at most this share of σ;
        ``samples`` is then a limit.
    max_time
        Seconds after which no further chunk is begun.
    workers
        Processes, at most; the caller's main module needs no guard for them.
    backend
        ``"numpy"``, or ``"torch"`` or ``"jax"`` where they are installed. Those two share one
        stream of draws, which is not numpy's, and have no sobol points.
    device
        Device of the backend: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"cuda:all"``; its fastest
        by default.
    law
        Law of the inputs: ``Law(x_mean, x_std, dy_std)``.
    x_mean, x_std, dy_std
        Fields of the law that replace those of ``law``.
    quantities
        Names of those to show where the result is rendered. Those of a stack, ``linear_share``,
        ``chi``, ``mean_degree``, ``stability``, ``c1``, ``mean_slope`` and ``var_slope``, are
        sampled only if they are named.
    cluster
        A dask cluster whose workers draw: the address of its scheduler, a scheduler file or a
        ``distributed.Client``; or ``"local"`` or ``"local:4"`` for one of this machine.
    checkpoint
        A directory that keeps what is drawn, and from which a run like this one goes on.
    on_progress
        Called with the draws so far and their merged moments.
    should_stop
        Asked between chunks; once true, the partial result is returned as ``interrupted``.
    parameters
        Parameters of the layer: ``compute("elu", alpha=2)`` is ``compute("elu:alpha=2")``.

    Returns
    -------
    Result
        Quantities as attributes, e.g. ``result.std_dx.value`` and ``result.std_dx.interval``.

    Raises
    ------
    BnstatsError
        An unknown layer or parameter, or an argument outside its range.
    HostError
        A backend or a device that is not here.

    Examples
    --------
    >>> r = compute("sigmoid", samples=100_000)
    >>> round(r.std_dx.exact.value, 12)
    0.211745699721
    >>> abs(r.std_dx.z) < 4
    True
    """
    spec = checked_spec(layer, parameters)
    sampling = Sampling(
        samples,
        seed,
        confidence,
        dtype,
        direction,
        sampler,
        precision,
        max_time,
        workers,
        backend,
        device,
        _law(law, x_mean, x_std, dy_std),
        checked_quantities(quantities),
        cluster,
        checkpoint,
    )
    return sample(spec, sampling, Watch(on_progress=on_progress, should_stop=should_stop))


def exact(
    layer: Any,
    /,
    *,
    law: Law = STANDARD,
    x_mean: float | None = None,
    x_std: float | None = None,
    dy_std: float | None = None,
    **parameters: Any,
) -> Reference:
    """Return the exact values of a layer, without sampling.

    Each has a ``value``, a bound on its ``error`` and says how it was found (``by``). The arguments
    are those of `compute`.

    Raises
    ------
    BnstatsError
        An unknown layer or parameter, or a law outside its range.

    Examples
    --------
    >>> round(exact("relu").std_dx.value, 12)
    0.707106781187
    >>> exact("elu", alpha=2, x_std=2).layer
    'elu:alpha=2'
    """
    spec = checked_spec(layer, parameters)
    law = checked_law(_law(law, x_mean, x_std, dy_std))
    spec = spec.under(law)
    moments = exact_moments(spec.bound, law)
    values = known_quantities(spec.bound, moments, law)
    return Reference(spec, values, verdicts_on(spec, law, values), spec.bound.hints, law)


def gain(
    layer: Any,
    /,
    *,
    direction: Literal["forward", "backward"] = "forward",
    mean_removed: bool = False,
    law: Law = STANDARD,
    x_mean: float | None = None,
    x_std: float | None = None,
    dy_std: float | None = None,
    **parameters: Any,
) -> Exact | Estimate:
    """Return the factor that makes a layer keep the scale of what passes through it.

    Parameters
    ----------
    layer, law, x_mean, x_std, dy_std, parameters
        As for `compute`.
    direction
        ``"forward"`` for y, ``"backward"`` for the gradient dx.
    mean_removed
        Whether the mean of y is removed behind the layer, as by a norm or by standardised weights.
        Then the gain is 1/σ[y]; otherwise it is 1/rms[y], which makes E[y²] one.

    Returns
    -------
    Exact or Estimate
        The gain with its error: the exact value, or where none is known that of `compute`.
        ``float()`` of it is the number alone.

    Raises
    ------
    BnstatsError
        An unknown layer or parameter, or an argument outside its range.

    Examples
    --------
    >>> round(float(gain("relu")), 12)
    1.414213562373
    >>> round(float(gain("gelu", mean_removed=True)), 4)
    1.7009
    >>> round(float(gain("leaky_relu", direction="backward", negative_slope=0.2)), 4)
    1.3868
    """
    if direction not in ("forward", "backward"):
        shown = printable(str(direction), 60)
        raise ArgumentError(f"direction '{shown}' is not forward or backward")
    name = "gain_y" if mean_removed else "gain_rms_y"
    name = "gain_dx" if direction == "backward" else name
    law = checked_law(_law(law, x_mean, x_std, dy_std))
    spec = checked_spec(layer, parameters)
    found = exact(spec, law=law).quantities.get(name)
    return found or sample(spec, Sampling(law=law, direction=direction)).quantities[name]


def checked_spec(layer: Any, parameters: Mapping[str, Any] | None = None) -> Spec:
    """Return a layer from its text, from a function or a module, or as it is.

    Raises
    ------
    BnstatsError
        It is no layer, or does not have these parameters.
    """
    try:
        if isinstance(layer, str):
            return parse(layer, load_typed, parameters)
        if isinstance(layer, Spec) and not parameters:
            return layer
        if isinstance(layer, Spec):
            return parse(layer.text, load_typed, parameters)
        if callable(layer) or isinstance(layer, Layer):
            return spec_of(layer, parameters or {})
    except UnknownParameterError as error:
        near = suggestion(error.key, inspect.signature(compute).parameters)
        if near and near not in ("layer", "parameters"):
            raise BnstatsError(error.message, hint=f"did you mean the argument {near}?") from None
        raise
    hint = 'e.g. "relu", or "elu:alpha=2"'
    if isinstance(layer, list | tuple | set):
        hint = "one layer at a time"
    raise BnstatsError(
        f"a layer is a name, a function or a torch module, not {kind_of(layer)}", hint=hint
    )


def _law(law: Law, *fields: float | None) -> Law:
    """Return a law with those fields replaced that are given, in their order."""
    given = zip(Law._fields, fields, strict=True)
    return checked_law(law)._replace(**{name: v for name, v in given if v is not None})

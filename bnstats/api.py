"""compute, exact and gain: from a layer to a record, or to a number."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal

from bnstats.backends import Device, chosen, load
from bnstats.claims.verdict import verdicts_on
from bnstats.custom import load_typed
from bnstats.custom.objects import spec_of
from bnstats.diagnostics import doubts
from bnstats.errors import ArgumentError, BnstatsError, kind_of, printable, suggestion
from bnstats.layers import STANDARD, BoundLayer, Law, Layer
from bnstats.result import Reference, Result, Status
from bnstats.sampling.checkpoints.keeping import Keeping
from bnstats.sampling.crossings import crossings
from bnstats.sampling.iid import check_size, chunk_draws
from bnstats.sampling.run import run, stream_name
from bnstats.sampling.settings import (
    MAX_DRAWS,
    Directions,
    DType,
    Sampler,
    Sampling,
    checked_law,
    checked_quantities,
)
from bnstats.sampling.sobol import CHUNK_POINTS, MAX_POINTS
from bnstats.sampling.supervised import Supervised
from bnstats.sampling.tails import tails
from bnstats.sampling.watch import Target, Watch
from bnstats.specs.spec import Spec, UnknownParameterError, parse
from bnstats.statistics.estimate import MIN_N_EFF, Estimate, Estimator
from bnstats.statistics.exact import (
    Exact,
    exact_moments,
    heavy_tailed,
    known_quantities,
    of_unknown_error,
)
from bnstats.statistics.moments import Tally
from bnstats.statistics.stacks import check_applicable, stack_estimates

MAX_SAMPLES: dict[Sampler, int] = {"iid": MAX_DRAWS, "sobol": MAX_POINTS}

_ROUNDOFF: dict[DType, float] = {"float64": 0.0, "float32": 2.0**-24}
# However many elements an event averages over, y or dx of some layers is one normal number times a
# constant, of which three draws are one effective draw: max pooling passes one dy on to its window.
_LEAST_DRAWS = 5 * round(MIN_N_EFF)
_DEFAULT_NUMBERS: dict[Sampler, int] = {"iid": 20_000_000, "sobol": 4_000_000}


def default_samples(bound: BoundLayer, sampler: Sampler = "iid") -> int:
    """Return the draws that hold about 2e7 random numbers: 1e7 for a scalar activation.

    Of sobol points a fifth is enough. Of whatever size an event is, the draws are enough for
    intervals that may be believed.
    """
    most = max(_DEFAULT_NUMBERS[sampler] // bound.numbers, _LEAST_DRAWS)
    unit: int = 10 ** (len(str(most)) - 1)
    return max(step * unit for step in (1, 2, 5) if step * unit <= most)


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
        ``chi``, ``mean_degree``, ``stability`` and ``c1``, are sampled only if they are named.
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


def sample(
    spec: Spec, sampling: Sampling, watch: Watch | None = None, draw: Callable[..., Any] = run
) -> Result:
    """Do what `compute` does, of options that travel as one value, in sight of a watch.

    ``draw`` is called as `bnstats.sampling.run.run`, and may have its result at hand.

    Raises
    ------
    BnstatsError
        A layer that cannot be sampled so.
    HostError
        A backend or a device that is not here.
    """
    watch = watch or Watch()
    run_ = prepared(spec, sampling)
    tally, done, kept = run_.draw(watch, by=draw)
    status: Status
    if watch.stopping():
        status = "interrupted"
    elif run_.target.is_met(tally) or (
        sampling.precision is None and (done >= run_.samples or sampling.samples is None)
    ):
        status = "complete"
    else:
        status = "target_not_met"
    return run_.result(tally, done, status, kept)


@dataclass(frozen=True)
class Run:
    """A run that may begin: what it draws and what its estimates need."""

    spec: Spec
    sampling: Sampling
    samples: int
    devices: Sequence[Device]
    target: Target

    def draw(
        self, watch: Watch, part: tuple[int, int] | None = None, by: Callable[..., Any] = run
    ) -> tuple[Tally, int, Keeping]:
        """Draw the run or a part of it; return its moments, its draws and what is kept of it."""
        supervised = Supervised(
            watch,
            self.target,
            self.sampling.max_time,
            lambda tally: _is_hopeless(tally, self.spec.bound, self.target.estimator),
        )
        supervised.may_end = part is not None  # of which any leaf is worth keeping
        watch.begins(self.target)
        kept = Keeping(self.spec, self.sampling, part, watch.note)
        kept.device = ", ".join(device.name for device in self.devices) or "cpu"
        tally, done = by(
            self.spec,
            self.sampling,
            self.samples,
            devices=self.devices,
            enough=supervised.enough,
            watch=supervised,
            keeping=kept,
            part=part,
        )
        kept.warnings = supervised.warnings
        return tally, done, kept

    def result(self, tally: Tally, done: int, status: Status, kept: Keeping) -> Result:
        """Return the record of moments: estimates, verdicts and doubts."""
        estimator, bound = self.target.estimator, self.spec.bound
        stream = stream_name(self.spec, self.sampling)
        estimates = estimator.estimates(tally)
        if tally.joint is not None:
            law, asked = self.sampling.law, self.sampling.of_stack
            estimates |= stack_estimates(tally.joint, asked, estimator, law)
        found = {n: replace(e, stream=stream) for n, e in estimates.items()}
        result = Result(
            spec=self.spec,
            quantities=found,
            claims=verdicts_on(self.spec, self.sampling.law, dict(estimator.exact), found, done),
            sampling=self.sampling,
            samples=done,
            chunk=_chunk(bound, self.sampling),
            device=kept.device,
            status=status,
            nonfinite={d: int(m.nonfinite) for d, m in tally.items()},
            notes=tuple(dict.fromkeys((*bound.hints, *kept.warnings))),
        )
        return replace(result, warnings=(*result.notes, *doubts(result)))


def prepared(spec: Spec, sampling: Sampling, *, drawn_before: bool = False) -> Run:
    """Return the run of a layer; one that was drawn before needs no device.

    Raises
    ------
    BnstatsError
        A layer that cannot be sampled so.
    HostError
        A backend or a device that is not here.
    """
    spec = spec.under(sampling.law)
    check_size(spec)
    devices = []
    if sampling.backend != "numpy" and sampling.cluster is None and not drawn_before:
        devices = chosen(sampling.backend, load(sampling.backend), sampling.device)
    samples = _most_samples(spec.bound, sampling)
    moments = exact_moments(spec.bound, sampling.law)
    check_applicable(spec.text, spec.bound, sampling.of_stack)
    exact, heavy = (
        known_quantities(spec.bound, moments, sampling.law),
        heavy_tailed(spec.bound, moments),
    )
    jumps = crossings(spec.bound, sampling.law) if sampling.sampler == "sobol" else {}
    unknown = of_unknown_error(exact, sampling.directions, heavy)
    seen = tails(spec, sampling.law, unknown, samples)
    estimator = Estimator(exact, sampling.confidence, _ROUNDOFF[sampling.dtype], heavy, jumps, seen)
    ends = math.inf if sampling.samples is None and sampling.max_time is not None else samples
    return Run(spec, sampling, samples, devices, Target(ends, sampling.precision, estimator))


def _most_samples(bound: BoundLayer, sampling: Sampling) -> int:
    """Return the draws after which a run ends, whatever else does not end it before."""
    if sampling.samples is not None:
        return int(sampling.samples)
    if sampling.precision is not None or sampling.max_time is not None:
        return MAX_SAMPLES[sampling.sampler]
    return default_samples(bound, sampling.sampler)


def _chunk(bound: BoundLayer, sampling: Sampling) -> int | None:
    if sampling.backend != "numpy":
        return None
    return CHUNK_POINTS if sampling.sampler == "sobol" else chunk_draws(bound)


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
    if all(value is None for value in fields):
        return law
    given = zip(Law._fields, fields, strict=True)
    return checked_law(law)._replace(**{name: v for name, v in given if v is not None})


def _is_hopeless(tally: Tally, bound: BoundLayer, estimator: Estimator) -> bool:
    """Whether a default run has shown no variance in some direction, or one has no interval."""
    return any(
        m.points + m.nonfinite >= default_samples(bound)
        and (estimator.is_hopeless(d) or m.mean_b - m.mean_a**2 <= 0)
        for d, m in tally.items()
    )

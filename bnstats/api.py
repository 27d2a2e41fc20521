"""compute and exact: from a spec to a record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from bnstats.backends import Device, check_name, chosen, load
from bnstats.claims import claims_on
from bnstats.claims.verdict import Verdict, judge
from bnstats.diagnostics import doubts
from bnstats.errors import BnstatsError, printable
from bnstats.layers import STANDARD, BoundLayer, Law
from bnstats.result import Reference, Result, Status
from bnstats.sampling.iid import MAX_DRAWS, DType, Sampler, Task, check_size, chunk_draws
from bnstats.sampling.run import run
from bnstats.sampling.settings import (
    check_choice,
    check_positive,
    check_share,
    checked_law,
    checked_samples,
    checked_seed,
    checked_spec,
    checked_workers,
)
from bnstats.sampling.sobol import CHUNK_POINTS, MAX_POINTS
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import MIN_N_EFF, Estimate, estimates, quantile
from bnstats.statistics.exact import Exact, exact_values
from bnstats.statistics.moments import Moments, Tally
from bnstats.statistics.quantities import QUANTITIES, Direction

Directions = Literal["both", "forward", "backward"]
DIRECTIONS: dict[Directions, tuple[Direction, ...]] = {
    "both": ("y", "dx"),
    "forward": ("y",),
    "backward": ("dx",),
}
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
    spec: str | Spec,
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
    on_progress: Callable[[int, Tally], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Estimate E[y], σ[y], E[dx], σ[dx] and their kin by sampling.

    Parameters
    ----------
    spec
        A layer, e.g. ``"sigmoid"`` or ``"max_pool2d:kernel_size=3,stride=2"``; also the path of a
        function, ``"mypkg.mymodule:my_act"``, which is imported for it.
    samples
        Independent draws, at most 1e18; memory does not depend on it. The default holds about
        2e7 random numbers: 1e7 draws of a scalar activation, fewer of larger events.
    seed
        A whole number ≥ 0; the same seed gives the same digits whatever ``workers`` is.
    confidence
        Of the intervals, between 0 and 1.
    dtype
        Of the draws and the layer's arithmetic, ``"float64"`` or ``"float32"``. Independent normals
        carry 24 bits in either: one in 1e7 is exactly 0.
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
        Of the backend: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"cuda:all"``; its fastest by
        default.
    law
        Of the inputs: ``Law(x_mean, x_std, dy_std)``.
    on_progress
        Called with the draws so far and their merged moments.
    should_stop
        Asked between chunks; once true, the partial result is returned as ``interrupted``.

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
    spec = _known_under(spec, law)
    check_choice("dtype", dtype, DType)
    check_choice("direction", direction, Directions)
    check_choice("sampler", sampler, Sampler)
    unlimited = samples is None
    if samples is None:
        endless = precision is not None or max_time is not None
        samples = MAX_SAMPLES[sampler] if endless else default_samples(spec.bound, sampler)
    samples = checked_samples(samples)
    seed, workers = checked_seed(seed), checked_workers(workers)
    check_share("confidence", confidence, "0.95")
    check_positive("precision", precision, "1e-4")
    check_positive("max_time", max_time, "60")
    check_size(spec)
    devices = _devices(backend, device, sampler)
    task = Task(spec, seed, law, dtype, DIRECTIONS[direction], sampler, backend)
    deadline = math.inf if max_time is None else time.monotonic() + max_time
    exact = exact_values(spec.bound, law)
    begun = False
    told: list[str] = []

    def met(tally: Tally) -> bool:
        if precision is None:
            return False
        return half_width(tally, confidence, exact, spec.bound.heavy_tailed) <= precision

    def enough(tally: Tally) -> bool:
        nonlocal begun
        begun = True
        return met(tally) or (precision is not None and _hopeless(tally, spec.bound))

    tally, done = run(
        task,
        samples,
        workers=workers,
        devices=devices,
        enough=enough,
        on_progress=on_progress,
        # However short the time, the first checkpoint is reached: an empty result helps nobody.
        should_stop=lambda: should_stop() or (begun and time.monotonic() > deadline),
        on_warning=told.append,
    )
    status: Status
    if should_stop():
        status = "interrupted"
    elif met(tally) or (precision is None and (done >= samples or unlimited)):
        status = "complete"
    else:
        status = "target_not_met"
    found = estimates(tally, exact, confidence, _ROUNDOFF[dtype], spec.bound.heavy_tailed)
    result = Result(
        spec=spec,
        law=law,
        quantities=found,
        claims=verdicts_on(spec, law, exact, found, done),
        samples=done,
        seed=seed,
        dtype=dtype,
        confidence=confidence,
        chunk=_chunk(task),
        sampler=sampler,
        backend=backend,
        device=", ".join(d.name for d in devices) or "cpu",
        status=status,
        nonfinite={d: int(m.nonfinite) for d, m in tally.items()},
        notes=tuple(dict.fromkeys((*spec.bound.hints, *told))),
    )
    return replace(result, warnings=(*result.notes, *doubts(result)))


def _chunk(task: Task) -> int | None:
    if task.backend != "numpy":
        return None
    return CHUNK_POINTS if task.sampler == "sobol" else chunk_draws(task.spec.bound)


def _devices(backend: str, device: str | None, sampler: Sampler) -> list[Device]:
    """Return the devices that will be used; of numpy, which runs on the processor, none."""
    check_name(backend)
    if backend == "numpy":
        if device not in (None, "cpu", "cpu:0"):
            raise BnstatsError(
                f"backend numpy computes on the cpu, not on '{printable(str(device))}'",
                hint=f"--backend torch --device {printable(str(device))}",
            )
        return []
    if sampler == "sobol":
        raise BnstatsError(
            f"sampler sobol runs on numpy, not on {backend}",
            hint="--backend numpy, or --sampler iid",
        )
    return chosen(backend, load(backend), device)


def exact(spec: str | Spec, *, law: Law = STANDARD) -> Reference:
    """Return the exact values of a layer, without sampling.

    Each has a ``value``, a bound on its ``error`` and says how it was found (``by``).

    Raises
    ------
    BnstatsError
        An unknown layer or parameter, or a law outside its range.

    Examples
    --------
    >>> round(exact("relu").std_dx.value, 12)
    0.707106781187
    """
    spec = _known_under(spec, law)
    values = exact_values(spec.bound, law)
    return Reference(spec, law, values, verdicts_on(spec, law, values), spec.bound.hints)


def _known_under(spec: str | Spec, law: Law) -> Spec:
    return checked_spec(spec).under(checked_law(law))


def half_width(
    tally: Tally,
    confidence: float,
    exact: dict[str, Exact],
    heavy_tailed: tuple[Direction, ...] = (),
) -> float:
    """Return the largest relative half-width of an interval of σ; infinite where unreliable.

    Draws that have missed the tails take their standard errors for too small, and would stop too
    soon: where the exact one is known, a half-width is no smaller than it allows.
    """
    found = estimates(tally, exact, confidence, heavy_tailed=heavy_tailed)
    widths = (
        _relative_half_width(found[name], tally[QUANTITIES[name].direction], confidence)
        for name in ("std_y", "std_dx")
        if name in found
    )
    return max(widths, default=math.inf)


def _relative_half_width(std: Estimate, moments: Moments, confidence: float) -> float:
    if not (std.interval and std.reliable):
        return math.inf
    sampled = (std.interval[1] - std.interval[0]) / (2 * std.value)
    known = std.exact.stderr(moments.count) if std.exact is not None else None
    if std.exact is None or not known or moments.points > moments.count:
        return sampled
    return max(sampled, quantile(confidence, moments) * known / std.exact.value)


def _hopeless(tally: Tally, bound: BoundLayer) -> bool:
    """Whether a default run has shown no variance in some direction, or one has no interval."""
    return any(
        m.points + m.nonfinite >= default_samples(bound)
        and (d in bound.heavy_tailed or m.mean_b - m.mean_a**2 <= 0)
        for d, m in tally.items()
    )


def verdicts_on(
    spec: Spec,
    law: Law,
    exact: dict[str, Exact],
    found: dict[str, Estimate] | None = None,
    samples: int = 0,
) -> tuple[Verdict, ...]:
    """Judge the published claims on a layer; they are about standard normal inputs only."""
    if law != STANDARD:
        return ()
    known = exact.keys() if found is None else found.keys()
    return tuple(
        judge(claim, exact, found, samples=samples)
        for claim in claims_on(spec.text)
        if claim.quantity in known
    )

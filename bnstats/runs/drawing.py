"""From a layer and how to sample it to a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bnstats.backends import Device, chosen, load
from bnstats.claims.verdict import verdicts_on
from bnstats.layers import BoundLayer
from bnstats.result import Result, Status
from bnstats.runs.diagnostics import doubts
from bnstats.sampling.checkpoints.keeping import Keeping
from bnstats.sampling.crossings import crossings
from bnstats.sampling.iid import check_size, chunk_draws
from bnstats.sampling.run import run, stream_name
from bnstats.sampling.settings import (
    MAX_DRAWS,
    DType,
    Sampler,
    Sampling,
)
from bnstats.sampling.sobol import CHUNK_POINTS, MAX_POINTS
from bnstats.sampling.supervised import Supervised
from bnstats.sampling.tails import tails
from bnstats.sampling.watch import Target, Watch
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import MIN_N_EFF, Estimator
from bnstats.statistics.exact import (
    exact_moments,
    heavy_tailed,
    known_quantities,
    of_unknown_error,
)
from bnstats.statistics.moments import Tally

MAX_SAMPLES: dict[Sampler, int] = {"iid": MAX_DRAWS, "sobol": MAX_POINTS}

_ROUNDOFF: dict[DType, float] = {"float64": 0.0, "float32": 2.0**-24}
# However many elements an event averages over, y or dx of some layers is one normal number times a
# constant, of which three draws are one effective draw: max pooling passes one dy on to its window.
# Twice as many as that leave room for what a sample of them takes itself for.
_LEAST_DRAWS = 10 * round(MIN_N_EFF)
_DEFAULT_NUMBERS: dict[Sampler, int] = {"iid": 20_000_000, "sobol": 4_000_000}


def default_samples(bound: BoundLayer, sampler: Sampler = "iid") -> int:
    """Return the draws that hold about 2e7 random numbers: 1e7 for a scalar activation.

    Of sobol points a fifth is enough. Of whatever size an event is, the draws are enough for
    intervals that may be believed.
    """
    most = max(_DEFAULT_NUMBERS[sampler] // bound.numbers, _LEAST_DRAWS)
    unit: int = 10 ** (len(str(most)) - 1)
    return max(step * unit for step in (1, 2, 5) if step * unit <= most)


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
        supervised = Supervised(watch, self.target, self.sampling.max_time, self._is_hopeless)
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

    def _is_hopeless(self, tally: Tally) -> bool:
        """Whether a default run has shown no variance in some direction, or one has no interval."""
        return any(
            m.points + m.nonfinite >= default_samples(self.spec.bound)
            and (self.target.estimator.is_hopeless(d) or m.mean_b - m.mean_a**2 <= 0)
            for d, m in tally.items()
        )

    def result(self, tally: Tally, done: int, status: Status, kept: Keeping) -> Result:
        """Return the record of moments: estimates, verdicts and doubts."""
        estimator, bound = self.target.estimator, self.spec.bound
        stream = stream_name(self.spec, self.sampling)
        estimates = estimator.estimates(tally)
        if tally.joint is not None:
            from bnstats.statistics.stacks import stack_estimates  # as rarely asked for as drawn

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
    if sampling.of_stack:
        from bnstats.statistics.stacks import check_applicable

        check_applicable(spec.text, spec.bound, sampling.of_stack)
    exact = known_quantities(spec.bound, moments, sampling.law)
    heavy = heavy_tailed(spec.bound, moments)
    jumps = crossings(spec.bound, sampling.law) if sampling.sampler == "sobol" else {}
    unknown = of_unknown_error(exact, sampling.directions, heavy)
    seen = tails(spec, sampling.law, unknown, samples)
    estimator = Estimator(
        exact,
        sampling.confidence,
        _ROUNDOFF[sampling.dtype],
        heavy,
        jumps,
        seen,
        1 + abs(sampling.law.x_mean) / sampling.law.x_std,
    )
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

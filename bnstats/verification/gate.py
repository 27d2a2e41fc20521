"""The two-stage gate: fresh draws of a layer, and more of them where the first raise an alarm."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, TypeVar

from bnstats.custom import as_typed
from bnstats.errors import BnstatsError
from bnstats.layers import STANDARD, Law
from bnstats.notation import count_text
from bnstats.result import Result
from bnstats.runs.diagnostics import more_draws
from bnstats.runs.drawing import default_samples, sample
from bnstats.sampling.run import run
from bnstats.sampling.settings import Sampling, check_number
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import Spec
from bnstats.statistics import alarm
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.quantities import QUANTITIES, STACK_QUANTITIES, Direction
from bnstats.verification.cache import Cache
from bnstats.verification.check import Check, Outcome

Row = TypeVar("Row")

DISAGREES = "fresh draws disagree with the exact value: a bug in a formula or backend"
MISSED = (
    "fresh draws disagree with the exact value, whose error is an estimate: the function may have "
    "a feature too narrow to be found"
)

# Unless told how many draws to take, a layer is drawn so often that an error of 1 % in its mean, σ
# or rms is ten standard errors wide, which the first stage misses once in 1e9: up to ten times the
# default.
RESOLVED, _ERRORS_WIDE, _MOST_TIMES = 0.01, 10, 10
_PILOT_SHARE = 100


@dataclass(frozen=True)
class VerifySettings:
    """How to verify.

    Attributes
    ----------
    samples
        Draws per layer; None for the layer's default, or up to ten times as many where an error
        of 1 % would not be seen otherwise.
    seed
        The seed of the fresh draws; the second stage uses the next one.
    family_error
        The largest probability that any correct constant of one call fails.
    workers
        Processes, at most.
    backend, device
        As for `bnstats.compute`.
    cache
        Where draws are kept, and looked for; None draws everything anew.
    on_layer
        Called with each layer's spec and how many are done of how many.
    should_stop
        Asked between chunks; once true, the checks of the layers done so far are returned.
    on_failure
        Called with the error that ends a layer, which is raised if there is nobody to call; from
        then on ``should_stop`` must be true.
    on_note
        Called with what went otherwise than planned and changes no digit.
    cluster, checkpoint
        As for `bnstats.compute`.

    Raises
    ------
    BnstatsError
        A field outside its range, or a device that does not go with the backend.
    """

    samples: int | None = None
    seed: int = 1
    family_error: float = alarm.FAMILY_ERROR
    workers: int = 1
    backend: str = "numpy"
    device: str | None = None
    cache: Cache | None = None
    on_layer: Callable[[str, int, int], None] | None = None
    should_stop: Callable[[], bool] | None = None
    on_failure: Callable[[BnstatsError], None] | None = None
    on_note: Callable[[str], None] | None = None
    cluster: Any = None
    checkpoint: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        check_number("family_error", self.family_error)
        _ = self.sampling  # which checks the rest

    @cached_property
    def sampling(self) -> Sampling:
        """How the first stage samples."""
        names = ("samples", "seed", "workers", "backend", "device", "cluster", "checkpoint")
        return Sampling(**{name: getattr(self, name) for name in names})

    @cached_property
    def watch(self) -> Watch:
        """Who is told of layers, and asked whether to stop."""
        return Watch(
            on_layer=self.on_layer,
            should_stop=self.should_stop,
            on_failure=self.on_failure,
            on_note=self.on_note,
        )


class Stopped(Exception):  # noqa: N818
    """The caller asked to stop in the middle of a layer, whose checks are dropped."""


def by_layer(
    rows: Sequence[tuple[Spec, Row]],
    check: Callable[[Spec, Row], Iterable[Check]],
    settings: VerifySettings,
) -> tuple[Check, ...]:
    """Check one layer after the other; once asked to stop, return the checks of the layers done."""
    checks: list[Check] = []
    for done, (spec, row) in enumerate(rows):
        if settings.watch.stopping():
            break
        settings.watch.layer(spec.text, done, len(rows))
        try:
            checks += check(spec, row)
        except Stopped:
            break
        except BnstatsError as error:
            settings.watch.failed(error)
    return tuple(checks)


class FreshDraws:
    """Draws of one layer, and a second, larger and independent set if the first raises an alarm.

    Attributes
    ----------
    samples
        Number of draws in the first stage.
    threshold
        The |z| at which the second stage fails a quantity.
    warnings
        What the layer and the backend had to say so far, in any stage.
    """

    def __init__(
        self,
        spec: Spec,
        settings: VerifySettings,
        tests: int,
        law: Law = STANDARD,
        quantities: Iterable[str] = (),
    ) -> None:
        self._spec, self._settings, self._law = spec, settings, law
        self._of_stack = tuple(name for name in quantities if name in STACK_QUANTITIES)
        self.warnings: tuple[str, ...] = ()
        given = settings.samples
        self.samples = self._resolving(default_samples(spec.bound)) if given is None else given
        self.threshold = alarm.second_threshold(tests, settings.family_error)

    def _resolving(self, default: int) -> int:
        """Return the draws that resolve an error of `RESOLVED`, no fewer than the default."""
        pilot = self._draw(max(default // _PILOT_SHARE, 100), self._settings.seed)
        error = max(_relative_error(name, e) for name, e in pilot.quantities.items())
        widths = min(1e3, _ERRORS_WIDE * error / RESOLVED)  # 1e3 is beyond the most that is drawn
        return max(default, min(alarm.round_up(pilot.samples * widths**2), _MOST_TIMES * default))

    def _draw(self, samples: int, seed: int) -> Result:
        settings = self._settings
        how = replace(
            settings.sampling,
            samples=samples,
            seed=seed,
            law=self._law,
            quantities=self._of_stack,
        )
        draw = run if settings.cache is None else settings.cache.run
        result = sample(self._spec, how, settings.watch, draw)
        if settings.watch.stopping():
            raise Stopped
        self.warnings = tuple(dict.fromkeys((*self.warnings, *result.notes)))
        return result

    @cached_property
    def first(self) -> Result:
        """The first stage."""
        return self._draw(self.samples, self._settings.seed)

    @cached_property
    def second(self) -> Result:
        """The second stage, drawn only if it is asked for."""
        return self._draw(alarm.SECOND_STAGE_FACTOR * self.samples, self._settings.seed + 1)

    def gate(
        self,
        name: str,
        z_of: Callable[[Estimate], float | None],
        disagreement: str = DISAGREES,
        threshold: float | None = None,
    ) -> Check:
        """Pass a quantity through both stages; what was wanted of it is left to the caller.

        The estimate and z are those of the stage that decided, which the command draws again.

        Parameters
        ----------
        name
            The quantity.
        z_of
            Compares an estimate with its target.
        disagreement
            The reason of a failure.
        threshold
            What z of the second stage must reach; None where the stages are independent.
        """
        drawn, first_z = self.first, 0.0
        first = estimate = drawn.quantities[name]
        z = z_of(estimate)
        if z is not None and estimate.has_enough_draws and abs(z) > alarm.FIRST_THRESHOLD:
            drawn, first_z = self.second, z
            estimate = drawn.quantities[name]
            z = z_of(estimate)
            if z is not None and estimate.exact is None:
                # A sample that has missed the tails takes its error for too small: where theory
                # has none, the larger one of both counts.
                grown = _error_in_own_units(estimate) / _error_in_own_units(first)
                grown *= math.sqrt(drawn.samples / self.first.samples)
                first_z, z = first_z / max(grown, 1.0), z * min(grown, 1.0)
        outcome: Outcome = "ok"
        reason = ""
        if estimate.is_constant:
            pass
        elif z is None or not estimate.has_enough_draws:
            outcome, reason = "undecided", self.doubt
        elif alarm.confirmed(first_z, z, self.threshold if threshold is None else threshold):
            outcome, reason = "fail", disagreement
        found = self.check(name, outcome, reason)
        found = replace(found, estimate=estimate, command=self._command(drawn, name))
        return replace(found, z_wanted=z) if estimate.exact is None else replace(found, z=z)

    def check(self, name: str, outcome: Outcome, reason: str) -> Check:
        """Return the check of a quantity that the draws have not been compared with."""
        exact = self.first.quantities[name].exact
        return Check(
            self._spec.text,
            name,
            outcome,
            "",
            exact,
            reason=reason,
            warnings=self.warnings,
            law=self._law,
        )

    @property
    def doubt(self) -> str:
        """Why the draws do not decide, and what would."""
        first = self.first
        if any(first.nonfinite.values()):
            left_out = f"{max(first.nonfinite.values()):,} of {first.samples:,} draws"
            return f"{left_out} are left out: they, or their fourth powers, are not finite"

        def information(direction: Direction) -> tuple[bool, float]:
            std = first.quantities[f"std_{direction}"]
            return std.interval is not None, std.n_eff

        directions: tuple[Direction, ...] = ("y", "dx")
        return f"too few effective draws; {more_draws(first, min(directions, key=information))}"

    def _command(self, result: Result, name: str) -> str:
        count, settings = count_text(result.samples), self._settings
        command = f"bnstats compute {as_typed(self._spec)} -n {count} --seed {result.seed}"
        command += law_options(self._law)
        if name in STACK_QUANTITIES:
            command += f" --quantity {name}"
        if settings.backend != "numpy":
            command += f" --backend {settings.backend}"
        if settings.device is not None:
            command += f" --device {shlex.quote(settings.device)}"
        return command


def law_options(law: Law) -> str:
    """Return the options of the command line that state what is unusual about a law."""
    changes = law.changes.items()
    return "".join(f" --{name.replace('_', '-')} {value!r}" for name, value in changes)


def _error_in_own_units(estimate: Estimate) -> float:
    """Return a standard error, relative where the interval is."""
    error = estimate.stderr or 0.0
    return error / estimate.value if estimate.log_scale else error


def _relative_error(name: str, estimate: Estimate) -> float:
    """Return the relative standard error of a mean, σ or rms; 0 where the value may be 0."""
    exact, quantity = estimate.exact, QUANTITIES.get(name)
    if (
        estimate.stderr is None
        or quantity is None
        or (quantity.moment != "mean" and quantity.power != 0.5)
    ):
        return 0.0
    value = estimate.value if exact is None else exact.value
    error = estimate.stderr if exact is None else exact.error
    return estimate.stderr / abs(value) if abs(value) > error else 0.0

"""Who follows a computation, and may end it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from bnstats.errors import BnstatsError
from bnstats.statistics.estimate import Estimator
from bnstats.statistics.moments import Tally


@dataclass(frozen=True)
class Target:
    """When sampling ends: at a number of draws, or at a precision if one is given.

    Attributes
    ----------
    samples
        Draws, or infinity where only time ends the run.
    precision
        Relative half-width that the interval of every σ must reach; None for no such target.
    estimator
        What the precision is measured with.
    """

    samples: float = math.inf
    precision: float | None = None
    estimator: Estimator = field(default_factory=Estimator)

    def is_met(self, tally: Tally) -> bool:
        """Whether the precision is reached; without one it never is."""
        return self.precision is not None and self.estimator.half_width(tally) <= self.precision

    def total(self, draws: int, tally: Tally) -> float:
        """Return the draws at which the run should end, as far as ``draws`` of them can tell."""
        if self.precision is None:
            return self.samples
        reached = self.estimator.half_width(tally)
        return (
            max(draws * (reached / self.precision) ** 2, draws) if reached < math.inf else reached
        )


@dataclass
class Watch:
    """What a computation tells, and asks, whoever follows it.

    Its methods pass that on to the functions it is given, and otherwise do nothing and let
    everything go on; a subclass overrides those it needs.
    """

    on_layer: Callable[[str, int, int], None] | None = None
    on_progress: Callable[[int, Tally], None] | None = None
    should_stop: Callable[[], bool] | None = None
    on_failure: Callable[[BnstatsError], None] | None = None
    on_note: Callable[[str], None] | None = None
    has_failed: bool = field(default=False, init=False)

    def layer(self, spec: str, done: int, total: int) -> None:
        """Hear that a layer is begun, the first after ``done`` of ``total``."""
        if self.on_layer is not None:
            self.on_layer(spec, done, total)

    def begins(self, target: Target) -> None:
        """Hear what the sampling of a layer aims at, before its first draw."""

    def progress(self, draws: int, tally: Callable[[], Tally]) -> None:
        """Hear how many draws are merged by now; a call of ``tally`` returns their moments."""
        if self.on_progress is not None:
            self.on_progress(draws, tally())

    def stopping(self) -> bool:
        """Tell whether to stop; asked between chunks."""
        return self.has_failed or (self.should_stop is not None and self.should_stop())

    def failed(self, error: BnstatsError) -> None:
        """Hear what ends the work early: it is raised, unless someone wants what was done so far.

        `stopping` is true from then on.
        """
        if self.on_failure is None:
            raise error
        self.on_failure(error)
        self.has_failed = True

    def note(self, text: str) -> None:
        """Hear what went otherwise than planned and changes no digit: a file, a lost worker."""
        if self.on_note is not None:
            self.on_note(text)
        else:
            warnings.warn(text, stacklevel=2)

    def warn(self, text: str) -> None:
        """Hear what a backend had to do otherwise than was asked for."""

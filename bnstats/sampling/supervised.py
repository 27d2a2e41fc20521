"""A run under way, ended by whoever watches it, by its target or by its time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bnstats.errors import BnstatsError
from bnstats.sampling.watch import Target, Watch
from bnstats.statistics.moments import Tally


class Supervised(Watch):
    """A watch that passes on what it hears, and ends a run by itself.

    Parameters
    ----------
    watch
        Who follows the run.
    target
        When it ends.
    max_time
        Seconds after which it ends; None for no limit.
    is_hopeless
        Whether moments show that the target will never be met.

    Attributes
    ----------
    may_end
        Whether enough is drawn for the time to end the run.
    warnings
        What the run had to do otherwise than was asked for.
    """

    def __init__(
        self,
        watch: Watch,
        target: Target,
        max_time: float | None,
        is_hopeless: Callable[[Tally], bool],
    ) -> None:
        self._watch, self._target, self._is_hopeless = watch, target, is_hopeless
        self._deadline = math.inf if max_time is None else time.monotonic() + max_time
        self.may_end = False
        self.warnings: list[str] = []

    def enough(self, tally: Tally) -> bool:
        """Whether the target is met, or will never be."""
        self.may_end = True
        is_sought = self._target.precision is not None
        return is_sought and (self._target.is_met(tally) or self._is_hopeless(tally))

    def progress(self, draws: int, tally: Callable[[], Tally]) -> None:
        """Pass on how far the run is."""
        self._watch.progress(draws, tally)

    def stopping(self) -> bool:
        """Whether the time is over, or whoever watches wants to stop."""
        # However short the time, the first milestone is reached: an empty result helps nobody.
        late = self.may_end and time.monotonic() > self._deadline
        return late or self._watch.stopping()

    def failed(self, error: BnstatsError) -> None:
        """Pass on an error."""
        self._watch.failed(error)

    def note(self, text: str) -> None:
        """Pass on a note."""
        self._watch.note(text)

    def warn(self, text: str) -> None:
        """Keep what is said for the result."""
        self.warnings.append(text)

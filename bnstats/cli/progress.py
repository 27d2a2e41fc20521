"""Progress on stderr, when that is a terminal and the work takes longer than a moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bnstats.cli.console import Console
from bnstats.cli.interrupt import interruptible
from bnstats.errors import BnstatsError
from bnstats.sampling.watch import Target, Watch
from bnstats.specs.describe import typed
from bnstats.statistics.moments import Tally
from bnstats.statistics.quantities import QUANTITIES

_PATIENCE = 0.5  # seconds before a bar appears
_REFRESH = 0.1
_SURE, _LONG = 2.0, 10.0  # seconds after which an expected time is said, if it is as long

# Of what is done, the end as far as it can be told, and a note; both are only asked for to be drawn
_Update = Callable[[int, Callable[[], float], Callable[[], str]], None]


class Interruptible(Watch):
    """A watch that ends the work at Ctrl-C, at an error or at a deadline, and shows nothing."""

    def __init__(
        self, console: Console, interrupted: Callable[[], bool], max_time: float | None = None
    ) -> None:
        self._console, self.interrupted = console, interrupted
        self.failure: BnstatsError | None = None
        self._deadline = math.inf if max_time is None else time.monotonic() + max_time

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._deadline

    def stopping(self) -> bool:
        """Tell whether Ctrl-C was pressed, an error was met or the time is over."""
        return self.interrupted() or self.failure is not None or self.late

    def note(self, text: str) -> None:
        """Print a note at once."""
        self._console.warn(text)

    def failed(self, error: BnstatsError) -> None:
        """Keep an error until what was done before it is printed."""
        self.failure = error


class _Shown(Interruptible):
    """Shows the samples, rate, estimate and time left of one layer, or which of many is drawn."""

    def __init__(
        self,
        console: Console,
        interrupted: Callable[[], bool],
        max_time: float | None,
        update: _Update,
    ) -> None:
        super().__init__(console, interrupted, max_time)
        self._update, self._target, self._start = update, Target(), time.monotonic()
        self._layer: tuple[str, int, int] | None = None

    def layer(self, spec: str, done: int, total: int) -> None:
        self._layer, self._start = (spec, done, total), time.monotonic()
        self._update(done, lambda: total, lambda: spec)

    def begins(self, target: Target) -> None:
        self._target = target

    def progress(self, draws: int, tally: Callable[[], Tally]) -> None:
        def rate() -> str:
            return f"at {draws / (time.monotonic() - self._start):.3g}/s"

        if self._layer is not None:
            spec, done, total = self._layer
            self._update(done, lambda: total, lambda: f"{spec} {rate()}")
        else:
            self._update(
                draws,
                lambda: self._target.total(draws, tally()),
                lambda: f"{draws:.3g} {rate()}  {self._headline(tally())}",
            )

    def _headline(self, tally: Tally) -> str:
        """Return the current estimate of σ[dx], or of σ[y] where only y is sampled."""
        found = self._target.estimator.estimates(tally)
        if not found:
            return ""
        name = "std_dx" if "std_dx" in found else "std_y"
        return f"{QUANTITIES[name].symbol} {found[name]}"


class _Foretold(Interruptible):
    """Says once, where no bar is seen, how long the sampling of a layer will take."""

    def __init__(
        self,
        console: Console,
        interrupted: Callable[[], bool],
        max_time: float | None,
        spec: str,
    ) -> None:
        super().__init__(console, interrupted, max_time)
        self._spec, self._start = spec, time.monotonic()
        self._target: Target | None = None
        self._first: tuple[float, int] | None = None
        self._alone = True

    def layer(self, spec: str, done: int, total: int) -> None:
        self._alone = False  # how long the others take is not known

    def begins(self, target: Target) -> None:
        self._target = target if self._alone else None

    def progress(self, draws: int, tally: Callable[[], Tally]) -> None:
        now = time.monotonic()
        if self._target is None or not draws:
            return
        if self._first is None:  # what starts up and compiles before says nothing
            self._first = now, draws
        begun, before = self._first
        if now - begun < _SURE or draws <= before:
            return
        left = (self._target.total(draws, tally()) - draws) * (now - begun) / (draws - before)
        spent = now - self._start
        known = "std_dx" in self._target.estimator.exact or "std_y" in self._target.estimator.exact
        self._target = None
        if _LONG < spent + left < math.inf:
            sooner = f"; σ is exact by: bnstats exact {typed(self._spec)}" if known else ""
            self._console.note(f"{self._spec} takes {_spelt(spent + left)}{sooner}")


def _spelt(seconds: float) -> str:
    """Return a time as a person says it.

    >>> [_spelt(t) for t in (14, 200, 9000, 1e6)]
    ['14 s', '3 minutes', '2.5 hours', '12 days']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 200_000:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:,.0f} days"


@contextmanager
def watching(
    console: Console, name: str, interrupted: Callable[[], bool], max_time: float | None = None
) -> Iterator[Interruptible]:
    """Yield a watch over the sampling of one layer, or over work on many that ends in time."""
    if not console.progress:
        if console.quiet:
            yield Interruptible(console, interrupted, max_time)
        else:
            yield _Foretold(console, interrupted, max_time, name)
        return
    with _bar(name) as update:
        yield _Shown(console, interrupted, max_time, update)


@contextmanager
def interruptible_watch(
    console: Console, name: str, max_time: float | None = None
) -> Iterator[Interruptible]:
    """Yield a watch, see `watching`, over work that Ctrl-C may end early."""
    with interruptible() as interrupted, watching(console, name, interrupted, max_time) as watch:
        yield watch


@contextmanager
def networks_progress(
    console: Console, networks: int | None
) -> Iterator[Callable[[int], None] | None]:
    """Yield a callback that shows how many networks are drawn, of how many if that is known."""
    if not console.progress:
        yield None
        return
    with _bar("networks") as update:
        yield lambda done: update(done, lambda: networks or math.inf, lambda: f"{done:,} drawn")


@contextmanager
def _bar(name: str) -> Iterator[_Update]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.table import Column

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),  # where columns are few, the only one that gives of its own
        TaskProgressColumn(table_column=Column(no_wrap=True)),
        Remaining(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", markup=False),
        console=RichConsole(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    # 80 columns hold name, bar, share, time and note.
    short = name if len(name) <= 20 else f"{name[:19]}…"
    task = bar.add_task(short, total=None, note="")
    start = shown = time.monotonic()

    def update(done: int, total: Callable[[], float], note: Callable[[], str]) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - start < _PATIENCE or now - shown < _REFRESH:
            return
        if shown == start:
            bar.start()
        shown = now
        end = total()
        bar.update(task, completed=done, total=end if end < math.inf else None, note=note())
        bar.refresh()

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()

"""Progress on stderr, when that is a terminal and the work takes longer than a moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bnstats.api import half_width
from bnstats.cli.console import Console
from bnstats.statistics.estimate import estimates
from bnstats.statistics.exact import Exact
from bnstats.statistics.moments import Tally
from bnstats.statistics.quantities import QUANTITIES, Direction

_PATIENCE = 0.5  # seconds before a bar appears
_REFRESH = 0.1


class Target(NamedTuple):
    """When sampling ends: at a number of draws, or at a precision if one is given."""

    samples: float
    precision: float | None
    confidence: float
    exact: dict[str, Exact]
    heavy_tailed: tuple[Direction, ...] = ()

    def total(self, done: int, tally: Tally) -> float:
        """Return the draws at which the run should end, as far as can be told now."""
        if self.precision is None:
            return self.samples
        reached = half_width(tally, self.confidence, self.exact, self.heavy_tailed)
        return max(done * (reached / self.precision) ** 2, done) if reached < math.inf else math.inf


@contextmanager
def sampling_progress(
    console: Console, name: str, target: Target
) -> Iterator[Callable[[int, Tally], None] | None]:
    """Yield a callback that shows samples, rate, the current estimate and the time left."""
    if not console.progress:
        yield None
        return
    with _bar(name) as update:
        start = time.monotonic()

        def on_progress(done: int, tally: Tally) -> None:
            def note() -> str:
                rate = done / (time.monotonic() - start)
                return f"{done:.3g} at {rate:.3g}/s  {_headline(tally)}"

            update(done, lambda: target.total(done, tally), note)

        yield on_progress


class LayersProgress(NamedTuple):
    """Callbacks that show which of many layers is at work, and how fast it is drawn."""

    on_layer: Callable[[str, int, int], None]
    on_progress: Callable[[int, Tally], None] | None


@contextmanager
def layers_progress(console: Console, what: str) -> Iterator[LayersProgress]:
    """Yield callbacks for work over many layers."""
    if not console.progress:
        yield LayersProgress(lambda layer, done, total: None, None)
        return
    with _bar(what) as update:
        layer, done, total, start = "", 0, 0, 0.0

        def on_layer(name: str, before: int, among: int) -> None:
            nonlocal layer, done, total, start
            layer, done, total, start = name, before, among, time.monotonic()
            update(done, lambda: total, lambda: layer)

        def on_progress(draws: int, tally: Tally) -> None:
            elapsed = time.monotonic() - start
            update(done, lambda: total, lambda: f"{layer} at {draws / elapsed:.3g}/s")

        yield LayersProgress(on_layer, on_progress)


@contextmanager
def _bar(
    name: str,
) -> Iterator[Callable[[int, Callable[[], float], Callable[[], str]], None]]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        TaskProgressColumn(),
        Remaining(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=RichConsole(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    # 80 columns hold name, bar, share, time and note; rich would squeeze out the bar first.
    short = name if len(name) <= 24 else f"{name[:23]}…"
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


def _headline(tally: Tally) -> str:
    """Return the current estimate of σ[dx], or of σ[y] where only y is sampled."""
    found = estimates(tally, {}, 0.95)
    if not found:
        return ""
    name = "std_dx" if "std_dx" in found else "std_y"
    return f"{QUANTITIES[name].symbol} {found[name]}"

"""Progress on stderr, when that is a terminal and the work takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bnstats.cli.console import Console
from bnstats.estimate import estimates
from bnstats.quantities import QUANTITIES
from bnstats.run import Tally

_PATIENCE = 0.5  # seconds before a bar appears
_REFRESH = 0.1


@contextmanager
def sampling_progress(
    console: Console, name: str, samples: int
) -> Iterator[Callable[[int, Tally], None] | None]:
    """Yield a callback that shows samples, rate, the current estimate and the time left."""
    if not console.progress:
        yield None
        return
    with _bar(name, samples) as update:
        start = time.monotonic()

        def on_progress(done: int, tally: Tally) -> None:
            now = time.monotonic()
            update(done, lambda: f"{done / (now - start):.3g}/s  {_headline(tally)}")

        yield on_progress


@contextmanager
def layers_progress(console: Console, what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback that shows which of many layers is at work."""
    if not console.progress:
        yield lambda layer, done, total: None
        return
    with _bar(what, None) as update:
        yield lambda layer, done, total: update(done, lambda: layer, total)


@contextmanager
def _bar(name: str, total: int | None) -> Iterator[Callable[..., None]]:
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
    task = bar.add_task(short, total=total, note="")
    start = shown = time.monotonic()

    def update(done: int, note: Callable[[], str], total: int | None = total) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - start < _PATIENCE or now - shown < _REFRESH:
            return
        if shown == start:
            bar.start()
        shown = now
        bar.update(task, completed=done, total=total, note=note())
        bar.refresh()

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()


def _headline(tally: Tally) -> str:
    """Return the current estimate of σ[dx], or of σ[y] where only y is sampled."""
    found = estimates(tally, {}, 0.95)
    name = "std_dx" if "std_dx" in found else "std_y"
    return f"{QUANTITIES[name].symbol} {found[name]}"

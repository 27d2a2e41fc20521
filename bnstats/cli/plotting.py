"""--plot: where a picture goes, and that it can go there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from bnstats.cli.console import Console
from bnstats.errors import BnstatsError
from bnstats.plots.style import module, suffix_of
from bnstats.sampling.files import check_writable, write_atomically

Shown = TypeVar("Shown")

TERMINAL = "-"
_DOT = "⠁"


def check_plot(console: Console, where: str | None, format_: str) -> None:
    """Raise BnstatsError before any work if a picture could not be drawn or written."""
    if where is None:
        return
    if where == TERMINAL:
        if format_ != "text":
            raise click.UsageError(f"--plot {TERMINAL} does not go with --format {format_}")
        if not console.has(_DOT):
            raise BnstatsError(
                f"--plot {TERMINAL} draws in braille, which {console.encoding} lacks",
                hint="--plot FILE.svg, or a terminal of UTF-8 without --ascii",
            )
        module("plotille")
        return
    suffix_of(Path(where))
    check_writable(Path(where))
    module("matplotlib")


def emit_plot(
    console: Console,
    where: str,
    shown: Shown,
    picture: Callable[[Shown, str], bytes],
    in_terminal: Callable[..., str],
) -> None:
    """Draw what was computed, by one function into a file or by the other as text."""
    if where == TERMINAL:
        console.out("\n" + in_terminal(shown, console.width, colour=console.color))
    else:
        path = Path(where)
        write_atomically(path, picture(shown, suffix_of(path)))

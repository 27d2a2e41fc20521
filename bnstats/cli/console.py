"""The terminal: its colours and width, whether progress is shown, and where messages go."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

import click

from bnstats.cli.encoding import fitted

if TYPE_CHECKING:
    from bnstats.report.page import Page

_NARROWEST = 40  # a narrower terminal folds lines itself
_STYLES: dict[str, dict[str, object]] = {
    "name": {"bold": True},
    "aside": {"dim": True},
    "reproduced": {"fg": "green"},
    "ok": {"fg": "green"},
    "wrong": {"fg": "red", "bold": True},
    "wrong quantity": {"fg": "red", "bold": True},
    "fail": {"fg": "red", "bold": True},
    "cut off": {"fg": "yellow"},
    "last digits are noise": {"fg": "yellow"},
    "undecided": {"fg": "yellow"},
    "not a moment": {"dim": True},
    "note": {"dim": True},
}


@dataclass(frozen=True)
class Console:
    """How to print.

    Attributes
    ----------
    color
        Whether stdout gets colours.
    progress
        Whether stderr shows progress.
    quiet
        Whether notes and warnings are left out.
    width
        Columns of stdout.
    stdout
        Where data goes.
    """

    color: bool
    progress: bool
    quiet: bool
    width: int
    stdout: IO[str]

    @classmethod
    def of(
        cls, *, color: str = "auto", quiet: bool = False, stdout: IO[str] | None = None
    ) -> Console:
        """Return the console of this process; NO_COLOR, FORCE_COLOR and TERM=dumb count."""
        dumb = os.environ.get("TERM") == "dumb"
        stdout = stdout or sys.stdout
        return cls(
            color=_color(color, stdout, dumb),
            progress=sys.stderr.isatty() and not dumb and not quiet,
            quiet=quiet,
            width=_width(stdout),
            stdout=stdout,
        )

    @property
    def page(self) -> Page:
        """The page for text that is folded, also where it is piped."""
        from bnstats.report.page import Page

        return Page(self.width, self.style, self.quiet)

    @property
    def page_of_lines(self) -> Page:
        """The page for lines that stay whole where they are piped."""
        from bnstats.report.page import UNFOLDED

        return self.page if self.stdout.isatty() else replace(UNFOLDED, style=self.style)

    def style(self, text: str, kind: str) -> str:
        """Return text in the colour of its kind, such as a name or a verdict."""
        return click.style(text, **_STYLES[kind]) if self.color and kind in _STYLES else text  # type: ignore[arg-type]

    @property
    def encoding(self) -> str:
        """Of stdout."""
        return getattr(self.stdout, "encoding", None) or "utf-8"

    def has(self, character: str) -> bool:
        """Whether stdout has a character."""
        return fitted(character, self.encoding) == character

    def take_stdout(self) -> None:
        """Let only `out` print on stdout until the command ends; what user code prints is aside."""
        click.get_current_context().with_resource(redirect_stdout(sys.stderr))

    def out(self, text: str | bytes, *, end: bool = True) -> None:
        """Print data on stdout."""
        if isinstance(text, str):
            text = fitted(text, self.encoding)
        click.echo(text, file=self.stdout, color=self.color, nl=end)

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        if not self.quiet:
            click.echo(f"note: {text}", err=True)

    def warn(self, text: str) -> None:
        """Print a warning on stderr."""
        if not self.quiet:
            click.echo(f"warning: {text}", err=True)


def _width(stream: IO[str]) -> int:
    """Return the columns of the terminal; piped output has a fixed width."""
    from bnstats.report.page import WIDTH  # would slow down --version

    if not stream.isatty():
        return WIDTH
    import shutil

    return max(shutil.get_terminal_size((WIDTH, 0)).columns, _NARROWEST)


def _color(when: str, stream: IO[str], dumb: bool) -> bool:
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not dumb

"""A folder that keeps the moments of runs while they are drawn, so that a killed run goes on.

Each run has a file, named after what its digits depend on. A file that is not as bnstats wrote it
is told and left alone, and the next free name is taken. A file is replaced as a whole, by what it
held and what is new: runs that share it lose nothing that is wrong, at worst some seconds of work.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

from bnstats.errors import BnstatsError, HostError, printable
from bnstats.sampling.checkpoints.document import (
    MOMENTS,
    Form,
    RunMoments,
    read_moments,
    write_moments,
)
from bnstats.sampling.checkpoints.identity import digest_of
from bnstats.sampling.kept import Kept, Subtrees
from bnstats.sampling.layout import Layout, Span

SECONDS = 1.0  # between two writings, at least; and of the time, writing takes a share
_MOST_OF_THE_TIME = 0.02


class Checkpoint(Kept):
    """The moments of a run, in a file of a folder.

    Parameters
    ----------
    folder
        A directory; it is made if it lacks only its last part.
    identity
        What the digits depend on.
    layout
        How the run is cut.
    part
        Which part of how many is drawn; every part has a file of its own.
    tell
        Called with what a user should hear: of a damaged file, of a full disk.
    form
        How the tallies are written.

    Raises
    ------
    BnstatsError
        The folder cannot be written.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        identity: Mapping[str, Any],
        layout: Layout,
        part: tuple[int, int] | None,
        tell: Callable[[str], None],
        form: Form = MOMENTS,
    ) -> None:
        self._form = form
        self._folder, self._identity, self._part, self._tell = Path(folder), identity, part, tell
        self._told: set[str] = set()
        self._subtrees = Subtrees(layout)
        self._due, self._is_changed = time.monotonic() + SECONDS, False
        _made(self._folder)
        self._unite()

    @property
    def known(self) -> dict[tuple[int, int], tuple[Span, Any]]:  # type: ignore[override]
        """What need not be drawn again."""
        return self._subtrees.known

    def keep(self, span: Span, tally: Any) -> None:
        """Keep a span, and write the file if it is time."""
        if span.draws < span.leaves * self._subtrees.layout.leaf or self._subtrees.covers(span):
            return
        self._subtrees.add(span, tally)
        self._is_changed = True
        if time.monotonic() >= self._due:
            self._write()

    def close(self) -> None:
        """Write what is not yet written."""
        if self._is_changed:
            self._write()

    def _write(self) -> None:
        begun = time.monotonic()
        path = self._unite()
        run = RunMoments(self._identity, self._subtrees, self._part)
        try:
            write_moments(path, [run], self._form)
            self._is_changed = False
        except BnstatsError as error:  # what was drawn is worth more than what is kept
            self._say(f"{error.message}; the run goes on without its checkpoint")
        now = time.monotonic()
        self._due = now + max(SECONDS, (now - begun) / _MOST_OF_THE_TIME)

    def _unite(self) -> Path:
        """Take up what the files hold by now, and return the one to be written."""
        for path in self._names():
            if not path.exists():
                return path
            if found := self._read(path):
                layout = self._subtrees.layout
                most = max(layout.samples, found.subtrees.layout.samples)
                self._subtrees.layout = replace(layout, samples=most)
                for span, tally in found.subtrees:
                    if span.draws == span.leaves * layout.leaf:
                        self._subtrees.add(span, tally)
                return path
        raise AssertionError("names do not end")

    def _names(self) -> Iterator[Path]:
        name = re.sub(r"[^\w=.,-]+", "_", self._identity["layer"])[:40]
        name += f"-{digest_of(self._identity)[:16]}"
        if self._part is not None:
            name += f"-{self._part[0]}of{self._part[1]}"
        yield self._folder / f"{name}.json"
        for number in count(2):
            yield self._folder / f"{name}.{number}.json"

    def _read(self, path: Path) -> RunMoments | None:
        try:
            runs = read_moments(path, self._form)
        except BnstatsError as error:
            self._say(f"{error.message}: it is left alone")
            return None
        if len(runs) != 1 or runs[0].identity != self._identity:
            self._say(f"{printable(str(path))} holds another run: it is left alone")
            return None
        return runs[0]

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)


def _made(folder: Path) -> None:
    shown = printable(str(folder))
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise BnstatsError(f"checkpoint {shown} is a file, not a directory") from None
    except FileNotFoundError:
        raise BnstatsError(
            f"no directory {printable(str(folder.parent))} for the checkpoint",
            hint=f"mkdir -p {shown}",
        ) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise HostError(f"checkpoint {shown} cannot be made: {told}") from None

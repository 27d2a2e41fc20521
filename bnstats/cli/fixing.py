"""How ``bnstats verify --fix`` and ``--diff`` treat wrong values."""

from __future__ import annotations

import difflib
import io
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from bnstats.cli.console import Console
from bnstats.report.options import as_options
from bnstats.sampling.files import seen_from_here, write_atomically
from bnstats.verification.check import Check
from bnstats.verification.fix import Change, corrections, rewritten_files, verified_again
from bnstats.verification.gate import VerifySettings


def repair(
    console: Console,
    checks: Sequence[Check],
    settings: VerifySettings,
    digits: int | None,
    *,
    diff: bool,
    on_stdout: bool,
) -> list[Check]:
    """Rewrite wrong values, print a line for each, and return the checks of the new files.

    With ``diff`` a unified diff is printed instead, and nothing is written.
    """
    changes, refusals = corrections(checks, settings.family_error, digits)
    files = rewritten_files(changes)
    if diff:
        with _no_commands(console):
            for path, (old, new) in files.items():
                # As bytes: a patch has the encoding and line ends of the file, not of a terminal.
                console.out("".join(_diff(path, old, new)).encode(), end=False)
    else:
        for path, (_, new) in files.items():
            write_atomically(path.resolve(), new)
        for change in changes:
            line = _line(console, change)
            console.out(line) if on_stdout else click.echo(line, err=True)
    for check, reason in refusals:
        console.warn(f"{check.name} stays: {as_options(reason)}")
    return list(checks) if diff else verified_again(checks, changes, settings)


@contextmanager
def _no_commands(console: Console) -> Iterator[None]:
    """Keep GitHub Actions from taking lines of a file for commands of ours.

    They are none in a patch that goes to a file; elsewhere patch and git apply skip the two lines.
    """
    if not os.environ.get("GITHUB_ACTIONS") or _goes_to_a_file(console.stdout):
        yield
        return
    token = secrets.token_hex(16)
    console.out(f"::stop-commands::{token}")
    yield
    console.out(f"::{token}::")


def _goes_to_a_file(stream: IO[str]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it is no stream of the system's
        return False


def _line(console: Console, change: Change) -> str:
    head = console.style("fixed    ", "ok")
    return f"{head} {change.place}: {change.name}: {change.old} -> {change.new}"


def _diff(path: Path, old: str, new: str) -> Iterator[str]:
    """Yield the lines of a unified diff that patch and git apply understand."""
    before, after = (io.StringIO(text, newline="\n").readlines() for text in (old, new))
    name = Path(seen_from_here(path)).as_posix()
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

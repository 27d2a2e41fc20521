"""How ``bnstats verify --fix`` and ``--diff`` treat wrong values."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from bnstats.cli.console import Console
from bnstats.documents.files import seen_from_here, write_atomically
from bnstats.report.options import as_options
from bnstats.statistics.quantities import QUANTITIES
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
        for path, (old, new) in files.items():
            # In bytes, because a patch needs the encoding and the line ends of the file.
            click.echo("".join(_diff(path, old, new)).encode(), nl=False)
    else:
        for path, (_, new) in files.items():
            write_atomically(path.resolve(), new)
        for change in changes:
            click.echo(_line(console, change), err=not on_stdout)
    for check, reason in refusals:
        symbol = QUANTITIES[check.quantity].symbol
        console.warn(f"{check.layer} {symbol} stays: {as_options(reason)}")
    return list(checks) if diff else verified_again(checks, changes, settings)


def _line(console: Console, change: Change) -> str:
    what = f"{change.layer} {QUANTITIES[change.quantity].symbol}"
    head = console.style("fixed    ", "ok")
    return f"{head} {change.place}: {what}: {change.old} -> {change.new}"


def _diff(path: Path, old: str, new: str) -> Iterator[str]:
    """Yield the lines of a unified diff that patch and git apply understand."""
    before, after = (io.StringIO(text, newline="\n").readlines() for text in (old, new))
    name = Path(seen_from_here(path)).as_posix()
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

"""A verification as GitHub Actions shows it: annotations in the log, and a summary of the job."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnstats.errors import HostError, printable
from bnstats.notation import deviation, plural
from bnstats.report.checks.text import exact_shown, message, summary
from bnstats.report.markdown import table
from bnstats.statistics.quantities import symbol_of
from bnstats.verification.check import Check

_LEVELS = {"fail": "error", "undecided": "warning"}
_MOST_ROWS = 1000  # GitHub refuses a summary beyond 1 MiB


def annotated(checks: Sequence[Check]) -> str:
    """Return a workflow command for every check that did not pass, and the summary line.

    GitHub's manual, "Workflow commands for GitHub Actions", has the syntax, and its toolkit the
    escapes.
    """
    lines = [_annotation(check) for check in checks if check.outcome != "ok"]
    return "\n".join([*lines, summary(checks)])


def command(level: str, text: str, properties: Mapping[str, str]) -> str:
    """Return one workflow command, such as ``::error file=a.toml,line=3::text``."""
    pairs = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{level}{' ' if pairs else ''}{pairs}::{_escaped(text)}"


def _annotation(check: Check) -> str:
    properties = {}
    if check.place:
        properties["file"] = _in_repository(check.place.path)
        if check.place.line is not None:
            properties |= {"line": str(check.place.line), "col": str(check.place.column)}
    properties["title"] = f"{check.layer} {check.quantity}: {check.grade}"
    return command(_LEVELS[check.outcome], message(check), properties)


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:  # % first: the escapes of the others contain it
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _in_repository(path: Path) -> str:
    """Return the path from the root of the repository, where GitHub looks for it."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace and path.resolve().is_relative_to(Path(workspace).resolve()):
        path = path.resolve().relative_to(Path(workspace).resolve())
    return path.as_posix()


def append_summary(checks: Sequence[Check]) -> None:
    """Append the job summary to the file that GitHub names, if it names one.

    Raises
    ------
    HostError
        The file cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(markdown(checks) + "\n")
    except OSError as error:
        raise HostError(f"cannot write {printable(path)}: {error.strerror}") from None


def markdown(checks: Sequence[Check]) -> str:
    """Return the job summary: what did not pass, in a table, and the summary line."""
    wrong = [check for check in checks if check.outcome != "ok"]
    lines = ["## bnstats verify", "", summary(checks), ""]
    if wrong:
        header = ("", "layer", "quantity", "wanted", "exact", "sampled", "z", "why", "reproduce")
        lines += [table(header, map(_row, wrong[:_MOST_ROWS])), ""]
    if len(wrong) > _MOST_ROWS:
        lines += [f"and {plural(len(wrong) - _MOST_ROWS, 'row')} more, in the log", ""]
    return "\n".join(lines)


def _row(check: Check) -> tuple[str, ...]:
    return (
        check.grade,
        f"`{check.layer}`",
        symbol_of(check.quantity),
        f"`{check.wanted}`",
        exact_shown(check, check.exact) if check.exact else "",
        str(check.estimate) if check.estimate else "",
        "" if check.z is None else deviation(check.z),
        check.reason,
        f"`{check.command}`" if check.command else "",
    )

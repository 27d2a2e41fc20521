"""Whether committed text is what would be written now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def differing_lines(path: Path, wanted: str) -> Iterator[str]:
    """Yield each line of a file that is not as wanted, by its first cells."""
    present = _text_of(path)
    if present is None:
        yield f"{path.name}: missing or unreadable"
        return
    there, here = present.splitlines(), wanted.splitlines()
    changed = [line for line in here if line not in set(there)]
    changed += [line for line in there if line not in set(here)]
    for line in changed:
        cells = [cell.strip(" `") for cell in line.split("|")]
        yield f"{path.name}: {' '.join(cells[1:3]) if len(cells) > 2 else line[:60]}: row differs"
    if present != wanted and not changed:
        yield f"{path.name}: rows are out of order or repeated"


def outdated_plot(path: Path, digest: str, table: str) -> Iterator[str]:
    """Yield what is wrong with a plot; it may be absent, because matplotlib is optional."""
    if path.exists() and digest not in (_text_of(path) or ""):
        yield f"{path.name}: does not show these numbers; bnstats table {table} draws it anew"


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None

"""Where in a claims file each value stands, so that it can be pointed at and replaced.

The parsers that read the file do not tell. So every scalar is replaced by its number, the result is
read by the same parser, and what then stands as a claim's value is the number of its token: there
is no second grammar that could see the file differently.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnstats.errors import printable

_TOML = re.compile(
    r"""
    \#[^\n]*
    | (?:=[ \t]*(?P<value>
        \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5}
        | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
        | [^\s\#"'=,\[\]{}][^\n\#,\]}]*?(?=\s*(?:[\n\#,\]}]|\Z))
      ))
    | \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
    """,
    re.VERBOSE | re.DOTALL,
)
_JSON = re.compile(r':\s*(?P<value>"(?:\\.|[^"\\])*"|[^\s"\[\]{},]+)|"(?:\\.|[^"\\])*"', re.DOTALL)
_CSV = re.compile(r'(?P<value>"(?:[^"]|"")*"|[^,\r\n]+)|(?P<end>\r\n|\r|\n)|,')


@dataclass(frozen=True)
class Place:
    """A place in a file.

    Attributes
    ----------
    path
        The file.
    line
        Counted from 1, or None where the whole file is meant.
    start, end
        Of the value with its quotes, in characters of the text; a byte order mark is not counted.
    """

    path: Path
    line: int | None = None
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        path = printable(str(self.path), 4000)
        return path if self.line is None else f"{path}:{self.line}"


def places(text: str, path: Path, rows: Callable[[str], list[Any]]) -> tuple[Place, ...]:
    """Return the place of every claim's value.

    Parameters
    ----------
    text, path
        Of a claims file that has been read without an error.
    rows
        The parser: from a text to its claims.
    """
    spans = list(_scalars(text, path.suffix.lower()))
    parts, at = [], 0
    for number, (start, end) in enumerate(spans):
        parts += [text[at:start], str(number)]
        at = end
    newlines = [newline.start() for newline in re.finditer("\n", text)]
    values = (spans[int(row["value"])] for row in rows("".join([*parts, text[at:]])))
    return tuple(Place(path, bisect(newlines, start) + 1, start, end) for start, end in values)


def _scalars(text: str, suffix: str) -> Iterator[tuple[int, int]]:
    """Yield where the values of keys stand; in CSV, every field below the header."""
    pattern = {".toml": _TOML, ".json": _JSON, ".csv": _CSV}[suffix]
    header = suffix == ".csv"
    for token in pattern.finditer(text):
        if header:
            header = not token["end"]
        elif token["value"] is not None:
            yield token.span("value")

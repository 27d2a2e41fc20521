"""The place of each value in a claims file, so that it can be pointed at and replaced.

tomllib, json and csv do not report positions. So the i-th scalar of the file is replaced by the
number i, the file is parsed again, and the number that became a claim's value says which scalar it
was. The parser that reads the claims thus defines their places: no second grammar could see the
file differently.
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
        The number of the line, from 1; None means the whole file.
    start, end
        Where the value with its quotes begins and ends, in characters of the text. A byte order
        mark is not counted.
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
        The content and the path of a claims file that has been read without an error.
    rows
        The parser, which returns the claims of a text.
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
    """Yield the spans of the values of keys; in CSV, of every field below the header."""
    pattern = {".toml": _TOML, ".json": _JSON, ".csv": _CSV}[suffix]
    header = suffix == ".csv"
    for token in pattern.finditer(text):
        if header:
            header = not token["end"]
        elif token["value"] is not None:
            yield token.span("value")

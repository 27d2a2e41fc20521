"""The place of each value in a claims file, so that it can be pointed at and replaced.

tomllib, json and csv do not report positions. So the i-th scalar of the file is replaced by the
number i, the file is parsed again, and the number that became a field's value says which scalar it
was. The parser that reads the claims thus defines their places: no second grammar could see the
file differently.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnstats.errors import BnstatsError, printable

Span = tuple[int, int]

# They are compiled where they are used: a start of the program should not pay for them.
_TOML = r"""(?xs)
    \#[^\n]*
    | (?:=[ \t]*(?P<value>
        \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5}
        | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
        | [^\s\#"'=,\[\]{}][^\n\#,\]}]*?(?=\s*(?:[\n\#,\]}]|\Z))
      ))
    | \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
"""
_JSON = r'(?s):\s*(?P<value>"(?:\\.|[^"\\])*"|[^\s"\[\]{},]+)|"(?:\\.|[^"\\])*"'
_CSV = r'(?P<value>"(?:[^"]|"")*"|[^,\r\n]+)|(?P<end>\r\n|\r|\n)|,'
_PATTERNS = {".toml": _TOML, ".json": _JSON, ".csv": _CSV}


@dataclass(frozen=True)
class Place:
    """A place in a file.

    Attributes
    ----------
    path
        The file.
    line, column
        The numbers of the line and of the character in it, from 1; None means the whole file.
    start, end
        Where the value with its quotes begins and ends, in characters of the text. A byte order
        mark is not counted.
    part, quantity
        How the file was read: the name of the dict, and the quantity of what names none.
    """

    path: Path
    line: int | None = None
    start: int = 0
    end: int = 0
    column: int | None = None
    part: str = ""
    quantity: str | None = None

    def __str__(self) -> str:
        path = printable(str(self.path), 4000)
        numbers = (n for n in (self.line, self.column) if n is not None)
        return ":".join((path, *map(str, numbers)))


class Lines:
    """The lines of a text."""

    def __init__(self, text: str) -> None:
        self._newlines = [newline.start() for newline in re.finditer("\n", text)]

    def line_and_column(self, at: int) -> tuple[int, int]:
        """Return the numbers of a character's line, and of the character in it, from 1."""
        line = bisect(self._newlines, at)
        return line + 1, at - (self._newlines[line - 1] if line else -1)


def spans_of_fields(
    text: str, suffix: str, rows: Callable[[str], list[Any]]
) -> list[Mapping[str, Span]]:
    """Return where the fields of every row stand; of one that is no scalar nothing is said.

    Parameters
    ----------
    text, suffix
        The content of a claims file, and what tells its format.
    rows
        The parser, which returns the rows of a text.
    """
    spans = list(_scalars(text, suffix))
    parts, at = [], 0
    for number, (start, end) in enumerate(spans):
        parts += [text[at:start], str(number)]
        at = end
    try:
        found = rows("".join([*parts, text[at:]]))
    except BnstatsError:  # no such file has been seen
        return []
    return [_spans(row, spans) for row in found]


def _spans(row: Any, spans: list[Span]) -> dict[str, Span]:
    if not isinstance(row, Mapping):
        return {}
    numbers = {key: str(value) for key, value in row.items()}
    found = {key: int(n) for key, n in numbers.items() if re.fullmatch("[0-9]{1,7}", n)}
    return {key: spans[n] for key, n in found.items() if n < len(spans)}


def _scalars(text: str, suffix: str) -> Iterator[Span]:
    """Yield the spans of the values of keys; in CSV, of every field below the header."""
    header = suffix == ".csv"
    for token in re.finditer(_PATTERNS[suffix], text):
        if header:
            header = not token["end"]
        elif token["value"] is not None:
            yield token.span("value")

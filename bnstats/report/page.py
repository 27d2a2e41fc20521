"""The page that text is written on: how wide it is, and how words are coloured."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH = 80  # where there is no terminal
Style = Callable[[str, str], str]


def plain(text: str, kind: str) -> str:
    """Return text without colour."""
    del kind
    return text


@dataclass(frozen=True)
class Page:
    """A width and a way to colour.

    Attributes
    ----------
    width
        Columns to fold text for.
    style
        ``style(text, kind)`` colours a text by what it is, such as a name or a verdict.
    quiet
        Whether remarks are left out.
    """

    width: int = WIDTH
    style: Style = plain
    quiet: bool = False

    def folded(self, head: str, text: str, indent: int | None = None) -> list[str]:
        """Fold a text after a head; its further lines begin below its first, or at an indent.

        >>> Page(20).folded("  source  ", "Glorot and Bengio")
        ['  source  Glorot and', '          Bengio']
        """
        return textwrap.wrap(
            text,
            self.width,
            initial_indent=head,
            subsequent_indent=" " * (len(head) if indent is None else indent),
            break_long_words=False,
            break_on_hyphens=False,
        )

    def coloured(
        self, word: str, kind: str, head: str, text: str, indent: int | None = None
    ) -> list[str]:
        """Fold a text after a head, and colour a word in its first line."""
        first, *more = self.folded(head, text, indent)
        return [first.replace(word, self.style(word, kind), 1), *more]


PIPED = Page()
UNFOLDED = Page(sys.maxsize)


def aligned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Pad every cell to the width of its column.

    >>> aligned([("a", "bcd"), ("ef", "g")])
    [['a ', 'bcd'], ['ef', 'g  ']]
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows]


def aligned_columns(columns: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the rows of a table of columns, the first of their names, as `aligned` does."""
    return aligned([list(columns), *zip(*columns.values(), strict=True)])

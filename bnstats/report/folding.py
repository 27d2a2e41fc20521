"""Text for a terminal of some width."""

from __future__ import annotations

import textwrap

WIDTH = 80  # where there is no terminal


def folded(head: str, text: str, width: int, indent: int | None = None) -> list[str]:
    """Fold a text after a head; its further lines begin below its first, or at an indent.

    >>> folded("  source  ", "Glorot and Bengio", 20)
    ['  source  Glorot and', '          Bengio']
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * (len(head) if indent is None else indent),
        break_long_words=False,
        break_on_hyphens=False,
    )

"""What the pages of all studies share: folded paragraphs, and tables too long for a page."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence

COLUMNS = 98


def wrapped(text: str) -> str:
    return textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV, which a page points to; numbers are as programs read them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()

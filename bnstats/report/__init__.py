"""Documents and verifications, rendered: one file for each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnstats.errors import BnstatsError, printable
from bnstats.report.page import PIPED, Page

if TYPE_CHECKING:
    from bnstats.result import Record

_SUFFIXES = {".txt": "text", ".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex"}


def render(
    format_: str,
    document: Mapping[str, Any],
    records: Sequence[Record[Any]],
    page: Page = PIPED,
    seconds: Sequence[float] = (),
) -> str:
    """Return a document as text, json, csv, markdown or latex.

    All but text, see `bnstats.report.text.render`, need nothing but the document.
    """
    module = import_module(f"bnstats.report.{format_}")
    more = (records, page, seconds) if format_ == "text" else ()
    text: str = module.render(document, *more)
    return text


def format_of(path: Path) -> str:
    """Return the format a file's suffix stands for; an unknown one raises BnstatsError."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise BnstatsError(
            f"cannot tell the format of '{printable(str(path))}'",
            hint=f"a file ends in {', '.join(_SUFFIXES)}",
        ) from None

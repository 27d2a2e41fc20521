"""One record of a run, and one file per format that renders it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bnstats.errors import BnstatsError, printable

_SUFFIXES = {".txt": "text", ".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex"}


def renderer(name: str) -> Callable[[Mapping[str, Any]], str]:
    """Return the function that renders a document as text, json, csv, markdown or latex."""
    render: Callable[[Mapping[str, Any]], str] = import_module(f"bnstats.report.{name}").render
    return render


def format_of(path: Path) -> str:
    """Return the format a file's suffix stands for; an unknown one raises BnstatsError."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise BnstatsError(
            f"cannot tell the format of '{printable(str(path))}'",
            hint=f"a file ends in {', '.join(_SUFFIXES)}",
        ) from None

"""Printing and exporting a document in the format that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnstats.cli.console import Console
from bnstats.errors import BnstatsError, printable
from bnstats.report import format_of, renderer
from bnstats.report.files import check_writable, write_atomically


def check_exports(paths: Sequence[Path]) -> None:
    """Raise BnstatsError before any work if a file could not be written."""
    for path in paths:
        format_of(path)
        check_writable(path)


def emit(
    console: Console,
    document: Mapping[str, Any],
    *,
    format_: str,
    get: str | None,
    export: Sequence[Path],
    seconds: float | None = None,
) -> None:
    """Print the document, or the one number that ``get`` names, and write the exports."""
    for path in export:
        write_atomically(path, renderer(format_of(path))(document) + "\n")
    if get is not None:
        console.out(lookup(document, get))
    elif format_ == "text":
        from bnstats.report.text_ import render

        console.out(render(document, console.style, seconds))
    else:
        console.out(renderer(format_)(document))


def lookup(document: Mapping[str, Any], path: str) -> str:
    """Return the number at a path such as sigmoid.std_dx.value or std_dx.interval.low.

    The layer may be left out where there is only one.
    """
    results = document["results"]
    # Layer specs may hold dots: match them whole, the longest first.
    for result in sorted(results, key=lambda r: -len(r["layer"])):
        if path.startswith(result["layer"] + "."):
            return _number(result, path[len(result["layer"]) + 1 :], path)
    if len(results) == 1:
        return _number(results[0], path, path)
    layers = ", ".join(r["layer"] for r in results)
    raise BnstatsError(f"--get {printable(path)}: no such layer", hint=f"layers: {layers}")


def _number(result: Mapping[str, Any], rest: str, path: str) -> str:
    node: Any = result
    for key in rest.split("."):
        if isinstance(node, list) and len(node) == 2:
            node = {"low": node[0], "high": node[1]}
        if not isinstance(node, Mapping) or key not in node:
            keys = ", ".join(node) if isinstance(node, Mapping) else "nothing further"
            raise BnstatsError(
                f"--get {printable(path)}: no '{printable(key)}'", hint=f"there is {keys}"
            )
        node = node[key]
    if node is None:
        raise BnstatsError(f"--get {printable(path)}: there is no such value for this layer")
    if isinstance(node, Mapping | list):
        keys = "low, high" if isinstance(node, list) else ", ".join(node)
        raise BnstatsError(
            f"--get {printable(path)}: not a single number", hint=f"add one of {keys}"
        )
    return node if isinstance(node, str) else repr(node)

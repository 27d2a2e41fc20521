"""Where a document goes: printed in the format that was asked for, and into files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bnstats.cli.console import Console
from bnstats.errors import BnstatsError, printable
from bnstats.report import format_of
from bnstats.report.options import as_options
from bnstats.report.rows import known_digits
from bnstats.result import Result
from bnstats.sampling.files import check_writable, write_atomically
from bnstats.specs.spec import parse
from bnstats.statistics.quantities import quantity_named


@dataclass(frozen=True)
class Output:
    """What is printed of a document, and the files that hold it.

    Attributes
    ----------
    format_
        What is printed: text, json, csv, markdown or latex.
    get
        The path of the one number that is printed in its place.
    export
        Files; their suffixes set the formats.

    Raises
    ------
    BnstatsError
        A file could not be written, or its suffix stands for no format.
    """

    format_: str
    get: str | None
    export: tuple[Path, ...]

    def __post_init__(self) -> None:
        for path in self.export:
            format_of(path)
            check_writable(path)

    def emit(
        self,
        console: Console,
        document: Mapping[str, Any],
        render: Callable[..., str],
        *,
        names: Mapping[str, Any] | None = None,
        draw: Callable[[], None] | None = None,
        **on_screen: Any,
    ) -> None:
        """Print a document, or the number that ``get`` names; write the files, and a picture.

        ``render`` makes text of a format and a document, and ``names`` is the document as ``get``
        sees it. Without results there is nothing but JSON. What cannot be written keeps nothing
        else from being written: the first error is raised in the end, the others are warnings.
        """
        if not document["results"] and self.format_ != "json":
            return

        def shown() -> None:
            if self.get is not None and document["results"]:
                console.out(lookup(names or document, self.get))
            else:
                console.out(render(self.format_, document, page=console.page, **on_screen))

        def written(path: Path) -> None:
            write_atomically(path, render(format_of(path), document) + "\n")

        works: list[Callable[[], None]] = [shown, *(partial(written, p) for p in self.export)]
        if draw and document["results"]:
            works.append(draw)
        failed: list[Exception] = []
        for work in works:
            try:
                work()
            except (OSError, BnstatsError) as error:
                failed.append(error)
        for other in failed[1:]:
            if isinstance(other, BnstatsError):  # stdout, which a picture met too, is said once
                console.warn(str(other))
        if failed:
            raise failed[0]


def spoken(result: Result) -> Result:
    """Return a result whose warnings name options in place of arguments."""
    return replace(result, warnings=tuple(map(as_options, result.warnings)))


def lookup(document: Mapping[str, Any], path: str) -> str:
    """Return the number at a path such as sigmoid.std_dx.value or std_dx.interval.low.

    It has the digits that are known; the document itself holds all, beside their errors.
    """
    node, key, beside = locate(document, path)
    if node is None:
        raise BnstatsError(f"--get {printable(path)}: there is no such value for this layer")
    if isinstance(node, float):
        return known_digits(node, key, beside)
    return node if isinstance(node, str) else repr(node)


def locate(document: Mapping[str, Any], path: str) -> tuple[Any, str, Mapping[str, Any]]:
    """Return the value at a path, which may be null, its key and what stands beside it.

    The layer may be left out if there is only one, and need not be in canonical form.

    Raises
    ------
    BnstatsError
        No such layer or key, or something other than a single number.
    """
    results = {r["layer"]: r for r in document["results"]}
    for at in range(len(path), 0, -1):  # specs may hold dots: the longest layer wins
        if path[at - 1] == "." and (layer := _canonical(path[: at - 1])) in results:
            return _descend(results[layer], path[at:], path)
    if len(results) == 1:
        return _descend(next(iter(results.values())), path, path)
    raise BnstatsError(
        f"--get {printable(path)}: no such layer",
        hint=f"of several layers, PATH begins with one: {', '.join(results)}",
    )


def _canonical(spec: str) -> str:
    try:
        return parse(spec).text
    except BnstatsError:
        return ""


def _descend(result: Mapping[str, Any], rest: str, path: str) -> tuple[Any, str, Mapping[str, Any]]:
    node: Any = result
    beside, key = result, rest
    while rest or node is result:
        if isinstance(node, list) and len(node) == 2:
            node = {"low": node[0], "high": node[1]}
        # Names such as x_std=0.1 may hold dots: the longest one wins.
        names = node if isinstance(node, Mapping) else ()
        fitting = (name for name in names if f"{rest}.".startswith(f"{name}."))
        key = max(fitting, key=len, default=rest.partition(".")[0])
        rest = rest[len(key) + 1 :]
        if node is None and key in ("low", "high", "value", "error", "by"):
            return None, key, {}  # this layer has no such interval or exact value
        if node is result and key not in result:
            key = quantity_named(key) or key
        if not isinstance(node, Mapping) or key not in node:
            keys = ", ".join(node) if isinstance(node, Mapping) else "nothing further"
            what = f"--get {printable(path)}: no '{printable(key)}'"
            raise BnstatsError(what, hint=f"there is {keys}")
        beside, node = node, node[key]
    if isinstance(node, Mapping | list):
        keys = "low, high" if isinstance(node, list) else ", ".join(node)
        raise BnstatsError(
            f"--get {printable(path)}: not a single number", hint=f"add one of {keys}"
        )
    return node, key, beside

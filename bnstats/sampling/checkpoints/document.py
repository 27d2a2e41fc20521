"""Documents of tallies: the subtrees of runs as JSON, exact to the last bit, and sealed.

A record is written field by field, whatever its fields are: numbers, tuples of them, and records.
Numbers that are not finite are texts, as JSON has none of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bnstats.errors import BnstatsError, printable
from bnstats.sampling.checkpoints.identity import digest_of
from bnstats.sampling.files import write_atomically
from bnstats.sampling.kept import Subtrees
from bnstats.sampling.layout import Layout
from bnstats.statistics.moments import RECORDS, Tally

_MAX_BYTES = 64_000_000
_DAMAGED = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True)
class RunMoments:
    """The moments of one run, or of a part of it.

    Attributes
    ----------
    identity
        What the digits depend on, see `bnstats.sampling.checkpoints.identity`.
    subtrees
        Spans with their moments, and the layout of the run.
    part
        Which part of how many this is; None for a run, whole or not.
    """

    identity: Mapping[str, Any]
    subtrees: Subtrees
    part: tuple[int, int] | None = None


class Form(NamedTuple):
    """How the tallies of one kind of runs are written.

    Attributes
    ----------
    schema
        Its name and version.
    written, read
        From a tally to plain data, and back; what is no tally raises one of the usual errors.
    """

    schema: str
    written: Callable[[Any], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], Any]


def _moments_written(tally: Tally) -> dict[str, Any]:
    return {name: record_entry(record) for name, record in tally.records().items()}


def record_entry(record: Any) -> dict[str, Any]:
    """Return the fields of a record of numbers as plain data."""
    return {field.name: _written(getattr(record, field.name)) for field in fields(record)}


def _written(value: Any) -> Any:
    if is_dataclass(value):
        return record_entry(value)
    if isinstance(value, tuple | list | np.ndarray):
        return [_written(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, int) or math.isfinite(value) else repr(float(value))


def read_number(value: Any) -> Any:
    """Return a number as it was written, or an array of lists of them.

    Raises
    ------
    ValueError
        It is neither.
    """
    if isinstance(value, list):
        return np.array([read_number(item) for item in value])
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    return float(value)


def _moments_read(entry: Mapping[str, Any]) -> Tally:
    return Tally.of_records({name: record_of(RECORDS[name], of) for name, of in entry.items()})


MOMENTS = Form("bnstats-moments/1", _moments_written, _moments_read)


def record_of(kind: Callable[..., Any], numbers: Mapping[str, Any]) -> Any:
    """Return the record that `record_entry` made plain data of.

    Raises
    ------
    ValueError
        It has other fields.
    """
    found = kind(**{name: read_number(value) for name, value in numbers.items()})
    if numbers.keys() != {field.name for field in fields(found)}:
        raise ValueError("not moments")
    return found


def moments_document(runs: Sequence[RunMoments], form: Form = MOMENTS) -> dict[str, Any]:
    """Return the document of some runs, by default of moments of draws."""
    found = {"schema": form.schema, "runs": [_run_entry(run, form) for run in runs]}
    return found | {"digest": digest_of(found)}


def _run_entry(run: RunMoments, form: Form) -> dict[str, Any]:
    layout = run.subtrees.layout
    return {
        "run": dict(run.identity),
        "samples": layout.samples,
        "units": layout.units,
        "chunk": layout.largest_chunk,
        "part": None if run.part is None else list(run.part),
        "subtrees": [
            {
                "unit": span.unit,
                "first": span.first,
                "leaves": span.leaves,
                "draws": span.draws,
                "moments": form.written(tally),
            }
            for span, tally in run.subtrees
        ],
    }


def read_moments(path: Path, form: Form = MOMENTS) -> list[RunMoments]:
    """Read a document of moments.

    Raises
    ------
    BnstatsError
        The file cannot be read, is no such document, or is not as it was written.
    """
    shown = printable(str(path))
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BnstatsError(f"no {shown} here") from None
    except (OSError, ValueError):
        raise BnstatsError(f"{shown} cannot be read") from None
    try:
        document = json.loads(text)
        schema = document["schema"]
    except _DAMAGED:
        raise BnstatsError(f"{shown} is damaged, or no moments of bnstats") from None
    if schema != form.schema:
        hint = None
        if str(schema).startswith("bnstats/"):
            hint = "bnstats compute --part 1/8 --export FILE.json writes moments"
        raise BnstatsError(f"{shown} holds no moments: it is not {form.schema}", hint=hint)
    try:
        if document.pop("digest") != digest_of(document):
            raise ValueError("not as it was written")
        return [_run(entry, form) for entry in document["runs"]]
    except _DAMAGED:
        raise BnstatsError(f"{shown} is damaged: it is not as it was written") from None


def _run(entry: Mapping[str, Any], form: Form) -> RunMoments:
    sizes = entry["samples"], entry["run"]["leaf"], entry["units"], entry["chunk"]
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError("not a layout")
    subtrees = Subtrees(Layout(*sizes))
    for node in entry["subtrees"]:
        where = node["unit"], node["first"], node["leaves"]
        unit, first, leaves = where
        whole = all(type(number) is int and number >= 0 for number in where)
        aligned = leaves > 0 and leaves & (leaves - 1) == 0 and first % leaves == 0
        span = subtrees.layout.span(*where)
        if not (whole and aligned and unit < sizes[2]) or span.draws != node["draws"]:
            raise ValueError("not a span of this run")
        subtrees.add(span, form.read(node["moments"]))
    part = entry["part"]
    return RunMoments(entry["run"], subtrees, None if part is None else (part[0], part[1]))


def write_moments(path: Path, runs: Sequence[RunMoments], form: Form = MOMENTS) -> None:
    """Write the document of some runs; see `write_atomically`."""
    write_atomically(path, render(moments_document(runs, form)))


def render(document: Mapping[str, Any]) -> str:
    """Return a document as text, a line for each subtree."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False)
    return text.replace('{"unit"', '\n{"unit"') + "\n"

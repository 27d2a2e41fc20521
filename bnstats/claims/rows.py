"""From the text of a claims file to rows of fields, and the places where these stand."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bnstats.claims.fields import FIELDS
from bnstats.claims.literals import read_dict
from bnstats.claims.parsing import ParsingError, read_json, read_toml
from bnstats.claims.places import Span, spans_of_fields
from bnstats.errors import BnstatsError, hint_for, printable

ABOUT = ("title", "url", "convention")  # of the whole file
SUFFIXES = (".toml", ".json", ".csv", ".py")
MAX_CLAIMS = 10_000


class Rows(NamedTuple):
    """What a file holds: the rows, what it says of itself, and where the fields of each row stand.

    ``spans`` is empty where nobody has asked for it. ``flat`` is true of a mapping of values by
    layer.
    """

    rows: list[Any]
    about: Mapping[str, Any]
    spans: list[Mapping[str, Span]]
    flat: bool = False


def rows_of(text: str, name: str, part: str = "", *, located: bool = False) -> Rows:
    """Read the text of a file.

    Parameters
    ----------
    text, name
        The content; the suffix of the name determines the format.
    part
        In a Python file, the name of the dict.
    located
        Whether to find out where fields stand.

    Raises
    ------
    BnstatsError
        The text is none of its format, or holds no rows.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".py":
        return _of_python(text, name, part)
    document = _parse(text, name)
    rows, spans = _rows(document, name), list[Mapping[str, Span]]()
    if located:
        spans = spans_of_fields(text, suffix, lambda numbered: _rows(_parse(numbered, name), name))
    return Rows(rows, document, spans, flat="claim" not in document)


def _of_python(text: str, name: str, part: str) -> Rows:
    try:
        entries = read_dict(text, part)
    except ParsingError as error:
        raise _no_text_of(name, error) from None
    _check_count(entries, name)
    rows = [{"layer": entry.key, "value": entry.value} for entry in entries]
    spans = [{"layer": entry.key_span, "value": entry.value_span} for entry in entries]
    return Rows(rows, {}, list(spans), flat=True)


def _rows(document: Mapping[str, Any], name: str) -> list[Any]:
    known = ("claim", *ABOUT)
    for key, value in document.items():  # [[claims]] would hold claims that nobody checks
        if key not in known and _holds_tables(value):
            raise BnstatsError(
                f"{name}: unknown key '{printable(key, 40)}'",
                hint=hint_for(key, known, f"keys: {', '.join(known)}"),
            )
    rows = document.get("claim", [])
    if "claim" not in document and Path(name).suffix.lower() == ".json":
        rows = [{"layer": k, "value": v} for k, v in document.items() if k not in ABOUT]
    _check_count(rows, name)
    return list(rows)


def _check_count(rows: Any, name: str) -> None:
    if not isinstance(rows, list) or not rows:
        raise BnstatsError(f"{name} holds no claims", hint=_example(name))
    if len(rows) > MAX_CLAIMS:
        raise BnstatsError(f"{name} holds more than {MAX_CLAIMS:,} claims")


def _holds_tables(value: Any) -> bool:
    return any(isinstance(v, dict) for v in (value if isinstance(value, list) else (value,)))


def _parse(text: str, name: str) -> dict[str, Any]:
    """Parse a file into a mapping that has the list ``claim``; decimals stay text."""
    suffix = Path(name).suffix.lower()
    try:
        if suffix == ".toml":
            return read_toml(text, str)
        if suffix == ".json":
            document = read_json(text, str)
            return document if isinstance(document, dict) else {"claim": document}
        if suffix == ".csv":
            return {"claim": _csv_rows(text, name)}
    except ParsingError as error:
        raise _no_text_of(name, error) from None
    raise BnstatsError(f"{name}: a claims file ends in {', '.join(SUFFIXES[:-1])} or .py")


def _no_text_of(name: str, error: ParsingError) -> BnstatsError:
    at = "".join(f":{n}" for n in (error.line, error.column) if n)
    return BnstatsError(f"{name}{at} cannot be parsed: {printable(str(error))}", hint=error.hint)


def _csv_rows(text: str, name: str) -> list[dict[str | None, Any]]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        header = rows.fieldnames or ()
        if len(header) == 1 and ";" in header[0]:
            raise BnstatsError(
                f"{name}: the fields are separated by semicolons",
                hint="commas separate fields, and a point decimals: relu,std_y,0.58",
            )
        fields = f"the first line names the fields: {', '.join(FIELDS)}"
        for key in header:
            if key and key not in FIELDS:  # a comma at the end is harmless
                shown = printable(key, 40)
                hint = hint_for(shown, FIELDS, fields)
                raise BnstatsError(f"{name}:1: unknown field '{shown}'", hint=hint)
        for key in ("layer", "value"):
            if header and key not in header:
                raise BnstatsError(f"{name}:1: field '{key}' is missing", hint=fields)
        if len(set(header)) < len(header):
            raise BnstatsError(f"{name}:1: the header has a field twice", hint=fields)
        return [{k: v for k, v in row.items() if v} for row in islice(rows, MAX_CLAIMS + 1)]
    except csv.Error as error:
        raise ParsingError(str(error), rows.reader.line_num) from None


def _example(name: str) -> str | None:
    if Path(name).suffix.lower() != ".toml":
        return None
    return 'e.g. claim = [{layer = "sigmoid", quantity = "std_dx", value = "0.21175"}]'

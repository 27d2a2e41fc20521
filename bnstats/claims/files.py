"""Reading claims from TOML, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from bnstats.claims.parsing import ParsingError, read_json, read_toml
from bnstats.claims.places import Place, places
from bnstats.claims.values import Printed, parse_value
from bnstats.custom import load_trusted, load_typed
from bnstats.errors import BnstatsError, hint_for, printable
from bnstats.specs.names import Load
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.quantities import QUANTITIES

Kind = Literal["moment", "placeholder", "rule of thumb"]

_FIELDS = ("layer", "quantity", "value", "tolerance", "samples", "kind", "source", "remark")
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_ABOUT = ("title", "url", "convention")  # of the whole file
_MAX_BYTES = 2_000_000
_MAX_CLAIMS = 10_000
_MAX_SAMPLES = 10**18
_MAX_SHOWN = 200


@dataclass(frozen=True)
class Claim:
    """A published value of one quantity of one layer.

    Attributes
    ----------
    set
        The name of the claim set that it belongs to.
    spec
        The layer with its parameters.
    quantity
        The name of the quantity, e.g. ``std_dx``.
    printed
        The value as it stands in the source. Its half-width is the claim's tolerance, if it has
        one.
    samples
        The number of Monte Carlo draws behind it; None if the source does not say. A wrong value is
        not excused by their error, but explained.
    kind
        ``moment``, the quantity itself; or what else the source gives in its place, which is shown
        beside the quantity and not refuted.
    source, remark
        Where it was published, and what a reader should know about it.
    place
        The place of the value in a user's own file; None for the sets of the package.
    """

    set: str
    spec: Spec
    quantity: str
    printed: Printed
    samples: int | None = None
    kind: Kind = "moment"
    source: str = ""
    remark: str = ""
    place: Place | None = None


@dataclass(frozen=True)
class ClaimSet:
    """Claims from one source.

    Attributes
    ----------
    name
        The name of the set: the file's without its suffix.
    claims
        The claims, in the order of the file.
    title, url
        The source, and where it is published; empty if the file does not say.
    convention
        What the numbers of the source are, e.g. standard deviations; empty if it does not say.
    """

    name: str
    claims: tuple[Claim, ...]
    title: str = ""
    url: str = ""
    convention: str = ""


def read_claims_file(path: Path) -> ClaimSet:
    """Read a user's claims file; its suffix, .toml, .json or .csv, determines the format.

    Raises
    ------
    BnstatsError
        The file cannot be read or parsed, or a claim in it is wrong; the message names the claim by
        its number.
    """
    try:
        if path.exists() and not path.is_file():
            raise BnstatsError(f"cannot read {_shown(path)}: not a file")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise BnstatsError(f"no such file: {_shown(path)}", hint="bnstats list claims") from None
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        reason = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise BnstatsError(f"cannot read {_shown(path)}: {reason}") from None
    shown = _shown(path)
    found = read_claims(content, shown)
    text = content.decode("utf-8-sig")
    where = places(text, path, lambda numbered: _rows(_parse(numbered, shown), shown))
    located = (replace(c, place=p) for c, p in zip(found.claims, where, strict=True))
    return replace(found, claims=tuple(located))


def claim(fields: Mapping[str, str]) -> Claim:
    """Return one claim from the fields that a file would hold; see `read_claims_file`.

    A program names the layer here, not a file, so a layer of the user's is imported.

    >>> claim({"layer": "swish", "quantity": "std_y", "value": "0.5"}).spec.text
    'silu'
    """
    return _claim(fields, "", "bnstats_verify", load_typed)


def read_claims(content: bytes, name: str) -> ClaimSet:
    """Parse the content of a claims file called ``name``; see `read_claims_file`."""
    if len(content) > _MAX_BYTES:
        raise BnstatsError(f"{name} is larger than {_MAX_BYTES // 10**6} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BnstatsError(f"{name} is not UTF-8 text") from None
    document = _parse(text, name)
    stem, rows = Path(name).stem, _rows(document, name)
    claims = tuple(_claim(row, stem, f"{name}, claim {i}") for i, row in enumerate(rows, start=1))
    seen: dict[tuple[str, str], int] = {}
    for i, claim in enumerate(claims, start=1):
        first = seen.setdefault((claim.spec.text, claim.quantity), i)
        if first != i:
            raise BnstatsError(
                f"{name}, claim {i}: repeats claim {first}   ({claim.spec.text}, {claim.quantity})",
                hint="keep one of them",
            )
    about = (printable(_text(document.get(key, ""), key, name)) for key in _ABOUT)
    return ClaimSet(stem, claims, *about)


def _rows(document: Mapping[str, Any], name: str) -> list[Any]:
    known = ("claim", *_ABOUT)
    for key, value in document.items():  # [[claims]] would hold claims that nobody checks
        if key not in known and _holds_tables(value):
            raise BnstatsError(
                f"{name}: unknown key '{printable(key, 40)}'",
                hint=hint_for(key, known, f"keys: {', '.join(known)}"),
            )
    rows = document.get("claim", [])
    if not isinstance(rows, list) or not rows:
        raise BnstatsError(f"{name} holds no claims", hint=_example(name))
    if len(rows) > _MAX_CLAIMS:
        raise BnstatsError(f"{name} holds more than {_MAX_CLAIMS:,} claims")
    return rows


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
    except (ParsingError, csv.Error) as error:
        raise BnstatsError(f"{name} cannot be parsed: {printable(str(error))}") from None
    raise BnstatsError(f"{name}: a claims file ends in .toml, .json or .csv")


def _csv_rows(text: str, name: str) -> list[dict[str | None, Any]]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    header = rows.fieldnames or ()
    if len(header) == 1 and ";" in header[0]:
        raise BnstatsError(
            f"{name}: the fields are separated by semicolons",
            hint="commas separate fields, and a point decimals: relu,std_y,0.58",
        )
    # The time that a row takes is proportional to the header's length, however short the row is.
    if len(header) > 2 * len(_FIELDS) or len(set(header)) < len(header):
        raise BnstatsError(
            f"{name}: the header has too many fields, or one of them twice",
            hint=f"fields: {', '.join(_FIELDS)}",
        )
    return [{k: v for k, v in row.items() if v} for row in islice(rows, _MAX_CLAIMS + 1)]


def _claim(row: Any, set_name: str, at: str, load: Load = load_trusted) -> Claim:
    if not isinstance(row, Mapping):
        raise BnstatsError(f"{at}: not a table of {', '.join(_FIELDS)}")
    if None in row:  # csv puts fields there that the header has no name for
        raise BnstatsError(
            f"{at}: more fields than the header names", hint='quote a layer that holds commas: "…"'
        )
    unknown = [key for key in row if key not in _FIELDS]
    if unknown:
        key = printable(str(unknown[0]), 40)
        hint = hint_for(key, _FIELDS, f"fields: {', '.join(_FIELDS)}")
        raise BnstatsError(f"{at}: unknown field '{key}'", hint=hint)
    for key in ("layer", "quantity", "value"):
        if key not in row:
            raise BnstatsError(f"{at}: field '{key}' is missing")
    fields = {k: _text(v, k, at) for k, v in row.items()}
    try:
        spec = parse(fields["layer"], load)
    except BnstatsError as error:
        raise BnstatsError(f"{at}: {error.message}", where=error.where, hint=error.hint) from None
    context = f'   (layer = "{spec.text}")'
    quantity = fields["quantity"]
    if quantity not in QUANTITIES:
        raise BnstatsError(
            f"{at}: unknown quantity '{printable(quantity, 40)}'{context}",
            hint=hint_for(quantity, QUANTITIES, f"quantities: {', '.join(QUANTITIES)}"),
        )
    try:
        printed = parse_value(fields["value"])
    except ValueError as error:
        raise BnstatsError(f"{at}: {error}{context}") from None
    if "tolerance" in fields:
        tolerance = _tolerance(fields["tolerance"], at + context)
        printed = replace(printed, half_width=tolerance, tolerance=tolerance)
    kind = fields.get("kind", "moment")
    if kind not in _KINDS:
        hint = hint_for(kind, _KINDS, f"kinds: {', '.join(_KINDS)}")
        raise BnstatsError(f"{at}: unknown kind '{printable(kind, 40)}'{context}", hint=hint)
    return Claim(
        set=set_name,
        spec=spec,
        quantity=quantity,
        printed=printed,
        samples=_samples(fields.get("samples"), at + context),
        kind=_KINDS[kind],
        source=printable(fields.get("source", "")),
        remark=printable(fields.get("remark", "")),
    )


def _text(value: Any, key: str, at: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BnstatsError(f"{at}: field '{key}' is not text")
    try:
        return str(value)
    except ValueError:  # an int of thousands of digits
        raise BnstatsError(f"{at}: field '{key}' is too long") from None


def _tolerance(text: str, at: str) -> float:
    try:
        tolerance = parse_value(text).value
    except ValueError:
        tolerance = 0.0
    if tolerance <= 0:
        raise BnstatsError(f"{at}: tolerance '{printable(text, 40)}' is not a positive number")
    return tolerance


def _samples(text: str | None, at: str) -> int | None:
    if text is None:
        return None
    try:
        samples = int(float(text))
    except (ValueError, OverflowError):
        samples = 0
    if not 1 <= samples <= _MAX_SAMPLES:
        what = "a positive number" if samples < 1 else "at most 1e18"
        raise BnstatsError(f"{at}: samples '{printable(text, 40)}' is not {what}")
    return samples


def _shown(path: Path) -> str:
    text = str(path)  # a long path keeps its end, which has the suffix
    return printable(text if len(text) <= _MAX_SHOWN else f"…{text[1 - _MAX_SHOWN :]}", 4000)


def _example(name: str) -> str | None:
    if Path(name).suffix.lower() != ".toml":
        return None
    return 'e.g. claim = [{layer = "sigmoid", quantity = "std_dx", value = "0.21175"}]'

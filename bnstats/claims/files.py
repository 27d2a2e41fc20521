"""Reading claims from TOML, JSON, CSV, and from dicts in Python files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnstats.claims.claim import Claim, ClaimSet
from bnstats.claims.fields import FieldError, claim_of, text_of
from bnstats.claims.places import Lines, Place, Span
from bnstats.claims.rows import ABOUT, rows_of
from bnstats.custom import load_trusted, load_typed
from bnstats.errors import BnstatsError, printable

_MAX_BYTES = 2_000_000
_MAX_SHOWN = 200
_MOST_ERRORS = 20  # that are told of a file


def read_claims_file(path: Path, quantity: str | None = None, part: str = "") -> ClaimSet:
    """Read a user's claims file; its suffix, .toml, .json, .csv or .py, determines the format.

    Parameters
    ----------
    path
        The file.
    quantity
        The quantity of the claims that name none. A dict, and a flat JSON object, are of values by
        layer and name none.
    part
        In a Python file, the name of the dict.

    Raises
    ------
    BnstatsError
        The file cannot be read or parsed, or claims in it are wrong; the message tells the line and
        the column of each.
    """
    shown = _shown(path)
    try:
        if path.exists() and not path.is_file():
            raise BnstatsError(f"cannot read {shown}: not a file")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise BnstatsError(f"no such file: {shown}", hint="bnstats list claims") from None
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        reason = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise BnstatsError(f"cannot read {shown}: {reason}") from None
    return _read(content, _File(shown, path, quantity, part))


def claim(fields: Mapping[str, Any]) -> Claim:
    """Return one claim from the fields that a file would hold; see `read_claims_file`.

    A program names the layer here, not a file, so a layer of the user's is imported.

    >>> claim({"layer": "swish", "quantity": "std_y", "value": "0.5"}).spec.text
    'silu'
    """
    return claim_of(fields, "", load_typed)


def read_claims(content: bytes, name: str) -> ClaimSet:
    """Parse the content of a claims file called ``name``; see `read_claims_file`.

    Errors name claims by their numbers.
    """
    return _read(content, _File(name))


@dataclass(frozen=True)
class _File:
    """A file that is read: its name for messages, its path if places are wanted, and how."""

    name: str
    path: Path | None = None
    quantity: str | None = None
    part: str = ""

    def place(self, lines: Lines, span: Span) -> Place | None:
        if self.path is None:
            return None
        line, column = lines.line_and_column(span[0])
        return Place(self.path, line, *span, column, self.part, self.quantity)


def _read(content: bytes, file: _File) -> ClaimSet:
    name = file.name
    if len(content) > _MAX_BYTES:
        raise BnstatsError(f"{name} is larger than {_MAX_BYTES // 10**6} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BnstatsError(f"{name} is not UTF-8 text") from None
    rows, about, spans, flat = rows_of(text, name, file.part, located=file.path is not None)
    if flat and file.quantity is None:
        raise BnstatsError(
            f"{name} holds values by layer, and does not say which quantity they are",
            hint="e.g. `quantity='gain_y'`",
        )
    stem = Path(name).stem
    claims, errors = list[Claim](), list[BnstatsError]()
    lines, seen = Lines(text), dict[tuple[Any, ...], int]()
    for number, row in enumerate(rows, start=1):
        own = spans[number - 1] if number <= len(spans) else {}
        try:
            found = claim_of(row, stem, load_trusted, file.quantity)
            found = replace(found, place=file.place(lines, own["value"]) if own else None)
            problem = found.inverse and (found.inverse.text, found.inverse.wanted)
            key = (found.spec.text, found.law, problem, found.quantity, found.source)
            first = seen.setdefault(key, number)
            if first != number:
                raise FieldError(
                    f"repeats claim {first}   ({found.spec.text}, {found.quantity})",
                    hint="keep one of them, or name the source of each",
                )
            claims.append(found)
        except FieldError as error:
            at = _where(file, lines, own, number, error.key)
            errors.append(
                BnstatsError(f"{at}: {error.message}", where=error.where, hint=error.hint)
            )
    if errors:
        raise _all_of(errors, name, len(rows))
    try:
        said = [printable(text_of(about.get(key, ""), key)) for key in ABOUT]
    except FieldError as error:
        raise BnstatsError(f"{name}: {error.message}") from None
    return ClaimSet(stem, tuple(claims), *said)


def _where(file: _File, lines: Lines, own: Mapping[str, Span], number: int, key: str) -> str:
    """Return where a field stands, or else its row."""
    if not own:
        return f"{file.name}, claim {number}"
    line, column = lines.line_and_column((own.get(key) or min(own.values()))[0])
    return f"{file.name}:{line}:{column}"


def _all_of(errors: list[BnstatsError], name: str, count: int) -> BnstatsError:
    """Return one error that tells of all."""
    if len(errors) == 1:
        return errors[0]
    lines = [e.message + (f"; {e.hint}" if e.hint else "") for e in errors[:_MOST_ERRORS]]
    if len(errors) > _MOST_ERRORS:
        lines.append(f"and {len(errors) - _MOST_ERRORS} more")
    return BnstatsError(
        f"{name}: {len(errors)} of {count} claims are wrong", where="\n".join(lines)
    )


def _shown(path: Path) -> str:
    text = str(path)  # a long path keeps its end, which has the suffix
    return printable(text if len(text) <= _MAX_SHOWN else f"…{text[1 - _MAX_SHOWN :]}", 4000)

"""Parsers of TOML and JSON for files that anybody may have written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

# tomllib takes time quadratic in the parts of a dotted key, and a hundred times a number's memory.
_MAX_PARTS, _MAX_BARE = 100, 10_000
_PART = r"""(?:"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?|[\w-]++)"""
_POSITION = re.compile(r" \(at line (\d+), column (\d+)\)$")  # tomllib says it in words
_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")


class ParsingError(ValueError):
    """Text that is none of its format, or that is made to hurt; the message is for people.

    Attributes
    ----------
    line, column
        Where it is wrong, from 1; None if that is not known.
    hint
        What to type instead, or None.
    """

    def __init__(
        self,
        message: str,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.line, self.column, self.hint = line, column, hint


def read_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Parse TOML.

    Raises
    ------
    ParsingError
        The text is no TOML, or would take hours or gigabytes.
    """
    if any(_is_bomb(found[0]) for found in _KEY.finditer(text)):
        raise ParsingError("too long a key or number")
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = _POSITION.search(message)
        line, column = (int(at[1]), int(at[2])) if at else (None, None)
        raise ParsingError(message[: at.start()] if at else message, line, column) from None
    except (RecursionError, ValueError):
        raise ParsingError("nested too deeply or too long") from None


def read_json(text: str, parse_number: Callable[[str], Any] | None = None) -> Any:
    """Parse JSON in which no object has a key twice; json would drop the first of them.

    Raises
    ------
    ParsingError
        The text is no such JSON.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=parse_number,
            parse_int=parse_number,
            parse_constant=parse_number or _no_number,
        )
    except json.JSONDecodeError as error:
        raise ParsingError(error.msg, error.lineno, error.colno) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, ParsingError):
            raise
        raise ParsingError("nested too deeply or too long") from None


def _no_number(name: str) -> Any:
    raise ParsingError(f"{name} is no number of JSON's")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ParsingError(f"'{key[:40]}' stands twice in one object")
        found[key] = value
    return found


def _is_bomb(token: str) -> bool:
    if len(token) > _MAX_BARE and token[0] not in "\"'":
        return True
    return len(re.findall(_PART, token)) > _MAX_PARTS

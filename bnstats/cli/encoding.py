"""Spelling what an encoding lacks: σ is sigma on a terminal of cp1252."""

from __future__ import annotations

import codecs
import re
import unicodedata

ERRORS = "bnstats.spelt"  # what streams are told to do with such characters

_SPELT = {
    "−": "-",
    "–": "-",
    "—": "-",
    "·": "*",
    "×": "x",
    "′": "'",
    "⋯": "...",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "±": "+/-",
    "→": "->",
    "√": "sqrt",
    "½": "1/2",
    "∞": "inf",
    "⌊": "floor(",
    "⌋": ")",
    "⌈": "ceil(",
    "⌉": ")",
}


def spelt(character: str) -> str:
    """Return a character in ASCII, a question mark if nothing says what it means.

    >>> [spelt(c) for c in "σΦ−²₁é漢"]
    ['sigma', 'Phi', '-', '^2', '1', 'e', '?']
    """
    if character.isascii():
        return character
    if character in _SPELT:
        return _SPELT[character]
    name = unicodedata.name(character, "")
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", name)
    if greek:
        return greek[2].lower() if greek[1] == "SMALL" else greek[2].capitalize()
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return f"^{plain}" if name.startswith("SUPERSCRIPT") and plain else plain or "?"


def fitted(text: str, encoding: str) -> str:
    """Return text that an encoding has; longer spellings take of the spaces that follow them."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "\n".join(_fitted_line(line, encoding) for line in text.split("\n"))
    except LookupError:
        pass
    return text


def _fitted_line(line: str, encoding: str) -> str:
    written, owed = "", 0
    for character in line:
        if character == " " and owed and written.endswith(" "):
            owed -= 1
            continue
        as_it_is = character.encode(encoding, "ignore")
        new = character if as_it_is else spelt(character)
        owed += len(new) - 1
        written += new
    return written


def _handler(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(spelt, error.object[error.start : error.end])), error.end


codecs.register_error(ERRORS, _handler)

"""What can go wrong through no fault of the code, and the exit code it earns."""

from __future__ import annotations

from collections.abc import Iterable


class BnstatsError(Exception):
    """A mistake in what was asked for: what, where, and what to do instead.

    Parameters
    ----------
    message
        One line that says what is wrong.
    where
        A line or two that show the place, e.g. the spec with a caret under it.
    hint
        What to type instead.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        # Which any traceback shows; the command line prints the same two itself.
        for note in (where, hint and f"hint: {hint}"):
            if note:
                self.add_note(note)


class ArgumentError(BnstatsError):
    """An argument outside its range, which the message names as Python spells it: max_time."""


class HostError(BnstatsError):
    """Something outside the request is in the way: a missing extra, a full disk."""

    exit_code = 4


def printable(text: str, limit: int = 200) -> str:
    """Return text that is safe on a terminal: control characters escaped, length bounded."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to a misspelt one, or None; case does not matter.

    Of known words that differ in case alone, the first counts.
    """
    import difflib  # most calls misspell nothing

    spelt: dict[str, str] = {}
    for name in known:
        spelt.setdefault(name.lower(), name)
    # difflib's cost grows with length; no name of ours is longer than this.
    near = difflib.get_close_matches(word[:80].lower(), spelt, n=1, cutoff=0.6)
    return spelt[near[0]] if near else None


def hint_for(word: str, known: Iterable[str], rest: str = "") -> str | None:
    """Return a hint: the known word that is nearest, if one is near, and what else helps."""
    near = suggestion(word, known)
    return "  ".join(filter(None, (near and f"did you mean '{near}'?", rest))) or None


def kind_of(thing: object) -> str:
    """Name an object's type with its article.

    >>> kind_of(3), kind_of([])
    ('an int', 'a list')
    """
    name = type(thing).__name__
    return f"an {name}" if name[0] in "aeio" else f"a {name}"

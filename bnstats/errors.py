"""Errors that are no bug of bnstats, with their exit codes, and helpers for their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class BnstatsError(Exception):
    """An error in what was asked for, with its place and a remedy.

    The command line prints it in up to three parts and exits with 2; a traceback shows ``where``
    and ``hint`` as notes.

    Parameters
    ----------
    message
        One line that says what is wrong.
    where
        A line or two that show the place, e.g. the spec with a caret under it.
    hint
        What to type instead.

    Attributes
    ----------
    exit_code
        The exit code of the command line.
    message, where, hint
        The parameters.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        # A traceback shows notes; the command line prints the same two by itself.
        for note in (where, hint and f"hint: {hint}"):
            if note:
                self.add_note(note)

    def lines(self) -> list[str]:
        """Return what a person is told: what is wrong, where, and a remedy."""
        lines = [f"error: {self.message}"]
        lines += [f"       {line}" for line in (self.where or "").split("\n") if line]
        lines += [f"hint:  {self.hint}"] if self.hint else []
        return [printable(line, 4000) for line in lines]  # they may hold what another has written


class ArgumentError(BnstatsError):
    """An argument outside its range, which the message names as Python spells it: max_time."""


class HostError(BnstatsError):
    """An obstacle outside the request, such as a missing extra or a full disk.

    The command line exits with 4.
    """

    exit_code = 4


def printable(text: str, limit: int = 200) -> str:
    """Return text that is safe on a terminal and in the log of a workflow.

    Control characters are escaped, those that reverse the direction of writing among them, and
    ``##[``, which GitHub Actions takes for a command wherever it stands in a line.

    Parameters
    ----------
    text
        Any text, which may come from a user or a file.
    limit
        The number of characters that are kept.
    """
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in short
    )
    return shown.replace("##[", "#\\x23[")


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, safe to print."""
    return printable(str(error).partition("\n")[0], 160)


def described(error: BaseException) -> str:
    """Return the type of an exception, and the first line of what it says."""
    return f"{type(error).__name__}: {first_line(error)}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def not_installed(who_needs: str, *packages: str, extra: str) -> HostError:
    """Return the error that says who needs packages that an extra of bnstats would install."""
    verb = "is" if len(packages) == 1 else "are"
    return HostError(
        f"{who_needs} {listed(packages)}, which {verb} not installed",
        hint=f"pip install 'bnstats[{extra}]'",
    )


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to a misspelt one, or None if none is near.

    Case does not matter; if known words differ in case alone, the first is returned.
    """
    import difflib  # rarely needed, and slow to import

    spelt: dict[str, str] = {}
    for name in known:
        spelt.setdefault(name.lower(), name)
    # The cost of difflib grows with the length, and no name of ours is longer than this.
    near = difflib.get_close_matches(word[:80].lower(), spelt, n=1, cutoff=0.6)
    return spelt[near[0]] if near else None


def hint_for(word: str, known: Iterable[str], rest: str = "") -> str | None:
    """Return a hint: the known word that is nearest, if one is near, and the rest."""
    near = suggestion(word, known)
    return "  ".join(filter(None, (near and f"did you mean '{near}'?", rest))) or None


def kind_of(thing: object) -> str:
    """Return the name of an object's type with its article.

    >>> kind_of(3), kind_of([])
    ('an int', 'a list')
    """
    name = type(thing).__name__
    return f"an {name}" if name[0] in "aeio" else f"a {name}"

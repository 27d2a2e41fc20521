"""The README and the manual: their terminal sessions, and how to print them anew.

    python tests/support/pages.py [PAGE...]

runs every session of the pages, by default of all, and writes down what it prints.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cli_support import spawn

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "bnstats" / "manual").glob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(
    r"^```(?:py|toml)\n# ([\w/]+\.(?:py|toml))\b[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_SESSION = re.compile(r"^\$ (bnstats .*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Session(NamedTuple):
    """A command of a console block, and what the page says that it prints."""

    page: str
    command: str
    printed: str


def sessions(text: str, page: str = "") -> Iterator[Session]:
    """Yield the sessions of a page."""
    for block in _BLOCK.findall(text):
        for command, printed in _SESSION.findall(block):
            yield Session(page, command, printed.rstrip("\n"))


def modules(text: str) -> dict[str, str]:
    """Return the files that sessions read: Python and TOML blocks that begin with ``# name.py``.

    The first line stays, so that lines are numbered as they are read.
    """
    return {m[1]: m[0].partition("\n")[2].removesuffix("```") for m in _MODULE.finditer(text)}


def every_session() -> list[Session]:
    return [s for page in PAGES for s in sessions(page.read_text("utf-8"), page.name)]


def write_modules(folder: Path) -> None:
    """Write the files that any page's sessions import."""
    for page in PAGES:
        for name, text in modules(page.read_text("utf-8")).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def printed_by(command: str, folder: Path) -> str:
    """Run a command in a folder and return what a terminal shows.

    It shows warnings and errors above the result, and its prompt after a blank line. How long a
    run takes depends on the machine, and is left out.
    """
    with tempfile.TemporaryDirectory() as cache:  # in which nothing was drawn before
        argv = shlex.split(command, comments=True)[1:]
        outcome = spawn(*argv, cwd=folder, XDG_CACHE_HOME=cache)
    assert "Traceback" not in outcome.err
    said = re.sub(r"^note: \S+ takes .*\n", "", outcome.err, flags=re.MULTILINE)
    return (said + outcome.out).rstrip("\n")


def rewritten(text: str, folder: Path) -> str:
    """Return a page whose sessions print what they print today."""

    def session(match: re.Match[str]) -> str:
        blank = "\n" * max(1, len(match[2]) - len(match[2].rstrip("\n")))
        return f"$ {match[1]}\n{printed_by(match[1], folder)}{blank}"

    return _BLOCK.sub(lambda block: _SESSION.sub(session, block[0]), text)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_modules(Path(folder))
        for page in map(Path, sys.argv[1:]) if sys.argv[1:] else PAGES:
            page.write_text(rewritten(page.read_text("utf-8"), Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()

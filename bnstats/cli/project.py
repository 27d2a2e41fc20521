"""The project's settings: the table [tool.bnstats] of the nearest pyproject.toml that has one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bnstats.claims.parsing import read_toml
from bnstats.cli.options import Fraction, sample_count, seed_number
from bnstats.documents.read import RESULTS
from bnstats.errors import BnstatsError, hint_for, printable
from bnstats.sampling.files import seen_from_here

_TYPES: Mapping[str, Callable[[str], Any]] = {  # of the options, by name
    "samples": sample_count,
    "seed": seed_number,
    "family-error": Fraction(),
    "quantity": str,
}
_LISTS = {"claims": ("files", '["constants.toml"]'), "import": ("modules", '["mypkg.acts"]')}
_MAX_BYTES = 2_000_000
_KEYS = (*_LISTS, *_TYPES)


@dataclass(frozen=True)
class Project:
    """The settings of a project.

    Attributes
    ----------
    claims
        The files, as seen from the working directory, and the names of claim sets that ``bnstats
        verify`` checks by default.
    options
        Default values of options, by the names of the command's parameters.
    imports
        The project's own layers and modules that its files may name.
    directory
        The directory of pyproject.toml.
    """

    claims: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    directory: Path = Path()

    @property
    def trusted_imports(self) -> tuple[str, ...]:
        """Those that may be imported: as git does, nothing is run in another user's repository.

        The folder of pyproject.toml, the file itself, and the repository's root and its .git must
        belong to who runs bnstats, to the user behind a sudo, or to root, whom nobody is safe from.

        Raises
        ------
        BnstatsError
            They belong to someone else.
        """
        if not self.imports:
            return ()
        root = _searched(self.directory)[-1]
        for place in (self.directory, self.directory / "pyproject.toml", root, root / ".git"):
            if place.exists() and not _is_owned(place):
                name = printable(self.imports[0])
                raise BnstatsError(
                    f"{_shown(place)} belongs to another user: nothing of [tool.bnstats] import "
                    "is run",
                    hint=f"if you trust it: bnstats verify --import {name} …",
                )
        return self.imports

    def is_meant(self, names: Iterable[str]) -> bool:
        """Whether a file of the project's is among those verified, and may need its layers."""
        files = {Path(name).resolve() for name in (*self.claims, RESULTS) if _is_file(name)}
        return any(_is_file(name) and Path(name).resolve() in files for name in names)


def project() -> Project:
    """Read the nearest pyproject.toml with a [tool.bnstats], upwards from the working directory.

    Raises
    ------
    BnstatsError
        A pyproject.toml on the way cannot be read, or holds a value that no option accepts.
    """
    for directory in _searched(Path.cwd()):
        path = directory / "pyproject.toml"
        if path.is_file():
            table = _table(path)
            if table is not None:
                return _project(path, table)
    return Project()


def _searched(here: Path) -> list[Path]:
    """Return the folders from here to the root of the repository; outside of one, this one alone.

    Whoever may write to a folder above, such as /tmp, would otherwise have us import code.
    """
    upwards = [here, *here.parents]
    roots = [at for at, folder in enumerate(upwards) if (folder / ".git").exists()]
    return upwards[: roots[0] + 1 if roots else 1]


def _is_owned(place: Path) -> bool:
    """Whether a place belongs to who runs this; always so where the system knows no owners."""
    if not hasattr(os, "geteuid"):
        return True
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(os.environ["SUDO_UID"]))
    return place.stat().st_uid in trusted


def _table(path: Path) -> Any:
    try:
        document = _read(path)
    except OSError as error:
        raise BnstatsError(f"cannot read {_shown(path)}: {error.strerror}") from None
    except ValueError as error:  # not text, or not TOML
        raise BnstatsError(f"{_shown(path)} cannot be parsed: {printable(str(error))}") from None
    tools = document.get("tool")
    return tools.get("bnstats") if isinstance(tools, dict) else None


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES // 10**6} MB")
    return read_toml(content.decode())


def _project(path: Path, table: Any) -> Project:
    at = f"{_shown(path)}, [tool.bnstats]"
    if not isinstance(table, dict):
        raise BnstatsError(f"{at} is not a table")
    for key in table:
        if key not in _KEYS:
            raise BnstatsError(
                f"{at}: unknown key '{printable(key, 40)}'",
                hint=hint_for(key, _KEYS, f"keys: {', '.join(_KEYS)}"),
            )
    lists = {key: table.get(key, []) for key in _LISTS}
    for key, (what, example) in _LISTS.items():
        found = lists[key]
        if not isinstance(found, list) or not all(isinstance(c, str) and c for c in found):
            raise BnstatsError(f"{at}: {key} is not a list of {what}", hint=f"{key} = {example}")
    options = {
        key.replace("-", "_"): _option(key, value, at)
        for key, value in table.items()
        if key not in _LISTS
    }
    claims = tuple(_from_here(c, path.parent) for c in lists["claims"])
    return Project(claims, options, tuple(lists["import"]), path.parent)


def _option(key: str, value: Any, at: str) -> Any:
    """Return the value as the option of the command line would read it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BnstatsError(f"{at}: {key} is neither a number nor text")
    try:
        return _TYPES[key](str(value))
    except click.BadParameter as error:
        raise BnstatsError(f"{at}: {key}: {error.message}") from None


def _from_here(claims: str, directory: Path) -> str:
    """Return a file as seen from the working directory, or the name of a claim set unchanged."""
    return seen_from_here(directory / claims) if _is_file(claims) else claims


def _is_file(name: str) -> bool:
    path = Path(name)
    return bool(path.suffix) or len(path.parts) > 1 or name == RESULTS


def _shown(path: Path) -> str:
    return printable(seen_from_here(path))

"""Naming files, and writing them whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from bnstats.errors import BnstatsError, HostError, printable


def seen_from_here(path: Path) -> str:
    """Return a path relative to the working directory, or as it is from another drive."""
    try:
        return os.path.relpath(path)
    except ValueError:
        return str(path)


def check_writable(path: Path) -> None:
    """Raise BnstatsError now if a file could not be written later, after hours of sampling."""
    shown = printable(str(path))
    try:
        str(path).encode()
        if _is_directory(path):
            raise BnstatsError(f"cannot write {shown}: it is a directory")
        if not _is_directory(path.parent):
            parent = printable(str(path.parent))
            raise BnstatsError(f"cannot write {shown}: no such directory: {parent}")
    except OSError as error:  # too long, say
        raise _cannot_write(path, error) from None
    except ValueError:  # a NUL, or not text
        raise BnstatsError(f"cannot write {shown}: no file has such a name") from None
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise BnstatsError(f"cannot write {shown}: permission denied")


def check_directory(path: Path) -> None:
    """Raise BnstatsError unless a directory is there."""
    shown = printable(str(path))
    try:
        found = _is_directory(path)
    except (OSError, ValueError):
        raise BnstatsError(f"no directory has such a name: {shown}") from None
    if not found:
        raise BnstatsError(f"no directory {shown} here", hint=f"mkdir {shown}, or --out DIR")


def _is_directory(path: Path) -> bool:
    """Return what Path.is_dir does, but raise OSError or ValueError for an impossible path."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def write_atomically(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it, so that half a file never exists.

    Line ends are not translated, and a file that is replaced keeps its permissions.

    Raises
    ------
    BnstatsError
        The path cannot be written; `HostError` where the disk is full.
    """
    import tempfile  # slow to import, and most runs write no file

    check_writable(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            newline="",
            dir=path.parent,
            prefix=f".{path.name}.",
            delete=False,
        ) as file:
            temporary = Path(file.name)
            file.write(text)
        temporary.chmod(_permissions(path))
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> BnstatsError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    kind = HostError if full else BnstatsError
    return kind(f"cannot write {printable(str(path))}: {error.strerror}")


def _permissions(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o7777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask

"""Naming files, and writing files and folders whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bnstats.errors import BnstatsError, HostError, printable
from bnstats.version import __version__

_MANIFEST = "manifest.json"  # in a folder of ours: the files that are ours


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
        folder = path.resolve().parent
        if not path.exists() and not _is_directory(folder):
            parent = printable(str(folder if path.is_symlink() else path.parent))
            raise BnstatsError(f"cannot write {shown}: no such directory: {parent}")
        needed = (path, folder) if _twin_of(path) else (path,)
        refused = any(p.exists() and not os.access(p, os.W_OK) for p in needed)
    except (OSError, RuntimeError) as error:  # too long, say, or a link to itself
        raise _cannot_write(path, error) from None
    except ValueError:  # a NUL, or not text
        raise BnstatsError(f"cannot write {shown}: no file has such a name") from None
    if refused:
        raise BnstatsError(f"cannot write {shown}: permission denied")


def make_directory(path: Path) -> None:
    """Make a directory, and those that it is in, unless it is there; BnstatsError if it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no directory has such a name"
        raise BnstatsError(f"cannot make the directory {printable(str(path))}: {why}") from None


def _is_directory(path: Path) -> bool:
    """Return what Path.is_dir does, but raise OSError or ValueError for an impossible path."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write one file as `write_together` does."""
    write_together({path: content})


def write_together(contents: Mapping[Path, str | bytes]) -> None:
    """Write files whole or not at all: none is replaced before all are on the disk.

    Line ends are written as they are. A link is written through, and a file that is replaced keeps
    its owner and its permissions. What a rename would change otherwise, a device, a pipe, a file of
    several names or of another owner, is written in place.

    Raises
    ------
    BnstatsError
        A path cannot be written; `HostError` where the disk is full.
    """
    texts = {p: c.encode() if isinstance(c, str) else c for p, c in contents.items()}
    for path in texts:
        check_writable(path)
    twins: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            twin = _twin_of(path)
            if twin is not None:
                twins[path] = twin
                with _blamed(path):
                    _write_twin(twin, path, text)
        with _alone(twins):
            for path, twin in twins.items():
                with _blamed(path):
                    twin.replace(path.resolve())
    finally:  # a signal, too, leaves none behind
        for twin in twins.values():
            twin.unlink(missing_ok=True)
    for path in texts.keys() - twins.keys():
        with _blamed(path), path.open("wb") as file:
            file.write(texts[path])


def check_folder(folder: Path) -> None:
    """Raise BnstatsError now if `write_folder` could not write later, or would delete files.

    Those of its own it replaces. The directories that the folder is in are made.
    """
    shown = printable(str(folder))
    make_directory(folder.parent)
    with _blamed(folder):
        target = folder.resolve()
        if target.exists() and not target.is_dir():
            raise BnstatsError(f"cannot write {shown}: it is no directory")
        strangers = sorted(_files_in(target) - _ours_in(target))
        refused = not os.access(target.parent, os.W_OK)
    if strangers:
        raise BnstatsError(
            f"{shown} holds {printable(strangers[0])}, which bnstats has not written there",
            hint="name a new or an empty directory",
        )
    if refused:
        raise BnstatsError(f"cannot write {shown}: permission denied")


def write_folder(folder: Path, contents: Mapping[str, str]) -> None:
    """Write a folder of texts whole or not at all, in place of one that was written so before.

    Parameters
    ----------
    folder
        It may be missing, empty, or one of ours: nobody else's files are deleted.
    contents
        The texts by their path in the folder, with ``/`` between its parts; a list of these files
        is written beside them.

    Raises
    ------
    BnstatsError
        The folder cannot be written, or holds other files; `HostError` where the disk is full.
    """
    check_folder(folder)
    import shutil  # slow for what writes no folder

    listed = {"generator": f"bnstats {__version__}", "files": sorted(contents)}
    texts = {**contents, _MANIFEST: json.dumps(listed, indent=1) + "\n"}
    target = folder.resolve()
    new, old = _new_name(target), _new_name(target)
    try:
        with _blamed(folder):
            for name, text in texts.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_text(text, encoding="utf-8", newline="\n")
            _swap(new, target, old)
    finally:  # a signal, too, leaves none behind
        for path in (new, old):
            shutil.rmtree(path, ignore_errors=True)


def _swap(new: Path, target: Path, old: Path) -> None:
    """Put a new folder in the place of the one that is there, which keeps it if that fails."""
    import shutil

    try:
        if target.exists():
            shutil.copymode(target, new)
            target.rename(old)
        new.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise


def _files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def _ours_in(folder: Path) -> set[str]:
    try:
        listed = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        ours = set(listed["files"]) if listed["generator"].startswith("bnstats ") else set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()  # none of ours
    return {_MANIFEST, *ours}


def _twin_of(path: Path) -> Path | None:
    """Return a temporary name beside a file, or None where a rename cannot stand for writing."""
    with suppress(FileNotFoundError):
        now = path.stat()
        if not stat.S_ISREG(now.st_mode) or now.st_nlink > 1 or not _is_ours(now):
            return None
    return _new_name(path.resolve())


def _new_name(path: Path) -> Path:
    return path.with_name(f".bnstats-{os.urandom(8).hex()}")  # short, however long the name is


def _is_ours(file: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or os.geteuid() in (0, file.st_uid)


def _write_twin(twin: Path, path: Path, content: bytes) -> None:
    with open(os.open(twin, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
                raise
    mode = _permissions(path)
    if path.exists() and hasattr(os, "chown"):
        now = path.stat()
        with suppress(PermissionError):  # of a group that is not ours
            os.chown(twin, now.st_uid, now.st_gid)
    twin.chmod(mode)  # after chown, which takes bits away


@contextmanager
def _alone(paths: Iterable[Path]) -> Iterator[None]:
    """Keep other runs from replacing files in the same folders, so that two do not mix."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with ExitStack() as held:
        for folder in sorted({path.resolve().parent for path in paths}):
            with suppress(OSError):  # a file system without locks
                lock = os.open(folder, os.O_RDONLY)
                held.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # the latter of a link to itself
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError | RuntimeError) -> BnstatsError:
    number = error.errno if isinstance(error, OSError) else errno.ELOOP
    kind = HostError if number in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else BnstatsError
    return kind(f"cannot write {printable(str(path))}: {os.strerror(number or errno.EIO)}")


def _permissions(path: Path) -> int:
    if path.exists():
        return path.stat().st_mode & 0o7777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask

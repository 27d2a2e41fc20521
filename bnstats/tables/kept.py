"""Rows of a table under way, kept in a side file so that a run that is killed loses at most one.

The file holds one JSON document a line, each under the key of the run that drew it, and is only
ever appended to: a torn line, or one of another run, is passed over.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bnstats.documents.files import append_line, read_lines

_PACKAGE = Path(__file__).parents[1]


class KeptRows:
    """The documents of single rows that a run with the same settings has already drawn.

    Parameters
    ----------
    path
        The side file; need not exist.
    settings
        Whatever the rows depend on besides the program and the machine, e.g. draws and seed.

    Attributes
    ----------
    found
        Rows by their layer's spec, as they were when the file was read.

    Raises
    ------
    BnstatsError
        The file is there and cannot be read.
    """

    def __init__(self, path: Path, settings: Sequence[object]) -> None:
        self._path = path
        self._key = _digest(json.dumps([*map(str, settings), *_circumstances()]).encode())
        self.found = dict(_entries(path, self._key))

    def add(self, spec: str, row: Mapping[str, Any]) -> None:
        """Append a row, whole or, if the process dies meanwhile, torn.

        Raises
        ------
        BnstatsError
            The file cannot be written; `HostError` where the disk is full.
        """
        entry = {"key": self._key, "layer": spec, "document": row}
        append_line(self._path, json.dumps(entry, ensure_ascii=False, allow_nan=False))


def _entries(path: Path, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in read_lines(path):
        try:
            entry = json.loads(line)
            if entry["key"] == key:
                yield entry["layer"], entry["document"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # torn, or not ours


def _circumstances() -> Iterator[str]:
    """Yield everything that fixes a row's digits, its settings apart."""
    from numpy.lib.introspect import opt_func_info

    yield from (version("numpy"), version("scipy"), platform.python_version(), platform.platform())
    # numpy picks its loops by the processor's vector instructions, and the last bits differ.
    yield json.dumps(opt_func_info(func_name="^(exp|log|tanh)$"), sort_keys=True)
    # The sources rather than the version: a formula may change between two commits.
    for file in sorted((*_PACKAGE.rglob("*.py"), *_PACKAGE.rglob("*.toml"))):
        yield f"{file.relative_to(_PACKAGE)} {_digest(file.read_bytes())}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""The way to a dask cluster: an address, a scheduler file, a client that exists, or a local one."""

from __future__ import annotations

import atexit
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnstats.errors import BnstatsError, HostError, first_line, kind_of, not_installed, printable

_TIMEOUT = 10  # seconds that a scheduler has to answer

_open: dict[str, Any] = {}  # clients by what they were asked for; they serve all later runs
_processes: list[Any] = []


def connected(where: Any) -> Any:
    """Return the client of a cluster.

    Parameters
    ----------
    where
        ``"tcp://host:port"``, the path of a scheduler file, ``"local"``, ``"local:4"``, or a
        synchronous ``distributed.Client``.

    Raises
    ------
    HostError
        dask is not installed, or no scheduler answers.
    BnstatsError
        What is given names no cluster.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise not_installed("a cluster needs", "dask's distributed", extra="dask") from error
    if isinstance(where, Client):
        if where.asynchronous:
            raise BnstatsError("cluster is an asynchronous client", hint="distributed.Client(…)")
        return where
    if not isinstance(where, str | os.PathLike):
        raise BnstatsError(
            f"cluster is {kind_of(where)}, not an address, a scheduler file or a client",
            hint='cluster="tcp://127.0.0.1:8786", or cluster="local"',
        )
    name = os.fspath(where)
    known = _open.get(name)
    if known is not None and known.status == "running":
        return known
    if not _open:
        atexit.register(close)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we tell what is lost
    options: dict[str, Any] = {"timeout": _TIMEOUT, "set_as_default": False, "name": "bnstats"}
    try:
        if name == "local" or name.startswith("local:"):
            options["address"] = _local(name)
        elif Path(name).is_file():
            options["scheduler_file"] = name
        elif "://" in name:
            options["address"] = name
        else:
            raise BnstatsError(
                f"cluster {printable(name, 120)} is neither an address nor a file",
                hint="tcp://HOST:PORT, a scheduler file, local or local:4",
            )
        _open[name] = Client(**options)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, KeyError, TimeoutError, ImportError) as error:
        raise HostError(
            f"no scheduler of dask answers at {printable(name, 120)}: {first_line(error)}",
            hint="dask scheduler starts one",
        ) from error
    return _open[name]


def _local(name: str) -> str:
    from bnstats.sampling.local_cluster import started

    count = name.partition(":")[2] or str(os.cpu_count() or 1)
    if not count.isdecimal() or not int(count):
        raise BnstatsError(f"cluster {printable(name, 60)} is not local or local:4")
    process, address = started(int(count))
    _processes.append(process)
    return address


def close() -> None:
    """Leave all clusters that were asked for, and end the local ones."""
    for client in _open.values():
        with suppress(Exception):
            client.close(timeout=1)
    for process in _processes:
        process.kill()  # its workers follow
        process.communicate()
    _open.clear()
    _processes.clear()

"""A dask cluster of this machine, in a process of its own that ends with the one that began it.

It stands apart from its parent, so that neither Ctrl-C nor a script without a guard reaches it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

from bnstats.errors import HostError

_KILLED_IS_NOT_TO_BLAME = 1000  # a task that was on so many lost workers is drawn nevertheless


def started(workers: int) -> tuple[subprocess.Popen[str], str]:
    """Start a scheduler and workers; return their process and the scheduler's address.

    Raises
    ------
    HostError
        They do not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    if not address:
        process.kill()
        process.wait()
        raise HostError("no local cluster could be started", hint="`workers=2` needs no cluster")
    return process, address


def _serve(workers: int) -> None:
    import dask
    from distributed import LocalCluster

    dask.config.set({"distributed.scheduler.allowed-failures": _KILLED_IS_NOT_TO_BLAME})
    cluster: Any = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=None,
        memory_limit=None,
        silence_logs=logging.CRITICAL,
    )
    sys.stdout.write(f"{cluster.scheduler_address}\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the parent is gone
    cluster.close(timeout=2)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

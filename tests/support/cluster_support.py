"""A dask scheduler and workers as processes of their own, to be killed one by one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cli_support import ROOT, environment


class Processes:
    """A scheduler with workers of one thread each, without nannies: who is killed stays away.

    Parameters
    ----------
    folder
        Where the scheduler file is written.
    workers
        How many to begin with.
    scheduler_prefix, worker_prefix
        What is put before the commands, e.g. ``ip netns exec NAME``.
    host
        Address at which the scheduler listens.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        *,
        scheduler_prefix: Sequence[str] = (),
        worker_prefix: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self.file = folder / f"scheduler-{os.urandom(4).hex()}.json"
        self._prefix = tuple(worker_prefix)
        self.workers: list[subprocess.Popen[bytes]] = []
        argv = ["dask_scheduler", "--host", host, "--port", "0", "--no-dashboard"]
        self.scheduler = _process([*scheduler_prefix], argv, self.file, environment())
        deadline = time.monotonic() + 60
        while not self._is_written():
            assert time.monotonic() < deadline, "no scheduler"
            assert self.scheduler.poll() is None, "the scheduler ended"
            time.sleep(0.05)
        self.address: str = json.loads(self.file.read_text())["address"]
        for _ in range(workers):
            self.add_worker()

    def _is_written(self) -> bool:
        with suppress(OSError, ValueError):
            return bool(json.loads(self.file.read_text())["address"])
        return False

    def add_worker(self, root: str = ROOT) -> subprocess.Popen[bytes]:
        """Start a worker, with the bnstats that lies in a directory."""
        argv = ["dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        argv += ["--memory-limit", "0", "--local-directory", str(self.file.parent)]
        worker = _process(self._prefix, argv, self.file, environment(PYTHONPATH=root))
        self.workers.append(worker)
        return worker

    def await_workers(self, count: int) -> None:
        """Wait until the scheduler knows so many workers."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=120)

    def close(self) -> None:
        """End all of them."""
        for process in (*self.workers, self.scheduler):
            kill(process)


def _process(
    prefix: Sequence[str], argv: list[str], file: Path, env: dict[str, str]
) -> subprocess.Popen[bytes]:
    module, *rest = argv
    return subprocess.Popen(
        [
            *(*prefix, sys.executable, "-m", f"distributed.cli.{module}"),
            *("--scheduler-file", file, *rest),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=file.parent,  # else bnstats would come from here, whatever the path says
        env=env | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def kill(process: Any) -> None:
    """Kill a process with 9, and wait for its end."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait(60)

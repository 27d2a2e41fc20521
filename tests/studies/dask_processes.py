"""Schedulers and workers of dask, forked in milliseconds from a process that has imported all."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["distributed", "bnstats.sampling.cluster_worker", "bnstats.sampling.run", "scipy.special"]
)


def started(target: Callable[..., None], *arguments: Any) -> Any:
    """Start a function in a process of its own, which no Ctrl-C reaches."""
    process = _CONTEXT.Process(target=_apart, args=(target, *arguments), daemon=True)
    process.start()
    return process


def _apart(target: Callable[..., None], *arguments: Any) -> None:
    os.setsid()
    with suppress(KeyboardInterrupt):
        target(*arguments)


def killed(process: Any) -> None:
    """Kill a process with 9, and wait for its end."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join()


class Cluster:
    """A scheduler, and workers of one thread each that nobody restarts."""

    def __init__(self, workers: int) -> None:
        ours, theirs = _CONTEXT.Pipe()
        self.scheduler = started(_schedule, theirs)
        assert ours.poll(120), "no scheduler"
        self.address: str = ours.recv()
        self.workers: list[Any] = []
        for _ in range(workers):
            self.add()

    def add(self, workers: int = 1) -> None:
        """Start a process with so many workers."""
        self.workers.append(started(_work, self.address, workers))

    def close(self) -> None:
        """End all of them."""
        for process in (*self.workers, self.scheduler):
            killed(process)


def _schedule(pipe: Any) -> None:
    import logging

    from distributed import Scheduler

    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    async def serve() -> None:
        options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "dashboard_address": ":0"}
        async with Scheduler(**options, dashboard=False) as scheduler:
            pipe.send(scheduler.address)
            await scheduler.finished()

    asyncio.run(serve())


def _work(address: str, count: int) -> None:
    import logging

    from distributed import Worker

    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(
                    Worker(address, nthreads=1, memory_limit=None, dashboard=False)
                )
                for _ in range(count)
            ]
            await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(serve())

"""The workers of a cluster: who is there, whether they may draw, and when all are lost."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future as Handle
from contextlib import contextmanager
from typing import Any, NoReturn

from bnstats.errors import BnstatsError, HostError, printable
from bnstats.sampling.cluster_worker import Task, about
from bnstats.sampling.versions import versions
from bnstats.sampling.watch import Watch

PATIENCE = 30.0  # seconds without a single worker, at the beginning or later
POLL = 0.1  # seconds between two questions whether to stop
_COUNT_EVERY = 2.0  # seconds between two counts of the workers


class Muster:
    """The workers that a scheduler has, asked for without ever waiting for an answer that is lost.

    Parameters
    ----------
    client
        A client of dask.
    where
        What a user has called the cluster.
    watch
        Asked whether to stop, and told who is left out.

    Attributes
    ----------
    threads
        How many spans the workers draw at once.
    only
        Addresses of those that may draw; None if all may.
    """

    def __init__(self, client: Any, where: Any, watch: Watch) -> None:
        self._client, self._where, self._watch = client, where, watch
        self.only: list[str] | None = None
        self._count: Handle[Any] | None = None

    def begin(self, task: Task) -> list[dict[str, Any]]:
        """Wait for the first worker, and return what all workers say of themselves.

        Raises
        ------
        HostError
            No worker comes, or one has other versions than this process.
        """
        fit: dict[str, Any] = {}
        while not fit:
            self.threads = self._awaited()
            fit, bad = self._examined(task)
            if bad:
                raise _refused(bad)
        self._counted = self._peopled = time.monotonic()
        return [*fit.values()]

    def leave_out(self, task: Task) -> None:
        """Give no more work to workers that have come since and have other versions."""
        fit, bad = self._examined(task)
        self.only = [*fit] if bad else None
        if bad:
            self._watch.note(f"{_refused(bad)}: it draws nothing")
            if not fit:
                raise _refused(bad)

    def look_after(self) -> None:
        """Count the workers from time to time.

        Raises
        ------
        HostError
            The scheduler is gone, or all workers are, for longer than they need to come back.
        """
        if self._client.status != "running":
            self._lose()
        now = time.monotonic()
        if self._count is not None and self._count.done():
            try:
                threads = sum(self._count.result().values())
            except Exception:
                self._lose()
            self._count, self._counted = None, now
            if threads:
                self.threads, self._peopled = threads, now
            elif now - self._peopled > PATIENCE:
                raise HostError(
                    f"all workers of {self._shown} are lost", hint="what was drawn so far is kept"
                )
        every = min(_COUNT_EVERY, PATIENCE / 4)
        if self._count is None and now - self._counted > every:
            self._count = self.begun(self._client.nthreads)

    def begun(self, ask: Any, *arguments: Any, **options: Any) -> Handle[Any]:
        """Ask the scheduler something, in the client's own thread, so that nothing here hangs."""

        async def answer() -> Any:
            return await asyncio.wait_for(ask(*arguments, **options), PATIENCE)

        return asyncio.run_coroutine_threadsafe(answer(), self._client.loop.asyncio_loop)

    @contextmanager
    def blamed(self) -> Any:
        """Turn what a closed connection raises into the error that says so."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            self._lose(error)

    def _answer(self, ask: Any, *arguments: Any, **options: Any) -> Any:
        with self.blamed():
            return self.begun(ask, *arguments, **options).result(PATIENCE + 5)

    def _awaited(self) -> int:
        """Wait for the first worker, and return how many threads the workers have."""
        deadline = time.monotonic() + PATIENCE
        while not (threads := sum(self._answer(self._client.nthreads).values())):
            if self._watch.stopping():
                raise HostError(f"stopped before a worker came to {self._shown}")
            if time.monotonic() > deadline:
                raise HostError(
                    f"no worker has come to {self._shown} within {PATIENCE:g} s",
                    hint="dask worker SCHEDULER",
                )
            time.sleep(POLL)
        return int(threads)

    def _examined(self, task: Task) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what each worker that may draw says of itself, and why others cannot."""
        here, fit, bad = versions(), {}, {}
        told = self._answer(self._client.run, about, task, on_error="return")
        for worker, facts in told.items():
            if isinstance(facts, BnstatsError) and not isinstance(facts, HostError):
                raise facts
            if isinstance(facts, OSError):
                continue  # it was lost while it was asked
            if isinstance(facts, BaseException):
                why = printable(f"{type(facts).__name__}: {facts}".partition("\n")[0], 120)
                bad[worker] = f"cannot draw: {why}"
                continue
            theirs = facts["versions"]
            name = next((n for n in here if theirs.get(n) != here[n]), None)
            if name is not None:
                bad[worker] = f"has {name} {theirs.get(name)}, not {here[name]}"
            elif facts["source"] != task.source:
                bad[worker] = f"has another source of {task.layer}"
            else:
                fit[worker] = facts
        return fit, bad

    @property
    def _shown(self) -> str:
        scheduler = getattr(self._client, "scheduler", None)
        return printable(str(getattr(scheduler, "address", None) or self._where))

    def _lose(self, error: BaseException | None = None) -> NoReturn:
        hint = "`checkpoint` keeps what is drawn"
        lost = HostError(f"the scheduler of {printable(str(self._where))} is lost", hint=hint)
        raise lost from error


def _refused(bad: dict[str, str]) -> HostError:
    worker, why = next(iter(bad.items()))
    more = f" (and {len(bad) - 1} more workers)" if len(bad) > 1 else ""
    said = f"worker {printable(worker)} {why}{more}"
    return HostError(said, hint="the same versions everywhere")

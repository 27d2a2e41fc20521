"""Networks as a task for the workers of a cluster."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from bnstats.networks.reduce import Tally
from bnstats.networks.running import Task, span_tally
from bnstats.sampling.cluster_worker import modules_of
from bnstats.sampling.layout import Layout, Span
from bnstats.sampling.versions import versions


@dataclass(frozen=True)
class NetworkTask:
    """Draws of networks of one kind.

    Attributes
    ----------
    layer
        What is drawn, as a person knows it.
    task
        Draws it.
    modules
        Those that make the user's layers known.
    source
        Digest of the user's sources.
    versions
        What draws where the run was begun.
    layout
        How the run is cut; None as long as workers are only asked.
    """

    layer: str
    task: Task
    modules: tuple[str, ...]
    source: str | None
    versions: tuple[tuple[str, str], ...]
    layout: Layout | None = None

    def cut(self, layout: Layout) -> NetworkTask:
        """Return the task with how the run is cut."""
        return replace(self, layout=layout)

    def facts(self) -> dict[str, Any]:
        """Return what this worker is for the task."""
        self._import()
        return {"source": self.task.source}

    def drawn(self, span: Span) -> Tally:
        """Draw the networks of a span."""
        self._import()
        assert self.layout is not None
        return span_tally(self.task, self.layout, span)

    def packed(self, tally: Tally) -> bytes:
        """Return a tally as bytes."""
        return pickle.dumps(tally)

    def unpacked(self, numbers: bytes) -> Tally:
        """Return the tally that `packed` was given; what is read is from our own workers."""
        return pickle.loads(numbers)  # type: ignore[no-any-return]

    def _import(self) -> None:
        for module in self.modules:
            import_module(module)


def task_for(task: Task) -> NetworkTask:
    """Return the task of a run.

    Raises
    ------
    BnstatsError
        A layer, or what makes the models, is something that no other process can import.
    """
    modules = modules_of(spec.layer for spec in task.subject.specs)
    here = tuple(versions().items())
    return NetworkTask(task.subject.name, task, modules, task.source, here)

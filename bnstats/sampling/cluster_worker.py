"""What a worker of a cluster does: it says what it is, and draws spans."""

from __future__ import annotations

import inspect
import threading
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from bnstats.backends import chosen, load
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import LAYERS
from bnstats.sampling.allocator import keep_freed_memory
from bnstats.sampling.counter.devices import Lanes, accelerated, lanes_layout, lanes_on
from bnstats.sampling.layout import Layout, Span, Tree
from bnstats.sampling.run import span_tally
from bnstats.sampling.settings import Sampling
from bnstats.sampling.versions import arithmetic, versions
from bnstats.sampling.watch import Watch
from bnstats.specs.sources import source_digest
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.moments import Tally

_lanes_lock = threading.Lock()  # a worker may have several threads


class RefusedError(HostError):
    """A worker has other versions than whoever asks."""


@dataclass(frozen=True)
class Task:
    """What is drawn: all that a worker needs to know besides a span.

    Attributes
    ----------
    layer, module
        Canonical spec; and of a layer of the user's the module that makes it known, or none.
    sampling, pivot, layout
        How it is drawn, and cut; the layout is None as long as workers are only asked.
    source
        Digest of a user's source.
    versions
        What draws where the run was begun.
    """

    layer: str
    module: str
    sampling: Sampling
    pivot: float
    source: str | None
    versions: tuple[tuple[str, str], ...]
    layout: Layout | None = None


def task_for(spec: Spec, sampling: Sampling, pivot: float) -> Task:
    """Return the task of a run.

    Raises
    ------
    BnstatsError
        The layer is a function that no other process can import.
    """
    module = ""
    if spec.layer.name not in LAYERS:
        found = inspect.unwrap(spec.layer.bind)
        module = getattr(found, "__module__", "") or ""
        if module == "__main__":
            raise BnstatsError(
                f"{spec.layer.name} is defined in a script, which no worker can import",
                hint="define it in a module of its own",
            )
    own = replace(sampling, cluster=None, checkpoint=None, workers=1, samples=None, precision=None)
    own = replace(own, max_time=None)
    return Task(spec.text, module, own, pivot, source_digest(spec.layer), tuple(versions().items()))


def about(task: Task) -> dict[str, Any]:
    """Return what this worker is: its versions, its arithmetic, its device and the leaf for it."""
    facts: dict[str, Any] = {"versions": versions(), "arithmetic": arithmetic(), "source": None}
    facts["device"] = "cpu"
    if dict(task.versions) != versions():
        return facts
    spec = _spec(task)
    facts["source"] = source_digest(spec.layer)
    if task.sampling.backend != "numpy":
        lanes, facts["device"] = _lanes(replace(task, layout=None))
        facts["leaf"] = lanes_layout(lanes, 1).leaf
    return facts


def draw(task: Task, span: Span) -> tuple[Tally, float]:
    """Return the moments of a span, and how many seconds they took."""
    if dict(task.versions) != versions():
        raise RefusedError("this worker has other versions")
    assert task.layout is not None
    keep_freed_memory()
    begin = time.perf_counter()
    span = Span(*span)
    if task.sampling.backend != "numpy":
        tree = Tree()
        with _lanes_lock:
            lanes, _ = _lanes(replace(task, layout=None))
            for leaf, tally in accelerated(lanes, task.layout, iter([span]), Watch()):
                tree.push(leaf, tally)
        return tree.total(), time.perf_counter() - begin
    tally = span_tally(_spec(task), task.sampling, task.pivot, task.layout, span)
    return tally, time.perf_counter() - begin


def _spec(task: Task) -> Spec:
    return _parsed(task.layer, task.module, task.sampling)


@lru_cache(maxsize=8)
def _parsed(layer: str, module: str, sampling: Sampling) -> Spec:
    if module:
        import_module(module)  # which may register the layer
    # By its name: what is custom stands beside what samples, and neither needs the other.
    load = import_module("bnstats.custom").load_typed
    return parse(layer, load).under(sampling.law)


@lru_cache(maxsize=2)
def _lanes(task: Task) -> tuple[Lanes, str]:
    backend = task.sampling.backend
    devices = chosen(backend, load(backend), task.sampling.device)
    quiet = Watch(on_note=lambda text: None)
    lanes = lanes_on(devices, _spec(task), task.sampling, task.pivot, quiet)
    return lanes, ", ".join(device.name for device in devices)

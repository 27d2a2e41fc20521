"""What a worker of a cluster does: it says what it is, and draws spans, of a layer or others."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from bnstats.backends import chosen, load
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import LAYERS, Layer
from bnstats.sampling.allocator import keep_freed_memory
from bnstats.sampling.counter.devices import Lane, accelerated, lanes_layout
from bnstats.sampling.layout import Layout, Span, pooled
from bnstats.sampling.run import span_tally
from bnstats.sampling.settings import Sampling
from bnstats.sampling.versions import arithmetic, versions
from bnstats.sampling.watch import Watch
from bnstats.specs.sources import source_digest
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.moments import RECORDS, Tally

_lanes_lock = threading.Lock()  # a worker may have several threads


class RefusedError(HostError):
    """A worker has other versions than whoever asks."""


class Task(Protocol):
    """What a run draws: all that a worker needs to know besides a span."""

    @property
    def layer(self) -> str:
        """What is drawn, as a person knows it."""

    @property
    def source(self) -> str | None:
        """Digest of a user's source."""

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """What draws where the run was begun."""

    def cut(self, layout: Layout) -> Task:
        """Return the task with how the run is cut, which is decided once workers were asked."""

    def facts(self) -> dict[str, Any]:
        """Return what this worker is for the task: ``source``, and its ``device`` and ``leaf``."""

    def drawn(self, span: Span) -> Any:
        """Draw a span, and return its tally."""

    def packed(self, tally: Any) -> Any:
        """Return a tally as numbers, texts and bytes, to be sent."""

    def unpacked(self, numbers: Any) -> Any:
        """Return the tally that `packed` was given."""


@dataclass(frozen=True)
class LayerTask:
    """Draws of a layer.

    Attributes
    ----------
    layer, modules
        Canonical spec; and the modules that make layers of the user's in it known.
    sampling, pivot, layout
        How it is drawn, and cut; the layout is None as long as workers are only asked.
    source
        Digest of a user's source.
    versions
        What draws where the run was begun.
    """

    layer: str
    modules: tuple[str, ...]
    sampling: Sampling
    pivot: float
    source: str | None
    versions: tuple[tuple[str, str], ...]
    layout: Layout | None = None

    def cut(self, layout: Layout) -> LayerTask:
        """Return the task with how the run is cut."""
        return replace(self, layout=layout)

    def facts(self) -> dict[str, Any]:
        """Return what this worker is for the task."""
        facts: dict[str, Any] = {"source": source_digest(_spec(self).layer)}
        if self.sampling.backend != "numpy":
            lanes, facts["device"] = _lanes(replace(self, layout=None))
            facts["leaf"] = lanes_layout(lanes, 1).leaf
        return facts

    def drawn(self, span: Span) -> Tally:
        """Draw a span, and return its moments."""
        assert self.layout is not None
        if self.sampling.backend == "numpy":
            return span_tally(_spec(self), self.sampling, self.pivot, self.layout, span)
        with _lanes_lock:
            lanes, _ = _lanes(replace(self, layout=None))
            drawn = accelerated(lanes, self.layout, iter([span]), Watch())
            return pooled(drawn)  # type: ignore[no-any-return]

    def packed(self, tally: Tally) -> dict[str, Any]:
        """Return moments as plain numbers without the names of their fields, half as long."""
        return {of: _numbers(record) for of, record in tally.records().items()}

    def unpacked(self, numbers: Mapping[str, Any]) -> Tally:
        """Return the moments that `packed` was given."""
        found = {of: RECORDS[of](*map(_array, record)) for of, record in numbers.items()}
        return Tally.of_records(found)


def task_for(spec: Spec, sampling: Sampling, pivot: float) -> LayerTask:
    """Return the task of a run.

    Raises
    ------
    BnstatsError
        The layer is a function that no other process can import.
    """
    own = replace(sampling, cluster=None, checkpoint=None, workers=1, samples=None, precision=None)
    own = replace(own, max_time=None)
    here = tuple(versions().items())
    modules = modules_of([spec.layer])
    return LayerTask(spec.text, modules, own, pivot, source_digest(spec.layer), here)


def modules_of(layers: Iterable[Layer]) -> tuple[str, ...]:
    """Return the modules that make layers of the user's known, also those within composed ones.

    Raises
    ------
    BnstatsError
        The layer is a function that no other process can import.
    """
    found: list[str] = []
    for part in (part for layer in layers for part in layer.parts if part.name not in LAYERS):
        found.append(getattr(inspect.unwrap(part.bind), "__module__", "") or "")
        if found[-1] == "__main__":
            raise BnstatsError(
                f"{part.name} is defined in a script, which no worker can import",
                hint="define it in a module of its own",
            )
    return tuple(dict.fromkeys(filter(None, found)))


def about(task: Task) -> dict[str, Any]:
    """Return what this worker is: its versions, its arithmetic, its device and the leaf for it."""
    facts: dict[str, Any] = {"versions": versions(), "arithmetic": arithmetic(), "source": None}
    facts["device"] = "cpu"
    return facts | task.facts() if dict(task.versions) == versions() else facts


def draw_parcel(task: Task, spans: Sequence[Span], address: tuple[str, int]) -> None:
    """Draw spans one after another, and send the moments of each as soon as they are there.

    What is sent is an event of dask's, which comes before the end of the task does. Once the task
    is cancelled, or whoever waits for it is gone, no further span is begun.

    Parameters
    ----------
    task, spans
        What is drawn.
    address
        The topic of the event, and the number of the run that it is for.
    """
    from distributed import get_worker

    if dict(task.versions) != versions():
        raise RefusedError("this worker has other versions")
    worker, (topic, run) = get_worker(), address
    key = worker.get_current_task()
    for span in spans:
        own = worker.state.tasks.get(key)
        if own is None or own.state == "cancelled":
            return
        numbers, seconds = draw(task, Span(*span))
        worker.log_event(topic, (run, span[0], span[1], seconds, numbers))


def draw(task: Task, span: Span) -> tuple[Any, float]:
    """Return the tally of a span, packed, and how many seconds it took."""
    keep_freed_memory()
    begin = time.perf_counter()
    return task.packed(task.drawn(span)), time.perf_counter() - begin


def _numbers(record: Any) -> tuple[Any, ...]:
    return tuple(np.asarray(value, float).tolist() for value in astuple(record))


def _array(value: Any) -> Any:
    return value if isinstance(value, float) else np.array(value)


def _spec(task: LayerTask) -> Spec:
    return _parsed(task.layer, task.modules, task.sampling)


@lru_cache(maxsize=8)
def _parsed(layer: str, modules: tuple[str, ...], sampling: Sampling) -> Spec:
    for module in modules:
        import_module(module)  # which may register the layer
    # By its name: what is custom stands beside what samples, and neither needs the other.
    load = import_module("bnstats.custom").load_typed
    return parse(layer, load).under(sampling.law)


@lru_cache(maxsize=2)
def _lanes(task: LayerTask) -> tuple[list[Lane], str]:
    backend = task.sampling.backend
    devices = chosen(backend, load(backend), task.sampling.device)
    quiet = Watch(on_note=lambda text: None)
    spec, sampling = _spec(task), task.sampling
    lanes = [Lane(spec, sampling, task.pivot, device, quiet) for device in devices]
    return lanes, ", ".join(device.name for device in devices)

"""What a checkpoint keeps of drawn networks, and what their digits depend on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from bnstats.networks.models.placing import Traced
from bnstats.networks.models.tally import ModelTally, Weight
from bnstats.networks.reduce import Direction, Label, Spread, Tally
from bnstats.sampling.checkpoints.document import Form, read_number, record_entry, record_of
from bnstats.sampling.layout import Layout
from bnstats.sampling.versions import arithmetic, drawing_code
from bnstats.version import __version__

if TYPE_CHECKING:
    from bnstats.networks.running import Task

_COUNTS = ("dead", "nonfinite", "others")
_NUMBERS = (*_COUNTS, "ln_sum", "ln_sum_squares")
_OF_A_MODEL = ("labels", "weights", "stuck", "name", "per", "calls", "squares")


def identity(task: Task, layout: Layout) -> dict[str, Any]:
    """Return what the digits of a run depend on, but for the number of networks.

    Raises
    ------
    BnstatsError
        The source of something of the user's cannot be read.
    """
    found: dict[str, Any] = {
        "layer": task.subject.name,
        "network": task.subject.text,
        "engine": task.engine,
        "source": task.source,
        "seed": task.seed,
        "leaf": layout.leaf,
        "bnstats": __version__,
        "drawing": drawing_code("networks"),
        "arithmetic": arithmetic(),
    }
    if task.engine == "torch":
        found["torch"] = str(import_module("torch").__version__)
    return found


def _written(tally: Tally) -> dict[str, Any]:
    sums: dict[str, Any] = {
        "networks": tally.networks,
        "y": record_entry(tally.y),
        "dx": record_entry(tally.dx),
        "correlation": tally.correlation and record_entry(tally.correlation),
    }
    if isinstance(tally, ModelTally):
        sums["model"] = {name: getattr(tally, name) for name in _OF_A_MODEL}
    return sums


def _read(entry: Mapping[str, Any]) -> Tally:
    y, dx = (_direction(entry[way]) for way in ("y", "dx"))
    c = entry["correlation"]
    tally = Tally(int(entry["networks"]), y, dx, None if c is None else record_of(Spread, c))
    return _of_a_model(tally, entry["model"]) if "model" in entry else tally


def _direction(entry: Mapping[str, Any]) -> Direction:
    numbers = {name: read_number(entry[name]) for name in _NUMBERS}
    numbers |= {name: numbers[name].astype(int) for name in _COUNTS}
    kept = np.array(read_number(entry["kept"]), np.float32).reshape(-1, len(numbers["dead"]))
    spreads = {name: record_of(Spread, entry[name]) for name in ("ln", "slope", "trial")}
    return Direction(**spreads, **numbers, kept=kept)


def _of_a_model(tally: Tally, entry: Mapping[str, Any]) -> ModelTally:
    more = {name: _tuples(entry[name]) for name in _OF_A_MODEL}
    for name, kind in (("labels", Label), ("weights", Weight), ("calls", Traced)):
        more[name] = tuple(kind(*values) for values in more[name])
    return ModelTally(**vars(tally), **more)


def _tuples(value: Any) -> Any:
    """Return a value with the tuples that JSON made lists of."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


FORM = Form("bnstats-networks/1", _written, _read)

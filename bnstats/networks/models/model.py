"""A model of the user's as a subject of propagation, and one draw of it."""

from __future__ import annotations

import gc
import math
import random
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from bnstats.custom.calls import blamed, mistake
from bnstats.errors import BnstatsError, kind_of, printable
from bnstats.networks.models.factory import Factory
from bnstats.networks.models.inputs import InputShape
from bnstats.networks.models.placing import nodes_of
from bnstats.networks.models.tally import ModelTally, Weight
from bnstats.networks.models.tracing import Trace
from bnstats.networks.models.watching import Call, Watcher, first_tensor
from bnstats.networks.predictions import Predictions
from bnstats.networks.reduce import Drawn, Ends, Label, Tally
from bnstats.networks.shapes.predicted import predictions
from bnstats.sampling.iid import stream
from bnstats.sampling.layout import Chunk
from bnstats.specs.sources import digest_of_source

Mode = Literal["train", "eval"]
_LEAST_BLOCKS = 3  # for a line through them to say something

_one_at_a_time = Lock()  # torch's seeds are those of all threads, and a worker may have several


@dataclass(frozen=True)
class Model:
    """Models of the user's, and what goes into them.

    Attributes
    ----------
    factory
        Makes a new one for every draw.
    input
        The shape of one input.
    batch
        Inputs that pass through a model together.
    mode
        Whether it trains or is evaluated.
    rows
        A pattern of the names of layers that are watched, as in a shell: ``h.*``.
    specs
        Layers of bnstats: none.
    """

    factory: Factory
    input: InputShape
    batch: int = 8
    mode: Mode = "train"
    rows: str = "*"
    specs: ClassVar = ()

    @property
    def name(self) -> str:
        """The path of what makes them."""
        return self.factory.name

    @property
    def text(self) -> str:
        """All of it in a line, the identity of the random streams."""
        values = ",".join(f"{k}={v}" for k, v in self.factory.values)
        return f"{self.factory.name} {values} {self.input} {self.batch} {self.mode}"


@dataclass(frozen=True)
class ModelTask:
    """Draws models, one at a time, each under a seed of its own."""

    subject: Model
    seed: int

    engine: ClassVar = "torch"
    size: ClassVar = 1
    default: ClassVar = 20

    @property
    def source(self) -> str:
        """Digest of the module that makes the models; not of what it imports."""
        return digest_of_source(self.subject.factory.make, self.subject.factory.name)

    def processes(self, workers: int, networks: int) -> int:
        """Return how many processes are worth their start: a model takes longer than that."""
        return min(workers, networks)

    def labels(self, tally: Tally) -> Sequence[Label]:
        """Return what each row of a tally is of."""
        assert isinstance(tally, ModelTally)
        return tally.labels

    def per(self, tally: Tally) -> str:
        """Return what a factor is of."""
        assert isinstance(tally, ModelTally)
        return tally.per

    def predicted(self, tally: Tally) -> Predictions:
        """Return what is expected of the rows, of weights as large as they were on average."""
        assert isinstance(tally, ModelTally)
        model = self.subject
        if not tally.calls:
            none, why = [math.nan] * len(tally.labels), (0, "other draws call other layers")
            return Predictions(none, none, none, none, none, {"isolated": why, "wide": why})
        means = [(w / tally.networks, b / tally.networks) for w, b in tally.squares]
        nodes, rows = nodes_of(tally.calls, means, model.input.sides, model.batch)
        return predictions(nodes, correlated=model.batch > 1, rows=rows)

    def tally(self, chunk: Chunk) -> ModelTally:
        """Draw one model and send a batch through it, forward and backward."""
        seeds = stream(self.seed, f"propagate {self.subject.text}", chunk.unit)
        with _one_at_a_time, _seeded(seeds), _one_thread():
            return _drawn(self.subject, seeds, chunk.unit)


def _drawn(model: Model, seeds: np.random.Generator, before: int) -> ModelTally:
    made = model.factory()
    gone = weakref.ref(made)
    made.train(model.mode == "train")
    trace = None if before else Trace(model.batch)  # of the first draw
    watcher = Watcher(made, model.batch, model.rows, trace)
    _pass(model, made, watcher, torch.Generator().manual_seed(_seed(seeds)))
    weights = tuple(_weights(made)) if before < 2 else ()  # of two draws
    rows, blocks, squares = watcher.rows, watcher.blocks, tuple(watcher.weights)
    calls = tuple(trace.calls) if trace else ()
    del made, watcher, trace
    if gone() is not None:  # a cycle holds it, and memory must not grow with the draws
        gc.collect()
    if not rows:
        raise BnstatsError(
            f"no layer of {_name(model)} is called '{printable(model.rows, 60)}'",
            hint="e.g. `rows='*'`",
        )
    labels = tuple(Label(i, c.name, c.layer, c.dx is not None) for i, c in enumerate(rows, 1))
    every = model.rows == "*"
    per, ends = _ends(labels, blocks if every else {}, "layer" if every else "row")
    ln_y = np.array([[c.y.ln if c.y else math.nan for c in rows]])
    ln_dx = np.array([[c.dx.ln if c.dx else math.nan for c in rows]])
    cosines = np.array([[c.y.cosine if c.y else math.nan for c in rows]])
    tally = Tally.of(Drawn(ln_y, ln_dx, cosines if model.batch > 1 else None), ends, before)
    more: dict[str, Any] = {"calls": calls, "squares": squares, "name": _name(model), "per": per}
    return ModelTally(**vars(tally), labels=labels, weights=weights, **more)


def _pass(model: Model, made: Any, watcher: Watcher, generator: torch.Generator) -> None:
    """Send normal x forward and normal dy backward."""
    like = next((p for p in made.parameters() if p.is_floating_point()), torch.empty(0))
    x = leaf = model.input.draw(model.batch, generator).to(like.device)
    if leaf.is_floating_point():
        leaf = leaf.to(like.dtype).requires_grad_()
        x = leaf.clone()  # which a model may overwrite
    try:
        with torch.enable_grad(), watcher.watching(x):
            y = made(x)
    except (BnstatsError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit as well
        raise _failed(model, watcher.open, error) from error
    found = first_tensor(y)
    if found is None:
        what = f"a tensor of {y.dtype}" if isinstance(y, torch.Tensor) else kind_of(y)
        raise BnstatsError(
            f"the forward of {_name(model)} returned {what}, not a tensor of floats",
            hint="a tensor, or a tuple or dict that holds one; the first one counts",
        )
    sources = [leaf] if leaf.is_floating_point() else watcher.sources
    if not found.requires_grad or not sources:
        raise BnstatsError(
            f"no gradient leads from the output of {_name(model)} to its layers",
            hint="its forward runs without torch.no_grad() and .detach()",
        )
    watcher.ends(found)
    dy = torch.randn(found.shape, generator=generator).to(found)
    with blamed(f"the backward of {_name(model)}"):
        torch.autograd.grad(found, sources, dy, allow_unused=True)


def _failed(model: Model, calls: Sequence[Call], error: BaseException) -> BnstatsError:
    """Return the error for a forward that raised in a layer, the innermost that had begun."""
    told = mistake(f"the forward of {_name(model)}", error)
    if not calls:
        return told
    call = calls[-1]
    return BnstatsError(
        f"{told.message}; in {printable(call.name, 60)} ({call.layer}), which got {call.got}",
        where=told.where,
        hint="`input` is the shape of one input, without the batch"
        if isinstance(error, RuntimeError | ValueError | IndexError | TypeError)
        else told.hint,
    )


def _name(model: Model) -> str:
    return printable(model.factory.name, 80)


def _weights(made: Any) -> Iterator[Weight]:
    for name, p in made.named_parameters():
        if p.numel() and p.is_floating_point():
            p = p.detach()
            flat = p.reshape(1, -1)
            norm = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64)
            sums = float(flat.sum(dtype=torch.float64)), float(norm)
            low, high = torch.aminmax(p)
            yield Weight(name, sums, bool(low == high))


def _ends(
    labels: Sequence[Label], blocks: dict[str, list[tuple[int, int]]], row: str
) -> tuple[str, Ends]:
    """Return the blocks of which there are most, the outermost, and their ends; or all rows."""
    with_dx = [i for i, label in enumerate(labels) if label.has_dx]
    name = max(blocks, key=lambda b: (len(blocks[b]), -blocks[b][0][0]), default="")
    often = blocks.get(name, [])
    if len(often) < _LEAST_BLOCKS:
        return row, Ends(range(len(labels)), with_dx)
    begins = [first for first, _ in often if first in with_dx]
    return name, Ends([last for _, last in often], begins)


def _seed(seeds: np.random.Generator) -> int:
    return int(seeds.integers(2**63))


@contextmanager
def _seeded(seeds: np.random.Generator) -> Iterator[None]:
    """Seed torch, numpy's old generator and random's for one draw, and put them back."""
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(seeds))
            np.random.seed(int(seeds.integers(2**32)))  # noqa: NPY002
            random.seed(_seed(seeds))
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: more change the order of sums, and hang in a forked process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

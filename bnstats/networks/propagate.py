"""propagate: from the words of a block to what becomes of a signal in many drawn networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Literal, NamedTuple

from bnstats.errors import ArgumentError, BnstatsError, printable
from bnstats.layers import LAYERS
from bnstats.networks.engines import Engine
from bnstats.networks.passes import draw
from bnstats.networks.predictions import predict, square_means
from bnstats.networks.propagation import Propagation, half_widths, summary
from bnstats.networks.reduce import Tally
from bnstats.networks.stack import Scale, Stack
from bnstats.networks.stages import Dense, Elementwise
from bnstats.result import Status
from bnstats.sampling.iid import stream
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.sampling.workers import in_order

DEFAULT_NETWORKS = 400
_MOST_NETWORKS = 10**9
_MOST_WIDTH, _MOST_DEPTH, _MOST_INPUTS = 2**16, 10**5, 64
_BLOCK_NUMBERS = 2**15  # of one layer of the networks that are drawn together
_TAPE_NUMBERS = 2**24  # of all their layers, which the way back needs
_MATRIX_NUMBERS = 2**23
_SHARE_NUMBERS = 2**26  # random numbers that are worth a process
_FIRST_CHECK = 100  # networks


class _Chunk(NamedTuple):
    number: int
    networks: int


@dataclass(frozen=True)
class _Task:
    """Everything that fixes the digits of a run, except how many networks."""

    stack: Stack
    engine: Engine
    seed: int

    @property
    def size(self) -> int:
        """Networks that are drawn together: a function of the stack, as streams depend on it."""
        stack = self.stack
        layer = stack.width * stack.inputs
        tape = 2 * layer * len(stack.stages) * stack.depth
        size = min(_BLOCK_NUMBERS // layer, _TAPE_NUMBERS // tape)
        if self.engine == "matrices":
            size = min(size, _MATRIX_NUMBERS // max(stack.matrix_numbers, 1))
        return max(size, 1)

    @property
    def numbers(self) -> int:
        """Random numbers of one network."""
        stack = self.stack
        if self.engine == "matrices":
            return stack.matrix_numbers
        return 2 * stack.width * stack.inputs * len(stack.stages) * stack.depth

    def tally(self, chunk: _Chunk) -> Tally:
        text = f"propagate {self.engine} {self.stack.text}"
        generator = stream(self.seed, text, chunk.number)
        drawn = draw(self.stack, self.engine, generator, chunk.networks)
        return Tally.of(drawn, len(self.stack.stages))


def propagate(
    *block: str,
    width: int = 256,
    depth: int = 30,
    networks: int | float | None = None,
    inputs: int = 2,
    init: str | None = None,
    gain: float | Literal["auto"] | None = None,
    bias_std: float = 0.0,
    scale: Scale = "none",
    matrices: bool = False,
    precision: float | None = None,
    max_time: float | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    workers: int = 1,
    on_progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Propagation:
    """Send normal x forward and normal dy backward through freshly drawn stacks of dense layers.

    Every network is one unit: it has its own weights, inputs and dy, and all that lies within it,
    its inputs and units and layers, is dependent and is never counted as more.

    Parameters
    ----------
    block
        What is repeated: ``linear``, activations, and ``skip`` … ``add:alpha=0.2`` for a residual
        branch, as separate arguments or in one text.
    width, depth
        Units of every layer, and how often the block is repeated.
    networks
        To draw; 400, or with ``precision`` or ``max_time`` as many as it takes.
    inputs
        Per network; of one there is no correlation.
    init
        Of the weights: a name of the catalogue, or ``he`` (normal, gain √2), ``lecun`` (normal,
        gain 1), ``xavier`` (normal) or ``torch`` (torch.nn.Linear's own, with its biases). Default
        ``he``, and ``lecun`` where activations are scaled or the gain is ``"auto"``.
    gain
        On all weights, in place of the init's own; ``"auto"`` is what the activations of a block
        ask for: the product of their 1/rms[y], spread over its linear layers.
    bias_std
        Of normal biases.
    scale
        ``"forward"`` divides each activation by its rms[y], ``"backward"`` by its rms[dx],
        ``"separate"`` the output by the one and the gradient by the other.
    matrices
        Draw weight matrices also where normal weights need none.
    precision
        Draw until the half-width of the interval of every typical network is at most this share.
    max_time
        Seconds after which nothing further is begun.
    seed, confidence, workers, should_stop
        As of `bnstats.compute`; the same seed gives the same digits whatever ``workers`` is.
    on_progress
        Called with the networks so far.

    Returns
    -------
    Propagation
        ``rows``, ``factor`` and ``verdict``, e.g. ``p.rows[-1].y.typical.interval``.

    Raises
    ------
    BnstatsError
        A layer that has no place in a dense stack, or an argument outside its range.

    Examples
    --------
    >>> p = propagate("linear relu", width=64, depth=10, networks=200)
    >>> p.verdict, p.rows[-1].y.wide
    ('steady', 1.0)
    """
    sampling = Sampling(
        seed=seed, confidence=confidence, precision=precision, max_time=max_time, workers=workers
    )
    for name, value, most in (
        ("width", width, _MOST_WIDTH),
        ("depth", depth, _MOST_DEPTH),
        ("inputs", inputs, _MOST_INPUTS),
        ("networks", DEFAULT_NETWORKS if networks is None else networks, _MOST_NETWORKS),
    ):
        _check_count(name, value, most)
    words = tuple(word for text in block for word in text.split())
    if not words:
        raise BnstatsError("a stack without layers", hint="bnstats propagate linear relu")
    stack = _stack(words, gain, init, Stack((), width, depth, inputs, "", None, bias_std, scale))
    engine: Engine = "matrices" if matrices or not stack.gaussian else "exact"
    if engine == "matrices":
        stack.check_matrices()
    task = _Task(stack, engine, sampling.seed)
    endless = precision is not None or max_time is not None
    limit = int(networks or (_MOST_NETWORKS if endless else DEFAULT_NETWORKS))
    deadline = math.inf if max_time is None else time.monotonic() + max_time
    merged: Tally | None = None
    check, met = _FIRST_CHECK, False
    processes = min(sampling.workers, 1 + limit * task.numbers // _SHARE_NUMBERS)

    def stop() -> bool:
        return should_stop() or (merged is not None and time.monotonic() > deadline)

    if any(isinstance(s, Elementwise) and s.spec.layer.name not in LAYERS for s in stack.stages):
        processes = 1  # a user's function may run threads, torch's or jax's, which no fork survives
    watch = Watch(should_stop=stop)
    for _, tally in in_order(task.tally, _chunks(limit, task.size), processes, watch):
        merged = tally if merged is None else merged.merged(tally)
        if on_progress is not None:
            on_progress(merged.networks)
        if precision is not None and merged.networks >= check:
            check = 2 * merged.networks
            met = half_widths(merged, confidence) <= precision
            if met:
                break
    status: Status = "complete"
    if should_stop():
        status = "interrupted"
    elif precision is not None and not met:
        met = merged is not None and half_widths(merged, confidence) <= precision
        status = "complete" if met else "target_not_met"
    if merged is None:
        raise KeyboardInterrupt  # before the first networks were there
    whole = stack.stages * depth
    predicted = predict(whole, width, correlated=inputs > 1)
    found = summary(stack, merged, predicted, confidence)
    return Propagation(
        stack=stack,
        engine=engine,
        seed=task.seed,
        confidence=confidence,
        status=status,
        warnings=tuple(_warnings(merged)),
        **found,
    )


def _stack(
    words: tuple[str, ...], gain: float | Literal["auto"] | None, init: str | None, plain: Stack
) -> Stack:
    neutral = plain.scale != "none" or gain == "auto"
    name = init or ("lecun" if neutral else "he")
    values = (plain.width, plain.depth, plain.inputs, name)
    if gain != "auto":
        return Stack(words, *values, gain, plain.bias_std, plain.scale)
    stack = Stack(words, *values, None, plain.bias_std, plain.scale)
    dense = sum(isinstance(s, Dense) for s in stack.stages)
    kept = math.prod(
        square_means(s.spec, 1.0)[0].value * s.forward**2
        for s in stack.stages
        if isinstance(s, Elementwise)
    )
    if not dense or not 0 < kept < math.inf:
        raise BnstatsError("no gain keeps this block's scale", hint="e.g. `gain=1.4`")
    return Stack(words, *values, kept ** (-0.5 / dense), plain.bias_std, plain.scale)


def _check_count(name: str, value: int | float, most: int) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or value != value or not 1 <= value <= most or value != int(value):
        shown = printable(str(value), 40)
        raise ArgumentError(
            f"{name} {shown} is not a whole number from 1 to {most:,}", hint=f"e.g. `{name}=100`"
        )


def _chunks(networks: int, size: int) -> Iterator[_Chunk]:
    for number in range(-(-networks // size)):
        yield _Chunk(number, min(size, networks - number * size))


def _warnings(tally: Tally) -> Iterator[str]:
    for way, direction in (("y", tally.y), ("dx", tally.dx)):
        dead, odd = int(direction.dead.max()), int(direction.nonfinite.max())
        if dead:
            yield f"{dead} of {tally.networks} networks are dead: their {way} is 0 somewhere"
        if odd:
            yield f"{odd} of {tally.networks} networks are not finite in {way}: they count nowhere"

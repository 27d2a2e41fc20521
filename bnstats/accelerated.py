"""Independent draws on an accelerator: from a counter to power sums, fused by the backend.

Draw number i of a layer is a function of seed, layer and i alone. Neither the chunks, nor the
blocks that fit a device, nor the number of devices change it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import isfinite, prod
from typing import Any, TypeAlias

from bnstats.backends import Device, Launch, chosen, load
from bnstats.backends.philox import ROUNDS, key_schedule, normal_pair, philox, uniform
from bnstats.errors import BnstatsError, HostError, printable
from bnstats.layers import Event
from bnstats.moments import LONGEST, Moments, float32_holds, float32_suffices, from_sums
from bnstats.quantities import Direction
from bnstats.sampling import Chunk, Task, scaled

Array: TypeAlias = Any
Tally: TypeAlias = dict[Direction, Moments]

# Random numbers per block, by kind of device: what a cache holds, or what keeps a GPU busy.
_BLOCK_NUMBERS = {"cpu": 2**16}
_LARGEST_BLOCK = 2**26
_BYTES_PER_NUMBER = 64  # what a block may take of a device's memory, where nothing is fused
_CHUNK_BLOCKS = 64  # a chunk is some tens of milliseconds of work
_COLUMNS = 256  # of a processor's sums: the adds of one row do not wait for each other


def accelerated(
    task: Task,
    samples: int,
    pivot: float,
    should_stop: Callable[[], bool],
    on_warning: Callable[[str], None],
) -> Iterator[tuple[Chunk, Tally]]:
    """Yield chunks of independent draws with their moments, in order.

    Parameters
    ----------
    task
        Names the backend and its devices, which take turns.
    samples
        Draws.
    pivot
        Of y.
    should_stop
        Asked before each chunk is begun.
    on_warning
        Told where the device had too little memory, or could not fuse a layer.

    Raises
    ------
    BnstatsError
        The backend cannot run this layer.
    HostError
        The backend or the device is missing, or the smallest block is too large for it.
    """
    xp = load(task.backend)
    devices = chosen(task.backend, xp, task.device)
    lanes = [_Lane(task, pivot, xp, device, on_warning) for device in devices]
    waiting: deque[tuple[Chunk, _Lane, Any]] = deque()
    for chunk in _chunks(samples, min(lane.size for lane in lanes) * _CHUNK_BLOCKS):
        if should_stop():
            break
        lane = lanes[chunk.unit % len(lanes)]
        waiting.append((chunk, lane, lane.begin(chunk)))
        if len(waiting) > len(lanes):
            chunk, lane, begun = waiting.popleft()
            yield chunk, lane.finish(chunk, begun)
    for chunk, lane, begun in waiting:
        yield chunk, lane.finish(chunk, begun)


def _chunks(samples: int, size: int) -> Iterator[Chunk]:
    for i in range(-(-samples // size)):
        yield Chunk(i, i * size, min(size, samples - i * size), (i + 1) & i == 0)


class _Lane:
    """One device at work on a task."""

    def __init__(
        self,
        task: Task,
        pivot: float,
        xp: Any,
        device: Device,
        on_warning: Callable[[str], None],
    ) -> None:
        self._task, self._pivot, self._xp, self._device = task, pivot, xp, device
        self._on_warning = on_warning
        self._keys = round_keys(task.seed, task.spec.text)
        numbers = _BLOCK_NUMBERS.get(device.kind, _LARGEST_BLOCK)
        if device.memory is not None:
            numbers = min(numbers, device.memory // _BYTES_PER_NUMBER)
        draws = max(numbers // task.spec.event.numbers, 2)
        self.size = 1 << (draws.bit_length() - 1)

    def begin(self, chunk: Chunk, *, careful: bool = False) -> Any:
        """Set the device to work on a chunk; None where it has not the memory."""
        try:
            launch = _launch(self._block(careful), self._xp, self._device)
            return launch(self._keys, chunk.first, chunk.draws, self._on_warning)
        except BnstatsError:
            raise
        except Exception as error:
            if self._xp.is_out_of_memory(error):
                return None
            raise self._refused(error) from error

    def _block(self, careful: bool) -> Block:
        task = replace(self._task, seed=0)  # the keys tell it: a program serves all seeds
        columns = _COLUMNS if self._device.kind == "cpu" else 1
        return Block(task, self._pivot, self.size, columns, careful)

    def finish(self, chunk: Chunk, begun: Any) -> Tally:
        """Wait for a chunk; return its moments."""
        found = self._moments(chunk, self._wait(chunk, begun, careful=False), careful=False)
        if found is None:
            again = self.begin(chunk, careful=True)
            found = self._moments(chunk, self._wait(chunk, again, careful=True), careful=True)
        assert found is not None
        return found

    def _wait(self, chunk: Chunk, begun: Any, *, careful: bool) -> Any:
        while True:
            if begun is not None:
                try:
                    return self._xp.host(begun).sum(axis=-1)
                except Exception as error:
                    if not self._xp.is_out_of_memory(error):
                        raise self._refused(error) from error
            self._halve()
            begun = self.begin(chunk, careful=careful)

    def _halve(self) -> None:
        if self.size <= 2:
            raise HostError(
                f"{self._device.name} has not the memory for two draws of {self._task.spec.text}",
                hint="--backend numpy needs less",
            )
        self.size //= 2
        self._on_warning(
            f"{self._device.name} ran out of memory: went on with blocks of {self.size:,} draws"
        )

    def _refused(self, error: Exception) -> BnstatsError:
        told = printable(str(error).partition("\n")[0], 160)
        return BnstatsError(
            f"{self._task.spec.text} does not run on {self._task.backend}: "
            f"{type(error).__name__}: {told}",
            hint="--backend numpy runs every layer",
        )

    def _moments(self, chunk: Chunk, sums: Any, *, careful: bool) -> Tally | None:
        """Return the moments behind power sums; None where only careful sums would do."""
        tally: Tally = {}
        for direction, row in zip(self._task.directions, sums.tolist(), strict=True):
            n, a, aa, ab, b, bb = row if careful else (float(chunk.draws), *row)
            pivot = self._pivot if direction == "y" else 0.0
            found = from_sums(n, a, aa, ab, b, bb, pivot=pivot, nonfinite=chunk.draws - n)
            if not careful:
                if not isfinite(bb):
                    return None
                if _is_short(self._task) and not (
                    float32_holds(n, bb) and float32_suffices(found, aa, bb)
                ):
                    return None
            tally[direction] = found
        return tally


def _is_short(task: Task) -> bool:
    """Whether sums may begin in float32."""
    longest = max(prod(i.shape) for i in task.spec.event.inputs.values())
    return task.dtype == "float32" and longest <= LONGEST


def round_keys(seed: int, spec: str) -> list[tuple[int, int]]:
    """Return Philox's round keys and, last, the counter's highest word: 96 bits for a layer."""
    digest = hashlib.sha256(f"{seed} {spec}".encode()).digest()
    low, high, stream = (int.from_bytes(digest[i : i + 4], "little") for i in (0, 4, 8))
    return [*key_schedule((low, high)), (stream, 0)]


def group_draws(
    task: Task, xp: Any, first: Array, groups: int, keys: Array
) -> list[dict[str, Array]]:
    """Return the draws of groups of one or two draws each: those of each place in a group.

    Two draws share a call of Philox where one would waste half of its words.

    Parameters
    ----------
    task, xp
        What to draw, and the array namespace.
    first
        Number of the first group, a 64-bit scalar and a multiple of ``groups``.
    groups
        A power of two up to 2^31.
    keys
        Words of shape (ROUNDS + 1, 2), see `round_keys`.
    """
    inputs, places = task.spec.event.inputs, draws_per_group(task.spec.event)
    counts = {law: sum(prod(i.shape) for i in inputs.values() if i.law == law) for law in _LAWS}
    calls = {law: -(-places * count // 4) for law, count in counts.items()}
    rows: dict[str, Array] = {}
    begin = 0
    for law, transform in _LAWS.items():
        if calls[law]:
            words = _words(xp, first, groups, keys, range(begin, begin + calls[law]))
            parts = [xp.astype(p, getattr(xp, task.dtype)) for p in transform(xp, words)]
            # Of a single call the rows stay apart: joining them would store them.
            rows[law] = xp.concat(parts, axis=0) if calls[law] > 1 else [p[0] for p in parts]
        begin += calls[law]
    found = []
    for place in range(places):
        at = {law: place * count for law, count in counts.items()}
        draws = {}
        for name, i in inputs.items():
            begin, end = at[i.law], at[i.law] + prod(i.shape)
            found_rows = rows[i.law][begin:end] if i.shape else rows[i.law][begin]
            if isinstance(found_rows, list):
                found_rows = xp.stack(found_rows)
            draws[name] = xp.reshape(found_rows, (*i.shape, groups))
            at[i.law] = end
        found.append(scaled(draws, task.law))
    return found


def draws_per_group(event: Event) -> int:
    """Return how many draws share a call."""
    return 2 if sum(prod(i.shape) for i in event.inputs.values() if i.law == "normal") <= 2 else 1


def _words(xp: Any, first: Array, groups: int, keys: Array, calls: range) -> Any:
    """Return the four words of each call for each group, every one of shape (calls, groups)."""
    low, high = xp.counter(first, groups)
    call = xp.words([[c] for c in calls]) ^ (low & 0)
    zeros = call & 0
    return philox(xp, (low ^ zeros, high ^ zeros, call, keys[ROUNDS, 0] ^ zeros), keys)


def _normals(xp: Any, words: Any) -> list[Array]:
    return [*normal_pair(xp, words[0], words[1]), *normal_pair(xp, words[2], words[3])]


def _uniforms(xp: Any, words: Any) -> list[Array]:
    return [uniform(xp, w) for w in words]


_LAWS: dict[str, Callable[[Any, Any], list[Array]]] = {"normal": _normals, "uniform": _uniforms}


@dataclass(frozen=True, eq=False)
class Block:
    """From a block's first draw, how many of its draws count, and the keys, to power sums.

    A call returns, for each direction, the sums of a, a², ab, b and b² (see `bnstats.moments`) in
    float64, each in several parts. Blocks that compute the same are equal.

    Attributes
    ----------
    task
        What to draw.
    pivot
        Of y.
    size
        Draws, a power of two.
    columns
        The parts of a sum, at most.
    careful
        Whether to leave draws out whose b² is not finite, telling first how many remain, and to
        add in float64 from the first. Otherwise short columns of float32 are added in float32.
    """

    task: Task
    pivot: float
    size: int
    columns: int
    careful: bool

    def _key(self) -> tuple[Any, ...]:
        task = replace(self.task, spec=self.task.spec.text)  # type: ignore[arg-type]  # hashable
        return task, self.pivot, self.size, self.columns, self.careful

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Block) and self._key() == other._key()

    def __call__(self, xp: Any, first: Array, remaining: Array, keys: Array) -> Array:
        """Return the sums, of shape (directions, 5 or 6, columns)."""
        task, places = self.task, draws_per_group(self.task.spec.event)
        groups = self.size // places
        number = xp.arange(groups, dtype=xp.int32) * places
        remaining = xp.astype(remaining, xp.int32)
        found: Array = 0.0
        for place, draws in enumerate(group_draws(task, xp, first // places, groups, keys)):
            y, backward = task.spec.event.forward(xp, draws)
            counts = number + place < remaining
            found = found + xp.stack(
                [
                    self._sums(xp, y, self.pivot, counts)
                    if d == "y"
                    else self._sums(xp, backward(draws["dy"]), 0.0, counts)
                    for d in task.directions
                ]
            )
        return found

    def _sums(self, xp: Any, v: Array, pivot: float, counts: Array) -> Array:
        columns = min(self.columns, v.shape[-1])
        if self.careful or columns == 1 or not _is_short(self.task):
            v = xp.astype(v, xp.float64)
        a = v = v - pivot
        b = v * v
        if v.ndim > 1:
            axes = tuple(range(v.ndim - 1))
            a, b = xp.mean(a, axis=axes), xp.mean(b, axis=axes)
        if self.careful:
            counts = counts & xp.isfinite(b * b)
        a, b = xp.where(counts, a, 0.0), xp.where(counts, b, 0.0)

        def total(values: Array) -> Array:
            return xp.astype(xp.sum(xp.reshape(values, (-1, columns)), axis=0), xp.float64)

        kept = [total(xp.astype(counts, xp.float64))] if self.careful else []
        total_b = total(b)
        total_aa = total(a * a) if v.ndim > 1 else total_b
        return xp.stack([*kept, total(a), total_aa, total(a * b), total_b, total(b * b)])


@lru_cache(maxsize=8)
def _launch(block: Block, xp: Any, device: Device) -> Launch:
    """Compile a block, or find it compiled: verification draws a layer several times."""
    launch: Launch = xp.launcher(partial(block, xp), block.size, device)
    return launch

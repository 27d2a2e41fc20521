"""How a run on an accelerator ends: enough, too long, interrupted, or out of memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from accelerator_support import each, namespace, processor, small_memory

from bnstats.api import compute
from bnstats.errors import HostError
from bnstats.sampling.counter import devices


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a chunk of relu four blocks of 512 draws."""
    monkeypatch.setitem(devices._BLOCK_NUMBERS, "cpu", 1024)
    monkeypatch.setattr(devices, "_CHUNK_BLOCKS", 4)


CHUNK = 2048


@each
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.usefixtures("small")
def test_too_little_memory_halves_the_blocks(monkeypatch, name, late):
    namespace(name)
    whole = compute("relu", samples=5 * CHUNK + 7, backend=name)
    assert whole.warnings == ()
    tried = small_memory(monkeypatch, name, 128, late=late)
    result = compute("relu", samples=5 * CHUNK + 7, backend=name)
    devices._launch.cache_clear()
    assert result.warnings == tuple(
        f"cpu:0 ran out of memory: went on with blocks of {size} draws" for size in (256, 128)
    )
    assert min(tried) == 128
    assert max(tried[4:]) == 128, "what is known to be too large was tried again"
    assert result.samples == whole.samples
    assert result.status == "complete"
    for k, e in result.quantities.items():
        assert e.value == pytest.approx(whole.quantities[k].value, rel=1e-12, abs=1e-15), k


@each
@pytest.mark.usefixtures("small")
def test_too_little_memory_for_two_draws_is_the_hosts(monkeypatch, name):
    tried = small_memory(monkeypatch, name, 0)
    with pytest.raises(HostError) as raised:
        compute("relu", samples=10, backend=name)
    devices._launch.cache_clear()
    assert raised.value.message == "cpu:0 has not the memory for two draws of relu"
    assert tried == [512, 256, 128, 64, 32, 16, 8, 4, 2]


@each
def test_blocks_fit_the_device(name):
    """64 bytes a number, a power of two of draws, and never fewer than two."""
    from bnstats.sampling.settings import Sampling
    from bnstats.sampling.watch import Watch
    from bnstats.specs.spec import parse

    namespace(name)
    cpu = processor(name)

    def size(spec: str, kind: str, memory: int | None) -> int:
        device = replace(cpu, name=f"{kind}:0", memory=memory)
        return devices.Lane(parse(spec), Sampling(backend=name), 0.0, device, Watch()).size

    assert size("relu", "cpu", None) == 2**15
    assert size("relu", "cuda", None) == devices._LARGEST_BLOCK // 2
    assert size("relu", "cuda", 64 * 2**21 - 1) == 2**19
    assert size("relu", "cuda", 64 * 2**21) == 2**20
    assert size("softmax", "cuda", 64 * 2**21) == 2**16  # 20 numbers a draw
    assert size("relu", "cuda", 1) == 2**15


@each
@pytest.mark.usefixtures("small")
def test_an_interrupted_run_returns_what_it_has(name):
    namespace(name)
    asked = itertools.count()
    result = compute(
        "relu", samples=100 * CHUNK, backend=name, should_stop=lambda: next(asked) >= 3
    )
    assert result.status == "interrupted"
    assert result.samples == 3 * CHUNK
    prefix = compute("relu", samples=3 * CHUNK, backend=name)
    assert result.quantities == prefix.quantities


@each
@pytest.mark.usefixtures("small")
def test_a_precision_ends_a_run(name):
    namespace(name)
    result = compute("relu", precision=0.02, backend=name)
    assert result.status == "complete"
    lower, upper = result.std_dx.interval
    assert (upper - lower) / 2 < 0.02 * result.std_dx.value
    chunks = result.samples // CHUNK
    assert result.samples == chunks * CHUNK
    assert chunks.bit_count() == 1, "judged at checkpoints alone"
    assert 2 * CHUNK <= result.samples <= 64 * CHUNK
    missed = compute("relu", precision=1e-4, samples=3 * CHUNK, backend=name)
    assert (missed.status, missed.samples) == ("target_not_met", 3 * CHUNK)


@each
@pytest.mark.usefixtures("small")
def test_a_time_ends_a_run(name):
    namespace(name)
    compute("relu", samples=10, backend=name)  # compiled by now
    result = compute("relu", samples=10**15, max_time=0.2, backend=name)
    assert result.status == "target_not_met"
    assert result.samples >= CHUNK
    assert result.samples % CHUNK == 0


@each
@pytest.mark.usefixtures("small")
def test_progress_is_told_in_order(name):
    namespace(name)
    seen: list[tuple[int, float]] = []
    tell: Callable[[int, Any], None] = lambda n, tally: seen.append((n, tally["y"].count))  # noqa: E731
    compute("relu", samples=3 * CHUNK + 1, backend=name, on_progress=tell)
    assert seen == [(n, n) for n in (CHUNK, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 1)]

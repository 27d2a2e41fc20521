"""What the tests of optional backends share: the backends at hand, and numpy in their place."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import pytest

from bnstats.backends import ACCELERATORS, BACKENDS, Device, load, missing, numpy_backend
from bnstats.layers import STANDARD, Law
from bnstats.sampling.counter import devices
from bnstats.sampling.counter.draws import group_draws, round_keys
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse

each = pytest.mark.parametrize("name", ACCELERATORS)
each_and_numpy = pytest.mark.parametrize("name", BACKENDS)


class NumpyWords:
    """numpy as a namespace that draws by counter, which the default backend does not."""

    def __getattr__(self, name: str) -> Any:
        return getattr(numpy_backend, name)

    @staticmethod
    def astype(values: Any, dtype: Any) -> Any:
        return values.astype(dtype)

    @staticmethod
    def multiply_words(constant: int, words: Any) -> tuple[Any, Any]:
        product = words.astype(np.uint64) * np.uint64(constant)
        return (product >> np.uint64(32)).astype(np.uint32), product.astype(np.uint32)

    @staticmethod
    def words_to_float32(words: Any, bits: int = 32) -> Any:
        return words.astype(np.float32)

    @staticmethod
    def counter(first: Any, count: int) -> tuple[Any, Any]:
        numbers = np.uint64(first) + np.arange(count, dtype=np.uint64)
        return numbers.astype(np.uint32), (numbers >> np.uint64(32)).astype(np.uint32)

    @staticmethod
    def words(values: Any) -> Any:
        return np.asarray(values, np.uint32)

    @staticmethod
    def repeat(count: int, step: Any, state: Any) -> Any:
        for i in range(count):
            state = step(i, state)
        return state


def namespace(name: str) -> Any:
    """Return the namespace of a backend, or skip the test where its library is missing."""
    if name == "numpy":
        return NumpyWords()
    if missing(name):
        pytest.skip(f"{name} is not installed")
    return load(name)


def processor(name: str) -> Device:
    """Return the device that every backend has."""
    return next(d for d in namespace(name).devices() if d.kind == "cpu")


def scope(name: str) -> AbstractContextManager[Any]:
    """Return the context in which a backend's formulas run eagerly on the processor."""
    if name == "jax":
        scoped: AbstractContextManager[Any] = namespace(name).scope(processor(name))
        return scoped
    return nullcontext()


def array(name: str, values: Any) -> Any:
    """Return a numpy array as the backend's own, on the processor."""
    xp = namespace(name)
    if name == "torch":
        import torch

        return torch.from_numpy(np.array(values))
    return xp.asarray(values)


def words(name: str, values: Any) -> Any:
    """Return whole numbers as words of the backend."""
    return namespace(name).words(np.asarray(values, np.int64 if name == "torch" else np.uint32))


def compiled(name: str, function: Any) -> Any:
    """Return a function that jax compiles once, because a loop costs a second each time."""
    if name == "jax":
        import jax

        return jax.jit(function)
    return function


@cache
def drawn(
    name: str, spec: str, groups: int, seed: int = 0, first: int = 0, law: Law = STANDARD
) -> dict[str, np.ndarray]:
    """Return groups of draws in order, the places of a group one after the other."""
    keys = round_keys(seed, parse(spec).text)
    with scope(name):
        places = _drawer(name, spec, groups, law)(scalar(name, first), words(name, keys))
        parts = [{k: np.asarray(v) for k, v in place.items()} for place in places]
    return {
        k: np.stack([p[k] for p in parts], axis=-1).reshape(*parts[0][k].shape[:-1], -1)
        for k in parts[0]
    }


@cache
def _drawer(name: str, spec: str, groups: int, law: Law) -> Any:
    # float64, so that no backend's own fusions change what a float32 normal is
    bound, sampling, xp = parse(spec).bound, Sampling(law=law), namespace(name)
    return compiled(name, lambda first, keys: group_draws(bound, sampling, xp, first, groups, keys))


def scalar(name: str, value: int) -> Any:
    """Return a whole number as a 64-bit scalar of the backend."""
    if name == "torch":
        import torch

        return torch.tensor(value)
    return namespace(name).int64(value)


def small_memory(
    monkeypatch: pytest.MonkeyPatch, name: str, most: int, *, late: bool = False
) -> list[int]:
    """Make the backend run out of memory in blocks of more draws; return the sizes it tries.

    Where the launch raises, or, as a device that is asked later, where its sums are fetched.
    """
    xp = namespace(name)
    launcher, host, tried = xp.launcher, xp.host, []
    devices._launch.cache_clear()

    def error() -> Exception:
        if name == "torch":
            import torch

            return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64 GiB.")
        return RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes.")

    def limited(block: Any, size: int, device: Device) -> Any:
        launch = launcher(block, size, device)

        def tries(*arguments: Any) -> Any:
            tried.append(size)
            if size <= most:
                return launch(*arguments)
            if late:
                return error()
            raise error()

        return tries

    def fetched(sums: Any) -> Any:
        if isinstance(sums, Exception):
            raise sums
        return host(sums)

    monkeypatch.setattr(xp, "launcher", limited)
    monkeypatch.setattr(xp, "host", fetched)
    return tried

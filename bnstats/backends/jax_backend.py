"""jax: a whole chunk of draws is one call of a function that XLA has compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
from jax import lax

from bnstats.backends import Device, Keys, Launch, Warn, chain

expit, erf, erfc, ndtri = special.expit, special.erf, special.erfc, special.ndtri


def __getattr__(name: str) -> Any:
    """Return one of jax.numpy's own functions."""
    return getattr(jnp, name)


def add_at(target: Any, key: Any, values: Any) -> Any:
    """Return the target with values added at a basic index."""
    return target.at[key].add(values)


def multiply_words(constant: int, words: Any) -> tuple[Any, Any]:
    """Return the high and low words of products."""
    product = words.astype(jnp.uint64) * jnp.uint64(constant)
    return (product >> jnp.uint64(32)).astype(jnp.uint32), product.astype(jnp.uint32)


def words_to_float32(words: Any, bits: int = 32) -> Any:
    """Return words of at most so many bits as numbers."""
    return words.astype(jnp.float32)


def counter(first: Any, count: int) -> tuple[Any, Any]:
    """Return low and high words of ``count`` numbers from the first, a multiple of ``count``."""
    low = first.astype(jnp.uint32) + lax.iota(jnp.uint32, count)
    return low, jnp.broadcast_to((first >> 32).astype(jnp.uint32), (count,))


def words(values: Any) -> Any:
    """Return whole numbers below 2^32 as words."""
    return jnp.asarray(values, dtype=jnp.uint32)


def repeat(count: int, step: Callable[[Any, Any], Any], state: Any) -> Any:
    """Return the state after ``count`` steps.

    On a processor this is a loop, whose results are stored; straight code would be computed again
    for everything that uses it. On a GPU it is straight code, which is fused.
    """
    device = getattr(jax.config, "jax_default_device", None)  # that of `scope`
    if (jax.default_backend() if device is None else device.platform) == "cpu":
        return lax.fori_loop(0, count, step, state)
    for i in range(count):
        state = step(i, state)
    return state


def devices() -> list[Device]:
    """Return jax's devices, those of its default platform first."""
    handles = jax.local_devices()
    if handles[0].platform != "cpu":
        with suppress(RuntimeError):  # JAX_PLATFORMS may leave the processor out
            handles += jax.local_devices(backend="cpu")
    kinds = [_kind(h) for h in handles]
    numbers = [kinds[:i].count(kind) for i, kind in enumerate(kinds)]
    return [
        Device(f"{kind}:{number}", h.device_kind, (h.memory_stats() or {}).get("bytes_limit"), h)
        for kind, number, h in zip(kinds, numbers, handles, strict=True)
    ]


def _kind(handle: Any) -> str:
    if handle.platform != "gpu":
        return str(handle.platform)
    return "rocm" if "rocm" in handle.client.platform_version else "cuda"


@contextmanager
def scope(device: Device) -> Iterator[None]:
    """Return the context in which formulas run: 64-bit types, on a device."""
    with jax.enable_x64(True), jax.default_device(device.handle):
        yield


def launcher(block: Callable[[Any, Any, Any], Any], size: int, device: Device) -> Launch:
    """Return a function that starts the sum over blocks, one compiled loop, without waiting."""

    @jax.jit
    def whole(first: Any, draws: Any, keys: Any) -> Any:
        def add(i: Any, sums: Any) -> Any:
            return sums + block(first + i * size, jnp.minimum(draws - i * size, size), keys)

        like = jax.eval_shape(block, first, draws, keys)
        return lax.fori_loop(0, -(-draws // size), add, jnp.zeros(like.shape, like.dtype))

    def launch(keys: Keys, first: int, draws: int, on_warning: Warn) -> Any:
        del on_warning  # jax fuses everything, or fails
        with scope(device):
            return whole(jnp.int64(first), jnp.int64(draws), words(keys))

    return launch


def host(sums: Any) -> Any:
    """Return the sums of a launch as a numpy array, once they are ready."""
    return np.asarray(sums)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether XLA could not allocate."""
    return any("RESOURCE_EXHAUSTED" in str(e) for e in chain(error))

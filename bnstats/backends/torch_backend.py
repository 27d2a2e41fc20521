"""torch: formulas fused by torch.compile on a GPU, and run eagerly on a processor.

On a processor compiling takes half a minute and a C++ compiler; numpy is the faster choice there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import array_api_compat.torch as standard
import torch
from torch import special
from torch.fx.experimental.proxy_tensor import make_fx

from bnstats.backends import Device, Keys, Launch, Warn, chain
from bnstats.errors import BnstatsError, described

_WORD = 0xFFFFFFFF  # words are int64: torch has next to no arithmetic for unsigned types
# Otherwise the kernel that sums a and b is not fused with the sums of a·b and b²: draws are stored.
_INDUCTOR = {"loop_ordering_after_fusion": False}

expit, erf, erfc, ndtri = special.expit, special.erf, special.erfc, special.ndtri


def __getattr__(name: str) -> Any:
    """Return one of torch's functions, with the name and the arguments of the array standard."""
    return getattr(standard, name)


def add_at(target: Any, key: Any, values: Any) -> Any:
    """Return the target with values added at a basic index; here in place."""
    target[key] += values
    return target


def pad(x: Any, widths: list[tuple[int, int]], constant_values: float) -> Any:
    """Return an array surrounded by a constant, as numpy's function of this name does."""
    flat = [width for pair in reversed(widths) for width in pair]
    return torch.nn.functional.pad(x, flat, value=constant_values)


def multiply_words(constant: int, words: Any) -> tuple[Any, Any]:
    """Return the high and low words of products, which wrap around into the sign."""
    product = words * constant
    return (product >> 32) & _WORD, product & _WORD


def words_to_float32(words: Any, bits: int = 32) -> Any:
    """Return words of at most so many bits as numbers; via int32, which is fast on GPUs."""
    signed = words.to(torch.int32).to(torch.float32)
    return torch.where(signed < 0, signed + 2.0**32, signed) if bits == 32 else signed


def counter(first: Any, count: int) -> tuple[Any, Any]:
    """Return low and high words of ``count`` numbers from the first, a multiple of ``count``."""
    low = (first & _WORD) + torch.arange(count, dtype=torch.int64)
    return low, (first >> 32).expand(count)


def words(values: Any) -> Any:
    """Return whole numbers below 2^32 as words."""
    return torch.as_tensor(values, dtype=torch.int64)


def repeat(count: int, step: Callable[[int, Any], Any], state: Any) -> Any:
    """Return the state after ``count`` steps."""
    for i in range(count):
        state = step(i, state)
    return state


def devices() -> list[Device]:
    """Return GPUs, if there are any, and the processor."""
    found = []
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        memory = None
        with suppress(RuntimeError):  # raised if other processes have filled the device
            unused = torch.cuda.memory_reserved(i) - torch.cuda.memory_allocated(i)
            memory = torch.cuda.mem_get_info(i)[0] + unused
        found.append(Device(f"cuda:{i}", properties.name, memory, torch.device("cuda", i)))
    return [*found, Device("cpu:0", "cpu", None, torch.device("cpu"))]


def launcher(block: Callable[[Any, Any, Any], Any], size: int, device: Device) -> Launch:
    """Return a function that sums over blocks; on a GPU it does not wait for the result."""
    run = block if device.kind == "cpu" else None
    unfused = ""

    def compiled(*inputs: Any) -> Any:
        graph = one_graph(block, *inputs)
        return torch.compile(graph, fullgraph=True, dynamic=False, options={**_INDUCTOR})

    def launch(keys: Keys, first: int, draws: int, on_warning: Warn) -> Any:
        nonlocal run, unfused
        with device.handle, torch.no_grad():
            at, left = (torch.full((), v, dtype=torch.int64) for v in (first, draws))
            key_words, sums = words(keys), 0.0
            for _ in range(-(-draws // size)):
                inputs = at, left.clamp(max=size), key_words
                try:
                    if run is None:
                        run = compiled(*inputs)
                    found = run(*inputs)
                except Exception as error:
                    mistaken = isinstance(error, BnstatsError)  # in a function of the user's
                    if run is block or mistaken or is_out_of_memory(error):
                        raise
                    unfused = f"torch could not fuse it, and ran it unfused: {described(error)}"
                    run = block
                    found = run(*inputs)
                sums = sums + found
                at, left = at + size, left - size
        if unfused:
            on_warning(unfused)
        return sums

    return launch


def one_graph(block: Callable[..., Any], *inputs: Any) -> Any:
    """Return a function as one graph of torch's own operations, its gradients among them.

    If torch.compile traces the Python itself, it breaks it into pieces that it does not fuse, and
    after eight variants of one function it silently stops compiling.
    """
    # As torch does itself: on a GPU a gradient would run, and be traced, in another thread.
    with torch.autograd.set_multithreading_enabled(False):
        return make_fx(block, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)


def host(sums: Any) -> Any:
    """Return the sums of a launch as a numpy array, once they are ready."""
    return sums.cpu().numpy()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch could not allocate."""
    return any(
        isinstance(e, torch.OutOfMemoryError) or "out of memory" in str(e) for e in chain(error)
    )

"""torch: formulas fused by torch.compile on a GPU, and run eagerly on a processor.

On a processor compiling takes half a minute and a C++ compiler; numpy is the faster choice there.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import array_api_compat.torch as standard
import torch

from bnstats.backends import Device, Keys, Launch, Warn
from bnstats.errors import printable

_WORD = 0xFFFFFFFF  # words are int64: torch has next to no arithmetic for unsigned types

expit = torch.special.expit
erf = torch.special.erf
erfc = torch.special.erfc
ndtri = torch.special.ndtri


def __getattr__(name: str) -> Any:
    """Hand out torch's functions under the names and with the arguments of the standard."""
    return getattr(standard, name)


def add_at(target: Any, key: Any, values: Any) -> Any:
    """Return the target with values added at a basic index; here in place."""
    target[key] += values
    return target


def maximum(x: Any, bound: Any) -> Any:
    """Return the larger; the standard's own turns a number into an array, which breaks a graph."""
    return torch.maximum(x, bound) if isinstance(bound, torch.Tensor) else x.clamp(min=bound)


def minimum(x: Any, bound: Any) -> Any:
    """Return the smaller, as `maximum`."""
    return torch.minimum(x, bound) if isinstance(bound, torch.Tensor) else x.clamp(max=bound)


def pad(x: Any, widths: list[tuple[int, int]], constant_values: float) -> Any:
    """Return an array surrounded by a constant, as numpy's function of this name."""
    flat = [width for pair in reversed(widths) for width in pair]
    return torch.nn.functional.pad(x, flat, value=constant_values)


def multiply_words(constant: int, words: Any) -> tuple[Any, Any]:
    """Return the high and low words of products, which wrap around into the sign."""
    product = words * constant
    return (product >> 32) & _WORD, product & _WORD


def words_to_float32(words: Any) -> Any:
    """Return words as numbers; by way of int32, which a GPU converts sooner than int64."""
    signed = words.to(torch.int32).to(torch.float32)
    return torch.where(signed < 0, signed + 2.0**32, signed)


def counter(first: Any, count: int) -> tuple[Any, Any]:
    """Return the low words of ``count`` 64-bit numbers from a multiple of it on, and the high."""
    low = (first & _WORD) + torch.arange(count, dtype=torch.int64)
    return low, (first >> 32).expand(count)


def words(values: Any) -> Any:
    """Return whole numbers below 2^32 as words."""
    return torch.as_tensor(values, dtype=torch.int64)


def repeat(count: int, step: Callable[[int, Any], Any], state: Any) -> Any:
    """Return a state after steps."""
    for i in range(count):
        state = step(i, state)
    return state


def version() -> str:
    """Return torch's version."""
    return str(torch.__version__)


def devices() -> list[Device]:
    """Return GPUs, if there are any, and the processor."""
    found = []
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        memory = torch.cuda.mem_get_info(i)[0]
        found.append(Device(f"cuda:{i}", properties.name, memory, torch.device("cuda", i)))
    return [*found, Device("cpu:0", "cpu", None, torch.device("cpu"))]


def launcher(block: Callable[[Any, Any, Any], Any], size: int, device: Device) -> Launch:
    """Return a function that adds blocks up; on a GPU it does not wait for it."""
    run, eager = block, device.kind == "cpu"
    if not eager:
        run = torch.compile(_with_code_of_its_own(block), fullgraph=False, dynamic=False)

    def launch(keys: Keys, first: int, draws: int, on_warning: Warn) -> Any:
        nonlocal run, eager
        with device.handle, torch.no_grad():
            at, left, key_words = torch.tensor(first), torch.tensor(draws), words(keys)
            sums: Any = 0.0
            for _ in range(-(-draws // size)):
                ready = left.clamp(max=size)
                try:
                    found = run(at, ready, key_words)
                except Exception as error:
                    if eager or is_out_of_memory(error):
                        raise
                    on_warning(f"torch.compile failed, so it ran unfused: {_first_line(error)}")
                    run, eager = block, True
                    found = run(at, ready, key_words)
                sums = sums + found
                at, left = at + size, left - size
        return sums

    return launch


def _with_code_of_its_own(block: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Return a function whose code nothing shares: of one code torch compiles 8 variants at most.

    Beyond them it runs eagerly, without a word; every layer is a variant of `Block.__call__`.
    """

    def call(first: Any, remaining: Any, keys: Any) -> Any:
        return block(first, remaining, keys)

    code = call.__code__.replace()
    return FunctionType(code, call.__globals__, call.__name__, None, call.__closure__)


def _first_line(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}".partition("\n")[0], 160)


def host(sums: Any) -> Any:
    """Wait for what a launch returned."""
    return sums.cpu().numpy()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch could not allocate."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)

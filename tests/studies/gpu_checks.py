"""Checks of a few layers: one stream whatever the blocks, float32 sums at 1e10, and errors.

Each check is a function of `Settings` that returns what it found, with ``passed`` where something
can fail.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gpu_statistics import MEASURED, relative_gaps

from bnstats.api import compute
from bnstats.backends import load
from bnstats.errors import HostError
from bnstats.sampling.counter import devices

SAME = ("sigmoid", "dropout", "max_pool2d:kernel_size=3")
SUMMED = ("sigmoid", "relu")
ABSURD = "quantum:7"
OTHER_BLOCKS = 2**19  # random numbers, a hundredth of a GPU's and eight times a processor's
TO_ROUNDING = {"float64": 1e-12, "float32": 1e-6}
ACROSS = 1e-6  # two libraries' float32 logarithms and roots, averaged
SPLIT = 3  # chunks at least, so that draws are not all in the first

Found = dict[str, Any]


class Settings(NamedTuple):
    """What all checks share."""

    device: str
    backends: list[str]
    seed: int
    quick: bool

    def draws(self, cuda: float, cpu: float, quick: float) -> int:
        """Return the draws that suit the device."""
        return int(quick if self.quick else cpu if self.device == "cpu" else cuda)


@contextmanager
def blocks_of(numbers: int) -> Iterator[None]:
    """Let blocks hold so many random numbers, on every kind of device."""
    kept = devices._BLOCK_NUMBERS, devices._LARGEST_BLOCK
    devices._BLOCK_NUMBERS, devices._LARGEST_BLOCK = {}, numbers
    try:
        yield
    finally:
        devices._BLOCK_NUMBERS, devices._LARGEST_BLOCK = kept


def repeats(s: Settings, backend: str, layer: str) -> Found:
    """Compare two equal runs, and one in other blocks and chunks."""
    draws = s.draws(3e8, 3e6, 3e5)
    draws = max(draws // load_numbers(layer), 10**4)
    found: Found = {"draws": draws}
    for dtype in TO_ROUNDING:

        def run(dtype: Any = dtype) -> Any:
            return compute(
                layer, samples=draws, seed=s.seed, dtype=dtype, backend=backend, device=s.device
            )

        one, again = run(), run()
        with blocks_of(OTHER_BLOCKS if not s.quick else 2**14):
            split = run()
        found[dtype] = {
            "again": max(relative_gaps(one, again).values()),
            "other_blocks": max(relative_gaps(one, split).values()),
        }
    found["passed"] = all(
        found[d]["again"] == 0 and found[d]["other_blocks"] <= most
        for d, most in TO_ROUNDING.items()
    )
    return found


def load_numbers(layer: str) -> int:
    """Return half of the random numbers in a draw: one for a scalar layer."""
    from bnstats.specs.spec import parse

    return parse(layer).bound.numbers // 2


def across(s: Settings, layer: str) -> Found:
    """Compare torch's digits with jax's at the same seed."""
    if len(s.backends) < 2:
        return {"skipped": f"only {', '.join(s.backends) or 'numpy'} here"}
    draws = max(s.draws(1e8, 2e6, 2e5) // load_numbers(layer), 10**4)
    found: Found = {"draws": draws}
    for dtype in TO_ROUNDING:
        one, other = (
            compute(layer, samples=draws, seed=s.seed, dtype=dtype, backend=b, device=s.device)
            for b in s.backends
        )
        found[dtype] = max(relative_gaps(one, other).values())
    found["passed"] = all(found[d] <= ACROSS for d in TO_ROUNDING)
    return found


def all_devices(s: Settings, backend: str) -> Found:
    """Compare a run on all devices of a kind with one on the first."""
    xp = load(backend)
    count = sum(d.kind == s.device for d in xp.devices())
    if count < 2:
        return {"skipped": f"{count} device of kind {s.device} here"}
    draws = s.draws(1e9, 1e6, 1e6)
    one, every = (
        compute("sigmoid", samples=draws, seed=s.seed, backend=backend, device=f"{s.device}{which}")
        for which in (":0", ":all")
    )
    gap = max(relative_gaps(one, every).values())
    return {"draws": draws, "devices": count, "gap": gap, "passed": gap <= TO_ROUNDING["float64"]}


def sums(s: Settings, backend: str, layer: str) -> Found:
    """Return how far float32 moments of many draws lie from exact values, by value and by σ."""
    draws = s.draws(1e10, 1e8, 1e6)
    begin = time.perf_counter()
    one = compute(
        layer, samples=draws, seed=s.seed, dtype="float32", backend=backend, device=s.device
    )
    found: Found = {"draws": draws, "seconds": round(time.perf_counter() - begin, 2)}
    for name in MEASURED:
        e = one.quantities[name]
        if e.exact is not None and e.z is not None:
            gap = e.value - e.exact.value
            relative = gap / e.exact.value if e.exact.value else None
            found[name] = {"z": e.z, "relative": relative}
    found["passed"] = all(abs(found[n]["z"]) < 6 for n in MEASURED if n in found)
    return found


def naive(s: Settings, layer: str) -> Found:
    """Return the relative error of σ[dx] of the same draws from running sums in float32."""
    import numpy as np

    from bnstats.backends import numpy_backend
    from bnstats.specs.spec import parse

    bound, draws, block = parse(layer).bound, int(1e6 if s.quick else 1e8), 10**6
    rng = np.random.default_rng(s.seed)
    running, double = np.float32(0), 0.0
    for _ in range(draws // block):
        x, dy = rng.standard_normal((2, block), np.float32)
        _, backward = bound.forward(numpy_backend, {"x": x, "dy": dy})
        square = backward(dy) ** 2
        double += float(square.sum(dtype=np.float64))
        square[0] += running
        running = np.add.accumulate(square, dtype=np.float32)[-1]
    return {"draws": draws, "relative": math.sqrt(float(running) / double) - 1}


def absurd(s: Settings, backend: str) -> Found:
    """Ask for a device that is not there: a HostError that says so is right."""
    try:
        compute("relu", samples=1000, backend=backend, device=ABSURD)
    except HostError as error:
        told = str(error)
        return {"told": told, "passed": ABSURD in told and backend in told}
    return {"told": "no error", "passed": False}


def out_of_memory(s: Settings, backend: str) -> Found:
    """Give a process too little memory: it should warn, halve its blocks, and end right.

    torch runs unfused for this, because fused code needs next to no memory.
    """
    if s.device != "cuda":
        return {"skipped": "needs a GPU whose memory can be limited"}
    env = {
        "torch": {"PYTORCH_CUDA_ALLOC_CONF": ""},
        "jax": {"XLA_PYTHON_CLIENT_PREALLOCATE": "true", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.01"},
    }[backend]
    return in_process("limited", backend, s.device, env=env, timeout=150)


def limited(backend: str, device: str) -> Found:
    """Run in little memory; for a process of its own."""
    layer, draws = "max_pool2d:kernel_size=3", 2 * 10**7
    if backend == "torch":
        import torch

        torch.cuda.set_per_process_memory_fraction(0.01)
        torch.compiler.set_stance("force_eager")
    else:
        devices._BYTES_PER_NUMBER = 1  # else blocks would be made to fit
        devices._LARGEST_BLOCK = 2**29
    one = compute(layer, samples=draws, backend=backend, device=device)
    told = [w for w in one.warnings if "out of memory" in w]
    z = one.std_dx.z
    right = one.samples == draws and z is not None and abs(z) < 5
    found = {"warnings": list(one.warnings), "z": z, "draws": one.samples}
    if not told and right:  # fused so well that it needs no more
        return found | {"skipped": "it did not run out of memory"}
    return found | {"passed": bool(told) and right}


def in_process(name: str, *arguments: str, env: dict[str, str], timeout: float) -> Found:
    """Call a function of this module in a process of its own and return what it returns."""
    command = [sys.executable, __file__, name, *arguments]
    done = subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr[-400:]}")
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def pieces(s: Settings) -> dict[str, Callable[[], Found]]:
    """Return all checks by name, the quick and telling ones first."""
    found: dict[str, Callable[[], Found]] = {}
    for b in s.backends:
        found[f"absurd device, {b}"] = lambda b=b: absurd(s, b)
    for layer in SUMMED:
        for b in s.backends:
            found[f"sums, {b}, {layer}"] = lambda b=b, layer=layer: sums(s, b, layer)
    for layer in SAME:
        for b in s.backends:
            found[f"repeats, {b}, {layer}"] = lambda b=b, layer=layer: repeats(s, b, layer)
        found[f"across, {layer}"] = lambda layer=layer: across(s, layer)
    for b in s.backends:
        found[f"all devices, {b}"] = lambda b=b: all_devices(s, b)
        found[f"out of memory, {b}"] = lambda b=b: out_of_memory(s, b)
    for layer in SUMMED:
        found[f"naive, {layer}"] = lambda layer=layer: naive(s, layer)
    return found


if __name__ == "__main__":
    print(json.dumps({"limited": limited}[sys.argv[1]](*sys.argv[2:])))

"""What draws dx on a device: bnstats, and what its users would write; each a function of draws.

A contender takes a number of draws, waits for the device, and returns σ[dx]. Users' code draws x
and dy in blocks, computes dx in float32 and takes its standard deviation. Libraries are imported
where they are used. As a command, for a process that sees no GPU:

    python tests/studies/gpu_contenders.py DRAWS ROUNDS

prints the seconds of bnstats on jax and of a user's jax script, taking turns, as JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from bnstats.api import compute

LAYERS = ("sigmoid", "relu", "gelu", "max_pool2d:kernel_size=3", "softmax")
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {  # of a draw's x and dy
    "max_pool2d:kernel_size=3": ((3, 3), (1, 1)),
    "softmax": ((10,), (10,)),
}
NORMAL_DENSITY = 1 / math.sqrt(2 * math.pi)

OURS = "bnstats jax"
VARIANT = " in "  # what stands before it is one contender in several block sizes

Run = Callable[[int], float]
Make = Callable[[], Run]


class Contender(NamedTuple):
    """A name, whose code it is, and what makes it ready to run; making it may fail."""

    name: str
    make: Make


def per_draw(layer: str) -> int:
    """Return how many elements dx has in a draw."""
    return math.prod(SHAPES.get(layer, ((), ()))[0])


def contenders(layer: str, device: str, backends: list[str], *, quick: bool) -> list[Contender]:
    """Return those for a layer on a device, ours first."""
    found = [
        Contender(f"bnstats {b}, {d}", partial(ours, layer, b, device, d))
        for b in backends
        for d in ("backward", "both")
    ]
    gpu, first = device != "cpu", layer == LAYERS[0]  # the bars' layer gets more trials
    eager = (2**16,) if quick else (2**20, 2**23, 2**26) if gpu else (2**20,)
    compiled = eager[1:] if first else eager[-1:]
    users: list[tuple[str, tuple[int, ...], Callable[[int], Run]]] = [
        ("torch eager", eager, lambda n: torch_user(layer, device, n)),
        ("torch autograd", eager, lambda n: torch_user(layer, device, n, autograd=True)),
        ("jax script", compiled if gpu else eager, partial(jax_user, layer, device)),
    ]
    if gpu:
        compiler = partial(torch_user, layer, device, compiled=True)
        users += [("torch.compile", compiled, compiler), ("cupy", eager, partial(cupy_user, layer))]
    found += [
        Contender(
            f"{label}{VARIANT}blocks of 2^{size.bit_length() - 1}",
            partial(make, max(size // per_draw(layer), 1)),
        )
        for label, sizes, make in users
        for size in sizes
    ]
    if layer == "sigmoid" and device != "cpu":
        for approximate in (False, True):
            label = "special function unit" if approximate else "libdevice"
            for size, warps in ((1024, 4), (512, 4), (1024, 8)):
                found.append(
                    Contender(
                        f"Triton kernel, {label}{VARIANT}{size} lanes, {warps} warps",
                        partial(triton_kernel, approximate, size, warps),
                    )
                )
    return found


def ours(layer: str, backend: str, device: str, direction: str) -> Run:
    """Return bnstats.compute as a user calls it; what it warned of is raised."""

    def run(draws: int) -> float:
        found = compute(
            layer,
            samples=draws,
            dtype="float32",
            direction=direction,
            backend=backend,
            device=device,
        )
        unfused = [w for w in found.warnings if "ran unfused" in w or "out of memory" in w]
        if unfused:
            raise RuntimeError(unfused[0])
        return found.std_dx.value

    return run


def cupy_user(layer: str, block: int) -> Run:
    if layer in SHAPES:
        raise NotImplementedError("no elementwise kernel can do it")
    from gpu_kernels import cupy_elementwise

    return cupy_elementwise(layer, block)


def triton_kernel(approximate: bool, size: int, warps: int) -> Run:
    from gpu_kernels import triton_sigmoid

    return triton_sigmoid(approximate=approximate, size=size, warps=warps)


def torch_user(
    layer: str, device: str, block: int, *, autograd: bool = False, compiled: bool = False
) -> Run:
    import torch
    from torch.nn import functional

    x_shape, dy_shape = ((block, *s) for s in SHAPES.get(layer, ((), ())))
    forward = {
        "relu": functional.relu,
        "sigmoid": torch.sigmoid,
        "gelu": functional.gelu,
        "max_pool2d:kernel_size=3": lambda x: functional.max_pool2d(x, 3),
        "softmax": lambda x: functional.softmax(x, -1),
    }[layer]

    def formula(x: Any, dy: Any) -> Any:
        if layer == "relu":
            return dy * (x > 0)
        if layer == "sigmoid":
            y = torch.sigmoid(x)
            return dy * y * (1 - y)
        if layer == "gelu":
            cdf = 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))
            return dy * (cdf + x * torch.exp(-0.5 * x * x) * NORMAL_DENSITY)
        if layer == "softmax":
            y = torch.softmax(x, -1)
            return y * (dy - (y * dy).sum(-1, keepdim=True))
        flat = x.flatten(1)
        chosen = flat.argmax(1, keepdim=True)
        return torch.zeros_like(flat).scatter(1, chosen, dy.flatten(1))

    def one() -> Any:
        x, dy = torch.randn(x_shape, device=device), torch.randn(dy_shape, device=device)
        if autograd:
            forward(x.requires_grad_()).backward(dy)
            return x.grad.std()
        with torch.no_grad():
            return formula(x, dy).std()

    step = one
    if compiled:
        torch._dynamo.config.recompile_limit = 64  # else the ninth function would run unfused
        step = torch.compile(one, dynamic=False)

    def run(draws: int) -> float:
        total: Any = 0.0
        blocks = -(-draws // block)
        for _ in range(blocks):
            total = total + step().double()
        return float(total) / blocks

    return run


def jax_user(layer: str, device: str, block: int) -> Run:
    """Return a script that keeps everything in one jit, on jax's default device."""
    import jax
    from jax import numpy as jnp

    if device != "cpu" and jax.default_backend() == "cpu":
        raise RuntimeError("jax finds no GPU")
    x_shape, dy_shape = ((*s, block) for s in SHAPES.get(layer, ((), ())))
    forward = {
        "relu": jax.nn.relu,
        "sigmoid": jax.nn.sigmoid,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "max_pool2d:kernel_size=3": lambda x: x.max((0, 1), keepdims=True),
        "softmax": lambda x: jax.nn.softmax(x, 0),
    }[layer]

    def one(i: Any, total: Any) -> Any:
        key, other = jax.random.split(jax.random.fold_in(jax.random.key(0), i))
        x, dy = jax.random.normal(key, x_shape), jax.random.normal(other, dy_shape)
        (dx,) = jax.vjp(forward, x)[1](dy)
        return total + dx.std()

    @jax.jit
    def whole(blocks: Any) -> Any:
        return jax.lax.fori_loop(0, blocks, one, jnp.float32(0)) / blocks

    return lambda draws: float(whole(-(-draws // block)))


def timed(run: Run, draws: int) -> tuple[float, float]:
    """Return seconds and σ[dx]; the run has waited for the device."""
    begin = time.perf_counter()
    value = run(draws)
    return time.perf_counter() - begin, value


def calibrated(run: Run, first: int, seconds: float) -> int:
    """Return a power of two of draws that takes about so long."""
    draws = first
    while True:
        took = timed(run, draws)[0]
        if took >= seconds / 2 or draws >= 2**40:
            return draws
        grow = min(max(round(math.log2(seconds / max(took, 1e-6))), 1), 6)
        draws <<= grow


def jax_both(block: int, *, partitionable: bool) -> Run:
    """Return a jax script for both directions of sigmoid, with either way of jax's generator."""
    import jax
    from jax import numpy as jnp

    def one(i: Any, sums: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0), i)
        x, dy = jax.random.normal(key, (2, block))
        y = 1 / (1 + jnp.exp(-x))
        dx = dy * y * (1 - y)
        return sums + jnp.stack([dx.std(), dx.mean(), y.std(), y.mean()])

    whole = jax.jit(lambda blocks: jax.lax.fori_loop(0, blocks, one, jnp.zeros(4)) / blocks)

    def run(draws: int) -> float:
        with jax.threefry_partitionable(partitionable):
            return float(whole(draws // block)[0])

    return run


def on_processor(draws: int, rounds: int) -> dict[str, Any]:
    """Return seconds of bnstats and of scripts on jax, both directions of sigmoid in float32."""
    block = 10**5  # the script's best of 2e4, 1e5 and 1e6
    draws = max(draws // block, 1) * block
    runs = {
        OURS: ours("sigmoid", "jax", "cpu", "both"),
        "jax script": jax_both(block, partitionable=True),
        "jax script, jax_threefry_partitionable off": jax_both(block, partitionable=False),
    }
    warm = {name: timed(run, draws)[1] for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for round_ in range(rounds):
        at = round_ % len(names)
        for name in names[at:] + names[:at]:
            seconds[name].append(timed(runs[name], draws)[0])
    return {"draws": draws, "seconds": seconds, "std_dx": warm}


if __name__ == "__main__":
    print(json.dumps(on_processor(int(float(sys.argv[1])), int(sys.argv[2]))))

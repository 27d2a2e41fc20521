"""What bnstats is measured against, each as one process that prints σ[dx] first.

    python tests/studies/contenders.py plain 1e8

`plain`, `torch`, `autograd` and `jax` take sigmoid in both directions; `layer SPEC N` is a plain
script for one direction of another layer; `spread SPEC QUANTITY` prints what the extrapolation
needs. Every library is imported where it is used, so that a process pays for its own alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

BLOCK = 10**6
SMALL_BLOCK = 10**5  # torch and jax are at their best with it: 2e4 and 1e6 were slower


def plain(n: int) -> list[float]:
    """What a user writes first, in blocks that fit memory."""
    import numpy as np

    sums = np.zeros(4)
    for _ in range(n // BLOCK):
        x, dy = np.random.randn(BLOCK), np.random.randn(BLOCK)  # noqa: NPY002
        y = 1 / (1 + np.exp(-x))
        dx = dy * y * (1 - y)
        sums += dx.std(), dx.mean(), y.std(), y.mean()
    return [float(s) for s in sums / (n // BLOCK)]


def torch(n: int, *, autograd: bool = False) -> list[float]:
    import torch

    torch.set_num_threads(1)
    sums = torch.zeros(4, dtype=torch.float64)
    with torch.inference_mode(not autograd):
        for _ in range(n // SMALL_BLOCK):
            x, dy = torch.randn(SMALL_BLOCK), torch.randn(SMALL_BLOCK)
            if autograd:
                y = torch.sigmoid(x.requires_grad_())
                y.backward(dy)
                y, dx = y.detach(), x.grad
            else:
                y = torch.sigmoid(x)
                dx = dy * y * (1 - y)
            sums += torch.stack([dx.std(), dx.mean(), y.std(), y.mean()])
    return (sums / (n // SMALL_BLOCK)).tolist()


def jax(n: int) -> list[float]:
    import jax  # benchmarks.py keeps it to one thread
    from jax import numpy as jnp

    jax.config.update("jax_threefry_partitionable", False)  # half the time of the default

    def block(i: Any, sums: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0), i)
        x, dy = jax.random.normal(key, (2, SMALL_BLOCK))
        y = 1 / (1 + jnp.exp(-x))
        dx = dy * y * (1 - y)
        return sums + jnp.stack([(dx * dx).mean(), dx.mean(), (y * y).mean(), y.mean()])

    blocks = n // SMALL_BLOCK
    run = jax.jit(lambda: jax.lax.fori_loop(0, blocks, block, jnp.zeros(4)) / blocks)
    ms_dx, mean_dx, ms_y, mean_y = (float(s) for s in run())
    return [math.sqrt(ms_dx - mean_dx**2), mean_dx, math.sqrt(ms_y - mean_y**2), mean_y]


def layers() -> dict[str, Callable[[int], Any]]:
    """Return, per layer and direction, a plain function from a number of draws to a block.

    A draw is a scalar or a pooling window; what a direction does not need is not drawn.
    """
    import numpy as np

    randn = np.random.randn

    def sigmoid(n: int) -> Any:
        y = 1 / (1 + np.exp(-randn(n)))
        return randn(n) * y * (1 - y)

    def tanh(n: int) -> Any:
        return randn(n) * (1 - np.tanh(randn(n)) ** 2)

    def gelu(n: int) -> Any:
        from scipy.special import erf

        x = randn(n)
        density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        return randn(n) * (0.5 * (1 + erf(x / np.sqrt(2))) + x * density)

    def max_pool2d(n: int) -> Any:
        dx = np.zeros((n, 9))
        dx[np.arange(n), randn(n, 9).argmax(1)] = randn(n)
        return dx

    return {
        "relu": lambda n: randn(n) * (randn(n) > 0),
        "sigmoid": sigmoid,
        "tanh": tanh,
        "gelu": gelu,
        "max_pool2d:kernel_size=3": max_pool2d,
        "max_pool2d:kernel_size=3 forward": lambda n: randn(n, 9).max(1),
        "avg_pool2d:kernel_size=3": lambda n: np.repeat(randn(n, 1) / 9, 9, axis=1),
        "dropout": lambda n: randn(n) * (np.random.rand(n) < 0.5) / 0.5,  # noqa: NPY002
    }


def layer(name: str, n: int) -> list[float]:
    """Return σ of a layer's dx, or of y when the name ends in " forward"."""
    draw, block = layers()[name], min(n, BLOCK // 10 if "pool" in name else BLOCK)
    found = [draw(block).std() for _ in range(n // block)]
    return [float(sum(found) / len(found))]


def spread(spec: str, quantity: str) -> list[float]:
    """Return the relative standard error of a σ times √n: exact, or from a million draws."""
    import bnstats

    exact = bnstats.exact(spec).quantities.get(quantity)
    if exact is not None and exact.asymptotic_std is not None:
        return [exact.asymptotic_std / exact.value]
    found = bnstats.compute(spec, samples=10**6).quantities[quantity]
    return [found.stderr * 10**3 / found.value]


def main(name: str, *arguments: str) -> None:
    if name == "spread":
        numbers = spread(*arguments)
    elif name == "layer":
        numbers = layer(arguments[0], int(float(arguments[1])))
    elif name == "autograd":
        numbers = torch(int(float(arguments[0])), autograd=True)
    else:
        numbers = {"plain": plain, "torch": torch, "jax": jax}[name](int(float(arguments[0])))
    print(*numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])

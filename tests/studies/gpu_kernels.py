"""Sigmoid's dx by hand: one Triton kernel from a counter to sums, and CuPy elementwise kernels.

The kernel is what the backends are measured against as the practical limit: Philox 4x32-10, both
normals of both pairs, dx = dy·y·(1 − y), and sums of dx and dx² in one pass that stores one pair of
sums per program. Imported only where there is CUDA; `triton_sigmoid` runs without it under
TRITON_INTERPRET=1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

SEED = 1234


@triton.jit(do_not_specialize=["seed"])  # else a seed divisible by 16 would be compiled for
def sigmoid_backward_sums(
    out, seed, steps: tl.constexpr, size: tl.constexpr, approximate: tl.constexpr
):
    """Write Σdx and Σdx² of a program's draws."""
    program = tl.program_id(0)
    lanes = tl.arange(0, size)
    sums = tl.zeros([size], dtype=tl.float32)
    squares = tl.zeros([size], dtype=tl.float32)
    for step in range(steps):
        a, b, c, d = tl.randint4x(seed, (program * steps + step) * size + lanes)
        x0, dy0 = normal_pair(a, b, approximate)
        x1, dy1 = normal_pair(c, d, approximate)
        y0 = 1.0 / (1.0 + tl.exp(-x0))
        y1 = 1.0 / (1.0 + tl.exp(-x1))
        dx0 = dy0 * y0 * (1.0 - y0)
        dx1 = dy1 * y1 * (1.0 - y1)
        sums += dx0 + dx1
        squares += dx0 * dx0 + dx1 * dx1
    tl.store(out + 2 * program, tl.sum(sums.to(tl.float64), axis=0))
    tl.store(out + 2 * program + 1, tl.sum(squares.to(tl.float64), axis=0))


@triton.jit
def normal_pair(radial, angular, approximate: tl.constexpr):
    """Box–Muller from two words, by libdevice's functions or by the special function unit's."""
    u = (radial.to(tl.uint32, bitcast=True).to(tl.float32) + 0.5) * 2.3283064365386963e-10
    angle = angular.to(tl.int32, bitcast=True).to(tl.float32) * 1.4629180792671596e-09  # π/2³¹
    if approximate:
        log2 = unit("lg2.approx.f32 $0, $1;", u)
        radius = unit("sqrt.approx.f32 $0, $1;", log2 * -1.3862943611198906)
        cosine = unit("cos.approx.f32 $0, $1;", angle)
        sine = unit("sin.approx.f32 $0, $1;", angle)
    else:
        radius = tl.sqrt(-2.0 * tl.log(u))
        cosine = tl.cos(angle)
        sine = tl.sin(angle)
    return radius * cosine, radius * sine


@triton.jit
def unit(instruction: tl.constexpr, x):
    return tl.inline_asm_elementwise(instruction, "=f,f", [x], tl.float32, True, 1)


def triton_sigmoid(
    *, approximate: bool, steps: int = 64, size: int = 1024, warps: int = 4, device: str = "cuda"
) -> Callable[[int], float]:
    """Return a function of a number of draws, rounded up, that returns their σ[dx].

    A lane adds ``2·steps`` numbers in float32; the rest is added in float64.
    """
    most = 2**30 // (steps * size)  # programs of a launch: their counters fit 31 bits

    def run(draws: int) -> float:
        programs = -(-draws // (2 * steps * size))
        found: Any = 0.0
        for launch, begun in enumerate(range(0, programs, most)):
            now = min(most, programs - begun)
            out = torch.empty((now, 2), dtype=torch.float64, device=device)
            sigmoid_backward_sums[(now,)](
                out, SEED + launch, steps, size, approximate, num_warps=warps
            )
            found = found + out.sum(0)
        mean, square = (float(v) / (2 * steps * size * programs) for v in found.cpu())
        return math.sqrt(square - mean**2)

    return run


def cupy_elementwise(layer: str, block: int) -> Callable[[int], float]:
    """Return the same with cupy.random and an ElementwiseKernel for dx; std is CuPy's own."""
    import cupy

    body = {
        "relu": "dx = x > 0 ? dy : 0.0f",
        "sigmoid": "float y = 1.0f / (1.0f + expf(-x)); dx = dy * y * (1.0f - y)",
        "gelu": "dx = dy * (normcdff(x) + x * 0.3989422804f * expf(-0.5f * x * x))",
    }[layer]
    kernel = cupy.ElementwiseKernel("float32 x, float32 dy", "float32 dx", body, f"{layer}_dx")
    generator = cupy.random.default_rng(0)

    def run(draws: int) -> float:
        total: Any = 0.0
        blocks = -(-draws // block)
        for _ in range(blocks):
            x = generator.standard_normal(block, dtype=cupy.float32)
            dy = generator.standard_normal(block, dtype=cupy.float32)
            total = total + kernel(x, dy).std(dtype=cupy.float32)
        return float(total) / blocks

    return run

"""Independent oracles of pooling: windows by loops, one draw at a time, and exact moments.

Nothing here is imported from bnstats. A window is the list of its positions inside the map and the
number of positions, padding included, that an average would divide by.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import oracles
from mpmath import mp, mpf

Position = tuple[int, ...]

_SIDES = {
    **dict.fromkeys(("max_pool", "avg_pool", "lp_pool"), (1, 2, 3)),
    **dict.fromkeys(("adaptive_max_pool", "adaptive_avg_pool"), (1, 2, 3)),
    **dict.fromkeys(("global_max_pool", "global_avg_pool"), (1, 2, 3)),
    "fractional_max_pool": (2, 3),
}
COVERS: dict[str, tuple[dict[str, Any], ...]] = {
    f"{pool}{n}d": () for pool, sides in _SIDES.items() for n in sides
}


class Window(NamedTuple):
    """Where it stands among the windows, its positions inside the map, and how many count."""

    index: Position
    inside: list[Position]
    counted: int


def _product(sides: Sequence[Sequence[tuple[list[int], int]]]) -> Iterator[Window]:
    """Yield the windows over several sides, given those along each: positions and count."""
    for index in itertools.product(*(range(len(side)) for side in sides)):
        along = [side[i] for side, i in zip(sides, index, strict=True)]
        inside = list(itertools.product(*(positions for positions, _ in along)))
        yield Window(index, inside, math.prod(counted for _, counted in along))


def sliding_count(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Count windows one by one.

    With ceil_mode a window may reach over the end, if the one before it ended short of it and it
    starts before the padding on the far side.
    """
    count = 0
    while True:
        start = count * stride - padding
        end = start + dilation * (kernel - 1) + 1
        short = end - stride < size + padding
        if not (short and start < size if ceil_mode else end <= size + padding):
            return count
        count += 1


def sliding(
    size: Position,
    kernel: Position,
    stride: Position,
    padding: Position,
    dilation: Position,
    ceil_mode: bool = False,
) -> list[Window]:
    """Return the windows of a finite map."""
    sides = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        side = []
        for w in range(sliding_count(n, k, s, p, d, ceil_mode)):
            held = [w * s - p + d * j for j in range(k)]
            side.append(([i for i in held if 0 <= i < n], sum(-p <= i < n + p for i in held)))
        sides.append(side)
    return list(_product(sides))


def adaptive(size: Position, output: Position) -> list[Window]:
    """Return the windows that share out a map: those of every cell of the output they touch."""
    sides = []
    for n, o in zip(size, output, strict=True):
        # cell i of o covers [i/o, (i + 1)/o) of the map, position j covers [j/n, (j + 1)/n)
        held = [
            [j for j in range(n) if j * o < (i + 1) * n and (j + 1) * o > i * n] for i in range(o)
        ]
        sides.append([(positions, len(positions)) for positions in held])
    return list(_product(sides))


def fractional(size: Position, kernel: Position, output: Position, u: Sequence[float]) -> Any:
    """Return the windows that one uniform number for each side places, as torch's C++ does."""
    sides = []
    for n, k, o, v in zip(size, kernel, output, u, strict=True):
        starts = []
        for i in range(o - 1):
            alpha = (n - k) / (o - 1)
            starts.append(int((i + v) * alpha) - int(v * alpha))
        starts.append(n - k)
        sides.append([(list(range(a, a + k)), k) for a in starts])
    return list(_product(sides))


# --- one draw through them --------------------------------------------------------------------

Rule = Callable[[Window, np.ndarray], tuple[float, list[float]]]


def largest(window: Window, x: np.ndarray) -> tuple[float, list[float]]:
    """Return the maximum and the slopes; the first of equals has it."""
    values = [float(x[p]) for p in window.inside]
    first = values.index(max(values))
    return values[first], [float(i == first) for i in range(len(values))]


def average(divisor: Callable[[Window], float]) -> Rule:
    """Return the rule of a sum over a divisor."""

    def rule(window: Window, x: np.ndarray) -> tuple[float, list[float]]:
        d = divisor(window)
        return sum(float(x[p]) for p in window.inside) / d, [1 / d] * len(window.inside)

    return rule


def norm(p: int, full: int) -> Rule:
    """Return the rule of (full·mean x^p)^(1/p), by torch's formula, p = 1 or even."""

    def rule(window: Window, x: np.ndarray) -> tuple[float, list[float]]:
        scale = full / len(window.inside)
        values = [float(x[q]) for q in window.inside]
        powers = scale * math.fsum(v**p for v in values)
        y = powers if p == 1 else powers ** (1 / p)
        return y, [scale * v ** (p - 1) / y ** (p - 1) if y else 0.0 for v in values]

    return rule


def twin(windows: list[Window], rule: Rule, x: np.ndarray, dy: np.ndarray) -> tuple[Any, Any]:
    """Return y and dx of one draw by loops."""
    y, dx = np.empty_like(dy), np.zeros_like(x)
    for window in windows:
        y[window.index], slopes = rule(window, x)
        for position, slope in zip(window.inside, slopes, strict=True):
            dx[position] += dy[window.index] * slope
    return y, dx


# --- exact moments of y in a window, and of its slopes ------------------------------------------


class Moments(NamedTuple):
    """E[y], E[y²] and the expected sum of the squared slopes of one window."""

    mean: Any
    square: Any
    slopes: Any


@cache
def largest_moments(count: int, mean: float, std: float) -> Moments:
    one, two = oracles.largest_of(count)[1:3]
    with mp.workdps(oracles.DIGITS):
        m, s = mpf(mean), mpf(std)
        return Moments(m + s * one, m * m + 2 * m * s * one + s * s * two, mpf(1))


def sum_moments(count: int, factor: Any, mean: float, std: float) -> Moments:
    """Return those of factor·Σx."""
    with mp.workdps(oracles.DIGITS):
        m, s, c = mpf(mean), mpf(std), mpf(factor)
        return Moments(c * count * m, c * c * count * (s * s + count * m * m), c * c * count)


@cache
def length_moments(count: int, full: int, mean: float, std: float) -> Moments:
    """Return those of √(full/count·Σx²): the noncentral chi, its mean by Kummer's function."""
    with mp.workdps(oracles.DIGITS):
        m, s, n = mpf(mean), mpf(std), mpf(count)
        lam = n * (m / s) ** 2
        first = mp.sqrt(2) * mp.gamma((n + 1) / 2) / mp.gamma(n / 2)
        first *= mp.hyp1f1(mpf(-1) / 2, n / 2, -lam / 2)
        scale = mpf(full) / n
        return Moments(mp.sqrt(scale) * s * first, scale * s * s * (n + lam), scale)


def map_moments(parts: list[Moments], positions: int, dy_std: float) -> tuple[Any, Any, Any]:
    """Return mean and variance of y over the windows, and E[dx²] over the positions."""
    with mp.workdps(oracles.DIGITS):
        mean = mp.fsum(p.mean for p in parts) / len(parts)
        square = mp.fsum(p.square for p in parts) / len(parts)
        slopes = mp.fsum(p.slopes for p in parts)
        return mean, square - mean**2, mpf(dy_std) ** 2 * slopes / positions

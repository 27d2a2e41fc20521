"""The geometry of sliding windows, shared by pooling and convolution.

Two views of a layer. Without ``input_size`` it is seen in the interior of an unbounded input: dx is
kept on one stride period of positions, and the event holds every window that reaches into it. With
``input_size`` it is the finite map, borders and padding included, and dx is kept everywhere.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from bnstats.layers._parameters import ParameterError, Size
from bnstats.layers._registry import Array, Namespace

_MOST_ELEMENTS = 10**7


def per_side(name: str, value: Size, sides: int) -> tuple[int, ...]:
    """Return one int per side; a tuple of another length raises ParameterError."""
    if isinstance(value, int):
        return (value,) * sides
    if len(value) != sides:
        text = "x".join(map(str, value))
        raise ParameterError(f"{name}={text} has {len(value)} sides where the layer has {sides}")
    return value


class Extent(NamedTuple):
    """How many positions of the input a window holds."""

    inside: int


@dataclass(frozen=True)
class Windows:
    """Windows over one event; every tuple has one entry per side of the map.

    Attributes
    ----------
    kernel, stride, padding, dilation
        As in torch; padding is 0 in the interior view.
    size
        Positions of x an event holds.
    count
        Windows, i.e. positions of y.
    kept
        The positions of x whose dx belongs to the event, as slices into the unpadded map.
    interior
        Whether the map is a piece of an unbounded one.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    size: tuple[int, ...]
    count: tuple[int, ...]
    kept: tuple[slice, ...]
    dilation: tuple[int, ...]
    interior: bool

    def offsets(self) -> Iterator[tuple[int, ...]]:
        """Yield the positions of a window, in row-major order."""
        return itertools.product(*(range(k) for k in self.kernel))

    def at(self, offset: tuple[int, ...]) -> tuple[Any, ...]:
        """Return the index that takes one position of every window from the padded map."""
        starts = (o * d for o, d in zip(offset, self.dilation, strict=True))
        sides = zip(starts, self.stride, self.count, strict=True)
        return (..., *(slice(a, a + s * (c - 1) + 1, s) for a, s, c in sides), slice(None))

    def pad(self, xp: Namespace, x: Array, value: float) -> Array:
        """Surround the map (sides, n), leading axes allowed, by its padding."""
        if not any(self.padding):
            return x
        lead = x.ndim - len(self.padding) - 1
        widths = [(0, 0)] * lead + [(p, p) for p in self.padding] + [(0, 0)]
        return xp.pad(x, widths, constant_values=value)

    def crop(self, padded: Array) -> Array:
        """Return the kept positions of a padded map."""
        sides = zip(self.kept, self.padding, strict=True)
        return padded[(..., *(slice(s.start + p, s.stop + p) for s, p in sides), slice(None))]

    def reach(self) -> Counter[int]:
        """Count the windows by how many positions of the input, padding excluded, they hold."""
        totals: Counter[int] = Counter({1: 1})
        for side in range(len(self.kernel)):
            counts = Counter(self._inside(side, w) for w in range(self.count[side]))
            step: Counter[int] = Counter()
            for (a, na), (b, nb) in itertools.product(totals.items(), counts.items()):
                step[a * b] += na * nb
            totals = step
        return totals

    def visits(self, weight: Callable[[int], float] = lambda inside: 1.0) -> float:
        """Mean over the kept positions of the sum, over the windows that hold one, of a weight.

        The weight is a function of the window's count of input positions, as in `reach`. In the
        interior every window is full, and a position lies in kernel/stride of them per side.
        """
        if self.interior:
            full = prod(self.kernel)
            return weight(full) * full / prod(self.stride)
        total = sum(n * inside * weight(inside) for inside, n in self.reach().items())
        return total / prod(self.size)

    def per_window(self, value: Callable[[Extent], float]) -> float:
        """Return the mean over the windows of a function of their extent."""
        return sum(value(Extent(m)) * n for m, n in self.reach().items()) / prod(self.count)

    def per_position(self, value: Callable[[Extent], float]) -> float:
        """Return the sum over the windows of a function of their extent, for each kept position."""
        return self.visits(lambda inside: value(Extent(inside)) / inside if inside else 0.0)

    def _inside(self, side: int, window: int) -> int:
        start = window * self.stride[side] - self.padding[side]
        taps = (start + tap * self.dilation[side] for tap in range(self.kernel[side]))
        return sum(0 <= position < self.size[side] for position in taps)


def _bounded(laid_out: Windows) -> Windows:
    """Return the windows unless a draw would take minutes."""
    if prod(laid_out.kernel) * prod(laid_out.count) > _MOST_ELEMENTS:
        raise ParameterError(f"the windows of one draw hold more than {_MOST_ELEMENTS:,} elements")
    return laid_out


def windows(
    sides: int,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    input_size: Size | None,
    dilation: Size = 1,
) -> Windows:
    """Lay out the windows of one event; sizes as in torch, ``stride=None`` is the kernel's.

    Raises
    ------
    ParameterError
        A tuple of the wrong length, or a kernel larger than the padded input.
    """
    k = per_side("kernel_size", kernel_size, sides)
    s = k if stride is None else per_side("stride", stride, sides)
    p = per_side("padding", padding, sides)
    d = per_side("dilation", dilation, sides)
    reach = tuple(di * (ki - 1) + 1 for ki, di in zip(k, d, strict=True))
    if input_size is None:
        before = tuple((ri - 1) // si for ri, si in zip(reach, s, strict=True))
        starts = tuple(b * si for b, si in zip(before, s, strict=True))
        return _bounded(
            Windows(
                kernel=k,
                stride=s,
                padding=(0,) * sides,
                size=tuple(a + max(ri, si) for a, ri, si in zip(starts, reach, s, strict=True)),
                count=tuple(b + 1 for b in before),
                kept=tuple(slice(a, a + si) for a, si in zip(starts, s, strict=True)),
                dilation=d,
                interior=True,
            )
        )
    size = per_side("input_size", input_size, sides)
    for ki, di, ri, pi, ni in zip(k, d, reach, p, size, strict=True):
        if ri > ni + 2 * pi:
            dilated = f" at dilation={di} reaches over {ri} positions," if di > 1 else ""
            raise ParameterError(
                f"kernel_size={ki}{dilated} is larger than the padded input, {ni + 2 * pi}"
            )
    return _bounded(
        Windows(
            kernel=k,
            stride=s,
            padding=p,
            size=size,
            count=tuple(
                (n + 2 * pi - ri) // si + 1 for n, pi, ri, si in zip(size, p, reach, s, strict=True)
            ),
            kept=tuple(slice(0, n) for n in size),
            dilation=d,
            interior=False,
        )
    )


def padding_hint(padding: Size, input_size: Size | None) -> tuple[str, ...]:
    """Say that padding has no effect in the interior view."""
    padded = any(padding) if isinstance(padding, tuple) else padding > 0
    if not padded or input_size is not None:
        return ()
    return ("padding changes nothing in the interior of an unbounded input; add input_size=N",)


def border_hints(input_size: Size | None, *, padding: Size) -> tuple[str, ...]:
    """Say that padding has no effect in the interior view."""
    return padding_hint(padding, input_size)

"""Laying out windows by torch's rules: sliding ones, and those that adapt to the size of the map.

Two views of a layer. Without ``input_size`` it is seen in the interior of an unbounded input: dx is
kept on one stride period of positions, and the event holds every window that reaches into it. With
``input_size`` it is the finite map, borders and padding included, and dx is kept everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod
from typing import Any, Literal

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Namespace
from bnstats.layers._parameters import ParameterError, Size
from bnstats.layers._windows import Region, Side, Stretch, Windows

_MOST_ELEMENTS = 10**7
_MOST_KINDS = 2**16
# Of pooling over sliding windows, and over those that adapt.
CITE = "torch.nn.functional; https://arxiv.org/abs/1603.07285 for the geometry"
# Examples of windows that share out a map, by the number of its sides.
SHARED_OUT = {
    1: ("input_size=8,output_size=3",),
    2: ("input_size=8,output_size=3",),
    3: ("input_size=5,output_size=2",),
}
# Examples of one window as large as the map.
WHOLE_MAP = {1: ("input_size=7",), 2: ("input_size=7",), 3: ("input_size=4",)}


def per_side(name: str, value: Size | str, sides: int) -> tuple[Any, ...]:
    """Return one int, or word, per side; a tuple of another length raises ParameterError."""
    if isinstance(value, int | str):
        return (value,) * sides
    if len(value) != sides:
        text = "x".join(map(str, value))
        raise ParameterError(f"{name}={text} has {len(value)} sides where the layer has {sides}")
    return value


def by_side(sides: int, **sizes: Size | str) -> list[tuple[Any, ...]]:
    """Return the sizes along each side in turn; see `per_side`."""
    return list(zip(*(per_side(name, size, sides) for name, size in sizes.items()), strict=True))


def laid_out(sides: tuple[Side, ...]) -> Windows:
    """Return the windows unless a draw would take minutes."""
    found = Windows(sides)
    if prod(found.kernel) * prod(found.count) > _MOST_ELEMENTS:
        raise ParameterError(f"the windows of one draw hold more than {_MOST_ELEMENTS:,} elements")
    return found


def windows(
    sides: int,
    kernel_size: Size,
    stride: Size | None,
    padding: Size | Literal["same"],
    input_size: Size | None,
    dilation: Size = 1,
    *,
    ceil_mode: bool = False,
    region: Region = "all",
    any_padding: bool = False,
) -> Windows:
    """Lay out sliding windows; sizes as in torch, ``stride=None`` is the kernel's.

    ``same`` is the padding by which a map of n positions has ⌈n/stride⌉ windows, the odd one after
    the map, as in torch, keras and jax. Padding above half the kernel is refused, as by torch's
    pooling, unless ``any_padding``.

    Raises
    ------
    ParameterError
        A tuple of the wrong length, padding that is refused, a kernel larger than the padded input,
        or a region that holds no window or no position.
    """
    stride = kernel_size if stride is None else stride
    slid = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    each = by_side(sides, **slid)
    for k, _, p, _ in each:
        if not any_padding and p > k // 2:
            raise ParameterError(f"padding={p} is more than half of kernel_size={k}")
    if input_size is None:
        if region != "all":
            raise ParameterError(f"region={region} is a part of a finite map: it needs input_size")
        found = laid_out(tuple(_interior(k, s, d) for k, s, _, d in each))
        return replace(found, hints=idle_hints(padding, ceil_mode=ceil_mode))
    each = by_side(sides, **slid, input_size=input_size)
    found = laid_out(tuple(_finite(*side, ceil_mode=ceil_mode) for side in each))
    if region == "all":
        return found
    part = replace(found, region=region)
    for what, held in (("window", part.indices), ("position", part.positions)):
        if not held:
            raise ParameterError(f"region={region} holds no {what} of this map")
    return part


def _interior(kernel: int, stride: int, dilation: int) -> Side:
    """Lay out the windows from the first to the last that reaches into a period of positions."""
    reach = dilation * (kernel - 1) + 1
    before = (reach - 1) // stride
    first = before * stride
    return Side(
        size=first + max(reach, stride),
        stretches=(Stretch(0, stride, before + 1, kernel, dilation),),
        period=range(first, first + stride),
    )


def _finite(
    kernel: int,
    stride: int,
    padding: int | Literal["same"],
    dilation: int,
    size: int,
    *,
    ceil_mode: bool,
) -> Side:
    """Lay out the windows of a finite map by torch's rule (pooling_output_shape)."""
    reach = dilation * (kernel - 1) + 1
    if padding == "same":
        both = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before, after = both // 2, both - both // 2
    else:
        before = after = padding
    available = before + size + after
    count = (available - reach + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= before + size:
        count -= 1  # a window that would start in the padding after the map
    if count < 1:
        dilated = f" at dilation={dilation} reaches over {reach} positions," if dilation > 1 else ""
        raise ParameterError(
            f"kernel_size={kernel}{dilated} is larger than the padded input, {available}"
        )
    overhang = max((count - 1) * stride + reach - available, 0)
    return Side(
        size=size,
        stretches=(Stretch(0, stride, count, kernel, dilation),),
        padding=(before, after + overhang),
        margin=before,
    )


def adaptive_windows(sides: int, output_size: Size, input_size: Size) -> Windows:
    """Lay out as many windows as ``output_size`` says, as in torch.

    Window i of o on n positions begins at ⌊i·n/o⌋ and ends before ⌈(i+1)·n/o⌉. Where o does not
    divide n, extents differ and windows overlap; they recur after o/gcd(n, o) of them.
    """
    each = by_side(sides, output_size=output_size, input_size=input_size)
    return laid_out(tuple(_adaptive(*side) for side in each))


def _adaptive(output: int, size: int) -> Side:
    recur = gcd(size, output)
    kinds = output // recur
    refuse_many_kinds(kinds, output, size)

    def stretch(i: int) -> Stretch:
        start, stop = i * size // output, -(-(i + 1) * size // output)
        return Stretch(start, size // recur, recur, stop - start, place=slice(i, None, kinds))

    return Side(size, tuple(map(stretch, range(kinds))))


def refuse_many_kinds(kinds: int, output: int, size: int) -> None:
    """Raise ParameterError for more kinds of windows along a side than can be laid out at once."""
    if kinds > _MOST_KINDS:
        raise ParameterError(
            f"output_size={output} on input_size={size} makes {kinds:,} kinds of windows; the "
            f"limit is {_MOST_KINDS:,}"
        )


def in_region(bound: BoundLayer, w: Windows) -> BoundLayer:
    """Return the layer with the hints on its windows, and with y and dx of their region alone.

    y and dx of a part of the map are vectors.
    """
    bound = replace(bound, hints=bound.hints + w.hints)
    if w.region == "all":
        return bound

    def picked(xp: Namespace, values: Array, shape: tuple[int, ...], which: list[int]) -> Array:
        lead = values.shape[: values.ndim - len(shape) - 1]
        flat = xp.reshape(values, (*lead, prod(shape), values.shape[-1]))
        return xp.take(flat, xp.asarray(which), axis=len(lead))

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, backward = bound.forward(xp, draws)

        def backward_picked(dy: Array) -> Array:
            return picked(xp, backward(dy), w.size, w.positions)

        return picked(xp, y, w.count, w.indices), backward_picked

    return replace(bound, forward=forward)


def idle_hints(padding: Size | str, *, ceil_mode: bool = False) -> tuple[str, ...]:
    """Say which parameters have no effect in the interior view, of which same is true as it is."""
    padded = any(padding) if isinstance(padding, tuple) else padding not in (0, "same")
    idle = [name for name, given in (("padding", padded), ("ceil_mode", ceil_mode)) if given]
    if not idle:
        return ()
    change = "change" if len(idle) > 1 else "changes"
    what = f"{' and '.join(idle)} {change} nothing in the interior of an unbounded input"
    return (f"{what}; add input_size=N",)

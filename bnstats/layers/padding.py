"""Padding and cropping: y is x with positions added on both ends of each side, or taken away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bnstats.layers._bound import BoundLayer
from bnstats.layers._layout import by_side
from bnstats.layers._maps import Taps, along, linear_map
from bnstats.layers._parameters import Padding, ParameterError, Sizes
from bnstats.layers._registry import structured_by_sides

_SHOWN = "dx_i = Σ dy over the positions of y that show x_i"
_EXAMPLES = dict.fromkeys((1, 2, 3), ("input_size=4,padding=1",))
# What torch's layers of padding have in common.
_padding = partial(structured_by_sides, gradient=_SHOWN, cite="torch.nn", examples=_EXAMPLES)


def _padded(
    sides: int,
    padding: int | tuple[int, ...],
    input_size: int | tuple[int, ...],
    shown: Callable[[int, int], int | None],
    outside: float = 0.0,
) -> BoundLayer:
    """Return the layer whose y shows x at shown(i, n), i counted from the position of x₀.

    Where the padding is negative, so many positions of x are cut off.
    """

    def of_side(padding: int, n: int) -> Callable[[int], Taps]:
        def taps(i: int) -> Taps:
            position = shown(i - padding, n)
            return {} if position is None else {position: 1.0}

        return taps

    each = by_side(sides, padding=padding, input_size=input_size)
    return linear_map([along(n, n + 2 * p, of_side(p, n)) for p, n in each], outside)


@_padding(
    "y = x, and 0 in the padding around it",
    gradient="dx = dy where x is",
    name="zero_pad{}d",
    aliases=("torch.pad{}d", "keras.ZeroPadding{}D:padding=1"),
)
def zero_pad(sides: int, *, padding: Padding, input_size: Sizes) -> BoundLayer:
    """Zero padding on both ends of every side."""
    return constant_pad(sides, padding=padding, value=0.0, input_size=input_size)


@_padding(
    "y = x, and value in the padding around it",
    gradient="dx = dy where x is",
    name="constant_pad{}d",
    examples=dict.fromkeys((1, 2, 3), ("input_size=4,padding=1,value=1",)),
)
def constant_pad(sides: int, *, padding: Padding, value: float, input_size: Sizes) -> BoundLayer:
    """Constant padding on both ends of every side."""

    def shown(i: int, n: int) -> int | None:
        return i if 0 <= i < n else None

    return _padded(sides, padding, input_size, shown, value)


@_padding("y_i = x_|i| before x, and x_2(n−1)−i behind it", name="reflection_pad{}d")
def reflection_pad(sides: int, *, padding: Padding, input_size: Sizes) -> BoundLayer:
    """Mirror images of x, without its edges, on both ends of every side."""
    for p, n in by_side(sides, padding=padding, input_size=input_size):
        if p >= n:
            raise ParameterError(f"padding={p} is not smaller than input_size={n}")
    return _padded(sides, padding, input_size, lambda i, n: min(abs(i), 2 * (n - 1) - i))


@_padding("y_i = x at the position nearest to i", name="replication_pad{}d")
def replication_pad(sides: int, *, padding: Padding, input_size: Sizes) -> BoundLayer:
    """Repeated edges of x on both ends of every side."""
    return _padded(sides, padding, input_size, lambda i, n: min(max(i, 0), n - 1))


@_padding("y_i = x_(i mod n)", name="circular_pad{}d")
def circular_pad(sides: int, *, padding: Padding, input_size: Sizes) -> BoundLayer:
    """Periodic padding: x from its other end on both ends of every side."""
    for p, n in by_side(sides, padding=padding, input_size=input_size):
        if p > n:
            raise ParameterError(f"padding={p} is larger than input_size={n}")
    return _padded(sides, padding, input_size, lambda i, n: i % n)


@structured_by_sides(
    "y = x without its outer positions",
    "dx = dy where y is, 0 outside",
    name="cropping{}d",
    cite="keras.layers",
    aliases_of={
        1: ("keras.Cropping1D:cropping=1",),
        2: ("keras.Cropping2D:cropping=0", "keras.CenterCrop"),
        3: ("keras.Cropping3D:cropping=1",),
    },
    examples=dict.fromkeys((1, 2, 3), ("cropping=1,input_size=4",)),
)
def cropping(sides: int, *, cropping: Padding, input_size: Sizes) -> BoundLayer:
    """Cropping by so many positions on both ends of every side."""
    each = by_side(sides, cropping=cropping, input_size=input_size)
    for c, n in each:
        if 2 * c >= n:
            raise ParameterError(f"cropping={c} leaves nothing of input_size={n}")

    return _padded(sides, tuple(-c for c, _ in each), input_size, lambda i, n: i)

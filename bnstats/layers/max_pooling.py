"""Max pooling: over sliding windows, over windows that adapt to the size, and over the whole map.

A window sends all of its dy to one x. Several may send theirs to the same x, but their dy are
independent with mean zero, so E[dx²] is dy_std² times the number of windows per position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import UNKNOWN, ExactMoments, Known, summed
from bnstats.layers._layout import CITE, SHARED_OUT, WHOLE_MAP, adaptive_windows, in_region, windows
from bnstats.layers._parameters import MapSize, Padding, ParameterError, Sizes, Stride
from bnstats.layers._reductions import largest, over_windows
from bnstats.layers._registry import Pointwise, structured_by_sides
from bnstats.layers._windows import Region, Windows

_ROUNDING = 2.0**-45
_FORMULA = "y_w = max of x_i over i in window w"
_GRADIENT = "dx_i = Σ_w dy_w·[x_i is the maximum of w]"


def _largest_of(w: Windows) -> BoundLayer:
    """Return the layer of y = max of x over each window."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        return over_windows(xp, draws["x"], w, largest, padding=-float("inf"))

    def moments(
        law: Law, expect: Expect, f: Pointwise | None = None, breakpoints: tuple[float, ...] = ()
    ) -> ExactMoments:
        shares = [(extent.inside, share) for extent, share in w.shares.items()]
        windows, scalar = w.per_position(lambda e: 1), prod(w.count) == 1
        return max_moments(shares, windows, scalar, law, expect, f, breakpoints)

    def moments_after(
        f: Pointwise, breakpoints: tuple[float, ...], law: Law, expect: Expect
    ) -> ExactMoments:
        # The maximum of an increasing f is f of the maximum, and dx = dy·f′ there.
        rises = _is_increasing(f, breakpoints, expect)
        return moments(law, expect, f, breakpoints) if rises else ExactMoments()

    inputs = {"x": Input(w.size), "dy": Input(w.count)}
    return BoundLayer(inputs, forward, moments, moments_after=moments_after)


def _is_increasing(f: Pointwise, breakpoints: tuple[float, ...], expect: Expect) -> bool:
    """Whether f falls nowhere among the nodes of a quadrature, but by rounding."""

    def fall(xp: Namespace, x: Array) -> Array:
        y = f(xp, xp.sort(xp.reshape(x, (-1,))))[0]
        largest = xp.max(xp.maximum(y[:-1] - y[1:], 0)) if y.shape[0] > 1 else 0.0
        return xp.ones_like(x) * (largest > _ROUNDING * xp.max(xp.abs(y)))

    return expect(fall, breakpoints=breakpoints).value == 0


def max_moments(
    shares: Sequence[tuple[int, float]],
    windows: float,
    scalar: bool,
    law: Law,
    expect: Expect,
    f: Pointwise | None = None,
    breakpoints: tuple[float, ...] = (),
) -> ExactMoments:
    """Return the moments of windows whose y is the largest of m elements of x, or f of it.

    Parameters
    ----------
    shares
        Pairs of m and the share of the windows that hold so many elements.
    windows
        Windows per position of x.
    scalar
        Whether y has a single position, and so a fourth moment.
    law, expect
        As `BoundLayer.moments` takes them.
    f, breakpoints
        An increasing function with its slope, and where it is not smooth; None for x itself.
    """

    def over_y(value: Callable[[Array, Array], Array]) -> Known:
        def at(xp: Namespace, x: Array) -> Array:
            return value(*f(xp, x)) if f else value(x, 1.0)

        parts = (share * expect(at, maximum_of=m, breakpoints=breakpoints) for m, share in shares)
        return summed(*parts).known_by("order statistics")

    mean = over_y(lambda y, slope: y)
    of_slope = over_y(lambda y, slope: slope * slope) if f else Known(1.0)
    return ExactMoments(
        mean_y=mean,
        var_y=over_y(lambda y, slope: (y - mean.value) ** 2),
        m4_y=over_y(lambda y, slope: (y - mean.value) ** 4) if scalar else UNKNOWN,
        ms_dx=law.dy_std**2 * windows * of_slope,
    )


@structured_by_sides(
    _FORMULA,
    _GRADIENT,
    name="max_pool{}d",
    cite=CITE,
    aliases=("max_pooling{}d:kernel_size=2", "flax.max_pool{}d:stride=1"),
    examples={
        1: ("kernel_size=2", "kernel_size=3"),
        2: (
            "kernel_size=2",
            "kernel_size=3",
            "kernel_size=3,stride=2",
            "input_size=8,kernel_size=3,padding=1,stride=2",
            "input_size=8,kernel_size=3,padding=1,region=border,stride=2",
            "ceil_mode=true,input_size=8,kernel_size=3,stride=2",
            "dilation=2,kernel_size=3,stride=1",
        ),
        3: ("kernel_size=2", "kernel_size=3"),
    },
)
def max_pool(
    sides: int,
    *,
    kernel_size: Sizes,
    stride: Stride = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    input_size: MapSize = None,
    region: Region = "all",
) -> BoundLayer:
    """Largest element of each window; padding is −∞."""
    w = windows(
        sides,
        kernel_size,
        stride,
        padding,
        input_size,
        dilation,
        ceil_mode=ceil_mode,
        region=region,
    )
    # torch answers −∞, with no position to send dy to
    if any(extent.inside == 0 for extent in w.shares):
        raise ParameterError("a window lies in the padding, its positions skip the whole input")
    return in_region(_largest_of(w), w)


@structured_by_sides(
    f"{_FORMULA} = [⌊w·n/o⌋, ⌈(w+1)·n/o⌉)",
    _GRADIENT,
    name="adaptive_max_pool{}d",
    cite=CITE,
    examples=SHARED_OUT,
)
def adaptive_max_pool(sides: int, *, output_size: Sizes, input_size: Sizes) -> BoundLayer:
    """Largest element of each of output_size windows, which share out the input."""
    return _largest_of(adaptive_windows(sides, output_size, input_size))


@structured_by_sides(
    "y = max of x_i over the whole map",
    "dx_i = dy·[x_i is the maximum]",
    name="global_max_pool{}d",
    cite="keras.layers",
    aliases=("global_max_pooling{}d",),
    examples=WHOLE_MAP,
)
def global_max_pool(sides: int, *, input_size: Sizes) -> BoundLayer:
    """Largest element of the whole map."""
    return _largest_of(adaptive_windows(sides, 1, input_size))

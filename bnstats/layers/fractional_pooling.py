"""Fractional max pooling: windows of one size at random distances, which share out the map.

The random numbers that place them are inputs of the draw. Wherever it lies, a window holds as many
independent elements as its kernel: what the layer's moments are does not depend on the places.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import gcd, prod

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments
from bnstats.layers._layout import laid_out, per_side, refuse_many_kinds
from bnstats.layers._parameters import ParameterError, Sizes
from bnstats.layers._reductions import Reduced, Reduction, largest, over_stretches
from bnstats.layers._registry import structured_by_sides
from bnstats.layers._windows import Side, Stretch
from bnstats.layers.max_pooling import max_moments


def _side(kernel: int, output: int, size: int, spare: int) -> Side:
    """Lay out the windows of one side, each with all the positions that it may hold.

    torch starts window i of o at ⌊(i + u)·α⌋ − ⌊u·α⌋, u uniform and α = (n − k)/(o − 1): at ⌊i·α⌋,
    or one position further where the fractions of i·α and u·α add up to 1. In three dimensions it
    wants a ``spare`` position.
    """
    room, gaps = size - kernel, output - 1
    if room < gaps + spare:
        raise ParameterError(
            f"kernel_size={kernel} and output_size={output} need {kernel + gaps + spare} "
            f"positions, input_size is {size}"
        )
    recur = gcd(room, gaps) or 1  # windows after which the fraction of i·α is 0 again
    kinds, step = max(gaps // recur, 1), max(room // recur, 1)  # of a lone window, any step
    refuse_many_kinds(kinds, output, size)

    def stretch(i: int) -> Stretch:
        start = i * step // kinds if gaps else room
        count, taps = -(-(output - i) // kinds), kernel + (i * step % kinds > 0)
        return Stretch(start, step, count, taps, place=slice(i, None, kinds))

    return Side(size, tuple(map(stretch, range(kinds))))


def _shifted(shift: Array) -> Reduction:
    """Return the maximum over all but the last position, or where the shift is 1 but the first."""

    def reduction(xp: Namespace, taps: Sequence[Array]) -> Reduced:
        # Products with 0 and 1 are exact, and a where() on random masks mispredicts.
        y, share = largest(xp, [a * (1 - shift) + b * shift for a, b in pairwise(taps)])
        last = len(taps) - 1

        def back(dy: Array, tap: int) -> Array:
            if tap == 0:
                return share(dy, 0) * (1 - shift)
            if tap == last:
                return share(dy, last - 1) * shift
            return share(dy, tap) * (1 - shift) + share(dy, tap - 1) * shift

        return y, back

    return reduction


@structured_by_sides(
    "y_w = max of x_i over i in [a_w, a_w + k),  a_w = ⌊(w + u)α⌋ − ⌊uα⌋,  α = (n − k)/(o − 1)",
    "dx_i = Σ_w dy_w·[x_i is the maximum of w]",
    name="fractional_max_pool{}d",
    cite="arXiv:1412.6071; torch.nn.functional",
    examples={
        2: ("input_size=7,kernel_size=2,output_size=4",),
        3: ("input_size=4,kernel_size=2,output_size=2",),
    },
)
def fractional_max_pool(
    sides: int, *, kernel_size: Sizes, output_size: Sizes, input_size: Sizes
) -> BoundLayer:
    """Largest element of windows of kernel_size at random distances; new ones for every draw."""
    k = per_side("kernel_size", kernel_size, sides)
    o = per_side("output_size", output_size, sides)
    n = per_side("input_size", input_size, sides)
    w = laid_out(tuple(map(_side, k, o, n, (int(sides == 3),) * sides)))

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x, samples = draws["x"], draws["random_samples"]

        def reduction_of(axis: int, stretch: Stretch) -> Reduction:
            if stretch.taps == k[axis]:
                return largest
            # In two dimensions torch's first sample is for the last side, in three for the first.
            u = samples[1 - axis if sides == 2 else axis]
            alpha = (n[axis] - k[axis]) / (o[axis] - 1)
            start = xp.floor((stretch.place.start + u) * alpha) - xp.floor(u * alpha)
            return _shifted(xp.astype(start > stretch.start, x.dtype))

        return over_stretches(xp, x, w.sides, reduction_of)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        return max_moments([(prod(k), 1.0)], prod(o) / prod(n), prod(o) == 1, law, expect)

    inputs = {"x": Input(n), "dy": Input(o), "random_samples": Input((sides,), "uniform")}
    return BoundLayer(inputs, forward, moments)

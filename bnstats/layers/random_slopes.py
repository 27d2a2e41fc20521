"""Randomised leaky rectified linear units: every draw has a slope of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments, Known, summed
from bnstats.layers._parameters import ParameterError
from bnstats.layers._registry import Pair, pointwise_layer, structured
from bnstats.layers.rectifiers import leaky_relu


class _Slopes(NamedTuple):
    """The law of a random slope: its mean, and its central moments with bounds on their errors."""

    mean: float
    var: Known
    m3: Known
    m4: Known


def _uniform(lower: float, upper: float) -> _Slopes:
    width = upper - lower
    return _Slopes((lower + upper) / 2, Known(width**2 / 12), Known(0.0), Known(width**4 / 80))


def _reciprocal(lower: float, upper: float) -> _Slopes:
    """Return the law of 1/U: E[U^-k] is (lower^(1−k) − upper^(1−k))/((k − 1)·width)."""
    width, product = upper - lower, lower * upper
    mean = math.log1p(width / lower) / width if width else 1 / lower
    second, third = 1 / product, (lower + upper) / (2 * product**2)
    fourth = (lower**2 + product + upper**2) / (3 * product**3)
    m3 = third - 3 * mean * second + 2 * mean**3
    m4 = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    unit = 2.0**-49  # the terms are as large as the raw moments
    return _Slopes(
        mean,
        Known(max(second - mean**2, 0.0), unit * second),
        Known(m3, 2 * unit * third),
        Known(max(m4, 0.0), 4 * unit * fourth),
    )


@structured(
    "y = max(0, x) + a·min(0, x),  a ~ U(lower, upper), or 1/a if reciprocal;  "
    "a = (lower + upper)/2 if not training",
    "dx = dy·(1 if x > 0 else a)",
    cite="arXiv:1505.00853",
    # The module is in training, the function is not unless it is told.
    aliases=("torch.RReLU", "torch.rrelu:training=false", "torch.rrelu_:training=false"),
    examples=("", "training=false", "lower=3,reciprocal=true,upper=8"),
)
def rrelu(
    *,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = True,
    reciprocal: bool = False,
) -> BoundLayer:
    """Randomised leaky relu: every draw has a slope of its own, as a paper's 1/U(3, 8)."""
    if lower > upper:
        raise ParameterError(f"lower={lower:g} is above upper={upper:g}")
    if reciprocal and lower <= 0:
        raise ParameterError(f"lower={lower:g} is not positive, and slopes are its reciprocals")
    width = upper - lower
    slopes = (_reciprocal if reciprocal else _uniform)(lower, upper)
    fixed_slope = 2 / (lower + upper) if reciprocal else (lower + upper) / 2
    centre = slopes.mean if training else fixed_slope

    def at_centre(xp: Namespace, x: Array) -> Pair:
        return leaky_relu(xp, x, negative_slope=centre)

    fixed = pointwise_layer(at_centre, breakpoints=(0.0,))
    if not training:
        return fixed

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        above = xp.astype(x > 0, x.dtype)
        slope = lower + width * draws["slope"]
        factor = above + (1 - above) * (1 / slope if reciprocal else slope)
        return x * factor, lambda dy: dy * factor

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # Given x, y is its value g at the mean slope plus min(0, x)·D, D the slope's deviation.
        known, (_, var, m3, m4) = fixed.moments(law, expect), slopes

        def times(known: Known, of_x: Callable[[Array], Array]) -> Known:
            """Return a moment of D times E[of_x(min(0, x))]."""
            kink = (0.0,)
            found = expect(lambda xp, x: of_x(xp.minimum(x, 0)), breakpoints=kink)
            size = expect(lambda xp, x: xp.abs(of_x(xp.minimum(x, 0))), breakpoints=kink)
            return (known.value * found).widened(known.error * size.value)

        def from_mean(below: Array) -> Array:  # where x < 0; elsewhere its factor is 0
            return centre * below - known.mean_y.value

        below = 0.5 * math.erfc(law.x_mean / (law.x_std * math.sqrt(2)))  # P(x < 0)
        above = 0.5 * math.erfc(-law.x_mean / (law.x_std * math.sqrt(2)))
        square = centre**2 + var
        fourth = summed(Known(centre**4), 6 * centre**2 * var, 4 * centre * m3, m4)
        dy2 = law.dy_std**2
        return ExactMoments(
            mean_y=known.mean_y,
            var_y=known.var_y + times(var, lambda b: b * b),
            m4_y=summed(
                known.m4_y,
                6 * times(var, lambda b: (from_mean(b) * b) ** 2),
                4 * times(m3, lambda b: from_mean(b) * b**3),
                times(m4, lambda b: b**4),
            ),
            ms_dx=dy2 * (above + below * square),
            m4_dx=3 * dy2**2 * (above + below * fourth),
            cov_xy=known.cov_xy,
            # E[(x − E[x])·y·dy/dx], for min(0, x)·D beside g
            drift=known.drift + times(var, lambda b: (b - law.x_mean) * b),
        )

    inputs = {"x": Input(), "dy": Input(), "slope": Input(distribution="uniform")}
    return BoundLayer(inputs, forward, moments, breakpoints=fixed.breakpoints)

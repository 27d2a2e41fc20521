"""Activations that join or split channels: gated linear units, maxout, concatenated relu.

One draw is the pair (or the k pieces) that makes one output, or the one input that makes two.
"""

from __future__ import annotations

from functools import partial

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments, Known, summed
from bnstats.layers._parameters import Width
from bnstats.layers._registry import Pointwise, structured
from bnstats.layers.max_pooling import max_pool
from bnstats.layers.rectifiers import identity, relu
from bnstats.layers.sigmoidal import sigmoid
from bnstats.layers.smooth import Approximate, gelu, silu

_GRADIENT = "da = dy·{0}(b),  db = dy·a·{0}′(b)"
_CITE = "arXiv:2002.05202"


def _gated(gate: Pointwise, breakpoints: tuple[float, ...] = ()) -> BoundLayer:
    """Return the layer of y = a·gate(b) for x = (a, b), the order of torch.nn.functional.glu."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        a = draws["x"][0]
        g, slope = gate(xp, draws["x"][1])
        return a * g, lambda dy: xp.stack((dy * g, dy * (a * slope)))

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # a and g = gate(b) are independent: y − E[y] = (a − m)·g + m·(g − E[g]).
        m, s = law.x_mean, law.x_std
        mean = expect(lambda xp, b: gate(xp, b)[0], breakpoints=breakpoints)

        def of(power: int, central: int = 0, of_slope: int = 0) -> Known:
            def f(xp: Namespace, b: Array) -> Array:
                g, slope = gate(xp, b)
                return g**power * (g - mean.value) ** central * slope**of_slope

            return expect(f, breakpoints=breakpoints)

        ms, fourth, half = of(2), of(4), law.dy_std**2 / 2
        a2, a4 = s**2 + m**2, m**4 + 6 * m**2 * s**2 + 3 * s**4
        ms_dx = half * ms + half * a2 * of(0, of_slope=2)
        return ExactMoments(
            mean_y=m * mean,
            var_y=s**2 * ms + m**2 * of(0, central=2),
            m4_y=summed(
                3 * s**4 * fourth, 6 * s**2 * m**2 * of(2, central=2), m**4 * of(0, central=4)
            ),
            ms_dx=ms_dx,
            # of ½·dy²·(g² + a²g′²)
            var_ms_dx=summed(
                3 * half**2 * fourth,
                6 * half**2 * a2 * of(2, of_slope=2),
                3 * half**2 * a4 * of(0, of_slope=4),
                -ms_dx.squared(),
            ),
        )

    return BoundLayer({"x": Input((2,)), "dy": Input()}, forward, moments)


@structured("y = a·σ(b),  x = (a, b)", _GRADIENT.format("σ"), cite="arXiv:1612.08083")
def glu() -> BoundLayer:
    """Gated linear unit; x is one element of each half."""
    return _gated(sigmoid)


@structured("y = a·silu(b),  x = (a, b)", _GRADIENT.format("silu"), cite=_CITE)
def swiglu() -> BoundLayer:
    """Linear unit gated by silu; x is one element of each half."""
    return _gated(silu)


@structured(
    "y = a·gelu(b),  x = (a, b)",
    _GRADIENT.format("gelu"),
    cite=_CITE,
    examples=("", "approximate=tanh"),
)
def geglu(*, approximate: Approximate = "none") -> BoundLayer:
    """Linear unit gated by gelu; x is one element of each half."""
    return _gated(partial(gelu, approximate=approximate))


@structured("y = a·max(0, b),  x = (a, b)", _GRADIENT.format("relu"), cite=_CITE)
def reglu() -> BoundLayer:
    """Linear unit gated by relu; x is one element of each half."""
    return _gated(relu, breakpoints=(0.0,))


@structured(
    "y = a·b,  x = (a, b)",
    "da = dy·b,  db = dy·a",
    cite=_CITE,
    aliases=("bilinear_glu",),
)
def multiply() -> BoundLayer:
    """Product of two inputs, as of a linear unit with a linear gate; x is one element of each."""
    return _gated(identity)


@structured(
    "y = max of x_1 … x_k",
    "dx_i = dy·[x_i is the maximum]",
    cite="arXiv:1302.4389",
    aliases=("keras.maximum",),
    examples=("", "k=4"),
)
def maxout(*, k: Width = 2) -> BoundLayer:
    """Maximum of k pieces; the same as max pooling over a window of k."""
    return max_pool(1, kernel_size=k)


@structured(
    "y = (max(0, x), max(0, −x))", "dx = dy₁·[x > 0] − dy₂·[x < 0]", cite="arXiv:1603.05201"
)
def crelu() -> BoundLayer:
    """Concatenated relu; numbers of y are over both outputs."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        above, below = xp.astype(x > 0, x.dtype), xp.astype(x < 0, x.dtype)
        y = xp.stack((xp.maximum(x, 0), xp.maximum(-x, 0)))
        return y, lambda dy: dy[0] * above - dy[1] * below

    def moments(law: Law, expect: Expect) -> ExactMoments:
        mean = expect(lambda xp, x: 0.5 * xp.abs(x), breakpoints=(0.0,))

        def deviation(xp: Namespace, x: Array) -> Array:
            # one output is |x|, the other 0
            return 0.5 * ((xp.abs(x) - mean.value) ** 2 + mean.value**2)

        dy2 = law.dy_std**2
        return ExactMoments(
            mean_y=mean,
            var_y=expect(deviation, breakpoints=(0.0,)),
            ms_dx=Known(dy2),
            m4_dx=Known(3 * dy2**2),
        )

    return BoundLayer({"x": Input(), "dy": Input((2,))}, forward, moments)

"""Normalisation by the neighbouring channels."""

from __future__ import annotations

import math

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments, Known, summed
from bnstats.layers._parameters import Count, NonNegative, Positive, Width
from bnstats.layers._registry import structured


@structured(
    "y_c = x_c/(k + α·v_c)^β,  v_c = Σ x_i²/size over the channels around c",
    "dx_c = dy_c/(k + α·v_c)^β − 2αβ/size·x_c·Σ_i dy_i·x_i/(k + α·v_i)^(β + 1)",
    cite="Krizhevsky, Sutskever and Hinton, NIPS 2012",
    examples=("size=5", "k=2,size=5"),
)
def local_response_norm(
    *,
    size: Count,
    alpha: NonNegative = 1e-4,
    beta: Positive = 0.75,
    k: Positive = 1.0,
    num_channels: Width = 64,
) -> BoundLayer:
    """Local response normalisation at one position; the sum is cut off at the outer channels."""
    n, below, above = num_channels, size // 2, (size - 1) // 2
    share = alpha / size

    def around(xp: Namespace, v: Array, before: int, after: int) -> Array:
        """Sum v from so many channels before to so many after each."""
        total = xp.zeros_like(v)
        for shift in range(-min(before, n - 1), min(after, n - 1) + 1):
            to = slice(max(-shift, 0), n - max(shift, 0))
            total = xp.add_at(total, to, v[max(shift, 0) : n + min(shift, 0)])
        return total

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        base = k + share * around(xp, x * x, below, above)
        scale = base**-beta
        y = x * scale

        def backward(dy: Array) -> Array:
            # channel c is around i for i from c − above to c + below
            shared = around(xp, dy * y / base, above, below)
            return dy * scale - (2 * share * beta) * x * shared

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # With D = k + share·S over m channels, D^−q is ∫ u^q·e^(−uD) dt/Γ(q), u = e^t: under
        # e^(−u·share·x²) each x is a normal number of mean μ/a and variance σ²/a.
        windows = [min(c, below) + min(n - 1 - c, above) + 1 for c in range(n)]
        m, var, dy2 = law.x_mean, law.x_std**2, law.dy_std**2
        gradient = 2 * share * beta

        def of_power(xp: Namespace, t: Array, q: float) -> Array:
            return xp.exp(q * t - k * xp.exp(t) - math.lgamma(q))

        def tilted(xp: Namespace, t: Array, held: int) -> tuple[Array, Array, Array, Array]:
            """Return E[e^(−u·share·S)], and the mean of x, x² and x⁴ under it."""
            b = 2 * var * share * xp.exp(t)
            a, centre, spread = 1 + b, m / (1 + b), var / (1 + b)
            gone = xp.exp(-0.5 * held * (xp.log1p(b) + 2 * share * xp.exp(t) * m * m / a))
            square = centre * centre + spread
            return gone, centre, square, square**2 + 2 * spread * (square + centre * centre)

        def over_t(held: int, what: str) -> Known:
            def integrand(xp: Namespace, t: Array) -> Array:
                gone, mean, square, fourth = tilted(xp, t, held)
                if what == "mean":
                    return gone * mean * of_power(xp, t, beta)
                if what == "square":
                    return gone * square * of_power(xp, t, 2 * beta)
                both = fourth + (held - 1) * square * square
                return gone * (
                    of_power(xp, t, 2 * beta)
                    - 2 * gradient * square * of_power(xp, t, 2 * beta + 1)
                    + gradient**2 * both * of_power(xp, t, 2 * beta + 2)
                )

            low = -math.log(k) - 60 / min(beta, 1)
            return expect.integral(integrand, low, 8 - math.log(k))

        def averaged(what: str) -> Known:
            counts = {held: windows.count(held) for held in dict.fromkeys(windows)}
            return summed(*(count / n * over_t(held, what) for held, count in counts.items()))

        mean = averaged("mean") if m else Known(0.0, 0.0, "symmetry")
        ms = averaged("square")
        return ExactMoments(
            mean_y=mean, var_y=ms - mean.squared(), ms_dx=dy2 * averaged("gradient")
        )

    return BoundLayer({"x": Input((n,)), "dy": Input((n,))}, forward, moments)

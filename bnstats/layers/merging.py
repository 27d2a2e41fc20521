"""Layers of several inputs that make one output of them; x holds one element of each input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._chi import chi
from bnstats.layers._known import NO_SUM, SYMMETRIC, ExactMoments, Known
from bnstats.layers._maps import along, linear_map
from bnstats.layers._parameters import Assumed, Elements, Range, Width
from bnstats.layers._registry import structured
from bnstats.layers.max_pooling import max_pool

_EPS = 1e-6  # torch adds it to every difference
Vectors = Annotated[int, Range("[3, inf)"), Assumed()]


def _weighted_sum(weights: Sequence[float]) -> BoundLayer:
    """Return the layer of y = Σ w_i·x_i."""
    return linear_map([along(len(weights), 1, lambda i: dict(enumerate(weights)))])


@structured(
    "y = x_1 + … + x_k",
    "dx_i = dy",
    cite="keras.layers",
    examples=("", "k=3"),
)
def add(*, k: Elements = 2) -> BoundLayer:
    """Sum of k inputs, as where a residual branch joins."""
    return _weighted_sum([1.0] * k)


@structured("y = (x_1 + … + x_k)/k", "dx_i = dy/k", cite="keras.layers")
def average(*, k: Elements = 2) -> BoundLayer:
    """Mean of k inputs."""
    return _weighted_sum([1 / k] * k)


@structured("y = a − b,  x = (a, b)", "da = dy,  db = −dy", cite="keras.layers")
def subtract() -> BoundLayer:
    """Difference of two inputs."""
    return _weighted_sum([1.0, -1.0])


@structured(
    "y = min of x_1 … x_k",
    "dx_i = dy·[x_i is the minimum]",
    cite="keras.layers",
)
def minimum(*, k: Elements = 2) -> BoundLayer:
    """Minimum of k inputs; the maximum is `maxout`."""
    largest = max_pool(1, kernel_size=k)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, backward = largest.forward(xp, {"x": -draws["x"]})
        return -y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # m + s·(the smallest of k normals) is distributed as m − s·(the largest)
        known = largest.moments(law, expect)
        return known | ExactMoments(mean_y=2 * law.x_mean - known.mean_y)

    return BoundLayer(largest.inputs, forward, moments)


@structured(
    "y = a·b = Σ a_i·b_i,  x = (a, b)",
    "da = dy·b,  db = dy·a",
    cite="keras.layers",
    examples=("", "n=2"),
)
def dot(*, n: Width = 10) -> BoundLayer:
    """Product of two vectors."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        a, b = draws["x"][0], draws["x"][1]
        y = xp.sum(a * b, axis=0, keepdims=True)
        return y, lambda dy: xp.stack((dy * b, dy * a))

    def moments(law: Law, expect: Expect) -> ExactMoments:
        m2, var, dy2 = law.x_mean**2, law.x_std**2, law.dy_std**2
        ms = m2 + var
        of_squares = 2 * var * (var + 2 * m2) / (2 * n)  # the variance of the mean of x²
        return ExactMoments(
            mean_y=Known(n * m2),
            var_y=Known(n * var * (var + 2 * m2)),
            m4_y=Known(_fourth_of_product(n, m2, var)),
            ms_dx=Known(dy2 * ms),
            var_ms_dx=Known(dy2**2 * (3 * (ms**2 + of_squares) - ms**2)),
        )

    return BoundLayer({"x": Input((2, n)), "dy": Input((1,))}, forward, moments)


def _fourth_of_product(n: int, m2: float, var: float) -> float:
    """Return E[(a·b − E a·b)⁴] = κ₄ + 3κ₂².

    a·b is (|a + b|² − |a − b|²)/4, var/2 times the difference of two chi-squares of n degrees, one
    of them not central, whose cumulants are κ_r = 2^(r−1)·(r − 1)!·(n + r·λ).
    """
    noncentrality = 2 * n * m2 / var
    second, fourth = 4 * (n + noncentrality), 48 * (2 * n + 4 * noncentrality)
    return (var / 2) ** 4 * (fourth + 3 * second**2)


@structured(
    "y = a·b/(|a|·|b|),  x = (a, b)",
    "da = dy·(b/|b| − y·a/|a|)/|a|,  db likewise",
    cite="torch.nn.functional",
    examples=("", "n=8"),
)
def cosine_similarity(*, n: Vectors = 64) -> BoundLayer:
    """Cosine of the angle between two vectors of n elements, which no eps changes."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        a, b = draws["x"][0], draws["x"][1]
        a_length, b_length = (xp.sqrt(xp.sum(v * v, axis=0, keepdims=True)) for v in (a, b))
        a, b = a / a_length, b / b_length
        y = xp.sum(a * b, axis=0, keepdims=True)

        def backward(dy: Array) -> Array:
            return xp.stack((dy * (b - y * a) / a_length, dy * (a - y * b) / b_length))

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        if law.x_mean:
            return ExactMoments()
        # Directions and lengths are independent; y is an element of a unit vector, of which
        # E[y⁴] = 3/(n(n + 2)), and 1/|a|² has the mean 1/((n − 2)·x_std²).
        return ExactMoments(
            mean_y=SYMMETRIC,
            var_y=Known(1 / n),
            m4_y=Known(3 / (n * (n + 2))),
            ms_dx=Known(law.dy_std**2 * (1 - 1 / n) / (n * (n - 2) * law.x_std**2)),
        )

    return BoundLayer(
        {"x": Input((2, n)), "dy": Input((1,))},
        forward,
        moments,
        why_inexact="the angle between vectors about a common mean; known for x_mean=0",
        heavy_tailed=("dx",) if n <= 4 else (),  # E[1/|a|⁴] diverges
    )


@structured(
    "y = |a − b + 1e-6|,  x = (a, b)",
    "da = dy·(a − b + 1e-6)/y,  db = −da",
    cite="torch.nn.functional",
    examples=("", "n=2"),
)
def pairwise_distance(*, n: Width = 64) -> BoundLayer:
    """Euclidean distance of two vectors of n elements; torch adds 1e-6 to each difference."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        d = draws["x"][0] - draws["x"][1] + _EPS
        y = xp.sqrt(xp.sum(d * d, axis=0, keepdims=True))

        def backward(dy: Array) -> Array:
            da = dy * d / y
            return xp.stack((da, -da))

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        std = math.sqrt(2) * law.x_std
        length = chi(n, n * (_EPS / std) ** 2)
        ms_dx = law.dy_std**2 / n
        return ExactMoments(
            mean_y=std * length.mean,
            var_y=std**2 * length.var,
            m4_y=std**4 * length.m4,
            mean_dx=NO_SUM,
            ms_dx=Known(ms_dx),
            var_ms_dx=Known(2 * ms_dx**2),
        )

    return BoundLayer({"x": Input((2, n)), "dy": Input((1,))}, forward, moments)

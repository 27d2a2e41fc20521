"""Activations whose outputs over an axis sum to one, and their logarithms.

One draw is one row: x and dy of shape (n,).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._composition import scaled
from bnstats.layers._known import CONSTANT, NO_SUM, ExactMoments, Known
from bnstats.layers._parameters import Elements, Positive
from bnstats.layers._registry import structured

_WIDEST = 24.0
_TOO_WIDE = f"the quadrature reaches up to `x_std={_WIDEST:g}`"
_EULER = 0.57721566490153286


def _row(n: int) -> dict[str, Input]:
    return {"x": Input((n,)), "dy": Input((n,))}


class _Tilted(NamedTuple):
    """Moments of w = e^(x + t) under the law of x tilted by e^−w, for each t.

    ``none`` is P = E[e^−w]^n; ``m1``, ``m2`` and ``var`` are E[w·e^−w]/E[e^−w] and so on.
    """

    none: Array
    m1: Array
    m2: Array
    var: Array


def _tilted(xp: Namespace, t: Array, n: int, std: float) -> _Tilted:
    """Return the tilted moments for x ~ N(0, std²) by the trapezoid rule over x/std.

    The integrands are entire; their finest feature, the fall of e^−w, is one unit of x wide.
    """
    step = 0.2 / max(std, 0.5)
    reach = math.ceil(14 / step)
    z = step * xp.arange(-reach, reach + 1)
    weight = step / math.sqrt(2 * math.pi) * xp.exp(-0.5 * z * z)
    w = xp.exp(t[:, None] + std * z)
    # P from 1 − E[e^−w], which keeps its digits where n of them count
    gone = xp.sum(weight * xp.expm1(-w), axis=1)
    none = xp.exp(n * xp.log1p(xp.maximum(gone, -1)))
    weight = weight * xp.exp(-w)
    weight = weight / xp.sum(weight, axis=1, keepdims=True)
    # About the mean of x: w = centre·(1 + rise) keeps its variance however small std is.
    mean = xp.sum(weight * z, axis=1, keepdims=True)
    rise = xp.expm1(xp.minimum(std * (z - mean), 350))  # beyond, the weight is 0
    centre = xp.exp(t + std * mean[:, 0])
    mean = xp.sum(weight * rise, axis=1, keepdims=True)
    var = centre * centre * xp.sum(weight * (rise - mean) ** 2, axis=1)
    m1 = centre * (1 + mean[:, 0])
    return _Tilted(none, m1, m1 * m1 + var, var)


def _over_scales(
    expect: Expect, n: int, std: float, function: Callable[[Namespace, Array, _Tilted], Array]
) -> Known:
    """Integrate P(t)·function(t, tilted moments) over t.

    With S = Σ e^x, 1/S^d is ∫ e^(td)·e^(−e^t·S) dt/Γ(d), so that a moment of the softmax of total
    degree d, E[s₁^a·s₂^b⋯] is the integral of E[w^a·e^−w]·E[w^b·e^−w]⋯/Γ(d): the n inputs part.
    """
    low, high = -60 - 14 * std, 6 + 14 * std

    def integrand(xp: Namespace, t: Array) -> Array:
        tilted = _tilted(xp, t, n, std)
        return tilted.none * function(xp, t, tilted)

    return expect.integral(integrand, low, high)


def _variance(expect: Expect, n: int, std: float) -> Known:
    """Return Var[s₁] = (1 − 1/n)·E[s₁² − s₁s₂], the mean of s being 1/n."""
    return (1 - 1 / n) * _over_scales(expect, n, std, lambda xp, t, w: w.var)


def _softmax(n: int, sign: float) -> BoundLayer:
    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        z = sign * draws["x"]
        y = xp.exp(z - xp.max(z, axis=0, keepdims=True))
        y = y / xp.sum(y, axis=0, keepdims=True)

        def backward(dy: Array) -> Array:
            g = y * dy
            return sign * (g - y * xp.sum(g, axis=0, keepdims=True))

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # E[dx₁²]/E[dy²] = E[s₁²·((1 − s₁)² + Σ s_j²)] over j > 1; with 1 − s₁ = Σ s_j this is
        # 2(n − 1)·E[s₁²s₂²] + (n − 1)(n − 2)·E[s₁²s₂s₃].
        known = ExactMoments(mean_y=Known(1 / n, 0.0, CONSTANT), mean_dx=NO_SUM)
        if law.x_std > _WIDEST:
            return known
        fourth = _over_scales(
            expect, n, law.x_std, lambda xp, t, w: w.m2 * (2 * w.m2 + (n - 2) * w.m1 * w.m1)
        )
        return replace(
            known, var_y=_variance(expect, n, law.x_std), ms_dx=law.dy_std**2 * (n - 1) / 6 * fourth
        )

    return BoundLayer(_row(n), forward, moments, why_inexact=_TOO_WIDE)


@structured(
    "y = e^x/Σ e^x", "dx = y·(dy − Σ y·dy)", cite="Bridle, NIPS 1989", examples=("", "n=2", "n=100")
)
def softmax(*, n: Elements = 10) -> BoundLayer:
    """Softmax over n elements."""
    return _softmax(n, 1.0)


@structured(
    "y = e^−x/Σ e^−x", "dx = −y·(dy − Σ y·dy)", cite="torch.nn.functional", examples=("", "n=2")
)
def softmin(*, n: Elements = 10) -> BoundLayer:
    """Softmax of −x over n elements."""
    return _softmax(n, -1.0)


@structured(
    "y = x − log Σ e^x",
    "dx = dy − e^y·Σ dy",
    cite="torch.nn.functional",
    examples=("", "n=2", "n=100"),
)
def log_softmax(*, n: Elements = 10) -> BoundLayer:
    """Logarithm of the softmax over n elements."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        z = draws["x"] - xp.max(draws["x"], axis=0, keepdims=True)
        e = xp.exp(z)
        top = xp.astype(z == 0, z.dtype)
        # Σe − 1 without the one that would round off the rest: y keeps its digits near 0
        rest = xp.sum(e - top, axis=0, keepdims=True) + (xp.sum(top, axis=0, keepdims=True) - 1)
        y = z - xp.log1p(rest)

        def backward(dy: Array) -> Array:
            return dy - e * (xp.sum(dy, axis=0, keepdims=True) / (1 + rest))

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # T = log E − log Σe^x, E standard exponential, has P(T > t) = E[e^−w]^n; log E has mean −γ
        # and variance π²/6. Stein: Cov[x, log Σe^x] = x_std²·E[s₁] = x_std²/n.
        std, dy2 = law.x_std, law.dy_std**2
        if std > _WIDEST:
            return ExactMoments(mean_dx=NO_SUM)
        mean = _over_scales(expect, n, std, lambda xp, t, w: n * w.m1 * t)
        total = _over_scales(expect, n, std, lambda xp, t, w: n * w.m1 * (t - mean.value) ** 2)
        var_s = _variance(expect, n, std)
        var = total + (std**2 * (1 - 2 / n) - math.pi**2 / 6)
        # Where that cancels: Var[log Σe^x] exceeds x_std²/n by up to ½·x_std²·n·Var[s₁], because
        # in Hermite polynomials Var[f] is Σ a_k and x_std²·E[|∇f|²] is Σ k·a_k.
        excess = std**2 * n * var_s.value / 4
        narrow = Known(std**2 * (1 - 1 / n) + excess, excess, "quadrature")
        return ExactMoments(
            mean_y=mean + _EULER,
            var_y=min(var, narrow, key=lambda known: known.error),
            # dx₁² has mean 1 − 2·E[s₁] + n·E[s₁²] over dy
            ms_dx=dy2 * n * var_s + dy2 * Known(1 - 1 / n),
            mean_dx=NO_SUM,
        )

    return BoundLayer(_row(n), forward, moments, why_inexact=_TOO_WIDE)


@structured(
    "y = max(0, x − τ),  τ such that Σ y = 1",
    "dx = dy − mean of dy over y > 0,  0 elsewhere",
    cite="arXiv:1602.02068",
    examples=("", "n=2"),
)
def sparsemax(*, n: Elements = 10) -> BoundLayer:
    """Sparsemax: the projection of n elements onto the probability simplex."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        z = xp.sort(x - xp.max(x, axis=0, keepdims=True), axis=0)
        # τ = max over k of (sum of the k largest − 1)/k: it rises while they exceed it, then falls
        total, tau = z[-1:], z[-1:] - 1
        for k in range(2, n + 1):
            total = total + z[n - k : n - k + 1]
            tau = xp.maximum(tau, (total - 1) / k)
        z = x - xp.max(x, axis=0, keepdims=True) - tau
        support = xp.astype(z > 0, z.dtype)
        size = xp.sum(support, axis=0, keepdims=True)

        def backward(dy: Array) -> Array:
            return support * (dy - xp.sum(support * dy, axis=0, keepdims=True) / size)

        return xp.maximum(z, 0), backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        known = ExactMoments(mean_y=Known(1 / n, 0.0, CONSTANT), mean_dx=NO_SUM)
        if n > 2:
            return known
        # y₁ = ½ + ½·d cut to [0, 1], d = x₁ − x₂ ~ √2·(x − m); both move where |d| < 1
        m, edge = law.x_mean, math.sqrt(0.5)
        var = expect(
            lambda xp, x: 0.25 * xp.minimum(2 * (x - m) ** 2, 1), breakpoints=(m - edge, m + edge)
        )
        ms_dx = Known(0.5 * law.dy_std**2 * math.erf(0.5 / law.x_std))
        return replace(known, var_y=var, ms_dx=ms_dx)

    why_inexact = (
        "" if n == 2 else "which outputs are positive depends on all n inputs; known for n=2"
    )
    return BoundLayer(_row(n), forward, moments, why_inexact=why_inexact)


@structured(
    "y = softmax((x + g)/τ),  g = −log(−log U)",
    "dx = y·(dy − Σ y·dy)/τ",
    cite="arXiv:1611.01144",
    examples=("", "tau=0.5"),
)
def gumbel_softmax(*, n: Elements = 10, tau: Positive = 1.0) -> BoundLayer:
    """Softmax over n elements with Gumbel noise; hard draws pass on the same gradient."""
    plain = softmax(n=n)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        exponential = xp.maximum(-xp.log(draws["noise"]), xp.finfo(x.dtype).tiny)
        y, backward = plain.forward(xp, {"x": (x - xp.log(exponential)) / tau})
        return y, lambda dy: backward(dy) / tau

    def moments(law: Law, expect: Expect) -> ExactMoments:
        return ExactMoments(mean_y=Known(1 / n, 0.0, CONSTANT), mean_dx=NO_SUM)

    inputs = {"x": Input((n,)), "dy": Input((n,)), "noise": Input((n,), "uniform")}
    why = "the sum of a normal and a Gumbel number has no law in closed form"
    return BoundLayer(inputs, forward, moments, why_inexact=why)


@structured(
    "y = log Σ e^x",
    "dx = dy·e^x/Σ e^x",
    cite="jax.nn",
    examples=("", "n=2"),
)
def logsumexp(*, n: Elements = 10) -> BoundLayer:
    """Logarithm of the sum of n exponentials."""
    logarithm = log_softmax(n=n)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        log_share = logarithm.forward(xp, {"x": x})[0]
        y = xp.max(x, axis=0, keepdims=True) - xp.max(log_share, axis=0, keepdims=True)
        return y, lambda dy: dy * xp.exp(log_share)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        std, dy2 = law.x_std, law.dy_std**2
        if std > _WIDEST:
            return ExactMoments()
        # x − log Σ e^x is an element of the log-softmax, whose covariance with x Stein gives.
        known, var_s = logarithm.moments(law, expect), _variance(expect, n, std)
        return ExactMoments(
            mean_y=law.x_mean - known.mean_y,
            var_y=known.var_y + std**2 * (2 / n - 1),
            ms_dx=dy2 * (var_s + 1 / n**2),
        )

    inputs = {"x": Input((n,)), "dy": Input((1,))}
    return BoundLayer(inputs, forward, moments, why_inexact=_TOO_WIDE)


@structured(
    "y = log mean e^x",
    "dx = dy·e^x/Σ e^x",
    cite="jax.nn",
    examples=("", "n=2"),
)
def logmeanexp(*, n: Elements = 10) -> BoundLayer:
    """Logarithm of the mean of n exponentials."""
    return scaled(logsumexp(n=n), 1.0, -math.log(n))

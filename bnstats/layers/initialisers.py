"""Initialisers of weights as layers of their own: y is the weight, whatever x is.

Their numbers are the constants that initialisers divide by, such as the standard deviation of a
normal that is cut at ±2. The forward constant is σ[y]; no gradient reaches x, so that dx is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._initialisation import Distribution, fans_of, independent, weights
from bnstats.layers._known import CONSTANT, SYMMETRIC, ExactMoments, Known
from bnstats.layers._parameters import Count, ParameterError, Positive, Range, Synonyms, Width
from bnstats.layers._registry import structured

Edge = Annotated[float, Range("[-8, 8]")]  # beyond lies a share of 1e-15
Cut = Annotated[float, Range("(0, 8]")]
Density = Callable[[Namespace, Array], Array]
_no_gradient = partial(structured, gradient="dx = 0:  y does not depend on x")
_ENDS = 4.0  # of the tanh-sinh rule: the weight of what lies beyond is 1e-37


def _initialiser(
    drawn: Input,
    weight: Callable[[Namespace, Array], Array],
    moments: Callable[[Expect], ExactMoments],
    shape: tuple[int, ...] = (),
) -> BoundLayer:
    """Return the layer of y = weight(draws), of a shape and with moments that no law changes."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        return weight(xp, draws["weight"]), lambda dy: xp.zeros_like(x)

    def stated(law: Law, expect: Expect) -> ExactMoments:
        return moments(expect) | ExactMoments(ms_dx=Known(0.0), m4_dx=Known(0.0))

    return BoundLayer({"x": Input(), "dy": Input(shape), "weight": drawn}, forward, stated)


# --- laws that are cut ----------------------------------------------------------------------------


def _normal(xp: Namespace, t: Array) -> Array:
    return xp.exp(-0.5 * t * t)


def _modulus(xp: Namespace, t: Array) -> Array:
    """Return the density of |w| for complex normal w with E|w|² = 1, times a constant."""
    return t * xp.exp(-t * t)


def _integrand(
    density: Density, low: float, high: float, function: Callable[[Array], Array]
) -> Callable[[Namespace, Array], Array]:
    """Return function(t − middle)·density(t) over low to high, as a function of the whole line.

    The tanh-sinh rule (Takahasi and Mori 1974): t = middle + half·tanh(π/2·sinh s). What lies
    between narrow bounds keeps its digits as a distance from the middle.
    """
    middle, half = (low + high) / 2, (high - low) / 2

    def integrand(xp: Namespace, s: Array) -> Array:
        u = (math.pi / 2) * xp.sinh(s)
        d = half * xp.tanh(u)
        return function(d) * density(xp, middle + d) * xp.cosh(s) / xp.cosh(u) ** 2

    return integrand


def _square_size(density: Density, low: float, high: float, *, centred: bool) -> float:
    """Return the variance of a law that is cut, or its mean square; no bound on its error."""

    def integral(function: Callable[[float], float]) -> float:
        f = _integrand(density, low, high, function)
        return math.fsum(f(math, -_ENDS + i / 32) for i in range(round(64 * _ENDS) + 1))

    mass = integral(lambda d: 1.0)
    about = integral(lambda d: d) / mass if centred else -(low + high) / 2
    return integral(lambda d: (d - about) ** 2) / mass


def _cut_moments(
    expect: Expect, density: Density, low: float, high: float, scale: float
) -> ExactMoments:
    """Return the moments of scale·t, where t has the density between low and high.

    Their bounds count that the exponent of the density, at most t², is rounded.
    """

    def integral(function: Callable[[Array], Array]) -> Known:
        return expect.integral(_integrand(density, low, high, function), -_ENDS, _ENDS)

    mass = integral(lambda d: 1.0 + 0 * d)
    noise = 2.0**-52 * max(low * low, high * high) + mass.error / mass.value

    def mean_of(function: Callable[[Array], Array], size: float | None = None) -> Known:
        mean = integral(function) / mass.value
        return mean.widened(2 * noise * (mean.value if size is None else size))

    symmetric = low == -high
    mean = SYMMETRIC if symmetric else mean_of(lambda d: d, (high - low) / 2)

    def central(power: int, size: float | None = None) -> Known:
        found = mean_of(lambda d: (d - mean.value) ** power, size)
        return scale**power * found.widened(mean.error**2)

    m4 = central(4)
    return ExactMoments(
        mean_y=scale * (mean + (low + high) / 2),
        var_y=central(2),
        m3_y=SYMMETRIC if symmetric else central(3, (m4.value / scale**4) ** 0.75),
        m4_y=m4,
    )


def _share_below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


@_no_gradient(
    "y = std·z,  z ~ N(0, 1) given lower ≤ z ≤ upper;  corrected: std·z/σ[z]",
    cite="N. L. Johnson et al., Continuous Univariate Distributions 1, 1994, 13.10.1; "
    "jax.nn.initializers.truncated_normal, keras.initializers.TruncatedNormal",
    aliases=(
        "trunc_normal",
        "jax.nn.initializers.truncated_normal:std=0.01",
        "keras.initializers.TruncatedNormal:std=0.05",
    ),
    examples=("", "corrected=true", "lower=-3,upper=3", "lower=0"),
)
def truncated_normal(
    *, std: Positive = 1.0, lower: Edge = -2.0, upper: Edge = 2.0, corrected: bool = False
) -> BoundLayer:
    """Weights from a normal that is cut at bounds in units of std; corrected, σ[y] is std."""
    if not lower < upper:
        raise ParameterError(f"lower={lower:g} is not below upper={upper:g}")
    variance = _square_size(_normal, lower, upper, centred=True)
    scale = std / math.sqrt(variance) if corrected else std
    # The half with less beyond it keeps its digits.
    sign, low, high = (1, lower, upper) if lower + upper <= 0 else (-1, -upper, -lower)
    below, between = _share_below(low), _share_below(high) - _share_below(low)

    def weight(xp: Namespace, u: Array) -> Array:
        z = xp.clip(xp.ndtri(below + between * u), low, high)  # in float32 a share may round to 1
        return (sign * scale) * z

    def moments(expect: Expect) -> ExactMoments:
        return _cut_moments(expect, _normal, lower, upper, scale)

    return _initialiser(Input(distribution="uniform"), weight, moments)


@_no_gradient(
    "y = |w|,  w complex normal with E|w|² = std², given |w| ≤ upper·std;  corrected: y/rms[y]·std",
    cite="jax.nn.initializers.variance_scaling with a complex dtype, which cuts at upper=2",
    examples=("", "corrected=true"),
)
def complex_truncated_normal(
    *, std: Positive = 1.0, upper: Cut = 2.0, corrected: bool = False
) -> BoundLayer:
    """Complex normal weights whose modulus is cut; rms[y] = √E|w|² is what jax divides by."""
    square = _square_size(_modulus, 0.0, upper, centred=False)
    scale = std / math.sqrt(square) if corrected else std
    inside = -math.expm1(-(upper**2))

    def weight(xp: Namespace, u: Array) -> Array:
        return scale * xp.clip(xp.sqrt(-xp.log1p(-inside * u)), 0.0, upper)

    def moments(expect: Expect) -> ExactMoments:
        return _cut_moments(expect, _modulus, 0.0, upper, scale)

    return _initialiser(Input(distribution="uniform"), weight, moments)


# --- scaled by fans -------------------------------------------------------------------------------


@_no_gradient(
    "y ~ distribution with σ[y] = √(scale/n),  n the fan of mode",
    cite="jax.nn.initializers.variance_scaling, keras.initializers.VarianceScaling",
    aliases=(
        "jax.nn.initializers.variance_scaling",
        "keras.initializers.VarianceScaling",
    ),
    examples=("in_features=100,out_features=50", "distribution=uniform,mode=fan_avg,scale=2"),
)
def variance_scaling(
    *,
    scale: Positive = 1.0,
    mode: Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"] = "fan_in",
    distribution: Annotated[
        Distribution, Synonyms((("untruncated_normal", "normal"),))
    ] = "truncated_normal",
    in_features: Width = 4,
    out_features: Width = 4,
    receptive_field: Count = 1,
) -> BoundLayer:
    """One weight scaled by its fans, features·receptive_field (9 of a 3x3 kernel)."""
    fan_in, fan_out = fans_of((out_features, in_features, receptive_field))
    fans = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": (fan_in + fan_out) / 2,
        "fan_geo_avg": math.sqrt(fan_in * fan_out),
    }
    std = math.sqrt(scale / fans[mode])
    hints = (f"fans: in {fan_in}, out {fan_out}",) if receptive_field > 1 else ()
    if distribution == "truncated_normal":
        return replace(truncated_normal(std=std, corrected=True), hints=hints)
    law, kurtosis = independent(distribution, std, ()), 3.0 if distribution == "normal" else 1.8
    stated = ExactMoments(
        mean_y=SYMMETRIC, var_y=Known(law.ms), m3_y=SYMMETRIC, m4_y=Known(kurtosis * law.ms**2)
    )
    return replace(_initialiser(law.drawn, law.tensor, lambda expect: stated), hints=hints)


# --- orthogonal -----------------------------------------------------------------------------------


@_no_gradient(
    "y = gain·Q,  Q (out_features, in_features) semi-orthogonal, by Haar's measure",
    cite="arXiv:1312.6120",
    aliases=(
        "torch.nn.init.orthogonal_",
        "jax.nn.initializers.orthogonal",
        "keras.initializers.Orthogonal",
    ),
    examples=("", "in_features=3,out_features=8"),
)
def orthogonal(
    *, in_features: Width = 4, out_features: Width = 4, gain: Positive = 1.0
) -> BoundLayer:
    """Random semi-orthogonal matrix: σ[y] = gain/√max(in_features, out_features)."""
    shape = (out_features, in_features)
    law = weights("orthogonal", "fan_in", gain, shape)
    return _initialiser(law.drawn, law.tensor, lambda expect: _of_fixed_norm(law.ms), shape)


@_no_gradient(
    "y = gain·Q in the middle of the kernel and 0 elsewhere,  QᵀQ = 1",
    cite="arXiv:1806.05393",
    aliases=("jax.nn.initializers.delta_orthogonal",),
    examples=("", "in_channels=3,out_channels=8"),
)
def delta_orthogonal(
    *,
    in_channels: Width = 4,
    out_channels: Width = 4,
    receptive_field: Width = 9,
    gain: Positive = 1.0,
) -> BoundLayer:
    """Kernel that keeps norms; receptive_field counts its positions, 9 of 3x3."""
    if in_channels > out_channels:
        raise ParameterError(f"in_channels={in_channels} is more than out_channels={out_channels}")
    law = weights("orthogonal", "fan_in", gain, (out_channels, in_channels))

    def weight(xp: Namespace, w: Array) -> Array:
        middle = law.tensor(xp, w)
        taps = [xp.zeros_like(middle)] * receptive_field
        taps[(receptive_field - 1) // 2] = middle
        return xp.stack(taps, axis=2)

    shape = (out_channels, in_channels, receptive_field)
    ms = law.ms / receptive_field
    return _initialiser(law.drawn, weight, lambda expect: _of_fixed_norm(ms), shape)


def _of_fixed_norm(ms: float) -> ExactMoments:
    return ExactMoments(mean_y=Known(0.0), var_y=Known(ms), ms_y=Known(ms, 0.0, CONSTANT))

"""Elementary functions as activations, most of them with moments in closed form."""

from __future__ import annotations

import math

from bnstats.layers._bound import Array, Law, Namespace
from bnstats.layers._known import ExactMoments, Known
from bnstats.layers._registry import Pair, elementwise


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf


def _lognormal(law: Law) -> ExactMoments:
    m, s2, dy2 = law.x_mean, law.x_std**2, law.dy_std**2
    w, w_less_1 = _exp(s2), math.expm1(s2) if s2 < 709 else math.inf

    def known(value: float, m_times: float, s2_times: float) -> Known:
        # an exponential has the rounding of its exponent, relative to its value
        return Known(value, value * 2.0**-51 * (4 + m_times * abs(m) + s2_times * s2))

    power = w * w * (w * w + 2 * w + 3) - 3  # products overflow to infinity, where powers raise
    return ExactMoments(
        mean_y=known(_exp(m + s2 / 2), 1, 0.5),
        var_y=known(w_less_1 * _exp(2 * m + s2), 2, 2),
        m4_y=known(w_less_1 * w_less_1 * power * _exp(4 * m + 2 * s2), 4, 8),
        ms_dx=known(dy2 * _exp(2 * m + 2 * s2), 2, 2),
        m4_dx=known(3 * dy2**2 * _exp(4 * m + 8 * s2), 4, 8),
    )


@elementwise("y = e^x", "dx = dy·e^x", closed_form=_lognormal, cite="keras.activations")
def exponential(xp: Namespace, x: Array) -> Pair:
    """Exponential; y is lognormal."""
    y = xp.exp(x)
    return y, y


def _noncentral_chi_square(law: Law) -> ExactMoments:
    m2, s2, dy2 = law.x_mean**2, law.x_std**2, law.dy_std**2
    return ExactMoments(
        mean_y=Known(m2 + s2),
        var_y=Known(2 * s2 * (s2 + 2 * m2)),
        m4_y=Known(48 * s2**3 * (s2 + 4 * m2) + 12 * s2**2 * (s2 + 2 * m2) ** 2),
        ms_dx=Known(4 * dy2 * (m2 + s2)),
        m4_dx=Known(48 * dy2**2 * (m2**2 + 6 * m2 * s2 + 3 * s2**2)),
    )


@elementwise("y = x²", "dx = dy·2x", closed_form=_noncentral_chi_square, cite="arXiv:2110.01765")
def square(xp: Namespace, x: Array) -> Pair:
    """Square; y is chi-square."""
    return x * x, 2 * x


@elementwise("y = scale·x + offset", "dx = dy·scale", examples=("scale=0.5",), cite="keras.layers")
def rescaling(xp: Namespace, x: Array, *, scale: float, offset: float = 0.0) -> Pair:
    """Rescaling by numbers that are not learnt."""
    return scale * x + offset, scale * xp.ones_like(x)


@elementwise("y = |x|", "dx = dy·sign(x)", name="abs", breakpoints=(0.0,), cite="arXiv:1912.02803")
def absolute(xp: Namespace, x: Array) -> Pair:
    """Absolute value; |dx| is |dy|."""
    return xp.abs(x), xp.sign(x)


def _of_sine(law: Law, at_mean: float, slope_at_mean: float) -> ExactMoments:
    # E[e^ikX] = e^(ikm − k²s²/2), arranged so that no large terms cancel.
    s2, dy2 = law.x_std**2, law.dy_std**2
    fades, twice = math.exp(-s2), math.exp(-2 * s2)
    bend = 2 * fades * slope_at_mean**2 - math.expm1(-s2)
    mean = at_mean * math.exp(-s2 / 2)
    return ExactMoments(
        mean_y=Known(mean, abs(mean) * 2.0**-51 * (1 + s2)),
        var_y=Known(-0.5 * math.expm1(-s2) * bend),
        ms_dx=Known(dy2 * (twice * slope_at_mean**2 - 0.5 * math.expm1(-2 * s2))),
    )


@elementwise(
    "y = sin(x)",
    "dx = dy·cos(x)",
    closed_form=lambda law: _of_sine(law, math.sin(law.x_mean), math.cos(law.x_mean)),
    cite="arXiv:2006.09661",
)
def sin(xp: Namespace, x: Array) -> Pair:
    """Sine."""
    return xp.sin(x), xp.cos(x)


@elementwise(
    "y = cos(x)",
    "dx = −dy·sin(x)",
    closed_form=lambda law: _of_sine(law, math.cos(law.x_mean), math.sin(law.x_mean)),
    cite="Rahimi and Recht, NIPS 2007",
)
def cos(xp: Namespace, x: Array) -> Pair:
    """Cosine."""
    return xp.cos(x), -xp.sin(x)


@elementwise("y = arsinh(x) = log(x + √(x² + 1))", "dx = dy/√(x² + 1)", cite="arXiv:2110.01765")
def asinh(xp: Namespace, x: Array) -> Pair:
    """Inverse hyperbolic sine: the identity near 0, a logarithm far out."""
    return xp.asinh(x), 1 / xp.sqrt(x * x + 1)

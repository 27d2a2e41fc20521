"""Normalisation over an axis: one formula, whatever the elements are that share a mean.

One draw is one set of elements that are normalised together, of shape (n,); other sets are
independent and alike. There are no affine parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._composition import scaled
from bnstats.layers._known import CONSTANT, NO_SUM, SYMMETRIC, UNKNOWN, ExactMoments, Known, summed
from bnstats.layers._parameters import Count, Elements, NonNegative, ParameterError, Positive, Width
from bnstats.layers._registry import structured

_FORMULA = "y = (x − μ)/√(v + eps),  μ = mean x,  v = mean (x − μ)²"
_GRADIENT = "dx = (dy − mean dy − y·mean(y·dy))/√(v + eps)"
_normalises = partial(structured, _FORMULA, _GRADIENT)
_AS_NONE = 1e-100  # an eps below makes no difference to any sample
_DOUBLE_EPS, _SINGLE_EPS = 2.0**-52, 2.0**-23  # torch's rms_norm takes that of the dtype
_FELT = 1e-5  # relative to E[x²], an eps that changes y by half as much
_EPS_OF_DTYPE = "eps is that of float64; torch's RMSNorm has eps=1.1920929e-07 in float32"


def _normalization(n: int, eps: float, *, centred: bool = True) -> BoundLayer:
    """Return the layer of n elements normalised together."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        def mean(v: Array) -> Array:
            return xp.mean(v, axis=0, keepdims=True)

        def centre(v: Array) -> Array:
            return v - mean(v) if centred else v

        x = draws["x"]
        y = centre(x)
        scale = 1 / xp.sqrt(mean(y * y) + eps)
        y = y * scale
        return y, lambda dy: scale * (centre(dy) - y * mean(y * dy))

    def moments(law: Law, expect: Expect) -> ExactMoments:
        return _moments(law, expect, n, eps, centred=centred)

    heavy_tailed = eps < _AS_NONE and 2 <= n - centred <= 4  # E[1/v²] diverges
    inputs = {"x": Input((n,)), "dy": Input((n,))}
    return BoundLayer(inputs, forward, moments, heavy_tailed=("dx",) if heavy_tailed else ())


def _moments(law: Law, expect: Expect, n: int, eps: float, *, centred: bool) -> ExactMoments:
    """Return the moments by one-dimensional integrals over u = e^t.

    The mean square v, of the deviations or of x, is s²/n times a chi-square of k degrees of
    freedom about m: its Laplace transform is L(u) = E[e^(−uv)] = a^(−k/2)·e^(−um²/a) with
    a = 1 + 2us²/n, and (v + eps)^−p is ∫ u^p·e^(−u(v + eps)) dt/Γ(p). With |y|² = nv/(v + eps):

    - E[y] = E[x/√(v + eps)], where E[x·e^(−uv)] = (m/a)·L(u);
    - E[y²] = E[v/(v + eps)], where E[v·e^(−uv)] = −L′(u) = L(u)·(ks²/(na) + m²/a²);
    - dx = (P − yyᵀ/n)·dy/√(v + eps), where P leaves k dimensions, one of them y's, which is shrunk
      by 1 − |y|²/n = eps/(v + eps): E|dx|² = E[(k − 1)/(v + eps) + eps²/(v + eps)³]·E[dy²];
    - given v, |dx|²·(v + eps) is a chi-square of k − 1 degrees of freedom plus one of a single one
      times (eps/(v + eps))², whose squares have means k² − 1 and 3·(eps/(v + eps))⁴;
    - the variance of v/(v + eps) is that of eps/(v + eps).
    """
    m, k = (0.0, n - 1) if centred else (law.x_mean, n)
    var, dy2 = law.x_std**2, law.dy_std**2
    # Integrands begin as u^½ at the slowest; they end as e^(−u·eps), or as u^−½ if that is sooner.
    # Both ends lie far outside, because what is left there counts as error.
    low = -math.log(var + m * m + eps) - 90
    decayed = math.log(n / var) + 180
    last = 20 - math.log(eps) if eps else math.inf
    high = min(decayed if eps == 0 or k > 2 else math.inf, last)

    def over_u(factor: Callable[[Namespace, Array, Array], Array], high: float = high) -> Known:
        def integrand(xp: Namespace, t: Array) -> Array:
            u = xp.exp(t)
            b = u * (2 * var / n)
            transform = xp.exp(-0.5 * k * xp.log1p(b) - u * (m * m / (1 + b) + eps))
            return factor(xp, u, 1 + b) * transform

        return expect.integral(integrand, low, high)

    zero = NO_SUM if centred else SYMMETRIC
    mean = m / math.sqrt(math.pi) * over_u(lambda xp, u, a: xp.sqrt(u) / a) if m else zero
    ms = over_u(lambda xp, u, a: u * (k * var / n + m * m / a) / a)
    constant = eps <= _DOUBLE_EPS * var and k > 2  # nothing but rounding moves |y|²
    ms_y = ms.known_by(CONSTANT) if constant else ms
    var_y = ms_y if centred else ms - mean.squared()
    ms_dx = UNKNOWN
    if eps or k != 2:  # else E[1/v] diverges
        ms_dx = over_u(lambda xp, u, a: u * (k - 1 + 0.5 * (u * eps) ** 2))
    known = ExactMoments(mean_y=mean, var_y=var_y, ms_y=ms_y, ms_dx=dy2 / n * ms_dx, mean_dx=zero)
    if eps < _AS_NONE and k <= 4:  # E[1/v²] diverges
        return known

    def of_fourth(xp: Namespace, u: Array, a: Array) -> Array:
        w = (u * eps) ** 2
        return u * u * (k * k - 1 + w * ((k - 1) / 3 + w / 40))

    far = min(decayed if k > 4 else math.inf, last)
    var_ms_dx = (dy2 / n) ** 2 * (over_u(of_fourth, far) - ms_dx.squared())
    known = replace(known, var_ms_dx=var_ms_dx)
    if not eps or m or constant:
        return known
    first, second = over_u(lambda xp, u, a: u, far), over_u(lambda xp, u, a: u * u, far)
    return replace(known, var_ms_y=eps * (second - first.squared()) * eps)


@_normalises(
    cite="arXiv:1502.03167",
    aliases=("torch.SyncBatchNorm", "keras.BatchNormalization:eps=0.001"),
    examples=("", "batch_size=8"),
)
def batch_norm(*, batch_size: Elements = 64, eps: NonNegative = 1e-5) -> BoundLayer:
    """Batch normalisation in training; batch_size counts N, or N·H·W, elements."""
    return _normalization(batch_size, eps)


@_normalises(
    cite="arXiv:1607.06450",
    aliases=("flax.LayerNorm:eps=1e-6", "keras.LayerNormalization:eps=0.001"),
    examples=("", "normalized_shape=8"),
)
def layer_norm(*, normalized_shape: Elements = 64, eps: NonNegative = 1e-5) -> BoundLayer:
    """Layer normalisation; a normalized_shape of several sides is their product."""
    return _normalization(normalized_shape, eps)


@structured(
    "y = x/√(v + eps),  v = mean x²",
    "dx = (dy − y·mean(y·dy))/√(v + eps)",
    cite="arXiv:1910.07467",
    aliases=("flax.RMSNorm:eps=1e-6", "keras.RMSNormalization:eps=1e-6"),
    examples=("", "normalized_shape=8"),
)
def rms_norm(*, normalized_shape: Width = 64, eps: NonNegative = _DOUBLE_EPS) -> BoundLayer:
    """Root mean square normalisation; eps defaults to float64's; torch's is 1.2e-7 in float32."""
    bound = _normalization(normalized_shape, eps, centred=False)

    def under(law: Law) -> BoundLayer:
        matters = _FELT * (law.x_std**2 + law.x_mean**2) < _SINGLE_EPS
        return replace(bound, hints=(_EPS_OF_DTYPE,)) if matters else bound

    return replace(bound, under=under) if eps == _DOUBLE_EPS else bound


@_normalises(
    cite="arXiv:1803.08494",
    aliases=("flax.GroupNorm:eps=1e-6", "keras.GroupNormalization:eps=0.001"),
    examples=("", "num_groups=4"),
)
def group_norm(
    *,
    num_groups: Width = 8,
    num_channels: Width = 32,
    input_size: Width = 16,
    eps: NonNegative = 1e-5,
) -> BoundLayer:
    """Group normalisation; input_size counts the elements of a channel, H·W."""
    per_group, rest = divmod(num_channels, num_groups)
    if rest:
        raise ParameterError(
            f"num_channels={num_channels} is not a multiple of num_groups={num_groups}"
        )
    if per_group * input_size < 2:
        raise ParameterError("a group of one element has no spread to normalise")
    return _normalization(per_group * input_size, eps)


@_normalises(
    cite="arXiv:1607.08022",
    aliases=("flax.InstanceNorm:eps=1e-6",),
    examples=("", "input_size=8"),
)
def instance_norm(*, input_size: Elements = 64, eps: NonNegative = 1e-5) -> BoundLayer:
    """Instance normalisation; input_size counts the elements of a channel, H·W."""
    return _normalization(input_size, eps)


@structured(
    _FORMULA.replace("eps", "epsilon"),
    _GRADIENT.replace("eps", "epsilon"),
    cite="jax.nn.standardize",
    examples=("", "n=8"),
)
def standardize(*, n: Elements = 64, epsilon: NonNegative = 1e-5) -> BoundLayer:
    """Standardisation over n elements; jax's layer normalisation."""
    return _normalization(n, epsilon)


@structured(
    "y = x/√(Σ x²)",
    "dx = (dy − y·Σ y·dy)/√(Σ x²)",
    cite="torch.nn.functional.normalize",
    aliases=("torch.normalize",),
    examples=("", "n=8"),
)
def unit_normalization(*, n: Elements = 64) -> BoundLayer:
    """Vectors of n elements divided by their length, which no eps bounds."""
    return scaled(_normalization(n, 0.0, centred=False), n**-0.5, 0.0)


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

        mean = averaged("mean") if m else SYMMETRIC
        ms = averaged("square")
        return ExactMoments(
            mean_y=mean, var_y=ms - mean.squared(), ms_dx=dy2 * averaged("gradient")
        )

    return BoundLayer({"x": Input((n,)), "dy": Input((n,))}, forward, moments)

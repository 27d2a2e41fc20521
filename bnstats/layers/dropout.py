"""Layers that multiply by, or add, random noise: dropout and its relatives, in training.

Mean, variance and E[dx²] of one element do not depend on how many elements share a mask.
"""

from __future__ import annotations

import math
from typing import Literal

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import UNKNOWN, ExactMoments, Known
from bnstats.layers._layout import per_side
from bnstats.layers._parameters import Count, NonNegative, Probability, Share, Sizes
from bnstats.layers._registry import pointwise_layer, structured, structured_by_sides

Scaling = Literal["inverted", "sqrt", "none"]
_CITE = "JMLR 15 (2014) 1929-1958"
_FORMULA = "y = x·m·c,  m ~ Bernoulli(1 − p),  c = 1/(1 − p), 1/√(1 − p) or 1"
_GRADIENT = "dx = dy·m·c"

# What selu tends to at −∞, λ·α, as torch writes it.
_SATURATION = 1.7580993408473766


def _masked(shape: tuple[int, ...], p: float, scale: float, shift: float = 0.0) -> BoundLayer:
    """Return the layer of elements that share one mask: y = c·(m·(x + h) − (1 − p)·h)."""
    keep = 1 - p

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        x = draws["x"]
        factor = scale * xp.astype(draws["mask"] < keep, x.dtype)  # where() mispredicts
        y = factor * (x + shift) - scale * keep * shift if shift else x * factor
        return y, lambda dy: dy * factor

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # Central moments, summed over the two values of the mask: no large terms cancel. Kept,
        # y − E[y] is normal with mean p·gap; dropped, it is −(1 − p)·gap.
        gap, std = scale * (law.x_mean + shift), scale * law.x_std
        kept, dropped = p * gap, -keep * gap
        dy2, scalar = (scale * law.dy_std) ** 2, math.prod(shape) == 1
        m4 = keep * (kept**4 + 6 * (kept * std) ** 2 + 3 * std**4) + p * dropped**4
        return ExactMoments(
            mean_y=Known(keep * scale * law.x_mean),
            var_y=Known(keep * (kept**2 + std**2) + p * dropped**2),
            m4_y=Known(m4) if scalar else UNKNOWN,
            ms_dx=Known(keep * dy2),
            m4_dx=Known(3 * keep * dy2**2) if scalar else UNKNOWN,
            cov_xy=Known(keep * scale * law.x_std**2) if scalar else UNKNOWN,
            drift=Known(keep * std**2) if scalar else UNKNOWN,
            mean_slope=Known(keep * scale) if scalar else UNKNOWN,
        )

    inputs = {"x": Input(shape), "dy": Input(shape), "mask": Input(distribution="uniform")}
    return BoundLayer(inputs, forward, moments)


def _scale(p: float, scaling: Scaling) -> float:
    if p == 1:  # nothing is left to scale: the libraries return 0
        return 0.0
    return {"inverted": 1 / (1 - p), "sqrt": 1 / math.sqrt(1 - p), "none": 1.0}[scaling]


@structured(_FORMULA, _GRADIENT, cite=_CITE, examples=("", "scaling=sqrt", "scaling=none", "p=0.1"))
def dropout(*, p: Share = 0.5, scaling: Scaling = "inverted") -> BoundLayer:
    """Dropout in training; p is the probability that an element is dropped."""
    return _masked((), p, _scale(p, scaling))


@structured_by_sides(
    f"{_FORMULA}, one m for a channel",
    _GRADIENT,
    name="dropout{}d",
    cite="arXiv:1411.4280",
    aliases=("spatial_dropout{}d",),
    examples={1: ("",), 2: ("",), 3: ("",)},
)
def channel_dropout(
    sides: int, *, p: Share = 0.5, input_size: Sizes = 2, scaling: Scaling = "inverted"
) -> BoundLayer:
    """Dropout of whole channels; an event is one channel's map, all under one mask."""
    return _masked(per_side("input_size", input_size, sides), p, _scale(p, scaling))


@structured(
    f"{_FORMULA}, one m for a sample",
    _GRADIENT,
    cite="arXiv:1603.09382; scaling as in timm's scale_by_keep: true is inverted, false is none",
    aliases=("stochastic_depth",),
    examples=("p=0.1", "p=0.1,scaling=none"),
)
def drop_path(*, p: Share, elements: Count = 4, scaling: Scaling = "inverted") -> BoundLayer:
    """Stochastic depth: a residual branch's output is dropped for a whole sample at a time."""
    return _masked((elements,), p, _scale(p, scaling))


_ALPHA_FORMULA = (
    "y = a·(m·(x + α) − (1 − p)·α),  m ~ Bernoulli(1 − p),  α = 1.7580993408473766,  "
    "a = 1/√((1 − p)(1 + α²p));  y = x if not training"
)


def _alpha_dropout(shape: tuple[int, ...], p: float, *, training: bool) -> BoundLayer:
    if not training:
        return pointwise_layer(lambda xp, x: (x, xp.ones_like(x)), ())
    scale = 1 / math.sqrt((_SATURATION**2 * p + 1) * (1 - p)) if p < 1 else 0.0
    return _masked(shape, p, scale, _SATURATION)


@structured(
    _ALPHA_FORMULA,
    "dx = dy·m·a",
    cite="arXiv:1706.02515",
    # The modules are in training, the functions are not unless they are told.
    aliases=("torch.AlphaDropout", "torch.alpha_dropout:training=false"),
    examples=("", "p=0.1"),
)
def alpha_dropout(*, p: Share = 0.5, training: bool = True) -> BoundLayer:
    """Dropout to selu's negative saturation −α, then affine so that N(0, 1) keeps E and σ."""
    return _alpha_dropout((), p, training=training)


@structured(
    f"{_ALPHA_FORMULA};  one m for a channel",
    "dx = dy·m·a",
    cite="arXiv:1706.02515",
    aliases=("torch.FeatureAlphaDropout", "torch.feature_alpha_dropout:training=false"),
    examples=("",),
)
def feature_alpha_dropout(
    *, p: Share = 0.5, elements: Count = 4, training: bool = True
) -> BoundLayer:
    """Alpha dropout of whole channels; an event is one channel's elements, all under one mask."""
    return _alpha_dropout((elements,), p, training=training)


@structured(
    "y = x·n,  n ~ N(1, rate/(1 − rate))",
    "dx = dy·n",
    cite="JMLR 15 (2014) 1929-1958, section 10; keras.layers.GaussianDropout",
    examples=("rate=0.5", "rate=0.1"),
)
def gaussian_dropout(*, rate: Probability) -> BoundLayer:
    """Multiplicative normal noise with the mean and the variance of inverted dropout's mask."""
    std = math.sqrt(rate / (1 - rate))

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        factor = 1 + std * draws["noise"]
        return draws["x"] * factor, lambda dy: dy * factor

    def moments(law: Law, expect: Expect) -> ExactMoments:
        # Given the noise z, y − E[y] is normal with mean x_mean·std·z and scale x_std·(1 + std·z).
        shift, x2, v = (law.x_mean * std) ** 2, law.x_std**2, std**2
        n2, n4 = 1 + v, 1 + 6 * v + 3 * v**2
        dy2 = law.dy_std**2
        return ExactMoments(
            mean_y=Known(law.x_mean),
            var_y=Known(shift + x2 * n2),
            m4_y=Known(3 * shift**2 + 6 * shift * x2 * (1 + 3 * v) + 3 * x2**2 * n4),
            ms_dx=Known(dy2 * n2),
            m4_dx=Known(3 * dy2**2 * n4),
            cov_xy=Known(x2),
            drift=Known(x2 * n2),
            mean_slope=Known(1.0),
        )

    return BoundLayer({"x": Input(), "dy": Input(), "noise": Input()}, forward, moments)


@structured(
    "y = x + stddev·z,  z ~ N(0, 1)",
    "dx = dy",
    cite="keras.layers.GaussianNoise",
    examples=("stddev=0.1",),
)
def gaussian_noise(*, stddev: NonNegative) -> BoundLayer:
    """Additive normal noise."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        return draws["x"] + stddev * draws["noise"], lambda dy: dy

    def moments(law: Law, expect: Expect) -> ExactMoments:
        var, dy2 = law.x_std**2 + stddev**2, law.dy_std**2
        return ExactMoments(
            mean_y=Known(law.x_mean),
            var_y=Known(var),
            m4_y=Known(3 * var**2),
            ms_dx=Known(dy2),
            m4_dx=Known(3 * dy2**2),
            cov_xy=Known(law.x_std**2),
            drift=Known(law.x_std**2),
            mean_slope=Known(1.0),
        )

    return BoundLayer({"x": Input(), "dy": Input(), "noise": Input()}, forward, moments)

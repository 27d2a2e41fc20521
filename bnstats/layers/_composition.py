"""Layers made of others: c·f(x) + d, and one layer behind another."""

from __future__ import annotations

from dataclasses import replace

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import CONSTANT, UNKNOWN, ExactMoments
from bnstats.layers._parameters import ParameterError
from bnstats.layers._registry import Pointwise

_NO_EXACT = "exact values of a chain are known for an increasing activation before a maximum"


def scaled(bound: BoundLayer, factor: float, shift: float) -> BoundLayer:
    """Return the layer of y = factor·f(x) + shift, for the layer f."""

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, backward = bound.forward(xp, draws)
        return factor * y + shift, lambda dy: backward(factor * dy)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        known = bound.moments(law, expect)
        powers = {"var_y": 2, "ms_dx": 2, "m3_y": 3, "m4_y": 4, "m4_dx": 4, "var_ms_dx": 4}
        powers |= {"cov_xy": 1, "mean_dx": 1, "mean_slope": 1}
        if not shift:  # these are not central
            powers |= {"ms_y": 2, "var_ms_y": 4, "drift": 2}
        found = {
            name: factor ** powers[name] * value
            for name, value in known.stated.items()
            if name in powers
        }
        if known.drift is not UNKNOWN and shift and _is_activation(bound):
            # ½·E[(z² − 1)·(c·f + d)²] = c²·drift + c·d·E[(z² − 1)·f]
            found["drift"] = factor**2 * known.drift + factor * shift * expect(
                lambda xp, x: (
                    (((x - law.x_mean) / law.x_std) ** 2 - 1) * bound.forward(xp, {"x": x})[0]
                ),
                breakpoints=bound.breakpoints,
            )
        if known.mean_y is not UNKNOWN:
            mean = factor * known.mean_y + shift
            found["mean_y"] = mean.widened(2.0**-52 * (abs(mean.value) + abs(shift)))
        return ExactMoments(**found)

    under = bound.under
    return replace(
        bound,
        forward=forward,
        moments=moments,
        moments_after=None,
        under=(lambda law: scaled(under(law), factor, shift)) if under else None,
    )


def chained(first: BoundLayer, second: BoundLayer) -> BoundLayer:
    """Return the layer of y = second(first(x)).

    Raises
    ------
    ParameterError
        Neither of them is an activation, which has no shape of its own and draws no numbers.
    """
    if not (_is_activation(first) or _is_activation(second)):
        raise ParameterError("of two layers in a chain one is an activation")
    shaped = second if _is_activation(first) else first
    known_after = second.moments_after if shaped is second else None

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        between, back = first.forward(xp, draws)
        y, dy_back = second.forward(xp, {**draws, "x": between})
        if shaped is first:
            return y, lambda dy: back(dy_back(dy))
        slope = back(xp.ones_like(between))

        def backward(dy: Array) -> Array:
            dx = dy_back(dy)
            return dx * slope[_kept(slope.shape, dx.shape, dy.shape)]

        return y, backward

    def moments(law: Law, expect: Expect) -> ExactMoments:
        if known_after is None:
            known = ExactMoments() if shaped is first else second.moments(law, expect)
            # what is the same whatever a layer is given: outputs that sum to one
            same = known.mean_y.by == CONSTANT
            return ExactMoments(mean_y=known.mean_y) if same else ExactMoments()
        return known_after(_function_of(first), first.breakpoints, law, expect)

    under = first.under
    return BoundLayer(
        shaped.inputs,
        forward,
        moments,
        hints=first.hints + second.hints,
        why_inexact="" if known_after else _NO_EXACT,
        heavy_tailed=tuple(dict.fromkeys(first.heavy_tailed + second.heavy_tailed)),
        is_black_box=first.is_black_box or second.is_black_box,
        under=(lambda law: chained(under(law), second)) if under else None,
    )


def _is_activation(bound: BoundLayer) -> bool:
    return dict(bound.inputs) == {"x": Input(), "dy": Input()}


def _function_of(bound: BoundLayer) -> Pointwise:
    def f(xp: Namespace, x: Array) -> tuple[Array, Array]:
        y, backward = bound.forward(xp, {"x": x})
        return y, backward(xp.ones_like(x))

    return f


def _kept(
    whole: tuple[int, ...], kept: tuple[int, ...], windows: tuple[int, ...]
) -> tuple[slice, ...]:
    """Return where the positions of dx lie among those of x.

    In the interior of a map they are one period of it, which begins where the last window does.
    """
    found = []
    for axis, (n, k) in enumerate(zip(whole, kept, strict=True)):
        start = 0 if k == n else (windows[axis] - 1) * k
        found.append(slice(start, start + k))
    return tuple(found)

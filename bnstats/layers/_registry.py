"""What a layer is, and the one table that all layers stand in.

A layer is data: a name, its parameters, and a function that binds parameter values: a `BoundLayer`,
the experiment of one draw. Everything else, from the command line to the tests, reads the registry.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bnstats.layers._bound import Array, Backward, BoundLayer, Draws, Expect, Input, Law, Namespace
from bnstats.layers._known import ExactMoments, Known
from bnstats.layers._parameters import Parameter, parameters_of

Pair: TypeAlias = tuple[Array, Array]  # y and dy/dx
Function: TypeAlias = Callable[[Namespace, Array], Array]
Pointwise: TypeAlias = Callable[[Namespace, Array], Pair]
Activation: TypeAlias = Callable[..., Pair]  # of xp, x and parameters
Builder: TypeAlias = Callable[..., BoundLayer]  # of parameters


@dataclass(frozen=True)
class Layer:
    """An entry of the registry.

    Attributes
    ----------
    name, aliases
        The canonical name and those of other libraries; an alias may carry its library's defaults,
        written as in a spec: ``keras.leaky_relu:negative_slope=0.2``.
    family
        The module that declares it. For a user's layer, the package that offers it, ``user`` if it
        is named by its path, or ``registered``.
    summary
        What it is, in a line.
    formula, gradient
        The forward and the backward formula as a person reads them.
    cite
        Where the formula comes from.
    declares
        Returns the parameters, read when they are first asked for: to read those of all layers
        would take a tenth of a short run.
    bind
        ``bind(**values)`` returns the `BoundLayer`; raises `ParameterError`.
    examples
        Parameter texts that stand in the table of constants; empty for the default alone.
    made_of
        The layers that a composed one is made of.
    """

    name: str
    family: str
    summary: str
    formula: str
    gradient: str
    declares: Callable[[], tuple[Parameter, ...]] = field(repr=False)
    bind: Builder = field(repr=False)
    cite: str = ""
    aliases: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    made_of: tuple[Layer, ...] = field(default=(), repr=False)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in the order in which `show` prints them."""
        return self.declares()

    @property
    def parts(self) -> tuple[Layer, ...]:
        """The layers that are not composed: those that it is made of in the end, or itself."""
        return tuple(part for layer in self.made_of for part in layer.parts) or (self,)


LAYERS: dict[str, Layer] = {}
ALIASES: dict[str, tuple[str, str]] = {}  # to the canonical name and the parameters it carries
USER_LAYERS: dict[str, Layer] = {}  # those of the user that this process has loaded


def find(name: str) -> tuple[Layer, str] | None:
    """Return the layer of a name or alias with the parameters it carries, or None."""
    canonical, carried = ALIASES.get(name, (name, ""))
    layer = LAYERS.get(canonical) or USER_LAYERS.get(canonical)
    return None if layer is None else (layer, carried)


def register(layer: Layer) -> None:
    """Add a layer to the registry; a name that is taken raises ValueError."""
    parted = (alias.partition(":") for alias in layer.aliases)
    aliases = {name: (layer.name, carried) for name, _, carried in parted}
    for name in (layer.name, *aliases):
        if name in LAYERS or name in ALIASES:
            raise ValueError(f"layer name {name!r} is taken")
    LAYERS[layer.name] = layer
    ALIASES.update(aliases)


def structured(
    formula: str, gradient: str, *, name: str | None = None, **about: Any
) -> Callable[[Builder], Builder]:
    """Register a builder: a function of keyword-only parameters that returns a `BoundLayer`.

    ``about`` holds what else a `Layer` says of itself: cite, aliases, examples.
    """

    def decorate(build: Builder) -> Builder:
        declared = getattr(build, "func", build)
        register(
            Layer(
                name=name or declared.__name__,
                family=declared.__module__.rpartition(".")[2],
                summary=(inspect.getdoc(declared) or "").partition("\n")[0],
                formula=formula,
                gradient=gradient,
                declares=functools.partial(parameters_of, build),
                bind=build,
                **about,
            )
        )
        return build

    return decorate


def structured_by_sides(
    formula: str,
    gradient: str,
    *,
    name: str,
    examples: Mapping[int, tuple[str, ...]],
    aliases: tuple[str, ...] = (),
    aliases_of: Mapping[int, tuple[str, ...]] | None = None,
    **about: Any,
) -> Callable[[Builder], Builder]:
    """Register a builder for maps of several numbers of sides, which it takes as first argument.

    ``examples`` lists them with the examples of each; ``{}`` in the name and in aliases is theirs.
    ``aliases_of`` are further aliases of a number of sides.
    """

    def decorate(build: Builder) -> Builder:
        for sides, texts in examples.items():
            structured(
                formula,
                gradient,
                name=name.format(sides),
                aliases=(*(a.format(sides) for a in aliases), *(aliases_of or {}).get(sides, ())),
                examples=texts,
                **about,
            )(functools.partial(build, sides))
        return build

    return decorate


def elementwise(
    formula: str,
    gradient: str = "dx = dy·f′(x)",
    *,
    breakpoints: tuple[float, ...] | Callable[..., tuple[float, ...]] = (),
    closed_form: Callable[[Law], ExactMoments] | None = None,
    **about: Any,
) -> Callable[[Activation], Activation]:
    """Register an activation: a function of ``(xp, x)`` that returns ``(y, dy/dx)``.

    Its keyword-only arguments are its parameters. ``breakpoints`` lists where it is not smooth,
    or is a function of the parameters that does, and that raises `ParameterError` where they make
    no layer. ``closed_form`` states moments of a layer without parameters under any law; the others
    are found by quadrature. The other arguments are those of `structured`.
    """

    def decorate(function: Activation) -> Activation:
        @functools.wraps(function)
        def build(**values: Any) -> BoundLayer:
            values = (function.__kwdefaults__ or {}) | values

            breaks = breakpoints(**values) if callable(breakpoints) else breakpoints
            return pointwise_layer(functools.partial(function, **values), breaks, closed_form)

        structured(formula, gradient, **about)(build)
        return function

    return decorate


def pointwise_layer(
    f: Pointwise,
    breakpoints: tuple[float, ...],
    closed_form: Callable[[Law], ExactMoments] | None = None,
) -> BoundLayer:
    """Return the layer of y = f(x), dx = dy·f′(x) for scalars x and dy.

    Parameters
    ----------
    f
        ``f(xp, x)`` returns y and dy/dx, elementwise.
    breakpoints
        Where f, its slope or its curvature jumps, in units of x.
    closed_form
        Moments that are known in closed form under a law; quadrature finds the others.
    """

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Backward]:
        y, slope = f(xp, draws["x"])
        return y, lambda dy: dy * slope

    breakpoints = tuple(filter(math.isfinite, breakpoints))  # nothing lies beyond one at infinity
    found = pointwise_moments(lambda xp, x: f(xp, x)[0], lambda xp, x: f(xp, x)[1], breakpoints)

    def moments(law: Law, expect: Expect) -> ExactMoments:
        by_quadrature = found(law, expect)
        return by_quadrature | closed_form(law) if closed_form else by_quadrature

    return BoundLayer({"x": Input(), "dy": Input()}, forward, moments, breakpoints=breakpoints)


def pointwise_moments(
    value: Function, slope: Function, breakpoints: tuple[float, ...]
) -> Callable[[Law, Expect], ExactMoments]:
    """Return the `BoundLayer.moments` of a scalar function and its slope, found by quadrature.

    The bound on Var[y] includes that E[y] and the values of the function are rounded.
    """

    def moments(law: Law, expect: Expect) -> ExactMoments:
        over = functools.partial(expect, breakpoints=breakpoints)
        mean = over(value)

        def central(power: int) -> Known:
            return over(lambda xp, x: (value(xp, x) - mean.value) ** power)

        var, dy2 = central(2), law.dy_std**2
        # The rounding of f, relative to E[y]; where f hardly varies it is most of y − E[y].
        std, rounding = math.sqrt(var.value), 2.0**-51 * abs(mean.value)
        var = var.widened(rounding * (2 * std + rounding))
        if std < rounding:
            error = var.error if var.is_finite else rounding**2  # noise, which does not settle
            var = Known(0.0, error + var.value, var.by)

        def z(x: Array) -> Array:
            return (x - law.x_mean) / law.x_std

        return ExactMoments(
            mean_y=mean,
            var_y=var,
            cov_xy=law.x_std * over(lambda xp, x: z(x) * (value(xp, x) - mean.value)),
            drift=over(lambda xp, x: 0.5 * (z(x) ** 2 - 1) * value(xp, x) ** 2),
            mean_slope=over(slope),
            m3_y=central(3),
            m4_y=central(4),
            ms_dx=dy2 * over(lambda xp, x: slope(xp, x) ** 2),
            m4_dx=3 * dy2**2 * over(lambda xp, x: slope(xp, x) ** 4),
        )

    return moments

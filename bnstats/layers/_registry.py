"""What a layer is, and the one table that all layers stand in.

A layer is data: a name, its parameters, and a function that binds parameter values: a `BoundLayer`,
the experiment of one draw. Everything else, from the command line to the tests, reads the registry.
Formulas are written against an array namespace ``xp`` and hold one draw per position of the *last*
axis: an input of shape ``(3, 3)`` arrives as an array of shape ``(3, 3, n)``.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from bnstats.layers._known import Known
from bnstats.layers._parameters import Parameter, parameters_of

Array: TypeAlias = Any
Namespace: TypeAlias = Any
Backward: TypeAlias = Callable[[Array], Array]
Pointwise: TypeAlias = Callable[[Namespace, Array], tuple[Array, Array]]


class Law(NamedTuple):
    """The law of the inputs: x ~ N(x_mean, x_std²), dy ~ N(0, dy_std²), all independent.

    Attributes
    ----------
    x_mean, x_std
        The mean and the standard deviation of every element of x.
    dy_std
        The standard deviation of every element of dy, whose mean is 0.
    """

    x_mean: float = 0.0
    x_std: float = 1.0
    dy_std: float = 1.0


STANDARD = Law()


class Expect(typing.Protocol):
    """Expectations under the law of x, supplied to a layer's `BoundLayer.moments` from outside."""

    def __call__(
        self,
        function: Callable[[Namespace, Array], Array],
        *,
        breakpoints: Iterable[float] = (),
        maximum_of: int = 1,
        tolerance: float = ...,
    ) -> Known:
        """Return E[function(X)], X being the largest of ``maximum_of`` independent inputs.

        The quadrature is refined until it changes by less than the relative tolerance.
        """

    def integral(
        self, function: Callable[[Namespace, Array], Array], low: float, high: float
    ) -> Known:
        """Return ∫ function(t) dt from low to high.

        The function must be analytic on the whole real line, within ±π/2 of it for any feature of
        unit width, and negligible at both ends: the trapezoid rule then converges geometrically.
        """


@dataclass(frozen=True)
class Input:
    """A random input of one draw: its event shape and its law.

    ``x`` and ``dy`` are normal with the mean and scale of the run's `Law`; every other input is
    a standard normal or uniform on (0, 1).
    """

    shape: tuple[int, ...] = ()
    law: Literal["normal", "uniform"] = "normal"


@dataclass(frozen=True)
class BoundLayer:
    """One draw of a layer whose parameters are bound.

    Attributes
    ----------
    inputs
        Every random input by name; always ``x`` and ``dy``.
    forward
        ``forward(xp, draws)`` returns ``(y, backward)``; ``backward(dy)`` returns dx. Arrays hold
        the draws on their last axis.
    moments
        ``moments(law, expect)`` returns what is known exactly of one element of y and dx: any of
        ``mean_y``, ``var_y``, ``m3_y`` and ``m4_y`` (third and fourth central moment), ``ms_dx``
        (E[dx²]) and ``m4_dx`` (E[dx⁴]), averaged over the event's positions. E[dx] is zero for
        every layer, because dx is linear in dy. Third and fourth moments are stated only where an
        event has a single element; of several, ``var_ms_y`` and ``var_ms_dx`` are the variances of
        the event's means of y² and dx², that of y stated only where E[y] is zero. What is the same
        in every draw, averaged over its positions, is known by `CONSTANT`; ``mean_dx`` and ``ms_y``
        are stated where they are.
    breakpoints
        Where an elementwise layer is not smooth, in units of x: f, its slope or its curvature
        jumps.
    hints
        What a user should know about these parameter values.
    why_inexact
        Why some moment is known by sampling only; empty where all are known.
    heavy_tailed
        Directions whose fourth moment is infinite under any law: no sample of them, however large,
        has an interval that holds.
    under
        ``under(law)`` returns this layer with what shows only once the law is known: breakpoints
        and faults of a function that nobody has examined. None where there is nothing to find out.
    """

    inputs: Mapping[str, Input]
    forward: Callable[[Namespace, Mapping[str, Array]], tuple[Array, Backward]]
    moments: Callable[[Law, Expect], Mapping[str, Known]]
    breakpoints: tuple[float, ...] = ()
    hints: tuple[str, ...] = ()
    why_inexact: str = ""
    heavy_tailed: tuple[Literal["y", "dx"], ...] = ()
    under: Callable[[Law], BoundLayer] | None = None

    @property
    def numbers(self) -> int:
        """Random numbers in one draw."""
        return sum(math.prod(i.shape) for i in self.inputs.values())


@dataclass(frozen=True)
class Layer:
    """An entry of the registry.

    Attributes
    ----------
    name, aliases
        The canonical name and those of other libraries; an alias may carry its library's defaults,
        written as in a spec: ``keras.leaky_relu:negative_slope=0.2``.
    family
        The module that declares it; of a user's layer the package that offers it, ``user`` for one
        named by its path, or ``registered``.
    summary
        What it is, in a line.
    formula, gradient
        The forward and the backward formula as a person reads them.
    cite
        Where the formula comes from.
    parameters
        In the order in which `show` prints them.
    bind
        ``bind(**values)`` returns the `BoundLayer`; raises `ParameterError`.
    examples
        Parameter texts that stand in the table of constants; empty for the default alone.
    """

    name: str
    family: str
    summary: str
    formula: str
    gradient: str
    cite: str
    parameters: tuple[Parameter, ...]
    bind: Callable[..., BoundLayer] = field(repr=False)
    aliases: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


LAYERS: dict[str, Layer] = {}
ALIASES: dict[str, tuple[str, str]] = {}  # to the canonical name and the parameters it carries
USER_LAYERS: dict[str, Layer] = {}  # those of the user that this process has loaded


def find(name: str) -> tuple[Layer, str] | None:
    """Return the layer of a name or alias with the parameters it carries, or None."""
    canonical, carried = ALIASES.get(name, (name, ""))
    layer = LAYERS.get(canonical) or USER_LAYERS.get(canonical)
    return None if layer is None else (layer, carried)


def register(layer: Layer) -> Layer:
    """Add a layer to the registry; a name that is taken raises ValueError."""
    aliases = {name: (layer.name, carried) for name, _, carried in _parted(layer.aliases)}
    for name in (layer.name, *aliases):
        if name in LAYERS or name in ALIASES:
            raise ValueError(f"layer name {name!r} is taken")
    LAYERS[layer.name] = layer
    ALIASES.update(aliases)
    return layer


def _parted(aliases: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    return (alias.partition(":") for alias in aliases)


def structured(
    formula: str,
    gradient: str,
    *,
    name: str | None = None,
    cite: str = "",
    aliases: tuple[str, ...] = (),
    examples: tuple[str, ...] = (),
) -> Callable[[Callable[..., BoundLayer]], Callable[..., BoundLayer]]:
    """Register a builder: a function of keyword-only parameters that returns a `BoundLayer`."""

    def decorate(build: Callable[..., BoundLayer]) -> Callable[..., BoundLayer]:
        declared = getattr(build, "func", build)
        register(
            Layer(
                name=name or declared.__name__,
                family=declared.__module__.rpartition(".")[2],
                summary=(inspect.getdoc(declared) or "").partition("\n")[0],
                formula=formula,
                gradient=gradient,
                cite=cite,
                parameters=parameters_of(build),
                bind=build,
                aliases=aliases,
                examples=examples,
            )
        )
        return build

    return decorate


def elementwise(
    formula: str,
    gradient: str = "dx = dy·f′(x)",
    *,
    name: str | None = None,
    breakpoints: tuple[float, ...] | Callable[..., tuple[float, ...]] = (),
    closed_form: Callable[[Law], Mapping[str, Known]] | None = None,
    cite: str = "",
    aliases: tuple[str, ...] = (),
    examples: tuple[str, ...] = (),
) -> Callable[[Callable[..., tuple[Array, Array]]], Callable[..., tuple[Array, Array]]]:
    """Register an activation: a function of ``(xp, x)`` that returns ``(y, dy/dx)``.

    Its keyword-only arguments are its parameters. ``breakpoints`` lists where it is not smooth,
    or is a function of the parameters that does, and that raises `ParameterError` where they make
    no layer. ``closed_form`` states moments (see `BoundLayer`) of a layer without parameters under
    any law; the others are found by quadrature.
    """

    def decorate(
        function: Callable[..., tuple[Array, Array]],
    ) -> Callable[..., tuple[Array, Array]]:
        @functools.wraps(function)
        def build(**values: Any) -> BoundLayer:
            values = (function.__kwdefaults__ or {}) | values

            def f(xp: Namespace, x: Array) -> tuple[Array, Array]:
                return function(xp, x, **values)

            breaks = breakpoints(**values) if callable(breakpoints) else breakpoints
            return pointwise_layer(f, breaks, closed_form)

        structured(formula, gradient, name=name, cite=cite, aliases=aliases, examples=examples)(
            build
        )
        return function

    return decorate


def pointwise_layer(
    f: Pointwise,
    breakpoints: tuple[float, ...],
    closed_form: Callable[[Law], Mapping[str, Known]] | None = None,
) -> BoundLayer:
    """Return the event of one scalar pair (x, dy) through y = f(x), dx = dy·f′(x)."""

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        y, slope = f(xp, draws["x"])
        return y, lambda dy: dy * slope

    found = pointwise_moments(lambda xp, x: f(xp, x)[0], lambda xp, x: f(xp, x)[1], breakpoints)

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        return {**found(law, expect), **(closed_form(law) if closed_form else {})}

    return BoundLayer({"x": Input(), "dy": Input()}, forward, moments, breakpoints=breakpoints)


def pointwise_moments(
    value: Callable[[Namespace, Array], Array],
    slope: Callable[[Namespace, Array], Array],
    breakpoints: tuple[float, ...],
) -> Callable[[Law, Expect], Mapping[str, Known]]:
    """Return the `BoundLayer.moments` of a scalar function and its slope."""

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        mean = expect(value, breakpoints=breakpoints)
        var = expect(lambda xp, x: (value(xp, x) - mean.value) ** 2, breakpoints=breakpoints)
        ms_slope = expect(lambda xp, x: slope(xp, x) ** 2, breakpoints=breakpoints)
        m4_slope = expect(lambda xp, x: slope(xp, x) ** 4, breakpoints=breakpoints)
        power = law.dy_std**2
        lost = 2.0**-51 * abs(mean.value)  # rounding of f, of which y − E[y] may leave little else
        error = var.error + lost * (2 * math.sqrt(var.value) + lost)
        if math.sqrt(var.value) < lost:
            var, error = Known(0.0, by=var.by), error + var.value
        return {
            "mean_y": mean,
            "var_y": Known(var.value, error, var.by),
            "m3_y": expect(lambda xp, x: (value(xp, x) - mean.value) ** 3, breakpoints=breakpoints),
            "m4_y": expect(lambda xp, x: (value(xp, x) - mean.value) ** 4, breakpoints=breakpoints),
            "ms_dx": Known(power * ms_slope.value, power * ms_slope.error, ms_slope.by),
            "m4_dx": Known(3 * power**2 * m4_slope.value, 3 * power**2 * m4_slope.error),
        }

    return moments

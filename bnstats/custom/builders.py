"""From a user's builder to a layer whose exceptions are reported as the builder's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bnstats.custom.calls import blamed
from bnstats.errors import BnstatsError, kind_of
from bnstats.layers import (
    STANDARD,
    Array,
    BoundLayer,
    Draws,
    Layer,
    MomentError,
    Namespace,
    Parameter,
)


def built(function: Any, name: str, values: Mapping[str, Any]) -> BoundLayer:
    """Return the layer that a builder makes; exceptions in its formulas are reported as its own."""
    with blamed(name):
        bound = function(**values)
    if not isinstance(bound, BoundLayer):
        raise BnstatsError(
            f"{name} returned {kind_of(bound)}",
            hint="a layer is a function of an array x, or a builder that returns a BoundLayer",
        )

    def told(call: Callable[..., Any], *arguments: Any) -> Any:
        with blamed(name):
            return call(*arguments)

    def forward(xp: Namespace, draws: Draws) -> tuple[Array, Callable[..., Array]]:
        y, backward = told(bound.forward, xp, draws)
        return y, functools.partial(told, backward)

    return replace(bound, forward=forward, moments=functools.partial(told, bound.moments))


def needed(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return values for the parameters of a layer that have no default."""
    values = {"bool": True, "size": 2, "word": "1"}
    return {
        p.name: p.choices[0] if p.choices else values.get(p.kind, 1)
        for p in parameters
        if p.required
    }


def with_known_moments(layer: Layer) -> Layer:
    """Return a layer, unless it states a moment that bnstats does not know.

    All else that goes wrong here is told where the layer is used, with the user's own parameters.
    """
    from bnstats.statistics.exact import exact_values

    try:
        exact_values(layer.bind(**needed(layer.parameters)), STANDARD)
    except MomentError as error:
        raise BnstatsError(f"{layer.name}: {error}", hint=error.hint) from None
    except Exception:
        pass
    return layer

"""The calls of a model as the layers of the catalogue, with weights as they were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, Law
from bnstats.networks.predictions import isolated_squares
from bnstats.networks.shapes.events import MisfitError, Shape, out_shape
from bnstats.networks.shapes.steps import Flatten, Node, Placed, Step, fitted
from bnstats.networks.stages import Add, Skip
from bnstats.specs.spec import parse

_NO_WEIGHTS = (math.nan, math.nan)


class Traced(NamedTuple):
    """A call of a model, or an operation of its own between calls.

    Attributes
    ----------
    layer, given
        The catalogue's name of it and its parameters as text; empty where nothing is known of it,
        or if it passes on what it gets.
    got, made
        Shapes of its input and of its output, without the batch.
    sources
        The calls whose outputs it takes, by number; −1 is the model's input.
    row
        Whether it has one.
    weights
        The place of its parameters among those that are measured; None without any.
    why
        Why nothing is known of it, or if it has a layer, of its like in a wide network.
    """

    layer: str
    given: dict[str, str]
    got: Shape
    made: Shape
    sources: tuple[int, ...]
    row: bool = False
    weights: int | None = None
    why: str = ""


def nodes_of(
    calls: Sequence[Traced], weights: Sequence[tuple[float, float]], sides: Shape, batch: int
) -> tuple[list[Node], list[int]]:
    """Return the graph of a model's calls, and the numbers of its rows in it.

    Parameters
    ----------
    calls
        In order.
    weights
        Of each module that has some: by what an output multiplies E[x²], and E[b²].
    sides, batch
        The shape of an input, and how many there are.
    """
    nodes = [Node(Skip(), (-1,), sides)]
    at, views = {-1: 0}, dict[tuple[int, Shape], int]()
    for number, call in enumerate(calls):
        sources = []
        for source in call.sources:
            made = calls[source].made if source >= 0 else sides
            known = made and call.got and call.layer
            if known and made != call.got:
                if (source, call.got) not in views:
                    views[source, call.got] = len(nodes)
                    nodes.append(Node(Flatten(call.got), (at[source],), made))
                sources.append(views[source, call.got])
            else:
                sources.append(at[source])
        own = _NO_WEIGHTS if call.weights is None else weights[call.weights]
        step, why = _step(call, own, batch)
        at[number] = len(nodes)
        nodes.append(Node(step, tuple(sources), call.got, why))
    return nodes, [at[number] for number, call in enumerate(calls) if call.row]


def _step(call: Traced, weights: tuple[float, float], batch: int) -> tuple[Step | None, str]:
    """Return what a call does, and why that is not known, or not in a wide network."""
    if not call.layer:
        if call.why:
            return None, call.why
        return (Skip() if call.got == call.made else Flatten(call.made)), ""
    if call.layer == "add":
        return Add(), ""
    try:
        return _placed(call, weights, batch), call.why
    except MisfitError as misfit:
        return None, f"the catalogue's {call.layer} wants {misfit}"
    except BnstatsError as error:
        return None, error.message


def _placed(call: Traced, weights: tuple[float, float], batch: int) -> Placed:
    layer = LAYERS[call.layer]
    event, values = fitted(layer, call.given, call.got, batch)
    drawn = event is not None and any(p.name == "init" for p in layer.parameters)
    law = {"init": "kaiming_normal", "gain": "1.0"} if drawn else {}
    spec = parse(layer.name, given=call.given | values | law)
    spec = spec if event else spec.under(Law())
    out = call.got if event is None else out_shape(spec, event, call.got)
    if out != call.made or (event is None and any(i.shape for i in spec.bound.inputs.values())):
        raise BnstatsError(f"the catalogue's {layer.name} is another layer")
    y, dx = isolated_squares(spec)
    factor, bias = weights
    if drawn:
        squares = y * factor, dx * factor
        return Placed(layer.name, spec, event, out, squares, bias_std=math.sqrt(bias))
    scale = math.sqrt(factor) if layer.family == "normalization" and factor == factor else 1.0
    return Placed(layer.name, spec, event, out, (y, dx), scale, scale)

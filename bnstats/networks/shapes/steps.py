"""Layers with shapes at their places, and the graph of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bnstats.errors import printable
from bnstats.layers import Layer
from bnstats.networks.shapes.events import Event, MisfitError, Shape, event_of
from bnstats.networks.stages import Add, Skip
from bnstats.specs.spec import Spec


@dataclass(frozen=True)
class Placed:
    """A layer of the registry at its place.

    Attributes
    ----------
    name
        As it was written.
    spec
        With the parameters that its place decides.
    event
        What it takes together; None of an elementwise layer.
    shape
        Of its output, without the batch.
    squares
        What it makes of the mean squares of standard normal x and dy; nan where that is not known.
    forward, backward
        Factors on y and dx.
    bias_std, bias_law
        Of biases, one a channel or feature.
    """

    name: str
    spec: Spec
    event: Event | None
    shape: Shape
    squares: tuple[float, float]
    forward: float = 1.0
    backward: float = 1.0
    bias_std: float = 0.0
    bias_law: str = "normal"


@dataclass(frozen=True)
class Flatten:
    """The same numbers in another shape: all sides as one."""

    shape: Shape
    name: str = "flatten"


Step: TypeAlias = Placed | Flatten | Skip | Add


class Node(NamedTuple):
    """A layer of a graph.

    Attributes
    ----------
    step
        What it does; None where that is not known.
    sources
        The nodes whose outputs it takes, by number, of an `Add` the trunk's first; −1 is the input.
    got
        The shape of what it takes, without the batch.
    why
        Why nothing is known of it, or if it has a step, of its like in a wide network.
    """

    step: Step | None
    sources: tuple[int, ...]
    got: Shape
    why: str = ""


def fitted(
    layer: Layer, given: Mapping[str, str], shape: Shape, batch: int
) -> tuple[Event | None, dict[str, str]]:
    """Return what a layer takes together on inputs of a shape, and the parameters that sets.

    Raises
    ------
    MisfitError
        It cannot take such inputs, with the parameters that are given.
    """
    if not is_structured(layer):
        return None, {}
    event = event_of(layer.name, shape, batch, given)
    known = {p.name for p in layer.parameters}
    values = {k: v for k, v in event.values.items() if k in known}
    for key, value in values.items():
        if key in given and not _alike(given[key], value):
            raise MisfitError(f"{key}={printable(given[key], 40)}")
    return event, values


def is_structured(layer: Layer) -> bool:
    """Whether a layer takes several numbers together."""
    name, family = layer.name, layer.family
    kinds = ("normalization", "softmax", "linear", "convolution", "max_pooling", "average_pooling")
    others = ("lp_pooling", "fractional_pooling", "padding", "depthwise", "gated")
    of_maps = family in ("dropout", "resizing") and name[-1] == "d"
    return family in (*kinds, *others) or of_maps or name in ("drop_path", "feature_alpha_dropout")


def _alike(given: str, value: str) -> bool:
    """Whether a size is the same, 8 for 8x8."""
    return given == value or set(value.split("x")) == {given}

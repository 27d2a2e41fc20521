"""How a layer of the registry, which knows one event, works on a whole batch of maps.

An event is what a layer looks at together: a channel's map for a pool, all that a channel has in a
batch for batch normalisation. The axes of an event go first and all others become its draws.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import LAYERS, Backward
from bnstats.specs.spec import Spec

Shape = tuple[int, ...]
_JOINING = {"glu", "swiglu", "geglu", "reglu", "multiply", "maxout", "crelu"}
_ROWS = {"softmax", "softmin", "log_softmax", "sparsemax", "standardize"}


class MisfitError(Exception):
    """What a layer wants instead of the input it gets."""


@dataclass(frozen=True)
class Event:
    """Which axes of (groups?, *shape, batch) a layer takes together, and what that sets.

    Attributes
    ----------
    axes
        In order; the batch is the last axis, −1.
    values
        Parameters of the layer that the shape decides, as a spec has them.
    pieces
        Into how many the channels are split first, and how many of them y has: of groups as many,
        of layers that join channels fewer or more, as glu makes one of two. They follow each other,
        as in torch. None of other layers.
    split
        The axis of the channels that are split; the pieces come before it.
    """

    axes: tuple[int, ...]
    values: Mapping[str, str]
    pieces: tuple[int, int] | None = None
    split: int = 0

    def in_pieces(self, v: Any, pieces: int) -> Any:
        """Return an array with an axis of the pieces of its channels."""
        return v.reshape(*v.shape[: self.split], pieces, -1, *v.shape[self.split + 1 :])

    def joined(self, v: Any) -> Any:
        """Return an array without that axis."""
        return v.reshape(*v.shape[: self.split], -1, *v.shape[self.split + 2 :])


def event_of(name: str, shape: Shape, batch: int, given: Mapping[str, str]) -> Event:
    """Return the event of a structured layer on inputs of a shape.

    Raises
    ------
    MisfitError
        It takes none of this shape.
    """
    sides = int(found[1]) if (found := re.search(r"(\d)d$", name)) else 0
    every = tuple(range(len(shape)))
    if sides:
        if len(shape) != sides + 1:
            raise MisfitError(" x ".join(("channels", *("depth", "height", "width")[-sides:])))
        known = {p.name for p in LAYERS[name].parameters}
        size = {"input_size": by_x(shape[1:])}
        if "conv" not in name:
            return Event(every[1:], size)
        size |= {"in_channels": str(shape[0])}
        if "out_channels" in known:
            size |= _as_many("out_channels", shape[0], given)
        return Event(every, size)
    if name == "linear":
        if len(shape) > 2:
            raise MisfitError("features, as flatten gives them")
        features = {"in_features": str(shape[-1])}
        return Event((every[-1],), features | _as_many("out_features", shape[-1], given))
    if name in _ROWS:
        axis = every[-1] if len(shape) < 3 else 0
        return Event((axis,), {"n": str(shape[axis])})
    if name in _JOINING:
        pieces = (1, 2) if name == "crelu" else (int(given.get("k", 2)), 1)
        axis = 0 if len(shape) > 2 else every[-1]
        if shape[axis] % pieces[0]:
            raise MisfitError(f"a multiple of {pieces[0]} channels or features")
        return Event((axis,), {}, pieces, split=axis)
    if name in ("drop_path", "feature_alpha_dropout"):
        axes = every if name == "drop_path" else every[1:]
        return Event(axes, {"elements": str(math.prod(shape[a] for a in axes))})
    return _norm(name, shape, batch, given)


def _norm(name: str, shape: Shape, batch: int, given: Mapping[str, str]) -> Event:
    every, spatial = tuple(range(len(shape))), math.prod(shape[1:])
    if name == "batch_norm":
        return Event((*every[1:], -1), {"batch_size": str(spatial * batch)})
    if name in ("layer_norm", "rms_norm"):
        axes = every if len(shape) > 2 else every[-1:]
        return Event(axes, {"normalized_shape": str(math.prod(shape[a] for a in axes))})
    if name == "instance_norm":
        return Event(every[1:], {"input_size": str(spatial)})
    if name == "group_norm":
        groups = int(given.get("num_groups", 8))
        sizes = {"num_channels": str(shape[0]), "input_size": str(spatial)}
        return Event(tuple(range(1, len(shape) + 1)), sizes, (groups, groups))
    raise MisfitError("no shape that a stack has")


def _as_many(name: str, count: int, given: Mapping[str, str]) -> dict[str, str]:
    return {} if name in given else {name: str(count)}


def by_x(sides: Shape) -> str:
    """Return sides as a spec and a person write them.

    >>> by_x((3, 32, 32))
    '3x32x32'
    """
    return "x".join(map(str, sides))


def out_shape(spec: Spec, event: Event, shape: Shape) -> Shape:
    """Return the shape of y without the batch."""
    x, y = (spec.bound.inputs[name].shape for name in ("x", "dy"))
    out = list(shape)
    if event.pieces:
        taken, made = event.pieces
        out[event.split] = shape[event.split] // taken * made
        return tuple(out)
    if x == y:
        return shape
    for axis, size in zip(event.axes, y, strict=True):
        out[axis] = size
    return tuple(out)


def through(
    spec: Spec, event: Event, x: Any, numbers: Callable[[Any, int], Any]
) -> tuple[Any, Backward]:
    """Return y of x (*shape, batch), and the function from dy to dx.

    ``numbers(given, n)`` draws n draws of an `Input`; the weights of a layer have one draw.
    """
    inputs, pieces, whole = spec.bound.inputs, event.pieces, x.shape
    if pieces:
        x = event.in_pieces(x, pieces[0])
    axes = tuple(a % x.ndim for a in event.axes)
    front = tuple(range(len(axes)))
    moved = np.moveaxis(x, axes, front)
    sides, rest = moved.shape[: len(axes)], moved.shape[len(axes) :]
    n = math.prod(rest)
    draws = {
        name: numbers(given, 1 if name == "weight" else n)
        for name, given in inputs.items()
        if name not in ("x", "dy")
    }
    flat = np.ascontiguousarray(moved).reshape(*inputs["x"].shape, n)
    y, pull = spec.bound.forward(numpy_backend, {"x": flat, **draws})
    # A y of one number, as that of glu, is one piece: it has no side of its own.
    out = sides if inputs["dy"].shape == inputs["x"].shape else inputs["dy"].shape or (1,)

    def apart(v: Any, sides: Shape) -> Any:
        return np.moveaxis(v.reshape(*sides, *rest), front, axes)

    y = apart(y, out)

    def backward(dy: Any) -> Any:
        if pieces:
            dy = event.in_pieces(dy, pieces[1])
        dy = np.ascontiguousarray(np.moveaxis(dy, axes, front))
        return apart(pull(dy.reshape(*inputs["dy"].shape, n)), sides).reshape(whole)

    return event.joined(y) if pieces else y, backward

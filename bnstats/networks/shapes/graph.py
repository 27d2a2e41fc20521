"""How mean squares pass through a graph of layers: those of isolated layers, and back to front."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bnstats.networks.shapes.steps import Node, Placed
from bnstats.networks.stages import Add

Back: TypeAlias = Callable[[Any], Any]  # from the mean squares of dy to those of dx


class Gradients(NamedTuple):
    """Mean squares of gradients: what each node sends back, and what arrives at its output.

    Where several nodes take an output, what they send back is added. None where that is not known;
    where nothing arrives a node is missing, and −1 is the input.
    """

    sent: list[Any]
    arriving: dict[int, Any]


def isolated(nodes: Sequence[Node]) -> tuple[list[float], Gradients]:
    """Return the mean squares that follow from layers alone, under standard normal x and dy.

    They are nan, or None, where something is not known.
    """
    squares, backs = {-1: 1.0}, list[Back | None]()
    for at, (step, sources, *_) in enumerate(nodes):
        square = squares[sources[-1]] if step and sources else math.nan
        back: Back | None = float if step else None
        if isinstance(step, Add):
            square = squares[sources[0]] + step.alpha**2 * square
        elif isinstance(step, Placed):
            square *= step.squares[0] * step.forward**2 + step.bias_std**2
            back = (step.squares[1] * step.backward**2).__mul__
        squares[at] = square
        backs.append(back)
    return list(squares.values())[1:], sent_back(nodes, backs, 1.0)


def sent_back(nodes: Sequence[Node], backs: Sequence[Back | None], d: Any) -> Gradients:
    """Return what becomes of gradients of mean square ``d`` at the output of the last node."""
    last = len(nodes) - 1
    arriving, sent = {last: d}, list[Any]()
    for at in range(last, -1, -1):
        (step, sources, *_), back, d = nodes[at], backs[at], arriving.get(at)
        here = [None if back is None or d is None else back(d)] * len(sources)
        if isinstance(step, Add) and here[0] is not None:
            here = [d, step.alpha**2 * d]
        sent.append(here[-1] if here else None)
        if at not in arriving:
            continue
        for source, more in zip(sources, here, strict=True):
            before = arriving.get(source, 0.0)
            arriving[source] = None if before is None or more is None else before + more
    return Gradients(sent[::-1], arriving)


def roots(squares: Iterable[Any]) -> list[float]:
    """Return root mean squares over places; nan where nothing is known."""
    return [math.nan if v is None else math.sqrt(np.mean(v)) for v in squares]

"""What is expected of the layers of a graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bnstats.networks.predictions import Kind, Predictions
from bnstats.networks.shapes.graph import Gradients, isolated, roots
from bnstats.networks.shapes.steps import Node
from bnstats.networks.shapes.wide import predict


def predictions(
    nodes: Sequence[Node], *, correlated: bool, rows: Sequence[int] | None = None
) -> Predictions:
    """Return what is expected of every node, or of some of them.

    Parameters
    ----------
    nodes
        In order; the last one's output is the graph's.
    correlated
        Whether correlations are wanted too.
    rows
        Of calls in a model, the nodes that are wanted. The gradient at their input is all that
        arrives there, and not only what they send back, as in a stack that has a row for it.
    """
    alone, back = isolated(nodes)
    wide = predict(nodes, correlated=correlated)
    wanted = range(len(nodes)) if rows is None else rows

    def of_dx(found: Gradients) -> list[float]:
        if rows is None:
            return roots(found.sent)
        firsts = (nodes[at].sources[:1] for at in rows)
        return roots(found.arriving.get(*first) if first else None for first in firsts)

    def why() -> Iterator[tuple[Kind, tuple[int, str]]]:
        lost = next((at for at, square in enumerate(alone) if not math.isfinite(square)), None)
        first = None if lost is None else (lost, nodes[lost].why or "its E[y²] is not known")
        kinds: list[tuple[Kind, tuple[int, str] | None]] = [("isolated", first), ("wide", wide.why)]
        for kind, found in kinds:
            if found and (after := [row for row, at in enumerate(wanted) if at >= found[0]]):
                yield kind, (after[0], found[1])

    return Predictions(
        [math.sqrt(alone[at]) for at in wanted],
        of_dx(back),
        [wide.y[at] for at in wanted],
        of_dx(wide.gradients),
        [wide.correlation[at] for at in wanted],
        dict(why()),
    )

"""What became of signals in drawn networks: the records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bnstats.errors import BnstatsError
from bnstats.networks.engines import Engine
from bnstats.networks.shapes.stack import ShapedStack
from bnstats.networks.stack import Stack
from bnstats.result import Status, html_table, pandas

if TYPE_CHECKING:
    from bnstats.networks.models.model import Model

Verdict = Literal["steady", "vanishing", "exploding", "undecided"]
Way = Literal["y", "dx"]
Interval = tuple[float, float]
WAYS: tuple[Way, ...] = ("y", "dx")
STEADY: Interval = (0.5, 2.0)
_WORST_FIRST: tuple[Verdict, ...] = ("exploding", "vanishing", "undecided", "steady")


@dataclass(frozen=True)
class Typical:
    """exp(½·E[ln M]): what half of all networks exceed, as ln M is close to normal.

    Attributes
    ----------
    value, interval
        The interval is Student's t over networks, on ln M; None of fewer than two. Networks that
        are dead or not finite are left out; nan where no other is there.
    relative
        Standard error of the value, as a share of it: that of its logarithm.
    """

    value: float
    interval: Interval | None
    relative: float | None = None


@dataclass(frozen=True)
class Ensemble:
    """√E[M]: the root mean square over all networks, which isolated layers predict.

    Attributes
    ----------
    value, stderr, interval
        By the delta method on ln E[M], over three of four networks; None of fewer than two.
    reliable
        Whether the interval may be believed. Few large networks make up the mean of a wide law, and
        a sample lacks them. Were ln M normal, with a variance that is 99 % likely to be above the
        true one by the fourth networks alone, E[M] would have a standard error of at most 10 %.
    """

    value: float
    stderr: float | None
    interval: Interval | None
    reliable: bool


@dataclass(frozen=True)
class Side:
    """The root mean square of y, or of dx, over units and inputs of one layer.

    Attributes
    ----------
    typical, ensemble
        Of a network, and of all.
    spread
        What the central 95 % of networks have; None where fewer than 100 were drawn.
    isolated, wide
        Predictions of the ensemble: layers one by one under standard normals, and a network of
        infinitely many units; None where there is none.
    z_isolated, z_wide
        How many standard errors the ensemble is away from them; None where it is not reliable.
    dead, nonfinite
        Networks of which all is 0 there, and of which something is not finite.
    """

    typical: Typical
    ensemble: Ensemble
    spread: Interval | None
    isolated: float | None
    wide: float | None
    z_isolated: float | None
    z_wide: float | None
    dead: int
    nonfinite: int


@dataclass(frozen=True)
class Correlation:
    """The cosine of y between two inputs: mean over networks, its standard error, prediction."""

    value: float
    stderr: float
    wide: float | None


@dataclass(frozen=True)
class Row:
    """One layer of a stack.

    Attributes
    ----------
    depth
        The number of its block, from 1.
    name
        E.g. ``3.relu``.
    layer
        As it was written.
    y, dx
        Its output, and the gradient at its input; that is None where no gradient arrives, as at
        tokens.
    correlation
        None of one input.
    """

    depth: int
    name: str
    layer: str
    y: Side
    dx: Side | None
    correlation: Correlation | None


@dataclass(frozen=True)
class Factor(Typical):
    """By what a block multiplies a typical root mean square, forward or backward.

    Its value, interval and relative error are as those of `Typical`.
    """


@dataclass(frozen=True)
class Gap:
    """Where predictions of y end.

    Attributes
    ----------
    of
        ``isolated`` or ``wide``.
    begins
        The name of the first row without one; those after it have none either, unless they take
        nothing from it. Gradients have none that come back through such a row.
    why
        What is not known there.
    """

    of: Literal["isolated", "wide"]
    begins: str
    why: str


@dataclass(frozen=True)
class Propagation:
    """What became of signals in drawn networks.

    Attributes
    ----------
    subject
        What was drawn: a stack, one of layers with shapes, or a model of the user's.
    engine
        ``exact`` (without matrices), ``matrices``, or ``torch`` for a model.
    seed, confidence, status
        As of `bnstats.Result`.
    networks
        That were drawn: the sample size of everything here.
    effective
        Of these, how many count for the ensemble's least certain number: n·e^(−s²).
    rows
        The layers in order.
    factor
        Of y and dx, from lines fitted to each network over the depth; None of one block.
    per
        What a factor is of: a block of a stack; of a model the class of which it has most modules
        that hold others, at least three, or else a layer.
    verdicts
        Of y at the end and of dx at the beginning, by the interval of the typical network:
        ``steady`` within 0.5 to 2, ``vanishing`` below, ``exploding`` above, or ``undecided``.
    gaps
        Where there are no predictions, and why.
    warnings
        What a reader should know.
    """

    subject: Stack | ShapedStack | Model
    engine: Engine | Literal["torch"]
    seed: int
    confidence: float
    status: Status
    networks: int
    effective: float
    rows: tuple[Row, ...]
    factor: Mapping[Way, Factor | None]
    per: str
    verdicts: Mapping[Way, Verdict]
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worse of both directions' verdicts."""
        return min(self.verdicts.values(), key=_WORST_FIRST.index)

    def end(self, way: Way) -> Side:
        """Return where a direction ends: y of the last layer, dx of the first that has one.

        Raises
        ------
        BnstatsError
            No layer has a gradient at its input.
        """
        found = self.rows[-1].y if way == "y" else next((r.dx for r in self.rows if r.dx), None)
        if found is None:
            raise BnstatsError("no gradient arrives at the input of any layer")
        return found

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield a row for every layer and direction, numbers unrounded."""
        for row in self.rows:
            for way, side in (("y", row.y), ("dx", row.dx)):
                if side is not None:
                    low, high = side.typical.interval or (None, None)
                    yield {
                        "name": row.name,
                        "of": way,
                        "typical": side.typical.value,
                        "low": low,
                        "high": high,
                        "ensemble": side.ensemble.value,
                        "reliable": side.ensemble.reliable,
                        "isolated": side.isolated,
                        "wide": side.wide,
                        "correlation": row.correlation.value if row.correlation else None,
                    }

    def to_pandas(self) -> Any:
        """Return the records as a pandas DataFrame.

        Raises
        ------
        HostError
            pandas is not installed.
        """
        return pandas().DataFrame(list(self.records()))

    def _repr_html_(self) -> str:
        rows: list[Iterable[str]] = []
        for record in self.records():
            rows = rows or [record]
            rows.append([_shown(cell) for cell in record.values()])
        return html_table(rows, repr(self))

    def __repr__(self) -> str:
        said = ", ".join(f"{way} {verdict}" for way, verdict in self.verdicts.items())
        return f"Propagation({len(self.rows)} layers, {self.networks} networks: {said})"


def _shown(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else "–" if cell is None else str(cell)

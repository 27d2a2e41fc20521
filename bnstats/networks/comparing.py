"""Runs of propagate beside each other: of two kinds of networks, and of several widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnstats.errors import BnstatsError
from bnstats.networks.estimates import student
from bnstats.networks.propagation import Interval, Propagation, Row, Side


@dataclass(frozen=True)
class Ratio:
    """A typical root mean square of the first run, over that of the second.

    Attributes
    ----------
    value, interval
        The interval is Welch's, on the logarithm.
    z
        The logarithm in standard errors.
    """

    value: float
    interval: Interval
    z: float


@dataclass(frozen=True)
class ComparedRow:
    """One layer of two runs: their names there, and the ratios of y and dx, None without errors."""

    first: str
    second: str
    y: Ratio | None
    dx: Ratio | None


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes
    ----------
    first, second
        The runs.
    rows
        Their layers, one by one where there are as many; else those that have the same name, and
        the ends.
    """

    first: Propagation
    second: Propagation
    rows: tuple[ComparedRow, ...]


@dataclass(frozen=True)
class Exponent:
    """p of a typical root mean square that goes like width^p.

    Attributes
    ----------
    value, stderr, interval
        Of a line through logarithms, each weighted by its error. Where the points miss the line by
        more than their errors, these are widened by √(χ²/dof).
    misfit
        √(χ²/dof); None of two widths.
    """

    value: float
    stderr: float
    interval: Interval
    misfit: float | None


@dataclass(frozen=True)
class WidthRow:
    """One layer over widths: its name, and the exponents of y and dx, None without errors."""

    name: str
    y: Exponent | None
    dx: Exponent | None


@dataclass(frozen=True)
class Widths:
    """Runs of one network at several widths: the widths, the runs, and a row for each layer."""

    widths: tuple[int, ...]
    runs: tuple[Propagation, ...]
    rows: tuple[WidthRow, ...]


def compare(first: Propagation, second: Propagation) -> Comparison:
    """Put two runs side by side, with a z for every layer and direction.

    The networks of different runs are independent. Those of rows of one run are not: the z of a
    column are no independent tests.
    """
    rows = [
        ComparedRow(
            a.name, b.name, _ratio(a.y, b.y, first, second), _ratio(a.dx, b.dx, first, second)
        )
        for a, b in _pairs(first.rows, second.rows)
    ]
    return Comparison(first, second, tuple(rows))


def over_widths(widths: Sequence[int], runs: Sequence[Propagation]) -> Widths:
    """Fit a power of the width to every layer of runs that have the same layers.

    Raises
    ------
    BnstatsError
        Fewer than two different widths, or runs of other layers.
    """
    if len(set(widths)) < 2:
        raise BnstatsError("an exponent needs at least two widths", hint="--widths 64 128 256")
    names = [row.name for row in runs[0].rows]
    if any([row.name for row in run.rows] != names for run in runs):
        raise BnstatsError("networks of these widths have different layers")
    rows = [
        WidthRow(
            name,
            _exponent(widths, [run.rows[i].y for run in runs], runs),
            _exponent(widths, [run.rows[i].dx for run in runs], runs),
        )
        for i, name in enumerate(names)
    ]
    return Widths(tuple(widths), tuple(runs), tuple(rows))


def _pairs(ours: Sequence[Row], theirs: Sequence[Row]) -> list[tuple[Row, Row]]:
    if len(ours) == len(theirs):
        return list(zip(ours, theirs, strict=True))
    named = {row.name: row for row in theirs}
    pairs = [(row, named[row.name]) for row in ours if row.name in named]
    ends = [(ours[0], theirs[0]), *pairs, (ours[-1], theirs[-1])]
    return [pair for i, pair in enumerate(ends) if pair not in ends[:i]]


def _ratio(a: Side | None, b: Side | None, first: Propagation, second: Propagation) -> Ratio | None:
    if a is None or b is None or not a.typical.relative or not b.typical.relative:
        return None
    ln = math.log(a.typical.value) - math.log(b.typical.value)
    error = math.hypot(a.typical.relative, b.typical.relative)
    # Welch and Satterthwaite's degrees of freedom
    share = (a.typical.relative / error) ** 4 / (first.networks - a.dead - a.nonfinite - 1)
    share += (b.typical.relative / error) ** 4 / (second.networks - b.dead - b.nonfinite - 1)
    reach = student(1 + 1 / share, first.confidence) * error
    return Ratio(math.exp(ln), (math.exp(ln - reach), math.exp(ln + reach)), ln / error)


def _exponent(
    widths: Sequence[int], sides: Sequence[Side | None], runs: Sequence[Propagation]
) -> Exponent | None:
    points = []
    for width, side in zip(widths, sides, strict=True):
        if side is None or not side.typical.relative:
            return None
        points.append((math.log(width), math.log(side.typical.value), side.typical.relative**-2))
    total = sum(w for _, _, w in points)
    middle = sum(w * x for x, _, w in points) / total
    height = sum(w * y for _, y, w in points) / total
    square = sum(w * (x - middle) ** 2 for x, _, w in points)
    slope = sum(w * (x - middle) * (y - height) for x, y, w in points) / square
    stderr, misfit = square**-0.5, None
    if len(points) > 2:
        missed = sum(w * (y - height - slope * (x - middle)) ** 2 for x, y, w in points)
        misfit = math.sqrt(missed / (len(points) - 2))
        stderr *= max(1.0, misfit)
    reach = student(min(run.networks for run in runs), runs[0].confidence) * stderr
    return Exponent(slope, stderr, (slope - reach, slope + reach), misfit)

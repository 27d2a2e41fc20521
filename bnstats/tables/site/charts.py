"""Charts as geometry, which a template draws as SVG in the colours of its page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from bnstats.notation import shortest, signed

LEFT, RIGHT, TOP, BOTTOM = 46.0, 330.0, 8.0, 186.0  # px, of the axes in a picture of 340 by 220
_FEWEST_TICKS, _MOST_TICKS = 3, 8
_MARGIN = 0.05  # of the range of y, left free above and below


class Line(NamedTuple):
    """A line of a chart; where a number is not finite it has a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Tick(NamedTuple):
    """A tick of an axis: where it is in the picture, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """An axis from one number to another, which lie at two places of the picture."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a number."""
        low, high, v = (self._scaled(n) for n in (self.low, self.high, value))
        return self.first + (self.last - self.first) * (v - low) / (high - low)

    @property
    def ticks(self) -> list[Tick]:
        """Round numbers on the axis, a few."""
        found = [list(self._decades(digits)) for digits in ((1,), (1, 2, 5)) if self.log]
        numbers = next((n for n in found if len(n) >= _FEWEST_TICKS), [*self._steps()])
        return [Tick(round(self.at(n), 1), signed(shortest(n, 6))) for n in numbers]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def _steps(self) -> Iterator[float]:
        width = (self.high - self.low) / _MOST_TICKS
        power = math.floor(math.log10(width))
        step = next(n for n in (1, 2, 5, 10) if n * 10.0**power >= width)
        unit = step * 10.0**power
        for i in range(math.ceil(self.low / unit), math.floor(self.high / unit) + 1):
            yield float(f"{i * step}e{power}")

    def _decades(self, digits: tuple[int, ...]) -> Iterator[float]:
        """Yield these digits times powers of ten."""
        first, last = math.floor(self._scaled(self.low)), math.ceil(self._scaled(self.high))
        for power in range(first, last + 1, math.ceil((last - first) / _MOST_TICKS)):
            for digit in digits:
                number = float(f"{digit}e{power}")
                if self.low <= number * (1 + 1e-9) and number <= self.high * (1 + 1e-9):
                    yield number


@dataclass(frozen=True)
class Chart:
    """A chart of a few lines.

    Attributes
    ----------
    label
        What it shows, for those who do not see it.
    across
        The name of the x axis.
    lines
        Each with a name of its own.
    log
        Whether both axes are logarithmic; then numbers that are not positive are gaps.
    shade
        A curve between 0 and 1 that is filled behind the lines, from the bottom to the top of the
        chart: the density of x.
    """

    label: str
    across: str
    lines: tuple[Line, ...]
    log: bool = False
    shade: Line | None = None

    @property
    def x(self) -> Axis:
        """The horizontal axis."""
        found = self.lines[0].x
        return Axis(min(found), max(found), LEFT, RIGHT, self.log)

    @property
    def y(self) -> Axis:
        """The vertical axis; its numbers grow upwards."""
        shown = [v for line in self.lines for v in line.y if self._has_place(v)]
        low, high = (math.log10(v) if self.log else v for v in (min(shown), max(shown)))
        margin = _MARGIN * (high - low) or 0.5  # around what is constant
        low, high = low - margin, high + margin
        if self.log:
            low, high = 10.0**low, 10.0**high
        return Axis(low, high, BOTTOM, TOP, self.log)

    @property
    def paths(self) -> list[tuple[str, str]]:
        """The lines, each by its name, as the data of an SVG path."""
        x, y = self.x, self.y
        return [(line.name, self._path(line, x, y)) for line in self.lines]

    @property
    def shaded(self) -> str:
        """The shade as the data of an SVG path."""
        if self.shade is None:
            return ""
        line = self._path(self.shade, self.x, Axis(0.0, 1.0, BOTTOM, TOP))
        return f"{line}L{RIGHT:g} {BOTTOM:g}L{LEFT:g} {BOTTOM:g}Z"

    def _path(self, line: Line, x: Axis, y: Axis) -> str:
        points = zip(line.x, line.y, strict=True)
        return "".join(
            "M" + "L".join(f"{x.at(a):.1f} {y.at(b):.1f}" for a, b in part)
            for drawn, part in groupby(points, key=lambda point: self._has_place(point[1]))
            if drawn
        )

    def _has_place(self, value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not self.log)

"""Miss rates of intervals with their bars, and histograms of Φ(z), from coverage.json's rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scipy.special import chdtrc

from bnstats.statistics.quantities import QUANTITIES

BARS = {0.95: (94.0, 98.0), 0.999: (99.7, 100.0)}  # coverage in %
BINS = 20
LEAST_EXPECTED = 5  # in a bin, for χ² to hold
LEAST_RELIABLE = 0.1  # share of the estimates, for a rate not to be that of a rare selection

Record = dict[str, Any]


@dataclass(frozen=True)
class Rate:
    """The misses of intervals of one confidence: those that lie below and above, of how many."""

    confidence: float
    low: int
    high: int
    of: int

    @property
    def misses(self) -> float:
        return 100 * (self.low + self.high) / self.of

    @property
    def error(self) -> float:
        """Binomial standard error, of one miss where there is none."""
        missed = max(self.low + self.high, 1)
        return 100 * math.sqrt(missed * max(1 - missed / self.of, 0) / self.of / self.of)

    @property
    def beyond(self) -> bool:
        """Whether coverage is beyond a bar at all."""
        least, most = BARS[self.confidence]
        return not least <= 100 - self.misses <= most

    @property
    def outside(self) -> str:
        """Which side of the bars coverage is on by more than two standard errors, if any."""
        least, most = BARS[self.confidence]
        if self.misses - 2 * self.error > 100 - least:
            return "too low"
        return "too high" if self.misses + 2 * self.error < 100 - most else ""

    def __str__(self) -> str:
        places = 2 if self.confidence < 0.99 else 3
        text = f"{self.misses:.{places}f} ± {self.error:.{places}f}"
        return f"**{text}**" if self.outside else text

    def sides(self) -> str:
        places = 2 if self.confidence < 0.99 else 3
        low, high = (f"{100 * side / self.of:.{places}f}" for side in (self.low, self.high))
        return f"{self} ({low} + {high})"


def summed(rates: Iterable[Rate]) -> Rate:
    rates = list(rates)
    sums = (sum(getattr(r, key) for r in rates) for key in ("low", "high", "of"))
    return Rate(rates[0].confidence, *sums)


@dataclass(frozen=True)
class Pit:
    """The histogram of Φ(z), which is flat where z is a standard normal deviate."""

    bins: tuple[int, ...]

    @property
    def expected(self) -> float:
        return sum(self.bins) / len(self.bins)

    @property
    def valid(self) -> bool:
        return self.expected >= LEAST_EXPECTED

    @property
    def p(self) -> float:
        """Of Pearson's χ²."""
        squares = sum((b - self.expected) ** 2 for b in self.bins)
        return float(chdtrc(len(self.bins) - 1, squares / self.expected))

    @property
    def deviation(self) -> float:
        """The largest distance of a bin's share from an equal one, in percentage points."""
        return 100 * max(abs(b - self.expected) for b in self.bins) / sum(self.bins)

    def __str__(self) -> str:
        return f"{self.deviation:.2f} ({self.p:.2g})"


@dataclass(frozen=True)
class Cell:
    """One quantity of one layer under one sampler at one size."""

    layer: str
    sampler: str
    n: int
    quantity: str
    count: Record

    @property
    def symbol(self) -> str:
        return QUANTITIES[self.quantity].symbol

    @property
    def total(self) -> int:
        return int(self.count["trusted"] + self.count["apart"])

    @property
    def judged(self) -> bool:
        return self.count["trusted"] > 0 and self.count["trusted"] >= LEAST_RELIABLE * self.total

    @property
    def rates(self) -> tuple[Rate, ...]:
        c = self.count
        return tuple(map(Rate, BARS, c["low"], c["high"], [c["trusted"]] * len(BARS)))

    @property
    def pit(self) -> Pit:
        return Pit(tuple(self.count["bins"]))


def place(cell: Cell) -> tuple[str, int]:
    return cell.sampler, cell.n


def cells_of(rows: Iterable[Record]) -> list[Cell]:
    """Return what there is to judge: an interval of a constant holds its rounding, always."""
    cells = [
        Cell(row["layer"], row["sampler"], int(n), quantity, count)
        for row in rows
        for n, by_name in row["counts"].items()
        for quantity, count in by_name.items()
        if quantity not in row["constant"]
    ]
    return sorted(cells, key=place)  # stable: the layers keep their order

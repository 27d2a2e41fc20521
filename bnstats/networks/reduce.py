"""What is kept of networks that were drawn: sums over networks, each of them one unit.

The inputs, units and layers of one network are dependent; no error here counts any of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

KEPT_NUMBERS = 2**19  # logarithms of mean squares that are kept for quantiles
_ONE_TRIAL_OF = 4  # networks, whose mean square is no part of the ensemble's mean
_LEAST_FOR_SPREAD = 100  # networks, for 2.5 % of them to be more than two


class Drawn(NamedTuple):
    """Of every network, (networks, layers), and of its input and its output.

    Attributes
    ----------
    ln_y, ln_dx
        Logarithm of the mean square of y and dx over units and inputs; −inf of a network that is
        dead there, nan of one that is not finite.
    correlation
        Of y between inputs: the mean over pairs of their cosine. None of one input.
    """

    ln_y: Any
    ln_dx: Any
    correlation: Any


class Label(NamedTuple):
    """What a row is of: the number of its block, its name, its layer, and if it has a gradient."""

    depth: int
    name: str
    layer: str
    has_dx: bool = True


class Ends(NamedTuple):
    """The rows that lines over the depth are fitted to, of y and of dx."""

    y: Sequence[int]
    dx: Sequence[int]

    @classmethod
    def of_blocks(cls, layers: int, block: int) -> Ends:
        """Return where blocks of so many layers end, and begin."""
        return cls(range(block - 1, layers, block), range(0, layers, block))


@dataclass(frozen=True)
class Spread:
    """Count, mean and sum of squared deviations, along the first axis of what was added."""

    count: Any
    mean: Any
    m2: Any

    @classmethod
    def of(cls, values: Any) -> Spread:
        """Reduce (networks, …); what is not finite is left out."""
        known = np.isfinite(values)
        count = known.sum(axis=0)
        mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        m2 = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0)
        return cls(count, mean, m2)

    def merged(self, other: Spread) -> Spread:
        """Pool two (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        share = other.count / np.maximum(count, 1)
        m2 = self.m2 + other.m2 + apart**2 * self.count * share
        return Spread(count, self.mean + apart * share, m2)

    @property
    def variance(self) -> Any:
        """Of one, nan of fewer than two."""
        return np.where(self.count > 1, self.m2, np.nan) / np.maximum(self.count - 1, 1)


@dataclass(frozen=True)
class Direction:
    """The mean squares M of y or of dx, over layers.

    Attributes
    ----------
    ln
        Of ln M, over networks whose M is neither 0 nor not finite.
    dead, nonfinite
        How many others there are.
    trial
        Of ln M of every fourth network. By these it is decided whether the mean of the others may
        be believed, so that samples are not chosen that happen to lack the tail.
    others, ln_sum, ln_sum_squares
        How many other networks are finite, ln ΣM and ln ΣM² over them.
    slope
        Of ½·ln M over the depth, a line fitted to each network.
    kept
        ln M of the first networks, for quantiles.
    """

    ln: Spread
    dead: Any
    nonfinite: Any
    trial: Spread
    others: Any
    ln_sum: Any
    ln_sum_squares: Any
    slope: Spread
    kept: Any

    @classmethod
    def of(cls, ln: Any, ends: Sequence[int], before: int = 0) -> Direction:
        """Reduce (networks, layers); the line is fitted to the layers that end a block.

        They come after ``before`` others. None is kept beyond as many as are kept.
        """
        on_trial = np.arange(before, before + len(ln)) % _ONE_TRIAL_OF == _ONE_TRIAL_OF - 1
        others = ln[~on_trial]
        with np.errstate(all="ignore"):
            finite = np.where(np.isnan(others), -np.inf, others)
            return cls(
                Spread.of(ln),
                np.isneginf(ln).sum(axis=0),
                np.isnan(ln).sum(axis=0),
                Spread.of(ln[on_trial]),
                (~np.isnan(others)).sum(axis=0),
                _ln_sum(finite),
                _ln_sum(2 * finite),
                Spread.of(_slopes(0.5 * ln[:, list(ends)])),
                ln[: max(_most_kept(ln.shape[1]) - before, 0)].astype(np.float32),
            )

    def merged(self, other: Direction) -> Direction:
        """Pool two; of quantiles, those of the first networks are kept."""
        missing = max(_most_kept(self.kept.shape[1]) - len(self.kept), 0)
        kept = np.concatenate([self.kept, other.kept[:missing]]) if missing else self.kept
        return Direction(
            self.ln.merged(other.ln),
            self.dead + other.dead,
            self.nonfinite + other.nonfinite,
            self.trial.merged(other.trial),
            self.others + other.others,
            np.logaddexp(self.ln_sum, other.ln_sum),
            np.logaddexp(self.ln_sum_squares, other.ln_sum_squares),
            self.slope.merged(other.slope),
            kept,
        )

    def between_networks(self, share: float) -> Any:
        """Return the central share of √M of drawn networks, (2, layers); nan where they are few."""
        if len(self.kept) < _LEAST_FOR_SPREAD:
            return np.full((2, self.kept.shape[1]), np.nan)
        finite = np.where(np.isnan(self.kept), np.inf, self.kept)
        ranked = np.sort(finite, axis=0)
        # Between the networks beside the quantile in M itself: of −inf there is no mean.
        at = np.array([(1 - share) / 2, (1 + share) / 2]) * (len(ranked) - 1)
        fraction = (at - np.floor(at))[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            rows = np.exp(0.5 * ranked[[[math.floor(a), math.ceil(a)] for a in at]])
            return rows[:, 0] * (1 - fraction) + rows[:, 1] * fraction


@dataclass(frozen=True)
class Tally:
    """Everything that is kept of some networks."""

    networks: int
    y: Direction
    dx: Direction
    correlation: Spread | None

    @property
    def notes(self) -> Sequence[str]:
        """What a reader should know of how they were drawn."""
        return ()

    @classmethod
    def of(cls, drawn: Drawn, ends: Ends, before: int = 0) -> Tally:
        """Reduce drawn networks, which come after so many others."""
        return cls(
            len(drawn.ln_y),
            Direction.of(drawn.ln_y, ends.y, before),
            Direction.of(drawn.ln_dx, ends.dx, before),
            None if drawn.correlation is None else Spread.of(drawn.correlation),
        )

    def merged(self, other: Tally) -> Self:
        """Pool two tallies, the first one's networks first."""
        ours, theirs = self.correlation, other.correlation
        return replace(
            self,
            networks=self.networks + other.networks,
            y=self.y.merged(other.y),
            dx=self.dx.merged(other.dx),
            correlation=ours and theirs and ours.merged(theirs),
        )


def _most_kept(layers: int) -> int:
    """Return of how many networks ln M is kept."""
    return max(KEPT_NUMBERS // layers, _LEAST_FOR_SPREAD)


def _ln_sum(ln: Any) -> Any:
    most = ln.max(axis=0, initial=-np.inf)
    safe = np.where(np.isfinite(most), most, 0.0)
    return np.log(np.exp(ln - safe).sum(axis=0)) + safe


def _slopes(values: Any) -> Any:
    """Return the slope of a line fitted to each row; nan where there is one point, or a gap."""
    at = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return values @ at / (at @ at)

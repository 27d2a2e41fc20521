"""What a backend compiles: from the number of a draw to the power sums of a block."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from typing import Any, TypeAlias

from bnstats.sampling.counter.draws import draws_per_group, group_draws
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec
from bnstats.statistics.moments import LONGEST

Array: TypeAlias = Any


@dataclass(frozen=True)
class Reduction:
    """From a block's first draw, how many of its draws count, and the keys, to power sums.

    A call returns, for each direction, the sums of a, a², ab, b and b² (see `statistics.moments`)
    in float64, each in several parts. Reductions that compute the same are equal.

    Attributes
    ----------
    spec
        The layer.
    sampling
        Its dtype, direction and law; the rest stays at its defaults, as nothing depends on it.
    pivot
        What is subtracted from y.
    size
        Draws, a power of two.
    columns
        The parts of a sum, at most.
    careful
        If true, draws whose b² is not finite are left out, their remaining number is returned
        first, and all sums are float64. If false, short columns of float32 are added in float32.
    about
        What careful sums subtract from a and b first, by direction.
    """

    spec: Spec
    sampling: Sampling
    pivot: float
    size: int
    columns: int
    careful: bool
    about: tuple[tuple[float, float], ...] = ()

    @property
    def is_short(self) -> bool:
        """Whether sums begin in float32."""
        longest = max(prod(i.shape) for i in self.spec.bound.inputs.values())
        in_columns = self.columns > 1 and self.sampling.dtype == "float32"
        return in_columns and longest <= LONGEST and not self.careful

    def __call__(self, xp: Any, first: Array, remaining: Array, keys: Array) -> Array:
        """Return the sums, of shape (directions, 5 or 6, columns)."""
        bound = self.spec.bound
        places = draws_per_group(bound)
        groups = self.size // places
        number = xp.arange(groups, dtype=xp.int32) * places
        remaining = xp.astype(remaining, xp.int32)
        found: Array = 0.0
        drawn = group_draws(bound, self.sampling, xp, first // places, groups, keys)
        for place, draws in enumerate(drawn):
            y, backward = bound.forward(xp, draws)
            counts = number + place < remaining
            found = found + xp.stack(
                [
                    self._sums(xp, y, self.pivot, counts, about)
                    if d == "y"
                    else self._sums(xp, backward(draws["dy"]), 0.0, counts, about)
                    for d, about in zip_longest(self.sampling.directions, self.about)
                ]
            )
        return found

    def _sums(
        self, xp: Any, v: Array, pivot: float, counts: Array, about: tuple[float, float] | None
    ) -> Array:
        columns = min(self.columns, v.shape[-1])
        if not self.is_short:
            v = xp.astype(v, xp.float64)
        a = v = v - pivot
        b = v * v
        if v.ndim > 1:
            axes = tuple(range(v.ndim - 1))
            a, b = xp.mean(a, axis=axes), xp.mean(b, axis=axes)
        if self.careful:
            counts = counts & xp.isfinite(b * b)
        if about:
            a, b = a - about[0], b - about[1]
        a, b = xp.where(counts, a, 0.0), xp.where(counts, b, 0.0)

        def total(values: Array) -> Array:
            return xp.astype(xp.sum(xp.reshape(values, (-1, columns)), axis=0), xp.float64)

        kept = [total(xp.astype(counts, xp.float64))] if self.careful else []
        total_b = total(b)
        total_aa = total(a * a) if v.ndim > 1 or about else total_b
        return xp.stack([*kept, total(a), total_aa, total(a * b), total_b, total(b * b)])

"""Numbers with errors: they convert to floats, subtract, and print with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from bnstats.notation import concise, exact_text


class Uncertain:
    """A number that knows its error.

    ``float(x)`` is its value, ``f"{x}"`` shows the error and ``f"{x:.4f}"`` does not. The
    difference of two such numbers, or of one and a float, is a `Difference`.
    """

    __array_ufunc__ = None  # a number of numpy's leaves the subtraction to us

    value: float

    def _from_zero(self) -> Difference:
        """Return it as a difference from 0, which tells its errors and random streams."""
        return Difference(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __sub__(self, other: Any) -> Difference:
        if isinstance(other, Real) and not isinstance(other, bool):
            other = Difference(float(other))
        if not isinstance(other, Uncertain):
            return NotImplemented
        left, right = self._from_zero(), other._from_zero()
        stderr = None
        if left.stderr is not None and right.stderr is not None:
            apart = left.streams and right.streams and not left.streams & right.streams
            a, b = left.stderr, right.stderr
            stderr = math.hypot(a, b) if apart else a + b
        error = left.error + right.error
        return Difference(left.value - right.value, stderr, error, left.streams | right.streams)

    def __rsub__(self, other: Any) -> Difference:
        if isinstance(other, Real) and not isinstance(other, bool):
            return Difference(float(other)) - self
        return NotImplemented


@dataclass(frozen=True)
class Difference(Uncertain):
    """A difference of numbers with errors.

    Attributes
    ----------
    value
        The difference.
    stderr
        Its standard error: √(a² + b²) of numbers drawn from different random streams, those of
        different layers or seeds, and a + b, which is the most that it can be, of numbers that
        share draws. It is 0 if nothing was sampled, None where a sample does not tell its error.
    error
        What exact values add to it: the sum of their bounds.
    streams
        The random streams behind it.
    """

    value: float
    stderr: float | None = 0.0
    error: float = 0.0
    streams: frozenset[str] = frozenset()

    def _from_zero(self) -> Difference:
        return self

    @property
    def z(self) -> float | None:
        """The difference in units of its error, or None if that is not known or 0."""
        if self.stderr is None:
            return None
        scale = math.hypot(self.stderr, self.error)
        return self.value / scale if scale > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold."""
        return {
            "value": finite(self.value),
            "stderr": finite(self.stderr),
            "error": finite(self.error),
            "z": finite(self.z),
        }

    def __str__(self) -> str:
        if self.stderr == 0:
            return exact_text(self.value, self.error, -16)
        return concise(self.value, self.stderr and math.hypot(self.stderr, self.error))

    def __repr__(self) -> str:
        return f"Difference({self})"


def finite(value: float | None) -> float | None:
    """Return a number that JSON can hold, or None."""
    return None if value is None or not math.isfinite(value) else value

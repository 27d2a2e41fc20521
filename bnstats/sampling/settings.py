"""How to sample: one value with every choice, each checked where the value is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal, get_args

from bnstats.backends import check_name
from bnstats.errors import ArgumentError, BnstatsError, kind_of, printable
from bnstats.layers import STANDARD, Law
from bnstats.notation import count_text
from bnstats.statistics.quantities import Direction

DType = Literal["float64", "float32"]
Sampler = Literal["iid", "sobol"]
Directions = Literal["both", "forward", "backward"]

MAX_DRAWS = 10**18
_DIRECTIONS: dict[Directions, tuple[Direction, ...]] = {
    "both": ("y", "dx"),
    "forward": ("y",),
    "backward": ("dx",),
}


@dataclass(frozen=True)
class Sampling:
    """How a layer is sampled, and when that ends.

    The digits depend on ``seed``, ``dtype``, ``sampler``, ``backend``, ``law`` and the number of
    draws alone; draws are the same whichever directions are kept.

    Attributes
    ----------
    samples
        Independent draws, from 1 to 1e18; None for the layer's default number of them.
    seed
        A whole number ≥ 0; each layer and each chunk has a stream of its own.
    confidence
        Probability that an interval covers the truth, between 0 and 1.
    dtype
        Type of the draws and of the layer's arithmetic; moments are merged in float64.
    direction
        Whether to keep both y and dx, or one of them.
    sampler
        ``iid`` for independent draws, ``sobol`` for scrambled point sets.
    precision
        Share of σ that the half-width of its interval must reach; None for no such target.
    max_time
        Seconds after which no further chunk is begun; None for no limit.
    workers
        Processes, at most.
    backend
        What computes, see `bnstats.backends`.
    device
        Device of the backend; None for its fastest.
    law
        Law of the inputs.

    Raises
    ------
    BnstatsError
        A field outside its range, or fields that do not go together.
    """

    samples: int | float | None = None
    seed: int = 0
    confidence: float = 0.95
    dtype: DType = "float64"
    direction: Directions = "both"
    sampler: Sampler = "iid"
    precision: float | None = None
    max_time: float | None = None
    workers: int = field(default=1, compare=False)  # which the digits do not depend on
    backend: str = "numpy"
    device: str | None = None
    law: Law = STANDARD

    def __post_init__(self) -> None:
        checked_law(self.law)
        _check_choice("dtype", self.dtype, DType)
        _check_choice("direction", self.direction, Directions)
        _check_choice("sampler", self.sampler, Sampler)
        # Counts may have come as floats such as 1e7, or as integers of numpy's.
        if self.samples is not None:
            object.__setattr__(self, "samples", _checked_samples(self.samples))
        object.__setattr__(self, "seed", _checked_seed(self.seed))
        object.__setattr__(self, "workers", _checked_workers(self.workers))
        check_share("confidence", self.confidence, "0.95")
        _check_positive("precision", self.precision, "1e-4")
        _check_positive("max_time", self.max_time, "60")
        self._check_backend()

    def _check_backend(self) -> None:
        check_name(self.backend)
        shown = printable(str(self.device))
        if self.backend == "numpy" and self.device not in (None, "cpu", "cpu:0"):
            raise BnstatsError(
                f"backend numpy computes on the cpu, not on '{shown}'",
                hint=f"`backend='torch'` `device='{shown}'`",
            )
        if self.backend != "numpy" and self.sampler == "sobol":
            raise BnstatsError(
                f"sampler sobol runs on numpy, not on {self.backend}",
                hint="`backend='numpy'`, or `sampler='iid'`",
            )

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which of y and dx to keep."""
        return _DIRECTIONS[self.direction]


def checked_law(law: Law) -> Law:
    """Return a law of the inputs that float64 can hold."""
    if not isinstance(law, Law):
        raise BnstatsError(
            f"law is {kind_of(law)}, not a Law",
            hint="bnstats.Law(x_mean=0.0, x_std=1.0, dy_std=1.0)",
        )
    for name, value in law._asdict().items():
        _check_number(name, value, "1.0")
    check_law(law)
    return law


def check_law(law: Law) -> None:
    """Raise BnstatsError unless float64 can hold the law: scales positive, mean not far off."""
    if not math.isfinite(law.x_mean):
        raise ArgumentError(f"x_mean {law.x_mean} is not finite")
    for name, value in (("x_std", law.x_std), ("dy_std", law.dy_std)):
        if not 0 < value < math.inf:
            raise ArgumentError(f"{name} {value} is not a positive number")
        if not 1e-50 <= value <= 1e50:
            raise ArgumentError(f"{name} {value} is outside 1e-50 to 1e50")
    if abs(law.x_mean) > 1e9 * law.x_std:
        raise ArgumentError(
            f"x_mean {law.x_mean} is more than 1e9 times x_std {law.x_std}",
            hint="float64 would hold too few digits of x around such a mean",
        )


def check_share(name: str, value: float, example: str) -> None:
    """Raise BnstatsError unless an argument lies between 0 and 1."""
    _check_number(name, value, example)
    if not 0 < value < 1:
        raise ArgumentError(f"{name} {value} is outside (0, 1)")


def _check_number(name: str, value: Any, example: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        shown = printable(repr(value), 60)
        raise ArgumentError(f"{name} {shown} is not a number", hint=f"e.g. {name}={example}")


def _check_positive(name: str, value: float | None, example: str) -> None:
    if value is None:
        return
    _check_number(name, value, example)
    if not 0 < value < math.inf:
        raise ArgumentError(f"{name} {value} is not a positive number")


def _check_choice(name: str, value: str, literal: Any) -> None:
    words = get_args(literal)
    if value not in words:
        shown = printable(str(value), 60)
        raise ArgumentError(f"{name} '{shown}' is not {', '.join(words[:-1])} or {words[-1]}")


def _checked_seed(seed: Any) -> int:
    if not isinstance(seed, Integral) or seed < 0:
        raise ArgumentError(f"seed {printable(str(seed), 60)} is not a whole number ≥ 0")
    return int(seed)


def _checked_workers(workers: Any) -> int:
    _check_number("workers", workers, "4")
    if not isinstance(workers, Integral) or workers < 1:
        raise ArgumentError(f"workers {workers} is not a whole number ≥ 1")
    return int(workers)


def _checked_samples(samples: int | float) -> int:
    _check_number("samples", samples, "1e7")
    if samples != samples or not 1 <= samples <= MAX_DRAWS or samples != int(samples):
        raise ArgumentError(
            f"samples {samples} is not a whole number from 1 to {count_text(MAX_DRAWS)}",
            hint="e.g. 1e7 or 2**24",
        )
    return int(samples)

"""How to sample: one value with every choice, each checked where the value is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Integral, Real
from os import PathLike
from typing import Any, Literal, get_args

from bnstats.backends import check_name
from bnstats.errors import ArgumentError, BnstatsError, kind_of, printable
from bnstats.layers import STANDARD, Law
from bnstats.notation import count_text
from bnstats.statistics.quantities import (
    QUANTITIES,
    STACK_QUANTITIES,
    Direction,
    checked_quantity,
)

DType = Literal["float64", "float32"]
Sampler = Literal["iid", "sobol"]
Directions = Literal["both", "forward", "backward"]

MAX_DRAWS = 10**18
_DIRECTIONS: dict[Directions, tuple[Direction, ...]] = {
    "both": ("y", "dx"),
    "forward": ("y",),
    "backward": ("dx",),
}

_POSITIVE = "is not a positive number", lambda v: 0 < v < math.inf
_SHARE = "is outside (0, 1)", lambda v: 0 < v < 1
_SAMPLES = f"is not a whole number from 1 to {count_text(MAX_DRAWS)}"

# By argument: an example, what is said of a number out of its range, and the range.
_NUMBERS: dict[str, tuple[str, str, Callable[[Any], bool]]] = {
    "samples": ("1e7", _SAMPLES, lambda v: 1 <= v <= MAX_DRAWS and v == int(v)),
    "workers": ("4", "is not a whole number ≥ 1", lambda v: v >= 1 and isinstance(v, Integral)),
    "confidence": ("0.95", *_SHARE),
    "family_error": ("1e-6", *_SHARE),
    "precision": ("1e-4", *_POSITIVE),
    "max_time": ("60", *_POSITIVE),
    "x_mean": ("1.0", "is not finite", math.isfinite),
    "x_std": ("1.0", *_POSITIVE),
    "dy_std": ("1.0", *_POSITIVE),
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
    quantities
        Those to show, by name; empty for the usual ones. Those of a stack are sampled only if they
        are among them, on numpy, in both directions.
    cluster
        Address, scheduler file or ``distributed.Client`` of a dask cluster whose workers draw, or
        ``"local"`` or ``"local:4"`` for one on this machine; None for none.
    checkpoint
        Directory that keeps the moments drawn so far; None for none.

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
    quantities: tuple[str, ...] = ()
    cluster: Any = field(default=None, compare=False)
    checkpoint: str | PathLike[str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        checked_law(self.law)
        object.__setattr__(self, "quantities", checked_quantities(self.quantities))
        for name, words in (("dtype", DType), ("direction", Directions), ("sampler", Sampler)):
            _check_choice(name, getattr(self, name), get_args(words))
        if not isinstance(self.seed, Integral) or self.seed < 0:
            shown = printable(str(self.seed), 60)
            raise ArgumentError(f"seed {shown} is not a whole number ≥ 0")
        for name in ("samples", "workers", "confidence", "precision", "max_time"):
            value = getattr(self, name)
            if value is not None or name in ("workers", "confidence"):
                check_number(name, value)
        for name in ("samples", "seed", "workers"):  # which may be 1e7, or an integer of numpy's
            if getattr(self, name) is not None:
                object.__setattr__(self, name, int(getattr(self, name)))
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

        if self.of_stack and self.backend != "numpy":
            raise BnstatsError(
                f"{', '.join(self.of_stack)}: sampled on numpy, not on {self.backend}",
                hint="`backend='numpy'`",
            )
        missing = [n for n in self.quantities if not self._has_direction(n)]
        if missing:
            raise BnstatsError(
                f"{', '.join(missing)}: not of direction {self.direction}",
                hint="`direction='both'`",
            )

    def _has_direction(self, name: str) -> bool:
        if name in STACK_QUANTITIES:
            return self.direction == "both"
        return QUANTITIES[name].direction in self.directions

    @property
    def of_stack(self) -> tuple[str, ...]:
        """Those of ``quantities`` that say what a layer does in a stack."""
        return tuple(name for name in self.quantities if name in STACK_QUANTITIES)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which of y and dx to keep."""
        return _DIRECTIONS[self.direction]


def checked_quantities(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of quantities, each once, from names or symbols; see `checked_quantity`."""
    if isinstance(names, str):
        names = (names,)
    return tuple(dict.fromkeys(checked_quantity(str(name)) for name in names))


def checked_law(law: Law) -> Law:
    """Return a law of the inputs that float64 can hold: scales positive, mean not far off."""
    if not isinstance(law, Law):
        raise BnstatsError(
            f"law is {kind_of(law)}, not a Law",
            hint="bnstats.Law(x_mean=0.0, x_std=1.0, dy_std=1.0)",
        )
    for name, value in law._asdict().items():
        check_number(name, value)
        if name != "x_mean" and not 1e-50 <= value <= 1e50:
            raise ArgumentError(f"{name} {value} is outside 1e-50 to 1e50")
    if abs(law.x_mean) > 1e9 * law.x_std:
        raise ArgumentError(
            f"x_mean {law.x_mean} is more than 1e9 times x_std {law.x_std}",
            hint="float64 would hold too few digits of x around such a mean",
        )
    return law


def check_number(name: str, value: Any) -> None:
    """Raise ArgumentError unless an argument is a number within its range."""
    example, said, holds = _NUMBERS[name]
    if not isinstance(value, Real) or isinstance(value, bool):
        shown = printable(repr(value), 60)
        raise ArgumentError(f"{name} {shown} is not a number", hint=f"e.g. {name}={example}")
    if not holds(value):
        hint = "e.g. 1e7 or 2**24" if name == "samples" else None
        raise ArgumentError(f"{name} {value} {said}", hint=hint)


def _check_choice(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        shown = printable(str(value), 60)
        raise ArgumentError(f"{name} '{shown}' is not {', '.join(words[:-1])} or {words[-1]}")

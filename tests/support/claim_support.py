"""Claims and estimates made by hand, for tests of verdicts."""

from __future__ import annotations

from typing import Any

from bnstats.claims import Claim
from bnstats.claims.values import Printed, parse_value
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimate


def claim(
    value: str | Printed, layer: str = "sigmoid", quantity: str = "std_dx", **more: Any
) -> Claim:
    printed = parse_value(value) if isinstance(value, str) else value
    return Claim("test", parse(layer), quantity, printed, **more)


def within(value: float, half_width: float, digits: int | None = 3) -> Claim:
    """Return a claim of an interval whose ends are exact in binary."""
    return claim(Printed(repr(value), value, half_width, digits))


def sampled(value: float, stderr: float | None, n_eff: float = 1e6, **more: Any) -> Estimate:
    """Return an estimate whose interval is two standard errors wide on each side."""
    interval = None if stderr is None else (value - 2 * stderr, value + 2 * stderr)
    return Estimate(value, stderr, interval, n_eff, **more)

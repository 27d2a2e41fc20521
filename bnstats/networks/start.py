"""Whether networks start within bounds, with a stated chance of a false alarm.

The gate is that of `bnstats.statistics.alarm`: what the first networks say must be confirmed by
four times as many that are independent of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy import special

from bnstats.errors import ArgumentError
from bnstats.networks.propagate import propagate
from bnstats.networks.propagation import STEADY, WAYS, Interval, Propagation, Typical, Way
from bnstats.sampling.settings import check_number
from bnstats.statistics import alarm


@dataclass(frozen=True)
class StartBounds:
    """What networks must keep to at initialisation.

    Attributes
    ----------
    forward, backward
        Of σ[y] at the output and of σ[dx] at the first layer, of a typical network; None for none.
    growth
        Of the factors a block, forward and backward.
    """

    forward: Interval | None = STEADY
    backward: Interval | None = STEADY
    growth: Interval | None = None

    def __post_init__(self) -> None:
        for name in ("forward", "backward", "growth"):
            given = getattr(self, name)
            if given is not None and not (len(given) == 2 and 0 <= given[0] < given[1]):
                raise ArgumentError(
                    f"{name} {given} is not two numbers, the smaller one first",
                    hint=f"e.g. `{name}=(0.5, 2)`",
                )


class Outside(NamedTuple):
    """How far a number lies outside of its bounds: below if negative, in standard errors.

    Infinite where most networks are dead or not finite.
    """

    what: str
    value: float
    bounds: Interval
    z: float

    def __str__(self) -> str:
        low, high = (f"{bound:g}" for bound in self.bounds)
        said = f"{self.what} = {self.value:.4g} is outside {low} to {high}"
        return said if math.isinf(self.z) else f"{said}, z = {self.z:+.1f}"


def check_start(
    block: tuple[str | Callable[..., Any], ...],
    bounds: StartBounds,
    family_error: float,
    settings: Mapping[str, Any],
) -> tuple[Propagation, list[Outside]]:
    """Draw networks, and more where the first raise an alarm; return what is confirmed as outside.

    Parameters
    ----------
    block, settings
        As for `bnstats.propagate`.
    bounds
        What the networks must keep to.
    family_error
        Chance, at most, that a network within its bounds is found outside.

    Raises
    ------
    BnstatsError
        As of `bnstats.propagate`; or a bound is none.
    """
    check_number("family_error", family_error)
    first = propagate(*block, **settings)
    alarms = {o.what: o for o in outside(first, bounds) if abs(o.z) > alarm.FIRST_THRESHOLD}
    if not alarms:
        return first, []
    tests = 2 * ((bounds.forward is not None) + (bounds.backward is not None))
    tests += 4 * (bounds.growth is not None)  # each has two ends
    threshold = alarm.second_threshold(tests, family_error)
    more = alarm.SECOND_STAGE_FACTOR * first.networks
    changed = {"networks": more, "seed": first.seed + 1}
    second = {o.what: o for o in outside(propagate(*block, **{**settings, **changed}), bounds)}
    both = [(alarms[what], second[what]) for what in alarms if what in second]
    return first, [b for a, b in both if alarm.confirmed(a.z, b.z, threshold)]


def outside(found: Propagation, bounds: StartBounds) -> Iterator[Outside]:
    """Yield what lies outside of its bounds, however little."""
    for way, wanted in zip(WAYS, (bounds.forward, bounds.backward), strict=True):
        name = "σ[y] at the output" if way == "y" else "σ[dx] at the first layer"
        if wanted is not None:
            yield from _of_side(found, way, name, wanted)
        factor = found.factor[way]
        if bounds.growth is not None and factor is not None:
            what = f"the factor of {way} a {found.per}"
            yield from _beyond(what, factor, bounds.growth, found.networks)


def _of_side(found: Propagation, way: Way, name: str, wanted: Interval) -> Iterator[Outside]:
    side = found.end(way)
    if 2 * side.dead > found.networks and wanted[0] > 0:
        yield Outside(name, 0.0, wanted, -math.inf)
    elif 2 * side.nonfinite > found.networks:
        yield Outside(name, math.inf, wanted, math.inf)
    else:
        alive = found.networks - side.dead - side.nonfinite
        yield from _beyond(name, side.typical, wanted, alive)


def _beyond(what: str, found: Typical, wanted: Interval, networks: int) -> Iterator[Outside]:
    if not found.relative:
        return
    for bound, sign in zip(wanted, (-1, 1), strict=True):
        if not bound:
            continue
        t = math.log(found.value / bound) / found.relative
        if sign * t > 0:
            # the z that is as rare as this t of so few networks
            z = -float(special.ndtri(special.stdtr(networks - 1, -abs(t))))
            yield Outside(what, found.value, wanted, sign * min(z, 1e3))

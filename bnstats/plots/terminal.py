"""Pictures in the terminal, in braille dots."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bnstats.networks.propagation import WAYS, Propagation
from bnstats.networks.sweep import Sweep
from bnstats.plots import layers, networks, sweeps
from bnstats.plots.style import module
from bnstats.result import Result
from bnstats.statistics.quantities import ALL_QUANTITIES

_HEIGHT = 14
_MARGIN = 24  # columns that plotille's own axes take
_COLOURS = ("blue", "red", "green", "magenta", "yellow", "cyan")


class _Line(NamedTuple):
    label: str
    x: Sequence[float]
    y: Sequence[float]


def of_results(results: Sequence[Result], width: int, *, colour: bool) -> str:
    """Return f and f′, and the densities of y and dx, of layers, one below the other."""
    parts = []
    for result in results:
        found = layers.curve(result.spec.bound, result.law)
        if found:
            x, y, slope = found
            kept = [not math.isnan(a + b) for a, b in zip(y, slope, strict=True)]
            lines = [_Line("f", x[kept], y[kept]), _Line("f′", x[kept], slope[kept])]
            parts.append(_drawn(f"{result.layer}: f and f′ over x", lines, width, colour=colour))
        lines = []
        for direction, density in layers.densities(result).items():
            middles = (density.edges[:-1] + density.edges[1:]) / 2
            std = result.quantities[f"std_{direction}"]
            atoms = "".join(f"; {100 * p:.0f} % are {at:g}" for at, p in density.atoms)
            lines.append(_Line(f"{direction}, σ = {std}{atoms}", middles, density.heights))
        title = f"{result.layer}: densities of {' and '.join(d for d in result.nonfinite)}"
        parts.append(_drawn(title, lines, width, colour=colour, floor=0.0))
    return "\n\n".join(parts)


def of_sweep(sweep: Sweep, width: int, *, colour: bool) -> str:
    """Return a panel for each quantity, one below the other."""
    parts = []
    for quantity in sweep.quantities:
        lines = [_Line(c.layer, *sweeps.line(sweep, c, quantity)) for c in sweep.curves]
        title = f"{ALL_QUANTITIES[quantity].symbol} over {sweep.over.name}"
        scale = math.log10 if sweep.over.log else float
        lines = [one._replace(x=[scale(x) for x in one.x]) for one in lines if one.x]
        parts.append(_drawn(title, lines, width, colour=colour, log=sweep.over.log))
    return "\n\n".join(parts)


def of_networks(runs: Sequence[Propagation], width: int, *, colour: bool) -> str:
    """Return log₂ σ forward and backward over the depth of runs, one below the other."""
    parts = []
    for way in WAYS:
        found = [(networks.name_of(run), networks.line(run, way)) for run in runs]
        lines = [
            _Line(name, one.at, [math.log2(side.typical.value) for side in one.sides])
            for name, one in found
            if one.at
        ]
        title = f"log2 σ[{way}] of a typical network over the depth"
        parts.append(_drawn(title, lines, width, colour=colour))
    return "\n\n".join(parts)


def _drawn(
    title: str,
    lines: Sequence[_Line],
    width: int,
    *,
    colour: bool,
    log: bool = False,
    floor: float | None = None,
) -> str:
    figure = module("plotille").Figure()
    figure.width, figure.height = max(width - _MARGIN, 20), _HEIGHT
    figure.with_colors, figure.origin = colour, False
    figure.x_label = figure.y_label = ""
    if floor is not None:
        figure.set_y_limits(min_=floor)
    figure.x_ticks_fkt = _ticks(log=log)
    figure.y_ticks_fkt = _ticks(log=False)
    for i, line in enumerate(lines):
        marker = None if colour or len(lines) == 1 or i == 0 else "·"
        figure.plot(
            list(map(float, line.x)),
            list(map(float, line.y)),
            lc=_COLOURS[i % len(_COLOURS)] if colour else None,
            label=line.label,
            marker=marker,
        )
    # Labels of axes stand in parentheses, where there are none as well; the title has them.
    rows = figure.show(legend=True).replace("()", "  ").splitlines()
    return "\n".join([title, *(row.rstrip() for row in rows if row != "-------")])


def _ticks(*, log: bool) -> Callable[[Any, Any], str]:
    def tick(low: float, high: float) -> str:
        value = 10**low if log else low
        span = abs(high - low)
        if not log and abs(value) < 1e-9 * span:
            value = 0.0
        return f"{value:.4g}".rjust(8)

    return tick

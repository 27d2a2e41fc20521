"""A sweep as a picture: a panel for each quantity, a line for each layer."""

from __future__ import annotations

import math
from typing import Any

from bnstats.networks.sweep import Curve, Sweep
from bnstats.plots.style import BAND, COLOURS, drawing, saved
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.quantities import ALL_QUANTITIES

_PANEL, _REST = 2.7, 1.6  # cm
_DECADES = 1.5  # of a quantity, from which its axis is logarithmic


def positions(sweep: Sweep) -> tuple[float, ...]:
    """Return where the values of a sweep lie: words are numbered."""
    return sweep.over.numbers or tuple(float(i) for i in range(len(sweep.over.texts)))


def line(sweep: Sweep, curve: Curve, quantity: str) -> tuple[list[float], list[float]]:
    """Return where a quantity of a layer is known, and its values."""
    places = dict(zip(sweep.over.texts, positions(sweep), strict=True))
    known = [(places[p.text], p.value(quantity)) for p in curve.points]
    kept = [(x, k.value) for x, k in known if k is not None and math.isfinite(k.value)]
    return [x for x, _ in kept], [value for _, value in kept]


def picture(sweep: Sweep, suffix: str) -> bytes:
    """Return a sweep as a picture, in a format of `bnstats.plots.style.SUFFIXES`.

    Lines are exact; where values are sampled there are dots, and their intervals are bands.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    several = len(sweep.curves) > 1
    height = _PANEL * len(sweep.quantities) + _REST + (0.4 * math.ceil(len(sweep.curves) / 2))
    with drawing(height) as figure:
        panels = figure.subplots(len(sweep.quantities), 1, sharex=True, squeeze=False)[:, 0]
        for axes, quantity in zip(panels, sweep.quantities, strict=True):
            for i, curve in enumerate(sweep.curves):
                _draw(axes, sweep, curve, quantity, COLOURS[i % len(COLOURS)])
            axes.set_ylabel(ALL_QUANTITIES[quantity].symbol)
            _scale(axes, sweep, quantity)
        _axis(panels[-1], sweep)
        figure.align_ylabels(panels)
        if several:
            lines, names = panels[0].get_legend_handles_labels()
            figure.legend(lines, names, loc="outside upper left", ncols=2)
        else:
            figure.suptitle(sweep.curves[0].layer, fontsize=8, fontweight="bold")
        return saved(figure, suffix)


def _draw(axes: Any, sweep: Sweep, curve: Curve, quantity: str, colour: str) -> None:
    x, values = line(sweep, curve, quantity)
    places = dict(zip(sweep.over.texts, positions(sweep), strict=True))
    sampled = [
        (places[p.text], found)
        for p in curve.points
        if isinstance(found := p.value(quantity), Estimate)
    ]
    dots = "o" if sampled or not sweep.over.continuous else None
    joined = "-" if sweep.over.numbers else "none"  # between words there is nothing
    axes.plot(x, values, color=colour, label=curve.layer, marker=dots, ls=joined)
    band = [(x, *found.interval) for x, found in sampled if found.interval is not None]
    if band:
        if sweep.over.numbers:
            axes.fill_between(*zip(*band, strict=True), color=colour, alpha=BAND, lw=0)
        axes.errorbar(
            [x for x, _, _ in band],
            [(low + high) / 2 for _, low, high in band],
            [(high - low) / 2 for _, low, high in band],
            fmt="none",
            color=colour,
            lw=0.8,
        )
    for solution in curve.solutions:
        if solution.quantity != quantity or solution.value is None:
            continue
        axes.axhline(solution.wanted, color="0.5", lw=0.6, ls=":")
        axes.axvline(solution.value, color=colour, lw=0.6, ls=":")
        axes.plot(solution.value, solution.wanted, "s", color=colour)
        axes.annotate(
            f"{solution.value:.5g}",
            (solution.value, 1),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            color=colour,
        )


def _scale(axes: Any, sweep: Sweep, quantity: str) -> None:
    values = [v for curve in sweep.curves for v in line(sweep, curve, quantity)[1]]
    if values and min(values) > 0 and math.log10(max(values) / min(values)) > _DECADES:
        axes.set_yscale("log")
    axes.margins(x=0.02)


def _axis(axes: Any, sweep: Sweep) -> None:
    over = sweep.over
    axes.set_xlabel(over.name)
    if over.log:
        axes.set_xscale("log")
    if over.numbers is None:
        axes.set_xticks(positions(sweep), over.texts)

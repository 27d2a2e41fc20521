"""The table of networks as a picture, in SVG: σ over the depth, and the linear share over x_std."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnstats.networks.stack import SCALES
from bnstats.plots import style
from bnstats.plots.style import BAND, COLOURS, drawing, label, saved
from bnstats.tables.networks.build import ACTIVATIONS, NETWORKS
from bnstats.tables.networks.page import PLOT

_WIDTH, _HEIGHT = 17.0, 17.5  # cm, a page
_LOW, _HIGH = 1e-4, 1e4  # of σ; what leaves this has vanished or exploded
_WAYS = {"y": "σ[y]", "dx": "σ[dx]"}


def shown(found: Mapping[str, Any]) -> list[Any]:
    """Return what the picture shows, as text to three digits, which all machines agree about."""
    curves: list[Any] = []
    for entry in found["results"]:
        for way in _WAYS:
            points = [
                [row["depth"], *(f"{v:.2e}" for v in _numbers(row[way]))] for row in entry["rows"]
            ]
            curves.append([entry["kind"], entry["activation"], entry["scale"], way, points])
    for curve in found["linear_share"]:
        points = [[p["x_std"], f"{p['exact']['value']:.3f}"] for p in curve["points"]]
        curves.append([curve["activation"], points])
    return curves


def _numbers(side: Mapping[str, Any]) -> tuple[float, ...]:
    return (side["typical"], *side["interval"], side["wide"])


def digest(found: Mapping[str, Any]) -> str:
    """Return a digest of what the picture shows; the picture holds it."""
    return style.digest(shown(found))


def draw(found: Mapping[str, Any]) -> str:
    """Return the picture: the same bytes for the same numbers and the same matplotlib.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    with drawing(_HEIGHT, _WIDTH, what=PLOT) as figure:
        grid = figure.add_gridspec(5, len(ACTIVATIONS), height_ratios=(1, 1, 1, 1, 1.5))
        lines: dict[str, Any] = {}
        for row, (kind, way) in enumerate((k, w) for k in NETWORKS for w in _WAYS):
            for column, activation in enumerate(ACTIVATIONS):
                axes = figure.add_subplot(grid[row, column])
                lines |= _draw_depths(axes, found, (kind, activation, way))
                _dress(axes, row, column, f"{kind}, {_WAYS[way]}")
                if row == 0:
                    axes.set_title(activation)
        _draw_shares(figure.add_subplot(grid[4, :]), found)
        names = sorted(lines, key=[*SCALES, "infinitely wide"].index)
        handles = [lines[name] for name in names]
        figure.legend(handles, names, loc="outside upper center", ncols=len(names))
        return saved(figure, "svg", Description=digest(found)).decode()


def _draw_depths(
    axes: Any, found: Mapping[str, Any], which: tuple[str, str, str]
) -> dict[str, Any]:
    kind, activation, way = which
    lines = {}
    for entry in found["results"]:
        if (entry["kind"], entry["activation"]) != (kind, activation):
            continue
        colour = COLOURS[SCALES.index(entry["scale"])]
        at = [row["depth"] for row in entry["rows"]]
        typical, low, high, wide = zip(*(_numbers(row[way]) for row in entry["rows"]), strict=True)
        (lines[entry["scale"]],) = axes.plot(at, typical, color=colour, marker="o", ms=1.5)
        axes.fill_between(at, low, high, color=colour, alpha=BAND, lw=0)
        (lines["infinitely wide"],) = axes.plot(at, wide, color="0.3", ls="--", lw=0.7)
    return lines


def _dress(axes: Any, row: int, column: int, name: str) -> None:
    axes.set_yscale("log")
    axes.set_ylim(_LOW, _HIGH)
    axes.set_xlim(0, 103)
    axes.set_xticks([0, 50, 100])
    axes.set_yticks([1e-4, 1e-2, 1, 1e2, 1e4])
    axes.minorticks_off()
    axes.tick_params(labelleft=column == 0, labelbottom=row == 3)
    if column == 0:
        axes.set_ylabel(name)
    if row == 3:
        axes.set_xlabel("depth")


def _draw_shares(axes: Any, found: Mapping[str, Any]) -> None:
    for curve, colour in zip(found["linear_share"], COLOURS, strict=False):
        at = [point["x_std"] for point in curve["points"]]
        values = [point["exact"]["value"] for point in curve["points"]]
        axes.plot(at, values, color=colour, label=curve["activation"])
    axes.axvline(1, color="0.5", lw=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlabel("x_std, the scale that arrives")
    label(axes, "linear share of Var[y]")
    axes.legend(loc="lower left", ncols=len(ACTIVATIONS))

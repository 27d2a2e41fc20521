"""A layer as a picture: f and f′ over the law of x, and the densities of y and dx."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.claims.verdict import Verdict
from bnstats.layers import STANDARD, BoundLayer, Law
from bnstats.plots.style import BAND, COLOURS, FAINT, GRADES, drawing, label, saved
from bnstats.result import Result
from bnstats.sampling.iid import chunk_draws, iid_blocks
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import Sampling
from bnstats.statistics.quantities import QUANTITIES, Direction

_REACH = 3.5  # standard deviations of x to each side
_STEPS = 700
_BINS = 90
_OUTER = 0.002  # of the draws on each side that may lie outside of the picture
_ATOM = 0.01  # a share of the draws that are one number
_MOST_NUMBERS = 1_000_000
_MOST_CLAIMS = 4
_MOST_ATOMS = 4
_LONGEST = 10  # characters of a printed value; of a longer one four digits are shown
_PANEL, _LEGEND = 4.0, 1.8  # cm


class Density(NamedTuple):
    """A histogram of draws: its edges and heights, and numbers of which a share of draws is."""

    edges: Any
    heights: Any
    atoms: tuple[tuple[float, float], ...]


def densities(result: Result) -> dict[Direction, Density]:
    """Return histograms of y and dx, of fresh draws with the seed of the result."""
    spec, sampling = result.spec, result.sampling
    how = Sampling(seed=sampling.seed, direction=sampling.direction, law=sampling.law)
    draws = max(min(chunk_draws(spec.bound), _MOST_NUMBERS // spec.bound.numbers), 1)
    found: dict[Direction, list[Any]] = {d: [] for d in how.directions}
    with np.errstate(all="ignore"):
        for block, _, _ in iid_blocks(spec, how, Chunk(0, 0, draws)):
            y, backward = spec.bound.forward(numpy_backend, block)
            for direction, values in found.items():
                v = y if direction == "y" else backward(block["dy"])
                values.append(np.array(v, float).ravel())
    return {d: _density(np.concatenate(parts)) for d, parts in found.items()}


def _density(values: Any) -> Density:
    values = values[np.isfinite(values)]
    distinct, counts = np.unique(values, return_counts=True)
    common = counts >= max(_ATOM * values.size, 2)
    shares = tuple(
        zip(distinct[common].tolist(), (counts[common] / values.size).tolist(), strict=True)
    )
    rest = values[~np.isin(values, distinct[common])]
    if rest.size < 2:
        return Density(np.array([0.0, 1.0]), np.array([0.0]), shares)
    low, high = np.quantile(rest, [_OUTER, 1 - _OUTER])
    if not low < high:
        low, high = float(rest.min()), float(rest.max()) + 1e-12
    heights, edges = np.histogram(rest, _BINS, (low, high))
    return Density(edges, heights / values.size / np.diff(edges), shares)


def curve(
    bound: BoundLayer, law: Law = STANDARD, steps: int = _STEPS
) -> tuple[Any, Any, Any] | None:
    """Return x, f(x) and f′(x) over the law of x; None where the layer is no such function.

    Where one jumps it is nan, so that no line is drawn across.
    """
    if set(bound.inputs) != {"x", "dy"} or not bound.is_scalar:
        return None
    x = law.x_mean + law.x_std * np.linspace(-_REACH, _REACH, steps)
    gaps = [k for k in bound.breakpoints if x[0] < k < x[-1]]
    x = np.sort(np.concatenate([x, *(np.array([k - 1e-9, k, k + 1e-9]) for k in gaps)]))
    with np.errstate(all="ignore"):
        y, backward = bound.forward(numpy_backend, {"x": x, "dy": x})
        slope = np.broadcast_to(backward(np.ones_like(x)), x.shape).astype(float)
    y = np.broadcast_to(y, x.shape).astype(float)
    for k in gaps:  # no line is drawn across a jump
        at = int(np.searchsorted(x, k))
        for line in (y, slope):
            if abs(line[at + 1] - line[at - 1]) > 1e-6 * (1 + abs(line[at + 1])):
                line[at] = math.nan
    return x, y, slope


def picture(results: Sequence[Result], suffix: str) -> bytes:
    """Return layers as a picture, a row for each, in a format of `bnstats.plots.style.SUFFIXES`.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    height = (_PANEL + _LEGEND) * len(results)
    with drawing(height) as figure:
        ratios = [_PANEL, _LEGEND] * len(results)
        grid = figure.add_gridspec(len(ratios), 2, height_ratios=ratios)
        for row, result in enumerate(results):
            line = curve(result.spec.bound, result.law)
            places = (grid[2 * row, 0], grid[2 * row, 1]) if line else (grid[2 * row, :],)
            panels = [figure.add_subplot(place) for place in places]
            if line:
                _draw_function(panels[0], line, result.law)
                label(panels[1], "densities, ±σ dotted")
            _draw_densities(panels[-1], result)
            label(panels[0], result.layer)
            below = figure.add_subplot(grid[2 * row + 1, :])
            below.set_axis_off()
            shown = zip(*(a.get_legend_handles_labels() for a in panels), strict=True)
            handles, names = (list(chain.from_iterable(part)) for part in shown)
            said = below.legend(handles, names, loc="upper left", ncols=2, borderpad=0)
            said.set_in_layout(False)  # else the panels would make way for it
        return saved(figure, suffix)


def _draw_function(axes: Any, line: tuple[Any, Any, Any], law: Law) -> None:
    x, y, slope = line
    weight = np.exp(-0.5 * ((x - law.x_mean) / law.x_std) ** 2)
    axes.fill_between(x, weight, color=FAINT, lw=0, transform=axes.get_xaxis_transform(), zorder=0)
    axes.plot(x, y, color=COLOURS[0], label="f")
    axes.plot(x, slope, color=COLOURS[1], ls="--", label="f′")
    axes.set_xlim(x[0], x[-1])
    axes.set_xlabel("x, its density in grey")


def _draw_densities(axes: Any, result: Result) -> None:
    found = densities(result)
    top = 1.3 * max(float(np.quantile(d.heights, 0.98)) for d in found.values()) or 1.0
    for (direction, density), colour in zip(found.items(), COLOURS, strict=False):
        if density.heights.any():
            axes.stairs(density.heights, density.edges, color=colour, fill=True, alpha=BAND)
            axes.stairs(density.heights, density.edges, color=colour, lw=0.8)
        name = f"std_{direction}"
        std = result.quantities[name]
        value = std.value if std.exact is None else std.exact.value
        mean = result.quantities[f"mean_{direction}"].value
        for side in (-1, 1):
            line = axes.axvline(mean + side * value, color=colour, ls=":", lw=1.0)
        line.set_label(f"{direction}: σ = {value:.4g}")
        _draw_atoms(axes, density, 0.92 * top, colour, "left" if direction == "y" else "right")
    for claim in _published(result.claims):
        _draw_claim(axes, claim, result)
    axes.set_ylim(0, top)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.set_xlabel(" and ".join(found))


def _draw_atoms(axes: Any, density: Density, height: float, colour: str, align: str) -> None:
    """Draw a pin for each number that a share of the draws is, with the share beside it."""
    for at, share in density.atoms[:_MOST_ATOMS]:
        axes.plot([at, at], [0, height], color=colour, lw=1.0)
        axes.plot(at, height, "o", color=colour)
        axes.annotate(
            f"{100 * share:.0f} %",
            (at, height),
            (4 if align == "left" else -4, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            color=colour,
            fontsize=6,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3},
        )


def _published(claims: Sequence[Verdict]) -> list[Verdict]:
    """Return claims on a σ, those refuted first."""
    shown = [v for v in claims if v.claim.quantity in ("std_y", "std_dx")]
    return sorted(shown, key=lambda v: list(GRADES).index(v.grade))[:_MOST_CLAIMS]


def _draw_claim(axes: Any, verdict: Verdict, result: Result) -> None:
    claim = verdict.claim
    mean = result.quantities[claim.quantity.replace("std", "mean")].value
    text = claim.printed.text
    printed = text if len(text) <= _LONGEST else f"{claim.printed.value:.4g}"
    axes.plot(
        mean + claim.printed.value,
        0,
        "^",
        color=GRADES[verdict.grade],
        clip_on=False,
        zorder=5,
        label=f"{claim.set}: {QUANTITIES[claim.quantity].symbol} = {printed}, {verdict.grade}",
    )

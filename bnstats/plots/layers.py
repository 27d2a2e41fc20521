"""A layer as a picture: f and f′ over the law of x, and the densities of y and dx."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.claims.verdict import Verdict
from bnstats.layers import Law
from bnstats.plots.style import BAND, COLOURS, FAINT, VERDICTS, drawing, label, saved
from bnstats.result import Result
from bnstats.sampling.iid import Chunk, chunk_draws, iid_blocks
from bnstats.sampling.settings import Sampling
from bnstats.statistics.quantities import QUANTITIES, Direction

_REACH = 3.5  # standard deviations of x to each side
_STEPS = 700
_BINS = 90
_OUTER = 0.002  # of the draws on each side that may lie outside of the picture
_ATOM = 0.01  # a share of the draws that are one number
_MOST_NUMBERS = 1_000_000
_MOST_CLAIMS = 4
_ROW = 4.6  # cm


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
        for block, _, _ in iid_blocks(spec, how, Chunk(0, 0, draws, False)):
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


def curve(result: Result) -> tuple[Any, Any, Any] | None:
    """Return x, f(x) and f′(x) over the law of x; None where the layer is no such function."""
    bound, law = result.spec.bound, result.law
    if set(bound.inputs) != {"x", "dy"} or not bound.is_scalar:
        return None
    x = law.x_mean + law.x_std * np.linspace(-_REACH, _REACH, _STEPS)
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
    with drawing(_ROW * len(results)) as figure:
        rows = figure.subfigures(len(results), 1, squeeze=False)[:, 0]
        for part, result in zip(rows, results, strict=True):
            _row(part, result)
        return saved(figure, suffix)


def _row(part: Any, result: Result) -> None:
    part.suptitle(result.layer, fontsize=8, fontweight="bold", x=0.01, ha="left")
    line = curve(result)
    grid = part.add_gridspec(1, 2 if line else 1)
    if line:
        _draw_function(part.add_subplot(grid[0, 0]), line, result.law)
    _draw_densities(part.add_subplot(grid[0, -1]), result)


def _draw_function(axes: Any, line: tuple[Any, Any, Any], law: Law) -> None:
    x, y, slope = line
    weight = np.exp(-0.5 * ((x - law.x_mean) / law.x_std) ** 2)
    axes.fill_between(x, weight, color=FAINT, lw=0, transform=axes.get_xaxis_transform(), zorder=0)
    axes.plot(x, y, color=COLOURS[0], label="f")
    axes.plot(x, slope, color=COLOURS[1], ls="--", label="f′")
    axes.set_xlim(x[0], x[-1])
    axes.set_xlabel("x, its density in grey")
    axes.legend(loc="best")
    label(axes, "f and f′")


def _draw_densities(axes: Any, result: Result) -> None:
    top = 0.0
    found = densities(result)
    for density, colour in zip(found.values(), COLOURS, strict=False):
        if density.heights.any():
            axes.stairs(density.heights, density.edges, color=colour, fill=True, alpha=BAND)
            axes.stairs(density.heights, density.edges, color=colour, lw=0.8)
        top = max(top, float(np.quantile(density.heights, 0.98)))
    top = 1.25 * top or 1.0
    for (direction, density), colour in zip(found.items(), COLOURS, strict=False):
        name = f"std_{direction}"
        std = result.quantities[name]
        value = std.value if std.exact is None else std.exact.value
        mean = result.quantities[f"mean_{direction}"].value
        for side in (-1, 1):
            line = axes.axvline(mean + side * value, color=colour, ls=":", lw=1.0)
        line.set_label(f"{QUANTITIES[name].symbol} = {value:.4g}")
        for at, share in density.atoms:
            axes.plot([at, at], [0, 0.8 * top], color=colour, lw=1.0)
            axes.plot(at, 0.8 * top, "o", color=colour)
            side, align = (4, "left") if direction == "y" else (-4, "right")
            axes.annotate(
                f"{100 * share:.0f} %",
                (at, 0.8 * top),
                (side, 0),
                textcoords="offset points",
                ha=align,
                va="center",
                color=colour,
                fontsize=6,
            )
    for claim in _published(result.claims):
        _draw_claim(axes, claim, result)
    axes.set_ylim(0, top)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.set_xlabel(" and ".join(found))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=1, borderaxespad=0)
    label(axes, "densities, ±σ dotted")


def _published(claims: Sequence[Verdict]) -> list[Verdict]:
    """Return claims on a σ, those refuted first."""
    shown = [v for v in claims if v.claim.quantity in ("std_y", "std_dx")]
    return sorted(shown, key=lambda v: list(VERDICTS).index(v.outcome))[:_MOST_CLAIMS]


def _draw_claim(axes: Any, verdict: Verdict, result: Result) -> None:
    claim = verdict.claim
    mean = result.quantities[claim.quantity.replace("std", "mean")].value
    axes.plot(
        mean + claim.printed.value,
        0,
        "^",
        color=VERDICTS[verdict.outcome],
        clip_on=False,
        zorder=5,
        label=f"{claim.set}: {claim.printed.text}, {verdict.outcome}",
    )

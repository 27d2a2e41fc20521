"""Networks as a picture: σ forward and backward over the depth, and how inputs become alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bnstats.networks.propagation import WAYS, Propagation, Row, Side, Way
from bnstats.networks.stack import Stack
from bnstats.plots.style import BAND, COLOURS, drawing, label, saved

_PANEL, _REST, _LEGEND = 3.2, 1.4, 0.45  # cm
_OUTER = 0.4  # of the band of an interval, that of single networks
_MOST_NAMES = 9  # of a model's layers below the axis
_TITLES: dict[Way, str] = {"y": "forward, σ[y]", "dx": "backward, σ[dx]"}


class Range(NamedTuple):
    """Of a number format: its smallest number of full precision, and its largest."""

    low: float
    high: float


# IEEE 754 binary16; bfloat16; OCP 8-bit floating point, 2023
RANGES = {
    "fp16": Range(2.0**-14, 65504.0),
    "bf16": Range(2.0**-126, 2.0**127 * (2 - 2.0**-7)),
    "e5m2": Range(2.0**-14, 57344.0),
    "e4m3": Range(2.0**-6, 448.0),
}


class Line(NamedTuple):
    """A direction of a run: where its rows lie, and the rows' sides."""

    at: list[float]
    sides: list[Side]


def line(run: Propagation, way: Way) -> Line:
    """Return the rows that are drawn: where blocks of a stack end or begin, or all of a model."""
    sides = [(float(at), row.y if way == "y" else row.dx) for at, row in _placed(run, way)]
    kept = [(at, side) for at, side in sides if side is not None and _shown(side.typical.value)]
    return Line([at for at, _ in kept], [side for _, side in kept])


def _placed(run: Propagation, way: Way) -> list[tuple[int, Row]]:
    """Return the rows that are drawn in a direction, and where they lie."""
    block = 1 if _is_model(run) else len(run.subject.block)  # type: ignore[union-attr]
    if len(run.rows) > block > 1:
        first = block - 1 if way == "y" else 0
        return [(row.depth, row) for row in run.rows[first::block]]
    return list(enumerate(run.rows, 1))


def name_of(run: Propagation) -> str:
    """Return what tells a run from others in a legend."""
    subject = run.subject
    if _is_model(run):
        return subject.factory.name  # type: ignore[union-attr]
    size = f"width {subject.width}" if isinstance(subject, Stack) else str(subject.input)
    return f"{' '.join(subject.block)}, {subject.init}, {size}"  # type: ignore[union-attr]


def picture(runs: Sequence[Propagation], suffix: str, ranges: Sequence[str] = ()) -> bytes:
    """Return runs as a picture, in a format of `bnstats.plots.style.SUFFIXES`.

    A line is the typical network, the dark band its interval, the light one what the central 95 %
    of networks have; dashes are a wide network, dots isolated layers.

    Parameters
    ----------
    runs
        One, or several to compare.
    suffix
        Of the file.
    ranges
        Number formats, of `RANGES`, whose smallest and largest numbers are drawn.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    with_c = any(row.correlation for run in runs for row in run.rows)
    panels = 2 + with_c
    height = _PANEL * panels + _REST + _LEGEND * (len(runs) + 2)
    with drawing(height) as figure:
        every = figure.subplots(panels, 1, sharex=True)
        for axes, way in zip(every, WAYS, strict=False):
            for run, colour in zip(runs, COLOURS * len(runs), strict=False):
                _draw(axes, line(run, way), colour, name_of(run))
            _draw_predictions(axes, [line(run, way) for run in runs])
            axes.set_yscale("log", base=2)
            label(axes, _TITLES[way])
            _draw_ranges(axes, ranges)
        if with_c:
            for run, colour in zip(runs, COLOURS * len(runs), strict=False):
                _draw_correlation(every[-1], run, colour)
            label(every[-1], "cosine of y between two inputs")
        _axis(every[-1], runs[0])
        lines, names = every[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside upper left", ncols=1)
        return saved(figure, suffix)


def _draw(axes: Any, drawn: Line, colour: str, name: str) -> None:
    at, sides = drawn
    dots = "o" if len(at) < 3 else None
    axes.plot(at, [s.typical.value for s in sides], color=colour, label=name, marker=dots)
    _band(axes, drawn, lambda s: s.spread, colour, BAND * _OUTER)
    _band(axes, drawn, lambda s: s.typical.interval, colour, BAND)


def _draw_predictions(axes: Any, lines: Sequence[Line]) -> None:
    for style, value, said in (
        ("--", "wide", "infinitely wide"),
        (":", "isolated", "layers one by one"),
    ):
        name: str | None = said
        for at, sides in lines:
            known = [(a, getattr(s, value)) for a, s in zip(at, sides, strict=True)]
            kept = [(a, v) for a, v in known if v is not None and _shown(v)]
            if kept:
                xy = zip(*kept, strict=True)
                axes.plot(*xy, color="0.3", ls=style, lw=0.8, label=name)
                name = None


def _band(
    axes: Any,
    drawn: Line,
    ends: Callable[[Side], tuple[float, float] | None],
    colour: str,
    alpha: float,
) -> None:
    pairs = [(a, ends(s)) for a, s in zip(drawn.at, drawn.sides, strict=True)]
    kept = [(a, *pair) for a, pair in pairs if pair and all(map(_shown, pair))]
    if kept:
        axes.fill_between(*zip(*kept, strict=True), color=colour, alpha=alpha, lw=0)


def _draw_correlation(axes: Any, run: Propagation, colour: str) -> None:
    kept = [(at, row.correlation) for at, row in _placed(run, "y") if row.correlation]
    if not kept:
        return
    at = [a for a, _ in kept]
    axes.plot(at, [c.value for _, c in kept], color=colour, marker="o" if len(at) < 3 else None)
    low, high = ([c.value + sign * 2 * c.stderr for _, c in kept] for sign in (-1, 1))
    axes.fill_between(at, low, high, color=colour, alpha=BAND, lw=0)
    wide = [(a, c.wide) for a, c in kept if c.wide is not None]
    if wide:
        axes.plot(*zip(*wide, strict=True), color="0.3", ls="--", lw=0.8)


def _draw_ranges(axes: Any, ranges: Sequence[str]) -> None:
    for i, name in enumerate(ranges):
        for edge, what in zip(RANGES[name], ("smallest", "largest"), strict=True):
            axes.axhline(edge, color=COLOURS[-1 - i], lw=0.6, ls="-.")
            axes.annotate(
                f"{what} {name}",
                (1, edge),
                (-2, 2),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=5,
                color=COLOURS[-1 - i],
            )


def _axis(axes: Any, run: Propagation) -> None:
    axes.margins(x=0.02)
    if not _is_model(run):
        axes.set_xlabel("block" if len(run.rows) > len(run.subject.block) else "layer")  # type: ignore[union-attr]
        axes.locator_params(axis="x", integer=True)
        return
    rows: Sequence[tuple[int, Row]] = list(enumerate(run.rows, 1))
    step = max(1, -(-len(rows) // _MOST_NAMES))
    named = rows[::step]
    axes.set_xticks([at for at, _ in named], [row.name for _, row in named])
    axes.tick_params(axis="x", labelrotation=30, labelsize=5)
    for text in axes.get_xticklabels():
        text.set_ha("right")


def _is_model(run: Propagation) -> bool:
    return run.engine == "torch"


def _shown(value: float) -> bool:
    return 0 < value < math.inf

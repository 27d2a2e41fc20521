"""The relative errors of published constants as a picture, in SVG.

Drawing needs matplotlib. Checking that a picture still shows the constants does not, because it
holds a digest of what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from bnstats.claims.grades import Grade
from bnstats.plots import style
from bnstats.plots.style import GRADES, drawing, saved
from bnstats.tables.published.audit import Audited
from bnstats.tables.published.page import PLOT

_FLOOR = 1e-16  # of the axis; float64 knows no smaller relative error
_CM = 2.54  # in an inch
_ROW, _LEAST, _GAP = 0.06, 0.11, 0.06  # inches: of a claim, of a set, and between sets
_MARGINS = 1.3  # inches, for the legend and the axis


class Mark(NamedTuple):
    """One claim in the picture.

    ``error`` is the size of its relative error and ``claimed`` that of the half unit printed, both
    as text to three digits, so that another machine's rounding draws the same picture.
    """

    set: str
    grade: Grade
    error: str
    claimed: str


def marks(claims: Sequence[Audited]) -> list[Mark]:
    """Return what the picture shows: sets in the order of their largest errors, as their claims.

    It shows the claims whose truth is not 0, and leaves out expressions that are right.
    """
    found = []
    for a in claims:
        printed, error = a.claim.printed, a.verdict["relative_error"]
        if error is None or (printed.symbolic and not a.off):
            continue
        # An error this small is rounding, and the half unit printed shows that already.
        shown = abs(error) if abs(error) > 1e-12 else 0.0
        claimed = printed.half_width / abs(printed.value) if printed.value else 0.0
        found.append(Mark(a.claim.set, a.grade, f"{shown:.2e}", f"{claimed:.2e}"))
    worst: dict[str, float] = {}
    for mark in found:
        worst[mark.set] = max(worst.get(mark.set, 0.0), float(mark.error))
    return sorted(found, key=lambda m: (-worst[m.set], m.set, -float(m.error), -float(m.claimed)))


def digest(claims: Sequence[Audited]) -> str:
    """Return a digest of what the picture shows; the picture holds it."""
    return style.digest(marks(claims))


def draw(claims: Sequence[Audited]) -> str:
    """Return the picture as SVG: the same bytes for the same claims and the same matplotlib.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    by_set = {name: list(group) for name, group in groupby(marks(claims), lambda m: m.set)}
    height = sum(_height(group) + _GAP for group in by_set.values())
    settings = {"font.size": 8.0, "legend.fontsize": 8.0, "axes.grid": False}
    size = _CM * (_MARGINS + height), 9 * _CM
    with drawing(*size, what=PLOT, settings=settings) as figure:
        _draw_on(figure.add_subplot(), by_set, height)
        return saved(figure, "svg", Description=digest(claims)).decode()


def _height(group: Sequence[Mark]) -> float:
    return max(_ROW * len(group), _LEAST)


def _draw_on(axes: Any, by_set: dict[str, list[Mark]], height: float) -> None:
    at, middles = height, []
    for number, group in enumerate(by_set.values()):
        own = _height(group)
        middles.append(at - (own + _GAP) / 2)
        if number % 2:
            axes.axhspan(at - own - _GAP, at, color="0.95", lw=0)
        for row, mark in enumerate(group):
            _draw_mark(axes, mark, at - _GAP / 2 - own * (row + 0.5) / len(group))
        at -= own + _GAP
    shown = {mark.grade for group in by_set.values() for mark in group}
    for grade, colour in GRADES.items():
        if grade in shown:
            axes.plot([], [], "o", color=colour, ms=4, label=grade)
    axes.plot([], [], "|", color="0.35", ms=8, mew=1.2, ls="none", label="half a unit printed")
    axes.set_xscale("log")
    axes.set_xlim(_FLOOR / 2, 1.0)
    axes.set_xticks([10.0**k for k in range(round(math.log10(_FLOOR)), 1, 2)])
    axes.set_ylim(0, height)
    axes.set_yticks(middles, list(by_set))
    axes.set_xlabel("relative error: a dot right of its bar is a value wrong in the digits printed")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.figure.legend(loc="outside upper center", ncols=4, frameon=False)


def _draw_mark(axes: Any, mark: Mark, height: float) -> None:
    colour, claimed = GRADES[mark.grade], float(mark.claimed)
    error = min(max(float(mark.error), _FLOOR), 1.0)
    axes.plot([_FLOOR, error], [height, height], color=colour, lw=0.6, alpha=0.5)
    if claimed > 0:
        axes.plot(max(claimed, _FLOOR), height, "|", color="0.35", ms=4, mew=1.0)
    axes.plot(error, height, "o", color=colour, ms=3)

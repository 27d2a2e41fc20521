"""The relative errors of published constants as a picture, in SVG.

Drawing needs matplotlib. Checking that a picture still shows the constants does not, because it
holds a digest of what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bnstats.claims.grades import Grade
from bnstats.claims.values import parse_value
from bnstats.plots import style
from bnstats.plots.style import GRADES, drawing, saved
from bnstats.tables.published import audited

_FLOOR = 1e-16  # of the axis; float64 knows no smaller relative error
_CM = 2.54  # in an inch


class Mark(NamedTuple):
    """One claim in the picture.

    ``error`` is the size of its relative error and ``claimed`` that of the half unit printed, both
    as text to three digits, so that another machine's rounding draws the same picture.
    """

    label: str
    grade: Grade
    error: str
    claimed: str


def marks(constants: Mapping[str, Any]) -> list[Mark]:
    """Return what the picture shows, in the order of `bnstats.tables.published.audited`.

    It shows the claims whose truth is not 0, and leaves out expressions that are right.
    """
    found = []
    for a in audited(constants):
        printed, error = parse_value(a.claim["printed"]), a.claim["relative_error"]
        if error is None or (printed.symbolic and not a.off):
            continue
        # An error this small is rounding, and the half unit printed shows that already.
        shown = abs(error) if abs(error) > 1e-12 else 0.0
        found.append(
            Mark(
                f"{a.row['layer']} {a.quantity} = {a.claim['printed']}  ({a.claim['set']})",
                a.claim["grade"],
                f"{shown:.2e}",
                f"{printed.half_width / abs(printed.value):.2e}",
            )
        )
    return found


def digest(constants: Mapping[str, Any]) -> str:
    """Return a digest of what the picture shows; the picture holds it."""
    return style.digest(marks(constants))


def draw(constants: Mapping[str, Any]) -> str:
    """Return the picture as SVG: the same bytes for the same claims and the same matplotlib.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    shown = marks(constants)
    height = _CM * (1.3 + 0.19 * len(shown))
    settings = {"font.size": 8.0, "legend.fontsize": 8.0, "axes.grid": False}
    with drawing(height, 9 * _CM, what="published.svg", settings=settings) as figure:
        _draw_on(figure.add_subplot(), shown)
        return saved(figure, "svg", Description=digest(constants)).decode()


def _draw_on(axes: Any, shown: Sequence[Mark]) -> None:
    heights = range(len(shown), 0, -1)
    for height, mark in zip(heights, shown, strict=True):
        colour, claimed = GRADES[mark.grade], float(mark.claimed)
        error = max(float(mark.error), _FLOOR)
        axes.plot([_FLOOR, error], [height, height], color=colour, lw=0.6, alpha=0.5)
        if claimed > 0:
            axes.plot(max(claimed, _FLOOR), height, "|", color="0.35", ms=8, mew=1.2)
        axes.plot(error, height, "o", color=colour, ms=4)
    for grade, colour in GRADES.items():
        if any(mark.grade == grade for mark in shown):
            axes.plot([], [], "o", color=colour, ms=4, label=grade)
    axes.plot([], [], "|", color="0.35", ms=8, mew=1.2, ls="none", label="half a unit printed")
    axes.set_xscale("log")
    axes.set_xlim(_FLOOR / 2, 1.0)
    axes.set_xticks([10.0**k for k in range(round(math.log10(_FLOOR)), 1, 2)])
    axes.set_ylim(0.2, len(shown) + 0.8)
    axes.set_yticks(heights, [mark.label for mark in shown])
    axes.set_xlabel("relative error: a dot right of its bar is a value wrong in the digits printed")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.figure.legend(loc="outside upper center", ncols=4, frameon=False)

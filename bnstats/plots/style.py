"""How all pictures look, and how they become files: the same bytes from the same matplotlib."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from bnstats.claims.grades import Grade
from bnstats.errors import BnstatsError, HostError, printable

_CM = 1 / 2.54  # inches
COLUMN = 8.5  # cm, the width of a column of a paper
# Okabe and Ito (2008): told apart in print, on screens and by the colour-blind.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "0.2")
GRADES: dict[Grade, str] = {
    "wrong": "#67001f",
    "wrong quantity": "#b2182b",
    "last digits are noise": "#d6604d",
    "cut off": "#f4a582",
    "not a moment": "#878787",
    "undecided": "#e08214",
    "reproduced": "#2166ac",
}
FAINT, BAND = "0.85", 0.2  # of a grid, and of an interval beside its line

SUFFIXES = ("svg", "png", "pdf")
# What makes files differ without a difference to be seen.
_METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None},
    "png": {},
    "pdf": {"CreationDate": None, "ModDate": None},
}
_SETTINGS = {
    "svg.hashsalt": "bnstats",
    "svg.fonttype": "none",
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 6.0,
    "legend.handlelength": 1.5,
    "legend.columnspacing": 1.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.dpi": 300,
}


def suffix_of(path: Path) -> str:
    """Return the format of a picture; a suffix that is none raises BnstatsError."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise BnstatsError(
            f"cannot tell the format of '{printable(str(path))}'",
            hint=f"a picture ends in {', '.join(f'.{s}' for s in SUFFIXES)}; - is the terminal",
        )
    return suffix


def module(name: str, what: str = "the picture") -> Any:
    """Return a module of a library that draws; without it HostError says what is not drawn."""
    try:
        return import_module(name)
    except ImportError:
        library = name.partition(".")[0]
        raise HostError(
            f"{library} is not installed, so {what} is not drawn",
            hint="pip install 'bnstats[plot]'",
        ) from None


@contextmanager
def drawing(
    height: float,
    width: float = COLUMN,
    *,
    what: str = "the picture",
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Yield an empty figure; whatever is drawn and saved belongs inside.

    The user's own settings of matplotlib do not count.

    Parameters
    ----------
    height, width
        In cm.
    what
        What a user is told is not drawn where matplotlib is missing.
    settings
        Settings of matplotlib that differ from those of other pictures.

    Raises
    ------
    HostError
        matplotlib is not installed.
    """
    matplotlib, figure = module("matplotlib", what), module("matplotlib.figure", what)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS | dict(settings or {}))
        yield figure.Figure(figsize=(width * _CM, height * _CM), layout="constrained")


def saved(figure: Any, suffix: str, **metadata: str) -> bytes:
    """Return a picture as the content of a file; called while it is being drawn."""
    out = BytesIO()
    figure.savefig(out, format=suffix, metadata=_METADATA[suffix] | metadata)
    if suffix != "svg":
        return out.getvalue()
    # matplotlib leaves blanks at the ends of lines
    lines = (line.rstrip() for line in out.getvalue().decode().splitlines())
    return ("\n".join(lines) + "\n").encode()


def label(axes: Any, text: str) -> None:
    """Write a title at the left, above the axes."""
    axes.set_title(text, loc="left", pad=3)


def digest(shown: Any) -> str:
    """Return what a picture says of the data that it shows, by which a check knows it again."""
    text = json.dumps(shown, ensure_ascii=False)
    return f"shows {hashlib.sha256(text.encode()).hexdigest()}"

"""Calling functions of the user's: every mistake in them becomes one line that says what and where.

The checks cost a microsecond a call, and a call holds thousands of draws.
"""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bnstats.errors import BnstatsError, printable
from bnstats.layers import ParameterError
from bnstats.layers._registry import Array, Namespace

_HERE = os.path.dirname(__file__)
_SLOPE = "return y alone and bnstats differentiates it; return (y, dy/dx) to give the slope"
# What numpy says of the commonest mistakes, and what to do instead.
_REMEDIES = {
    "read-only": "x is shared by the forward and the backward pass: x = x.copy(), or x * 2 "
    "instead of x *= 2",
    "truth value": "x is an array of draws: np.where(x > 0, a, b) instead of if x > 0",
    "to Python scalars": "x is an array of draws: np.tanh(x) instead of math.tanh(x)",
    "must be real number": "x is an array of draws: np.tanh(x) instead of math.tanh(x)",
}


@dataclass(frozen=True)
class UserFunction:
    """An elementwise function of the user's with its parameters bound.

    Attributes
    ----------
    name
        What messages call it.
    function
        Called as ``function(x, **values)``, or ``function(xp, x, **values)`` if ``takes_xp``.
        Returns y, or y and the slope dy/dx.
    """

    name: str
    function: Any
    takes_xp: bool
    values: Mapping[str, Any]

    @property
    def short(self) -> str:
        """The name without its module."""
        return self.name.rpartition(":")[2]

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, Array | None]:
        """Return y and the slope, None where the function gives none.

        Raises
        ------
        BnstatsError
            The function raises, writes to x, or returns something other than an array, or two, of
            the shape and dtype of x.
        """
        given = _read_only(x)
        try:
            if self.takes_xp:
                returned = self.function(xp, given, **self.values)
            else:
                returned = self.function(given, **self.values)
        except Exception as error:
            raise mistake(self.name, error) from error
        if not isinstance(returned, tuple):
            return self._checked("y", returned, x), None
        if len(returned) != 2:
            raise BnstatsError(f"{self.name} returned {len(returned)} values", hint=_SLOPE)
        return self._checked("y", returned[0], x), self._checked("the slope", returned[1], x)

    def _checked(self, what: str, found: Any, x: Array) -> Array:
        shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
        if shape is None or dtype is None or type(found) is not type(x):
            if shape == () or isinstance(found, int | float):
                raise BnstatsError(
                    f"{self.name} returned a scalar as {what}, not an array of x's shape",
                    hint="a constant is np.full_like(x, 3); a mean over x is no elementwise layer",
                )
            raise BnstatsError(
                f"{self.name} returned a {type(found).__name__} as {what}, not an array",
                hint=_SLOPE,
            )
        if shape != x.shape:
            raise BnstatsError(
                f"{self.name} returned {what} of shape {shape} for x of shape {x.shape}",
                hint="an elementwise layer returns one number for each x",
            )
        if dtype != x.dtype:
            raise BnstatsError(
                f"{self.name} returned {what} as {dtype} where x is {x.dtype}",
                hint=f"make it {what.split()[-1]}.astype(x.dtype); a factor such as np.sqrt(2) is "
                "float64 where math.sqrt(2) takes the dtype of x",
            )
        return found


def mistake(name: str, error: BaseException) -> BnstatsError:
    """Return the error for an exception that code of the user's has raised."""
    if isinstance(error, BnstatsError):
        return error
    text = printable(str(error).partition("\n")[0], 160)
    if isinstance(error, ParameterError):
        return BnstatsError(f"{name}: {text}", hint=f"bnstats show {name}")
    message = f"{name} writes to its input: {text}"
    if "read-only" not in text:
        message = f"{name} raised {type(error).__name__}" + (f": {text}" if text else "")
    remedy = next((hint for said, hint in _REMEDIES.items() if said in text), None)
    return BnstatsError(
        message, where=_place(error), hint=remedy or "bnstats -v … shows the whole traceback"
    )


def _place(error: BaseException) -> str | None:
    """Return file, line and text of the user's line at fault: the first below ours."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith((_HERE, "<frozen"))]
    theirs = [f for f in theirs if f"{os.sep}importlib{os.sep}" not in f.filename]
    if not theirs:
        return None
    path, line = theirs[0].filename, theirs[0].lineno or 0
    near = os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path
    text = printable(linecache.getline(path, line).strip(), 80)
    return f"{printable(near)}:{line}: {text}" if text else f"{printable(near)}:{line}"


def _read_only(x: Array) -> Array:
    if not hasattr(x, "flags"):  # of a library whose arrays cannot be locked, or never change
        return x
    locked = x.view()
    locked.flags.writeable = False
    return locked

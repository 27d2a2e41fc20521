"""Calls of the user's functions: every mistake in them becomes one line that says what and where.

The checks cost a microsecond per call, and a call has thousands of draws.
"""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bnstats.custom.arrays import adapter, is_dense, library_of
from bnstats.errors import BnstatsError, described, first_line, kind_of, printable
from bnstats.layers import Array, Namespace, ParameterError

_OURS = os.path.dirname(os.path.dirname(__file__))
_SLOPE = "return y alone and bnstats differentiates it; return (y, dy/dx) to give the slope"
# Parts of the libraries' messages about the commonest mistakes, and what to do instead.
_REMEDIES = {
    "read-only": "x is shared by the forward and the backward pass: x = x.copy(), or x * 2 "
    "instead of x *= 2",
    "truth value": "x is an array of draws: np.where(x > 0, a, b) instead of if x > 0",
    "to Python scalars": "x is an array of draws: np.tanh(x) instead of math.tanh(x)",
    "must be real number": "x is an array of draws: np.tanh(x) instead of math.tanh(x)",
    "Boolean value of Tensor": "x is a tensor of draws: torch.where(x > 0, a, b) instead of "
    "if x > 0",
    "can require gradients": "where no annotation says float, 2 is an int and 2.0 a float",
    "boolean conversion": "x is an array of draws: jnp.where(x > 0, a, b) instead of if x > 0",
}


@dataclass(frozen=True, eq=False)
class UserFunction:
    """An elementwise function of the user's with its parameters bound.

    Attributes
    ----------
    name
        The layer's name, for messages.
    function, takes_xp, values
        The function is called as ``function(x, **values)``, or ``function(xp, x, **values)`` if
        ``takes_xp``. It returns y, or y and the slope dy/dx.
    library
        ``torch`` or ``jax`` if it takes only that library's arrays; numpy's are then converted.
        ``numpy`` if it takes numpy's; it is called with the arrays of other libraries as they are.
    gives_slope
        Whether it returns the slope.
    """

    name: str
    function: Any
    takes_xp: bool
    values: Mapping[str, Any]
    library: str = "numpy"
    gives_slope: bool = False

    @property
    def short(self) -> str:
        """The name without its module."""
        return self.name.rpartition(":")[2]

    @property
    def knows_slope(self) -> bool:
        """Whether its slope on numpy's arrays is more than a finite difference."""
        return self.gives_slope or self.library != "numpy"

    def __call__(self, xp: Namespace, x: Array) -> tuple[Array, Array | None]:
        """Return y and the slope, None where the function gives none.

        Raises
        ------
        BnstatsError
            The function raises, writes to x, or returns something other than an array, or two, of
            the shape and dtype of x; or it takes no arrays of x's library.
        """
        if self.library != "numpy" and library_of(x) == "numpy":
            found: tuple[Array, Array | None] = adapter(self.library).value(self._called, x)
            return found
        return self._called(x, xp)

    def with_slope(self, xp: Namespace, x: Array) -> tuple[Array, Array]:
        """Return y and the slope; the function must be one that `knows_slope`.

        Raises
        ------
        BnstatsError
            The call fails, or the slope is missing.
        """
        if not self.gives_slope:
            with blamed(f"differentiating {self.name}"):
                found: tuple[Array, Array] = adapter(self.library).value_and_slope(self.value, x)
            return found
        y, slope = self(xp, x)
        if slope is None:
            raise BnstatsError(f"{self.name} returned its slope for some x, but not for all")
        return y, slope

    def vjp(self, xp: Namespace, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Return y and the function from dy to dx, which is autodiff's on torch and jax.

        Raises
        ------
        BnstatsError
            The call fails, or the library cannot differentiate the function.
        """
        library = library_of(x)
        if self.gives_slope or library == "numpy":
            y, slope = self.with_slope(xp, x)
            return y, lambda dy: dy * slope
        with blamed(f"differentiating {self.name}"):
            y, pull = adapter(library).vjp(lambda at: self.value(at, xp), x)

        def checked(dy: Array) -> Array:
            with blamed(f"differentiating {self.name}"):
                return pull(dy)

        return y, checked

    def value(self, x: Array, xp: Namespace = None) -> Array:
        """Return y alone; the function must give no slope.

        Raises
        ------
        BnstatsError
            The call fails, or the function gives a slope for this x.
        """
        y, slope = self._called(x, xp)
        if slope is not None:
            raise BnstatsError(f"{self.name} returned its slope for some x, but not for all")
        return y

    def _called(self, x: Array, xp: Namespace = None) -> tuple[Array, Array | None]:
        library, given = library_of(x), _read_only(x)
        if self.library not in ("numpy", library):
            raise BnstatsError(
                f"{self.name} takes {self.library}'s arrays and does not run on {library}",
                hint=f"`backend='{self.library}'`, or `backend='numpy'`",
            )
        with blamed(self.name):
            try:
                if self.takes_xp:
                    returned = self.function(xp, given, **self.values)
                else:
                    returned = self.function(given, **self.values)
            except Exception as error:
                if self.library == library:
                    raise
                raise self._refused(library, error) from error
        if not isinstance(returned, tuple):
            return self._checked("y", returned, x), None
        if len(returned) != 2:
            raise BnstatsError(f"{self.name} returned {len(returned)} values", hint=_SLOPE)
        return self._checked("y", returned[0], x), self._checked("the slope", returned[1], x)

    def _refused(self, library: str, error: Exception) -> BnstatsError:
        return BnstatsError(
            f"{self.name} does not run on {library}: {described(error)}",
            where=_place(error),
            hint="`backend='numpy'` runs it; a function f(xp, x) that takes its functions from xp, "
            "as xp.exp(x), runs on each",
        )

    def _checked(self, what: str, found: Any, x: Array) -> Array:
        if not is_dense(found):
            raise BnstatsError(
                f"{self.name} returned a sparse, nested or empty tensor as {what}",
                hint="a layer returns one number for each x: y.to_dense()",
            )
        shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
        library = library_of(x)
        alike = library_of(found) == library and (library != "numpy" or type(found) is type(x))
        if shape is None or dtype is None or not alike:
            if shape == () or isinstance(found, int | float):
                raise BnstatsError(
                    f"{self.name} returned a scalar as {what}, not an array of x's shape",
                    hint="a constant is np.full_like(x, 3); a mean over x is no elementwise layer",
                )
            raise BnstatsError(
                f"{self.name} returned {kind_of(found)} as {what}, not an array",
                hint=_SLOPE,
            )
        if shape != x.shape:
            raise BnstatsError(
                f"{self.name} returned {what} of shape {tuple(shape)} for x of shape "
                f"{tuple(x.shape)}",
                hint="an elementwise layer returns one number for each x",
            )
        if dtype != x.dtype:
            raise BnstatsError(
                f"{self.name} returned {what} as {dtype} where x is {x.dtype}",
                hint=f"make it {what.split()[-1]}.astype(x.dtype); a factor such as np.sqrt(2) is "
                "float64 where math.sqrt(2) takes the dtype of x",
            )
        return found


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """Report what the user's code raises, SystemExit as well, as its mistake; Ctrl-C goes on."""
    try:
        yield
    except (BnstatsError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise mistake(name, error) from error


def mistake(name: str, error: BaseException) -> BnstatsError:
    """Return the error that reports an exception in the user's code."""
    if isinstance(error, BnstatsError):
        return error
    text = first_line(error)
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
    """Return file, line and text of the first line of the user's that the traceback names."""
    frames = traceback.extract_tb(error.__traceback__)
    torchs = getattr(sys.modules.get("torch"), "__path__", [])
    theirs = [f for f in frames if not f.filename.startswith((_OURS, *torchs, "<frozen"))]
    theirs = [f for f in theirs if f"{os.sep}importlib{os.sep}" not in f.filename]
    if not theirs:
        return None
    path, line = theirs[0].filename, theirs[0].lineno or 0
    near = os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path
    text = printable(linecache.getline(path, line).strip(), 80)
    return f"{printable(near)}:{line}: {text}" if text else f"{printable(near)}:{line}"


def _read_only(x: Array) -> Array:
    if not hasattr(x, "flags"):  # arrays of torch cannot be locked, those of jax never change
        return x
    locked = x.view()
    locked.flags.writeable = False
    return locked

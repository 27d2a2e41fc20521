"""Arguments, as messages name them, in the words of the command line."""

from __future__ import annotations

import re

_NAMES = (
    "samples|precision|seed|direction|sampler|workers|backend|device|x_std|digits|networks|width"
    "|depth|input|batch|mode|rows|init|gain|scale|quantity"
)
_ARGUMENT = re.compile(rf"`({_NAMES})(?:='?([^`]*?)'?)?`")


def as_options(text: str) -> str:
    """Return a message with the arguments that stand in backticks as options.

    >>> as_options("a smaller `x_std`, or `backend='numpy'`; try `samples=1e6`")
    'a smaller --x-std, or --backend numpy; try -n 1e6'
    """
    return _ARGUMENT.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    option = "-n" if name == "samples" else f"--{name.replace('_', '-')}"
    return option if value is None else f"{option} {value}"

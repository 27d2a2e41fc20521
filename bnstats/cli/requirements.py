"""What --require asks of networks, and whether they meet it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from bnstats.errors import BnstatsError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bnstats.networks.propagation import Interval, Propagation, Way


_WAYS: dict[str | None, Way] = {"std_y": "y", "std_dx": "dx"}


def requirement(text: str) -> dict[Way, Interval]:
    """Read ``steady`` or ``std_dx in 0.5..2``: the bounds of a typical σ where its direction ends.

    Raises
    ------
    BnstatsError
        The text is neither.
    """
    from bnstats.networks.propagation import STEADY, WAYS
    from bnstats.statistics.quantities import quantity_named

    if text == "steady":
        return dict.fromkeys(WAYS, STEADY)
    number = r"([0-9]+\.?[0-9]*|\.[0-9]+)"
    match = re.fullmatch(rf"\s*(\S+)\s+in\s+{number}\.\.{number}\s*", text)
    name = quantity_named(match[1]) if match else None
    if match is None or name not in _WAYS or not float(match[2]) < float(match[3]):
        raise BnstatsError(
            f"--require '{printable(text, 60)}' is no requirement",
            hint="steady, 'std_y in 0.5..2' or 'std_dx in 0.5..2'",
        )
    return {_WAYS[name]: (float(match[2]), float(match[3]))}


def answers(found: Propagation, texts: Sequence[str]) -> Iterator[bool | None]:
    """Say on stderr which requirements are not met, or undecided, and yield the answers."""
    for text in texts:
        answer = _answer(found, requirement(text))
        yield answer
        if answer is not True:
            word = "undecided" if answer is None else "not met"
            click.echo(f"required: {printable(text)}: {word}", err=True)


def _answer(found: Propagation, wanted: Mapping[Way, Interval]) -> bool | None:
    from bnstats.networks.estimates import within

    each = [within(found.end(way), bounds) for way, bounds in wanted.items()]
    if False in each:
        return False
    return None if None in each else True

"""Which gain is for what, and what each makes of the other direction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

# The gain, where it is wanted, and what it changes beside what it makes 1.
_USES = (
    ("gain_rms_y", "before a linear layer", "std_dx"),
    ("gain_y", "where the mean is removed", "std_dx"),
    ("gain_dx", "to keep gradients", "rms_y"),
)
INITIALISATION = "std of weights: gain/√fan_in, backward gain/√fan_out"


class GainChoice(NamedTuple):
    """A gain of a layer.

    Attributes
    ----------
    name
        The quantity, e.g. ``gain_rms_y``.
    where
        Where it is wanted, in a few words.
    other
        The quantity of the other direction that it changes.
    becomes
        What it makes of that: gain times σ[dx] or rms[y].
    """

    name: str
    where: str
    other: str
    becomes: float


def gain_choices(values: Mapping[str, float]) -> Iterator[GainChoice]:
    """Yield the gains that can be told from these values of quantities.

    >>> [(c.name, c.becomes) for c in gain_choices({"gain_dx": 2.0, "rms_y": 0.75})]
    [('gain_dx', 1.5)]
    """
    for name, where, other in _USES:
        if name in values and other in values:
            yield GainChoice(name, where, other, values[name] * values[other])

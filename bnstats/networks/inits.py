"""Initialisations of a stack: names of the catalogue, and short names for the usual ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast, get_args

from bnstats.errors import BnstatsError, hint_for, printable
from bnstats.layers import INIT_SYNONYMS, Init

# What a short name stands for: an init of the catalogue and its gain (None: its own).
_SHORT: Mapping[str, tuple[Init, float | None]] = {
    "he": ("kaiming_normal", None),
    "lecun": ("kaiming_normal", 1.0),
    "xavier": ("xavier_normal", None),
    "torch": ("kaiming_uniform", 1 / math.sqrt(3)),
    **{word: (cast(Init, meant), None) for word, meant in INIT_SYNONYMS.words},
}
INITS = tuple(dict.fromkeys((*_SHORT, *get_args(Init))))


class Drawn(NamedTuple):
    """How the weights and biases of a layer are drawn.

    Attributes
    ----------
    init, gain
        Of the catalogue; a gain of None is the init's own.
    bias_std, bias_law
        Of the elements of the bias; 0 for none.
    """

    init: Init
    gain: float | None
    bias_std: float
    bias_law: Literal["normal", "uniform"]


def drawn_by(
    name: str, gain: float | None, bias_std: float, own: Mapping[str, str], fan_in: int
) -> Drawn:
    """Return how a layer of a stack is drawn.

    Parameters
    ----------
    name, gain, bias_std
        Of the stack.
    own
        What the layer's own spec says, which goes before it.
    fan_in
        Inputs that an output sums: torch scales its uniform biases by them.

    Raises
    ------
    BnstatsError
        There is no such init.
    """
    name = own.get("init", name)
    if name not in INITS:
        raise BnstatsError(
            f"unknown init '{printable(name, 60)}'",
            hint=hint_for(name, INITS, f"one of {', '.join(INITS)}"),
        )
    known: tuple[Init, float | None] = _SHORT.get(name) or (name, None)  # type: ignore[assignment]
    chosen = float(own["gain"]) if "gain" in own else known[1] if gain is None else gain
    # The stack's init is all that torch draws; a layer's own names its bias itself.
    if name == "torch" and own.get("bias", str("init" not in own)).lower() == "true":
        return Drawn(known[0], chosen, 1 / math.sqrt(3 * fan_in), "uniform")
    return Drawn(known[0], chosen, bias_std, "normal")

"""Claims: published values as printed, with their sources; the sets that ship are in sets/."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bnstats.claims.claim import Claim, ClaimSet
from bnstats.claims.fields import claim_of
from bnstats.claims.files import read_claims
from bnstats.claims.rows import rows_of
from bnstats.custom import load_trusted
from bnstats.errors import BnstatsError, printable, suggestion
from bnstats.layers import STANDARD, Law
from bnstats.specs.names import resolve

__all__ = ["Claim", "ClaimSet", "claim_set", "claim_sets", "claims_on", "read_claims", "set_names"]

_FOLDER = Path(__file__).parent / "sets"


def set_names() -> tuple[str, ...]:
    """Return the names of the sets that ship with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def claim_set(name: str) -> ClaimSet:
    """Return a claim set that ships with the package.

    Parameters
    ----------
    name
        One of `set_names`, e.g. ``"feng2016"``.

    Raises
    ------
    BnstatsError
        There is no such set; the hint names the nearest.

    Examples
    --------
    >>> claim_set("normalized-tanh").claims[0].printed.text
    '1.592537419722831'
    """
    names = set_names()
    if name not in names:
        near = suggestion(name, names)
        known = "bnstats list claims"
        hint = f"did you mean '{near}'?  ({known})" if near else known
        if resolve(name):
            hint = f"it is a layer, of which bnstats show {printable(name, 60)} tells the claims"
        raise BnstatsError(f"unknown claim set '{printable(name, 60)}'", hint=hint)
    return read_claims(_content(name), f"{name}.toml")


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / f"{name}.toml").read_bytes()


@cache
def _rows(name: str) -> list[dict[str, Any]]:
    return rows_of(_content(name).decode(), f"{name}.toml").rows


def claim_sets() -> Iterator[ClaimSet]:
    """Yield every set that ships with the package."""
    return map(claim_set, set_names())


def claims_on(layer: str, law: Law = STANDARD) -> tuple[Claim, ...]:
    """Return the published claims about a layer as it is, which its canonical spec names.

    Those of inverse problems are about other values of a parameter.
    """
    own = layer.partition(":")[0]
    # The sets that ship call layers by their own names, so those about others need no reading.
    sets = (name for name in set_names() if own.encode() in _content(name))
    rows = ((name, row) for name in sets for row in _rows(name))
    found = (claim_of(r, name, load_trusted) for name, r in rows if r["layer"].split(":")[0] == own)
    return tuple(c for c in found if (c.spec.text, c.law, c.inverse) == (layer, law, None))

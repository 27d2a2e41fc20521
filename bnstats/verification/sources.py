"""What can be verified: claim sets, files of claims, results documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnstats.claims import ClaimSet, claim_set
from bnstats.claims.files import read_claims_file
from bnstats.claims.places import Place
from bnstats.documents.read import CONSTANTS, RESULTS, is_document, read_constants
from bnstats.errors import BnstatsError, printable
from bnstats.verification.check import Check
from bnstats.verification.claims import verify_claims
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import verify_constants


@dataclass(frozen=True)
class Committed:
    """A results document, and the file that holds it."""

    path: Path
    document: Mapping[str, Any]


def verify(what: str | Path, settings: VerifySettings | None = None) -> tuple[Check, ...]:
    """Check a claim set by name, a TOML, JSON or CSV file of claims, or a results document.

    Parameters
    ----------
    what
        The name of a claim set; the path of a file of claims; the path of a results document, or
        of the directory that holds constants.json.
    settings
        How to verify; None for the defaults of `bnstats.VerifySettings`.

    Returns
    -------
    tuple of Check
        One for each claim, in the set's order, or for each constant of the document.

    Raises
    ------
    BnstatsError
        The set is unknown, the file cannot be read, or a layer is too wide to be drawn and has no
        exact value.

    Examples
    --------
    >>> checks = verify("feng2016-repost", VerifySettings(samples=100_000))
    >>> [c.outcome for c in checks]
    ['fail', 'fail']
    """
    return verify_source(read_source(what), settings or VerifySettings())


def read_source(what: str | Path) -> ClaimSet | Committed:
    """Read what is to be verified; `verify` tells what it can be.

    Reading all of it first finds a misspelt name before an hour of sampling.
    """
    path = Path(what)
    try:
        if path.is_dir() or str(what) == RESULTS:
            path = path / CONSTANTS
    except (OSError, ValueError):  # a name too long, or with a NUL
        raise BnstatsError(f"no file has such a name: {printable(str(path))}") from None
    if path.name == CONSTANTS or is_document(path):
        return Committed(path, read_constants(path))
    is_file = isinstance(what, Path) or path.suffix or len(path.parts) > 1
    return read_claims_file(path) if is_file else claim_set(str(what))


def verify_source(source: ClaimSet | Committed, settings: VerifySettings) -> tuple[Check, ...]:
    """Check what was read; the draws of a results document use another seed than its own."""
    if isinstance(source, ClaimSet):
        return verify_claims(source.claims, settings)
    own = source.document["provenance"].get("seed")
    if own in (settings.seed, settings.seed + 1):  # the seeds of the two stages
        settings = replace(settings, seed=own + 1)
    return verify_constants(source.document, settings, Place(source.path))

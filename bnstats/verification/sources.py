"""What can be verified: claim sets, files of claims, results documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnstats.claims import ClaimSet, claim_set
from bnstats.claims.files import read_claims_file
from bnstats.claims.places import Place
from bnstats.custom import load_trusted
from bnstats.documents.read import CONSTANTS, RESULTS, is_document, read_constants
from bnstats.errors import BnstatsError, printable
from bnstats.runs.drawing import default_samples
from bnstats.sampling.iid import is_too_wide
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.quantities import checked_quantity
from bnstats.verification.check import Check
from bnstats.verification.claims import verify_claims
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import verify_constants

_NUMBERS_PER_HOUR = 3600 * 20_000_000  # that one process draws


@dataclass(frozen=True)
class Committed:
    """A results document, and the file that holds it."""

    path: Path
    document: Mapping[str, Any]


def verify(
    what: str | Path, settings: VerifySettings | None = None, *, quantity: str | None = None
) -> tuple[Check, ...]:
    """Check a claim set by name, a file of claims, or a results document.

    Parameters
    ----------
    what
        The name of a claim set; the path of a TOML, JSON or CSV file of claims, or of a JSON object
        of values by layer; a dict of values by layer in a Python file, ``"gains.py:GAINS"``, which
        is read and never run; the path of a results document, or of the directory that holds
        constants.json.
    settings
        How to verify; None for the defaults of `bnstats.VerifySettings`.
    quantity
        The quantity of values in a file that names none.

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
    ['fail', 'fail', 'fail']
    """
    return verify_source(read_source(what, quantity), settings or VerifySettings())


def read_source(what: str | Path, quantity: str | None = None) -> ClaimSet | Committed:
    """Read what is to be verified; `verify` tells what it can be.

    Reading all of it first finds a misspelt name before an hour of sampling.
    """
    if quantity is not None:
        quantity = checked_quantity(quantity)
    code, _, part = str(what).rpartition(".py:")
    path = Path(f"{code}.py" if code else what)
    try:
        if path.is_dir() or str(what) == RESULTS:
            path = path / CONSTANTS
    except OSError as error:
        raise BnstatsError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    except ValueError:  # a NUL in it
        raise BnstatsError(f"no file has such a name: {printable(str(path))}") from None
    if path.name == CONSTANTS or is_document(path):
        return Committed(path, read_constants(path))
    if isinstance(what, Path) or path.suffix or len(path.parts) > 1:
        return read_claims_file(path, quantity, part if code else "")
    return claim_set(str(what))


def hours_of(sources: Iterable[ClaimSet | Committed], settings: VerifySettings) -> float:
    """Return about how many hours the first stage will draw, 0 where it is less than one."""
    specs: dict[str, Spec] = {}
    for source in sources:
        if isinstance(source, ClaimSet):
            specs |= {claim.spec.text: claim.spec for claim in source.claims}
        else:
            rows = source.document["results"]
            specs |= {row["layer"]: parse(row["layer"], load_trusted) for row in rows}
    numbers = sum(
        spec.bound.numbers * (settings.samples or default_samples(spec.bound))
        for spec in specs.values()
        if not is_too_wide(spec)
    )
    hours = numbers / (_NUMBERS_PER_HOUR * settings.workers)
    return hours if hours >= 1 else 0.0


def verify_source(source: ClaimSet | Committed, settings: VerifySettings) -> tuple[Check, ...]:
    """Check what was read; the draws of a results document use another seed than its own."""
    if isinstance(source, ClaimSet):
        return verify_claims(source.claims, settings)
    own = source.document["provenance"].get("seed")
    if own in (settings.seed, settings.seed + 1):  # the seeds of the two stages
        settings = replace(settings, seed=own + 1)
    return verify_constants(source.document, settings, Place(source.path))

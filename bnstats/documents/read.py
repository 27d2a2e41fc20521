"""The reader of results documents that a project has committed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnstats.claims.parsing import read_json
from bnstats.documents.entries import QuantityEntry, RowEntry, SampledEntry, conforms
from bnstats.errors import BnstatsError, printable
from bnstats.layers import Law
from bnstats.sampling.settings import checked_law
from bnstats.statistics.quantities import ALL_QUANTITIES

RESULTS, CONSTANTS = "results", "constants.json"
_MAX_BYTES = 16_000_000
_NOT_A_DOCUMENT = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)


def is_document(path: Path) -> bool:
    """Whether a file says at its beginning that it is a document of bnstats."""
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return b'"schema": "bnstats/' in file.read(200)
    except OSError:
        return False


def read_constants(path: Path) -> Mapping[str, Any]:
    """Read a committed results document.

    Raises
    ------
    BnstatsError
        The file is missing, half-written or not a results document.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("not a file")
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        document = read_json(path.read_text(encoding="utf-8"))
        _check_document(document)
    except FileNotFoundError:
        raise BnstatsError(
            f"no {printable(str(path))} here",
            hint=f"bnstats table --out {shlex.quote(printable(str(path.parent)))} makes one",
        ) from None
    except OSError as error:
        raise BnstatsError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    except (RecursionError, *_NOT_A_DOCUMENT):
        raise BnstatsError(
            f"{printable(str(path))} is not a results document of bnstats",
            hint="bnstats table makes one",
        ) from None
    return document  # type: ignore[no-any-return]


def _check_document(document: Any) -> None:
    """Raise one of `_NOT_A_DOCUMENT` unless the document has what verification reads."""
    provenance, results = document["provenance"], document["results"]
    checked_law(Law(**provenance["law"]))
    seed = provenance.get("seed", 0)
    known = document["schema"].startswith("bnstats/") and conforms(seed, int)
    if not known or not results:
        raise ValueError("not a results document")
    for row in results:
        names = ALL_QUANTITIES.keys() & row.keys()
        kind = SampledEntry if "samples" in row else QuantityEntry
        right = conforms(row, RowEntry) and all(conforms(row[name], kind) for name in names)
        if (
            not names
            or not right
            or {c["quantity"] for c in row.get("claims", ())} - {*ALL_QUANTITIES}
        ):
            raise ValueError("not the row of a layer")

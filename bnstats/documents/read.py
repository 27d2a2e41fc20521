"""The reader of results documents that a project has committed."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnstats.errors import BnstatsError, printable
from bnstats.layers import Law
from bnstats.sampling.settings import checked_law
from bnstats.statistics.quantities import QUANTITIES

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
        document = json.loads(path.read_text(encoding="utf-8"))
        _check_document(document)
    except FileNotFoundError:
        raise BnstatsError(
            f"no {printable(str(path))} here",
            hint=f"bnstats table --out {shlex.quote(printable(str(path.parent)))} makes one",
        ) from None
    except (OSError, RecursionError, *_NOT_A_DOCUMENT):
        raise BnstatsError(
            f"{printable(str(path))} is not a results document of bnstats",
            hint="bnstats table makes one",
        ) from None
    return document  # type: ignore[no-any-return]


def _check_document(document: Any) -> None:
    """Raise one of `_NOT_A_DOCUMENT` unless the document has what verification reads."""
    provenance, results = document["provenance"], document["results"]
    law = Law(**provenance["law"])
    numbers: list[Any] = [*law, seed := provenance.get("seed", 0)]
    if not document["schema"].startswith("bnstats/") or not results or type(seed) is not int:
        raise ValueError("not a results document")
    for row in results:
        names = QUANTITIES.keys() & row.keys()
        if not names or not isinstance(row["layer"], str):
            raise ValueError("a row without quantities")
        for name in names:
            numbers += map(row[name].get, ("value", "stderr", "n_eff"))
            if (exact := row[name]["exact"]) is not None:
                numbers += [exact["value"], exact["error"], len(exact["by"])]
    if not all(n is None or (isinstance(n, int | float) and math.isfinite(n)) for n in numbers):
        raise ValueError("not a number")
    checked_law(law)

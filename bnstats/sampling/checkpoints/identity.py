"""What the digits of a run depend on, as plain data: moments of two runs go together if it agrees.

The number of draws is no part of it, nor is anything about who draws them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from bnstats.errors import BnstatsError, printable
from bnstats.sampling.layout import Layout
from bnstats.sampling.settings import Sampling
from bnstats.sampling.versions import arithmetic, drawing_code
from bnstats.specs.sources import source_digest
from bnstats.specs.spec import Spec
from bnstats.version import __version__

_OF_SAMPLING = ("seed", "sampler", "dtype", "direction", "backend")
ASKED = ("layer", "law", *_OF_SAMPLING)


def asked(spec: Spec, sampling: Sampling) -> dict[str, Any]:
    """Return what a user has asked for, as far as digits depend on it, by the names of `ASKED`."""
    law = {name: float(value) for name, value in sampling.law._asdict().items()}
    return {"layer": spec.text, "law": law} | {n: getattr(sampling, n) for n in _OF_SAMPLING}


def identity(spec: Spec, sampling: Sampling, layout: Layout, device: str) -> dict[str, Any]:
    """Return what the digits of a run depend on, but for the number of draws.

    Parameters
    ----------
    spec, sampling
        What is drawn, and how.
    layout
        How it is cut.
    device
        Name of the device that computes, of another backend than numpy.

    Raises
    ------
    BnstatsError
        The source of a function of the user's cannot be read.
    """
    found: dict[str, Any] = asked(spec, sampling) | {
        "source": source_digest(spec.layer),
        "joint": bool(sampling.of_stack),
        "leaf": layout.leaf,
        "bnstats": __version__,
        "drawing": drawing_code(),
        "arithmetic": arithmetic(),
    }
    libraries = ["scipy"] if sampling.sampler == "sobol" else []
    if sampling.backend != "numpy":
        libraries.append(sampling.backend)
        found["device"] = device
    return found | {name: import_module(name).__version__ for name in libraries}


def check_identity(found: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise BnstatsError where moments were drawn otherwise than they would be here and now."""
    for name in sorted({*found, *here}):
        if found.get(name) != here.get(name) and name != "arithmetic":
            told = _TOLD.get(name, name)
            raise BnstatsError(
                f"the moments of {printable(str(found.get('layer')))} were drawn with another "
                f"{told} than is here",
                hint="merge them where they were drawn",
            )


_TOLD = {
    "source": "source of that function",
    "drawing": "code of bnstats",
    "leaf": "size of chunks",
    "joint": "choice of quantities",
}


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return a digest of plain data."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()

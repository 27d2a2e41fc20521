"""What draws here: the code of bnstats, and the arithmetic of this machine."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bnstats.version import __version__

_ROOT = Path(__file__).parents[1]
_SUMS = ("statistics/moments.py", "statistics/joint.py")
_DRAWING = ("layers", "backends", "sampling", "specs", *_SUMS, "custom")


@cache
def versions() -> dict[str, str]:
    """Return what must agree wherever parts of one run are drawn."""
    return {
        "bnstats": __version__,
        "numpy": np.__version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "code of bnstats": drawing_code(),
    }


@cache
def drawing_code(*more: str) -> str:
    """Return a digest of the modules of bnstats that digits of layers come from, and of more."""
    found = (_ROOT / name for name in (*_DRAWING, *more))
    return digest_of_files(f for p in found for f in (p.rglob("*.py") if p.is_dir() else [p]))


@cache
def whole_code() -> str:
    """Return a digest of all modules of bnstats."""
    return digest_of_files(_ROOT.rglob("*.py"))


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return a digest of files that does not depend on where they lie, nor on their line ends."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


@cache
def arithmetic() -> str:
    """Return a digest of the values of numpy's functions on a few thousand numbers.

    They differ in the last digit from one version of numpy to another, and from one kind of
    processor to another, and with them the digits of a run.
    """
    digest = hashlib.sha256(sys.byteorder.encode())
    grid = np.linspace(-9.0, 9.0, 4099)
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            x: Any = grid.astype(dtype)
            for function in (np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos, np.tanh, np.sqrt):
                digest.update(np.nan_to_num(function(np.abs(x))).tobytes())
            digest.update(np.array([x @ x, np.sum(x * x), np.mean(x * x)]).tobytes())
    return digest.hexdigest()[:16]

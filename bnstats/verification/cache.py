"""What was drawn before: the moments of a run, kept so that an unchanged verification is instant.

Only moments of y and dx are kept, and not the joint ones of `bnstats.statistics.joint`. Exact
values, verdicts and warnings are worked out anew each time, so what is read here can stand in for
draws and for nothing else. An entry is found by all that the digits depend on: the code of bnstats
and of the user's layer, the versions of the libraries, and what the layer makes of the first draws
today. What is damaged, forged by halves, or writable by others is passed over, and so is everything
that goes wrong on the way.
"""

from __future__ import annotations

import math
import os
import platform
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from inspect import unwrap
from pathlib import Path
from typing import Any

from bnstats.backends import Device
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, Layer
from bnstats.sampling.checkpoints.document import RunMoments, read_moments, write_moments
from bnstats.sampling.checkpoints.identity import asked, digest_of
from bnstats.sampling.kept import Subtrees
from bnstats.sampling.layout import Chunk, Layout
from bnstats.sampling.run import chunk_tally, run, y_pivot
from bnstats.sampling.settings import Sampling
from bnstats.sampling.supervised import Supervised
from bnstats.sampling.versions import digest_of_files, whole_code
from bnstats.specs.spec import Spec
from bnstats.statistics.moments import Tally
from bnstats.version import __version__

_LIBRARIES = ("numpy", "scipy", "torch", "jax", "jaxlib")
_FIRST_NUMBERS = 2**14  # random numbers in the draws that tell whether a layer is what it was
_MOST_ENTRIES = 4000


class Cache:
    """A folder of moments.

    Attributes
    ----------
    folder
        The folder: ``$XDG_CACHE_HOME/bnstats``, or what the system has in its place.
    answered
        The layers for which moments were found, in order.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or _usual_folder()) / "draws"
        self.answered: list[str] = []
        self._tidied = False

    def run(
        self,
        spec: Spec,
        sampling: Sampling,
        samples: int,
        *,
        watch: Supervised,
        devices: Sequence[Device] = (),
        **more: Any,
    ) -> tuple[Tally, int]:
        """Return what `bnstats.sampling.run.run` does, drawn now or before."""
        may_keep = sampling.precision is None and not sampling.of_stack
        key = _key(spec, sampling, samples, devices) if may_keep else None
        found = None if key is None else self._read(key, sampling, samples)
        if found is not None:
            self.answered.append(spec.text)
            return found, samples
        tally, done = run(spec, sampling, samples, watch=watch, devices=devices, **more)
        # What a backend had to say no cache repeats.
        if key is not None and done == samples and not watch.warnings and not watch.stopping():
            self._write(key, tally)
        return tally, done

    def _read(self, key: Mapping[str, Any], sampling: Sampling, samples: int) -> Tally | None:
        path = self._path(key)
        try:
            if not (_is_private(self.folder) and stat.S_ISREG(path.lstat().st_mode)):
                return None
            (found,) = read_moments(path)
            ((_, tally),) = found.subtrees
        except (OSError, BnstatsError, ValueError):
            return None
        return tally if found.identity == key and _is_of(tally, sampling, samples) else None

    def _write(self, key: Mapping[str, Any], tally: Tally) -> None:
        whole = Subtrees(Layout(key["leaf"], key["leaf"]))  # never taken apart: one leaf
        whole.add(whole.layout.span(0, 0, 1), tally)
        with suppress(OSError, BnstatsError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(self.folder):
                write_moments(self._path(key), [RunMoments(key, whole)])
                self._tidy()

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.folder / f"{digest_of(key)}.json"

    def _tidy(self) -> None:
        """Remove the older half of the entries, once they are too many."""
        if not self._tidied:
            self._tidied = True
            entries = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            if len(entries) > _MOST_ENTRIES:
                for path in entries[: len(entries) // 2]:
                    path.unlink(missing_ok=True)


def _usual_folder() -> Path:
    """Return the folder of this system for what can be made anew."""
    asked = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(asked):
        return Path(asked, "bnstats")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home(), "bnstats", "Cache")
    folder = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return Path(os.path.expanduser("~"), folder, "bnstats")


def _is_private(folder: Path) -> bool:
    """Whether nobody else can write to a folder."""
    found = folder.stat()
    if not hasattr(os, "geteuid"):
        return True
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _is_of(tally: Tally, sampling: Sampling, samples: int) -> bool:
    """Whether such a run could have left these moments."""
    if list(tally) != list(sampling.directions) or tally.joint is not None:
        return False
    for moments in tally.values():
        squares = moments.count, moments.nonfinite, moments.mean_b, moments.aa, moments.bb
        if not all(map(math.isfinite, astuple(moments))) or min(*squares, moments.sum_bb) < 0:
            return False
        if moments.points + moments.nonfinite != samples:
            return False
    return True


def _key(
    spec: Spec, sampling: Sampling, samples: int, devices: Sequence[Device]
) -> dict[str, Any] | None:
    """Return all that the digits of a run depend on, or None of a layer whose code has no file."""
    users = [part for part in spec.layer.parts if LAYERS.get(part.name) is not part]
    codes = [code for part in users if (code := _users_code(part)) is not None]
    if len(codes) < len(users):
        return None
    return asked(spec, sampling) | {
        "leaf": samples,
        "devices": [device.name for device in devices],
        "versions": _versions(),
        "code": whole_code(),
        "users_code": "".join(codes),
        "first_draws": _first_draws(spec, sampling, samples),
    }


@cache
def _versions() -> dict[str, str]:
    found = {
        "bnstats": __version__,
        "python": sys.version,
        "machine": f"{platform.system()}-{platform.machine()}",
    }
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _users_code(layer: Layer) -> str | None:
    """Return a digest of the loaded files beside that of a user's layer, or None without one.

    The layer may call any of them. That what it calls elsewhere has changed shows in its first
    draws.
    """
    made_of: Any = unwrap(layer.bind)
    module = getattr(made_of, "__module__", None) or type(made_of).__module__
    root = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    own = getattr(sys.modules.get(module), "__file__", None)
    if not root or not own:
        return None
    folder = Path(root).resolve().parent
    files = {Path(f).resolve() for m in list(sys.modules.values()) if (f := _file_of(m))}
    near = {f for f in files if f.is_relative_to(folder) and _is_own(f.relative_to(folder))}
    try:
        return digest_of_files({*near, Path(own).resolve()})
    except OSError:
        return None


def _file_of(module: Any) -> str | None:
    found = getattr(module, "__file__", None)
    return found if isinstance(found, str) and found.endswith(".py") else None


def _is_own(path: Path) -> bool:
    return not {"site-packages", "dist-packages"} & set(path.parts)


def _first_draws(spec: Spec, sampling: Sampling, samples: int) -> list[Any]:
    """Return the moments of a few draws as they are today: a layer that differs has others."""
    draws = min(samples, max(_FIRST_NUMBERS // spec.bound.numbers, 1))
    on_numpy = replace(sampling, backend="numpy", device=None)
    found = chunk_tally(spec, on_numpy, y_pivot(spec.bound, sampling.law), Chunk(0, 0, draws))
    return [[direction, [n.hex() for n in astuple(m)]] for direction, m in found.items()]

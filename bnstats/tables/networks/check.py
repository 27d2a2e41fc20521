"""Whether the committed table of networks still holds: by fresh networks, and by exact values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import special

from bnstats.errors import BnstatsError, printable
from bnstats.networks.propagation import WAYS
from bnstats.sampling.watch import Watch
from bnstats.statistics.alarm import (
    FIRST_THRESHOLD,
    SECOND_STAGE_FACTOR,
    confirmed,
    second_threshold,
)
from bnstats.tables.networks import plot
from bnstats.tables.networks.build import DEPTHS, Setting, settings, shares
from bnstats.tables.networks.page import DATA, PAGE, PLOT, render
from bnstats.tables.text import differing_lines, outdated_plot

_SAME = 1e-6  # of exact values, which a scale that runs away carries rounding into
_Entry = Mapping[str, Any]


def read(path: Path) -> Mapping[str, Any]:
    """Read a committed document of networks, whose page it renders.

    Raises
    ------
    BnstatsError
        The file is missing, or holds something else.
    """
    hint = "bnstats table networks makes one"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        render(found)
        plot.digest(found)
        _ = found["provenance"]["seed"] + 1
        for entry in found["results"]:  # whose numbers have all that draws are compared with
            _ = [_z(entry, entry, at, way) for at in range(len(entry["rows"])) for way in WAYS]
    except FileNotFoundError:
        raise BnstatsError(f"no {printable(str(path))} here", hint=hint) from None
    except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise BnstatsError(
            f"{printable(str(path))} is not a table of networks", hint=hint
        ) from None
    except StopIteration:
        raise BnstatsError(f"{printable(str(path))} lacks a curve", hint=hint) from None
    return found  # type: ignore[no-any-return]


def check(
    directory: Path, seed: int | None, *, workers: int = 1, watch: Watch | None = None
) -> tuple[list[str], int]:
    """Return what no longer agrees in a directory, and how many numbers were drawn anew.

    A typical network is wrong when a fresh sample, of another seed, raises an alarm and four times
    as many networks confirm it; see `bnstats.statistics.alarm`. Everything else agrees exactly.
    Stopped before the end, it tells of what was drawn.
    """
    watch, found = watch or Watch(), read(directory / DATA)
    fresh_seed = found["provenance"]["seed"] + 1 if seed is None else seed
    there = {Setting(e["kind"], e["activation"], e["scale"]): e for e in found["results"]}
    wanted = list(settings())
    tests = len(wanted) * len(DEPTHS) * len(WAYS)
    problems, drawn = [], 0
    for done, setting in enumerate(wanted):
        watch.layer(setting.name, done, len(wanted))
        if watch.stopping():
            break
        if setting not in there:
            problems.append(f"{DATA}: {setting.name}: row is missing")
            continue
        problems += _redrawn(setting, there.pop(setting), (fresh_seed, workers), tests)
        drawn += len(DEPTHS) * len(WAYS)
    else:
        problems += [f"{DATA}: {other.name}: no such network now" for other in there]
        problems += _shares_differ(found["linear_share"])
    problems += differing_lines(directory / PAGE, render(found))
    problems += outdated_plot(directory / PLOT, plot.digest(found), "networks")
    return problems, drawn


def _redrawn(
    setting: Setting, committed: _Entry, how: tuple[int, int], tests: int
) -> Iterator[str]:
    seed, workers = how
    first = setting.entry(setting.run(seed, workers))
    second: _Entry | None = None
    for at, row in enumerate(committed["rows"]):
        for way in WAYS:
            where = f"{DATA}: {setting.name}: depth {row['depth']} σ[{way}]"
            if not _same(row[way]["wide"], first["rows"][at][way]["wide"]):
                yield f"{where}: the exact value differs"
            z = _z(committed, first, at, way)
            if abs(z) <= FIRST_THRESHOLD:
                continue
            if second is None:
                run = setting.run(seed + 1, workers, SECOND_STAGE_FACTOR)
                second = setting.entry(run)
            if confirmed(z, _z(committed, second, at, way), second_threshold(tests)):
                yield f"{where}: fresh networks disagree"


def _z(committed: _Entry, fresh: _Entry, at: int, way: str) -> float:
    """Return the difference in standard errors, by Welch's t put on the scale of a normal z."""
    a, b = committed["rows"][at][way], fresh["rows"][at][way]
    ln = math.log(a["typical"] / b["typical"])
    error = math.hypot(a["relative"], b["relative"])
    share = (a["relative"] / error) ** 4 / (committed["networks"] - 1)
    share += (b["relative"] / error) ** 4 / (fresh["networks"] - 1)
    tail = special.stdtr(1 / share, -abs(ln) / error)
    return math.copysign(float(special.ndtri(tail)), ln) if tail > 0 else math.copysign(40, ln)


def _shares_differ(curves: Sequence[_Entry]) -> Iterator[str]:
    now = {curve["activation"]: curve["points"] for curve in shares()}
    for curve in curves:
        there, here = curve["points"], now.get(curve["activation"], ())
        if len(there) != len(here) or not all(
            a["x_std"] == b["x_std"] and _same(a["exact"]["value"], b["exact"]["value"])
            for a, b in zip(there, here, strict=True)
        ):
            yield f"{DATA}: {curve['activation']}: linear share differs"


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_SAME)

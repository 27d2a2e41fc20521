"""Parts of a run, put together: what is missing, and what is there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bnstats.errors import BnstatsError, printable
from bnstats.sampling.checkpoints.document import RunMoments
from bnstats.sampling.checkpoints.identity import ASKED, digest_of
from bnstats.sampling.kept import Subtrees

_MOST_NAMED = 8
_DIFFERENCES = {
    "arithmetic": "on machines whose arithmetic differs in the last digit",
    "drawing": "by different versions of bnstats",
    "source": "from different sources of the function",
}


def by_run(found: Sequence[RunMoments]) -> list[list[RunMoments]]:
    """Return moments grouped by what was drawn, in the order of their first ones."""
    groups: dict[str, list[RunMoments]] = {}
    for run in found:
        asked = {name: run.identity[name] for name in ASKED}  # machines and versions left out
        groups.setdefault(digest_of(asked), []).append(run)
    return list(groups.values())


def united(parts: Sequence[RunMoments]) -> tuple[Mapping[str, Any], Subtrees]:
    """Return what the digits of a whole run depend on, and its moments.

    Raises
    ------
    BnstatsError
        The parts do not belong together, or some are missing.
    """
    identity, layout = parts[0].identity, parts[0].subtrees.layout
    for run in parts[1:]:
        for name in sorted({*identity, *run.identity}):
            if identity.get(name) != run.identity.get(name):
                how = _DIFFERENCES.get(name, f"with different {name}")
                raise BnstatsError(f"the parts of {_shown(identity)} were drawn {how}")
    samples = max(run.subtrees.layout.samples for run in parts)
    # Moments that a checkpoint has kept of a shorter run are part of a longer one.
    cut = {r.subtrees.layout.samples for r in parts if r.part is not None} - {samples}
    if cut:
        raise BnstatsError(
            f"the parts of {_shown(identity)} are of runs of {min(cut):,} and {samples:,} draws"
        )
    known = Subtrees(replace(layout, samples=samples))
    for run in parts:
        for span, tally in run.subtrees:
            there, same = known.known.get((span.unit, span.first), (None, tally))
            if there == span and same != tally:
                raise BnstatsError(f"two files disagree about the same draws of {_shown(identity)}")
            if known.layout.span(*span[:3]).draws == span.draws:
                known.add(span, tally)
    gaps = known.layout.spans(known=known.known, wanted=lambda left: left)
    missing = [span for span in gaps if not known.covers(span)]
    if missing:
        draws, lacking = sum(span.draws for span in missing), _missing(parts)
        hint = "a part was ended before its time: draw it again"
        if lacking:
            hint = f"bnstats compute … --part {lacking[0]} --export FILE.json"
        raise BnstatsError(
            f"of {samples:,} draws of {_shown(identity)} {draws:,} are missing{_named(lacking)}",
            hint=hint,
        )
    return identity, known


def repeated(parts: Sequence[RunMoments]) -> list[str]:
    """Return which parts are there more than once."""
    numbers = [run.part for run in parts if run.part is not None]
    return [f"{k}/{n}" for k, n in sorted({p for p in numbers if numbers.count(p) > 1})]


def _missing(parts: Sequence[RunMoments]) -> list[str]:
    given = {run.part for run in parts if run.part is not None}
    if len({n for _, n in given}) != 1:
        return []
    ((_, most), *_) = given
    return [f"{k}/{most}" for k in range(1, most + 1) if (k, most) not in given]


def _named(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    noun = "part" if len(missing) == 1 else "parts"
    return f": {noun} {', '.join(missing[:_MOST_NAMED])}{more}"


def _shown(identity: Mapping[str, Any]) -> str:
    return printable(str(identity["layer"]), 80)

"""Runs that are drawn in parts, each anywhere, and put together later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnstats.custom import load_typed
from bnstats.errors import BnstatsError
from bnstats.layers import Law
from bnstats.result import Result
from bnstats.runs.drawing import prepared
from bnstats.sampling.checkpoints.document import RunMoments
from bnstats.sampling.checkpoints.identity import check_identity, identity
from bnstats.sampling.checkpoints.keeping import Keeping
from bnstats.sampling.checkpoints.parts import united
from bnstats.sampling.layout import Merged
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.quantities import GAINS, ON_SCREEN, STACK_QUANTITIES


def sample_part(
    spec: Spec, sampling: Sampling, part: tuple[int, int], watch: Watch | None = None
) -> RunMoments:
    """Draw one of several parts of a run, of which `merged` makes the whole.

    Parameters
    ----------
    spec, sampling
        The whole run: its ``samples`` are those of all parts.
    part
        Which part, from 1 on, of how many.
    watch
        Told of what is drawn, and asked whether to stop.

    Raises
    ------
    BnstatsError
        As `sample`; or a precision is asked for, which no part can judge.
    """
    number, parts = part
    if not 1 <= number <= parts:
        raise BnstatsError(f"part {number}/{parts} is none of 1/{parts} to {parts}/{parts}")
    if sampling.precision is not None:
        raise BnstatsError("a part of a run cannot judge its `precision`", hint="give `samples`")
    _, _, kept = prepared(spec, sampling).draw(watch or Watch(), part)
    return kept.moments


def merged(parts: Sequence[RunMoments], *, confidence: float = 0.95) -> Result:
    """Return the result of a whole run from the moments of its parts.

    Parameters
    ----------
    parts
        Parts of one run; what is in several of them counts once.
    confidence
        Probability that an interval covers the truth.

    Raises
    ------
    BnstatsError
        The parts are of several runs, were drawn by another bnstats or on another kind of machine
        than each other, or something is missing.
    """
    run_of, known = united(parts)
    spec = parse(run_of["layer"], load_typed)
    names = ("seed", "dtype", "direction", "sampler", "backend")
    how: dict[str, Any] = {name: run_of[name] for name in names}
    if run_of.get("joint"):
        how["quantities"] = (*ON_SCREEN, *GAINS, *STACK_QUANTITIES)
    law = Law(**run_of["law"])
    sampling = Sampling(known.layout.samples, confidence=confidence, law=law, **how)
    run_ = prepared(spec, sampling, drawn_before=True)
    kept = Keeping(run_.spec, sampling, None, Watch().note)
    kept.device = run_of.get("device", "cpu")
    check_identity(run_of, identity(run_.spec, sampling, known.layout, kept.device))
    whole = Merged(known.layout)
    for span in known.layout.spans(known=known.known):
        whole.push(span, known.known[span.unit, span.first][1])
    return run_.result(whole.total(), whole.draws, "complete", kept)

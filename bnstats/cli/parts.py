"""Drawing a part of a run, whose moments go to a file."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bnstats.cli.console import Console
from bnstats.cli.interrupt import interruptible
from bnstats.cli.main import INTERRUPTED, UNDECIDED, tell
from bnstats.cli.output import Output
from bnstats.cli.progress import watching
from bnstats.errors import printable
from bnstats.runs.parts import sample_part
from bnstats.sampling.checkpoints.document import write_moments
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec


def export_part(
    console: Console,
    layers: Sequence[Spec],
    sampling: Sampling,
    part: tuple[int, int],
    output: Output,
) -> int:
    """Draw a part of the run of each layer, write its moments, and return the exit code."""
    if output.get is not None or output.format_ != "text":
        raise click.UsageError("--part goes with --export FILE.json, not with other output")
    if len(output.export) != 1 or output.export[0].suffix != ".json":
        raise click.UsageError("--part needs one --export FILE.json, which holds the moments")
    (path,) = output.export
    runs, failure = [], None
    with interruptible() as interrupted:
        for spec in layers:
            with watching(console, spec.text, interrupted) as watch:
                runs.append(sample_part(spec, sampling, part, watch))
            failure = watch.failure
            if watch.stopping():
                break
        stopped = interrupted()
    write_moments(path, runs)
    whole = len(runs) == len(layers)
    for run in runs:
        layout = run.subtrees.layout
        draws = sum(span.draws for span, _ in run.subtrees)
        wanted = sum(span.draws for span in layout.spans(within=layout.part(*part), wanted=int))
        whole = whole and draws == wanted
        console.out(
            f"{run.identity['layer']}: {draws:,} of {layout.samples:,} draws, part "
            f"{part[0]}/{part[1]}{'' if draws == wanted else f', {wanted - draws:,} are missing'}"
        )
    console.out(f"wrote {printable(str(path))}")
    if failure:
        return tell(failure)
    return INTERRUPTED if stopped else 0 if whole else UNDECIDED

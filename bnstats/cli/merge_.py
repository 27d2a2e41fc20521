"""bnstats merge: the result of a run that was drawn in parts."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console

if TYPE_CHECKING:
    from bnstats.cli.output import Output


@click.command("merge")
@click.argument(
    "paths", metavar="PART...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@opt.CONFIDENCE
@opt.IMPORT
@opt.output_options("sigmoid.std_dx.value")
@click.pass_obj
def command(
    console: Console,
    /,
    paths: tuple[Path, ...],
    confidence: float,
    imports: tuple[str, ...],
    output: Output,
) -> int:
    """Put the parts of a run together.

    PART is a file that bnstats compute --part K/N --export PART wrote, or one of a --checkpoint.
    The digits are those of the run drawn at once. What is missing is an error; what is there twice
    counts once, and is told. Files of several layers give the result of each.
    """
    from bnstats.cli.output import spoken
    from bnstats.custom import load_here
    from bnstats.documents.write import document
    from bnstats.report import render
    from bnstats.runs.parts import merged
    from bnstats.sampling.checkpoints.document import read_moments
    from bnstats.sampling.checkpoints.parts import by_run, repeated
    from bnstats.specs.spec import parse

    console.take_stdout()
    opt.import_named(imports)
    groups = by_run([run for path in paths for run in read_moments(path)])
    for parts in groups:
        for part in repeated(parts):
            console.warn(f"part {part} of {parts[0].identity['layer']} is there twice")
        parse(parts[0].identity["layer"], load_here)
    results = [spoken(merged(parts, confidence=confidence)) for parts in groups]
    for result in results:
        for warning in result.warnings:
            console.warn(warning if len(results) == 1 else f"{result.layer}: {warning}")
    record = document(results, argv=sys.argv[1:])
    output.emit(console, record, partial(render, records=results))
    return 0

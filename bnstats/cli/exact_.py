"""bnstats exact: reference values without sampling."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console

if TYPE_CHECKING:
    from bnstats.cli.output import Output


@click.command("exact", cls=opt.WithLists)
@opt.SPECS
@opt.quantity_option("Show these only, e.g. gain_y chi c1.")
@opt.IMPORT
@opt.law_options
@opt.output_options("sigmoid.std_dx.exact.value")
@click.pass_obj
def command(
    console: Console,
    /,
    specs: tuple[str, ...],
    quantities: tuple[str, ...],
    imports: tuple[str, ...],
    output: Output,
    **law: float,
) -> int:
    """Print exact values with error bounds, without sampling.

    SPEC is NAME or NAME:KEY=VALUE,KEY=VALUE, as for bnstats compute.
    """
    from bnstats.api import exact
    from bnstats.custom import load_here
    from bnstats.documents.write import document
    from bnstats.layers import Law
    from bnstats.report import render
    from bnstats.sampling.settings import checked_quantities
    from bnstats.specs.spec import parse
    from bnstats.statistics.stacks import check_applicable

    console.take_stdout()
    opt.import_named(imports)
    quantities = checked_quantities(quantities)
    layers = [parse(text, load_here) for text in specs]
    for spec in layers:
        check_applicable(spec.text, spec.bound, quantities)
    found = (exact(spec, law=Law(**law)) for spec in layers)
    references = list({r.layer: r for r in found}.values())
    for reference in references:
        for warning in reference.warnings:
            console.warn(warning)
    record = document(references, argv=sys.argv[1:], quantities=quantities)
    output.emit(console, record, partial(render, records=references))
    return 0

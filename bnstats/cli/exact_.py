"""bnstats exact: reference values without sampling."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bnstats.cli.console import Console
from bnstats.cli.options import (
    IMPORT,
    SPECS,
    format_asked,
    import_named,
    law_options,
    output_options,
)


@click.command("exact")
@SPECS
@IMPORT
@law_options
@output_options("sigmoid.std_dx.exact.value")
@click.pass_obj
def command(
    console: Console,
    specs: tuple[str, ...],
    imports: tuple[str, ...],
    x_mean: float,
    x_std: float,
    dy_std: float,
    format_: str,
    as_json: bool,
    get: str | None,
    export: tuple[Path, ...],
) -> int:
    """Print exact values with error bounds, without sampling.

    SPEC is NAME or NAME:KEY=VALUE,KEY=VALUE, as for bnstats compute.
    """
    from bnstats.api import exact
    from bnstats.cli.output import check_exports, emit
    from bnstats.custom import load_here
    from bnstats.documents.write import document
    from bnstats.layers import Law
    from bnstats.specs.spec import parse

    format_ = format_asked(format_, as_json)
    check_exports(export)
    import_named(imports)
    law = Law(x_mean, x_std, dy_std)
    layers = [parse(text, load_here) for text in specs]
    references = list({r.layer: r for r in (exact(spec, law=law) for spec in layers)}.values())
    for reference in references:
        for warning in reference.warnings:
            console.warn(warning)
    record = document(references, argv=sys.argv[1:])
    emit(console, references, record, format_=format_, get=get, export=export)
    return 0

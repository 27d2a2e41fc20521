"""bnstats sweep: quantities as functions of a parameter."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console

if TYPE_CHECKING:
    from bnstats.cli.output import Output


def _one(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> str:
    """Return the one parameter that is swept."""
    if len(given) > 1:
        raise click.UsageError("a sweep is over one parameter: --over is given twice")
    return given[0]


@click.command("sweep", cls=opt.WithLists)
@opt.SPECS
@click.option(
    "--over",
    required=True,
    multiple=True,
    callback=_one,
    metavar="NAME=VALUES",
    help="What to sweep: a parameter of the layers, or x_mean, x_std or dy_std. VALUES are a:b, "
    "a:b:log, a:b:STEP or a list v,v,v.",
)
@opt.quantity_option("What to compute, e.g. gain_y chi c1.  [default: std_y std_dx, or of --find]")
@click.option(
    "--find",
    multiple=True,
    metavar="QUANTITY=VALUE...",
    help="Solve for the value of the parameter, with a bound on its error, e.g. std_y=1 or "
    "std_y=3/5*x_std.",
    shell_complete=opt.equations,
)
@click.option("--points", type=int, default=41, help="Values of a range without a step.")
@click.option(
    "-n",
    "--samples",
    type=opt.sample_count,
    metavar="N",
    help="Draws for each value where something has no exact one.  [default: 200000]",
)
@opt.seed_option(0)
@opt.CONFIDENCE
@opt.IMPORT
@opt.WORKERS
@opt.far_options
@opt.law_options
@opt.PLOT
@opt.output_options("x_std=0.1.std_y.exact.value, or found.value with --find")
@click.pass_obj
def command(
    console: Console,
    /,
    specs: tuple[str, ...],
    imports: tuple[str, ...],
    find: tuple[str, ...],
    plot: str | None,
    output: Output,
    **options: Any,
) -> int:
    """Compute quantities of layers over a parameter.

    Of theirs or of the law of x and dy. Values are exact where that is known, and sampled
    elsewhere.

    \b
      bnstats sweep tanh --over x_std=0.1:10:log --quantity linear_share gain_y gain_dx
      bnstats sweep leaky_relu --over negative_slope=0:1 --find c1=0.1
    """  # noqa: D301 (\b is click's mark for lines to keep as they are)
    from bnstats.cli.main import ended_early, tell
    from bnstats.cli.plotting import check_plot, emit_plot
    from bnstats.cli.progress import interruptible_watch
    from bnstats.custom import load_here
    from bnstats.layers import Law
    from bnstats.networks.documents import sweep_document
    from bnstats.networks.sweep import sweep
    from bnstats.report.options import as_options
    from bnstats.report.sweep import render

    console.take_stdout()
    law = Law(*map(options.pop, Law._fields))
    check_plot(console, plot, output.format_)
    opt.import_named(imports)
    with interruptible_watch(console, options["over"]) as watch:
        found = sweep(
            *specs,
            **options,
            find=find,
            law=law,
            load=load_here,
            on_progress=watch.layer,
            on_failure=watch.failed,
            on_note=console.note,
            should_stop=watch.stopping,
        )
    if watch.failure and not found.curves:
        raise watch.failure
    for layer, said in found.doubts:
        console.warn(as_options(said if len(specs) == 1 else f"{layer} {said}"))
    document = sweep_document(found, argv=sys.argv[1:])
    draw = None
    if plot is not None:
        from bnstats.plots.sweeps import picture
        from bnstats.plots.terminal import of_sweep

        draw = partial(emit_plot, console, plot, found, picture, of_sweep)
    rows = bool(options["quantities"]) or not find
    output.emit(console, document, render, names=_by_name(document), draw=draw, rows=rows)
    if watch.failure:
        return tell(watch.failure)
    if found.status == "interrupted":
        return ended_early("what was computed so far is above")
    return 0


def _by_name(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of a sweep in which points and solutions have names."""
    results = []
    for curve in document["results"]:
        entry: dict[str, Any] = {"layer": curve["layer"]}
        for point in curve["points"]:
            at = point["at"]
            shown = f"{at:.12g}" if isinstance(at, float) else at
            entry[f"{curve['over']}={shown}"] = point
        for number, solution in enumerate(curve["found"], 1):
            entry["found" if len(curve["found"]) == 1 else f"found{number}"] = solution
        results.append(entry)
    return {"results": results}

"""bnstats compute: estimate a layer's statistics by sampling."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console
from bnstats.errors import BnstatsError

if TYPE_CHECKING:
    from bnstats.cli.output import Output


@click.command("compute", cls=opt.WithLists)
@opt.SPECS
@opt.samples_option("; with --precision or --max-time, as many as needed")
@opt.seed_option(0)
@opt.choice(
    "--sampler",
    values=("iid", "sobol"),
    help_="Use independent draws (iid) or scrambled Sobol' points (sobol). Points are far more "
    "precise if a draw holds few random numbers; their number is rounded up to the next available "
    "size (131,072 or a power of two times that).",
)
@click.option(
    "--precision",
    type=opt.number,
    metavar="R",
    help="Sample until the relative half-width of every σ is at most R, or until -n draws.",
)
@opt.MAX_TIME
@opt.CONFIDENCE
@opt.choice(
    "--dtype",
    values=("float64", "float32"),
    help_="Precision of the layer's arithmetic. Normals have 24 bits and sums are float64 in "
    "either case.",
)
@opt.choice(
    "--direction",
    values=("both", "forward", "backward"),
    help_="Statistics to keep: those of y (forward), of dx (backward), or both.",
)
@opt.quantity_option(
    "Show these in place of the usual ones, e.g. gain_y chi c1, or σ[y] as printed. linear_share, "
    "chi, mean_degree, stability, c1, mean_slope and var_slope are sampled only if named: bnstats "
    "help quantities."
)
@opt.IMPORT
@opt.WORKERS
@opt.backend_options
@opt.far_options
@opt.law_options
@opt.PLOT
@click.option(
    "--part",
    type=opt.part_of,
    metavar="K/N",
    help="Draw only the K-th of N parts, and export its moments, for bnstats merge.",
)
@opt.output_options("sigmoid.std_dx.value")
@click.pass_obj
def command(
    console: Console,
    /,
    specs: tuple[str, ...],
    imports: tuple[str, ...],
    plot: str | None,
    output: Output,
    part: tuple[int, int] | None,
    **options: Any,
) -> int:
    """Estimate E[y], σ[y], E[dx], σ[dx] and Var[dx] by sampling.

    SPEC is NAME or NAME:KEY=VALUE,KEY=VALUE, e.g. max_pool2d:kernel_size=3,stride=2. NAME may also
    be the path of a function of your own, mypkg.mymodule:my_act, or of a torch module or a jax
    function, torch.nn:GELU or jax.nn:silu, which is differentiated by its library.
    """
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import UNDECIDED, ended_early, tell
    from bnstats.cli.output import locate, spoken
    from bnstats.cli.plotting import check_plot, emit_plot
    from bnstats.cli.progress import watching
    from bnstats.custom import load_here
    from bnstats.documents.write import document, outline
    from bnstats.layers import Law
    from bnstats.report import render
    from bnstats.runs.drawing import sample
    from bnstats.sampling.settings import Sampling
    from bnstats.specs.spec import parse

    console.take_stdout()
    sampling = Sampling(law=Law(*map(options.pop, Law._fields)), **options)
    if part is not None and plot is not None:
        raise click.UsageError("--part does not go with --plot")
    check_plot(console, plot, output.format_)
    opt.import_named(imports)
    layers = list({spec.text: spec for spec in (parse(text, load_here) for text in specs)}.values())
    if part is not None:
        from bnstats.cli.parts import export_part

        return export_part(console, layers, sampling, part, output)
    if output.get is not None:  # a misspelt path must not cost an hour of sampling
        locate(outline(layers, sampling), output.get)
    results, seconds = [], []
    failure: BnstatsError | None = None
    with interruptible() as interrupted:
        for spec in layers:
            start = time.monotonic()
            with watching(console, spec.text, interrupted) as watch:
                try:
                    result = sample(spec, sampling, watch)
                except BnstatsError as error:
                    failure = error
                    break
            failure = watch.failure
            if result.samples:
                results.append(spoken(result))
                seconds.append(time.monotonic() - start)
            if watch.stopping():
                break
        stopped = interrupted()
    if failure and not results:
        raise failure
    samples = sampling.samples
    for result in results:
        if samples and sampling.sampler == "sobol" and result.samples > 2 * samples:
            console.note(f"{result.samples:,} samples, not {samples:,}: sobol has no fewer")
        for warning in result.warnings:
            console.warn(warning if len(results) == 1 else f"{result.layer}: {warning}")
    early = "interrupted" if stopped or failure else None
    record = document(results, argv=sys.argv[1:], status=early, quantities=sampling.quantities)
    draw = None
    if plot is not None:
        from bnstats.plots import layers as pictures
        from bnstats.plots.terminal import of_results

        draw = partial(emit_plot, console, plot, results, pictures.picture, of_results)
    output.emit(console, record, partial(render, records=results), draw=draw, seconds=seconds)
    if failure:
        return tell(failure)
    if stopped:
        return ended_early("what was drawn so far is above")
    if record["status"] == "target_not_met":
        click.echo("the precision or the number of samples asked for was not reached", err=True)
        return UNDECIDED
    return 0

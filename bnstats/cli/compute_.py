"""bnstats compute: estimate a layer's statistics by sampling."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from bnstats.cli.console import Console
from bnstats.cli.options import (
    SAMPLES,
    WORKERS,
    Fraction,
    law_options,
    output_options,
    seed_option,
)


@click.command("compute")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@SAMPLES
@seed_option(0)
@click.option("--confidence", type=Fraction(), default=0.95, show_default=True)
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True
)
@click.option(
    "--direction",
    type=click.Choice(["both", "forward", "backward"]),
    default="both",
    show_default=True,
)
@WORKERS
@law_options
@output_options
@click.pass_obj
def command(
    console: Console,
    specs: tuple[str, ...],
    samples: int | None,
    seed: int,
    confidence: float,
    dtype: str,
    direction: str,
    workers: int | None,
    x_mean: float,
    x_std: float,
    dy_std: float,
    format_: str,
    as_json: bool,
    get: str | None,
    export: tuple[Path, ...],
) -> int:
    """Estimate E[y], σ[y], E[dx], σ[dx] and Var[dx] by sampling.

    SPEC is NAME or NAME:KEY=VALUE,KEY=VALUE, e.g. max_pool2d:kernel_size=3,stride=2.
    """
    from bnstats.api import check_law, compute, default_samples
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED
    from bnstats.cli.output import check_exports, emit
    from bnstats.cli.progress import sampling_progress
    from bnstats.layers import Law
    from bnstats.report.document import document
    from bnstats.spec import parse

    law = Law(x_mean, x_std, dy_std)
    check_law(law)
    check_exports(export)
    layers = list({spec.text: spec for spec in map(parse, specs)}.values())
    start = time.monotonic()
    results = []
    with interruptible() as interrupted:
        for spec in layers:
            count = samples or default_samples(spec.event)
            with sampling_progress(console, spec.text, count) as on_progress:
                result = compute(
                    spec,
                    samples=count,
                    seed=seed,
                    confidence=confidence,
                    dtype=dtype,  # type: ignore[arg-type]
                    direction=direction,
                    workers=workers,
                    law=law,
                    on_progress=on_progress,
                    should_stop=interrupted,
                )
            if result.samples:
                results.append(result)
            if interrupted():
                break
        stopped = len(results) < len(layers) or any(r.status != "complete" for r in results)
    for result in results:
        for warning in result.warnings:
            console.warn(warning if len(results) == 1 else f"{result.layer}: {warning}")
    status = "interrupted" if stopped else "complete"
    record = document(results, argv=sys.argv[1:], status=status)
    seconds = time.monotonic() - start
    if results or as_json or format_ == "json":
        format_ = "json" if as_json else format_
        get = get if results else None
        emit(console, record, format_=format_, get=get, export=export, seconds=seconds)
    if stopped:
        click.echo("interrupted: what was drawn so far is above", err=True)
        return INTERRUPTED
    return 0

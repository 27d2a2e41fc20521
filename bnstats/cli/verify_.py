"""bnstats verify: check constants against exact values and fresh draws."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bnstats.cli.console import Console
from bnstats.cli.options import SAMPLES, WORKERS, Fraction, seed_option

if TYPE_CHECKING:
    from bnstats.verification import Check


@click.command("verify")
@click.argument("what", metavar="[WHAT]...", nargs=-1)
@SAMPLES
@seed_option(1)
@click.option(
    "--family-error",
    type=Fraction(),
    default=1e-6,
    show_default=True,
    help="Chance that any correct constant fails.",
)
@click.option(
    "--import",
    "imports",
    metavar="NAME",
    multiple=True,
    help="Load a layer of your own that a file names: no file makes bnstats import code.",
)
@click.option("--allow-undecided", is_flag=True, help="Exit 0 where nothing worse was found.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever the verdicts.")
@click.option(
    "--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Short for --output-format json.")
@WORKERS
@click.pass_obj
def command(
    console: Console,
    what: tuple[str, ...],
    samples: int | None,
    seed: int,
    family_error: float,
    imports: tuple[str, ...],
    allow_undecided: bool,
    exit_zero: bool,
    output_format: str,
    as_json: bool,
    workers: int,
) -> int:
    """Check constants against exact values and fresh draws.

    WHAT is a claim set by name (bnstats list claims), a TOML, JSON or CSV file of claims, or a
    results document; by default results/constants.json. A row fails only when two independent
    samples agree that it is wrong. Exit code 1: a constant is wrong; 3: undecided.
    """
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED, UNDECIDED
    from bnstats.cli.progress import layers_progress
    from bnstats.custom import load
    from bnstats.gate import Settings
    from bnstats.report.checks import checks_document, checks_text
    from bnstats.report.json_ import render
    from bnstats.verification import RESULTS, source_of

    for name in imports:
        load(name, here=True)
    sources = what or (RESULTS,)
    share = family_error / len(sources)
    checks: list[Check] = []
    with interruptible() as interrupted, layers_progress(console, "verify") as on_layer:
        settings = Settings(samples, seed, share, workers, on_layer, interrupted)
        for check in [source_of(name, settings) for name in sources]:
            checks += check()
    status = "interrupted" if interrupted() else "complete"
    if as_json or output_format == "json":
        console.out(render(checks_document(checks, status, sys.argv[1:])))
    else:
        console.out(checks_text(checks, console.style))
    if interrupted():
        click.echo("interrupted: what was checked so far is above", err=True)
        return INTERRUPTED
    outcomes = {check.outcome for check in checks}
    if exit_zero:
        return 0
    if "fail" in outcomes:
        return 1
    return UNDECIDED if "undecided" in outcomes and not allow_undecided else 0

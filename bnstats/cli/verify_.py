"""bnstats verify: check constants against exact values and fresh draws."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bnstats.cli import completing
from bnstats.cli import options as opt
from bnstats.cli.console import Console
from bnstats.errors import BnstatsError

if TYPE_CHECKING:
    from bnstats.verification.check import Check


@click.command("verify")
@click.argument("what", metavar="[WHAT]...", nargs=-1, shell_complete=completing.sets_and_files)
@opt.samples_option("; up to ten times as many if an error of 1 % would not show")
@opt.seed_option(1)
@click.option(
    "--quantity",
    metavar="NAME",
    help="Quantity of the values in a file that names none, e.g. gain_y.",
    shell_complete=opt.quantity_names,
)
@click.option(
    "--family-error",
    type=opt.Fraction(),
    default=1e-6,
    metavar="P",
    help="Largest probability that any correct constant of this call fails.",
)
@opt.import_option(
    "Import a layer of your own, or a module of them, so that files may name it. A file of claims "
    "alone never makes bnstats import code. Repeatable."
)
@click.option(
    "--isolated",
    is_flag=True,
    help="Read no pyproject.toml: nothing but what is typed here decides what is run.",
)
@opt.MAX_TIME
@click.option("--fix", is_flag=True, help="Rewrite wrong decimals in your files, and nothing else.")
@click.option(
    "--digits",
    type=click.IntRange(1, 17),
    metavar="N",
    help="With --fix, also replace wrong expressions and whole numbers by N digits.",
)
@click.option("--diff", is_flag=True, help="Print what --fix would change, and change nothing.")
@click.option(
    "--allow-undecided", is_flag=True, help="Exit 0 if nothing worse than undecided was found."
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever the verdicts are.")
@click.option("--only-failures", is_flag=True, help="Print nothing of what was verified.")
@click.option(
    "--no-cache", is_flag=True, help="Draw anew what was drawn before, and keep none of it."
)
@opt.format_options(
    values=("text", "json", "github", "junit"),
    help_="Output format; github writes annotations and a summary of the job.",
)
@opt.WORKERS
@opt.backend_options
@opt.far_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    what: tuple[str, ...],
    imports: tuple[str, ...],
    isolated: bool,
    max_time: float | None,
    fix: bool,
    digits: int | None,
    diff: bool,
    allow_undecided: bool,
    exit_zero: bool,
    only_failures: bool,
    no_cache: bool,
    format_: str,
    as_json: bool,
    workers: int,
    **options: Any,
) -> int:
    """Check constants against exact values and fresh draws.

    WHAT is the name of a claim set (see bnstats list claims), a TOML, JSON or CSV file of claims, a
    dict in a Python file (gains.py:GAINS), or a results document. By default it is the claims that
    [tool.bnstats] in pyproject.toml names, or else results/constants.json. A row fails only if two
    independent samples agree that it is wrong. The exit code is 1 if a constant is wrong and 3 if
    one is undecided. With -q nothing is printed if all is well.
    """
    from bnstats.cli.main import UNDECIDED, ended_early, tell
    from bnstats.cli.progress import interruptible_watch
    from bnstats.cli.project import Project, project
    from bnstats.custom import trust
    from bnstats.notation import plural
    from bnstats.report.checks.text import checks_text, summary
    from bnstats.verification.cache import Cache
    from bnstats.verification.document import warnings_of
    from bnstats.verification.gate import VerifySettings
    from bnstats.verification.sources import hours_of, read_source, verify_source

    console: Console = ctx.obj
    console.take_stdout()
    format_ = opt.format_asked(format_, as_json)
    if digits is not None and not (fix or diff):
        raise click.UsageError("--digits goes with --fix or --diff")
    if diff and format_ != "text":
        raise click.UsageError(f"--diff does not go with --format {format_}")
    own = Project() if isolated else project()
    unset = (n for n in own.options if ctx.get_parameter_source(n) is ParameterSource.DEFAULT)
    options |= {name: own.options[name] for name in unset}
    checks: list[Check] = []
    names = what or own.claims or _committed()
    if own.is_meant(names):
        for name in own.trusted_imports:
            trust(name, own.directory)
    opt.import_named(imports)
    options["family_error"] /= len(names)
    quantity = options.pop("quantity")
    settings = VerifySettings(**options, workers=workers, cache=None if no_cache else Cache())
    sources = [read_source(name, quantity) for name in names]
    if hours := hours_of(sources, settings):
        console.note(f"this may take {hours:,.0f} hours; --max-time 10m ends it in time")
    with interruptible_watch(console, "verify", max_time) as watch:
        settings = replace(
            settings,
            on_layer=watch.layer,
            should_stop=watch.stopping,
            on_failure=watch.failed,
            on_note=watch.note,
        )
        for source in sources:
            try:
                checks += verify_source(source, settings)
            except BnstatsError as error:
                watch.failed(error)
            if watch.stopping():
                break
        stopped, failure, late = watch.interrupted(), watch.failure, watch.late
    if failure and not checks:
        raise failure
    early = stopped or failure or late
    if (fix or diff) and not early:
        from bnstats.cli.fixing import repair

        checks = repair(console, checks, settings, digits, diff=diff, on_stdout=format_ == "text")
    checks = [_spoken(check) for check in checks]
    several = len({check.layer for check in checks}) > 1
    for layer, warning in warnings_of(checks):
        console.warn(f"{layer}: {warning}" if several else warning)
    if settings.cache and settings.cache.answered:
        count = plural(len(set(settings.cache.answered)), "layer")
        console.note(f"{count} drawn before, by the same code; --no-cache draws anew")
    if diff:
        click.echo(summary(checks), err=True)
    elif format_ == "text":
        well = all(check.outcome == "ok" for check in checks)
        if not (console.quiet and well):
            brief = only_failures or console.quiet
            console.out(checks_text(checks, console.page_of_lines, only_failures=brief))
    else:
        _print(console, checks, format_, "interrupted" if early else "complete", allow_undecided)
    if failure:
        return tell(failure)
    if stopped:
        return ended_early("what was checked so far is above")
    outcomes = {check.outcome for check in checks}
    if exit_zero:
        return 0
    if "fail" in outcomes:
        return 1
    if late:
        click.echo("the time was over before all was checked", err=True)
        return UNDECIDED
    return UNDECIDED if "undecided" in outcomes and not allow_undecided else 0


def _spoken(check: Check) -> Check:
    """Return a check that names options in place of arguments."""
    from bnstats.report.options import as_options

    warnings = tuple(map(as_options, check.warnings))
    return replace(check, reason=as_options(check.reason), warnings=warnings)


def _committed() -> tuple[str, ...]:
    """Return the results of this project, which are verified where nothing is named."""
    from bnstats.documents.read import CONSTANTS, RESULTS

    if not Path(RESULTS, CONSTANTS).exists():
        raise BnstatsError(
            f"nothing to verify: no pyproject.toml names claims, no {RESULTS}/{CONSTANTS} is here",
            hint='bnstats verify FILE, or [tool.bnstats] claims = ["FILE"] in pyproject.toml',
        )
    return (RESULTS,)


def _print(
    console: Console, checks: Sequence[Check], format_: str, status: str, allow_undecided: bool
) -> None:
    if format_ == "json":
        from bnstats.report.json import render
        from bnstats.verification.document import checks_document

        console.out(render(checks_document(checks, status, sys.argv[1:])))
    elif format_ == "github":
        from bnstats.report.checks.github import annotated, append_summary

        console.out(annotated(checks))
        append_summary(checks)
    else:
        from bnstats.report.checks.junit import junit

        console.out(junit(checks, allow_undecided=allow_undecided))

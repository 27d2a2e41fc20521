"""bnstats verify: check constants against exact values and fresh draws."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnstats.cli.console import Console
from bnstats.cli.options import SAMPLES, WORKERS, Fraction, Seed

if TYPE_CHECKING:
    from bnstats.verification import Check, Settings


@click.command("verify")
@click.argument("what", metavar="[WHAT]...", nargs=-1)
@SAMPLES
@click.option(
    "--seed",
    type=Seed(),
    help="Of the fresh draws, or 'random'.  [default: one more than the table's, or 1]",
)
@click.option(
    "--family-error",
    type=Fraction(),
    default=1e-6,
    show_default=True,
    help="Chance that any correct constant fails.",
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
    seed: int | None,
    family_error: float,
    allow_undecided: bool,
    exit_zero: bool,
    output_format: str,
    as_json: bool,
    workers: int | None,
) -> int:
    """Check constants against exact values and fresh draws.

    WHAT is a claim set by name (bnstats list claims), a TOML, JSON or CSV file of claims, or a
    results document; by default results/constants.json. A row fails only when two independent
    samples agree that it is wrong. Exit code 1: a constant is wrong; 3: undecided.
    """
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED
    from bnstats.cli.progress import layers_progress
    from bnstats.verification import Settings

    checks: list[Check] = []
    with interruptible() as interrupted, layers_progress(console, "verify") as on_layer:
        settings = Settings(
            samples, 1 if seed is None else seed, family_error, workers, on_layer, interrupted
        )
        for name in what or ("results",):
            checks += _verify(name, settings, seed is None)
    if as_json or output_format == "json":
        console.out(_as_json(checks, settings, interrupted()))
    else:
        _print(console, checks)
    if interrupted():
        click.echo("interrupted: what was checked so far is above", err=True)
        return INTERRUPTED
    outcomes = {check.outcome for check in checks}
    if exit_zero:
        return 0
    if "fail" in outcomes:
        return 1
    return 3 if "undecided" in outcomes and not allow_undecided else 0


def default_seed(document: Mapping[str, Any]) -> int:
    """Return a seed that the committed draws were not made with."""
    return int(document["provenance"].get("seed", 0)) + 1


def _verify(name: str, settings: Settings, own_seed: bool) -> Sequence[Check]:
    from dataclasses import replace

    from bnstats.constants import CONSTANTS
    from bnstats.verification import read_constants, verify, verify_constants

    path = Path(name)
    if path.is_dir() or path.name == CONSTANTS or name == "results":
        source = path if path.name == CONSTANTS else path / CONSTANTS
        document = read_constants(source)
        if own_seed:
            settings = replace(settings, seed=default_seed(document))
        return verify_constants(document, settings)
    return verify(name, settings)


def _print(console: Console, checks: Sequence[Check]) -> None:
    for check in checks:
        for line in _lines(check, console):
            console.out(line)
    console.out(_summary(checks))


def _lines(check: Check, console: Console) -> Iterable[str]:
    from bnstats.notation import exact_text, signed
    from bnstats.quantities import QUANTITIES

    if check.outcome == "ok" and check.verdict is None:
        return
    symbol = QUANTITIES[check.quantity].symbol
    label = {"ok": "ok", "fail": "FAIL", "undecided": "undecided"}[check.outcome]
    parts = [f"{'claimed' if check.verdict else 'committed'} {check.wanted}"]
    if check.exact:
        parts.append(f"exact {exact_text(check.exact.value, check.exact.error)}")
    if check.estimate:
        parts.append(f"sampled {check.estimate}")
    if check.z is not None:
        parts.append(f"z = {signed(f'{check.z:+.2f}')}")
    head = console.style(label.ljust(9), check.outcome)
    yield f"{head} {check.layer} {symbol}: {', '.join(parts)}"
    if check.outcome != "ok":
        yield f"          {check.reason}"
        if check.command:
            yield f"hint:     {check.command}"


def _summary(checks: Sequence[Check]) -> str:
    rows = len({check.layer for check in checks})
    failed = sum(check.outcome == "fail" for check in checks)
    undecided = sum(check.outcome == "undecided" for check in checks)
    verified = len(checks) - failed - undecided
    return (
        f"{len(checks)} constants of {rows} layers: "
        f"{verified} verified, {failed} failed, {undecided} undecided"
    )


def _as_json(checks: Sequence[Check], settings: Settings, interrupted: bool) -> str:
    from bnstats.report.checks import checks_document
    from bnstats.report.json_ import render

    status = "interrupted" if interrupted else "complete"
    return render(checks_document(checks, settings.seed, status, sys.argv[1:]))

"""bnstats propagate: what becomes of a signal in a stack of dense layers at initialisation."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from bnstats.cli import options as opt
from bnstats.cli.completing import layers
from bnstats.cli.console import Console
from bnstats.errors import BnstatsError, printable

if TYPE_CHECKING:
    from bnstats.networks.propagation import Interval, Propagation


def _gain(value: str) -> float | Literal["auto"]:
    """Parse a number, or ``auto``."""
    if value == "auto":
        return "auto"
    try:
        return float(value)
    except ValueError:
        shown = printable(value, 60)
        raise click.BadParameter(f"'{shown}' is not a number, nor 'auto'") from None


class _Requirement(NamedTuple):
    """What --require asks for: a verdict, or bounds of a typical σ where its direction ends."""

    way: Literal["y", "dx"]
    bounds: Interval


@click.command("propagate")
@click.argument("block", metavar="LAYER...", nargs=-1, required=True, shell_complete=layers)
@click.option("--width", type=int, default=256, help="Units of every layer.")
@click.option("--depth", type=int, default=30, help="Repetitions of the block.")
@click.option("--inputs", type=int, default=2, help="Inputs per network.")
@click.option(
    "--init",
    metavar="NAME",
    help="he, lecun, xavier, torch, orthogonal or another of bnstats show linear.  [default: he; "
    "lecun with --scale or --gain auto]",
)
@click.option(
    "--gain",
    type=_gain,
    metavar="G",
    help="Factor on the weights, for the init's own; or auto.",
)
@click.option("--bias-std", type=float, default=0.0, help="Of normal biases.")
@opt.choice(
    "--scale",
    values=("none", "forward", "backward", "separate"),
    help_="Divide activations by their rms[y], their rms[dx], or each direction by its own.",
)
@click.option("--matrices", is_flag=True, help="Draw weight matrices even where none are needed.")
@click.option(
    "--networks",
    type=opt.sample_count,
    metavar="N",
    help="Networks to draw.  [default: 400; with --precision or --max-time, as many as needed]",
)
@click.option(
    "--precision",
    type=float,
    metavar="R",
    help="Draw until the relative half-width of every typical σ is at most R.",
)
@opt.MAX_TIME
@opt.CONFIDENCE
@opt.seed_option(0)
@click.option(
    "--require",
    "required",
    multiple=True,
    metavar="WHAT",
    help="steady, or 'std_y in 0.5..2', 'std_dx in 0.5..2': exit 1 if not, 3 if undecided.",
)
@click.option("--all-rows", is_flag=True, help="Show every layer.")
@opt.IMPORT
@opt.WORKERS
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with every layer.")
@click.pass_obj
def command(
    console: Console,
    /,
    block: tuple[str, ...],
    required: tuple[str, ...],
    all_rows: bool,
    imports: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Send signals through freshly drawn dense networks.

    Forward and backward, at initialisation. LAYER… is a block that is repeated: linear,
    activations, and skip … add:alpha=0.2 for a residual branch.

    \b
      bnstats propagate linear relu --width 256 --depth 30
      bnstats propagate skip linear gelu linear add:alpha=0.2 --require steady
    """  # noqa: D301 (\b is click's mark for lines to keep as they are)
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED, UNDECIDED
    from bnstats.cli.progress import networks_progress
    from bnstats.custom import load_here
    from bnstats.networks.documents import propagation_document
    from bnstats.networks.propagate import propagate
    from bnstats.specs.spec import parse

    wanted = [_requirement(text) for text in required]
    opt.import_named(imports)
    words = [word for text in block for word in text.split()]
    for word in words:
        if word.partition(":")[0] not in ("skip", "add"):
            parse(word, load_here)
    start = time.monotonic()
    with (
        interruptible() as interrupted,
        networks_progress(console, options["networks"]) as on_progress,
    ):
        found = propagate(*words, **options, on_progress=on_progress, should_stop=interrupted)
    document = propagation_document(found, argv=sys.argv[1:])
    if as_json:
        from bnstats.report.json import render as render_json

        console.out(render_json(document))
    else:
        from bnstats.report.propagate import render

        took = time.monotonic() - start
        console.out(render(document, console.page, took, all_rows=all_rows))
    if found.status == "interrupted":
        click.echo("interrupted: what was drawn so far is above", err=True)
        return INTERRUPTED
    answers = [_answer(found, requirement) for requirement in wanted]
    for text, answer in zip(required, answers, strict=True):
        if answer is not True:
            word = "undecided" if answer is None else "not met"
            click.echo(f"required: {printable(text)}: {word}", err=True)
    if False in answers:
        return 1
    if found.status == "target_not_met":
        click.echo("the precision asked for was not reached", err=True)
    return UNDECIDED if None in answers or found.status == "target_not_met" else 0


def _requirement(text: str) -> tuple[_Requirement, ...]:
    from bnstats.networks.propagation import STEADY

    if text == "steady":
        return (_Requirement("y", STEADY), _Requirement("dx", STEADY))
    number = r"(\d+\.?\d*|\.\d+)"
    match = re.fullmatch(rf"\s*std_(y|dx)\s+in\s+{number}\.\.{number}\s*", text, re.ASCII)
    if match is None or not float(match[2]) < float(match[3]):
        raise BnstatsError(
            f"--require '{printable(text, 60)}' is no requirement",
            hint="steady, 'std_y in 0.5..2' or 'std_dx in 0.5..2'",
        )
    way: Literal["y", "dx"] = "y" if match[1] == "y" else "dx"
    return (_Requirement(way, (float(match[2]), float(match[3]))),)


def _answer(found: Propagation, requirement: tuple[_Requirement, ...]) -> bool | None:
    from bnstats.networks.propagation import within

    answers = [within(found.end(r.way), r.bounds) for r in requirement]
    if False in answers:
        return False
    return None if None in answers else True

"""bnstats propagate: what becomes of a signal in networks at initialisation."""

from __future__ import annotations

import time
from typing import Any, Literal

import click

from bnstats.cli import options as opt
from bnstats.cli.completing import layers
from bnstats.cli.console import Console
from bnstats.errors import BnstatsError


def _gain(value: str) -> float | Literal["auto"]:
    """Parse a number, or ``auto``."""
    return "auto" if value == "auto" else opt.number(value)


@click.command("propagate")
@click.argument("block", metavar="[LAYER...|MODEL]", nargs=-1, shell_complete=layers)
@click.option("--width", type=int, metavar="N", help="Units of every layer.  [default: 256]")
@click.option(
    "--depth",
    type=int,
    metavar="L",
    help="Repetitions of the block.  [default: 30; with --input 1]",
)
@click.option(
    "--input",
    metavar="SHAPE",
    help="Shape of one input: 3x224x224, or tokens:50257x128. A model needs it; a stack with it "
    "may hold convolutions, pools and norms.",
)
@click.option(
    "--batch",
    type=int,
    metavar="B",
    help="Inputs that pass through a network together.  [default: 2; with --input 8]",
)
@opt.choice("--mode", values=("train", "eval"), help_="Whether a model trains or is evaluated.")
@click.option("--rows", default="*", metavar="PATTERN", help="Which layers of a model, e.g. 'h.*'.")
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
    help="Factor on the weights in place of the init's own, or auto.",
)
@click.option(
    "--bias-std", type=opt.number, default=0.0, help="Standard deviation of normal biases."
)
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
    help="Networks to draw.  [default: 400, with --input 200, of a model 20; "
    "with --precision or --max-time, as many as needed]",
)
@click.option(
    "--precision",
    type=opt.number,
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
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Two inits, or two stacks or models in quotes, side by side.",
)
@click.option(
    "--widths",
    multiple=True,
    type=int,
    metavar="N...",
    help="Several widths, and the exponent of the width: --widths 64 128 256.",
)
@opt.PLOT
@click.option(
    "--range",
    "ranges",
    multiple=True,
    type=click.Choice(("fp16", "bf16", "e5m2", "e4m3")),
    help="Draw the smallest and largest numbers of a format. Repeatable.",
)
@click.option("--all-rows", is_flag=True, help="Show every layer.")
@opt.IMPORT
@opt.WORKERS
@opt.far_options
@opt.json_option("Print one JSON document, with every layer.")
@click.pass_obj
def command(
    console: Console,
    /,
    block: tuple[str, ...],
    compare: tuple[str, str] | None,
    widths: tuple[int, ...],
    required: tuple[str, ...],
    plot: str | None,
    ranges: tuple[str, ...],
    all_rows: bool,
    imports: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Send signals through freshly drawn networks.

    Signals go forward and gradients backward, at initialisation. LAYER… is a block that is
    repeated: linear, activations, and skip … add:alpha=0.2 for a residual branch; with --input also
    convolutions, pools and norms. MODEL is a class or function that returns a torch.nn.Module,
    called anew for every draw.

    \b
      bnstats propagate linear relu --width 256 --depth 30
      bnstats propagate skip linear gelu linear add:alpha=0.2 --require steady
      bnstats propagate linear tanh --compare xavier he
      bnstats propagate linear relu --widths 64 128 256
      bnstats propagate my_nets:make_resnet --input 3x224x224 --batch 8
    """  # noqa: D301 (\b is click's mark for lines to keep as they are)
    from bnstats.cli import networks
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import tell
    from bnstats.cli.plotting import check_plot, emit_plot
    from bnstats.cli.progress import networks_progress
    from bnstats.cli.requirements import requirement
    from bnstats.networks.propagate import propagate

    for text in required:
        requirement(text)  # what is wrong with it is told before anything is drawn
    check_plot(console, plot, "json" if as_json else "text")
    opt.import_named(imports)
    runs = networks.runs(block, compare, widths, options)
    start, found = time.monotonic(), []
    failures: list[BnstatsError] = []
    with interruptible() as interrupted:
        for run in runs:
            try:
                with networks_progress(console, options["networks"]) as on_progress:
                    found.append(
                        propagate(
                            *run.block,
                            **run.options,
                            on_progress=on_progress,
                            on_failure=failures.append,
                            on_note=console.note,
                            should_stop=interrupted,
                        )
                    )
            except BnstatsError as error:
                if not found:
                    raise
                failures.append(error)
                break
            if found[-1].status == "interrupted":
                break
    shown = networks.Shown(console.page, time.monotonic() - start, as_json, all_rows)
    console.out(networks.text(found, len(runs) == len(found) and compare, widths, shown))
    if plot is not None:
        from bnstats.plots.networks import picture
        from bnstats.plots.terminal import of_networks

        emit_plot(console, plot, found, lambda s, kind: picture(s, kind, ranges), of_networks)
    return tell(failures[0]) if failures else networks.exit_code(found, required)

"""bnstats table: regenerate the committed tables, or check them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console


@click.command("table")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Directory that holds the tables.",
)
@click.option("--check", "check_", is_flag=True, help="Change nothing, and exit 1 if rows differ.")
@opt.samples_option()
@opt.seed_option(None, "  [default: 0; with --check, another than the table's]")
@opt.WORKERS
@click.pass_obj
def command(
    console: Console,
    names: tuple[str, ...],
    out: Path,
    check_: bool,
    samples: int | None,
    seed: int | None,
    workers: int,
) -> int:
    """Regenerate the tables in results/, or check them.

    The tables are constants.json, constants.md, and published.md with its plot. NAME is constants
    (draw all rows anew) or published (only render the rows that are there); the default is both.
    With --check nothing is written: sampled values must agree statistically with fresh draws and
    everything else exactly, and the rows that do not are named.
    """
    from bnstats.cli.main import INTERRUPTED
    from bnstats.documents.files import write_atomically
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.errors import BnstatsError, printable
    from bnstats.tables import constants

    for name in names:
        if name not in ("constants", "published"):
            raise BnstatsError(
                f"unknown table '{printable(name, 60)}'", hint="tables: constants, published"
            )
    if check_:
        return _check(console, out, samples, seed, workers)
    redraw = set(names) != {"published"}
    if redraw:
        record = _build(console, out, samples, seed, workers)
        if record is None:
            click.echo("interrupted: the tables are as they were", err=True)
            return INTERRUPTED
    else:
        record = read_constants(out / CONSTANTS)
    for name, text in constants.files(record).items():
        if name != CONSTANTS or redraw:
            write_atomically(out / name, text)
            console.out(f"wrote {printable(str(out / name))}")
    _draw(console, out, record)
    return 0


def _draw(console: Console, out: Path, record: Mapping[str, Any]) -> None:
    """Draw the plot if matplotlib is there; the tables are complete without it."""
    from bnstats.documents.files import write_atomically
    from bnstats.errors import HostError, printable
    from bnstats.tables.plot import draw
    from bnstats.tables.published import PLOT

    try:
        picture = draw(record)
    except HostError as error:
        console.note(f"{error.message}: {error.hint}")
        return
    write_atomically(out / PLOT, picture)
    console.out(f"wrote {printable(str(out / PLOT))}")


def _check(console: Console, out: Path, samples: int | None, seed: int | None, workers: int) -> int:
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED, UNDECIDED
    from bnstats.cli.progress import watching
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.report.options import as_options
    from bnstats.tables import constants
    from bnstats.verification.gate import VerifySettings

    own_seed = read_constants(out / CONSTANTS)["provenance"].get("seed", 0)
    fresh = own_seed + 1 if seed is None else seed
    with interruptible() as interrupted, watching(console, "table", interrupted) as watch:
        settings = VerifySettings(
            samples, fresh, workers=workers, on_layer=watch.layer, should_stop=watch.stopping
        )
        problems, checks = constants.check(out, settings)
        stopped = interrupted()
    if stopped:
        click.echo("interrupted: not all rows are checked", err=True)
        return INTERRUPTED
    for problem in problems:
        console.out(f"{console.style('FAIL', 'fail')}   {as_options(problem)}")
    undecided = sum(check.outcome == "undecided" for check in checks)
    doubt = f", {undecided} undecided: a larger -n" if undecided else ""
    console.out(f"{len(checks)} constants checked, {len(problems)} rows differ{doubt}")
    return 1 if problems else UNDECIDED if undecided else 0


def _build(
    console: Console, out: Path, samples: int | None, seed: int | None, workers: int
) -> Mapping[str, Any] | None:
    """Draw all rows; None when interrupted."""
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.progress import watching
    from bnstats.documents.files import check_directory, check_writable
    from bnstats.documents.read import CONSTANTS
    from bnstats.report.options import as_options
    from bnstats.sampling.settings import Sampling
    from bnstats.tables import constants
    from bnstats.tables.published import PLOT

    check_directory(out)
    for name in (CONSTANTS, constants.CONSTANTS_TABLE, constants.PUBLISHED, PLOT):
        check_writable(out / name)
    argv = ["table", *([f"--samples={samples}"] if samples else [])]
    argv += [f"--seed={seed}"] if seed else []
    with interruptible() as interrupted, watching(console, "table", interrupted) as watch:
        record = constants.build(
            Sampling(samples, seed or 0, workers=workers), argv=argv, watch=watch
        )
    for row in record["results"] if record else ():
        row["warnings"] = [as_options(warning) for warning in row["warnings"]]
    return record

"""bnstats table: regenerate the committed tables, or check them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console


class _Asked(NamedTuple):
    samples: int | None
    seed: int | None
    workers: int
    cluster: str | None
    checkpoint: str | None


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
@opt.MAX_TIME
@opt.seed_option(None, "  [default: 0; with --check, another than the table's]")
@opt.WORKERS
@opt.far_options
@click.pass_obj
def command(
    console: Console,
    names: tuple[str, ...],
    out: Path,
    check_: bool,
    samples: int | None,
    seed: int | None,
    max_time: float | None,
    workers: int,
    cluster: str | None,
    checkpoint: str | None,
) -> int:
    """Regenerate the tables in results/, or check them.

    The tables are constants.json, constants.md, and published.md with its plot. NAME is constants
    (draw all rows anew) or published (only render the rows that are there); the default is both.
    With --check nothing is written: sampled values must agree statistically with fresh draws and
    everything else exactly, and the rows that do not are named.
    """
    from bnstats.cli.main import INTERRUPTED, UNDECIDED
    from bnstats.documents.files import write_together
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.errors import BnstatsError, printable
    from bnstats.tables import constants

    for name in names:
        if name not in ("constants", "published"):
            raise BnstatsError(
                f"unknown table '{printable(name, 60)}'", hint="tables: constants, published"
            )
    asked = _Asked(samples, seed, workers, cluster, checkpoint)
    if check_:
        return _check(console, out, asked, max_time)
    redraw = set(names) != {"published"}
    if redraw:
        built = _build(console, out, asked, max_time)
        if isinstance(built, str):
            click.echo(f"{built}: the tables are as they were", err=True)
            return INTERRUPTED if built == "interrupted" else UNDECIDED
        record = built
    else:
        record = read_constants(out / CONSTANTS)
    rendered = constants.files(record) | _plot(console, record)
    texts = {out / n: text for n, text in rendered.items() if n != CONSTANTS or redraw}
    write_together(texts)
    for path in texts:
        console.out(f"wrote {printable(str(path))}")
    return 0


def _plot(console: Console, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the plot if matplotlib is there; the tables are complete without it."""
    from bnstats.errors import HostError
    from bnstats.tables.plot import draw
    from bnstats.tables.published import PLOT

    try:
        return {PLOT: draw(record)}
    except HostError as error:
        console.note(f"{error.message}: {error.hint}")
        return {}


def _check(console: Console, out: Path, asked: _Asked, max_time: float | None) -> int:
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED, UNDECIDED
    from bnstats.cli.progress import watching
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.report.options import as_options
    from bnstats.tables import constants
    from bnstats.verification.gate import VerifySettings

    own_seed = read_constants(out / CONSTANTS)["provenance"].get("seed", 0)
    fresh = own_seed + 1 if asked.seed is None else asked.seed
    with interruptible() as interrupted, watching(console, "table", interrupted, max_time) as watch:
        settings = VerifySettings(
            asked.samples,
            fresh,
            workers=asked.workers,
            on_layer=watch.layer,
            should_stop=watch.stopping,
            on_note=watch.note,
            cluster=asked.cluster,
            checkpoint=asked.checkpoint,
        )
        problems, checks = constants.check(out, settings)
        stopped, late = interrupted(), watch.late
    if stopped:
        click.echo("interrupted: not all rows are checked", err=True)
        return INTERRUPTED
    for problem in problems:
        console.out(f"{console.style('FAIL', 'fail')}   {as_options(problem)}")
    undecided = sum(check.outcome == "undecided" for check in checks)
    doubt = f", {undecided} undecided: a larger -n" if undecided else ""
    console.out(f"{len(checks)} constants checked, {len(problems)} rows differ{doubt}")
    if late:
        click.echo("the time was over before all was checked", err=True)
    return 1 if problems else UNDECIDED if undecided or late else 0


def _build(
    console: Console, out: Path, asked: _Asked, max_time: float | None
) -> Mapping[str, Any] | str:
    """Draw all rows, or return what has ended that early."""
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.progress import watching
    from bnstats.documents.files import check_writable, make_directory
    from bnstats.documents.read import CONSTANTS
    from bnstats.report.options import as_options
    from bnstats.sampling.settings import Sampling
    from bnstats.tables import constants
    from bnstats.tables.published import PLOT

    make_directory(out)
    for name in (CONSTANTS, constants.CONSTANTS_TABLE, constants.PUBLISHED, PLOT):
        check_writable(out / name)
    argv = ["table", *([f"--samples={asked.samples}"] if asked.samples else [])]
    argv += [f"--seed={asked.seed}"] if asked.seed else []
    with interruptible() as interrupted, watching(console, "table", interrupted, max_time) as watch:
        sampling = Sampling(
            asked.samples,
            asked.seed or 0,
            workers=asked.workers,
            cluster=asked.cluster,
            checkpoint=asked.checkpoint,
        )
        record = constants.build(sampling, argv=argv, watch=watch)
    if watch.failure:
        raise watch.failure
    if record is None:
        return "interrupted" if interrupted() else "the time was over"
    for row in record["results"]:
        row["warnings"] = [as_options(warning) for warning in row["warnings"]]
    return record

"""bnstats table: regenerate the committed tables, or check them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console

if TYPE_CHECKING:
    from bnstats.cli.progress import Interruptible
    from bnstats.verification.check import Check


_TABLES = ("constants", "published", "networks")


class _Asked(NamedTuple):
    samples: int | None
    seed: int | None
    workers: int
    max_time: float | None
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
@click.option(
    "--site",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Instead, write a static site of the tables that are there into this directory.",
)
@opt.samples_option()
@opt.MAX_TIME
@opt.seed_option(None, "  [default: 0; with --check, another than the table's]")
@opt.WORKERS
@opt.far_options
@click.pass_obj
def command(
    console: Console,
    /,
    names: tuple[str, ...],
    out: Path,
    check_: bool,
    site: Path | None,
    **drawing: Any,
) -> int:
    """Regenerate the tables in results/, or check them.

    NAME is constants (draw all rows anew: constants.json, constants.md and published), published
    (only judge the claims beside the rows that are there: published.md, published.csv and a plot)
    or networks (draw whole networks: networks.json, networks.md and its plot); the default is all.
    With --check nothing is written: sampled values must agree statistically with fresh draws and
    everything else exactly, and the rows that do not are named.
    With --site nothing is drawn: the site shows the constants that are there.
    """
    from bnstats.errors import BnstatsError, printable

    for name in names:
        if name not in _TABLES:
            raise BnstatsError(
                f"unknown table '{printable(name, 60)}'", hint=f"tables: {', '.join(_TABLES)}"
            )
    tables, asked = names or _TABLES, _Asked(**drawing)
    if site is not None:
        return _write_site(console, names, out, site, asked, check_)
    if {*tables} == {"networks"}:
        for option in ("samples", "cluster", "checkpoint"):
            if getattr(asked, option) is not None:
                raise BnstatsError(f"--{option} has no effect on the table of networks")
    if check_:
        return _check(console, out, asked, tables)
    return _write(console, out, asked, tables)


def _write_site(
    console: Console, names: Collection[str], out: Path, site: Path, asked: _Asked, check_: bool
) -> int:
    from bnstats.cli.site import write_site

    drawing = ("samples", "seed", "cluster", "checkpoint")
    given = [f"--{name}" for name in drawing if getattr(asked, name) is not None]
    given += ["--check"] * check_ + list(names)
    if given:
        raise click.UsageError(f"--site draws and checks nothing, and does not go with {given[0]}")
    return write_site(console, out, site, asked.max_time)


def _write(console: Console, out: Path, asked: _Asked, tables: Collection[str]) -> int:
    """Make tables and write their files, all or none."""
    from bnstats.cli.main import ended_early
    from bnstats.cli.progress import interruptible_watch
    from bnstats.errors import printable
    from bnstats.sampling.files import write_together

    made: list[dict[str, str] | None] = []
    with interruptible_watch(console, "table", asked.max_time) as watch:
        if "constants" in tables:
            made.append(_drawn_constants(console, out, asked, watch))
        elif "published" in tables:
            made.append(_rendered_constants(console, out))
        if "networks" in tables and None not in made:
            made.append(_drawn_networks(console, out, asked, watch))
    if watch.failure:
        raise watch.failure
    if None in made:
        return ended_early("the tables are as they were", interrupted=watch.interrupted())
    paths = {out / name: text for texts in made if texts for name, text in texts.items()}
    write_together(paths)
    for path in paths:
        console.out(f"wrote {printable(str(path))}")
    return 0


def _drawn_constants(
    console: Console, out: Path, asked: _Asked, watch: Interruptible
) -> dict[str, str] | None:
    """Draw all rows; None where something ended that early."""
    from bnstats.documents.read import CONSTANTS
    from bnstats.report.options import as_options
    from bnstats.sampling.settings import Sampling
    from bnstats.tables import constants, reference
    from bnstats.tables.published import data, page

    _check_place(out, (CONSTANTS, reference.PAGE, page.PAGE, data.DATA, page.PLOT))
    argv = ["table", *([f"--samples={asked.samples}"] if asked.samples else [])]
    argv += [f"--seed={asked.seed}"] if asked.seed else []
    sampling = Sampling(
        asked.samples,
        asked.seed or 0,
        workers=asked.workers,
        cluster=asked.cluster,
        checkpoint=asked.checkpoint,
    )
    record = constants.build(sampling, argv=argv, watch=watch)
    if record is None:
        return None
    for row in record["results"]:
        row["warnings"] = [as_options(warning) for warning in row["warnings"]]
    return _texts(console, record)


def _rendered_constants(console: Console, out: Path) -> dict[str, str]:
    """Render the rows that are there, which stay as they are."""
    from bnstats.documents.read import CONSTANTS, read_constants

    record = read_constants(out / CONSTANTS)
    return {name: text for name, text in _texts(console, record).items() if name != CONSTANTS}


def _texts(console: Console, record: Mapping[str, Any]) -> dict[str, str]:
    """Return all that is made of a document of constants."""
    from bnstats.tables import constants
    from bnstats.tables.published import page, plot
    from bnstats.tables.published.audit import audited

    claims = audited(record)
    picture = _picture(console, page.PLOT, lambda: plot.draw(claims))
    return constants.files(record, claims) | picture


def _drawn_networks(
    console: Console, out: Path, asked: _Asked, watch: Interruptible
) -> dict[str, str] | None:
    """Draw all networks; None where something ended that early."""
    from bnstats.report.json import render
    from bnstats.tables.networks import build, page, plot

    _check_place(out, (page.DATA, page.PAGE, page.PLOT))
    argv = ["table", "networks", *([f"--seed={asked.seed}"] if asked.seed else [])]
    found = build.build(asked.seed or 0, workers=asked.workers, argv=argv, watch=watch)
    if found is None:
        return None
    texts = {page.DATA: render(found) + "\n", page.PAGE: page.render(found)}
    return texts | _picture(console, page.PLOT, lambda: plot.draw(found))


def _check_place(out: Path, names: Iterable[str]) -> None:
    from bnstats.sampling.files import check_writable, make_directory

    make_directory(out)
    for name in names:
        check_writable(out / name)


def _picture(console: Console, name: str, draw: Callable[[], str]) -> dict[str, str]:
    """Return the plot if matplotlib is there; the tables are complete without it."""
    from bnstats.errors import HostError

    try:
        return {name: draw()}
    except HostError as error:
        console.note(f"{error.message}: {error.hint}")
        return {}


def _check(console: Console, out: Path, asked: _Asked, tables: Collection[str]) -> int:
    from bnstats.cli.main import UNDECIDED, ended_early
    from bnstats.cli.progress import interruptible_watch
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.report.options import as_options
    from bnstats.tables.constants import outdated
    from bnstats.tables.networks.check import check as networks_check

    problems: list[str] = []
    said, undecided = [], 0
    with interruptible_watch(console, "table", asked.max_time) as watch:
        if "constants" in tables:
            problems, checks = _constants_check(out, asked, watch)
            undecided = sum(check.outcome == "undecided" for check in checks)
            said.append(f"{len(checks)} constants checked")
        elif "published" in tables:
            problems += outdated(out, read_constants(out / CONSTANTS))
            said.append("published claims checked")
        if "networks" in tables and not watch.stopping():
            more, count = networks_check(out, asked.seed, workers=asked.workers, watch=watch)
            problems += more
            said.append(f"{count} scales of networks checked")
        stopped, late = watch.interrupted(), watch.late
    if stopped:
        return ended_early("not all rows are checked")
    for problem in problems:
        console.out(f"{console.style('FAIL', 'fail')}   {as_options(problem)}")
    doubt = f", {undecided} undecided: a larger -n" if undecided else ""
    console.out(f"{', '.join(said)}, {len(problems)} rows differ{doubt}")
    if late:
        click.echo("the time was over before all was checked", err=True)
    return 1 if problems else UNDECIDED if undecided or late else 0


def _constants_check(
    out: Path, asked: _Asked, watch: Interruptible
) -> tuple[list[str], tuple[Check, ...]]:
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.tables import constants
    from bnstats.verification.gate import VerifySettings

    own_seed = read_constants(out / CONSTANTS)["provenance"].get("seed", 0)
    fresh = own_seed + 1 if asked.seed is None else asked.seed
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
    return constants.check(out, settings)

"""bnstats table --site: the tables as a static site."""

from __future__ import annotations

from pathlib import Path

import click

from bnstats.cli.console import Console


def write_site(console: Console, tables: Path, site: Path, max_time: float | None) -> int:
    """Write the site of the tables in a directory, whole or not at all; return the exit code."""
    from bnstats.cli.interrupt import interruptible
    from bnstats.cli.main import INTERRUPTED, UNDECIDED
    from bnstats.cli.progress import watching
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.errors import printable
    from bnstats.sampling.files import check_folder, write_folder
    from bnstats.tables.site.build import build

    constants = read_constants(tables / CONSTANTS)
    check_folder(site)
    with (
        interruptible() as interrupted,
        watching(console, "site", interrupted, max_time) as watch,
    ):
        files = build(constants, watch)
        stopped = interrupted()
    if files is None:
        why = "interrupted" if stopped else "the time was over"
        click.echo(f"{why}: the site is as it was", err=True)
        return INTERRUPTED if stopped else UNDECIDED
    write_folder(site, files)
    console.out(f"wrote {len(files)} files to {printable(str(site))}; begin with index.html")
    return 0

"""bnstats table --site: the tables as a static site."""

from __future__ import annotations

from pathlib import Path

from bnstats.cli.console import Console


def write_site(console: Console, tables: Path, site: Path, max_time: float | None) -> int:
    """Write the site of the tables in a directory, whole or not at all; return the exit code."""
    from bnstats.cli.main import ended_early
    from bnstats.cli.progress import interruptible_watch
    from bnstats.documents.read import CONSTANTS, read_constants
    from bnstats.errors import printable
    from bnstats.sampling.files import check_folder, write_folder
    from bnstats.tables.site.build import build

    constants = read_constants(tables / CONSTANTS)
    check_folder(site)
    with interruptible_watch(console, "site", max_time) as watch:
        files = build(constants, watch)
    if files is None:
        return ended_early("the site is as it was", interrupted=watch.interrupted())
    write_folder(site, files)
    console.out(f"wrote {len(files)} files to {printable(str(site))}; begin with index.html")
    return 0

"""bnstats completion: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click

from bnstats.cli.completing import SHELLS
from bnstats.cli.console import Console


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_obj
def command(console: Console, shell: str) -> None:
    """Print a script for a shell: completion of commands and layers."""
    from bnstats.cli.main import cli

    console.out(SHELLS[shell](cli, {}, "bnstats", "_BNSTATS_COMPLETE").source())

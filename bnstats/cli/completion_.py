"""bnstats completion: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click

from bnstats.cli.completing import SHELLS
from bnstats.cli.console import Console


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_obj
def command(console: Console, shell: str) -> None:
    """Print a shell script that completes commands, options, layers and their parameters.

    \b
      eval "$(bnstats completion bash)"            in ~/.bashrc; the same for zsh
      bnstats completion fish | source             in ~/.config/fish/config.fish
    """  # noqa: D301 (\b is click's mark for lines to keep as they are)
    from bnstats.cli.main import cli

    console.out(SHELLS[shell](cli, {}, "bnstats", "_BNSTATS_COMPLETE").source())

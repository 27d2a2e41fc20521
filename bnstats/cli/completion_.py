"""bnstats completion: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a shell script that completes commands and options.

    \b
      eval "$(bnstats completion bash)"            in ~/.bashrc; the same for zsh
      bnstats completion fish | source             in ~/.config/fish/config.fish
    """  # noqa: D301 (\b is click's mark for lines to keep as they are)
    from bnstats.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "bnstats", "_BNSTATS_COMPLETE").source())

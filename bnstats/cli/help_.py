"""bnstats help: what a command takes, or a topic of the manual."""

from __future__ import annotations

import io
import re

import click

from bnstats.cli.console import Console
from bnstats.errors import BnstatsError, hint_for, printable
from bnstats.manual import text, topics

_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from bnstats.cli.main import cli

    return [n for n in (*cli.list_commands(ctx), *topics()) if n.startswith(incomplete)]


@click.command("help")
@click.argument("name", metavar="[COMMAND|TOPIC]", required=False, shell_complete=_names)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command, or a topic of the manual.

    Without a name, the commands and the topics are listed. `bnstats show` describes layers.
    """
    console: Console = ctx.obj
    group = ctx.find_root()
    assert isinstance(group.command, click.Group)
    if name is None:
        console.out(f"{group.get_help()}\n\n{_listed(console)}")
    elif found := group.command.get_command(group, name):
        with click.Context(found, info_name=name, parent=group) as named:
            console.out(found.get_help(named))
    elif name in topics():
        said = text(name)
        console.out(_rendered(said, console) if console.stdout.isatty() else said, end=False)
    else:
        _refuse(name, [*group.command.list_commands(group), *topics()])


def _listed(console: Console) -> str:
    width = max(map(len, topics()))
    lines = ["Topics:"]
    for name, title in topics().items():
        lines += console.page.folded(f"  {name.ljust(width)}  ", title)
    return "\n".join(lines)


def _refuse(name: str, known: list[str]) -> None:
    from bnstats.claims import set_names
    from bnstats.layers import ALIASES, LAYERS

    hint = hint_for(name, known) or "bnstats help lists them"
    if name in {*LAYERS, *ALIASES, *set_names()}:
        hint = f"bnstats show {name}"
    raise BnstatsError(f"no command or topic '{printable(name, 60)}'", hint=hint)


def _rendered(markdown: str, console: Console) -> str:
    """Render Markdown for a terminal; links, which lead into the repository, are plain text."""
    from rich.console import Console as RichConsole
    from rich.markdown import Markdown

    page = RichConsole(
        file=io.StringIO(), width=console.width, force_terminal=True, no_color=not console.color
    )
    page.print(Markdown(_LINK.sub(r"\1", markdown), code_theme="ansi_light"))
    return page.file.getvalue()  # type: ignore[attr-defined, no-any-return]

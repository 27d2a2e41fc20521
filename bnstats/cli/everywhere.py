"""Options that may stand anywhere: before the command, after it, among its own."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import click

from bnstats.cli.console import Console


def _heard(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Make the console anew with what this option says, if it was typed."""
    asked = ctx.meta.setdefault(__name__, {})
    if value:
        asked[param.name] = value
    ctx.obj = Console.of(**asked)
    return value


def _into_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Let data go to a file, which is written when the command ends, if there are any."""
    if path is None:
        return None
    from bnstats.documents.files import check_writable, write_atomically

    check_writable(path)
    file = TextIOWrapper(BytesIO(), encoding="utf-8", newline="")

    def write() -> None:
        file.seek(0)
        if text := file.read():
            write_atomically(path, text)

    ctx.find_root().call_on_close(write)
    ctx.meta.setdefault(__name__, {})["stdout"] = file
    ctx.obj = Console.of(**ctx.meta[__name__])
    return path


def _options() -> list[click.Option]:
    def option(
        *names: str, callback: Callable[..., Any] | None = _heard, **settings: Any
    ) -> click.Option:
        return click.Option(names, callback=callback, expose_value=False, is_eager=True, **settings)

    return [
        option("-q", "--quiet", is_flag=True, help="Print no warnings and no progress."),
        option("-v", "--verbose", is_flag=True, callback=None, help="Print tracebacks of errors."),
        option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            help="When to colour stdout; auto, the default, colours a terminal.",
        ),
        option(
            "--ascii",
            is_flag=True,
            callback=None,
            help="Print σ as sigma, and so on: nothing but ASCII.",
        ),
        option(
            "-o",
            "--output",
            metavar="FILE",
            type=click.Path(path_type=Path),
            callback=_into_file,
            help="Write to this file what would be printed on stdout.",
        ),
    ]


def with_everywhere(command: click.Command) -> click.Command:
    """Give a command the options that may stand anywhere; --help lists them last."""
    known = {name for param in command.params for name in param.opts}
    if "--quiet" not in known:
        command.params += _options()
    return command

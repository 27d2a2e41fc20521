"""The program's entry: the command group, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from importlib import import_module
from io import TextIOWrapper
from itertools import pairwise
from typing import Any

import click

from bnstats.cli.encoding import ERRORS
from bnstats.cli.everywhere import EXAMPLES, with_everywhere
from bnstats.cli.interrupt import leaving_at_once
from bnstats.errors import ArgumentError, BnstatsError, HostError, hint_for, listed, printable
from bnstats.version import __version__

_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}
_COMMANDS = tuple(EXAMPLES)

USAGE, UNDECIDED, INTERNAL, INTERRUPTED, CLOSED_PIPE = 2, 3, 70, 130, 141

# The errors of writing to a pipe that has no reader any more; Windows has no code of its own.
_PIPE_ERRORS = {errno.EPIPE, errno.EINVAL} if sys.platform == "win32" else {errno.EPIPE}


class _Commands(click.Group):
    """The commands, each imported when it is named, so that --version stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"bnstats.cli.{cmd_name}_").command
        return with_everywhere(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            hint = hint_for(args[0], _COMMANDS) or f"commands: {', '.join(_COMMANDS)}"
            raise BnstatsError(f"unknown command '{printable(args[0], 60)}'", hint=hint)
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(
    __version__, "-V", "--version", prog_name="bnstats", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Monte Carlo statistics of deep learning layers, with honest error bars.

    The program draws x, dy ~ N(0, 1), sends them through a layer, forward and backward, and prints
    E[y], σ[y], E[dx], σ[dx] with confidence intervals beside exact values and published constants.

    \b
      bnstats compute sigmoid
      bnstats compute max_pool2d:kernel_size=3,stride=2 -n 1e6 --json
      bnstats exact gelu
      bnstats verify feng2016

    The manual has topics: bnstats help
    """  # noqa: D301 (\b is click's mark for lines to keep as they are)


with_everywhere(cli)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; see the README for what each one means."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # BLAS's threads cost 0.05 s to start, and small matrix products many times what they take.
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _mend_streams(as_json=wants_json(arguments), in_ascii="--ascii" in arguments)
    try:
        with leaving_at_once(), redirect_stderr(_Unfailing(sys.stderr)):
            return _run(arguments)
    except OSError as error:
        if error.errno not in _PIPE_ERRORS:
            raise
        _abandon_stdout()
        return CLOSED_PIPE


def _run(arguments: Sequence[str]) -> int:
    try:
        code = _invoke(list(arguments))
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return USAGE
    except click.UsageError as error:
        return _report(_from_click(error, arguments), arguments)
    except BnstatsError as error:
        return _report(error, arguments)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(arguments)
    except MemoryError:
        return _report(
            HostError("out of memory", hint="fewer --workers, or a smaller layer"), arguments
        )
    except OSError as error:
        if error.errno in _PIPE_ERRORS:
            raise
        if error.errno in (errno.EINVAL, errno.EBADF):
            return _internal_error(arguments)
        return _report(_of_the_machine(error), arguments)
    except Exception:
        return _internal_error(arguments)
    return code if isinstance(code, int) else 0


def _invoke(arguments: list[str]) -> object:
    """Run the command; click's own main would turn a closed pipe into exit code 1."""
    if "_BNSTATS_COMPLETE" in os.environ:
        import_module("bnstats.cli.completing")  # our shells in place of click's
        return cli.main(arguments, prog_name="bnstats", standalone_mode=False)
    try:
        with cli.make_context("bnstats", arguments) as context:
            return cli.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except Exception as error:
        cause = error.__cause__
        while cause is not None:  # of Ctrl-C a compiled module makes that it cannot be imported
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
            cause = cause.__cause__
        raise


def _mend_streams(*, as_json: bool, in_ascii: bool) -> None:
    """Make stdout and stderr writable: they may be closed, or unable to encode σ.

    JSON is written in UTF-8 (RFC 8259), even if the encoding of stdout is another, as on Windows,
    or --ascii asks for another.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="ascii" if in_ascii else None, errors=ERRORS)
    if as_json and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=ERRORS)


class _Unfailing:
    """A stream of messages: one that cannot be written, on a terminal that is gone, costs nothing.

    The result on stdout does, and what was drawn for it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _abandon_stdout() -> None:
    """Send to the null device what Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted(arguments: Sequence[str]) -> int:
    click.echo("interrupted", err=True)
    if wants_json(arguments):
        from bnstats.documents.write import document
        from bnstats.report.json import render

        click.echo(render(document((), argv=arguments, status="interrupted")))
    return INTERRUPTED


def _from_click(error: click.UsageError, arguments: Sequence[str]) -> BnstatsError:
    message = " ".join(error.format_message().rstrip(".").split())  # some have line breaks
    named = next((f"bnstats {a}" for a in arguments if a in _COMMANDS), "bnstats")
    hint = f"{error.ctx.command_path if error.ctx else named} --help"
    if isinstance(error, click.NoSuchOption):
        name = _meant_as_name(error, arguments)
        message = f"no such option '{printable(name or error.option_name, 60)}'"
        if name:
            typed = f"{named} -- {shlex.quote(name)}"
            hint = f"a name that begins with - stands after options and --:  {typed}"
        elif others := [command for command in _COMMANDS if _takes(command, error.option_name)]:
            hint = f"it is an option of {listed(others)}  ({hint})"
        elif error.possibilities:
            hint = f"did you mean '{error.possibilities[0]}'?"
    return BnstatsError(printable(message, 300), hint=hint)


def _takes(command: str, option: str) -> bool:
    params = import_module(f"bnstats.cli.{command}_").command.params
    return any(option in param.opts for param in params)


def _meant_as_name(error: click.NoSuchOption, arguments: Sequence[str]) -> str | None:
    """Return the argument that click took for options, if it can be a layer or a file instead."""
    option, command = error.option_name, error.ctx and error.ctx.command
    if not command or not any(isinstance(p, click.Argument) for p in command.params):
        return None
    if option[2:]:
        return option if set(option) & set(".:/") else None
    short = (a for a in arguments if a[:1] == "-" != a[1:2] and len(a) > 2)
    return next((a for a in short if option[1] in a[1:]), None)


# The arguments are read a second time here, without click: an error may be about them, or come
# before click has parsed them, and must still be reported in the format that was asked for.


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the arguments, which may be wrong, ask for JSON."""
    return "--json" in arguments or _wants(arguments, "json")


def _wants(arguments: Sequence[str], format_: str) -> bool:
    return f"--format={format_}" in arguments or ("--format", format_) in set(pairwise(arguments))


def _of_the_machine(error: OSError) -> HostError:
    """Return the error for what the system has refused: memory, processes, files, a folder."""
    what = error.strerror or str(error)
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        _abandon_stdout()
        found = HostError(f"cannot write to stdout: {what}")
    else:
        where = "" if error.filename is None else f": {error.filename}"
        found = HostError(printable(f"the system refuses: {what}{where}"))
    found.__cause__ = error
    return found


def tell(error: BnstatsError, arguments: Sequence[str] = ()) -> int:
    """Print an error on stderr, and return its exit code."""
    click.echo("\n".join(_in_options(error).lines()), err=True)
    if error.__cause__ is not None and _verbose(arguments or sys.argv):
        import traceback

        click.echo("".join(traceback.format_exception(error.__cause__)), err=True, nl=False)
    return error.exit_code


def ended_early(left: str, *, interrupted: bool = True) -> int:
    """Say why work ended before its end, and what is left; return the exit code."""
    click.echo(f"{'interrupted' if interrupted else 'the time was over'}: {left}", err=True)
    return INTERRUPTED if interrupted else UNDECIDED


def _report(error: BnstatsError, arguments: Sequence[str]) -> int:
    """Print an error on stderr, and as a document on stdout where JSON was asked for."""
    tell(error, arguments)
    said = _in_options(error)
    if wants_json(arguments):
        from bnstats.documents.write import failure
        from bnstats.report.json import render

        click.echo(render(failure(said.message, said.hint, error.exit_code, arguments)))
    elif _wants(arguments, "github"):
        from bnstats.report.checks.github import command

        click.echo(command("error", "; ".join(said.lines()), {"title": "bnstats"}))
    elif _wants(arguments, "junit"):
        from bnstats.report.checks.junit import junit_error

        click.echo(junit_error("\n".join(said.lines())))
    return error.exit_code


def _in_options(error: BnstatsError) -> BnstatsError:
    """Return an error that names options where its message and hint name arguments."""
    from bnstats.report.options import as_options  # slow for --version

    message = error.message.replace("_", "-") if isinstance(error, ArgumentError) else error.message
    hint = error.hint and as_options(error.hint)
    return BnstatsError(as_options(message), where=error.where, hint=hint)


def _verbose(arguments: Sequence[str]) -> bool:
    return "-v" in arguments or "--verbose" in arguments


def _internal_error(arguments: Sequence[str]) -> int:
    import tempfile
    import traceback

    trace = traceback.format_exc()
    if _verbose(arguments):
        click.echo(trace, err=True)
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="bnstats-", suffix=".log", delete=False
        ) as file:
            file.write(trace)
        hint = f"the traceback is in {file.name}"
    except OSError:  # nowhere to write to
        hint = "bnstats -v … shows the traceback"
    error = BnstatsError("internal error, a bug in bnstats", hint=hint)
    error.exit_code = INTERNAL
    return _report(error, arguments)

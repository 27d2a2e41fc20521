"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bnstats.cli.completing import layers
from bnstats.errors import printable

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _refusal(value: str, why: str) -> click.BadParameter:
    return click.BadParameter(f"'{printable(value, 60)}' {why}")


def number(value: str | float) -> float:
    """Parse a number, written as 1.5, 5/3 or sqrt(2) as in a layer's parameters."""
    from bnstats.specs import expressions

    try:
        return expressions.number(str(value))
    except ValueError:
        raise _refusal(str(value), "is not a number such as 0.5 or sqrt(2)") from None


def sample_count(value: str) -> int:
    """Parse a positive whole number: 1000000, 1e6, 10M or 2**24."""
    text = value.strip()
    count = _count(text)
    if count is None:
        raise _refusal(text, "is not a count such as 1e7, 10M or 2**24")
    if not 1 <= count <= 10**18:
        raise _refusal(text, "is outside 1 to 1e18")
    return count


def _count(text: str) -> int | None:
    power = re.fullmatch(r"(\d{1,2})\*\*(\d{1,2})", text, re.ASCII)
    if power:
        return int(int(power[1]) ** int(power[2]))
    plain = re.fullmatch(r"([+-]?\d{1,30}(?:_\d{3}){0,10})([kMGT]?)", text, re.ASCII)
    if plain:
        return int(plain[1]) * _UNITS[plain[2]]
    decimal = re.fullmatch(
        r"([+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE]\+?\d{1,3})?)([kMGT]?)", text, re.ASCII
    )
    if decimal:
        number = float(decimal[1]) * _UNITS[decimal[2]]
        number = min(max(number, -1e30), 1e30)  # infinity is out of range, not a bug
        return int(number) if number == int(number) else None
    return None


def seed_number(value: str | int) -> int:
    """Parse a whole number ≥ 0, or ``random``."""
    if value == "random":
        import secrets

        seed = secrets.randbits(32)
        click.echo(f"seed {seed}", err=True)
        return seed
    if not re.fullmatch(r"\d{1,40}", str(value), re.ASCII):
        raise _refusal(str(value), "is not a whole number ≥ 0, nor 'random'")
    return int(value)


def duration(value: str) -> float:
    """Parse a time in seconds, written as 60, 60s, 5m or 1h."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{0,9})?)([smh]?)", value, re.ASCII)
    if not match or not float(match[1]):
        raise _refusal(value, "is not a time such as 60s, 5m or 1h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


MAX_TIME = click.option(
    "--max-time",
    type=duration,
    metavar="TIME",
    help="Stop drawing after this time, e.g. 60s, 5m or 1h.",
)


class Fraction(click.FloatRange):
    """A number strictly between 0 and 1."""

    def __init__(self) -> None:
        super().__init__(0, 1, min_open=True, max_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the option's text; nan is in no range."""
        number = super().convert(value, param, ctx)
        return number if number == number else self.fail(f"{number} is not in the range 0<x<1")


CONFIDENCE = click.option(
    "--confidence",
    type=Fraction(),
    metavar="P",
    default=0.95,
    help="Probability that an interval covers the true value.",
)


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def joined(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """Join what a shell has split where a blank follows a comma: kernel_size=3, stride=2."""
    return tuple(re.sub(r",\s+", ",", " ".join(words)).split()) or words


SPECS = click.argument(
    "specs",
    metavar="SPEC...",
    nargs=-1,
    required=True,
    callback=joined,
    shell_complete=layers,
)

WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    default=_processors,
    show_default="all processors",
    help="Largest number of processes of the numpy backend. The digits do not depend on it.",
)


def choice(*names: str, values: Sequence[str], help_: str) -> Callable[..., Any]:
    """Return an option of a few values, of which the first is the default."""
    return click.option(*names, type=click.Choice(values), default=values[0], help=help_)


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Return options as one decorator; --help shows them in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def samples_option(unless: str = "") -> Callable[..., Any]:
    """Return the -n option; its help adds when another default applies."""
    return click.option(
        "-n",
        "--samples",
        type=sample_count,
        metavar="N",
        help="Number of independent draws, e.g. 1e7, 10M, 2**24.  [default: as many as hold 2e7 "
        f"random numbers, 1e7 for an activation{unless}]",
    )


backend_options = together(
    click.option(
        "--backend",
        metavar="NAME",
        default="numpy",
        help="Array library: numpy, torch or jax; see bnstats list backends.",
    ),
    click.option(
        "--device",
        metavar="NAME",
        help="Device of the backend: cpu, cuda, cuda:1 or cuda:all.  [default: the fastest]",
    ),
)


class WithLists(click.Command):
    """A command whose --quantity and --find take several values, up to a word that is none.

    What follows --quantity is the name of a quantity, and what follows --find begins with one.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each value after the first."""
        lists = ("--quantity", "--find")
        if any(arg.partition("=")[0] in lists for arg in args):
            from bnstats.statistics.quantities import quantity_named

            option, spread = "", list[str]()
            for before, arg in zip(["", *args], args, strict=False):
                name, equals, _ = arg.partition("=")
                given, joined, _ = before.partition("=")
                if given in lists:
                    option = given
                if given in lists and not joined:
                    pass  # the value of the option itself
                elif quantity_named(name) is None or bool(equals) is not (option == "--find"):
                    option = ""
                elif option:
                    spread.append(option)
                spread.append(arg)
            args = spread
        return super().parse_args(ctx, args)


def quantity_option(help_: str) -> Callable[..., Any]:
    """Return the --quantity option of a `WithLists`."""
    return click.option(
        "--quantity",
        "quantities",
        multiple=True,
        metavar="NAME...",
        help=help_,
        shell_complete=quantity_names,
    )


def quantity_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a quantity, or its symbol."""
    from bnstats.statistics.quantities import ALL_QUANTITIES

    symbols = (q.symbol for q in ALL_QUANTITIES.values() if incomplete and " " not in q.symbol)
    return [name for name in (*ALL_QUANTITIES, *symbols) if name.startswith(incomplete)]


def equations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the left side of QUANTITY=VALUE."""
    return [f"{name}=" for name in quantity_names(ctx, param, incomplete)]


PLOT = click.option(
    "--plot",
    metavar="FILE|-",
    help="Draw a picture: .svg, .png or .pdf, or - for one in the terminal.",
)


def _local_cluster(value: str) -> str:
    """Check the number of workers of a local cluster here, before anything is imported."""
    if value == "local" or value.startswith("local:"):
        count = value.removeprefix("local").removeprefix(":")
        if not re.fullmatch(r"|[1-9]\d{0,3}", count, re.ASCII):
            raise _refusal(value, "is not local or local:4")
    return value


far_options = together(
    click.option(
        "--cluster",
        type=_local_cluster,
        metavar="WHERE",
        help="Draw on the workers of dask: tcp://HOST:PORT, a scheduler file, local or local:4. "
        "The digits do not depend on it.",
    ),
    click.option(
        "--checkpoint",
        type=click.Path(),
        metavar="DIR",
        help="Keep what is drawn in this directory, and take up what is there.",
    ),
)


def part_of(value: str) -> tuple[int, int]:
    """Parse a part of a run, written as 3/64."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value, re.ASCII)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise _refusal(value, "is not a part such as 3/64")
    return int(match[1]), int(match[2])


def import_option(help_: str) -> Callable[..., Any]:
    """Return the --import option."""
    return click.option("--import", "imports", metavar="NAME", multiple=True, help=help_)


IMPORT = import_option(
    "Import a module of yours first, so that the layers it registers are known. Repeatable."
)


def import_named(names: Sequence[str]) -> None:
    """Import what --import names, as `bnstats.custom.trust` does."""
    if names:  # the import is slow, and commands such as show may do without it
        from bnstats.custom import trust

        for name in names:
            trust(name, Path.cwd())


def seed_option(default: int | None, unless: str = "") -> Callable[..., Any]:
    """Return the --seed option with a command's default, or what its help says instead."""
    help_ = f"Seed of the random draws, or 'random'.{unless}"
    return click.option("--seed", type=seed_number, metavar="INT", default=default, help=help_)


law_options = together(
    click.option("--x-mean", type=number, default=0.0, help="Mean of x."),
    click.option("--x-std", type=number, default=1.0, help="Standard deviation of x."),
    click.option("--dy-std", type=number, default=1.0, help="Standard deviation of dy."),
)


def json_option(help_: str = "Print one JSON document.") -> Callable[..., Any]:
    """Return the --json option."""
    return click.option("--json", "as_json", is_flag=True, help=help_)


def format_options(*, values: Sequence[str], help_: str) -> Callable[..., Any]:
    """Return --format, of which the first value is the default, and --json; see `format_asked`."""
    return together(
        choice("--format", "format_", values=values, help_=help_),
        json_option("Same as --format json."),
    )


def format_asked(asked: str, as_json: bool) -> str:
    """Return the format that --format and --json ask for together.

    Raises
    ------
    click.UsageError
        They contradict each other.
    """
    if as_json and asked not in ("text", "json"):
        raise click.UsageError(f"--json does not go with --format {asked}")
    return "json" if as_json else asked


def output_options(number: str) -> Callable[..., Any]:
    """Return a decorator that adds --format, --json, --get and --export, and hands on `Output`.

    Parameters
    ----------
    number
        The path of a number, which the help of --get shows as an example.
    """
    adding = together(
        format_options(values=("text", "json", "csv", "markdown", "latex"), help_="Output format."),
        click.option("--get", metavar="PATH", help=f"Print one bare number, e.g. {number}"),
        click.option(
            "--export",
            type=click.Path(path_type=Path),
            multiple=True,
            help="Also write a file; its suffix (.json .csv .md .tex .txt) sets the format. "
            "Repeatable.",
        ),
    )

    def add(command: Callable[..., int]) -> Any:
        @wraps(command)
        def with_output(
            *given: Any, format_: str, as_json: bool, get: str | None, export: Any, **options: Any
        ) -> int:
            from bnstats.cli.output import Output

            output = Output(format_asked(format_, as_json), get, export)
            return command(*given, output=output, **options)

        return adding(with_output)

    return add

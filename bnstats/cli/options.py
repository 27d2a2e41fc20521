"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from bnstats.errors import printable

if TYPE_CHECKING:  # ParamType is generic only in newer releases of click
    _IntType = click.ParamType[int]
    _Seconds = click.ParamType[float]
else:
    _IntType = _Seconds = click.ParamType

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class SampleCount(_IntType):
    """A positive whole number: 1000000, 1e6, 10M or 2**24."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the option's text."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        count = _count(text)
        if count is None:
            self.fail(f"'{printable(text, 60)}' is not a count such as 1e7, 10M or 2**24")
        if not 1 <= count <= 10**18:
            self.fail(f"'{printable(text, 60)}' is outside 1 to 1e18")
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


class Seed(_IntType):
    """A whole number ≥ 0, or ``random``."""

    name = "INT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the option's text."""
        if isinstance(value, int):
            return value
        if value == "random":
            import secrets

            seed = secrets.randbits(32)
            click.echo(f"seed {seed}", err=True)
            return seed
        if not re.fullmatch(r"\d{1,40}", value, re.ASCII):
            self.fail(f"'{printable(value, 60)}' is not a whole number ≥ 0, nor 'random'")
        return int(value)


class Duration(_Seconds):
    """A time in seconds, written as 60, 60s, 5m or 1h."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse the option's text."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{0,9})?)([smh]?)", str(value), re.ASCII)
        if not match or not float(match[1]):
            self.fail(f"'{printable(str(value), 60)}' is not a time such as 60s, 5m or 1h")
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class Fraction(click.FloatRange):
    """A number strictly between 0 and 1."""

    def __init__(self) -> None:
        super().__init__(0, 1, min_open=True, max_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the option's text; nan is in no range."""
        number = super().convert(value, param, ctx)
        return number if number == number else self.fail(f"{number} is not in the range 0<x<1")


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def layers_and_sets(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a layer or a claim set."""
    return [*layers(ctx, param, incomplete), *_sets(incomplete)]


def layers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a layer."""
    from bnstats.layers import LAYERS

    return [CompletionItem(name) for name in LAYERS if name.startswith(incomplete)]


def sets_and_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a claim set, or else of a file."""
    return _sets(incomplete) or [CompletionItem(incomplete, type="file")]


def _sets(incomplete: str) -> list[CompletionItem]:
    from bnstats.claims import set_names

    return [CompletionItem(name) for name in set_names() if name.startswith(incomplete)]


SPECS = click.argument("specs", metavar="SPEC...", nargs=-1, required=True, shell_complete=layers)

WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    default=_processors,
    show_default="all processors",
    help="Largest number of processes of the numpy backend. The digits do not depend on it.",
)


def samples_option(unless: str = "") -> Callable[..., Any]:
    """Return the -n option; its help adds when another default applies."""
    return click.option(
        "-n",
        "--samples",
        type=SampleCount(),
        help="Number of independent draws, e.g. 1e7, 10M, 2**24.  [default: as many as hold 2e7 "
        f"random numbers, 1e7 for an activation{unless}]",
    )


def backend_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --backend and --device."""
    for option in (
        click.option(
            "--device",
            metavar="NAME",
            help="Device of the backend: cpu, cuda, cuda:1 or cuda:all.  [default: the fastest]",
        ),
        click.option(
            "--backend",
            metavar="NAME",
            default="numpy",
            show_default=True,
            help="Array library: numpy, torch or jax; see bnstats list backends.",
        ),
    ):
        function = option(function)
    return function


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


SEED = "Seed of the random draws, or 'random'."


def seed_option(default: int) -> Callable[..., Any]:
    """Return the --seed option with a command's default."""
    return click.option("--seed", type=Seed(), default=default, show_default=True, help=SEED)


def law_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --x-mean, --x-std and --dy-std."""
    kinds = {"mean": "Mean", "std": "Standard deviation"}
    for name, default in (("dy-std", 1.0), ("x-std", 1.0), ("x-mean", 0.0)):
        of, _, kind = name.partition("-")
        function = click.option(
            f"--{name}",
            type=float,
            default=default,
            show_default=True,
            help=f"{kinds[kind]} of {of}.",
        )(function)
    return function


def format_asked(asked: str, as_json: bool, option: str = "--format") -> str:
    """Return the format that --format (or its like) and --json ask for together.

    Raises
    ------
    click.UsageError
        They contradict each other.
    """
    if as_json and asked not in ("text", "json"):
        raise click.UsageError(f"--json does not go with {option} {asked}")
    return "json" if as_json else asked


def output_options(number: str) -> Callable[..., Any]:
    """Return a decorator that adds --format, --json, --export and --get.

    Parameters
    ----------
    number
        The path of a number, which the help of --get shows as an example.
    """
    return functools.partial(_with_output_options, number=number)


def _with_output_options(function: Callable[..., Any], number: str) -> Callable[..., Any]:
    formats = click.Choice(["text", "json", "csv", "markdown", "latex"])
    for option in (
        click.option(
            "--export",
            type=click.Path(path_type=Path),
            multiple=True,
            help="Also write a file; its suffix (.json .csv .md .tex .txt) sets the format. "
            "Repeatable.",
        ),
        click.option("--get", metavar="PATH", help=f"Print one bare number, e.g. {number}"),
        click.option("--json", "as_json", is_flag=True, help="Same as --format json."),
        click.option(
            "--format",
            "format_",
            type=formats,
            default="text",
            show_default=True,
            help="Output format.",
        ),
    ):
        function = option(function)
    return function

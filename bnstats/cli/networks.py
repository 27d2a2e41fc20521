"""Which runs of propagate a call asks for, and what is printed of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bnstats.cli.requirements import answers
from bnstats.errors import BnstatsError, printable

if TYPE_CHECKING:
    from bnstats.networks.propagation import Propagation
    from bnstats.report.page import Page


class Run(NamedTuple):
    """The arguments of one call of `bnstats.propagate`."""

    block: tuple[str, ...]
    options: dict[str, Any]


class Shown(NamedTuple):
    """How runs are printed."""

    page: Page
    seconds: float
    as_json: bool
    all_rows: bool


def runs(
    block: Sequence[str],
    compared: tuple[str, str] | None,
    widths: Sequence[int],
    options: dict[str, Any],
) -> list[Run]:
    """Return the runs that are asked for: one, two to compare, or one for each width.

    Raises
    ------
    BnstatsError
        No layer is named, or one that there is not; or options that do not go together.
    """
    if compared and widths:
        raise BnstatsError("--compare does not go with --widths")
    words = [word for text in block for word in text.split()]
    if widths:  # click takes the first number for the option's, and the others for layers
        further = [word for word in words if re.fullmatch(r"\d+", word, re.ASCII)]
        words = [word for word in words if word not in further]
        widths = (*widths, *map(int, further))
    if compared:
        found = [_one_of(text, words, options) for text in compared]
    elif widths:
        if len({*widths}) < 2:  # told before any network is drawn
            raise BnstatsError("an exponent needs at least two widths", hint="--widths 64 128 256")
        found = [_of_width(width, words, options) for width in widths]
    else:
        found = [Run(tuple(words), options)]
    for run in found:
        _check(run)
    seconds = options["max_time"]
    share = seconds and seconds / len(found)
    return [Run(run.block, {**run.options, "max_time": share}) for run in found]


def text(found: Sequence[Propagation], compared: Any, widths: Sequence[int], shown: Shown) -> str:
    """Return what is printed of runs."""
    from bnstats.networks.comparing import compare, over_widths
    from bnstats.networks.documents import (
        comparison_document,
        propagation_document,
        widths_document,
    )
    from bnstats.report.compared import render_comparison, render_widths
    from bnstats.report.json import render as render_json
    from bnstats.report.propagate import render

    argv = sys.argv[1:]
    if compared:
        document = comparison_document(compare(found[0], found[1]), argv=argv)
        lines = render_comparison(document)
    elif widths and len(found) > 1:
        of_each = [_width(run) for run in found]
        document = widths_document(over_widths(of_each, found), argv=argv)
        lines = render_widths(document)
    else:
        document = propagation_document(*found, argv=argv)
        lines = render(document, shown.page, shown.seconds, all_rows=shown.all_rows)
    return render_json(document) if shown.as_json else lines


def exit_code(found: Sequence[Propagation], required: Sequence[str]) -> int:
    """Say what is not as it was asked for, and return the exit code."""
    from bnstats.cli.main import UNDECIDED, ended_early

    if any(run.status == "interrupted" for run in found):
        return ended_early("what was drawn so far is above")
    given = [answer for run in found for answer in answers(run, required)]
    if False in given:
        return 1
    missed = any(run.status == "target_not_met" for run in found)
    if missed:
        click.echo("the precision asked for was not reached", err=True)
    return UNDECIDED if None in given or missed else 0


def _one_of(given: str, words: Sequence[str], options: dict[str, Any]) -> Run:
    """Return the run of an init, or of a stack or a model of its own."""
    from bnstats.networks.inits import INITS

    if given in INITS:
        return Run(tuple(words), {**options, "init": given})
    if words:
        raise BnstatsError(
            f"--compare: '{printable(given, 60)}' is no init, and layers are named beside it",
            hint=f"one of {', '.join(INITS)}; or --compare 'linear relu' 'linear gelu' alone",
        )
    return Run(tuple(given.split()), options)


def _of_width(width: int, words: Sequence[str], options: dict[str, Any]) -> Run:
    if not _is_model(words, options):
        return Run(tuple(words), {**options, "width": width})
    joint = "," if words[0].count(":") > 1 else ":"
    return Run((f"{words[0]}{joint}width={width}",), options)


def _width(run: Propagation) -> int:
    from bnstats.networks.shapes.stack import ShapedStack
    from bnstats.networks.stack import Stack

    subject = run.subject
    if isinstance(subject, ShapedStack):
        raise BnstatsError("layers with shapes have no width", hint="--widths without --input")
    return subject.width if isinstance(subject, Stack) else dict(subject.factory.values)["width"]


def _is_model(words: Sequence[str], options: dict[str, Any]) -> bool:
    from bnstats.custom import look_here
    from bnstats.networks.models.factory import names_a_factory

    look_here()
    return len(words) == 1 and names_a_factory(words[0], has_input=options["input"] is not None)


def _check(run: Run) -> None:
    """Find layers that there are not, and import those of the current directory."""
    from bnstats.custom import load_here
    from bnstats.networks.shapes.stack import WORDS
    from bnstats.specs.names import resolve
    from bnstats.specs.spec import parse

    if not run.block:
        raise click.UsageError("Missing argument 'LAYER...'")
    if _is_model(run.block, run.options):
        return
    for word in run.block:
        # A layer that the registry knows may lack what its place in a stack decides.
        name = word.partition(":")[0]
        if name not in WORDS and resolve(name) is None:
            parse(word, load_here)

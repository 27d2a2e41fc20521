"""bnstats show: the manual page of a layer or a claim set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnstats.cli import completing
from bnstats.cli import options as opt
from bnstats.cli.console import Console
from bnstats.sampling.files import seen_from_here

if TYPE_CHECKING:
    from bnstats.claims import ClaimSet
    from bnstats.layers import Layer
    from bnstats.report.page import Page
    from bnstats.specs.spec import Spec
    from bnstats.statistics.exact import Exact


@click.command("show")
@click.argument("name", shell_complete=completing.layers_and_sets)
@click.option(
    "--patch", is_flag=True, help="Print what to replace in a claim set's source, and by what."
)
@opt.json_option("Print a claim set as one JSON document.")
@opt.IMPORT
@click.pass_obj
def command(
    console: Console, name: str, patch: bool, as_json: bool, imports: tuple[str, ...]
) -> None:
    """Show what is known about a layer or a claim set.

    For a layer: formula, parameters, source and claims. For a claim set: its verdicts, what to
    print in place of wrong values, and the command that reproduces each. NAME is a layer, with or
    without its parameters, or a claim set.
    """
    from bnstats.claims import claim_set, set_names

    console.take_stdout()
    opt.import_named(imports)
    if not (patch or as_json or name in set_names()):
        console.out("\n".join(_layer(name, console.page)))
        return
    about = claim_set(name)
    if patch or as_json:
        _print_set(console, about, patch=patch, as_json=as_json)
    else:
        console.out("\n".join(_claim_set(about, console.page)))


def _layer(text: str, page: Page) -> Iterator[str]:
    from bnstats.claims import claim_sets, set_names
    from bnstats.custom import load_here
    from bnstats.errors import BnstatsError, printable, suggestion
    from bnstats.layers import ALIASES, LAYERS, STANDARD
    from bnstats.report.claims import claimed
    from bnstats.specs.composition import is_composed
    from bnstats.specs.describe import parameter_text
    from bnstats.specs.names import split
    from bnstats.specs.spec import example_specs, parse

    composed = parse(text, load_here).layer if is_composed(text) else None
    name, found = (text, (composed, "")) if composed else split(text)
    near = suggestion(name, set_names())
    try:
        layer, carried = found or (load_here(name), "")
    except BnstatsError:
        if near and not suggestion(name, [*LAYERS, *ALIASES]):
            raise BnstatsError(
                f"no layer or claim set '{printable(name, 60)}'", hint=f"did you mean '{near}'?"
            ) from None
        raise
    if (
        text == name and not composed
    ):  # of a library's layer no sizes are asked: the page says what they may be
        text = f"{layer.name}:{carried}" if carried else example_specs(layer)[0]
    spec = parse(text).under(STANDARD)
    yield from _title(layer.name, layer.summary, page)
    yield ""
    for label, said in _facts(spec):
        yield from page.folded(f"  {label.ljust(11)}", said)
    width = max((len(p.name) for p in layer.parameters), default=0)
    parameters = [(f"    {p.name.ljust(width)}  ", parameter_text(p)) for p in layer.parameters]
    yield from _section("parameters", parameters, page)
    yield ""
    yield f"  one draw of {spec.text}"
    for key, given in spec.bound.inputs.items():
        shape = "x".join(map(str, given.shape)) or "scalar"
        yield f"    {key.ljust(8)} {shape}, {given.distribution}"
    for hint in spec.bound.hints:
        yield from page.folded("    ", hint)
    from bnstats.api import exact  # imports numpy

    known = exact(spec)
    if spec.bound.why_inexact:
        from bnstats.report.text import inexact_lines

        yield from inexact_lines(known.missing, spec.bound, page)
    yield from _in_a_stack(spec, known.quantities, page)
    yield ""
    yield "  examples"
    for example in example_specs(layer):
        yield f"    bnstats compute {example}"
    yield from _gains(known.quantities, page)
    claims = [
        ("    ", f"{c.spec.text}  {claimed(c)} = {c.printed.text}  ({c.set})")
        for s in claim_sets()
        for c in s.claims
        if c.spec.layer is layer
    ]
    yield from _section("published values (bnstats show SET judges them)", claims, page, indent=6)


def _in_a_stack(spec: Spec, known: Mapping[str, Exact], page: Page) -> Iterator[str]:
    """Yield what the layer does in a stack of such layers, as far as it is known exactly."""
    from bnstats.statistics.quantities import NOT_SCALAR, STACK_QUANTITIES

    scalar = spec.bound.is_scalar
    here = {n: q for n, q in STACK_QUANTITIES.items() if scalar or not q.of_scalars}
    width = max(len(q.symbol) for q in here.values())
    said = [
        (f"    {q.symbol.ljust(width)}  {_digits(known.get(name))}  ", q.meaning)
        for name, q in here.items()
    ]
    yield from _section("in a stack, for x ~ N(0, 1) (bnstats help quantities)", said, page)
    if not scalar:
        rest = ", ".join(q.symbol for q in STACK_QUANTITIES.values() if q.of_scalars)
        yield from page.folded("    ", f"no {rest}: {NOT_SCALAR}")


def _digits(exact: Exact | None) -> str:
    from bnstats.notation import exact_text

    return "?".ljust(6) if exact is None else exact_text(exact.value, exact.error, -4).ljust(6)


def _gains(known: Mapping[str, Exact], page: Page) -> Iterator[str]:
    """Yield each gain of a layer, what it is for, and what it makes of the other direction."""
    from bnstats.notation import exact_text, rounded
    from bnstats.statistics.gains import INITIALISATION, gain_choices
    from bnstats.statistics.quantities import QUANTITIES

    found = list(gain_choices({name: number.value for name, number in known.items()}))
    if not found:
        return
    yield ""
    yield "  which gain"
    for choice in found:
        gain = known[choice.name]
        value = exact_text(gain.value, gain.error, -6).ljust(10)
        cost = f"{QUANTITIES[choice.other].symbol} becomes {rounded(choice.becomes, -3)}"
        head = f"    {QUANTITIES[choice.name].symbol.ljust(8)} {value} "
        yield from page.folded(head, f"{choice.where.ljust(25)}  {cost}")
    yield from page.folded("    ", f"{INITIALISATION}   (bnstats help gains)")


def _section(
    title: str, entries: Sequence[tuple[str, str]], page: Page, indent: int | None = None
) -> Iterator[str]:
    """Yield a part of the page, if there is anything in it: what is said, each with its head."""
    if entries:
        yield ""
        yield from page.folded("  ", title)
        for head, said in entries:
            yield from page.folded(head, said, indent)


def _title(name: str, said: str, page: Page) -> list[str]:
    return page.coloured(name, "name", "", f"{name} — {said}", indent=2)


def _facts(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield the facts about a layer, each with its label."""
    from bnstats.specs.libraries import names_of, with_parameters

    layer = spec.layer
    yield "forward", layer.formula
    yield "backward", layer.gradient
    yield "family", layer.family
    yield "also", ", ".join(layer.aliases)
    for library, names in names_of(layer.name).items():
        yield library, ", ".join(with_parameters(name, carried) for name, carried in names.items())
    if spec.bound.breakpoints:
        yield "not smooth", f"at x = {', '.join(f'{k:g}' for k in spec.bound.breakpoints)}"
    yield "source", layer.cite or _code(layer)


def _code(layer: Layer) -> str:
    """Return file and line of a user's function; a layer of ours cites its source instead."""
    import inspect

    made_of = inspect.unwrap(layer.bind)
    if made_of.__module__.partition(".")[0] == "bnstats":
        return ""
    with suppress(OSError, TypeError):  # typed in by hand, or built in
        if file := inspect.getsourcefile(made_of):
            return f"{seen_from_here(Path(file))}:{inspect.getsourcelines(made_of)[1]}"
    return ""


def _print_set(console: Console, about: ClaimSet, *, patch: bool, as_json: bool) -> None:
    """Print a claim set as JSON, or what of it is to be replaced, in either form."""
    from bnstats.report import claims, json
    from bnstats.verification.solved import judged

    rows = [judged(claim) for claim in about.claims]
    wrong = [row for row in rows if row.instead is not None]
    if patch and not wrong:
        console.note(f"nothing of {about.name} is to be replaced: {claims.counted(rows)}")
    if as_json:
        console.out(json.render(claims.document(about, wrong if patch else rows)))
    elif wrong:
        console.out("\n".join(claims.patch(about, rows)))
        console.note("in files of yours: bnstats verify FILE --diff or --fix; bnstats help ci")


def _claim_set(about: ClaimSet, page: Page) -> Iterator[str]:
    from bnstats.report import claims
    from bnstats.verification.solved import judged

    rows = [judged(claim) for claim in about.claims]
    yield from _title(about.name, about.title, page)
    if about.url:
        yield f"  {about.url}"
    if about.convention:
        yield from page.folded("  ", f"convention: {about.convention}", indent=4)
    yield ""
    yield from claims.page(rows, page)
    if any(row.instead is not None for row in rows):
        yield ""
        yield f"  for a pull request: bnstats show {about.name} --patch"
    notes: dict[str, list[str]] = {}
    for claim in about.claims:
        if claim.remark:
            notes.setdefault(claim.remark, []).append(claim.spec.text)
    said = [("    ", f"{', '.join(layers)}: {note}") for note, layers in notes.items()]
    yield from _section("notes", said, page)
    given = dict.fromkeys(claim.source for claim in about.claims if claim.source)
    # Some claims name a second source after the common one; only the longer text is shown.
    sources = [s for s in given if not any(s != other and s in other for other in given)]
    yield from _section("sources", [("    ", source) for source in sources], page)
    copied = [
        (f"    {claim.printed.text}  ", "; ".join(claim.copies))
        for claim in about.claims
        if claim.copies
    ]
    yield from _section("printed as well in", copied, page, indent=6)

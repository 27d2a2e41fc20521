"""bnstats list: what there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bnstats.cli import options as opt
from bnstats.cli.completing import layers
from bnstats.cli.console import Console
from bnstats.errors import BnstatsError, HostError, hint_for, printable

if TYPE_CHECKING:
    from bnstats.layers import Layer, Parameter
    from bnstats.report.page import Page

_SCHEMA = "bnstats-list/1"
_HIDDEN = "hidden by bnstats' own layer of this name"


class _Row(NamedTuple):
    """One entry of a list.

    ``group`` is its heading, ``text`` and ``names`` its lines, ``searched`` the text that WORD is
    looked for in, and ``entry`` its data for JSON.
    """

    group: str
    name: str
    text: str
    names: str
    searched: str
    entry: dict[str, Any]


_KINDS = ("layers", "claims", "backends")


def _kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [k for k in _KINDS if k.startswith(incomplete)] or layers(ctx, param, incomplete)


@click.command("list")
@click.argument("what", metavar="[layers|claims|backends]", default="layers", shell_complete=_kinds)
@click.argument("word", default="", shell_complete=layers)
@click.option(
    "--family",
    "families",
    metavar="NAME",
    multiple=True,
    help="List only the layers of this family. Repeatable.",
)
@click.option("--long", is_flag=True, help="Print formulas and the libraries' names of all layers.")
@click.option("--plain", is_flag=True, help="Print only names, one per line.")
@opt.json_option("Print one JSON document, which includes the parameters.")
@click.pass_obj
def command(
    console: Console,
    what: str,
    word: str,
    families: tuple[str, ...],
    long: bool,
    plain: bool,
    as_json: bool,
) -> None:
    """List layers, claim sets or backends.

    The default is layers, by family, common ones first. WORD keeps the entries that have it in a
    name, a summary or a formula, with the names that torch, jax, flax and keras give them.
    """
    if what not in _KINDS:
        if word:
            raise BnstatsError(
                f"'{printable(what, 60)}' is not one of {', '.join(_KINDS)}",
                hint=f"bnstats list layers {printable(word, 60)}",
            )
        what, word = "layers", what
    if families and what != "layers":
        raise click.UsageError(f"{what} have no family: bnstats list layers --family NAME")
    lists = {"layers": lambda: _layers(families), "claims": _claims, "backends": _backends}
    rows = _holding(word, lists[what](), what, families)
    if as_json:
        from bnstats.report.json import render

        console.out(render({"schema": _SCHEMA, what: [row.entry for row in rows]}))
    elif plain:
        console.out("\n".join(row.name for row in rows))
    elif what == "layers" and not (word or families or long):
        console.out("\n".join(_overview(rows, console.page)))
    else:
        console.out("\n".join(_lines(rows, console.page)))


def _holding(word: str, rows: Sequence[_Row], what: str, families: Sequence[str]) -> Sequence[_Row]:
    from bnstats.claims import set_names

    found = [row for row in rows if word.lower() in row.searched.lower()]
    if found:
        return found
    among = f" of {' and '.join(families)}" if families else ""
    hint = hint_for(word, (row.name for row in rows)) or f"bnstats list {what}"
    if what == "layers" and word in set_names():
        hint = f"bnstats show {word}, or bnstats list claims {word}"
    raise BnstatsError(f"'{printable(word, 60)}' is in none of the {what}{among}", hint=hint)


def _lines(rows: Sequence[_Row], page: Page) -> Iterator[str]:
    width = max(len(row.name) for row in rows)
    indent = " " * (width + 4)
    narrower = replace(page, width=page.width - len(indent))
    for group, members in groupby(rows, key=lambda row: row.group):
        if group:
            yield page.style(group, "name")
        for row in members:
            yield f"  {row.name.ljust(width)}  {row.text}"
            for line in narrower.folded("", row.names):
                yield f"{indent}{page.style(line, 'aside')}"


def _overview(rows: Sequence[_Row], page: Page) -> Iterator[str]:
    """Yield the names alone, families and layers first that more libraries have."""
    from bnstats.specs.families import ordered_families

    def shared(row: _Row) -> int:
        return -len(row.entry.get("libraries", ()))

    by_family = {
        group: sorted(of, key=shared) for group, of in groupby(rows, key=lambda r: r.group)
    }
    ours = [family for family in ordered_families() if family in by_family]
    for group in (*ours, *(group for group in by_family if group not in ours)):
        names = ", ".join(row.name for row in by_family[group])
        yield from page.coloured(group, "name", f"{group}  ", names, indent=2)
    yield ""
    yield f"{len(rows)} layers"
    for command, use in (
        ("list leaky", "finds one by its name, its formula or a library's name"),
        ("list --long", "prints formulas and the libraries' names"),
        ("show gelu", "describes one"),
    ):
        yield from page.folded(f"  bnstats {command.ljust(13)}", use)


def _layers(families: Sequence[str]) -> list[_Row]:
    from bnstats.layers import LAYERS

    known = sorted({layer.family for layer in LAYERS.values()})
    for family in families:
        if family not in known:
            raise BnstatsError(
                f"unknown family '{printable(family, 60)}'",
                hint=hint_for(family, known, f"families: {', '.join(known)}"),
            )
    layers = sorted(LAYERS.values(), key=lambda layer: (layer.family, layer.name))
    if families:
        return [_layer(layer) for layer in layers if layer.family in families]
    return [*map(_layer, layers), *_installed()]


def _installed() -> Iterator[_Row]:
    """Yield the layers that installed packages offer, without importing any."""
    from bnstats.custom import installed
    from bnstats.specs.names import resolve

    for e in sorted(installed(), key=lambda entry: (entry.package, entry.name)):
        family = f"{e.package} (installed)"
        entry = {"name": e.name, "family": family, "path": e.path}
        text = e.path if resolve(e.name) is None else _HIDDEN
        yield _Row(family, e.name, text, "", f"{e.package}\n{e.name}\n{e.path}", entry)


def _layer(layer: Layer) -> _Row:
    from bnstats.specs.libraries import names_of, short_names

    libraries = names_of(layer.name)
    theirs = [f"{library}.{name}" for library, names in libraries.items() for name in names]
    entry = {
        **_attributes(layer, "name", "family", "summary", "formula", "gradient"),
        "source": layer.cite,
        "parameters": [
            _attributes(p, "name", "kind", "required", "default", "follows", "choices")
            | {"range": p.range.text if p.range else None}
            for p in layer.parameters
        ],
        "aliases": dict(_parted(alias) for alias in layer.aliases),
        "libraries": libraries,
    }
    texts = (layer.name, *layer.aliases, *theirs, layer.summary, layer.formula)
    names = _names_line(layer, short_names(layer.name))
    return _Row(layer.family, layer.name, _short(layer.formula), names, "\n".join(texts), entry)


def _names_line(layer: Layer, libraries: dict[str, tuple[str, ...]]) -> str:
    """Return the names of each library, libraries with the same ones together."""
    from bnstats.specs.libraries import folded

    by_names: dict[tuple[str, ...], list[str]] = {}
    for library, names in libraries.items():
        by_names.setdefault(names, []).append(library)
    parts = [f"{', '.join(who)}: {', '.join(names)}" for names, who in by_names.items()]
    shown = {folded(name.partition(" ")[0]) for names in libraries.values() for name in names}
    # An alias with a dot is the name of a library's layer, which is shown above.
    aliases = (_parted(alias)[0] for alias in layer.aliases)
    others = [alias for alias in aliases if "." not in alias and folded(alias) not in shown]
    return "; ".join([*parts, *([f"also {', '.join(others)}"] if others else [])])


def _parted(alias: str) -> tuple[str, str]:
    name, _, carried = alias.partition(":")
    return name, carried


def _attributes(thing: Layer | Parameter, *names: str) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _short(formula: str) -> str:
    """Return the main clause of a formula; ``bnstats show`` prints all of it."""
    return formula.partition(";")[0].partition(",  ")[0]


def _claims() -> list[_Row]:
    from bnstats.claims import claim_sets

    rows = []
    for s in claim_sets():
        noun = "claim " if len(s.claims) == 1 else "claims"
        text = f"{len(s.claims):3d} {noun}   {s.title}"
        entry = {"name": s.name, "title": s.title, "url": s.url, "claims": len(s.claims)}
        rows.append(_Row("", s.name, text, "", f"{s.name}\n{s.title}", entry))
    return rows


def _backends() -> list[_Row]:
    """Return a row for each backend; installed ones are imported to ask for their devices."""
    from bnstats.backends import BACKENDS, found_devices, load, missing

    rows = []
    for name in BACKENDS:
        version, devices, lacking = None, [], missing(name)
        text = f"{', '.join(lacking)} not installed: pip install 'bnstats[{name}]'"
        if name == "numpy":
            import numpy

            version, devices = numpy.__version__, [{"name": "cpu", "about": ""}]
        elif not lacking:
            try:
                backend = load(name)
                devices = [{"name": d.name, "about": d.about} for d in found_devices(name, backend)]
                version = str(import_module(name).__version__)
            except HostError as error:
                text = error.message
        if version:
            about = [f"{d['name']} {d['about']}".strip() for d in devices]
            text = f"{version}   {', '.join(about)}"
        entry = {"name": name, "version": version, "devices": devices}
        rows.append(_Row("", name, text, "", name, entry))
    return rows

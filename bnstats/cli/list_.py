"""bnstats list: what there is."""

from __future__ import annotations

from itertools import groupby

import click

from bnstats.cli.console import Console

_HIDDEN = "hidden by bnstats' own layer of this name"


@click.command("list")
@click.argument("what", type=click.Choice(["layers", "claims"]), default="layers")
@click.option("--plain", is_flag=True, help="Names only, one a line.")
@click.pass_obj
def command(console: Console, what: str, plain: bool) -> None:
    """List layers (the default) or claim sets; `bnstats show NAME` tells more."""
    rows = _layers() if what == "layers" else _claims()
    if plain:
        console.out("\n".join(name for _, name, _ in rows))
        return
    width = max(len(name) for _, name, _ in rows)
    for group, members in groupby(rows, key=lambda row: row[0]):
        if group:
            console.out(console.style(group, "name"))
        for _, name, text in members:
            console.out(f"  {name.ljust(width)}  {text}")


def _layers() -> list[tuple[str, str, str]]:
    from bnstats.custom import installed
    from bnstats.layers import LAYERS, find

    entries = sorted(LAYERS.values(), key=lambda layer: (layer.family, layer.name))
    rows = [(layer.family, layer.name, _short(layer.formula)) for layer in entries]
    offered = sorted(installed(), key=lambda entry: (entry.package, entry.name))
    return rows + [
        (f"{e.package} (installed)", e.name, e.path if find(e.name) is None else _HIDDEN)
        for e in offered
    ]


def _short(formula: str) -> str:
    """Return the main clause of a formula; `show` has the rest."""
    return formula.partition(";")[0].partition(",  ")[0]


def _claims() -> list[tuple[str, str, str]]:
    from bnstats.claims import claim_sets

    return [("", s.name, f"{len(s.claims):3d} claims   {s.title}") for s in claim_sets()]

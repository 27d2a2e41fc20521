"""bnstats critical: fixed points of wide networks, and the edge of chaos."""

from __future__ import annotations

import sys

import click

from bnstats.cli import options as opt
from bnstats.cli.console import Console


@click.command("critical")
@opt.SPECS
@opt.IMPORT
@click.option(
    "--weight-std",
    type=opt.number,
    metavar="σ",
    help="Standard deviation σ_w of the weights, times √fan_in.",
)
@click.option(
    "--bias-std",
    type=opt.number,
    metavar="σ",
    help="Standard deviation σ_b of the biases.  [default: 0]",
)
@click.option("--get", metavar="PATH", help="Print one bare number, e.g. tanh.weight_std.value")
@opt.json_option()
@click.pass_obj
def command(
    console: Console,
    specs: tuple[str, ...],
    imports: tuple[str, ...],
    weight_std: float | None,
    bias_std: float | None,
    get: str | None,
    as_json: bool,
) -> int:
    """Find the edge of chaos of an activation.

    The networks are deep, wide and dense: z ↦ W·f(z) + b at initialisation, with W ~
    N(0, σ_w²/fan_in) and b ~ N(0, σ_b²). If one of σ_w and σ_b is given, the other is the one for
    which χ₁ is 1, so that gradients neither vanish nor explode. If both are given, the fixed points
    of that network are found. SPEC is an activation.
    """
    from bnstats.cli.output import lookup
    from bnstats.custom import load_here
    from bnstats.networks.critical import critical
    from bnstats.networks.documents import critical_document
    from bnstats.specs.spec import parse

    opt.import_named(imports)
    layers = [parse(text, load_here) for text in specs]
    found = {spec.text: critical(spec, weight_std=weight_std, bias_std=bias_std) for spec in layers}
    document = critical_document(list(found.values()), argv=sys.argv[1:])
    if get is not None:
        console.out(lookup(document, get))
    elif as_json:
        from bnstats.report.json import render as render_json

        console.out(render_json(document))
    else:
        from bnstats.report.critical import render

        console.out(render(document, console.page))
    return 0

"""What stands on the page of a layer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, Law, Layer
from bnstats.notation import (
    MINUS,
    count_text,
    exact_text,
    last_place,
    rounded,
    shortest,
    signed,
    with_bound,
)
from bnstats.plots.layers import curve
from bnstats.report.options import as_options
from bnstats.report.rows import estimate_cell, exact_cell, interval_cell, is_believable, z_cell
from bnstats.specs.describe import parameter_text, typed
from bnstats.specs.libraries import names_of, with_parameters
from bnstats.specs.spec import Spec, parse, value_text
from bnstats.statistics.exact import exact_moments, exact_values, stack_quantities
from bnstats.statistics.gains import gain_choices
from bnstats.statistics.quantities import ALL_QUANTITIES, QUANTITIES, STACK_QUANTITIES
from bnstats.tables.site.charts import Chart, Line
from bnstats.tables.site.claims import ClaimRow

_STEPS = 240  # of x, where f is drawn
_STDS = tuple(10 ** (i / 8 - 1) for i in range(17))  # of x, from 0.1 to 10
_MOMENTS = ("mean_y", "std_y", "rms_y", "var_y", "mean_dx", "std_dx", "var_dx")
_OVER = ("std_y", "rms_y", "std_dx")
_ON_INDEX = ("mean_y", "std_y", "std_dx", "gain_rms_y", "gain_y", "gain_dx")


class Number(NamedTuple):
    """A quantity as text: the exact value with all its digits, or empty, and what was sampled.

    ``copied`` is the best known value as programs read it; ``value`` and ``digits`` are that value
    as a number to sort by, and as text to at most eight decimals.
    """

    symbol: str
    exact: str
    error: str
    by: str
    sampled: str
    interval: str
    z: str
    copied: str
    value: float
    digits: str


class GainRow(NamedTuple):
    """A gain, where it is wanted, and what becomes of the other direction."""

    number: Number
    where: str
    cost: str


@dataclass(frozen=True)
class Variant:
    """A layer with its parameters: one row of the table of constants.

    Attributes
    ----------
    spec
        The layer.
    row
        Its entry in the document of constants.
    claims
        What others print, with verdicts.
    """

    spec: Spec
    row: Mapping[str, Any]
    claims: Sequence[ClaimRow]

    @property
    def numbers(self) -> list[Number]:
        """Moments of y and dx, and their roots; rms[dx] is σ[dx]."""
        return [self._number(name) for name in _MOMENTS]

    @property
    def summary(self) -> dict[str, Number]:
        """What the index shows."""
        return {name: self._number(name) for name in _ON_INDEX}

    @cached_property
    def gains(self) -> list[GainRow]:
        """Every gain that is known, exactly or by sampling."""
        numbers = {n: self._number(n).value for n in QUANTITIES if n in self.row}
        values = {n: v for n, v in numbers.items() if v and math.isfinite(v)}
        return [
            GainRow(
                self._number(choice.name),
                choice.where,
                f"{QUANTITIES[choice.other].symbol} becomes {rounded(choice.becomes, -3)}",
            )
            for choice in gain_choices(values)
        ]

    @cached_property
    def in_a_stack(self) -> list[tuple[str, str, str]]:
        """Symbol, value and meaning of what is known exactly of a stack of such layers."""
        bound = self.spec.under(STANDARD).bound
        known = stack_quantities(bound, exact_moments(bound, STANDARD), STANDARD)
        return [
            (q.symbol, exact_text(known[name].value, known[name].error), q.meaning)
            for name, q in STACK_QUANTITIES.items()
            if name in known
        ]

    @cached_property
    def charts(self) -> list[Chart]:
        """The function and its slope, where the layer is one of a number, and σ over that of x."""
        return [c for c in (_function(self.spec), _over_std(self.spec)) if c]

    @property
    def commands(self) -> list[str]:
        """What reproduces the numbers: the exact ones, and the draws."""
        name = typed(self.spec.text)
        return [f"bnstats exact {name}", f"bnstats compute {name} -n {count_text(self.draws)}"]

    @property
    def draws(self) -> int:
        """Independent draws behind the sampled numbers."""
        return int(self.row["samples"])

    @property
    def inexact(self) -> str:
        """Which quantities have no exact value, and why."""
        row = self.row
        lacking = [q.symbol for n, q in QUANTITIES.items() if n in row and not row[n]["exact"]]
        why = self.spec.bound.why_inexact
        return f"No exact {', '.join(lacking)}: {as_options(why)}" if lacking and why else ""

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        return list(self.row["warnings"])

    @property
    def assumed(self) -> str:
        """Values of parameters that nobody gave and that change the numbers."""
        return ", ".join(f"{k}={value_text(v)}" for k, v in self.spec.assumed.items())

    def _number(self, name: str) -> Number:
        entry = self.row[name]
        exact = entry["exact"]
        value, error = with_bound(exact["value"], exact["error"]) if exact else ("", "")
        known = is_believable(entry) and entry["stderr"]
        sampled = rounded(entry["value"], last_place(known)) if known else ""
        best = exact["value"] if exact else entry["value"]
        return Number(
            ALL_QUANTITIES[name].symbol,
            value,
            error,
            exact["by"] if exact else "",
            estimate_cell(entry),
            interval_cell(entry),
            z_cell(entry),
            value.replace(MINUS, "-") or sampled,
            math.nan if best is None else best,
            exact_cell(entry) or signed(sampled),
        )


@dataclass(frozen=True)
class LayerPage:
    """The page of a layer.

    Attributes
    ----------
    layer
        Its entry in the registry, or what a composed layer has in its place.
    path
        Its path in the site.
    variants
        The layer with those parameters that stand in the table of constants.
    claims
        What others print of it under other laws of its input, or solve for.
    """

    layer: Layer
    path: str
    variants: Sequence[Variant]
    claims: Sequence[ClaimRow]

    @property
    def libraries(self) -> dict[str, list[str]]:
        """The names that each library has for it, with the parameters that they carry."""
        return {
            library: [with_parameters(name, carried) for name, carried in names.items()]
            for library, names in names_of(self.layer.name).items()
        }

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Each parameter with its kind, range and default."""
        return [(p.name, parameter_text(p)) for p in self.layer.parameters]

    @property
    def breakpoints(self) -> str:
        """Where the first variant is not smooth."""
        return signed(", ".join(f"{k:g}" for k in self.variants[0].spec.bound.breakpoints))

    @property
    def searched(self) -> str:
        """The text in which the search field looks."""
        layer = self.layer
        theirs = (f"{library}.{n}" for library, names in self.libraries.items() for n in names)
        about = (layer.name, layer.family, *layer.aliases, layer.summary, layer.formula)
        return " ".join((*about, *theirs)).lower()


def layer_pages(constants: Mapping[str, Any], claims: Iterable[ClaimRow]) -> list[LayerPage]:
    """Return a page for every layer of the registry, and one for each that is composed of others.

    Raises
    ------
    BnstatsError
        The document lacks a layer, or has one that bnstats does not know.
    """
    usual: dict[str, list[ClaimRow]] = {}  # by canonical spec
    unusual: dict[str, list[ClaimRow]] = {}  # by the name of the layer
    for row in claims:
        claim = row.audited.claim
        spec = claim.spec
        rows, key = (usual, spec.text) if claim.is_usual else (unusual, spec.layer.name)
        rows.setdefault(key, []).append(row)
    variants: dict[str, list[Variant]] = {}
    for entry in constants["results"]:
        spec = parse(entry["layer"])
        found = Variant(spec, entry, usual.pop(spec.text, ()))
        variants.setdefault(spec.layer.name, []).append(found)
    lacking = [*usual, *sorted({*LAYERS, *unusual} - variants.keys())]
    if lacking:
        raise BnstatsError(
            f"the table of constants has no {lacking[0]}", hint="bnstats table constants"
        )
    paths = dict(zip(variants, _paths(variants), strict=True))
    return [
        LayerPage(of[0].spec.layer, paths[name], of, unusual.get(name, ()))
        for name, of in variants.items()
    ]


def _paths(names: Iterable[str]) -> Iterator[str]:
    """Yield a path for each name, of characters that are safe in files and in links."""
    taken: set[str] = set()
    for name in names:
        safe = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-.")
        numbered = (f"{safe}-{n}" for n in range(2, len(taken) + 3))
        free = next(path for path in (safe, *numbered) if path not in taken)
        taken.add(free)
        yield f"layers/{free}.html"


def _function(spec: Spec) -> Chart | None:
    found = curve(spec.bound, steps=_STEPS)
    if found is None:
        return None
    x, y, slope = (column.tolist() for column in found)
    return Chart(
        f"f and its slope f′ of {spec.text}, for x from {signed(f'{x[0]:g}')} to {x[-1]:g}",
        "x, its density in grey",
        (Line("f", x, y), Line("f′", x, slope)),
        shade=Line("", x, [math.exp(-v * v / 2) for v in x]),
    )


def _over_std(spec: Spec) -> Chart | None:
    """Return the chart of σ over σ[x], of what is known exactly."""
    columns: dict[str, list[float]] = {name: [] for name in _OVER}
    for std in _STDS:
        law = Law(x_std=std)
        known = exact_values(spec.under(law).bound, law)
        for name, values in columns.items():
            values.append(known[name].value if name in known else math.nan)
    if not any(
        abs(r - s) > 1e-9 * s for r, s in zip(columns["rms_y"], columns["std_y"], strict=True)
    ):
        del columns["rms_y"]  # E[y] is 0
    shown = {n: values for n, values in columns.items() if any(v > 0 for v in values)}
    if not shown:
        return None
    lines = (Line(QUANTITIES[name].symbol, _STDS, values) for name, values in shown.items())
    return Chart(
        f"Scales of {spec.text} over the standard deviation of x, "
        f"from {shortest(_STDS[0])} to {shortest(_STDS[-1])}",
        "σ[x]",
        tuple(lines),
        log=True,
    )

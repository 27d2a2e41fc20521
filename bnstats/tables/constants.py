"""The committed tables: building them, rendering them, and checking that they still hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnstats.api import exact
from bnstats.claims import claim_sets
from bnstats.documents.entries import SampledProvenance, conforms
from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.documents.write import document
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD
from bnstats.report.json import render as render_json
from bnstats.report.markdown import table
from bnstats.report.rows import estimate_cell, exact_cell, z_cell
from bnstats.result import Result
from bnstats.runs.drawing import sample
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import example_specs, parse
from bnstats.statistics.quantities import QUANTITIES
from bnstats.tables import plot, published
from bnstats.verification.check import Check
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import verify_constants

CONSTANTS_TABLE, PUBLISHED = "constants.md", "published.md"


def table_specs() -> tuple[str, ...]:
    """Return the layers of the table: the examples of each layer, and the layers of claims."""
    examples = (
        parse(example).text
        for layer in sorted(LAYERS.values(), key=lambda layer: (layer.family, layer.name))
        for example in example_specs(layer)
    )
    claimed = (claim.spec.text for s in claim_sets() for claim in s.claims)
    return tuple(dict.fromkeys((*examples, *claimed)))


def build(
    sampling: Sampling, *, argv: Sequence[str] = (), watch: Watch | None = None
) -> dict[str, Any] | None:
    """Return the document of all constants, or None when stopped before the end.

    Parameters
    ----------
    sampling
        How to sample each layer.
    argv
        Recorded in the provenance.
    watch
        Told of each layer and its progress, and asked whether to stop.
    """
    watch, specs = watch or Watch(), table_specs()
    results: list[Result] = []
    for spec in specs:
        watch.layer(spec, len(results), len(specs))
        result = sample(parse(spec), sampling, watch)
        if watch.stopping():
            return None
        results.append(result)
    return document(results, argv=argv)


def files(constants: Mapping[str, Any]) -> dict[str, str]:
    """Return the content of each file by its name; the Markdown is derived from the JSON."""
    return {
        CONSTANTS: render_json(constants) + "\n",
        CONSTANTS_TABLE: _constants_table(constants),
        PUBLISHED: published.render(constants),
    }


def check(directory: Path, settings: VerifySettings) -> tuple[list[str], tuple[Check, ...]]:
    """Return what no longer agrees in a directory of tables, and the check of every constant.

    Sampled values must agree statistically with fresh draws, and everything else exactly.
    """
    constants = read_constants(directory / CONSTANTS)
    checks = verify_constants(constants, settings)
    problems = [
        f"{CONSTANTS}: {c.layer} {c.quantity}: {c.reason}" for c in checks if c.outcome == "fail"
    ]
    law, standard = constants["provenance"]["law"], STANDARD._asdict()
    if constants.get("status") != "complete" or law != standard:
        problems.append(f"{CONSTANTS}: not a complete table of standard normal inputs")
    rows = {row["layer"]: row for row in constants["results"]}
    wanted = table_specs()
    problems += [f"{CONSTANTS}: {spec}: row is missing" for spec in wanted if spec not in rows]
    problems += [f"{CONSTANTS}: {spec}: no such layer now" for spec in rows if spec not in wanted]
    for spec in wanted:
        if spec in rows and not _same_claims(rows[spec], spec):
            problems.append(f"{CONSTANTS}: {spec}: published claims or their verdicts differ")
    rendered = files(constants)
    for name in (CONSTANTS_TABLE, PUBLISHED):
        problems += list(_differing_lines(directory / name, rendered[name]))
    problems += list(_outdated_plot(directory / published.PLOT, constants))
    return problems, checks


def _same_claims(row: Mapping[str, Any], spec: str) -> bool:
    def facts(claims: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        return [tuple(_fact(k, v) for k, v in sorted(claim.items())) for claim in claims]

    return facts(row.get("claims", ())) == facts([v.to_dict() for v in exact(spec).claims])


def _fact(name: str, value: Any) -> Any:
    """Return a value with only those digits of a number that any machine would compute."""
    if name == "relative_error" and value is not None:
        return round(value, 12)  # the rest is rounding
    if name == "equal_error_samples" and value is not None:
        return f"{value:.2g}"
    return f"{value:.9g}" if isinstance(value, float) else value


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _outdated_plot(path: Path, constants: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the plot; it may be absent, because matplotlib is optional."""
    if path.exists() and plot.digest(constants) not in (_text_of(path) or ""):
        yield f"{path.name}: does not show these claims; bnstats table published draws it anew"


def _differing_lines(path: Path, wanted: str) -> Iterator[str]:
    present = _text_of(path)
    if present is None:
        yield f"{path.name}: missing or unreadable"
        return
    there, here = present.splitlines(), wanted.splitlines()
    changed = [line for line in here if line not in set(there)]
    changed += [line for line in there if line not in set(here)]
    for line in changed:
        cells = [cell.strip(" `") for cell in line.split("|")]
        yield f"{path.name}: {' '.join(cells[1:3]) if len(cells) > 2 else line[:60]}: row differs"
    if present != wanted and not changed:
        yield f"{path.name}: rows are out of order or repeated"


def _constants_table(constants: Mapping[str, Any]) -> str:
    results = constants["results"]
    needed = ("samples", "claims", *QUANTITIES)
    as_drawn = conforms(constants["provenance"], SampledProvenance)
    if not as_drawn or not all(key in row for row in results for key in needed):
        raise BnstatsError(f"{CONSTANTS} does not hold sampled rows of every quantity")
    shown = ("mean_y", "std_y", "mean_dx", "std_dx", "var_dx", "gain_y", "gain_dx")
    header = ("layer", *(QUANTITIES[name].symbol for name in shown))
    exact_rows = ((f"`{r['layer']}`", *(exact_cell(r[n]) for n in shown)) for r in results)
    sampled = shown[:4]
    titles = (title for name in sampled for title in (QUANTITIES[name].symbol, "z"))
    sampled_rows = (
        (
            f"`{r['layer']}`",
            f"{r['samples']:,}",
            *(cell for n in sampled for cell in (estimate_cell(r[n]), z_cell(r[n]))),
        )
        for r in results
    )
    return "\n\n".join(
        [
            "# Constants",
            "x, dy ~ N(0, 1), independent. Forward y = f(x), backward dx = f′(x)·dy. A gain is the"
            "\nreciprocal of σ. Written by `bnstats table` from constants.json; checked by\n"
            "`bnstats verify` and `bnstats table --check`.",
            "## Exact values",
            table(header, exact_rows),
            "## Independent draws beside them",
            "Estimate with its standard error in parentheses, z against the exact value; "
            f"seed {constants['provenance']['seed']}.",
            table(("layer", "samples", *titles), sampled_rows) + "\n",
        ]
    )

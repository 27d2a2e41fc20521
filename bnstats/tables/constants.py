"""The committed tables: building them, rendering them, and checking that they still hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnstats.api import exact
from bnstats.claims import claim_sets, claims_on
from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.documents.write import document
from bnstats.layers import LAYERS, STANDARD
from bnstats.report.json import render as render_json
from bnstats.result import Result
from bnstats.runs.drawing import sample
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import example_specs, parse
from bnstats.tables import reference
from bnstats.tables.published import data, page, plot
from bnstats.tables.published.audit import Audited, audited
from bnstats.tables.text import differing_lines, outdated_plot
from bnstats.verification.check import Check
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import verify_constants


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


def files(constants: Mapping[str, Any], claims: Sequence[Audited] | None = None) -> dict[str, str]:
    """Return the content of each file by its name; all are derived from the JSON.

    ``claims`` are the audited ones, where they are at hand.
    """
    claims = audited(constants) if claims is None else claims
    return {
        CONSTANTS: render_json(constants) + "\n",
        reference.PAGE: reference.render(constants),
        page.PAGE: page.render(claims),
        data.DATA: data.rows(claims),
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
    return [*problems, *outdated(directory, constants)], checks


def outdated(directory: Path, constants: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not made of a document of constants, among the files that are."""
    claims = audited(constants)
    rendered = files(constants, claims)
    del rendered[CONSTANTS]
    for name, text in rendered.items():
        yield from differing_lines(directory / name, text)
    yield from outdated_plot(directory / page.PLOT, plot.digest(claims), "published")


def _same_claims(row: Mapping[str, Any], spec: str) -> bool:
    """Whether a row has the claims of today, and the verdicts by exact values that these have.

    Verdicts by draws follow from the estimates, which are checked.
    """

    def facts(claims: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        return [tuple(_fact(k, v) for k, v in sorted(claim.items())) for claim in claims]

    there, known = row.get("claims", ()), [v.to_dict() for v in exact(spec).claims]
    named = [(c.set, c.quantity, c.printed.text, c.source) for c in claims_on(spec)]
    return [(c["set"], c["quantity"], c["printed"], c["source"]) for c in there] == named and (
        facts([c for c in there if c["decided_by"] == "exact"]) == facts(known)
    )


def _fact(name: str, value: Any) -> Any:
    """Return a value with only those digits of a number that any machine would compute."""
    if name == "relative_error" and value is not None:
        return round(value, 12)  # the rest is rounding
    if name == "equal_error_samples" and value is not None:
        return f"{value:.2g}"
    return f"{value:.9g}" if isinstance(value, float) else value

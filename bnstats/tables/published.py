"""The audit of published constants as Markdown: which digits are right, and which are not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from bnstats.claims import ClaimSet, claim_sets
from bnstats.claims.values import parse_value
from bnstats.documents.entries import ClaimEntry, QuantityEntry
from bnstats.notation import signed
from bnstats.report.markdown import table
from bnstats.report.rows import estimate_cell, exact_cell, interval_cell, interval_title
from bnstats.statistics.quantities import QUANTITIES

PLOT = "published.svg"

_ORDER = {"refuted": 0, "undecided": 1, "reproduced": 2}
_FEWEST = 5  # values of one source from which its errors can be judged together
_HEADER = (
    "verdict",
    "layer",
    "quantity",
    "printed",
    "exact",
    "sampled",
    "95 % interval",
    "relative error",
    "digits right",
    "remark",
    "set",
    "source",
)


class Audited(NamedTuple):
    """A claim's entry in the document of constants, with its layer's."""

    row: Mapping[str, Any]
    claim: ClaimEntry

    @property
    def entry(self) -> QuantityEntry:
        """What is known of the quantity claimed."""
        found: QuantityEntry = self.row[self.claim["quantity"]]
        return found

    @property
    def truth(self) -> float:
        """The exact value; nan where there is none."""
        exact = self.entry["exact"]
        return math.nan if exact is None else exact["value"]

    @property
    def error(self) -> float:
        """The relative error; 0 where the truth is 0."""
        return self.claim["relative_error"] or 0.0


def audited(constants: Mapping[str, Any]) -> list[Audited]:
    """Return every claim of a document, the most surprising first.

    Refuted claims come before undecided and reproduced ones, larger relative errors before smaller.
    """
    found = [Audited(row, claim) for row in constants["results"] for claim in row["claims"]]
    return sorted(found, key=lambda a: (_ORDER[a.claim["verdict"]], -abs(_settled(a))))


def _settled(a: Audited) -> float:
    # The error of a reproduced value is rounding, by which there is nothing to order.
    return a.error if a.claim["verdict"] == "refuted" else 0.0


def render(constants: Mapping[str, Any]) -> str:
    """Return the audit of all claims in a document of constants."""
    claims = audited(constants)
    by_set = {s.name: [a for a in claims if a.claim["set"] == s.name] for s in claim_sets()}
    sets = [s for s in claim_sets() if by_set[s.name]]
    counts = [f"{_count(claims, outcome)} {outcome}" for outcome in _ORDER]
    confidence = interval_title(constants["provenance"])
    header = tuple(confidence if h == "95 % interval" else h for h in _HEADER)
    return "\n".join(
        [
            "# Published constants and their verdicts",
            "",
            f"{len(claims)} claims: {', '.join(counts)}. A value printed with d decimals claims",
            "the interval of ± half a unit of its last decimal, also under a root; an expression",
            "or a whole number claims itself. Where an exact value is known it decides, and",
            "independent draws bear witness.",
            "",
            f"![Relative errors of the published constants]({PLOT})",
            "",
            "## Sources",
            "",
            table(
                ("set", "claims", "refuted", "digits right", "largest error", "convention"),
                (
                    _set_row(s, by_set[s.name])
                    for s in sorted(sets, key=lambda s: -abs(_worst(by_set[s.name])))
                ),
            ),
            "",
            *_together(by_set),
            "## Claims",
            "",
            table(header, map(_claim_row, claims)),
            "",
        ]
    )


def _worst(found: Sequence[Audited]) -> float:
    return max((a.error for a in found if a.claim["verdict"] == "refuted"), key=abs, default=0.0)


def _count(claims: Iterable[Audited], outcome: str) -> int:
    return sum(a.claim["verdict"] == outcome for a in claims)


def _set_row(claims: ClaimSet, found: Sequence[Audited]) -> tuple[str, ...]:
    refuted = [a for a in found if a.claim["verdict"] == "refuted"]
    right = [(a.claim["digits_right"], a.claim["digits_printed"]) for a in refuted]
    decimals = [(r, p) for r, p in right if p]
    digits = ""
    if decimals:
        of = _range(p for _, p in decimals)
        digits = f"{_range(r for r, _ in decimals)} of {of}"
    return (
        claims.name,
        str(len(found)),
        str(len(refuted)),
        digits,
        _percent(_worst(found)) if refuted else "",
        claims.convention,
    )


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def _claim_row(a: Audited) -> tuple[str, ...]:
    claim, refuted = a.claim, a.claim["verdict"] == "refuted"
    remark = claim["remark"]
    if claim["verdict"] == "reproduced":  # its exact value has a column of its own
        remark = remark.partition("; ")[2]
    digits = str(claim["digits_right"]) if refuted else ""
    if refuted and claim["digits_printed"]:
        digits += f" of {claim['digits_printed']}"
    return (
        claim["verdict"],
        f"`{a.row['layer']}`",
        QUANTITIES[claim["quantity"]].symbol,
        claim["printed"],
        exact_cell(a.entry),
        estimate_cell(a.entry),
        interval_cell(a.entry),
        _percent(a.error) if refuted else "",
        digits,
        "; ".join(filter(None, (remark, claim["note"]))),
        claim["set"],
        claim["source"],
    )


def _percent(error: float) -> str:
    return signed(f"{100 * error:+.2g} %")


def _together(by_set: Mapping[str, Sequence[Audited]]) -> Iterator[str]:
    """Yield what the errors of one source show together and none shows alone."""
    found = [line for name, claims in by_set.items() for line in _of_one_source(name, claims)]
    if found:
        yield "## Errors of one source taken together"
        yield ""
        yield from found
        yield ""


def _of_one_source(name: str, claims: Sequence[Audited]) -> Iterator[str]:
    sampled = [
        a
        for a in claims
        if a.claim["verdict"] == "refuted" and a.claim["equal_error_samples"] is not None
    ]
    if len(sampled) >= _FEWEST:
        yield f"- {name}: {_as_samples(sampled)}"
    for a, b in combinations(sampled, 2):
        if a.claim["quantity"] == b.claim["quantity"] and _printed_apart(a, b):
            yield (
                f"- {name}: {QUANTITIES[a.claim['quantity']].symbol} of `{a.row['layer']}` and of "
                f"`{b.row['layer']}` are the same to {_same_digits(a, b)} digits, but "
                f"{a.claim['printed']} and {b.claim['printed']} are printed."
            )


def _as_samples(claims: Sequence[Audited]) -> str:
    """Say how many draws would leave such errors, and whether chance alone explains them.

    If the values are independent, unbiased estimates from n draws each, n times the sum of
    (error/spread)² is χ²-distributed with as many degrees of freedom as there are values.
    """
    from scipy.special import chdtri

    k = len(claims)
    total = sum(1 / n for a in claims if (n := a.claim["equal_error_samples"]))
    low, high = (float(chdtri(k, p)) / total for p in (0.975, 0.025))
    text = (
        f"the {k} errors are, if independent and due to chance alone, those of "
        f"{_draws(k / total)} draws (95 %: {_draws(low)} to {_draws(high)})"
    )
    stated = {a.claim["samples"] for a in claims}
    if len(stated) == 1 and (samples := stated.pop()):
        text += f"; {samples:,} are stated"
    above = sum(a.error > 0 for a in claims)
    if above in (0, k):
        direction = "large" if above else "small"
        text += (
            f". But all {k} are too {direction}: chance alone has all err one way in "
            f"1 of {2 ** (k - 1):,} cases"
        )
    return f"{text}."


def _draws(number: float) -> str:
    return f"{number:.0e}".replace("e+0", "e").replace("e+", "e")


def _printed_apart(a: Audited, b: Audited) -> bool:
    apart = abs(parse_value(a.claim["printed"]).value - parse_value(b.claim["printed"]).value)
    return abs(a.truth - b.truth) < 1e-3 * apart


def _same_digits(a: Audited, b: Audited) -> str:
    relative = abs(a.truth - b.truth) / abs(a.truth)
    return str(min(math.floor(-math.log10(relative)), 13)) if relative > 0 else "all"

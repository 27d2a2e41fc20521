"""The audit of published constants as Markdown: which digits are right, and which are not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from bnstats.claims import ClaimSet, claim_sets
from bnstats.claims.grades import GRADES
from bnstats.claims.values import parse_value
from bnstats.notation import percent_off, shortest
from bnstats.report.markdown import table
from bnstats.report.rows import estimate_cell, exact_cell, interval_cell, interval_title
from bnstats.statistics.quantities import ALL_QUANTITIES

PLOT = "published.svg"

_WORST_FIRST = ("wrong", "wrong quantity", "last digits are noise", "cut off")
_ORDER = (*_WORST_FIRST, "not a moment", "undecided", "reproduced")
_FEWEST = 5  # values of one source from which its errors can be judged together


class Audited(NamedTuple):
    """A claim's entry in the document of constants, with its layer's."""

    row: Mapping[str, Any]
    claim: Mapping[str, Any]

    @property
    def refuted(self) -> bool:
        """Whether the claim is wrong."""
        return bool(self.claim["verdict"] == "refuted")

    @property
    def off(self) -> bool:
        """Whether its value is not the quantity's, be it claimed or not."""
        return self.refuted or bool(self.claim["verdict"] == "not a moment")

    @property
    def quantity(self) -> str:
        """The symbol of the quantity claimed."""
        return ALL_QUANTITIES[self.claim["quantity"]].symbol

    @property
    def entry(self) -> Any:
        """What is known of the quantity claimed."""
        return self.row[self.claim["quantity"]]

    @property
    def truth(self) -> float:
        """The exact value; nan where there is none."""
        exact = self.entry["exact"]
        return math.nan if exact is None else exact["value"]

    @property
    def error(self) -> float:
        """The relative error; 0 where the truth is 0."""
        return self.claim["relative_error"] or 0.0

    @property
    def error_text(self) -> str:
        """The relative error in per cent, of a value that is not the quantity's."""
        return _percent(self.error) if self.off else ""

    @property
    def digits_text(self) -> str:
        """How many digits are right, and of how many, where the claim is wrong."""
        right, printed = self.claim["digits_right"], self.claim["digits_printed"]
        return "" if not self.refuted else f"{right} of {printed}" if printed else str(right)

    @property
    def remark(self) -> str:
        """Why the verdict is as it is, and what the source says of the value."""
        remark = self.claim["remark"]
        if self.claim["verdict"] == "reproduced":  # its exact value has a column of its own
            remark = remark.partition("; ")[2]
        return "; ".join(filter(None, (remark, self.claim["note"])))

    @property
    def rank(self) -> int:
        """The place of its grade, 0 being the most surprising one."""
        return _ORDER.index(self.claim["grade"])


def audited(constants: Mapping[str, Any]) -> list[Audited]:
    """Return every claim of a document, the most surprising first.

    They are in the order of their grades; of one grade, larger relative errors come first.
    """
    found = [Audited(row, claim) for row in constants["results"] for claim in row["claims"]]
    # The error of a reproduced value is rounding, by which there is nothing to order.
    return sorted(found, key=lambda a: (a.rank, -abs(a.error) * a.off))


def render(constants: Mapping[str, Any]) -> str:
    """Return the audit of all claims in a document of constants."""
    claims = audited(constants)
    by_set = {s.name: [a for a in claims if a.claim["set"] == s.name] for s in claim_sets()}
    sets = [s for s in claim_sets() if by_set[s.name]]
    sets.sort(key=lambda s: -abs(_worst(by_set[s.name])))
    given = Counter(a.claim["grade"] for a in claims)
    counts = [f"{given[grade]} {grade}" for grade in GRADES if given[grade]]
    columns = _columns(interval_title(constants["provenance"]))
    return "\n\n".join(
        [
            "# Published constants and their verdicts",
            f"{len(claims)} claims: {', '.join(counts)}.",
            "A value printed with d decimals claims the interval of ± half a unit of its last\n"
            "decimal, also under a root; an expression or a whole number claims itself. Where an\n"
            "exact value is known it decides, and independent draws bear witness.",
            "*Last digits are noise*: the value is right within the error of the draws behind it,\n"
            "but has more digits than these determine. *Not a moment*: a placeholder or a rule of\n"
            "thumb, which claims nothing.",
            f"![Relative errors of the published constants]({PLOT})",
            "## Sources",
            table(
                ("set", "claims", "refuted", "digits right", "largest error", "convention"),
                (_set_row(s, by_set[s.name]) for s in sets),
            ),
            *_together(by_set),
            "## Claims",
            table(tuple(columns), ([cell(a) for cell in columns.values()] for a in claims)) + "\n",
        ]
    )


def _worst(found: Sequence[Audited]) -> float:
    return max((a.error for a in found if a.refuted), key=abs, default=0.0)


def _set_row(claims: ClaimSet, found: Sequence[Audited]) -> tuple[str, ...]:
    refuted = [a for a in found if a.refuted]
    decimals = [a.claim for a in refuted if a.claim["digits_printed"]]
    keys = ("digits_right", "digits_printed") if decimals else ()
    digits = " of ".join(_range(claim[key] for claim in decimals) for key in keys)
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


def _columns(interval: str) -> dict[str, Callable[[Audited], str]]:
    """Return the columns of the table of claims."""
    return {
        "verdict": lambda a: a.claim["grade"],
        "layer": lambda a: f"`{a.row['layer']}`",
        "quantity": lambda a: a.quantity,
        "printed": lambda a: a.claim["printed"],
        "exact": lambda a: exact_cell(a.entry),
        "sampled": lambda a: estimate_cell(a.entry),
        interval: lambda a: interval_cell(a.entry),
        "relative error": lambda a: a.error_text,
        "digits right": lambda a: a.digits_text,
        "remark": lambda a: a.remark,
        "set": lambda a: a.claim["set"],
        "source": lambda a: a.claim["source"],
    }


def _percent(error: float) -> str:
    return percent_off(error, digits=2)


def _together(by_set: Mapping[str, Sequence[Audited]]) -> Iterator[str]:
    """Yield what the errors of one source show together and none shows alone."""
    found = [line for name, claims in by_set.items() for line in _of_one_source(name, claims)]
    if found:
        yield "## Errors of one source taken together"
        yield "\n".join(found)


def _of_one_source(name: str, claims: Sequence[Audited]) -> Iterator[str]:
    sampled = [a for a in claims if a.refuted and a.claim["equal_error_samples"] is not None]
    if len(sampled) >= _FEWEST:
        yield f"- {name}: {_as_samples(sampled)}"
    for a, b in combinations(sampled, 2):
        if a.claim["quantity"] == b.claim["quantity"] and _printed_apart(a, b):
            yield (
                f"- {name}: {a.quantity} of `{a.row['layer']}` and of "
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
    return shortest(float(f"{number:.0e}"), 1)


def _printed_apart(a: Audited, b: Audited) -> bool:
    apart = abs(parse_value(a.claim["printed"]).value - parse_value(b.claim["printed"]).value)
    return abs(a.truth - b.truth) < 1e-3 * apart


def _same_digits(a: Audited, b: Audited) -> str:
    relative = abs(a.truth - b.truth) / abs(a.truth)
    return str(min(math.floor(-math.log10(relative)), 13)) if relative > 0 else "all"

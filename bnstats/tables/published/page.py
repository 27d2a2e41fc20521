"""The audit of published constants as a page: what matters first, and a row for every source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from bnstats.claims import ClaimSet, claim_sets
from bnstats.claims.grades import GRADES
from bnstats.notation import percent_off, plural, shortest, signed, significant
from bnstats.report.markdown import paragraph, table
from bnstats.tables.published.audit import Audited
from bnstats.tables.published.data import DATA
from bnstats.tables.published.stack import DEPTH

PAGE, PLOT = "published.md", "published.svg"
_FEWEST = 5  # values of one source from which its errors can be judged together
_NAMED = 2  # of the worst, in the first lines


def render(claims: Sequence[Audited]) -> str:
    """Return the page of an audit, which `bnstats.tables.published.audit.audited` makes."""
    by_set = {s.name: [a for a in claims if a.claim.set == s.name] for s in claim_sets()}
    sets = [s for s in claim_sets() if by_set[s.name]]
    sets.sort(key=lambda s: -abs(_worst(by_set[s.name])))
    much = sorted((a for a in claims if a.much), key=_by_effect)
    given = Counter(a.grade for a in claims)
    counts = ", ".join(f"{given[grade]} {grade}" for grade in GRADES if given[grade])
    return "\n\n".join(
        [
            "# Published constants and their verdicts",
            paragraph(_verdict(claims, much)),
            "## Off by more than 1 %",
            paragraph(_explained()),
            *_much(much),
            "## Sources",
            paragraph(
                f"{plural(len(claims), 'claim')} of {plural(len(sets), 'set')}: {counts}. Every "
                f"claim is a row of [{DATA}]({DATA}), with the value to print instead, the reason "
                "and the command that reproduces it; `bnstats show SET` prints those of a set, and "
                "`bnstats show SET --patch` the lines to replace."
            ),
            table(
                ("set", "source", "claims", "refuted", "digits right", "largest error"),
                (_set_row(s, by_set[s.name]) for s in sets),
            ),
            paragraph(
                "A value printed with d decimals claims the interval of ± half a unit of its last "
                "decimal, also under a root; an expression or a whole number claims itself. Where "
                "an exact value is known it decides, and independent draws bear witness. *Last "
                "digits are noise*: the value is right within the error of the draws behind it, "
                "but has more digits than these determine. *Not a moment*: a placeholder or a rule "
                "of thumb, which claims nothing."
            ),
            f"![Relative errors of the published constants]({PLOT})",
            *_together(by_set),
            "Written by `bnstats table published`; checked by `bnstats table published --check`.\n",
        ]
    )


def _verdict(claims: Sequence[Audited], much: Sequence[Audited]) -> str:
    """Return the first lines: what is off in use, what it does, and what else does not hold."""
    right = sum(a.grade == "reproduced" for a in claims)
    used = [a for a in much if a.in_program]
    named = "; ".join(f"{_name(a)} by {_percent(a.error)}, {_after(a)}" for a in used[:_NAMED])
    small = sum(a.refuted and not a.much for a in claims)
    worst = f": {named}" if named else ""
    return (
        f"**{right} of {plural(len(claims), 'constant')} hold in every digit printed; {len(much)} "
        f"are off by more than 1 %, {len(used)} of them in source code**{worst}. "
        f"{small} more are wrong in their last digits."
    )


def _name(a: Audited) -> str:
    return f"{a.claim.set}'s {a.quantity} of `{a.layer}`"


def _after(a: Audited) -> str:
    if a.growth is None:
        return "no scale"
    return f"×{signed(significant(a.growth.after, 2))} after {DEPTH} layers"


def _explained() -> str:
    return (
        "What a constant that scales layers does to σ, of y forward and of dx backward, where the "
        "right one keeps it at 1: *one* layer with a standard normal input; "
        f"{DEPTH} layers *alone*, as if the input of each were standard normal; and {DEPTH} "
        "*wide* ones, each followed by a dense layer of infinite width with weights of variance "
        "1/fan_in and no biases, as `bnstats propagate` predicts: there an activation that "
        "saturates holds the signal at another scale, and one that is unstable drives it further "
        "away. Where a constant is 1/σ[y] or σ[y], the mean of y is taken to be removed. Backward "
        "constants act on gradients, which are linear in them. Whether anybody stacks so many is "
        "not said; a norm in between undoes all of it."
    )


def _much(much: Sequence[Audited]) -> Iterator[str]:
    """Yield the tables of what is off by more than 1 %, programs first."""
    header = ("layer", "quantity", "printed", "true", "off", "one", "alone", "wide", "grade", "set")
    for title, found in (
        ("In source code", [a for a in much if a.in_program]),
        ("In papers, posts and threads", [a for a in much if not a.in_program]),
    ):
        if found:
            yield f"### {title}"
            yield table(header, map(_much_row, found))


def _much_row(a: Audited) -> tuple[str, ...]:
    exact, stack = a.exact, a.growth
    true = "" if exact is None else signed(shortest(exact["value"], 5))
    scales = (stack.layer, stack.alone, stack.wide) if stack else (None, None, None)
    return (
        f"`{a.layer}`",
        a.quantity,
        a.claim.printed.text,
        true,
        _percent(a.error),
        *("" if number is None else signed(significant(number, 3)) for number in scales),
        a.grade,
        a.claim.set,
    )


def _by_effect(a: Audited) -> tuple[bool, float]:
    """Order by what becomes of a stack, what scales nothing last."""
    if a.growth is None:
        return True, -abs(a.error)
    scale = a.growth.after
    return False, -abs(math.log(scale)) if scale > 0 else -math.inf


def _worst(found: Sequence[Audited]) -> float:
    return max((a.error for a in found if a.refuted), key=abs, default=0.0)


def _set_row(claims: ClaimSet, found: Sequence[Audited]) -> tuple[str, ...]:
    refuted = [a for a in found if a.refuted]
    decimals = [a.verdict for a in refuted if a.verdict["digits_printed"]]
    keys = ("digits_right", "digits_printed") if decimals else ()
    digits = " of ".join(_range(verdict[key] for verdict in decimals) for key in keys)
    return (
        claims.name,
        f"[{claims.title}]({claims.url})" if claims.url else claims.title,
        str(len(found)),
        str(len(refuted)),
        digits,
        _percent(_worst(found)) if refuted else "",
    )


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def _percent(error: float) -> str:
    return percent_off(error, digits=2)


def _together(by_set: Mapping[str, Sequence[Audited]]) -> Iterator[str]:
    """Yield what the errors of one source show together and none shows alone."""
    found = [line for name, claims in by_set.items() for line in _of_one_source(name, claims)]
    if found:
        yield "## Errors of one source taken together"
        yield "\n".join(found)


def _of_one_source(name: str, claims: Sequence[Audited]) -> Iterator[str]:
    sampled = [a for a in claims if _is_of_draws(a)]
    if len(sampled) >= _FEWEST:
        yield f"- {name}: {_as_samples(sampled)}"
    for a, b in combinations(sampled, 2):
        alike = a.claim.quantity == b.claim.quantity and a.layer != b.layer
        if alike and _printed_apart(a, b):
            yield (
                f"- {name}: {a.quantity} of `{a.layer}` and of `{b.layer}` are the same to "
                f"{_same_digits(a, b)} digits, but {a.claim.printed.text} and "
                f"{b.claim.printed.text} are printed."
            )


def _is_of_draws(a: Audited) -> bool:
    """Whether an error may be that of a sample: no larger one, and of the quantity claimed."""
    kinds = ("wrong", "last digits are noise")
    return a.grade in kinds and not a.much and a.verdict["equal_error_samples"] is not None


def _as_samples(claims: Sequence[Audited]) -> str:
    """Say how many draws would leave such errors, and whether chance alone explains them.

    If the values are independent, unbiased estimates from n draws each, n times the sum of
    (error/spread)² is χ²-distributed with as many degrees of freedom as there are values.
    """
    from scipy.special import chdtri

    k = len(claims)
    total = sum(1 / n for a in claims if (n := a.verdict["equal_error_samples"]))
    low, high = (float(chdtri(k, p)) / total for p in (0.975, 0.025))
    text = (
        f"the {k} errors are, if independent and due to chance alone, those of "
        f"{_draws(k / total)} draws (95 %: {_draws(low)} to {_draws(high)})"
    )
    stated = {a.claim.samples for a in claims}
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


def _truth(a: Audited) -> float:
    return math.nan if a.exact is None else float(a.exact["value"])


def _printed_apart(a: Audited, b: Audited) -> bool:
    apart = abs(a.claim.printed.value - b.claim.printed.value)
    return abs(_truth(a) - _truth(b)) < 1e-3 * apart


def _same_digits(a: Audited, b: Audited) -> str:
    relative = abs(_truth(a) - _truth(b)) / abs(_truth(a))
    return str(min(math.floor(-math.log10(relative)), 13)) if relative > 0 else "all"

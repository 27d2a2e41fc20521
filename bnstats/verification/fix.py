"""Replacing wrong values in a claims file, and nothing else in it.

Only the characters of the value change; `bnstats.claims.places` says where they stand. tomlkit
could write TOML back as it was, but neither CSV nor JSON, and it does not know the lines of values.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnstats.claims import Claim
from bnstats.claims.corrected import corrected, significant
from bnstats.claims.files import read_claims_file
from bnstats.claims.places import Place
from bnstats.claims.values import decimal_parts
from bnstats.errors import BnstatsError, printable
from bnstats.statistics.alarm import two_sided
from bnstats.statistics.quantities import symbol_of
from bnstats.verification.check import Check
from bnstats.verification.claims import verify_claims
from bnstats.verification.gate import VerifySettings

_QUOTES = re.compile("\"{3}|'{3}|[\"']?")


@dataclass(frozen=True)
class Change:
    """A wrong value, the value that replaces it, and the place where it stands.

    ``name`` says which value it is, for a person.
    """

    name: str
    place: Place
    old: str
    new: str


def corrections(
    checks: Sequence[Check], family_error: float, digits: int | None = None
) -> tuple[list[Change], list[tuple[Check, str]]]:
    """Return what to replace in users' files, and which wrong values stay, with the reason.

    Parameters
    ----------
    checks
        Checks of any number of files; what is right or undecided is left alone.
    family_error
        The chance that any interval of a file's claims misses the truth; a sampled value gets the
        digits that its interval fixes.
    digits
        Significant digits for wrong expressions and whole numbers; None leaves these alone,
        because a formula also says where a number comes from.
    """
    tests = Counter(check.place.path for check in checks if check.place)
    changes, refusals = dict[Change, None](), []
    for check in (c for c in checks if c.outcome == "fail"):
        claims = tests[check.place.path] if check.place else 1
        z = two_sided(family_error / claims)
        found = _correction(check, z, digits)
        if isinstance(found, Change):
            changes[found] = None
        else:
            refusals.append((check, found))
    return list(changes), refusals


def _correction(check: Check, z: float, digits: int | None) -> Change | str:
    """Return the change, or the reason why there is none."""
    verdict, place, estimate = check.verdict, check.place, check.estimate
    if place is None:
        return "not in a file of yours"
    if place.line is None:
        return "bnstats table regenerates results"
    if verdict is None:
        return "the draws disagree with the exact value"
    if estimate is None:
        return "too wide to be drawn: no sample bears witness to the exact value"
    if not estimate.reliable or (check.exact and check.z is None):
        return "the draws are too few to bear witness; try a larger `samples`"
    printed, bounds = verdict.claim.printed, _bounds(check, z)
    if other := verdict.value_of:
        is_, but = symbol_of(other), symbol_of(check.quantity)
        return f'{printed.text} is {is_}, not {but}: quantity = "{other}"?'
    if not printed.symbolic and decimal_parts(printed.text) is not None:
        new = corrected(printed, *bounds)
    elif digits is not None:
        new = significant(*bounds, digits)
    else:
        return "an expression or a whole number; `digits=N` replaces it by N digits"
    if new is None:
        return "too few digits of it are known; try a larger `samples`"
    return Change(check.name, place, printed.text, new)


def _bounds(check: Check, z: float) -> tuple[float, float]:
    """Return an interval that holds the truth: by the exact value, or else by the sample."""
    if check.exact is not None:
        return check.exact.value - check.exact.error, check.exact.value + check.exact.error
    interval = check.estimate.interval_at(z) if check.estimate else None
    return interval or (-math.inf, math.inf)


def rewritten(text: str, changes: Iterable[Change]) -> str:
    """Return a file's text with values replaced, every other character as it was."""
    skipped = len(text) - len(text.removeprefix("\ufeff"))
    for change in sorted(changes, key=lambda c: c.place.start, reverse=True):
        start, end = change.place.start + skipped, change.place.end + skipped
        token = text[start:end]
        quotes = _QUOTES.match(token)[0]  # type: ignore[index]
        inner = token[len(quotes) : len(token) - len(quotes)]
        plain = inner.strip() == change.old  # otherwise it is spelt with escapes
        inner = inner.replace(change.old, change.new) if plain else change.new
        token = f"{quotes}{inner}{quotes}"
        text = text[:start] + token + text[end:]
    return text


def rewritten_files(changes: Sequence[Change]) -> dict[Path, tuple[str, str]]:
    """Return the text of each file, as it is and as it should be; nothing is written.

    Raises
    ------
    BnstatsError
        A file is no longer the one that was verified.
    """
    found = {}
    for path in dict.fromkeys(change.place.path for change in changes):
        own = [change for change in changes if change.place.path == path]
        here = {(c.place, c.printed.text) for change in own for c in _claims(change.place)}
        if not all((c.place, c.old) in here for c in own):
            shown = printable(str(path))
            raise BnstatsError(f"{shown} changed while it was verified; nothing is rewritten")
        old = path.read_bytes().decode()
        found[path] = old, rewritten(old, own)
    return found


def verified_again(
    checks: Sequence[Check], changes: Sequence[Change], settings: VerifySettings
) -> list[Check]:
    """Return the checks; changed values are read from the files again and checked anew.

    The claims of a file keep their order, and with it their number.
    """
    changed, anew = {change.place for change in changes}, dict[Place | None, Check]()
    for file in dict.fromkeys(_file(place) for place in changed):
        before = sorted(
            (c.place for c in checks if c.place and _file(c.place) == file), key=lambda p: p.start
        )
        now = zip(before, _claims(before[0]), strict=True)
        pairs = [(place, claim) for place, claim in now if place in changed]
        found = verify_claims([claim for _, claim in pairs], settings)
        anew |= {place: check for (place, _), check in zip(pairs, found, strict=True)}
    return [anew.get(check.place, check) for check in checks]


def _file(place: Place) -> tuple[Path, str, str | None]:
    return place.path, place.part, place.quantity


def _claims(place: Place) -> tuple[Claim, ...]:
    return read_claims_file(place.path, place.quantity, place.part).claims

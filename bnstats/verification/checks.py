"""Checking constants: committed tables and claims against exact values and fresh draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

from bnstats.api import exact as known_exactly
from bnstats.claims import Claim, claim_set
from bnstats.claims.files import read_claims_file
from bnstats.claims.places import Place
from bnstats.claims.verdict import Verdict, judge
from bnstats.custom import as_typed, load_trusted
from bnstats.documents.read import CONSTANTS, RESULTS, is_document, read_constants
from bnstats.errors import BnstatsError, printable
from bnstats.layers import Law
from bnstats.result import Result
from bnstats.sampling.iid import check_size, is_too_wide
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.estimate import MIN_N_EFF, Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES
from bnstats.verification.gate import FreshDraws, Outcome, Settings, Stopped


@dataclass(frozen=True)
class Check:
    """One constant, checked.

    Attributes
    ----------
    layer, quantity
        What the constant is of.
    outcome
        ``ok``, ``fail`` or ``undecided``.
    wanted
        The committed or claimed value, as text.
    exact, estimate
        What is known without sampling, and the latest fresh draws; of a layer too wide to be
        drawn there are none.
    z
        Of the fresh draws (of the second stage, if there was one) against the exact value, or
        against the committed one where there is no exact value.
    reason
        Why it did not pass; empty for ``ok``.
    command
        Reproduces what decided: the fresh draws, or the exact value.
    verdict
        Of a claim.
    place
        In the file that was verified.
    warnings
        What the layer and the backend had to say while it was drawn.
    """

    layer: str
    quantity: str
    outcome: Outcome
    wanted: str
    exact: Exact | None = None
    estimate: Estimate | None = None
    z: float | None = None
    reason: str = ""
    command: str = ""
    verdict: Verdict | None = None
    place: Place | None = None
    warnings: tuple[str, ...] = ()


def verify(what: str | Path, settings: Settings | None = None) -> tuple[Check, ...]:
    """Check a claim set by name, a TOML, JSON or CSV file of claims, or a results document.

    Returns
    -------
    tuple of Check
        One for each claim, in the set's order, or for each constant of the document.

    Raises
    ------
    BnstatsError
        An unknown set, or a file that cannot be read.

    Examples
    --------
    >>> checks = verify("feng2016-repost", Settings(samples=100_000))
    >>> [c.outcome for c in checks]
    ['fail', 'fail']
    """
    return source_of(what, settings or Settings())()


def source_of(what: str | Path, settings: Settings) -> Callable[[], tuple[Check, ...]]:
    """Read what is to be verified, and return the function that does it.

    Reading everything first finds a misspelt name before an hour of sampling. Draws of a results
    document use another seed than its own.

    Parameters
    ----------
    what
        A claim set by name; a file of claims; a results document, or the directory that holds
        constants.json.
    settings
        How to verify.
    """
    path = Path(what)
    try:
        if path.is_dir() or str(what) == RESULTS:
            path = path / CONSTANTS
    except (OSError, ValueError):  # a name too long, or with a NUL
        raise BnstatsError(f"no file has such a name: {printable(str(path))}") from None
    if path.name == CONSTANTS or is_document(path):
        document = read_constants(path)
        own = document["provenance"].get("seed")
        if own in (settings.seed, settings.seed + 1):  # the two stages' seeds
            settings = replace(settings, seed=own + 1)
        place = Place(path)
        return lambda: tuple(
            replace(check, place=place) for check in verify_constants(document, settings)
        )
    is_file = isinstance(what, Path) or path.suffix or len(path.parts) > 1
    claims = read_claims_file(path) if is_file else claim_set(str(what))
    return lambda: verify_claims(claims.claims, settings)


def verify_claims(claims: Iterable[Claim], settings: Settings) -> tuple[Check, ...]:
    """Judge claims; the exact value decides where there is one, the sample bears witness.

    Of a layer too wide to be drawn there is no witness.

    Raises
    ------
    BnstatsError
        A layer too wide to be drawn, of which no exact value is known.
    """
    by_layer: dict[str, list[Claim]] = {}
    for claim in claims:
        by_layer.setdefault(claim.spec.text, []).append(claim)
    for group in by_layer.values():  # before any is drawn
        _check_drawable(group)
    tests = sum(map(len, by_layer.values()))
    checks: dict[tuple[str, str], Check] = {}
    for done, group in enumerate(by_layer.values()):
        if settings.should_stop():
            break
        spec = group[0].spec
        settings.on_layer(spec.text, done, len(by_layer))
        if is_too_wide(spec):
            checks |= {(spec.text, claim.quantity): _check_undrawn(claim) for claim in group}
            continue
        try:
            draws = FreshDraws(spec, settings, tests)
            found = [_check_claim(claim, draws, settings, tests) for claim in group]
        except Stopped:
            break
        told = draws.warnings
        checks |= {(spec.text, c.quantity): replace(c, warnings=told) for c in found}
    return tuple(
        checks[key] for claim in claims if (key := (claim.spec.text, claim.quantity)) in checks
    )


def verify_constants(document: Mapping[str, Any], settings: Settings) -> tuple[Check, ...]:
    """Check every committed constant of a results document.

    The committed exact value must agree with the one computed now, the committed estimate and
    fresh draws with the exact value; where there is none, fresh draws with the committed estimate.
    """
    rows = [(parse(row["layer"], load_trusted), row) for row in document["results"]]
    # Twice as many: the committed estimate is tested as well as the fresh one.
    tests = 2 * sum(name in row for _, row in rows for name in QUANTITIES)
    law = Law(**document["provenance"]["law"])
    checks: list[Check] = []
    for done, (spec, row) in enumerate(rows):
        if settings.should_stop():
            break
        settings.on_layer(spec.text, done, len(rows))
        try:
            draws = FreshDraws(spec, settings, tests, law)
            found = [
                _check_constant(spec.text, name, row[name], draws, settings.family_error / tests)
                for name in QUANTITIES
                if name in row
            ]
        except Stopped:
            break
        checks += [replace(check, warnings=draws.warnings) for check in found]
    return tuple(checks)


def _check_claim(claim: Claim, draws: FreshDraws, settings: Settings, tests: int) -> Check:
    name = claim.quantity
    exact = draws.first.quantities[name].exact
    outcome, estimate, z, command = draws.gate(name, lambda e: e.z)
    check = Check(claim.spec.text, name, "ok", claim.printed.text, exact, place=claim.place)
    check = replace(check, estimate=estimate, z=z, command=command)
    known = {} if exact is None else _exact_values(draws.first)
    if exact is not None and outcome == "fail":
        return replace(check, outcome="fail", reason=_WITNESS)
    # A passed gate clears the first stage's z, so the sample is not shown to the judge again.
    estimates = {} if exact is not None else draws.first.quantities
    verdict = judge(
        claim,
        known,
        estimates,
        samples=draws.first.samples,
        family_error=settings.family_error,
        tests=tests,
    )
    judged = _judged(check, verdict)
    if judged.outcome == "ok" and outcome == "undecided" and exact is not None:
        # A witness without a word.
        return replace(check, outcome="undecided", reason=draws.doubt, verdict=verdict)
    if judged.outcome != "ok" and verdict.decided_by == "exact":
        # Of which the draws need show nothing.
        return replace(judged, command=_exact_command(claim.spec))
    return judged


def _judged(check: Check, verdict: Verdict) -> Check:
    outcome: Outcome = {"reproduced": "ok", "refuted": "fail"}.get(verdict.outcome, "undecided")  # type: ignore[assignment]
    reason = "" if outcome == "ok" else str(verdict)
    return replace(check, outcome=outcome, reason=reason, verdict=verdict)


def _exact_command(spec: Spec) -> str:
    return f"bnstats exact {as_typed(spec)}"


def _check_drawable(claims: Iterable[Claim]) -> None:
    for claim in claims:
        if is_too_wide(claim.spec) and claim.quantity not in known_exactly(claim.spec).quantities:
            check_size(claim.spec)


def _check_undrawn(claim: Claim) -> Check:
    known = known_exactly(claim.spec)
    exact = known.quantities[claim.quantity]
    check = Check(claim.spec.text, claim.quantity, "ok", claim.printed.text, exact)
    check = replace(check, place=claim.place, warnings=known.warnings)
    check = replace(check, command=_exact_command(claim.spec))
    return _judged(check, judge(claim, known.quantities))


_WITNESS = "fresh draws disagree with the exact value: a bug in a formula or backend"


def _exact_values(result: Result) -> dict[str, Exact]:
    return {k: e.exact for k, e in result.quantities.items() if e.exact is not None}


def _check_constant(
    layer: str, name: str, row: Mapping[str, Any], draws: FreshDraws, test_error: float
) -> Check:
    exact = draws.first.quantities[name].exact
    value, stderr, committed = row.get("value"), row.get("stderr"), row["exact"]
    check = Check(layer, name, "ok", _committed_text(row), exact)
    if (committed is None) != (exact is None):
        reason = "no exact value is committed" if exact else "the committed exact value is unknown"
        return replace(check, outcome="fail", reason=reason)
    if exact is not None and not _same_exact(committed, exact):
        return replace(check, outcome="fail", reason="the committed exact value is wrong")
    if exact is not None:
        outcome, estimate, z, command = draws.gate(name, lambda e: e.z)
        reason = _WITNESS if outcome == "fail" else ""
        believable = (row.get("n_eff") or 0) >= MIN_N_EFF
        if outcome == "ok" and believable and _strays(value, stderr, exact, name, test_error):
            outcome, reason = "fail", "the committed estimate is not a sample of this layer"
    else:
        outcome, estimate, z, command = draws.gate(name, lambda e: _two_sample_z(value, stderr, e))
        reason = "fresh draws disagree with the committed estimate" if outcome == "fail" else ""
    if outcome == "undecided":
        reason = draws.doubt
    return replace(check, outcome=outcome, estimate=estimate, z=z, reason=reason, command=command)


def _same_exact(committed: Mapping[str, Any], exact: Exact) -> bool:
    """Whether an exact value is committed as it is computed now, up to another machine's rounding.

    The committed error is not trusted with the tolerance: it must itself be about right.
    """
    value, error = committed["value"], committed["error"]
    near = abs(value - exact.value) <= 2 * exact.error + 1e-12 * abs(exact.value)
    return bool(near and committed["by"] == exact.by and error <= 10 * exact.error + 1e-15)


def _committed_text(row: Mapping[str, Any]) -> str:
    return repr(row["exact"]["value"] if row["exact"] else row.get("value"))


def _strays(
    value: float | None, stderr: float | None, exact: Exact, name: str, test_error: float
) -> bool:
    """Whether a committed estimate is further from the exact value than chance allows.

    It is drawn once and for all, so there is no second stage: the threshold is the family's.
    """
    if value is None or stderr is None or stderr <= 0:
        return False  # no information: the fresh draws decide
    limit = -NormalDist().inv_cdf(test_error / 2)
    scale = math.hypot(stderr, exact.error)
    if QUANTITIES[name].moment == "mean" or exact.value <= 0:
        return abs(value - exact.value) > limit * scale
    return value <= 0 or abs(math.log(value / exact.value)) * exact.value > limit * scale


def _two_sample_z(value: float | None, stderr: float | None, estimate: Estimate) -> float | None:
    if value is None or stderr is None or estimate.stderr is None:
        return None
    scale = math.hypot(stderr, estimate.stderr)
    return (estimate.value - value) / scale if scale > 0 else None

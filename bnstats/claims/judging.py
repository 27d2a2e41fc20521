"""Every published claim on a layer, judged."""

from __future__ import annotations

from bnstats.claims import claims_on
from bnstats.claims.verdict import Verdict, judge
from bnstats.layers import Law
from bnstats.specs.spec import Spec
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact


def verdicts_on(
    spec: Spec,
    law: Law,
    exact: dict[str, Exact],
    found: dict[str, Estimate] | None = None,
    samples: int = 0,
) -> tuple[Verdict, ...]:
    """Judge the published claims on a layer under a law of its inputs."""
    known = exact.keys() if found is None else found.keys()
    return tuple(
        judge(claim, exact, found, samples=samples)
        for claim in claims_on(spec.text, law)
        if claim.quantity in known
    )

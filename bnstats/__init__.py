"""Monte Carlo statistics of deep learning layers, with honest error bars.

>>> import bnstats
>>> result = bnstats.compute("sigmoid", samples=1_000_000)
>>> result.std_dx
Estimate(0.21207(16))
>>> round(bnstats.exact("sigmoid").std_dx.value, 12)
0.211745699721
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bnstats.version import __version__

if TYPE_CHECKING:
    from bnstats.api import compute, exact
    from bnstats.claims import Claim, ClaimSet, claim_set
    from bnstats.claims.verdict import Verdict
    from bnstats.custom import register
    from bnstats.errors import ArgumentError, BnstatsError, HostError
    from bnstats.layers import Law
    from bnstats.networks.critical import Critical, critical
    from bnstats.networks.propagate import propagate
    from bnstats.networks.propagation import Propagation
    from bnstats.result import Reference, Result
    from bnstats.statistics.estimate import Estimate
    from bnstats.statistics.exact import Exact
    from bnstats.verification.check import Check
    from bnstats.verification.gate import VerifySettings
    from bnstats.verification.sources import verify

__all__ = [
    "ArgumentError",
    "BnstatsError",
    "Check",
    "Claim",
    "ClaimSet",
    "Critical",
    "Estimate",
    "Exact",
    "HostError",
    "Law",
    "Propagation",
    "Reference",
    "Result",
    "Verdict",
    "VerifySettings",
    "__version__",
    "claim_set",
    "compute",
    "critical",
    "exact",
    "propagate",
    "register",
    "verify",
]

# Imported on first use, so that `import bnstats` loads neither numpy nor scipy.
_HOMES = {
    "ArgumentError": "errors",
    "BnstatsError": "errors",
    "Check": "verification.check",
    "Claim": "claims",
    "ClaimSet": "claims",
    "Critical": "networks.critical",
    "Estimate": "statistics.estimate",
    "Exact": "statistics.exact",
    "HostError": "errors",
    "Law": "layers",
    "Propagation": "networks.propagation",
    "Reference": "result",
    "Result": "result",
    "VerifySettings": "verification.gate",
    "Verdict": "claims.verdict",
    "claim_set": "claims",
    "compute": "api",
    "critical": "networks.critical",
    "exact": "api",
    "propagate": "networks.propagate",
    "register": "custom",
    "verify": "verification.sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bnstats' has no attribute {name!r}")
    return getattr(import_module(f"bnstats.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

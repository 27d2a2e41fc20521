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

from bnstats.version import __version__ as __version__

if TYPE_CHECKING:
    from bnstats.api import compute as compute
    from bnstats.api import exact as exact
    from bnstats.api import gain as gain
    from bnstats.claims import Claim as Claim
    from bnstats.claims import ClaimSet as ClaimSet
    from bnstats.claims import claim_set as claim_set
    from bnstats.claims.verdict import Verdict as Verdict
    from bnstats.custom import register as register
    from bnstats.errors import ArgumentError as ArgumentError
    from bnstats.errors import BnstatsError as BnstatsError
    from bnstats.errors import HostError as HostError
    from bnstats.layers import Law as Law
    from bnstats.networks.critical import Critical as Critical
    from bnstats.networks.critical import critical as critical
    from bnstats.networks.propagate import propagate as propagate
    from bnstats.networks.propagation import Propagation as Propagation
    from bnstats.result import Reference as Reference
    from bnstats.result import Result as Result
    from bnstats.statistics.estimate import Estimate as Estimate
    from bnstats.statistics.exact import Exact as Exact
    from bnstats.statistics.uncertain import Difference as Difference
    from bnstats.verification.check import Check as Check
    from bnstats.verification.gate import VerifySettings as VerifySettings
    from bnstats.verification.sources import verify as verify

# Imported on first use, so that `import bnstats` loads neither numpy nor scipy.
_EXPORTS = {
    "api": "compute exact gain",
    "claims": "Claim ClaimSet claim_set",
    "claims.verdict": "Verdict",
    "custom": "register",
    "errors": "ArgumentError BnstatsError HostError",
    "layers": "Law",
    "networks.critical": "Critical critical",
    "networks.propagate": "propagate",
    "networks.propagation": "Propagation",
    "result": "Reference Result",
    "statistics.estimate": "Estimate",
    "statistics.exact": "Exact",
    "statistics.uncertain": "Difference",
    "verification.check": "Check",
    "verification.gate": "VerifySettings",
    "verification.sources": "verify",
}
_HOMES = {name: home for home, names in _EXPORTS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bnstats' has no attribute {name!r}")
    return getattr(import_module(f"bnstats.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])


if not TYPE_CHECKING:  # a type checker reads the imports above, and a list only if spelt out
    __all__ = __dir__()

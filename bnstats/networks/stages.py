"""The layers of a dense stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bnstats.layers import Weights
from bnstats.specs.spec import Spec


@dataclass(frozen=True)
class Dense:
    """z = W·h + b, square.

    Attributes
    ----------
    name
        As it was written.
    weights
        The law of W.
    gaussian
        Whether its elements are independent normals: then no matrix is needed.
    bias_std, bias_law
        Of the elements of b; 0 for none.
    """

    name: str
    weights: Weights
    gaussian: bool
    bias_std: float = 0.0
    bias_law: Literal["normal", "uniform"] = "normal"


@dataclass(frozen=True)
class Elementwise:
    """y = f(x)·forward, dx = dy·f′(x)·backward."""

    name: str
    spec: Spec
    forward: float = 1.0
    backward: float = 1.0


@dataclass(frozen=True)
class Skip:
    """Where a residual branch leaves the trunk."""

    name: str = "skip"


@dataclass(frozen=True)
class Add:
    """Where it comes back: trunk + alpha·branch."""

    name: str = "add"
    alpha: float = 1.0


Stage: TypeAlias = Dense | Elementwise | Skip | Add

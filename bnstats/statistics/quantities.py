"""The quantities bnstats reports, each a power of one of three moments of y or dx.

``mean`` is E[v], ``var`` is E[v²] − E[v]² and ``ms`` is E[v²], over draws and event positions. A
standard deviation is var^½, a gain its reciprocal, var^−½: estimates, intervals and exact values of
all of them follow from the moment's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["y", "dx"]


@dataclass(frozen=True)
class Quantity:
    """A reported number: ``moment ** power`` of one direction."""

    symbol: str
    direction: Direction
    moment: Literal["mean", "var", "ms"]
    power: float


QUANTITIES: dict[str, Quantity] = {
    "mean_y": Quantity("E[y]", "y", "mean", 1),
    "std_y": Quantity("σ[y]", "y", "var", 0.5),
    "mean_dx": Quantity("E[dx]", "dx", "mean", 1),
    "std_dx": Quantity("σ[dx]", "dx", "var", 0.5),
    "var_dx": Quantity("Var[dx]", "dx", "var", 1),
    "var_y": Quantity("Var[y]", "y", "var", 1),
    "rms_y": Quantity("rms[y]", "y", "ms", 0.5),
    "rms_dx": Quantity("rms[dx]", "dx", "ms", 0.5),
    "gain_y": Quantity("1/σ[y]", "y", "var", -0.5),
    "gain_rms_y": Quantity("1/rms[y]", "y", "ms", -0.5),
    "gain_dx": Quantity("1/σ[dx]", "dx", "var", -0.5),
}

ON_SCREEN = ("mean_y", "std_y", "mean_dx", "std_dx", "var_dx")
GAINS = ("gain_y", "gain_rms_y", "gain_dx")  # shown below them

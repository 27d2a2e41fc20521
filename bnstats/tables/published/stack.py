"""What the error of a scaling constant does to a deep stack of such layers."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from bnstats.claims import Claim
from bnstats.layers import Law
from bnstats.specs.spec import Spec
from bnstats.statistics.exact import exact_values
from bnstats.statistics.quantities import QUANTITIES, Quantity

DEPTH = 50
_HELD = (1e-50, 1e50)  # scales that a law of inputs may have


class Growth(NamedTuple):
    """The scale of a signal or of a gradient, where that of a right constant is 1.

    Attributes
    ----------
    layer
        After one layer, whose input is standard normal.
    alone
        After `DEPTH` layers, as if the input of each were standard normal.
    wide
        After `DEPTH` layers of infinite width; None of a gradient, and where inputs are not
        standard normal.
    """

    layer: float
    alone: float
    wide: float | None

    @property
    def after(self) -> float:
        """After the stack: the wide one where it is known."""
        return self.alone if self.wide is None else self.wide


def growth(claim: Claim, truth: float) -> Growth | None:
    """Return what becomes of a stack that a published constant scales; None if it scales nothing.

    σ and rms are divisors and a gain is a factor, so that all are powers of the mean square, or of
    the variance, that they take to 1. For ``wide`` every layer is followed by a dense one, with
    weights of variance 1/fan_in and no biases: the sum of so many inputs is normal again, with the
    scale at which the layer before left it (`bnstats.networks.predictions` does the same for whole
    networks). Where σ and not rms is meant, the mean of y is removed, as by centred weights.
    """
    quantity = QUANTITIES.get(claim.quantity)
    printed = claim.printed.value
    if quantity is None or quantity.moment == "mean" or min(printed, truth) <= 0:
        return None
    factor = (printed / truth) ** (-0.5 / quantity.power)
    wide = None
    if quantity.direction == "y" and claim.is_usual:
        wide = _wide(claim.spec, quantity, factor)
    return Growth(factor, factor**DEPTH, wide)


def _wide(spec: Spec, quantity: Quantity, factor: float) -> float | None:
    """Return the scale after the stack: that of every layer's input is what the last one left."""
    name = "std_y" if quantity.moment == "var" else "rms_y"
    scale = 1.0
    for _ in range(DEPTH):
        if not _HELD[0] <= scale <= _HELD[1]:
            return None
        # Six digits: near a fixed point, where scales hardly change, nothing is found twice.
        scale = factor * _passed_on(spec, name, float(f"{scale:.6g}")) / _passed_on(spec, name, 1.0)
    return scale if math.isfinite(scale) else None


@lru_cache(maxsize=4096)
def _passed_on(spec: Spec, name: str, x_std: float) -> float:
    """Return σ[y] or rms[y] of a layer for x ~ N(0, x_std²); nan where it is not known."""
    law = Law(0.0, x_std)
    known = exact_values(spec.under(law).bound, law).get(name)
    return math.nan if known is None else known.value

"""Layers that multiply by a random mask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from bnstats.layers._parameters import Range
from bnstats.layers._registry import (
    Array,
    Backward,
    Event,
    Expect,
    Input,
    Known,
    Law,
    Namespace,
    structured,
)


@structured(
    "y = x·m·c,  m ~ Bernoulli(1 − p),  c = 1/(1 − p), 1/√(1 − p) or 1",
    "dx = dy·m·c",
    cite="JMLR 15 (2014) 1929-1958",
    examples=("", "scaling=sqrt", "scaling=none", "p=0.1"),
)
def dropout(
    *,
    p: Annotated[float, Range("[0, 1)")] = 0.5,
    scaling: Literal["inverted", "sqrt", "none"] = "inverted",
) -> Event:
    """Dropout in training; p is the probability that an element is dropped."""
    keep = 1 - p
    scale = {"inverted": 1 / keep, "sqrt": 1 / math.sqrt(keep), "none": 1.0}[scaling]

    def forward(xp: Namespace, draws: Mapping[str, Array]) -> tuple[Array, Backward]:
        x = draws["x"]
        factor = scale * xp.astype(draws["mask"] < keep, x.dtype)  # where() mispredicts
        return x * factor, lambda dy: dy * factor

    def moments(law: Law, expect: Expect) -> Mapping[str, Known]:
        # y = B·X with P(B = c) = keep: central moments about mu = keep·c·E[X], summed over the
        # two values of B, so that no large terms cancel.
        del expect
        m, s = law.x_mean, law.x_std
        mean = keep * scale * m
        kept = (scale * m - mean, scale * s)
        var = keep * (kept[0] ** 2 + kept[1] ** 2) + p * mean**2
        m4 = keep * (kept[0] ** 4 + 6 * (kept[0] * kept[1]) ** 2 + 3 * kept[1] ** 4) + p * mean**4
        power = (scale * law.dy_std) ** 2
        return {
            "mean_y": Known(mean),
            "var_y": Known(var),
            "m4_y": Known(m4),
            "ms_dx": Known(keep * power),
            "m4_dx": Known(3 * keep * power**2),
        }

    inputs = {"x": Input(), "dy": Input(), "mask": Input(law="uniform")}
    return Event(inputs, forward, moments)

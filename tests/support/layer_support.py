"""What the tests of layers share: specs, laws, draws, both directions, and larger maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnstats.backends import numpy_backend
from bnstats.layers import STANDARD, BoundLayer, Law
from bnstats.specs.spec import parse, value_text
from bnstats.statistics.exact import Exact, exact_values

DRAWS = 4
LAWS = [STANDARD, Law(0.7, 1.3, 2.0), Law(-2.0, 0.5, 0.3)]
laws = pytest.mark.parametrize("law", LAWS, ids=lambda law: "x".join(map(str, law)))


def spec_of(name: str, params: dict[str, Any]) -> str:
    items = ",".join(f"{k}={value_text(v)}" for k, v in params.items())
    return f"{name}:{items}" if items else name


def exact_of(spec: str, law: Law = STANDARD) -> dict[str, Exact]:
    return exact_values(parse(spec).bound, law)


def draws_of(bound: BoundLayer, n: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random draws, the last axis over draws."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(*i.shape, n))
        if i.distribution == "normal"
        else rng.random((*i.shape, n))
        for name, i in bound.inputs.items()
    }


def through(bound: BoundLayer, draws: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    y, backward = bound.forward(numpy_backend, draws)
    return y, backward(draws["dy"])


def embedded(
    bound: BoundLayer, reach: tuple[int, ...], stride: tuple[int, ...], lead: tuple[int, ...] = ()
) -> tuple[dict[str, Any], Any, Any, Any]:
    """Put an interior event into a larger map: its inputs are pieces of the map's.

    ``reach`` is how far a window extends, ``lead`` the channels in and out, if there are any.
    Returns the map's x and dy and the event's draws, then the indices of the event's windows and
    kept positions in the map.
    """
    margin = tuple(2 * r // s + 2 for r, s in zip(reach, stride, strict=True))  # in windows
    count = bound.inputs["dy"].shape[len(lead) and 1 :]
    size = bound.inputs["x"].shape[len(lead) and 1 :]
    total = tuple(c + 2 * m for c, m in zip(count, margin, strict=True))
    full = tuple((t - 1) * s + r for t, s, r in zip(total, stride, reach, strict=True))
    rng = np.random.default_rng(7)
    channels = (bound.inputs["x"].shape[:1], bound.inputs["dy"].shape[:1]) if lead else ((), ())
    big = {
        "x": rng.normal(size=(*channels[0], *full, DRAWS)),
        "dy": rng.normal(size=(*channels[1], *total, DRAWS)),
    }
    at = tuple(m * s for m, s in zip(margin, stride, strict=True))
    piece = tuple(slice(a, a + n) for a, n in zip(at, size, strict=True))
    windows = tuple(slice(m, m + c) for m, c in zip(margin, count, strict=True))
    # the kept period starts where the last of the event's windows does
    first = tuple(a + (c - 1) * s for a, c, s in zip(at, count, stride, strict=True))
    kept = tuple(slice(f, f + s) for f, s in zip(first, stride, strict=True))
    head = (slice(None),) if lead else ()
    small = {"x": big["x"][(*head, *piece)], "dy": big["dy"][(*head, *windows)]}
    return big, small, (*head, *windows), (*head, *kept)

"""Running a layer's formulas on random draws, without the engine."""

from __future__ import annotations

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import Event

DRAWS = 4


def draws_of(event: Event, n: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random draws, the last axis over draws."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(*i.shape, n)) if i.law == "normal" else rng.random((*i.shape, n))
        for name, i in event.inputs.items()
    }


def through(event: Event, draws: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx."""
    y, backward = event.forward(numpy_backend, draws)
    return y, backward(draws["dy"])


def differences(event: Event, draws: dict[str, np.ndarray], h: float = 1e-6) -> np.ndarray:
    """Return d(Σ dy·y)/dx by central differences, an element of x at a time."""

    def loss(x: np.ndarray) -> np.ndarray:
        y = event.forward(numpy_backend, {**draws, "x": x})[0]
        return (y * draws["dy"]).reshape(-1, x.shape[-1]).sum(axis=0)

    found = np.empty_like(draws["x"])
    for position in np.ndindex(draws["x"].shape[:-1]):
        step = np.zeros_like(draws["x"])
        step[position] = h
        found[position] = (loss(draws["x"] + step) - loss(draws["x"] - step)) / (2 * h)
    return found

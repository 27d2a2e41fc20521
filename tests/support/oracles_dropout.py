"""Independent oracles for dropout: other libraries' own runs, and moments by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Noisy:
    """One element as its library defines it.

    ``value(x, noise, **params)`` is y; ``law(**params)`` lists the noise as (weight, value):
    both values of a mask, and for normal noise Gauss-Hermite nodes, exact on polynomials.
    """

    value: Callable[..., float]
    law: Callable[..., list[tuple[float, float]]]


def normal_nodes() -> list[tuple[float, float]]:
    """Return (weight, z) exact on polynomials of degree below 24 in a standard normal."""
    z, w = np.polynomial.hermite_e.hermegauss(12)
    return list(zip((w / math.sqrt(2 * math.pi)).tolist(), z.tolist(), strict=True))


def _two_values(p: float = 0.5, **rest: Any) -> list[tuple[float, float]]:
    return [(1 - p, 1.0), (p, 0.0)]


def _nodes(**params: Any) -> list[tuple[float, float]]:
    return normal_nodes()


def _dropout(
    x: float, mask: float, p: float = 0.5, scaling: str = "inverted", **rest: Any
) -> float:
    return x * mask / {"inverted": 1 - p, "sqrt": (1 - p) ** 0.5, "none": 1.0}[scaling]


def _alpha_dropout(x: float, mask: float, p: float = 0.5, **rest: Any) -> float:
    """Klambauer et al. (2017), section "alpha dropout": a·(x·d + α′(1 − d)) + b."""
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    saturated, q = -scale * alpha, 1 - p
    a = (q + saturated**2 * q * (1 - q)) ** -0.5
    return a * (x * mask + saturated * (1 - mask)) - a * p * saturated


NOISY: dict[str, Noisy] = {
    "dropout": Noisy(_dropout, _two_values),
    "dropout1d": Noisy(_dropout, _two_values),
    "dropout2d": Noisy(_dropout, _two_values),
    "dropout3d": Noisy(_dropout, _two_values),
    "drop_path": Noisy(_dropout, _two_values),
    "alpha_dropout": Noisy(_alpha_dropout, _two_values),
    "feature_alpha_dropout": Noisy(_alpha_dropout, _two_values),
    # keras: multiplicative noise of mean 1 and standard deviation sqrt(rate / (1 - rate))
    "gaussian_dropout": Noisy(
        lambda x, z, rate: x * (1 + math.sqrt(rate / (1 - rate)) * z), _nodes
    ),
    "gaussian_noise": Noisy(lambda x, z, stddev: x + stddev * z, _nodes),
}


_P = ({"p": 0.5}, {"p": 0.1}, {"p": 0.0}, {"p": 0.99})
_SCALED = (*_P, {"p": 0.2, "scaling": "sqrt"}, {"p": 0.3, "scaling": "none"})
COVERS: dict[str, tuple[dict[str, Any], ...]] = {
    "dropout": _SCALED,
    "dropout1d": _SCALED,
    "dropout2d": (*_SCALED, {"input_size": (2, 3)}),
    "dropout3d": (*_SCALED, {"input_size": 1}),
    "drop_path": (*_SCALED, {"p": 0.4, "elements": 3}, {"p": 0.4, "elements": 1}),
    "alpha_dropout": _P,
    "feature_alpha_dropout": (*_P, {"elements": 3}, {"elements": 1}),
    "gaussian_dropout": ({"rate": 0.5}, {"rate": 0.1}, {"rate": 0.0}, {"rate": 0.9}),
    "gaussian_noise": ({"stddev": 0.1}, {"stddev": 0.0}, {"stddev": 3.0}),
}


def moments(name: str, mean: float, std: float, dy_std: float, **params: Any) -> dict[str, float]:
    """Return mean, var and m4 (central) of y, ms and m4 of dx, of one element, by enumeration.

    The slope is y(x + 1) − y(x): all these layers are affine in x.
    """
    layer = NOISY[name]

    def cases() -> Iterator[tuple[float, float, float]]:
        for (wx, x), (wn, noise) in itertools.product(normal_nodes(), layer.law(**params)):
            at = mean + std * x
            y = layer.value(at, noise, **params)
            yield wx * wn, y, layer.value(at + 1, noise, **params) - y

    found = list(cases())
    mu = math.fsum(w * y for w, y, _ in found)
    return {
        "mean_y": mu,
        "var_y": math.fsum(w * (y - mu) ** 2 for w, y, _ in found),
        "m4_y": math.fsum(w * (y - mu) ** 4 for w, y, _ in found),
        "ms_dx": dy_std**2 * math.fsum(w * s**2 for w, _, s in found),
        "m4_dx": 3 * dy_std**4 * math.fsum(w * s**4 for w, _, s in found),
    }


def torch_dropout(name: str, x: np.ndarray, dy: np.ndarray, p: float) -> tuple[Any, Any, Any]:
    """Return y, dx and the kept elements of torch's own run on arrays (*map, draws).

    The mask is read off the run: a dropped element's y does not depend on x. Skips without torch.
    """
    torch = pytest.importorskip("torch")
    f = getattr(torch.nn.functional, name)

    def run(values: np.ndarray) -> tuple[Any, Any]:
        torch.manual_seed(3)
        # a draw is a sample; its map is the one channel where the layer drops channels
        leaf = torch.tensor(np.moveaxis(values, -1, 0)[:, None], requires_grad=True)
        y = f(leaf, p, training=True)
        y.backward(torch.tensor(np.moveaxis(dy, -1, 0)[:, None]))
        return tuple(np.moveaxis(t.detach().numpy()[:, 0], 0, -1) for t in (y, leaf.grad))

    y, dx = run(x)
    return y, dx, run(x + 1)[0] != y


def timm_drop_path(
    x: np.ndarray, kept: np.ndarray, drop_prob: float, scale_by_keep: bool
) -> np.ndarray:
    """Return timm.layers.drop_path of arrays (features, samples) for a given random tensor."""
    keep_prob = 1 - drop_prob
    out = np.empty_like(x)
    for sample in range(x.shape[-1]):
        random = 1.0 if kept[sample] else 0.0
        if keep_prob > 0 and scale_by_keep:
            random /= keep_prob
        for feature in range(x.shape[0]):
            out[feature, sample] = x[feature, sample] * random
    return out

"""Losses, attention and noisy softmax in torch, and their moments by quadrature elsewhere.

Nothing here is imported from bnstats.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

# Of the torch module and of draws on the first axis of each tensor.
TORCH: dict[str, Callable[..., Any]] = {
    "local_response_norm": lambda torch, draws, num_channels=64, **p: (
        torch.nn.functional.local_response_norm(draws["x"][:, :, None], **p)[:, :, 0]
    ),
    "gumbel_softmax": lambda torch, draws, n=10, tau=1.0: torch.softmax(
        (draws["x"] - (-draws["noise"].log()).log()) / tau, 1
    ),
    "cross_entropy": lambda torch, draws, n=10, **p: torch.nn.functional.cross_entropy(
        draws["x"], torch.zeros(len(draws["x"]), dtype=torch.long), reduction="none", **p
    )[:, None],
    "mse_loss": lambda torch, draws, **p: _each(torch, "mse_loss", draws, **p),
    "l1_loss": lambda torch, draws, **p: _each(torch, "l1_loss", draws, **p),
    "scaled_dot_product_attention": lambda torch, draws, is_causal=False, **p: (
        torch.nn.functional.scaled_dot_product_attention(*draws["x"].unbind(1), is_causal=is_causal)
    ),
}


def _each(torch: Any, name: str, draws: dict[str, Any], n: int = 10, reduction: str = "mean"):
    f = getattr(torch.nn.functional, name)
    pairs = zip(draws["x"], draws["target"], strict=True)
    return torch.stack([f(x, t, reduction=reduction) for x, t in pairs])[:, None]


COVERS: dict[str, tuple[dict[str, Any], ...]] = {
    "local_response_norm": (
        {"size": 5},
        {"size": 4, "alpha": 0.7, "beta": 0.5, "k": 2.0, "num_channels": 6},
        {"size": 9, "alpha": 1.0, "num_channels": 3},
        {"size": 1, "alpha": 2.0, "beta": 1.5, "num_channels": 2},
    ),
    "gumbel_softmax": ({}, {"tau": 0.5, "n": 3}),
    "cross_entropy": ({}, {"n": 2}, {"n": 5, "label_smoothing": 0.2}),
    "mse_loss": ({}, {"n": 1}, {"n": 3, "reduction": "sum"}),
    "l1_loss": ({}, {"n": 1}, {"n": 3, "reduction": "sum"}),
    "scaled_dot_product_attention": (
        {"length": 5, "head_dim": 3},
        {"length": 4, "head_dim": 3, "is_causal": True},
        {"length": 2, "head_dim": 1, "gradient": "key"},
        {"length": 3, "head_dim": 2, "gradient": "query", "is_causal": True},
        {"length": 3, "head_dim": 2, "gradient": "value"},
    ),
}


def torch_pass(
    name: str, draws: dict[str, np.ndarray], params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx by torch's autograd, the draws on the last axis; skips without torch."""
    torch = pytest.importorskip("torch")
    given = {k: torch.tensor(np.moveaxis(v, -1, 0)) for k, v in draws.items()}
    given["x"].requires_grad_()
    part = params.get("gradient")
    params = {k: v for k, v in params.items() if k != "gradient"}
    y = TORCH[name](torch, given, **params)
    y.backward(given["dy"])
    grad = given["x"].grad
    if part:
        at = ("query", "key", "value").index(part)
        grad = grad[:, at : at + 1]
    return np.moveaxis(y.detach().numpy(), 0, -1), np.moveaxis(grad.numpy(), 0, -1)


def response_moments(
    size: int, alpha: float, beta: float, k: float, channels: int, law: Any
) -> dict[str, float]:
    """Return moments of local response normalisation by the trapezoid rule over all channels."""
    z = np.linspace(-9, 9, 400 if channels == 2 else 120)
    w = np.exp(-z * z / 2)
    w = w / w.sum()
    x = np.stack(np.meshgrid(*[law.x_mean + law.x_std * z] * channels, indexing="ij"))
    weight = np.prod(np.stack(np.meshgrid(*[w] * channels, indexing="ij")), axis=0)
    pads = (size // 2, (size - 1) // 2)
    y, base, held = np.zeros_like(x), np.zeros_like(x), {}
    for c in range(channels):
        held[c] = [i for i in range(channels) if c - pads[0] <= i <= c + pads[1]]
        base[c] = k + alpha / size * sum(x[i] ** 2 for i in held[c])
        y[c] = x[c] / base[c] ** beta
    mean = float(np.mean([np.sum(weight * v) for v in y]))
    ms_dx = 0.0
    for c, i in itertools.product(range(channels), repeat=2):  # of y_c by x_i
        slope = (c == i) / base[c] ** beta
        if i in held[c]:
            slope = slope - 2 * alpha * beta / size * x[c] * x[i] / base[c] ** (beta + 1)
        ms_dx += float(np.sum(weight * slope**2)) * law.dy_std**2 / channels
    var = float(np.mean([np.sum(weight * (v - mean) ** 2) for v in y]))
    return {"mean_y": mean, "var_y": var, "ms_dx": ms_dx}


def of_two_classes(smoothing: float, law: Any) -> dict[str, Any]:
    """Return moments of the cross-entropy of two logits, a function of their difference."""
    with mp.workdps(30):
        std = mp.sqrt(2) * mpf(law.x_std)

        def over(f: Callable[[Any], Any]) -> Any:
            ends = [s * std for s in (-14, -4, 0, 4, 14)]
            return mp.quad(lambda d: f(d) * mp.npdf(d, 0, std), ends)

        wrong = mpf(smoothing) / 2  # the target of the other class

        def loss(d: Any) -> Any:  # d = x_other − x_class
            return (1 - wrong) * mp.log1p(mp.exp(d)) + wrong * mp.log1p(mp.exp(-d))

        mean = over(loss)
        return {
            "mean_y": mean,
            "var_y": over(lambda d: (loss(d) - mean) ** 2),
            "ms_dx": law.dy_std**2 * over(lambda d: (1 / (1 + mp.exp(-d)) - wrong) ** 2),
        }


def of_differences(power: int, n: int, total: int, law: Any) -> dict[str, Any]:
    """Return moments of Σ |x − t|^power·total/n over n elements, by quadrature over x − t."""
    with mp.workdps(30):
        m, std = mpf(law.x_mean), mp.sqrt(mpf(law.x_std) ** 2 + 1)

        def over(f: Callable[[Any], Any]) -> Any:
            ends = sorted({m - 14 * std, m - 3 * std, mpf(0), m, m + 3 * std, m + 14 * std})
            return mp.quad(lambda d: f(d) * mp.npdf(d, m, std), ends)

        mean = over(lambda d: abs(d) ** power)
        second = over(lambda d: abs(d) ** (2 * power))
        share = mpf(total) / n
        # dx_i² = dy²·g_i, of which E[dy⁴] = 3·dy_std⁴
        g = over(lambda d: (power * abs(d) ** (power - 1)) ** 2)
        g2 = over(lambda d: (power * abs(d) ** (power - 1)) ** 4)
        scale = share**2 * mpf(law.dy_std) ** 2
        of_mean_square = g**2 + (g2 - g**2) / n
        return {
            "mean_y": total * mean,
            "var_y": share**2 * n * (second - mean**2),
            "ms_dx": scale * g,
            "var_ms_dx": scale**2 * (3 * of_mean_square - g**2),
        }

"""Losses, attention and noisy softmax in torch, and their moments by quadrature elsewhere.

Nothing here is imported from bnstats.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import oracles
import pytest
from mpmath import mp, mpf
from scipy import stats


def _each(
    name: str,
    target: Callable[..., Any],
    torch: Any,
    draws: dict[str, Any],
    n: int = 10,
    var: float | None = None,
    **given: Any,
) -> Any:
    f = getattr(torch.nn.functional, name)
    if name == "gaussian_nll_loss":
        given["var"] = torch.full((n,), 1.0 if var is None else var, dtype=torch.float64)
    targets = target(torch, draws["target"])
    return torch.stack([f(x, t, **given) for x, t in zip(draws["x"], targets, strict=True)])[
        :, None
    ]


def _bilinear(
    torch: Any, draws: dict[str, Any], in1_features: int = 4, bias: bool = True, **sizes: int
) -> Any:
    a, b = draws["x"][:, :in1_features], draws["x"][:, in1_features:]
    bound = in1_features**-0.5
    weight = bound * (2 * draws["weight"] - 1)
    y = torch.stack([torch.nn.functional.bilinear(*one) for one in zip(a, b, weight, strict=True)])
    return y + bound * (2 * draws["bias"] - 1) if bias else y


def _unpooled(sides: int, torch: Any, draws: dict[str, Any], kernel_size: Any) -> Any:
    positions = np.prod(np.broadcast_to(kernel_size, sides))
    at = (draws["position"] * positions).floor().long()
    f = getattr(torch.nn.functional, f"max_unpool{sides}d")
    one = (-1, 1, *(1,) * sides)
    return f(draws["x"].reshape(one), at.reshape(one), kernel_size)[:, 0]


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
    **{
        name: partial(_each, name, target)
        for name, target in {
            "mse_loss": lambda torch, t: t,
            "l1_loss": lambda torch, t: t,
            "huber_loss": lambda torch, t: t,
            "smooth_l1_loss": lambda torch, t: t,
            "gaussian_nll_loss": lambda torch, t: t,
            "binary_cross_entropy_with_logits": lambda torch, u: (u > 0.5).to(u.dtype),
            "poisson_nll_loss": lambda torch, u: torch.tensor(stats.poisson(1).ppf(u)),
            "hinge_embedding_loss": lambda torch, u: 1 - 2 * (u < 0.5).to(u.dtype),
        }.items()
    },
    "margin_ranking_loss": lambda torch, draws, **p: torch.nn.functional.margin_ranking_loss(
        draws["x"][:, :1],
        draws["x"][:, 1:],
        1 - 2 * (draws["target"] >= 0.5).to(draws["x"].dtype),
        reduction="none",
        **p,
    ),
    "multi_margin_loss": lambda torch, draws, n=10, **p: torch.nn.functional.multi_margin_loss(
        draws["x"], torch.zeros(len(draws["x"]), dtype=torch.long), reduction="none", **p
    )[:, None],
    "logsumexp": lambda torch, draws, n=10: torch.logsumexp(draws["x"], 1, keepdim=True),
    "logmeanexp": lambda torch, draws, n=10: draws["x"].exp().mean(1, keepdim=True).log(),
    "cosine_similarity": lambda torch, draws, n=64: torch.nn.functional.cosine_similarity(
        *draws["x"].unbind(1)
    )[:, None],
    "pairwise_distance": lambda torch, draws, n=64: torch.nn.functional.pairwise_distance(
        *draws["x"].unbind(1), keepdim=True
    ),
    "dot": lambda torch, draws, n=10: torch.linalg.vecdot(*draws["x"].unbind(1))[:, None],
    "minimum": lambda torch, draws, k=2: draws["x"].amin(1, keepdim=True),
    "bilinear": lambda torch, draws, **p: _bilinear(torch, draws, **p),
    **{
        f"max_unpool{sides}d": partial(lambda *given, **p: _unpooled(*given, **p), sides)
        for sides in (1, 2, 3)
    },
    "scaled_dot_product_attention": lambda torch, draws, is_causal=False, **p: (
        torch.nn.functional.scaled_dot_product_attention(*draws["x"].unbind(1), is_causal=is_causal)
    ),
}


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
    "huber_loss": ({}, {"n": 1, "delta": 0.3}, {"n": 3, "reduction": "sum", "delta": 2.0}),
    "smooth_l1_loss": ({}, {"n": 1, "beta": 0.3}, {"n": 3, "reduction": "sum", "beta": 2.0}),
    "gaussian_nll_loss": (
        {},
        {"n": 1, "var": 0.3, "full": True},
        {"n": 3, "reduction": "sum", "var": 2.0},
    ),
    "binary_cross_entropy_with_logits": ({}, {"n": 1}, {"n": 3, "reduction": "sum"}),
    "poisson_nll_loss": ({}, {"n": 1}, {"n": 3, "reduction": "sum"}),
    "hinge_embedding_loss": ({}, {"n": 1, "margin": 0.3}, {"n": 3, "reduction": "sum"}),
    "margin_ranking_loss": ({}, {"margin": 0.6}),
    "multi_margin_loss": ({}, {"n": 2, "margin": 0.0}, {"n": 4, "margin": 0.5}),
    "logsumexp": ({}, {"n": 2}),
    "logmeanexp": ({}, {"n": 2}),
    "cosine_similarity": ({}, {"n": 3}),
    "pairwise_distance": ({}, {"n": 1}, {"n": 3}),
    "dot": ({}, {"n": 1}),
    "minimum": ({}, {"k": 4}),
    "bilinear": ({}, {"in1_features": 3, "in2_features": 2, "out_features": 5, "bias": False}),
    "max_unpool1d": ({"kernel_size": 3}, {"kernel_size": 1}),
    "max_unpool2d": ({"kernel_size": (2, 3)},),
    "max_unpool3d": ({"kernel_size": 2},),
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


@cache
def _of_a_difference(power: int, x_mean: float, x_std: float) -> tuple[Any, ...]:
    """Return mean, variance and fourth cumulant of |x − t|^power, the means of slope² and ⁴."""
    m, std = mpf(x_mean), mp.sqrt(mpf(x_std) ** 2 + 1)

    def over(f: Callable[[Any], Any]) -> Any:
        ends = sorted({m - 14 * std, m - 3 * std, mpf(0), m, m + 3 * std, m + 14 * std})
        return mp.quad(lambda d: f(d) * mp.npdf(d, m, std), ends)

    with mp.workdps(30):
        mean = over(lambda d: abs(d) ** power)
        var = over(lambda d: abs(d) ** (2 * power)) - mean**2
        fourth = over(lambda d: (abs(d) ** power - mean) ** 4) - 3 * var**2
        g = over(lambda d: (power * abs(d) ** (power - 1)) ** 2)
        return mean, var, fourth, g, over(lambda d: (power * abs(d) ** (power - 1)) ** 4)


def of_differences(power: int, n: int, total: int, law: Any) -> dict[str, Any]:
    """Return moments of Σ |x − t|^power·total/n over n elements, by quadrature over x − t."""
    mean, var, fourth, g, g2 = _of_a_difference(power, law.x_mean, law.x_std)
    with mp.workdps(30):
        share = mpf(total) / n
        # dx_i² = dy²·g_i, of which E[dy⁴] = 3·dy_std⁴
        scale = share**2 * mpf(law.dy_std) ** 2
        of_mean_square = g**2 + (g2 - g**2) / n
        return {
            "mean_y": total * mean,
            "var_y": share**2 * n * var,
            "m4_y": share**4 * (n * fourth + 3 * (n * var) ** 2),
            "ms_dx": scale * g,
            "var_ms_dx": scale**2 * (3 * of_mean_square - g**2),
        }


# Of x − t, or of x and each target with its probability: the loss of one output, and its kinks.
OF_DIFFERENCES: dict[str, tuple[Callable[..., Any], Callable[..., tuple[float, ...]]]] = {
    "huber_loss": (
        lambda d, delta=1.0: d * d / 2 if abs(d) < delta else delta * abs(d) - delta**2 / 2,
        lambda delta=1.0: (-delta, delta),
    ),
    "smooth_l1_loss": (
        lambda d, beta=1.0: d * d / (2 * beta) if abs(d) < beta else abs(d) - beta / mpf(2),
        lambda beta=1.0: (-beta, beta),
    ),
    "gaussian_nll_loss": (
        lambda d, var=1.0, full=False: (
            (mp.log(var) + d * d / var) / 2 + (mp.log(2 * mp.pi) / 2 if full else 0)
        ),
        lambda var=1.0, full=False: (),
    ),
}
OF_TARGETS: dict[str, tuple[Callable[..., Any], dict[int, Any], tuple[float, ...]]] = {
    "binary_cross_entropy_with_logits": (
        lambda x, t: mp.log1p(mp.exp(x)) - t * x,
        {0: mpf(1) / 2, 1: mpf(1) / 2},
        (),
    ),
    "poisson_nll_loss": (
        lambda x, t: mp.exp(x) - t * x,
        {t: mp.exp(-1) / mp.factorial(t) for t in range(20)},
        (),
    ),
    "hinge_embedding_loss": (
        lambda x, t, margin=1.0: x if t else max(mpf(0), margin - x),
        {0: mpf(1) / 2, 1: mpf(1) / 2},
        (1.0,),
    ),
}


def of_one_output(name: str, law: Any, **params: Any) -> dict[str, Any]:
    """Return mean and variance of the loss of one output, and the means of slope² and slope⁴."""
    if name in OF_DIFFERENCES:
        loss, kinks = OF_DIFFERENCES[name]
        std = float(np.hypot(law.x_std, 1))
        parts = [(mpf(1), lambda d: loss(d, **params), std, kinks(**params))]
    else:
        of_target, chances, edges = OF_TARGETS[name]
        edges = (params["margin"],) if "margin" in params else edges
        parts = [
            (p, lambda x, t=t: of_target(x, t, **params), law.x_std, edges)
            for t, p in chances.items()
        ]
    found = [(p, oracles.moments_of(f, law.x_mean, std, edges)) for p, f, std, edges in parts]

    def mixed(value: Callable[[dict[str, Any]], Any]) -> Any:
        return mp.fsum(p * value(m) for p, m in found)

    mean, square = mixed(lambda m: m["mean"]), mixed(lambda m: m["var"] + m["mean"] ** 2)
    raw3, raw4 = mixed(lambda m: m["raw3"]), mixed(lambda m: m["raw4"])
    return {
        "mean": mean,
        "var": square - mean**2,
        "m4": raw4 - 4 * mean * raw3 + 6 * mean**2 * square - 3 * mean**4,
        "slope2": mixed(lambda m: m["ms_slope"]),
        "slope4": mixed(lambda m: m["m4_slope"]),
    }


def of_outputs(one: dict[str, Any], n: int, total: int, law: Any) -> dict[str, Any]:
    """Return moments of total/n times the sum of n losses: all share dy, E[dy⁴] = 3·dy_std⁴."""
    scale = (mpf(total) / n * law.dy_std) ** 2
    g, g2 = one["slope2"], one["slope4"]
    found = {
        "mean_y": total * one["mean"],
        "var_y": mpf(total) ** 2 / n * one["var"],
        # cumulants add up
        "m4_y": (mpf(total) / n) ** 4
        * (n * (one["m4"] - 3 * one["var"] ** 2) + 3 * (n * one["var"]) ** 2),
        "ms_dx": scale * g,
    }
    if n == 1:
        return found | {"m4_dx": 3 * scale**2 * g2}
    return found | {"var_ms_dx": scale**2 * (3 * (g**2 + (g2 - g**2) / n) - g**2)}


def of_hinge_of_a_difference(margin: float, share: float, law: Any) -> dict[str, Any]:
    """Return moments of share·max(0, margin + d), d the difference of two elements of x."""

    def hinge(d: Any) -> Any:
        return share * max(mpf(0), margin + d)

    return oracles.moments_of(hinge, 0.0, float(np.sqrt(2) * law.x_std), (-margin,))


def of_logsumexp_of_two(law: Any) -> dict[str, Any]:
    """Return moments of log(e^a + e^b), (a + b)/2 + log 2cosh((a − b)/2), two independent terms."""
    of = oracles.moments_of(
        lambda d: mp.log(2 * mp.cosh(d / 2)), 0.0, float(np.sqrt(2) * law.x_std)
    )
    squares = oracles.moments_of(lambda d: 1 / (1 + mp.exp(d)), 0.0, float(np.sqrt(2) * law.x_std))
    return {
        "mean_y": law.x_mean + of["mean"],
        "var_y": law.x_std**2 / mpf(2) + of["var"],
        "ms_dx": law.dy_std**2 * (squares["var"] + squares["mean"] ** 2),
    }


def of_dot(n: int, law: Any) -> dict[str, float]:
    """Return moments of Σ a_i·b_i: cumulants of the product of two normals, n times."""
    z, w = np.polynomial.hermite_e.hermegauss(8)
    x, w = law.x_mean + law.x_std * z, w / w.sum()
    d = np.multiply.outer(x, x) - law.x_mean**2
    weight = np.multiply.outer(w, w)
    var, fourth = np.sum(weight * d**2), np.sum(weight * d**4)
    ms, square = np.sum(w * x**2), np.sum(w * x**4)
    mean_square = (square - ms**2) / (2 * n) + ms**2  # E[(mean of x² over a and b)²]
    return {
        "mean_y": n * law.x_mean**2,
        "var_y": n * var,
        "m4_y": n * (fourth - 3 * var**2) + 3 * (n * var) ** 2,
        "ms_dx": law.dy_std**2 * ms,
        "var_ms_dx": law.dy_std**4 * (3 * mean_square - ms**2),
    }

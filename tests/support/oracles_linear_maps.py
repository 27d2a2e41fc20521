"""Linear maps of known weights in torch, and their moments from torch's Jacobian as a dense matrix.

Nothing here is imported from bnstats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Params = dict[str, Any]


def _each_side(value: Any, sides: int) -> tuple[int, ...]:
    return (value,) * sides if isinstance(value, int) else tuple(value)


def _padded(mode: str) -> Callable[..., Any]:
    def pad(torch: Any, x: Any, padding: Any, input_size: Any, value: float = 0.0) -> Any:
        widths = [p for p in reversed(_each_side(padding, x.ndim - 1)) for _ in range(2)]
        given = {"value": value} if mode == "constant" else {}
        return torch.nn.functional.pad(x[:, None], widths, mode=mode, **given)[:, 0]

    return pad


def _cropped(torch: Any, x: Any, cropping: Any, input_size: Any) -> Any:
    for axis, c in enumerate(_each_side(cropping, x.ndim - 1), start=1):
        x = x.narrow(axis, c, x.shape[axis] - 2 * c)
    return x


def _resized(torch: Any, x: Any, input_size: Any, mode: str = "nearest", **params: Any) -> Any:
    words = {
        "linear": {1: "linear", 2: "bilinear", 3: "trilinear"},
        "cubic": {2: "bicubic"},
    }
    mode = words.get(mode, {}).get(x.ndim - 1, mode)
    return torch.nn.functional.interpolate(x[:, None], mode=mode, **params)[:, 0]


def _counts(size: Any, kernel_size: Any, params: Params) -> list[tuple[int, int]]:
    """Return windows and positions of a window along each side."""
    given = {"stride": 1, "padding": 0, "dilation": 1} | params
    each = zip(
        _each_side(size, 2),
        _each_side(kernel_size, 2),
        *(_each_side(given[name], 2) for name in ("stride", "padding", "dilation")),
        strict=True,
    )
    return [((n + 2 * p - d * (k - 1) - 1) // s + 1, k) for n, k, s, p, d in each]


def _unfolded(torch: Any, x: Any, input_size: Any, kernel_size: Any, **params: Any) -> Any:
    """Return windows side by side: torch has positions first, and all windows last."""
    found = torch.nn.functional.unfold(x[:, None], kernel_size, **params)
    (rows, high), (columns, wide) = _counts(input_size, kernel_size, params)
    parts = found.reshape(-1, high, wide, rows, columns).permute(0, 3, 1, 4, 2)
    return parts.reshape(-1, rows * high, columns * wide)


def _folded(torch: Any, x: Any, output_size: Any, kernel_size: Any, **params: Any) -> Any:
    (rows, high), (columns, wide) = _counts(output_size, kernel_size, params)
    parts = x.reshape(-1, rows, high, columns, wide).permute(0, 2, 4, 1, 3)
    flat = parts.reshape(-1, high * wide, rows * columns)
    return torch.nn.functional.fold(flat, output_size, kernel_size, **params)[:, 0]


# Of the torch module, x with the draws on its first axis, and parameters.
TORCH: dict[str, Callable[..., Any]] = {
    **{f"zero_pad{n}d": _padded("constant") for n in (1, 2, 3)},
    **{f"constant_pad{n}d": _padded("constant") for n in (1, 2, 3)},
    **{f"reflection_pad{n}d": _padded("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": _padded("replicate") for n in (1, 2, 3)},
    **{f"circular_pad{n}d": _padded("circular") for n in (1, 2, 3)},
    **{f"cropping{n}d": _cropped for n in (1, 2, 3)},
    **{f"upsample{n}d": _resized for n in (1, 2, 3)},
    "unfold": _unfolded,
    "fold": _folded,
    "repeat_vector": lambda torch, x, n: x.repeat(1, n),
    "add": lambda torch, x, k=2: x.sum(1, keepdim=True),
    "average": lambda torch, x, k=2: x.mean(1, keepdim=True),
    "subtract": lambda torch, x: x[:, :1] - x[:, 1:],
    "nll_loss": lambda torch, x, n=10: torch.nn.functional.nll_loss(
        x, torch.zeros(len(x), dtype=torch.long), reduction="none"
    )[:, None],
}


_PADS = {
    1: ({"padding": 2, "input_size": 3}, {"padding": 0, "input_size": 2}),
    2: ({"padding": 2, "input_size": 3}, {"padding": (1, 2), "input_size": (4, 3)}),
    3: ({"padding": (1, 0, 2), "input_size": (2, 3, 4)},),
}
COVERS: dict[str, tuple[Params, ...]] = {
    **{
        f"{kind}_pad{n}d": cases
        for kind in ("zero", "reflection", "replication", "circular")
        for n, cases in _PADS.items()
    },
    **{f"constant_pad{n}d": tuple(c | {"value": -0.7} for c in cs) for n, cs in _PADS.items()},
    "replication_pad1d": ({"padding": 4, "input_size": 2}, {"padding": 1, "input_size": 1}),
    "circular_pad1d": ({"padding": 3, "input_size": 3}, {"padding": 1, "input_size": 4}),
    "cropping1d": ({"cropping": 2, "input_size": 5}, {"cropping": 0, "input_size": 3}),
    "cropping2d": ({"cropping": (1, 2), "input_size": (4, 6)},),
    "cropping3d": ({"cropping": (1, 0, 1), "input_size": (3, 2, 4)},),
    "upsample1d": (
        {"input_size": 3, "scale_factor": 3},
        {"input_size": 4, "size": 7},
        {"input_size": 5, "size": 3},
        {"input_size": 4, "scale_factor": 2, "mode": "linear"},
        {"input_size": 5, "size": 3, "mode": "linear"},
        {"input_size": 4, "size": 7, "mode": "linear", "align_corners": True},
        {"input_size": 3, "size": 1, "mode": "linear", "align_corners": True},
        {"input_size": 1, "size": 3, "mode": "linear"},
    ),
    "upsample2d": (
        {"input_size": (3, 4), "scale_factor": (2, 3)},
        {"input_size": (3, 4), "scale_factor": (2, 3), "mode": "linear"},
        {"input_size": (5, 3), "scale_factor": 2, "mode": "cubic"},
        {"input_size": 4, "size": (7, 3), "mode": "cubic", "align_corners": True},
    ),
    "upsample3d": (
        {"input_size": 2, "scale_factor": 2},
        {"input_size": (2, 3, 2), "size": (3, 4, 5), "mode": "linear"},
    ),
    "unfold": (
        {"input_size": (4, 5), "kernel_size": (2, 3)},
        {"input_size": 5, "kernel_size": 3, "padding": 2, "stride": 2},
        {"input_size": (6, 5), "kernel_size": 2, "dilation": (3, 1), "stride": (1, 2)},
    ),
    "fold": (
        {"output_size": (4, 5), "kernel_size": (2, 3)},
        {"output_size": 5, "kernel_size": 3, "padding": 1, "stride": 2},
        {"output_size": (6, 5), "kernel_size": 2, "dilation": (3, 1), "stride": (1, 2)},
    ),
    "repeat_vector": ({"n": 3}, {"n": 1}),
    "add": ({}, {"k": 5}),
    "average": ({}, {"k": 5}),
    "subtract": ({},),
    "nll_loss": ({}, {"n": 3}),
}


def torch_pass(
    name: str, x: np.ndarray, dy: np.ndarray, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx by torch's autograd, the draws on the last axis; skips without torch."""
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(np.moveaxis(x, -1, 0), requires_grad=True)
    y = TORCH[name](torch, leaf, **params)
    y.backward(torch.tensor(np.moveaxis(dy, -1, 0)))
    return np.moveaxis(y.detach().numpy(), 0, -1), np.moveaxis(leaf.grad.numpy(), 0, -1)


def moments(name: str, size: tuple[int, ...], params: Params, law: Any) -> dict[str, float]:
    """Return moments of y = J·x + b: those of normal vectors of covariance s²·JJᵀ and dy²·JᵀJ."""
    torch = pytest.importorskip("torch")

    def f(x: Any) -> Any:
        return TORCH[name](torch, x[None], **params)[0]

    at_zero = torch.zeros(size, dtype=torch.float64)
    b = f(at_zero).reshape(-1).numpy()
    j = torch.autograd.functional.jacobian(f, at_zero).reshape(len(b), -1).numpy()
    means = law.x_mean * j.sum(1) + b
    of_y, of_dx = law.x_std**2 * j @ j.T, law.dy_std**2 * j.T @ j
    var_y = np.mean(np.diag(of_y)) + np.mean((means - means.mean()) ** 2)
    found = {"mean_y": means.mean(), "var_y": var_y, "ms_dx": np.mean(np.diag(of_dx))}
    if len(of_dx) == 1:
        found["m4_dx"] = 3 * found["ms_dx"] ** 2
    else:
        found["var_ms_dx"] = 2 * np.sum(of_dx**2) / len(of_dx) ** 2
    if len(of_y) == 1:
        found["m4_y"] = 3 * var_y**2
    elif not np.any(means):
        found["var_ms_y"] = 2 * np.sum(of_y**2) / len(of_y) ** 2
    if not np.any(j.sum(1)):
        found["mean_dx"] = 0.0
    return found

"""Forward and backward of names with conventions of their own, beside the library that has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnstats.backends import numpy_backend
from bnstats.specs.spec import parse

os.environ.setdefault("KERAS_BACKEND", "jax")

# Names, what we add to them, and how the library is called on an array (n, width, channels) with as
# much said and all else left at its default. Channels are first for torch.
CASES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "keras.layers.GroupNormalization": (
        "num_groups=2,num_channels=4,input_size=6",
        lambda x: _keras().GroupNormalization(groups=2)(x),
    ),
    "keras.layers.LayerNormalization": (
        "normalized_shape=4",
        lambda x: _keras().LayerNormalization()(x),
    ),
    "keras.layers.RMSNormalization": (
        "normalized_shape=4",
        lambda x: _keras().RMSNormalization()(x),
    ),
    "keras.layers.AveragePooling1D": (
        "kernel_size=3,stride=2,padding=1,input_size=7",
        lambda x: _keras().AveragePooling1D(3, 2, padding="same")(x),
    ),
    "keras.layers.AvgPool1D": (
        "kernel_size=3,input_size=7",
        lambda x: _keras().AvgPool1D(3)(x),
    ),
    "keras.layers.MaxPooling1D": ("input_size=6", lambda x: _keras().MaxPooling1D()(x)),
    "flax.linen.GroupNorm": (
        "num_groups=2,num_channels=4,input_size=6",
        lambda x: _flax(_linen().GroupNorm(num_groups=2), x),
    ),
    "flax.linen.LayerNorm": ("normalized_shape=4", lambda x: _flax(_linen().LayerNorm(), x)),
    "flax.linen.RMSNorm": ("normalized_shape=4", lambda x: _flax(_linen().RMSNorm(), x)),
    "flax.linen.avg_pool": ("kernel_size=3,input_size=7", lambda x: _linen().avg_pool(x, (3,))),
    "flax.linen.max_pool": ("kernel_size=3,input_size=7", lambda x: _linen().max_pool(x, (3,))),
    "flax.nnx.avg_pool": ("kernel_size=3,input_size=7", lambda x: _nnx().avg_pool(x, (3,))),
    "flax.nnx.max_pool": ("kernel_size=3,input_size=7", lambda x: _nnx().max_pool(x, (3,))),
}
TORCH: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "F.rrelu": ("", lambda torch, x: torch.nn.functional.rrelu(x)),
    "torch.nn.functional.rrelu_": ("", lambda torch, x: torch.nn.functional.rrelu_(x.clone())),
    "torch.nn.GroupNorm": (
        "num_groups=2,num_channels=4,input_size=6",
        lambda torch, x: torch.nn.GroupNorm(2, 4, dtype=x.dtype)(x),
    ),
    "nn.AvgPool1d": (
        "kernel_size=3,stride=2,padding=1,input_size=7",
        lambda torch, x: torch.nn.AvgPool1d(3, 2, 1)(x),
    ),
    "nn.MaxPool1d": ("kernel_size=3,input_size=7", lambda torch, x: torch.nn.MaxPool1d(3)(x)),
    "nn.LPPool1d": (
        "norm_type=2.0,kernel_size=3,input_size=7",
        lambda torch, x: torch.nn.LPPool1d(2.0, 3)(x),
    ),
}


def _keras() -> Any:
    return pytest.importorskip("keras").layers


def _linen() -> Any:
    return pytest.importorskip("flax.linen")


def _nnx() -> Any:
    return pytest.importorskip("flax.nnx")


def _flax(module: Any, x: Any) -> Any:
    import jax

    return module.init_with_output(jax.random.key(0), x)[0]


def ours(spec: str, x: Any, dy: Any) -> tuple[Any, Any]:
    """Return y and dx, for x and dy that hold one event a row."""
    bound = parse(spec).bound
    draws = {"x": x.reshape(len(x), -1).T.reshape(*bound.inputs["x"].shape, len(x))}
    y, backward = bound.forward(numpy_backend, draws)
    dx = backward(dy.reshape(len(x), -1).T.reshape(y.shape))
    return y.reshape(-1, len(x)).T, dx.reshape(-1, len(x)).T


@pytest.mark.parametrize("name", CASES)
def test_keras_and_flax_agree(name: str) -> None:
    jax = pytest.importorskip("jax")
    added, call = CASES[name]
    # flax's pools have no dimensions in their names: bnstats asks which are meant.
    spec = f"flax.{name.rpartition('.')[2]}1d:{added}" if "_pool" in name else f"{name}:{added}"
    rng = np.random.default_rng(0)
    width, channels = (6, 4) if "Group" in name else (7, 1) if "=7" in added else (6, 1)
    if "normalized_shape" in added:
        width, channels = 1, 4
    x = 0.1 * rng.normal(size=(8, width, channels)).astype(np.float32)  # small, so that eps counts
    y, pull = jax.vjp(call, jax.numpy.asarray(x))
    dy = rng.normal(size=y.shape).astype(np.float32)
    (dx,) = pull(jax.numpy.asarray(dy))
    if "Group" in name:  # groups of channels, each with its positions: an event is one group
        grouped = [np.moveaxis(np.asarray(a).reshape(8, 6, 2, 2), 2, 1) for a in (x, y, dy, dx)]
        x, y, dy, dx = (a.reshape(16, 12) for a in grouped)
    found = ours(spec, np.asarray(x, float), np.asarray(dy, float))
    for mine, theirs in zip(found, (y, dx), strict=True):
        theirs = np.asarray(theirs).reshape(len(mine), -1)
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", TORCH)
def test_torch_agrees(name: str) -> None:
    torch = pytest.importorskip("torch")
    added, call = TORCH[name]
    rng = np.random.default_rng(0)
    shape = (8, 4, 6) if "Group" in name else (8, 1, 7)
    x = torch.tensor(0.1 * rng.normal(size=shape), requires_grad=True)
    y = call(torch, x)
    dy = torch.tensor(rng.normal(size=tuple(y.shape)))
    (dx,) = torch.autograd.grad(y, x, dy)
    arrays = [a.detach().numpy() for a in (x, y, dy, dx)]
    if "Group" in name:
        arrays = [a.reshape(16, 12) for a in arrays]
    elif "rrelu" in name:
        arrays = [a.reshape(-1, 1) for a in arrays]
    x_, y_, dy_, dx_ = arrays
    found = ours(f"{name}:{added}" if added else name, x_, dy_)
    for mine, theirs in zip(found, (y_, dx_), strict=True):
        np.testing.assert_allclose(mine, theirs.reshape(len(mine), -1), rtol=1e-9, atol=1e-12)

"""Independent oracles for weighted layers: loops, torch's autodiff, torch's and jax's weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import stats


@dataclass(frozen=True)
class Conv:
    """A convolution, or a transposed one, by its torch parameters; tuples have one entry a side."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    input_size: tuple[int, ...]
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"conv{'_transpose' * self.transposed}{len(self.kernel_size)}d"

    @property
    def sizes(self) -> dict[str, Any]:
        """Its torch parameters but the channels."""
        keys = ["kernel_size", "stride", "padding", "dilation", "groups"]
        keys += ["output_padding"] * self.transposed
        return {key: getattr(self, key) for key in keys}

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """As torch stores it."""
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def output_size(self) -> tuple[int, ...]:
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        sides = zip(self.input_size, reach, self.stride, self.padding, strict=True)
        if not self.transposed:
            return tuple((n + 2 * p - r) // s + 1 for n, r, s, p in sides)
        made = ((n - 1) * s - 2 * p + r for n, r, s, p in sides)
        return tuple(m + extra for m, extra in zip(made, self.output_padding, strict=True))

    def products(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """Yield the indices (of y, of the weight, of x) of every product, one by one."""
        outs, ins = self.out_channels // self.groups, self.in_channels // self.groups
        windows, size = self.output_size(), self.input_size
        if self.transposed:
            windows, size = size, windows
        for group, o, c in itertools.product(range(self.groups), range(outs), range(ins)):
            out, channel = group * outs + o, group * ins + c
            for window in itertools.product(*map(range, windows)):
                for tap in itertools.product(*map(range, self.kernel_size)):
                    sides = zip(window, tap, self.stride, self.padding, self.dilation, strict=True)
                    at = tuple(w * s - p + t * d for w, t, s, p, d in sides)
                    if not all(0 <= a < n for a, n in zip(at, size, strict=True)):
                        continue
                    if self.transposed:
                        yield (out, *at), (channel, o, *tap), (channel, *window)
                    else:
                        yield (out, *window), (out, c, *tap), (channel, *at)

    def twin(self, x: np.ndarray, dy: np.ndarray, weight: np.ndarray) -> tuple[Any, Any]:
        """Return y and dx of one draw, product by product."""
        y, dx = np.zeros((self.out_channels, *self.output_size())), np.zeros_like(x)
        for at_y, at_weight, at_x in self.products():
            y[at_y] += weight[at_weight] * x[at_x]
            dx[at_x] += weight[at_weight] * dy[at_y]
        return y, dx

    def torch(self, draws: dict[str, np.ndarray]) -> tuple[Any, Any]:
        """Return torch's y and grad of x, a draw at a time; skips without torch."""
        torch = pytest.importorskip("torch")
        f = getattr(torch.nn.functional, self.name)
        options = {k: v for k, v in self.sizes.items() if k != "kernel_size"}
        ys, dxs = [], []
        for n in range(draws["x"].shape[-1]):
            x, dy, weight = (torch.tensor(draws[k][..., n][None]) for k in ("x", "dy", "weight"))
            x.requires_grad_()
            y = f(x, weight[0], **options)
            y.backward(dy)
            ys.append(y.detach().numpy()[0])
            dxs.append(x.grad.numpy()[0])
        return np.stack(ys, -1), np.stack(dxs, -1)


_CONVOLUTIONS = [f"{kind}{sides}d" for kind in ("conv", "conv_transpose") for sides in (1, 2, 3)]
COVERS: dict[str, tuple[dict[str, Any], ...]] = dict.fromkeys(("linear", *_CONVOLUTIONS), ())


@dataclass(frozen=True)
class Initialisation:
    """Weights elsewhere: their variance in the fans, the law of an element in units of its σ.

    ``torch(init, tensor)`` fills a tensor and ``jax(initializers, axes)`` returns an initializer,
    where the library has this one; ``axes`` tells jax which axes are torch's in and out.
    """

    variance: Callable[[float, float], float]
    law: Any
    torch: Callable[..., Any] | None = None
    jax: Callable[..., Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)

    def torch_weights(self, shape: tuple[int, ...]) -> np.ndarray:
        torch = pytest.importorskip("torch")
        torch.manual_seed(4)
        tensor = torch.empty(shape, dtype=torch.float64)
        return self.torch(torch.nn.init, tensor).numpy()

    def jax_weights(self, shape: tuple[int, ...]) -> np.ndarray:
        jax = pytest.importorskip("jax")
        initializer = self.jax(jax.nn.initializers, {"in_axis": 1, "out_axis": 0})
        return np.asarray(initializer(jax.random.key(6), shape), dtype=float)


NORMAL, UNIFORM = stats.norm(), stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))
_CUT = math.sqrt(1 - 4 * stats.norm.pdf(2) / (2 * stats.norm.cdf(2) - 1))  # σ of ±2
CUT = stats.truncnorm(-2, 2, scale=1 / _CUT)


def _trunc_normal(init: Any, tensor: Any) -> Any:
    """torch cuts at absolute bounds and does not correct σ: hand it the σ before the cut."""
    std = 1 / math.sqrt(tensor.shape[1] * tensor[0, 0].numel()) / _CUT
    return init.trunc_normal_(tensor, 0.0, std, -2 * std, 2 * std)


INITIALISATIONS = {
    "xavier_normal": Initialisation(
        lambda i, o: 2 / (i + o), NORMAL, torch=lambda init, t: init.xavier_normal_(t)
    ),
    "xavier_uniform": Initialisation(
        lambda i, o: 2 / (i + o),
        UNIFORM,
        torch=lambda init, t: init.xavier_uniform_(t),
        jax=lambda init, axes: init.glorot_uniform(**axes),
    ),
    "xavier_uniform, gain": Initialisation(
        lambda i, o: 9 * 2 / (i + o),
        UNIFORM,
        torch=lambda init, t: init.xavier_uniform_(t, gain=3.0),
        params={"gain": 3.0},
    ),
    "glorot_normal": Initialisation(
        lambda i, o: 2 / (i + o), CUT, jax=lambda init, axes: init.glorot_normal(**axes)
    ),
    "kaiming_normal": Initialisation(
        lambda i, o: 2 / i, NORMAL, torch=lambda init, t: init.kaiming_normal_(t)
    ),
    "kaiming_normal, fan_out": Initialisation(
        lambda i, o: 2 / o,
        NORMAL,
        torch=lambda init, t: init.kaiming_normal_(t, mode="fan_out"),
        params={"mode": "fan_out"},
    ),
    "kaiming_uniform": Initialisation(
        lambda i, o: 2 / i,
        UNIFORM,
        torch=lambda init, t: init.kaiming_uniform_(t),
        jax=lambda init, axes: init.he_uniform(**axes),
    ),
    "kaiming_uniform, fan_out, gain": Initialisation(
        lambda i, o: 0.25 / o,
        UNIFORM,
        jax=lambda init, axes: init.variance_scaling(0.25, "fan_out", "uniform", **axes),
        params={"mode": "fan_out", "gain": 0.5},
    ),
    "he_normal": Initialisation(
        lambda i, o: 2 / i, CUT, jax=lambda init, axes: init.he_normal(**axes)
    ),
    "lecun_normal": Initialisation(
        lambda i, o: 1 / i, CUT, jax=lambda init, axes: init.lecun_normal(**axes)
    ),
    "lecun_uniform": Initialisation(
        lambda i, o: 1 / i, UNIFORM, jax=lambda init, axes: init.lecun_uniform(**axes)
    ),
    "truncated_normal": Initialisation(lambda i, o: 1 / i, CUT, torch=_trunc_normal),
    "truncated_normal, fan_out, gain": Initialisation(
        lambda i, o: 4 / o,
        CUT,
        jax=lambda init, axes: init.variance_scaling(4.0, "fan_out", "truncated_normal", **axes),
        params={"mode": "fan_out", "gain": 2.0},
    ),
}

"""Models of the tests' own: what users' models do to hooks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class PreActivation(nn.Module):
    """A residual branch after BN: x + conv(relu(bn(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.relu(self.bn(x)))


def pre_activation_net(channels: int = 128, blocks: int = 4) -> nn.Module:
    """He's 2016 net without a stem: the trunk is x itself."""
    return nn.Sequential(*(PreActivation(channels) for _ in range(blocks)))


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Tokens in, logits out, the embedding tied to the head."""

    def __init__(self, tokens: int = 50, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(tokens, width), nn.Embedding(16, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, 4) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        x = self.embed(tokens) + self.place(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return {"logits": self.head(self.norm(x))}


class BasicBlock(nn.Module):
    """torchvision's: a ReLU called twice, in place, and `out += identity`."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or before != after:
            convolution = nn.Conv2d(before, after, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet18(nn.Module):
    """torchvision's resnet18, of any width."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        sizes = [width, width, 2 * width, 4 * width, 8 * width]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(BasicBlock(a, b, 1 + (a != b)), BasicBlock(b, b, 1))
                for a, b in pairwise(sizes)
            )
        )
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8 * width, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


def vgg(width: int = 8) -> nn.Module:
    """vgg16's features, in place, with dropout in its classifier."""
    layers: list[nn.Module] = []
    before = 3
    for stage, count in enumerate((2, 2, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(before, width << stage, 3, padding=1), nn.ReLU(inplace=True)]
            before = width << stage
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.LazyLinear(64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


class Stacked(nn.Module):
    """linear, relu, repeated: bnstats' own stack in torch, He's weights, no biases."""

    def __init__(self, width: int = 64, depth: int = 5) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.relu = nn.ReLU(inplace=True)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=math.sqrt(2 / width))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.relu(layer(x))
        return x


class Out(NamedTuple):
    """An output with names."""

    steps: int
    y: Tensor


class Recurrent(nn.Module):
    """Tuple outputs, one of them with names and a whole number in front."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x: Tensor) -> Out:
        y, _ = self.lstm(x)
        return Out(x.shape[1], y)


class OverwritesItsInput(nn.Module):
    """x *= 2 before anything, and a functional activation in place after."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16, bias=False)
        nn.init.normal_(self.linear.weight, std=0.25)

    def forward(self, x: Tensor) -> Tensor:
        x *= 2
        return F.relu_(self.linear(x))


class Cyclic(nn.Module):
    """Held by a cycle of its own, with a buffer that would be missed."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("large", torch.zeros(2**18))
        self.me = [self]

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def reseeds() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def half_pretrained() -> nn.Module:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    with torch.no_grad():
        first.weight.copy_(torch.arange(16.0).reshape(4, 4))
    return nn.Sequential(first, second)


MODEL = nn.Linear(4, 4)


def one_model() -> nn.Module:
    return MODEL


def nothing_drawn(kind: int = 3) -> int:
    return kind


def raises() -> nn.Module:
    raise OSError("weights.pt: no such file")


def needs(size: int) -> nn.Module:
    return nn.Linear(size, size)


class Returns(nn.Module):
    """Returns what it is told to."""

    def __init__(self, what: str = "text") -> None:
        super().__init__()
        self.linear, self.what = nn.Linear(4, 4), what

    def forward(self, x: Tensor) -> object:
        y = self.linear(x)
        found = {"text": "y", "whole": y.argmax(1), "detached": y.detach(), None: None}
        return found[self.what]


class ChangesItsLayers(nn.Module):
    """Drops a layer by chance, as stochastic depth does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x) if not self.training or torch.rand(()) < 0.5 else x


class NumpysWeights(nn.Module):
    """Draws its weights with numpy's old generator."""

    def __init__(self) -> None:
        super().__init__()
        import numpy as np

        self.weight = nn.Parameter(torch.tensor(np.random.randn(4, 4)))  # noqa: NPY002

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight

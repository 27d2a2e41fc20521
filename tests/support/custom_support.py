"""Packages of a user's, as files: what tests of custom layers name by its path."""

MODULE = '''
"""Activations of the user's."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

def wave(x, *, k=1.0):
    return np.sin(k * x)


def swish(x, *, beta=1.0):
    """Swish with a factor."""
    return x / (1 + np.exp(-beta * x))

def leaky(x, negative_slope=0.1):
    return np.where(x > 0, x, negative_slope * x)

def tanh_pair(xp, x):
    """Tanh with its slope."""
    t = xp.tanh(x)
    return t, 1 - t * t

def bell(xp, x):
    return xp.exp(-x * x)

def cubic(x):
    return x * x * x / (1 + x * x)

def relu_at(xp, x, *, at: float):
    return xp.maximum(x - at, 0), xp.astype(x > at, x.dtype)

def either(x, *, side: Literal["left", "right"] = "left", squared=False):
    y = np.minimum(x, 0) if side == "left" else np.maximum(x, 0)
    return y * y if squared else y

def staircase(x):
    return np.floor(x) + np.maximum(x - 0.25, 0.0)

def wrong_slope(xp, x):
    return xp.sin(x), xp.cos(x) + 0.5 * (x > 2)

class Namespace:
    elu = staticmethod(lambda x: np.where(x > 0, x, np.expm1(x)))

constant = 3
scalar_only = lambda x: math.tanh(x)
def branches(x): return x if x > 0 else 0 * x
def in_place(x):
    x *= 2
    return x
def mean_of(x): return x.mean()
def half(x): return x[::2]
def three(x): return x, x, x
def a_list(x): return [1.0]
def booleans(x): return x > 0
def doubles(x): return np.sqrt(2) * x
def misspelt(x): return np.tnh(x)
def softmax(x): return np.exp(x) / np.exp(x).sum()
def noisy(x): return x + np.random.default_rng().normal(size=x.shape)
def nowhere(x): return x * np.nan
def logarithm(x): return np.log(x)
def late(x):
    if x.size > 1000:
        raise RuntimeError("too many\\n\\x1b[31mdraws")
    return x
def untypable(x, *, table: dict): return x
def no_event(*, p: float = 0.5): return p
'''

TORCH_MODULE = '''
"""Activations of the user's, in torch."""

import torch
from torch import nn

class Swish(nn.Module):
    """Swish with a learned factor."""
    def __init__(self, beta: float = 1.0):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(beta))

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)

class Bumps(nn.Module):
    def __init__(self, width: int = 4, *, device=None):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(width))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += 1
        return torch.tanh(x[..., None] - self.centres).sum(-1)

class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, dy):
        return 3 * dy

class NoBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

swish = Swish()
evaluated = nn.Sequential(nn.GELU(), nn.Dropout(0.5)).eval()
training = nn.Sequential(nn.GELU(), nn.Dropout(0.5))
in_place = nn.Sequential(nn.SiLU(inplace=True))
rounded = StraightThrough.apply
no_backward = NoBackward.apply
def within(x): return 1 * StraightThrough.apply(x) + 0
def silu(x): return x * torch.sigmoid(x)
def method(x): return x.sigmoid()
def tanh_pair(x):
    t = torch.tanh(x)
    return t, 1 - t * t
def constant(x): return torch.full_like(x, 3.0)
def branches(x): return torch.tanh(x) if x > 0 else x
def halved(x): return torch.tanh(x)[::2]
def narrow(x): return torch.tanh(x).float()
def misspelt(x): return torch.tanh(x).tnh()
def array(x): return torch.tanh(x).detach().numpy()
def softmax(x): return torch.softmax(x, -1)
class Fussy(nn.Module):
    def __init__(self, gain: float = 1.0):
        super().__init__()
        if gain > 1:
            raise ValueError("gain is above 1")
    def forward(self, x):
        return x
'''

JAX_MODULE = '''
"""Activations of the user's, in jax."""

import jax
import jax.numpy as jnp

def silu(x, *, beta=1.0):
    """Swish."""
    return x * jax.nn.sigmoid(beta * x)

@jax.jit
def compiled(x):
    return x / (1 + x * x)

@jax.custom_vjp
def rounded(x):
    return jnp.round(x)

rounded.defvjp(lambda x: (jnp.round(x), None), lambda _, dy: (3 * dy,))

def tanh_pair(x):
    t = jnp.tanh(x)
    return t, 1 - t * t

def branches(x): return jnp.tanh(x) if x[0] > 0 else x
def halved(x): return jnp.tanh(x)[::2]
def narrow(x): return jnp.tanh(x).astype(jnp.float16)
def softmax(x): return jax.nn.softmax(x)
'''

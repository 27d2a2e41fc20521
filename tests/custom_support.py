"""A package of a user's, as files: what tests of custom layers name by its path."""

MODULE = '''
"""Activations of the user's."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

def swish(x, *, beta=1.0):
    """Swish with a factor."""
    return x / (1 + np.exp(-beta * x))

def leaky(x, negative_slope=0.1):
    return np.where(x > 0, x, negative_slope * x)

def tanh_pair(xp, x):
    """Tanh with its slope."""
    t = xp.tanh(x)
    return t, 1 - t * t

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

"""One pass of signals through drawn networks, forward and backward, with matrices and without.

Arrays are (networks, units, inputs). Both engines draw from the same law, and neither knows the
other's way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import Input
from bnstats.networks.stages import Dense
from bnstats.sampling.iid import Normals
from bnstats.specs.spec import Spec

Engine = Literal["exact", "matrices"]
Backward: TypeAlias = Callable[[Any, Any], Any]
Layer: TypeAlias = Callable[["Source", Dense, Any, Any], tuple[Any, Backward]]

_REGULAR = 2.0**-30  # of det/trace² of 2 × 2 matrices, above which their inverse has its digits


class Source:
    """Random numbers of a stream; those of `normals` are fast, and last until the next call."""

    def __init__(self, generator: np.random.Generator, most: int) -> None:
        self.generator = generator
        self._normals = Normals(most, "float64")

    def normals(self, shape: tuple[int, ...]) -> Any:
        """Return standard normals of 24 bits, in memory that the next call overwrites."""
        return self._normals.draw(self.generator, math.prod(shape)).reshape(shape)


def gram(h: Any) -> Any:
    """Return hᵀh of every network, (networks, inputs, inputs)."""
    if h.shape[2] == 1:
        return np.einsum("rnb,rnb->r", h, h)[:, None, None]
    if h.shape[2] == 2 and h.flags.c_contiguous:
        return _gram_of_pairs(h)
    return np.matmul(h.transpose(0, 2, 1), h)


def _gram_of_pairs(h: Any) -> Any:
    """Take two inputs as z = h₁ + ih₂: Σz² is |h₁|² − |h₂|² + 2i·h₁h₂, twice as fast as hᵀh."""
    z = h.view(np.complex128)[:, :, 0]
    square = np.matmul(z[:, None, :], z[:, :, None])[:, 0, 0]
    flat = h.reshape(len(h), -1)
    both = np.einsum("rn,rn->r", flat, flat)
    inner = np.empty((len(h), 2, 2))
    inner[:, 0, 0], inner[:, 1, 1] = (both + square.real) / 2, (both - square.real) / 2
    inner[:, 0, 1] = inner[:, 1, 0] = square.imag / 2
    return inner


def without_matrices(source: Source, stage: Dense, h: Any, inner: Any) -> tuple[Any, Backward]:
    """Return z = W·h + b and dz ↦ Wᵀ·dz for W of independent normals, which is never drawn.

    ``inner`` is `gram` of h, and as the second argument of what is returned that of dz. Given h,
    the columns of W·h are normal with covariance hᵀh for every unit. Given W·h as well, W is known
    on the span of h and as it was beside it: Wᵀ·d is h·(hᵀh)⁺(W·h)ᵀd and a fresh normal of which
    the part along h is taken away.
    """
    std = math.sqrt(stage.weights.ms)
    shared = np.matmul(source.normals(h.shape), std * _root(inner))
    inverse = _inverse(inner)

    def backward(d: Any, inner_d: Any) -> Any:
        fresh = np.matmul(source.normals(h.shape), std * _root(inner_d))
        along = np.matmul(shared.transpose(0, 2, 1), d)
        along -= np.matmul(h.transpose(0, 2, 1), fresh)
        fresh += np.matmul(h, np.matmul(inverse, along))
        return fresh

    return _with_bias(source.generator, stage, shared), backward


def with_matrices(source: Source, stage: Dense, h: Any, inner: Any) -> tuple[Any, Backward]:
    """Return z = W·h + b and dz ↦ Wᵀ·dz for a matrix W that is drawn for every network."""
    networks, units = h.shape[:2]
    law, generator = stage.weights, source.generator
    if stage.gaussian:
        drawn = source.normals((networks, units, units)) * math.sqrt(law.ms)
    else:
        tensor = np.asarray(law.tensor(numpy_backend, drawn_of(generator, law.drawn, networks)))
        drawn = np.ascontiguousarray(np.moveaxis(tensor, -1, 0))
    z = _with_bias(generator, stage, np.matmul(drawn, h))
    return z, lambda d, inner_d: np.matmul(drawn.transpose(0, 2, 1), d)


ENGINES: dict[Engine, Layer] = {"exact": without_matrices, "matrices": with_matrices}


def elementwise(
    spec: Spec, generator: np.random.Generator, x: Any
) -> tuple[Any, Callable[[Any], Any]]:
    """Return y of an array of any shape, and the function from dy to dx."""
    extra = {k: i for k, i in spec.bound.inputs.items() if k not in ("x", "dy")}
    draws = {name: drawn_of(generator, given, x.size) for name, given in extra.items()}
    y, pull = spec.bound.forward(numpy_backend, {"x": x.reshape(-1), **draws})
    return y.reshape(x.shape), lambda d: pull(d.reshape(-1)).reshape(x.shape)


def drawn_of(generator: np.random.Generator, given: Input, n: int) -> Any:
    """Return n draws of an input, on the last axis."""
    shape = (*given.shape, n)
    if given.distribution == "normal":
        return generator.standard_normal(shape)
    return generator.random(shape)


def unit_biases(generator: np.random.Generator, law: str, shape: tuple[int, ...]) -> Any:
    """Return biases of mean 0 and variance 1."""
    if law == "uniform":
        return math.sqrt(12) * (generator.random(shape) - 0.5)
    return generator.standard_normal(shape)


def _with_bias(generator: np.random.Generator, stage: Dense, z: Any) -> Any:
    if not stage.bias_std:
        return z
    return z + stage.bias_std * unit_biases(generator, stage.bias_law, (*z.shape[:2], 1))


def _root(inner: Any) -> Any:
    """Return the symmetric root of each Gram matrix; not a number where it is not finite."""
    if inner.shape[1] == 1:
        return np.sqrt(inner)
    if inner.shape[1] == 2:  # by Cayley and Hamilton
        trace, det = _trace_and_det(inner)
        root_det = np.sqrt(np.maximum(det, 0.0))
        norm = np.sqrt(trace + 2 * root_det)
        return np.divide(inner + root_det * np.eye(2), norm, out=inner * 0, where=norm > 0)
    values, vectors, finite = _eigen(inner)
    root = np.matmul(vectors * np.sqrt(values)[:, None, :], vectors.transpose(0, 2, 1))
    root[~finite] = np.nan
    return root


def _inverse(inner: Any) -> Any:
    """Return the pseudo-inverse of each Gram matrix."""
    if inner.shape[1] == 1:
        return np.divide(1.0, inner, out=np.zeros_like(inner), where=inner > 0)
    if inner.shape[1] == 2:
        trace, det = _trace_and_det(inner)
        if np.all(det > _REGULAR * trace * trace):
            return (trace * np.eye(2) - inner) / det
    values, vectors, _ = _eigen(inner)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
    return np.matmul(vectors * inverse[:, None, :], vectors.transpose(0, 2, 1))


def _trace_and_det(inner: Any) -> tuple[Any, Any]:
    """Return both of each 2 × 2 matrix, symmetric, as (networks, 1, 1)."""
    a, b, d = inner[:, :1, :1], inner[:, :1, 1:], inner[:, 1:, 1:]
    return a + d, a * d - b * b


def _eigen(inner: Any) -> tuple[Any, Any, Any]:
    """Return eigenvalues, those that are but rounding set to 0, vectors, and which are finite."""
    finite = np.isfinite(inner).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(finite[:, None, None], inner, 0.0))
    kept = values > values[:, -1:] * (inner.shape[1] * 2.0**-50)
    return np.where(kept, values, 0.0), vectors, finite

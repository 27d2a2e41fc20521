"""What is kept of a tensor: the logarithm of its mean square, and how alike its inputs are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch


class Numbers(NamedTuple):
    """Of one tensor.

    Attributes
    ----------
    ln
        Logarithm of its mean square; −inf where all is 0, nan where something is not finite.
    cosine
        Mean over pairs of inputs of their cosine; nan where its first side is not the batch.
    """

    ln: float
    cosine: float


def numbers_of(tensor: Any, batch: int = 1) -> Numbers:
    """Reduce a tensor in float64; only the sum of its inputs' directions is of its own precision.

    Parameters
    ----------
    tensor
        Of any shape.
    batch
        Inputs whose cosines are wanted; of one there are none.
    """
    tensor = tensor.detach()
    if tensor.is_sparse:
        tensor = tensor.to_dense()
    if not tensor.numel():
        return Numbers(-math.inf, math.nan)
    first = tensor.shape[0] if tensor.dim() > 1 else 1
    flat = tensor.reshape(first, -1)
    norms = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64)
    total = float(norms.square().sum())
    if not math.isfinite(total):
        return Numbers(math.nan, math.nan)
    ln = math.log(total / tensor.numel()) if total else -math.inf
    if first != batch or batch == 1:
        return Numbers(ln, math.nan)
    wide = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
    together = (1 / norms).to(wide.dtype) @ wide
    square = float(torch.linalg.vector_norm(together, dtype=torch.float64)) ** 2
    return Numbers(ln, (square - batch) / (batch * (batch - 1)))

"""In which order families of layers are shown."""

from __future__ import annotations

from functools import cache
from statistics import fmean

from bnstats.layers import LAYERS
from bnstats.specs.libraries import names_of


@cache
def ordered_families() -> tuple[str, ...]:
    """Return the families, those first whose layers, on average, more libraries have.

    >>> ordered_families().index("rectifiers") < ordered_families().index("padding")
    True
    """
    shared: dict[str, list[int]] = {}
    for layer in LAYERS.values():
        shared.setdefault(layer.family, []).append(len(names_of(layer.name)))
    return tuple(sorted(shared, key=lambda family: (-fmean(shared[family]), family)))

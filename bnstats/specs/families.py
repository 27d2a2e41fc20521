"""In which order families of layers are shown."""

from __future__ import annotations

import re
from functools import cache

from bnstats.layers import LAYERS
from bnstats.specs.libraries import names_of


@cache
def ordered_families() -> tuple[str, ...]:
    """Return the families, those first whose layers more libraries have.

    A layer that there is over one, two and three axes counts once.

    >>> ordered_families().index("smooth") < ordered_families().index("padding")
    True
    """
    shared: dict[str, dict[str, int]] = {}
    for layer in LAYERS.values():
        of_family = shared.setdefault(layer.family, {})
        stem = re.sub(r"[123]d$", "", layer.name)
        of_family[stem] = max(of_family.get(stem, 0), len(names_of(layer.name)))
    return tuple(sorted(shared, key=lambda family: (-sum(shared[family].values()), family)))

"""Draws by number: draw i of a layer is a function of seed, layer and i alone.

Neither the chunks, nor the blocks that fit a device, nor the number of devices change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

from bnstats.backends import Keys
from bnstats.layers import BoundLayer
from bnstats.sampling.counter.philox import ROUNDS, key_schedule, normal_pair, philox, uniform
from bnstats.sampling.iid import scaled
from bnstats.sampling.settings import Sampling

Array: TypeAlias = Any


def round_keys(seed: int, spec: str) -> Keys:
    """Return Philox's round keys and, last, the counter's highest word: 96 bits for a layer."""
    digest = hashlib.sha256(f"{seed} {spec}".encode()).digest()
    low, high, stream = (int.from_bytes(digest[i : i + 4], "little") for i in (0, 4, 8))
    return [*key_schedule((low, high)), (stream, 0)]


def group_draws(
    bound: BoundLayer, sampling: Sampling, xp: Any, first: Array, groups: int, keys: Array
) -> list[dict[str, Array]]:
    """Return the draws of groups of one or two draws each: those of each place in a group.

    Two draws share a call of Philox where one would waste half of its words.

    Parameters
    ----------
    bound, sampling
        What to draw: of ``sampling``, the dtype and the law matter.
    xp
        Array namespace.
    first
        Number of the first group, a 64-bit scalar and a multiple of ``groups``.
    groups
        A power of two up to 2^31.
    keys
        Words of shape (ROUNDS + 1, 2), see `round_keys`.
    """
    inputs, places = bound.inputs, draws_per_group(bound)
    given = [(i.distribution, prod(i.shape)) for i in inputs.values()]
    counts = {law: sum(count for of, count in given if of == law) for law in _LAWS}
    calls = {law: -(-places * count // 4) for law, count in counts.items()}
    rows: dict[str, Array] = {}
    begin = 0
    for law, transform in _LAWS.items():
        if calls[law]:
            words = _words(xp, first, groups, keys, range(begin, begin + calls[law]))
            parts = [xp.astype(p, getattr(xp, sampling.dtype)) for p in transform(xp, words)]
            # Of a single call the rows stay apart: joining them would store them.
            rows[law] = xp.concat(parts, axis=0) if calls[law] > 1 else [p[0] for p in parts]
        begin += calls[law]
    found = []
    for place in range(places):
        at = {law: place * count for law, count in counts.items()}
        draws = {}
        for name, i in inputs.items():
            row, end = at[i.distribution], at[i.distribution] + prod(i.shape)
            taken = rows[i.distribution][row:end] if i.shape else rows[i.distribution][row]
            if isinstance(taken, list):
                taken = xp.stack(taken)
            draws[name] = xp.reshape(taken, (*i.shape, groups))
            at[i.distribution] = end
        found.append(scaled(draws, sampling.law))
    return found


def draws_per_group(bound: BoundLayer) -> int:
    """Return how many draws share a call."""
    normals = (i for i in bound.inputs.values() if i.distribution == "normal")
    return 2 if sum(prod(i.shape) for i in normals) <= 2 else 1


def _words(xp: Any, first: Array, groups: int, keys: Array, calls: range) -> Any:
    """Return the four words of each call for each group, every one of shape (calls, groups)."""
    low, high = xp.counter(first, groups)
    call = xp.words([[c] for c in calls]) ^ (low & 0)
    zeros = call & 0
    return philox(xp, (low ^ zeros, high ^ zeros, call, keys[ROUNDS, 0] ^ zeros), keys)


def _normals(xp: Any, words: Any) -> list[Array]:
    return [*normal_pair(xp, words[0], words[1]), *normal_pair(xp, words[2], words[3])]


def _uniforms(xp: Any, words: Any) -> list[Array]:
    return [uniform(xp, w) for w in words]


_LAWS: dict[str, Callable[[Any, Any], list[Array]]] = {"normal": _normals, "uniform": _uniforms}

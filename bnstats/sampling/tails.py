"""Draws that tell how heavy the tails of a layer are, set apart from those of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.layers import Array, Law
from bnstats.sampling.iid import iid_blocks
from bnstats.sampling.layout import Chunk
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec
from bnstats.statistics.moments import per_draw
from bnstats.statistics.quantities import Direction
from bnstats.statistics.tails import Tail, tail_of

_DRAWS, _NUMBERS = 2**16, 2**21  # of a batch, at most
_MOST_BATCHES, _SHARE_OF_RUN = 16, 0.125
_FEWEST = 256  # draws that tell a shape; of the widest events these are more than a share
_ENOUGH = 200.0  # effective draws
_APART = 2**64  # the index of no chunk of a run
_NEAR_THE_MEAN = 4096  # values whose median is near the mean of all


def tails(
    spec: Spec, law: Law, directions: Iterable[Direction], samples: float, seed: int = 0
) -> dict[Direction, Tail]:
    """Return the tails of y and dx, as far as a few draws tell them.

    These take some hundredths of a second; where what matters is rare there are more, up to an
    eighth of those of the run, or as many as tell anything at all.

    Parameters
    ----------
    spec, law
        The layer and the law of its inputs.
    directions
        Those whose fourth moment is not known otherwise.
    samples
        Draws of the run, at most.
    seed
        By default it is the same whatever the seed of a run is: what tails a law has is no matter
        of chance, and another seed of a run does not talk it away.
    """
    kept: dict[Direction, list[Array]] = {direction: [] for direction in directions}
    found: dict[Direction, Tail | None] = {}
    draws = min(_DRAWS, max(_NUMBERS // spec.bound.numbers, 1))
    least = math.ceil(min(samples, _FEWEST) / draws)
    share = int(min(samples * _SHARE_OF_RUN / draws, _MOST_BATCHES))
    batches = max(least, share) if kept else 0
    sampling = Sampling(seed=seed, law=law)
    with np.errstate(all="ignore"):
        for batch in range(batches):
            chunk = Chunk(_APART + batch, 0, draws)
            for block in iid_blocks(spec, sampling, chunk):
                y, backward = spec.bound.forward(numpy_backend, block.draws)
                for direction, means in kept.items():
                    means.append(_means(y if direction == "y" else backward(block.draws["dy"])))
            found = {direction: tail_of(_squares(means)) for direction, means in kept.items()}
            so_far = draws * (batch + 1)
            seen = all(t is None or t.share * so_far >= _ENOUGH for t in found.values())
            if seen and so_far >= _FEWEST:
                break
    return {direction: tail for direction, tail in found.items() if tail is not None}


def _means(values: Array) -> Array:
    """Return a number near E[v], and about it the event means of v and v², shape (3, draws)."""
    some = values.ravel()[:: -(-values.size // _NEAR_THE_MEAN)]  # a median of all takes longer
    middle = float(np.median(some))
    a, b = per_draw(numpy_backend, values, middle if math.isfinite(middle) else 0.0)
    return np.stack([np.full_like(a, middle), a, b])


def _squares(means: list[Array]) -> Array:
    """Return the event means of (v − E[v])²."""
    middle, a, b = np.concatenate(means, axis=1)
    finite = np.isfinite(b)
    off = np.mean((middle + a)[finite]) - middle
    return np.maximum(b - 2 * off * a + off * off, 0.0)

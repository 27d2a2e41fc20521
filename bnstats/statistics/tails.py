"""How heavy the tail of a law is, read off draws that are set apart for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

_PRIOR_AT, _PRIOR_DRAWS = 0.5, 10  # of the shape: see Vehtari et al. 2024, appendix C
_SPARE = 1.5  # with 100 by this count some 6 % of 95 % intervals miss, in the worst case
_FEWEST = 20  # exceedances that tell a shape


@dataclass(frozen=True)
class Tail:
    """What draws tell of the squared deviations c = (v − E[v])², event means in wide layers.

    They are not the draws whose intervals are judged by it: among samples of a heavy-tailed law,
    those that take themselves for good ones are those that missed the tail.

    Attributes
    ----------
    shape
        Shape k of the generalised Pareto law of the largest c; moments of c exist up to order 1/k.
    share
        Effective draws behind σ̂ per draw, E[c]²/E[c²].
    """

    shape: float
    share: float

    @property
    def is_finite(self) -> bool:
        """Whether c seems to have a finite second moment, without which σ̂ has no known error."""
        return 2 * self.shape < 1

    def effective(self, draws: float, order: Literal[1, 2] = 2) -> float:
        """Return the effective draws behind σ̂ among so many; 0 where an error is not known.

        The error of σ̂ is the root of a mean of c², whose shape is 2k, that of the mean of v one of
        a mean of c. A mean is close to its limit where its shape is below 1 − 1/log₁₀(draws)
        (Vehtari, Simpson, Gelman, Yao and Gabry 2024, "Pareto smoothed importance sampling", JMLR
        25(72), equation 13). Three draws count as two, as their sample must tell the error as well.

        Parameters
        ----------
        draws
            How many.
        order
            The power of c whose mean the error is made of.
        """
        if draws <= 10 or order * self.shape >= 1 - 1 / math.log10(draws):
            return 0.0
        return self.share * draws / _SPARE


def tail_of(squares: Any) -> Tail | None:
    """Return the tail of the law of which squared deviations are independent draws.

    The shape is that of the 3√n largest or, where a few make the mean of c², of as many as there
    are effective draws: what is smaller is no part of the tail. It is infinite where these are too
    few to tell, and None is returned where nothing varies.

    Parameters
    ----------
    squares
        Squared deviations, shape (n,); those that are not finite are left out.
    """
    c = squares[np.isfinite(squares)]
    if not (size := float(np.max(c, initial=0.0))) > 0:
        return None
    c = c / size  # whose squares do not overflow
    share = float(np.mean(c) ** 2 / np.mean(c * c))
    largest = int(min(share * c.size, 3 * math.sqrt(c.size), 0.2 * c.size))
    if largest < _FEWEST:
        return Tail(math.inf, share)
    top = np.sort(np.partition(c, c.size - largest - 1)[-largest - 1 :])
    exceedances = top[1:] - top[0]
    exceedances = exceedances[exceedances > 1e-12]
    if np.unique(exceedances).size < _FEWEST:  # values taken again and again are no tail
        return Tail(-math.inf, share)
    return Tail(pareto_shape(exceedances), share)


def pareto_shape(exceedances: Any) -> float:
    """Return the shape of a generalised Pareto law by the estimator of Zhang and Stephens (2009).

    The posterior mean of a profile likelihood; pulled towards ½ with the weight of ten draws.

    Parameters
    ----------
    exceedances
        What draws exceed a threshold by: positive and in ascending order, shape (n,).
    """
    x, n = exceedances, exceedances.size
    points = 30 + math.isqrt(n)
    quartile = x[int(n / 4 + 0.5) - 1]
    spread = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    slopes = 1 / x[-1] + spread / (3 * quartile)
    shapes = np.mean(np.log1p(-slopes[:, None] * x), axis=1)
    log_likelihood = n * (np.log(-slopes / shapes) - shapes - 1)
    weights = np.exp(log_likelihood - np.max(log_likelihood))
    slope = float(np.sum(slopes * weights) / np.sum(weights))
    shape = float(np.mean(np.log1p(-slope * x)))
    return float((n * shape + _PRIOR_DRAWS * _PRIOR_AT) / (n + _PRIOR_DRAWS))

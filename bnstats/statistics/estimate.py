"""From moments to estimates: value, standard error, interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from bnstats.layers import CONSTANT
from bnstats.notation import concise
from bnstats.statistics.alarm import two_sided
from bnstats.statistics.exact import Exact, exact_entry
from bnstats.statistics.joint import Joint
from bnstats.statistics.moments import VARIANCE_ROUNDING, Moments, Tally
from bnstats.statistics.quantities import QUANTITIES, Direction, Quantity
from bnstats.statistics.tails import Tail
from bnstats.statistics.uncertain import Difference, Uncertain, finite

# Coverage of the log-scale interval falls off below this effective sample size.
MIN_N_EFF = 100.0
# A sample whose standard error is below this share of the exact one has missed the tails.
_ENOUGH_COVERED = 0.7
_UNSEEN = 2.0  # points beyond a jump that replicates may lack, or have, in all
_LARGEST_EXPONENT = 700.0  # e^700 is a float64 still


@dataclass(frozen=True)
class Estimate(Uncertain):
    """A sampled quantity; prints as value(standard error), the GUM's concise form.

    Attributes
    ----------
    value
        The estimate, in the units of y or dx (Var: squared; gains: reciprocal).
    stderr
        Its standard error; None where the sample holds no information on it.
    interval
        Central confidence interval, or None. Of a mean it is symmetric; of every other quantity
        it is built on the log scale.
    n_eff
        Effective draws, 1/(4r² + 1/n) with r the relative standard error of σ̂ that n independent
        draws have, by the sample or by theory, whichever is larger: below 100 do not trust the
        interval. None at all where r is not known to be finite.
    exact
        The value known without sampling, or None.
    z
        (estimate − exact)/standard error, on the interval's scale; None without either, and where
        draws were left out. Where the exact fourth moment is known, the standard error is that of
        theory, not the sample's.
    log_scale
        Whether interval and z live on the log scale; not so for means.
    nonfinite
        Draws left out because they, or their fourth powers, are not finite.
    tail_coverage
        The sample's standard error divided by the theoretical one for the same number of
        independent draws, both relative to their values where ``log_scale``; 1 if unknown. Below
        0.7 the sample has missed the tails.
    squared
        Whether the quantity is the square of a number in (−1, 1), such as a correlation: the
        interval is that number's, whose inverse hyperbolic tangent is closer to normal, and z is
        in units of its standard error. ``stderr`` is to second order: near 0 it is √2 times the
        number's, squared.
    stream
        The random stream that it was drawn from, which tells estimates that share draws; empty if
        it is not known.
    """

    value: float
    stderr: float | None
    interval: tuple[float, float] | None
    n_eff: float
    exact: Exact | None = None
    z: float | None = None
    log_scale: bool = True
    nonfinite: float = 0.0
    tail_coverage: float = 1.0
    squared: bool = False
    stream: str = ""

    def _from_zero(self) -> Difference:
        return Difference(self.value, self.stderr, streams=frozenset({self.stream} - {""}))

    def interval_at(self, z: float) -> tuple[float, float] | None:
        """Return the interval of ±z standard errors on the estimate's own scale."""
        if self.stderr is None:
            return None
        if self.squared:
            return self._interval_of_square(z)
        if not self.log_scale:
            return self.value - z * self.stderr, self.value + z * self.stderr
        # A variance that is all rounding can have an error of hundreds of times its value.
        factor = math.exp(min(z * self.stderr / self.value, _LARGEST_EXPONENT))
        return self.value / factor, self.value * factor

    def _interval_of_square(self, z: float) -> tuple[float, float]:
        root, half = math.sqrt(self.value), (self.stderr or 0.0) ** 2 / 2
        # stderr² is 4·value·e² + 2·e⁴ with e the root's error
        error = math.sqrt(half / (self.value + math.sqrt(self.value**2 + half)))
        room = 1 - self.value
        if room <= error:  # the error of what is 1 in every draw
            return max(root - z * error, 0.0) ** 2, 1.0
        centre, reach = math.atanh(root), z * error / room
        low, high = math.tanh(centre - reach), math.tanh(centre + reach)
        return max(low, 0.0) ** 2, max(high * high, low * low)

    @property
    def has_enough_draws(self) -> bool:
        """Whether z may be believed that is in units of theory's standard error."""
        return self.interval is not None and self.n_eff >= MIN_N_EFF and not self.nonfinite

    @property
    def is_constant(self) -> bool:
        """Whether nothing varies and nothing is wrong: all draws have what theory says, as 0."""
        exact = self.exact
        return (
            exact is not None
            and self.stderr is None
            and abs(self.value - exact.value) <= exact.error
        )

    @property
    def missed_tails(self) -> bool:
        """Whether theory says that the sample has hardly seen what its error hinges on."""
        return self.tail_coverage < _ENOUGH_COVERED

    @property
    def reliable(self) -> bool:
        """Whether the interval may be believed."""
        return self.has_enough_draws and not self.missed_tails

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is not finite is None."""
        interval = None if self.interval is None else [finite(end) for end in self.interval]
        return {
            "value": finite(self.value),
            "stderr": finite(self.stderr),
            "interval": interval,
            "n_eff": finite(self.n_eff),
            "reliable": self.reliable,
            "exact": exact_entry(self.exact),
            "z": finite(self.z),
        }

    def __str__(self) -> str:
        return concise(self.value, self.stderr)

    def __repr__(self) -> str:
        return f"Estimate({self})"


def quantile(confidence: float, m: Moments | Joint) -> float:
    """Return how many standard errors an interval reaches to each side.

    Normal for draws; Student's t over the replicates of a randomised point set, which are few.
    """
    if m.points == m.count:
        return two_sided(1 - confidence)
    from scipy.special import stdtrit

    return -float(stdtrit(m.count - 1, (1 - confidence) / 2))


def as_normal(t: float, m: Moments | Joint) -> float:
    """Return the standard normal deviate with the same tail probability as a t over replicates."""
    if m.points == m.count:
        return t
    from scipy.special import ndtri, stdtr

    return math.copysign(float(ndtri(max(stdtr(m.count - 1, -abs(t)), 1e-300))), t)


class Crossing(NamedTuple):
    """A jump of v, and how much more than others a Sobol' point that crosses it weighs."""

    low: float
    high: float
    weight: float


@dataclass(frozen=True)
class Estimator:
    """From the moments of what was sampled to an estimate of every quantity.

    Attributes
    ----------
    exact
        Exact values by quantity, as far as they are known.
    confidence
        Probability that an interval covers the truth, in (0, 1).
    rounding
        Unit roundoff of the draws: a relative error that more draws do not average away, added
        to every standard error.
    heavy_tailed
        Directions whose fourth moment is infinite: no interval of theirs may be believed.
    crossings
        Of Sobol' points, the jumps in each direction. A replicate's mean is off by one point's
        share of a jump with a chance that depends on its place: where it is small, 32 replicates
        may all be alike.
    farness
        How many times further from 0 x lies than from its mean: so much of the rounding of x is
        felt where its mean is taken away.
    tails
        Where theory knows no fourth moment, what other draws tell of it: a sample that does not
        have the effective draws which they allow has no interval to be believed.
    """

    exact: Mapping[str, Exact] = field(default_factory=dict)
    confidence: float = 0.95
    rounding: float = 0.0
    heavy_tailed: tuple[Direction, ...] = ()
    crossings: Mapping[Direction, tuple[Crossing, ...]] = field(default_factory=dict)
    tails: Mapping[Direction, Tail] = field(default_factory=dict)
    farness: float = 1.0

    def is_hopeless(self, direction: Direction) -> bool:
        """Whether no number of draws is sure to give an interval that may be believed."""
        tail = self.tails.get(direction)
        return direction in self.heavy_tailed or (tail is not None and not tail.is_finite)

    def estimates(self, tally: Tally) -> dict[str, Estimate]:
        """Return every quantity of the directions that were sampled."""
        found = {}
        for name, q in QUANTITIES.items():
            if (m := tally.get(q.direction)) is not None:
                estimate = self._estimate(q, m, self.exact.get(name))
                most = self.most_effective(q.direction, m.points, 1 if q.moment == "mean" else 2)
                found[name] = replace(estimate, n_eff=min(estimate.n_eff, most))
        return found

    def most_effective(
        self, direction: Direction, points: float, order: Literal[1, 2] = 2
    ) -> float:
        """Return the effective draws that theory or other draws allow, of a mean of v or of v²."""
        std = self.exact.get(f"std_{direction}")
        known = None if std is None or std.value <= 0 else std.stderr(points)
        if direction in self.heavy_tailed:
            return 0.0
        tail = self.tails.get(direction)
        if tail is not None:
            allowed = tail.effective(points, order)
            if allowed < MIN_N_EFF:
                return allowed
        if std is None or known is None:
            return math.inf
        return 1 / ((2 * known / std.value) ** 2 + 1 / points)

    def half_width(self, tally: Tally) -> float:
        """Return the largest relative half-width of an interval of σ; infinite where unreliable.

        Draws that have missed the tails take their standard errors for too small, and would stop
        too soon: where the exact one is known, a half-width is no smaller than it allows.
        """
        found = self.estimates(tally)
        widths = (
            self._relative_half_width(found[name], tally[QUANTITIES[name].direction])
            for name in ("std_y", "std_dx")
            if name in found
        )
        return max(widths, default=math.inf)

    def _relative_half_width(self, std: Estimate, m: Moments) -> float:
        if not (std.interval and std.reliable):
            return math.inf
        sampled = (std.interval[1] - std.interval[0]) / (2 * std.value)
        known = std.exact.stderr(m.count) if std.exact is not None else None
        if std.exact is None or not known or m.points > m.count:
            return sampled
        return max(sampled, quantile(self.confidence, m) * known / std.exact.value)

    def _estimate(self, q: Quantity, m: Moments, exact: Exact | None) -> Estimate:
        if not m.count:
            return Estimate(math.nan, None, None, 0.0, exact)
        constant = exact is not None and exact.by == CONSTANT
        rounding = self.rounding
        if constant:
            rounding = max(rounding, VARIANCE_ROUNDING) * self.farness
        moment, stderr = _moment(q, m, rounding, constant=constant)
        if stderr is not None and m.points > m.count:
            stderr = math.hypot(stderr, _crossed(q, m, self.crossings.get(q.direction, ())))
        log_scale = q.moment != "mean"
        if log_scale and moment <= 0:
            return Estimate(0.0 if q.power > 0 else math.inf, None, None, m.n_eff, exact)
        value = moment**q.power
        if stderr is not None:
            stderr *= abs(q.power) * value / moment if log_scale else 1.0
        found = Estimate(value, stderr, None, m.n_eff, exact, None, log_scale, m.nonfinite)
        # What is left of the draws is no sample of what the exact value is of.
        z = None if m.nonfinite else _z(found, m, q, self.rounding)
        interval = found.interval_at(quantile(self.confidence, m))
        return replace(found, interval=interval, z=z, tail_coverage=_tail_coverage(found, m, q))


def independent_error(n_eff: float, points: float) -> float:
    """Return the relative standard error of σ̂ from independent draws of mean zero."""
    return 0.5 * math.sqrt(max(1 / n_eff - 1 / points, 0.0))


def _tail_coverage(estimate: Estimate, m: Moments, q: Quantity) -> float:
    """Return `Estimate.tail_coverage`.

    A heavy-tailed sample that lacks its largest values underestimates its own error. The errors of
    Sobol' points are not those of independent draws, so their fourth moments are compared instead;
    these are about zero, so only dx can be checked.
    """
    exact = estimate.exact
    known = exact.stderr(m.points) if exact is not None else None
    if exact is None or not known or not estimate.stderr:
        return 1.0
    if m.points == m.count:
        # Relative, so that a formula that is wrong by a factor is not taken for unseen tails.
        return estimate.stderr / known * (exact.value / estimate.value if estimate.log_scale else 1)
    if q.moment == "mean" or q.direction == "y" or m.n_eff <= 0:
        return 1.0
    return 2 * abs(q.power) * independent_error(m.n_eff, m.points) * exact.value / known


def _z(estimate: Estimate, m: Moments, q: Quantity, rounding: float) -> float | None:
    """Return the estimate's distance from its exact value in standard errors."""
    exact, stderr = estimate.exact, estimate.stderr
    if exact is None or stderr is None:
        return None
    if estimate.log_scale:
        stderr *= exact.value / estimate.value  # the relative error is the sample's
    known = exact.stderr(m.count) if m.points == m.count else None
    if known is not None:
        # Two-point values such as a saturated sigmoid's have κ = 1: there −(ā − E[a])² is all there
        # is. In units of four times its mean it is beyond 4 as rarely as a normal deviate is.
        # A mean square, linear in the draws, has no such term.
        second_order = 0.0
        if q.moment == "var":
            share = m.aa / m.count / (m.mean_b - m.mean_a**2)
            second_order = 4 * abs(q.power) * exact.value * share / m.count
        # The sample's own error is the larger where it holds more of a rare event than was due;
        # or where its mean is off, by five standard errors at the most.
        own = math.sqrt(max(stderr**2 - (2.5 * second_order) ** 2, 0.0))
        stderr = max(own, math.hypot(known, second_order, rounding * abs(exact.value)))
    if estimate.log_scale and exact.value <= 0:
        return math.inf if estimate.value > exact.error else None  # what is exactly zero varies
    scale = math.hypot(stderr, exact.error)
    if scale <= 0:
        return None
    if estimate.log_scale:
        return as_normal(math.log(estimate.value / exact.value) * exact.value / scale, m)
    return as_normal((estimate.value - exact.value) / scale, m)


def _gradient(q: Quantity, m: Moments) -> tuple[float, float]:
    """Return the derivatives of a moment with respect to the means of a and b."""
    found: dict[str, tuple[float, float]] = {
        "mean": (1.0, 0.0),
        "var": (-2 * m.mean_a, 1.0),
        "ms": (2 * m.pivot, 1.0),
    }
    return found[q.moment]


def _crossed(q: Quantity, m: Moments, crossings: tuple[Crossing, ...]) -> float:
    """Return what points that cross jumps add to a standard error over replicates.

    Of n replicates about f·n hold the point beyond a jump that others lack. Where f·n is a few or
    none, their spread says nothing of it: two of them are added.
    """
    slope_a, slope_b = _gradient(q, m)
    one = sum(
        abs(slope_a * (high - low) + slope_b * ((high - m.pivot) ** 2 - (low - m.pivot) ** 2))
        * weight
        for low, high, weight in crossings
    )
    return _UNSEEN * one / m.points


def _moment(
    q: Quantity, m: Moments, rounding: float, *, constant: bool
) -> tuple[float, float | None]:
    """Return a moment and its standard error by the delta method on (mean a, mean b).

    Of what theory says is the same in every draw, the error is that of rounding.

    With c the pivot: E[v] = c + a, Var[v] = b − a², E[v²] = b + 2ca + c²; the gradient of each
    with respect to (a, b) is (1, 0), (−2a, 1), (2c, 1).
    """
    a, b, c, n = m.mean_a, m.mean_b, m.pivot, m.count
    slope_a, slope_b = _gradient(q, m)
    value, size = {
        "mean": (c + a, math.sqrt(b) + abs(c)),
        "var": (b - a * a, b + abs(c) * math.sqrt(b)),
        "ms": (b + 2 * c * a + c * c, b + c * c),
    }[q.moment]
    if value <= VARIANCE_ROUNDING * b and q.moment == "var":
        value = 0.0
    if n < 2:
        return value, None
    square = slope_a**2 * m.aa + 2 * slope_a * slope_b * m.ab + slope_b**2 * m.bb
    stderr = math.sqrt(max(square, 0.0) / (n - 1) / n)
    if q.moment == "var" and stderr > 0:
        # To second order −(ā − E[a])² adds a variance of 2 and a squared bias of 1, in (Var[a]/n)².
        stderr = math.hypot(stderr, math.sqrt(3) * m.aa / n / n)
    # s = 0 is no information about the error, never "± 0".
    known = constant or stderr * math.sqrt(n) > VARIANCE_ROUNDING * size
    return value, math.hypot(stderr, rounding * size) if known else None

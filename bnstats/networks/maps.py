"""What a wide dense layer does to lengths and correlations (Poole et al. 2016, arXiv:1606.05340).

A layer is z ↦ W·f(z) + b with W ~ N(0, w²/n) and b ~ N(0, b²); q is E[z²] of one input, c the
correlation of z between two. In the limit of many units both are functions of the last layer's q
and c, and of moments of f under N(0, q) alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.layers import BoundLayer, Input, Known, Law
from bnstats.specs.spec import Spec
from bnstats.statistics.exact import exact_values
from bnstats.statistics.quadrature import Expectation

_EXAMPLE = "e.g. bnstats critical tanh"
_AT_ZERO = 1e-100  # where a slope beside 0 is read
_DIFFERENCED = 1e-8  # error allowed to the squares of a user's slopes, by finite differences
_REACH = 20.0  # standard deviations of z; a Hermite polynomial times the density is 1e-44 there
_NODES = 16  # of a panel
_DISTANCES = tuple(4.0**k for k in range(-8, 9))  # from a breakpoint and from 0, in units of x
_NEGLIGIBLE = 1e-15
_ROUNDING = 64 * 2.0**-53


def through(function: Callable[..., float], *known: Known) -> Known:
    """Return a function of known numbers, with a bound on its error.

    It must be monotone in each number over its error, as an elementary function of numbers with
    many digits is: the bound is the largest of its changes towards the corners of the errors.
    """
    value = function(*(k.value for k in known))
    ends = [(k.value - k.error, k.value + k.error) if k.error else (k.value,) for k in known]
    corners = [function(*corner) for corner in itertools.product(*ends)]
    change = max(abs(corner - value) for corner in corners)
    return Known(value, change + 4 * 2.0**-53 * abs(value), "quadrature")


@dataclass(frozen=True)
class Function:
    """An elementwise layer that draws no random numbers, as a function of one number.

    Attributes
    ----------
    spec
        The layer.
    tolerance
        Relative change at which a quadrature is not refined any further.
    degrees, panels
        Numbers of Hermite polynomials that are tried in turn, and how many panels have the two
        rules that find their coefficients.
    """

    spec: Spec
    tolerance: float = 1e-14
    degrees: tuple[int, ...] = (64, 512, 4096)
    panels: tuple[int, int] = (256, 512)

    def __call__(self, x: Any) -> tuple[Any, Any]:
        """Return f(x) and f′(x) of an array."""
        flat = np.ravel(np.asarray(x, float))
        y, backward = self.spec.bound.forward(numpy_backend, {"x": flat, "dy": flat})
        slope = np.broadcast_to(backward(np.ones_like(flat)), flat.shape)
        return np.broadcast_to(y, flat.shape).reshape(np.shape(x)), slope.reshape(np.shape(x))

    def examined(self, q: float) -> BoundLayer:
        """Return the layer with what shows of it under N(0, q), such as where it is not smooth."""
        if self.spec.bound.under is None:
            return self.spec.bound
        return _examined(self, round(math.log10(q)))

    def square(self, q: float) -> Known:
        """Return E[f(x)²] for x ~ N(0, q), here and below at q = 0 the limit."""
        if q == 0:
            return Known(float(self(np.zeros(1))[0][0]) ** 2)
        return _expected(self, q, _square)

    def slope_square(self, q: float) -> Known:
        """Return E[f′(x)²]."""
        if q == 0:
            slopes = self(np.array([-_AT_ZERO, _AT_ZERO]))[1]
            slopes = np.where(np.abs(slopes) < math.sqrt(_AT_ZERO), 0.0, slopes)  # 2x at 1e-100
            return Known(float(np.mean(slopes**2)))
        found = _expected(self, q, _slope_square)
        if self.spec.bound.under is None:
            return found
        return found.widened(_DIFFERENCED * found.value)

    def drift(self, q: float) -> Known:
        """Return E[x·f(x)·f′(x)], q·d E[f(x)²]/dq, by parts ½·E[(x²/q − 1)·f(x)²]."""
        return Known(0.0) if q == 0 else _expected(self, q, _drift)


@dataclass(frozen=True)
class Activation(Function):
    """A function that wide networks can be told of.

    Raises
    ------
    BnstatsError
        The layer is not elementwise, draws random numbers, or jumps.
    """

    def __post_init__(self) -> None:
        name, inputs = self.spec.text, self.spec.bound.inputs
        scalar = Input()
        if inputs.get("x") != scalar or inputs.get("dy") != scalar:
            raise BnstatsError(
                f"{name} is not elementwise: the maps of a wide network are those of an activation",
                hint=_EXAMPLE,
            )
        if set(inputs) != {"x", "dy"}:
            untrained = any(p.name == "training" for p in self.spec.layer.parameters)
            raise BnstatsError(
                f"{name} draws random numbers: it is no function of x alone",
                hint=f"{self.spec.layer.name}:training=false" if untrained else _EXAMPLE,
            )
        bound = self.examined(1.0)
        if self.spec.bound.under is not None and "std_dx" not in exact_values(bound, Law()):
            raise BnstatsError(f"{name} has a slope that differences do not resolve", hint=_EXAMPLE)
        for point in bound.breakpoints:
            if self._jumps(point):
                raise BnstatsError(
                    f"{name} jumps at x = {point:g}: inputs that are close do not stay close",
                    hint="the correlation map is infinitely steep at c = 1: there is no edge",
                )

    def _jumps(self, point: float) -> bool:
        """Whether the change over a step stays when the step shrinks by a thousand."""
        unit = max(1.0, abs(point))
        near, far = (
            float(np.ptp(self(np.array([point - d * unit, point + d * unit]))[0]))
            for d in (1e-9, 1e-6)
        )
        return near > far / 2


def _square(z: Any, y: Any, slope: Any) -> Any:
    return y * y


def _slope_square(z: Any, y: Any, slope: Any) -> Any:
    return slope * slope


def _drift(z: Any, y: Any, slope: Any) -> Any:
    return 0.5 * (z * z - 1) * y * y


@lru_cache(maxsize=256)
def _examined(f: Function, decade: int) -> BoundLayer:
    return f.spec.under(Law(0.0, math.sqrt(10.0**decade))).bound


@lru_cache(maxsize=4096)
def _expected(f: Function, q: float, of: Callable[[Any, Any, Any], Any]) -> Known:
    expect = Expectation(Law(0.0, math.sqrt(q)))
    with np.errstate(all="ignore"):
        return expect(
            lambda _, x: of(x / math.sqrt(q), *f(x)),
            breakpoints=f.examined(q).breakpoints,
            tolerance=f.tolerance,
        )


@dataclass(frozen=True)
class WideLayer:
    """One wide dense layer: an activation, then weights and biases of these scales."""

    f: Activation
    weight_std: float
    bias_std: float = 0.0

    def length(self, q: float) -> Known:
        """Return the next q, w²·E[f(x)²] + b²."""
        return through(self._next, self.f.square(q))

    def length_slope(self, q: float) -> Known:
        """Return d(next q)/dq, w²·E[x·f·f′]/q; at q = 0 the limit, w²·E[f′²] where f(0) = 0."""
        if q == 0:
            return self.chi(q)
        return through(lambda d: self.weight_std**2 * d / q, self.f.drift(q))

    def chi(self, q: float) -> Known:
        """Return χ₁ = w²·E[f′(x)²]: of gradients from layer to layer, and of c at c = 1."""
        return through(lambda d: self.weight_std**2 * d, self.f.slope_square(q))

    def correlation(self, q: float, c: float) -> Known:
        """Return the next c of two inputs of one q and of this c."""
        shared, square = power_series(self.f, q, c), self.f.square(q)
        return through(lambda s, v: self._next(s) / self._next(v), shared, square)

    def correlation_slope(self, q: float, c: float) -> Known:
        """Return d(next c)/dc."""
        slope, square = power_series_slope(self.f, q, c), self.f.square(q)
        return through(lambda s, v: self.weight_std**2 * s / self._next(v), slope, square)

    def _next(self, mean: float) -> float:
        """Return E[z·z′] of two inputs, or of one twice, from E[f·f′]."""
        return self.weight_std**2 * mean + self.bias_std**2


class _Series(NamedTuple):
    """Σ a_k² c^k: its terms, bounds on their errors, and the sum of those that are left out."""

    terms: Any
    errors: Any
    rest: float


def power_series(f: Function, q: float, c: float) -> Known:
    """Return E[f(u)·f(v)] for u, v ~ N(0, q) of correlation c.

    It is Σ a_k² c^k with the coefficients of f in Hermite polynomials (Mehler's formula), of which
    Σ a_k² is E[f²]: what is left out is known in total, and at most |c|^K of that counts.
    """
    if c == 1:
        return f.square(q)
    for degree in f.degrees:
        series = _series(f, q, degree)
        tail = series.rest * abs(c) ** degree
        if tail <= _NEGLIGIBLE * f.square(q).value:
            break
    powers = np.power(c, np.arange(degree))
    value = float(np.sum(series.terms * powers))
    half = tail / 2 if c > 0 else 0.0
    error = float(np.sum(series.errors * np.abs(powers))) + (half or tail)
    return Known(value + half, error + _ROUNDING * abs(value), "quadrature")


def power_series_slope(f: Function, q: float, c: float) -> Known:
    """Return d/dc of E[f(u)·f(v)], q·E[f′(u)·f′(v)], for 0 ≤ c ≤ 1."""
    if c == 1:
        return through(lambda d: q * d, f.slope_square(q))
    for degree in f.degrees:
        series = _series(f, q, degree)
        top = max(degree, -1 / math.log(c)) if c > 0 else degree  # where k·c^(k − 1) is largest
        tail = series.rest * top * c ** (top - 1)
        if tail <= _NEGLIGIBLE * f.square(q).value:
            break
    k = np.arange(1, degree)
    powers = k * np.power(c, k - 1)
    value = float(np.sum(series.terms[1:] * powers))
    error = float(np.sum(series.errors[1:] * powers)) + tail / 2
    return Known(value + tail / 2, error + _ROUNDING * value, "quadrature")


@lru_cache(maxsize=64)
def _series(f: Function, q: float, degree: int) -> _Series:
    with np.errstate(all="ignore"):
        coarse, fine = (_coefficients(f, q, degree, p) for p in f.panels)
    error = np.abs(fine[0] - coarse[0]) + _ROUNDING * fine[1]
    terms = fine[0] ** 2
    errors = error * (2 * np.abs(fine[0]) + error)
    whole = f.square(q)
    rest = whole.value - math.fsum(terms) + whole.error + math.fsum(errors)
    return _Series(terms, errors, max(rest, 0.0))


def _coefficients(f: Function, q: float, degree: int, panels: int) -> tuple[Any, Any]:
    """Return E[f(√q·z)·h_k(z)] for orthonormal h_k, k < degree, and the same of absolute values."""
    z, weights = _nodes(tuple(sorted(f.examined(q).breakpoints)), math.sqrt(q), panels)
    root = np.exp(-0.25 * z * z) / (2 * math.pi) ** 0.25  # of the density: no h_k overflows with it
    terms = f(math.sqrt(q) * z)[0] * weights * root
    sizes = np.abs(terms)
    values, absolute = np.empty(degree), np.empty(degree)
    before, now = np.zeros_like(z), root
    for k in range(degree):
        values[k], absolute[k] = terms @ now, sizes @ np.abs(now)
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)
    return values, absolute


@lru_cache(maxsize=8)
def _nodes(breakpoints: tuple[float, ...], scale: float, panels: int) -> tuple[Any, Any]:
    """Return nodes and weights of a composite rule on ±20, in units of z = x/scale.

    It is split where f is not smooth and, as f bends near there and near 0 on a scale of its own,
    at distances of powers of four from each.
    """
    x, weights = np.polynomial.legendre.leggauss(_NODES)
    steps = (0.0, *_DISTANCES, *(-d for d in _DISTANCES))
    splits = {(centre + step) / scale for centre in {0.0, *breakpoints} for step in steps}
    ends = sorted({-_REACH, _REACH, *(s for s in splits if abs(s) < _REACH)})
    parts = [
        np.linspace(a, b, max(round(panels * (b - a) / (2 * _REACH)), -(-panels // 256)) + 1)
        for a, b in itertools.pairwise(ends)
    ]
    low = np.concatenate([p[:-1] for p in parts])[:, None]
    half = np.concatenate([np.diff(p) for p in parts])[:, None] / 2
    return (low + half * (x + 1)).ravel(), (half * weights).ravel()

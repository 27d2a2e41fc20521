"""Independent oracles: other libraries' autodiff, mpmath, and closed forms derived by hand.

Nothing here is imported from bnstats: a formula that feeds both the code and its test shows
nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

DIGITS = 30


# --- expectations by mpmath ------------------------------------------------------------------


@cache
def _nodes() -> list[tuple[Any, Any]]:
    with mp.workdps(DIGITS + 10):
        return list(mpmath.calculus.quadrature.GaussLegendre(mp).calc_nodes(4, mp.prec))


def panels(ends: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (x, weight) of composite Gauss-Legendre, 24 nodes between an end and the next."""
    for a, b in itertools.pairwise(ends):
        half = (b - a) / 2
        for node, weight in _nodes():
            yield a + half * (node + 1), weight * half


@cache
def normal_points(
    breakpoints: tuple[float, ...] = (), maximum_of: int = 1, reach: int = 15
) -> tuple[tuple[Any, Any], ...]:
    """Return (z, weight) for the law of the largest of several standard normals.

    Panels are at most 1 wide, lie within ±reach and are split at breakpoints.
    """
    with mp.workdps(DIGITS):
        inner = {mpf(k) for k in breakpoints if abs(k) < reach}
        ends = sorted({mpf(i) for i in range(-reach, reach + 1)} | inner)
        points = []
        for z, weight in panels(ends):
            density = mp.npdf(z)
            if maximum_of > 1:
                density *= maximum_of * mp.ncdf(z) ** (maximum_of - 1)
            points.append((z, weight * density))
        return tuple(points)


def weighted(
    f: Callable[[Any], Any], mean: float, std: float, breakpoints: Sequence[float]
) -> list[tuple[Any, Any, Any]]:
    """Return (weight, f(x), f′(x)) over the law of x, as mpf.

    They are half the sum and the difference quotient of f(x ± h): right to h².
    """
    with mp.workdps(DIGITS + 10):
        m, s, h = mpf(mean), mpf(std), mpf(10) ** (-DIGITS // 2)
        points = []
        for z, w in normal_points(tuple((mpf(k) - m) / s for k in breakpoints)):
            below, above = f(m + s * z - h), f(m + s * z + h)
            points.append((w, (below + above) / 2, (above - below) / (2 * h)))
        return points


def moments_of(
    f: Callable[[Any], Any], mean: float = 0.0, std: float = 1.0, breakpoints: Sequence[float] = ()
) -> dict[str, Any]:
    """Return mean, var, m4 (central), raw3 and raw4 of f(X), ms and m4 of its slope, as mpf."""
    points = weighted(f, mean, std, breakpoints)
    with mp.workdps(DIGITS):
        mu = mp.fsum(w * y for w, y, _ in points)
        return {
            "mean": mu,
            "var": mp.fsum(w * (y - mu) ** 2 for w, y, _ in points),
            "m4": mp.fsum(w * (y - mu) ** 4 for w, y, _ in points),
            "raw3": mp.fsum(w * y**3 for w, y, _ in points),
            "raw4": mp.fsum(w * y**4 for w, y, _ in points),
            "ms_slope": mp.fsum(w * s**2 for w, _, s in points),
            "m4_slope": mp.fsum(w * s**4 for w, _, s in points),
        }


@cache
def largest_of(count: int) -> tuple[Any, ...]:
    """Return E[M^k], k = 0 to 4, of the largest of ``count`` standard normals, as mpf."""
    with mp.workdps(DIGITS):
        points = list(normal_points(maximum_of=count))
        return tuple(mp.fsum(w * x**k for x, w in points) for k in range(5))


# --- closed forms by hand, X ~ N(0, 1) --------------------------------------------------------


def _closed_forms() -> dict[str, dict[str, float]]:
    pi, sqrt, e = mp.pi, mp.sqrt, mp.e
    below1, below2 = mp.ncdf(-1), mp.ncdf(-2)

    def leaky(a: Any) -> dict[str, Any]:
        # y = relu(x) − a·relu(−x)
        mean = (1 - a) / sqrt(2 * pi)
        return {"mean_y": mean, "var_y": (1 + a**2) / 2 - mean**2, "var_dx": (1 + a**2) / 2}

    def elu(alpha: Any, scale: Any = 1) -> dict[str, Any]:
        # ∫_{x<0} e^{kx} φ = e^{k²/2} Φ(−k)
        one, two = sqrt(e) * below1, e**2 * below2
        mean = scale * (1 / sqrt(2 * pi) + alpha * (one - mpf(1) / 2))
        square = mpf(1) / 2 + alpha**2 * (two - 2 * one + mpf(1) / 2)
        return {
            "mean_y": mean,
            "var_y": scale**2 * square - mean**2,
            "var_dx": scale**2 * (mpf(1) / 2 + alpha**2 * two),
        }

    half, sixth = mpf(1) / 2, mpf(1) / 6
    phi, cdf = mp.npdf, mp.ncdf
    # ∫_{|x|<1} x²φ + P(|X| > 1)
    clipped = {"mean_y": 0, "var_y": 1 - 2 * phi(1), "var_dx": 1 - 2 * cdf(-1)}

    def randomised(lower: Any, upper: Any) -> dict[str, Any]:
        mean = (1 - (lower + upper) / 2) / sqrt(2 * pi)
        square = (lower**2 + lower * upper + upper**2) / 3
        return {"mean_y": mean, "var_y": (1 + square) / 2 - mean**2, "var_dx": (1 + square) / 2}

    return {
        "identity": {"mean_y": 0, "var_y": 1, "var_dx": 1},
        "relu": leaky(mpf(0)),
        "prelu": leaky(mpf(0.25)),
        "rrelu": randomised(mpf(1) / 8, mpf(1) / 3),
        "rrelu:lower=-1,upper=3": randomised(mpf(-1), mpf(3)),
        "rrelu:lower=0.5,training=false,upper=1": leaky(mpf(0.75)),
        "relu6": {"mean_y": phi(0) - phi(6) + 6 * cdf(-6), "var_dx": half - cdf(-6)},
        "keras_relu": leaky(mpf(0)),
        "keras_relu:negative_slope=0.5,threshold=1": {
            "mean_y": phi(1) - (phi(1) + cdf(1)) / 2,
            "var_dx": cdf(-1) + cdf(1) / 4,
        },
        "threshold:threshold=1,value=0": {
            "mean_y": phi(1),
            "var_y": phi(1) + cdf(-1) - phi(1) ** 2,
            "var_dx": cdf(-1),
        },
        "celu": elu(mpf(1)),
        "hardtanh": clipped,
        "sparse_sigmoid": {
            "mean_y": half,
            "var_y": clipped["var_y"] / 4,
            "var_dx": clipped["var_dx"] / 4,
        },
        "sparse_plus": {"var_dx": (1 + clipped["var_y"]) / 4},  # its slope is sparse_sigmoid
        "hardsigmoid": {
            "mean_y": half,
            "var_y": (1 - 6 * phi(3) + 16 * cdf(-3)) * sixth**2,
            "var_dx": (1 - 2 * cdf(-3)) * sixth**2,
        },
        "hardshrink": {
            "mean_y": 0,
            "var_y": phi(half) + 2 * cdf(-half),
            "var_dx": 2 * cdf(-half),
        },
        "softshrink": {
            "mean_y": 0,
            "var_y": mpf(5) / 2 * cdf(-half) - phi(half),
            "var_dx": 2 * cdf(-half),
        },
        "abs": {"mean_y": sqrt(2 / pi), "var_y": 1 - 2 / pi, "var_dx": 1},
        "square": {"mean_y": 1, "var_y": 2, "var_dx": 4},
        "exponential": {"mean_y": sqrt(e), "var_y": e**2 - e, "var_dx": e**2},
        "sin": {"mean_y": 0, "var_y": (1 - e**-2) / 2, "var_dx": (1 + e**-2) / 2},
        "cos": {
            "mean_y": 1 / sqrt(e),
            "var_y": (1 + e**-2) / 2 - 1 / e,
            "var_dx": (1 - e**-2) / 2,
        },
        # Williams: E[erf(X)²] = (2/π)·arcsin(2/3); E[e^(−2X²)] = 1/√5
        "erf": {
            "mean_y": 0,
            "var_y": 2 / pi * mp.asin(mpf(2) / 3),
            "var_dx": 4 / (pi * sqrt(5)),
        },
        "tanhshrink": {"mean_y": 0},
        "asinh": {"mean_y": 0},
        "leaky_relu": leaky(mpf(0.01)),
        "leaky_relu:negative_slope=0.2": leaky(mpf(0.2)),
        "elu": elu(mpf(1)),
        "elu:alpha=2": elu(mpf(2)),
        # the defining property: variance 1 at mean 0
        "selu": {**elu(mpf("1.6732632423543772"), mpf("1.0507009873554805")), "var_y": 1},
        "sigmoid": {"mean_y": mpf(1) / 2},
        "tanh": {"mean_y": 0},
        # Stein: E[XΦ] = E[φ] = 1/(2√π); E[X²Φ²] = E[Φ²] + 2E[XΦφ] = 1/3 + 1/(2π√3);
        # E[(Φ + Xφ)²] adds E[X²φ²] = 1/(6π√3)
        "gelu": {
            "mean_y": 1 / (2 * sqrt(pi)),
            "var_y": mpf(1) / 3 + 1 / (2 * pi * sqrt(3)) - 1 / (4 * pi),
            "var_dx": mpf(1) / 3 + 2 / (3 * pi * sqrt(3)),
        },
        "max_pool1d:kernel_size=2": {
            "mean_y": 1 / sqrt(pi),
            "var_y": 1 - 1 / pi,
            "var_dx": mpf(1) / 2,
        },
        "max_pool1d:kernel_size=3": {
            "mean_y": 3 / (2 * sqrt(pi)),
            "var_y": 1 + sqrt(3) / (2 * pi) - 9 / (4 * pi),
            "var_dx": mpf(1) / 3,
        },
        "max_pool2d:kernel_size=2": {
            "mean_y": 6 * mp.atan(sqrt(2)) / pi ** mpf(1.5),
            "var_dx": mpf(1) / 4,
        },
        "max_pool2d:kernel_size=3,stride=2": {"var_dx": mpf(1) / 4},
        "max_pool3d:kernel_size=2": {"var_dx": mpf(1) / 8},
        "avg_pool1d:kernel_size=2": {"mean_y": 0, "var_y": mpf(1) / 2, "var_dx": mpf(1) / 4},
        "avg_pool2d:kernel_size=2": {"mean_y": 0, "var_y": mpf(1) / 4, "var_dx": mpf(1) / 16},
        "avg_pool2d:kernel_size=3": {"mean_y": 0, "var_y": mpf(1) / 9, "var_dx": mpf(1) / 81},
        "avg_pool2d:kernel_size=3,stride=2": {"var_y": mpf(1) / 9, "var_dx": mpf(1) / 36},
        "avg_pool2d:kernel_size=3x5,stride=2x1": {
            "var_y": mpf(1) / 15,
            "var_dx": mpf(1) / 30,  # 1/(kernel·stride) per side
        },
        "avg_pool3d:kernel_size=2": {"var_y": mpf(1) / 8, "var_dx": mpf(1) / 64},
        "dropout": {"mean_y": 0, "var_y": 2, "var_dx": 2},
        "dropout:p=0.2,scaling=none": {"mean_y": 0, "var_y": mpf(0.8), "var_dx": mpf(0.8)},
        "dropout:p=0.2,scaling=sqrt": {"mean_y": 0, "var_y": 1, "var_dx": 1},
        "linear:init=unit_fan_in": {"mean_y": 0, "var_y": 1},
        "linear:init=unit_fan_out": {"var_dx": 1},
        "linear:in_features=3,init=unit_fan_in,out_features=6": {"var_y": 1, "var_dx": 2},
        "linear:in_features=3,init=unit_fan_out,out_features=6": {"var_y": mpf(1) / 2, "var_dx": 1},
        "linear:in_features=3,init=xavier_normal,out_features=6": {
            "var_y": mpf(2) / 3,  # 3 · 2/9
            "var_dx": mpf(4) / 3,
        },
        "linear:in_features=3,init=kaiming_uniform,mode=fan_out,out_features=6": {
            "var_y": 1,  # 3 · 2/6
            "var_dx": 2,
        },
        "linear:gain=3,in_features=3,init=kaiming_normal,out_features=6": {
            "var_y": 9,
            "var_dx": 18,
        },
        "conv2d:init=unit_fan_in": {"mean_y": 0, "var_y": 1, "var_dx": 1},
        "conv2d:init=unit_fan_out": {"var_y": 1, "var_dx": 1},
        "conv2d:init=unit_fan_out,stride=2": {"var_y": 1, "var_dx": mpf(1) / 4},
        "conv2d:in_channels=3,init=unit_fan_out,kernel_size=3x5,out_channels=2,stride=1x3": {
            "var_y": mpf(3) / 2,
            "var_dx": mpf(1) / 3,
        },
    }


@cache
def closed_forms() -> dict[str, dict[str, float]]:
    """Return moments known in closed form, by spec."""
    with mp.workdps(DIGITS):
        return {
            spec: {name: float(value) for name, value in known.items()}
            for spec, known in _closed_forms().items()
        }


def rectified_moments(mean: float, std: float) -> dict[str, float]:
    """Return E[y], E[y²] and E[f′²] of relu at N(mean, std²), in closed form."""
    with mp.workdps(DIGITS):
        m, s = mpf(mean), mpf(std)
        cdf, pdf = mp.ncdf(m / s), mp.npdf(m / s)
        first, second = m * cdf + s * pdf, (m * m + s * s) * cdf + m * s * pdf
        return {
            "mean_y": float(first),
            "var_y": float(second - first**2),
            "ms_slope": float(cdf),
        }


def randomised_leaky_moments(lower: float, upper: float, mean: float, std: float) -> dict[str, Any]:
    """Return moments of max(0, X) + A·min(0, X), X ~ N(mean, std²), A ~ U(lower, upper), as mpf.

    By raw moments: ∫_{x>0} x^k of the normal obeys M_k = mean·M_{k−1} + (k − 1)·std²·M_{k−2}.
    """
    with mp.workdps(DIGITS + 20):
        m, s = mpf(mean), mpf(std)

        def above(m: Any) -> list[Any]:
            moments = [mp.ncdf(m / s), m * mp.ncdf(m / s) + s * mp.npdf(m / s)]
            for k in (2, 3, 4):
                moments.append(m * moments[-1] + (k - 1) * s**2 * moments[-2])
            return moments

        right, left = above(m), above(-m)
        low, high = mpf(lower), mpf(upper)
        slope = [(high ** (k + 1) - low ** (k + 1)) / ((k + 1) * (high - low)) for k in range(5)]
        raw = [right[k] + (-1) ** k * slope[k] * left[k] for k in range(5)]
        mu = raw[1]
        return {
            "mean": mu,
            "var": raw[2] - mu**2,
            "m4": raw[4] - 4 * mu * raw[3] + 6 * mu**2 * raw[2] - 3 * mu**4,
            "ms_slope": right[0] + slope[2] * left[0],
            "m4_slope": right[0] + slope[4] * left[0],
        }


def wave_moments(mean: float, std: float) -> dict[str, Any]:
    """Return mean and variance of sin X and cos X, X ~ N(mean, std²), as mpf, from E[e^ikX]."""
    with mp.workdps(4 * DIGITS):
        m, s = mpf(mean), mpf(std)
        one, two = (mp.exp(1j * k * m - k * k * s * s / 2) for k in (1, 2))
        return {
            "sin": (one.imag, (1 - two.real) / 2 - one.imag**2),
            "cos": (one.real, (1 + two.real) / 2 - one.real**2),
            "ms_sin": (1 - two.real) / 2,
            "ms_cos": (1 + two.real) / 2,
        }


# --- windows, one draw at a time, in loops ----------------------------------------------------


@dataclass(frozen=True)
class Map:
    """The geometry of a finite map of windows, as torch defines it."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    def count(self) -> tuple[int, ...]:
        sides = zip(self.size, self.kernel, self.stride, self.padding, strict=True)
        return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in sides)

    def windows(self) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
        """Yield each window's index and its positions, those in the padding included."""
        for window in itertools.product(*map(range, self.count())):
            start = [w * s - p for w, s, p in zip(window, self.stride, self.padding, strict=True)]
            offsets = itertools.product(*map(range, self.kernel))
            yield window, [tuple(a + o for a, o in zip(start, off, strict=True)) for off in offsets]

    def holds(self, position: tuple[int, ...]) -> bool:
        return all(0 <= p < n for p, n in zip(position, self.size, strict=True))

    def inside(self) -> Iterator[list[tuple[int, ...]]]:
        """Yield each window's positions within the map."""
        for _, positions in self.windows():
            yield [p for p in positions if self.holds(p)]


def max_pool_twin(geometry: Map, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx of max pooling, one draw, by loops; the first of equals wins."""
    y, dx = np.empty(geometry.count()), np.zeros_like(x)
    for (window, _), inside in zip(geometry.windows(), geometry.inside(), strict=True):
        best = inside[0]
        for position in inside[1:]:
            if x[position] > x[best]:
                best = position
        y[window] = x[best]
        dx[best] += dy[window]
    return y, dx


def avg_pool_twin(
    geometry: Map, x: np.ndarray, dy: np.ndarray, count_include_pad: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx of average pooling, one draw, by loops."""
    y, dx = np.empty(geometry.count()), np.zeros_like(x)
    for (window, positions), inside in zip(geometry.windows(), geometry.inside(), strict=True):
        divisor = len(positions) if count_include_pad else len(inside)
        y[window] = sum(x[p] for p in inside) / divisor
        for p in inside:
            dx[p] += dy[window] / divisor
    return y, dx


def conv_twin(
    geometry: Map, x: np.ndarray, dy: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx of a convolution (channels first, weight out x in x kernel) by loops."""
    outs, ins = weight.shape[:2]
    y, dx = np.zeros((outs, *geometry.count())), np.zeros_like(x)
    for window, positions in geometry.windows():
        start = positions[0]
        for o, c, p in itertools.product(range(outs), range(ins), positions):
            if geometry.holds(p):
                tap = weight[(o, c, *(a - b for a, b in zip(p, start, strict=True)))]
                y[(o, *window)] += tap * x[(c, *p)]
                dx[(c, *p)] += tap * dy[(o, *window)]
    return y, dx

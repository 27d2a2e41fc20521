"""Functions with a pole that nobody declared: no value is given of what does not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import bnstats
from bnstats.custom.breaks import breaks
from bnstats.layers import STANDARD, USER_LAYERS, Law
from bnstats.statistics.quadrature import Expectation

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")

# At places of seventeen digits, of two and of none.
PLACES = [0.0, -0.37, -2.5221647701749235, -4.51449424159296, 7.6436934464]

NOWHERE: dict[str, Callable[[Any, float], Any]] = {
    "1/(x − c)": lambda x, c: 1 / (x - c),
    "a weak one": lambda x, c: np.tanh(x) + 1e-3 / (x - c),
    "a very weak one": lambda x, c: np.tanh(x) + 1e-6 / (x - c),
    "a quotient": lambda x, c: (x + 20) / (x * x - c * c),
    "a tangent": lambda x, c: np.tan(x - c + np.pi / 2),
    "1/|x − c|": lambda x, c: 1 / np.abs(x - c),
    "|x − c|^−1.02": lambda x, c: np.abs(x - c) ** -1.02,
    "a square": lambda x, c: 1e-4 / (x - c) ** 2,
}


def known(function: Callable[[Any], Any]) -> Any:
    bnstats.register(function, name="pole")
    return bnstats.exact("pole").quantities


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    USER_LAYERS.pop("pole", None)


@pytest.mark.parametrize("c", PLACES)
@pytest.mark.parametrize("name", NOWHERE)
def test_a_pole_has_no_expectation(name: str, c: float) -> None:
    assert not known(lambda x: NOWHERE[name](x, c))


def moment(power: float, c: float) -> Any:
    """Return E|X − c|^power."""
    k = mp.mpf(power)
    grown = mp.hyp1f1(-k / 2, mp.mpf(1) / 2, -(mp.mpf(c) ** 2) / 2)
    return 2 ** (k / 2) * mp.gamma((1 + k) / 2) / mp.sqrt(mp.pi) * grown


@pytest.mark.parametrize("c", PLACES[:-1])  # so far out the last one is beyond all rounding
@pytest.mark.parametrize("p", [0.1, 0.35, 0.45, 0.8, 0.886, 0.95])
def test_a_pole_that_can_be_integrated_is_within_its_error(p: float, c: float) -> None:
    found = known(lambda x: np.abs(x - c) ** -p)
    assert p >= 0.5 or "mean_y" in found
    assert p < 0.5 or "std_y" not in found
    with mp.workdps(30):
        if "mean_y" in found:
            off = abs(mp.mpf(found["mean_y"].value) - moment(-p, c))
            assert off <= found["mean_y"].error
        if "std_y" in found:
            true = mp.sqrt(moment(-2 * p, c) - moment(-p, c) ** 2)
            assert abs(mp.mpf(found["std_y"].value) - true) <= found["std_y"].error


@pytest.mark.parametrize("c", PLACES)
@pytest.mark.parametrize("p", [0.3, 0.9, 1.6])
def test_slopes_that_grow_without_bound_have_no_mean_by_differences(p: float, c: float) -> None:
    """E[f′] of sign(x − c)·|x − c|^p is p·E|x − c|^(p−1)."""
    found = known(lambda x: np.sign(x - c) * np.abs(x - c) ** p)
    assert p < 1 or "mean_slope" in found
    if "mean_slope" in found:
        with mp.workdps(30):
            off = abs(mp.mpf(found["mean_slope"].value) - p * moment(p - 1, c))
        assert off <= found["mean_slope"].error


@pytest.mark.parametrize("c", PLACES)
@pytest.mark.parametrize("p", [0.05, 0.886, 1.5])
def test_the_place_of_a_pole_is_found_to_the_last_digits(p: float, c: float) -> None:
    for function in (lambda x: np.abs(x - c) ** -p, lambda x: np.log(np.abs(x - c))):
        (place,) = breaks(function, STANDARD).jumps
        assert abs(place - c) <= 2 * np.spacing(abs(c))


@pytest.mark.parametrize("law", [Law(), Law(3.0, 0.01), Law(-40.0, 20.0), Law(1e3, 1.0)])
def test_what_bends_or_jumps_keeps_its_value(law: Law) -> None:
    """At declared places, near them and where the law has none of them."""
    c = law.x_mean + 0.37 * law.x_std
    for function in (
        lambda xp, x: xp.abs(x - c),
        lambda xp, x: xp.where(x > c, x, -1.0),
        lambda xp, x: xp.abs(x - c) ** 0.5,
        lambda xp, x: xp.log(xp.abs(x - c)),
        lambda xp, x: xp.where(x > c, 1e-300, 0.0),
    ):
        assert Expectation(law)(function, breakpoints=(c,)).is_finite
    found = Expectation(law)(lambda xp, x: 1e-9 * law.x_std / (x - c), breakpoints=(c,))
    assert not found.is_finite

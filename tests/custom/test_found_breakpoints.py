"""What was found and not declared is as exact as what was: jumps, bends and any number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from mpmath import mpf

import bnstats
from bnstats import exact
from bnstats.backends import numpy_backend
from bnstats.custom.breaks import breaks
from bnstats.layers import USER_LAYERS, Input, Law
from bnstats.specs.spec import parse
from bnstats.tables.constants import table_specs

RNG = np.random.default_rng(7)
PLACES = [*RNG.normal(size=6).tolist(), *RNG.uniform(-3, 3, 3).round(3).tolist(), 0.0, 1 / 3]


@pytest.fixture(autouse=True)
def layers() -> Iterator[None]:
    def step(x: Any, *, at: float, height: float = 1.0) -> Any:
        return height * np.where(x > at, 1.0, 0.0), 0 * x

    def kinked(x: Any, *, at: float) -> Any:
        return np.maximum(x - at, 0)

    def kinked_pair(xp: Any, x: Any, *, at: float) -> Any:
        return xp.maximum(x - at, 0), xp.astype(x > at, x.dtype)

    def quantiser(xp: Any, x: Any, *, step: float, offset: float = 0.0) -> Any:
        return step * xp.floor((x - offset) / step), 0 * x

    def sawtooth(xp: Any, x: Any, *, step: float, offset: float = 0.0) -> Any:
        z = (x - offset) / step
        return x - step * xp.floor(z), xp.ones_like(x)

    before = dict(USER_LAYERS)
    for function in (step, kinked, kinked_pair, quantiser, sawtooth):
        bnstats.register(function)
    yield
    USER_LAYERS.clear()
    USER_LAYERS.update(before)


def holds(layer: str, name: str, true: Any, law: Law = Law()) -> float:  # noqa: B008
    known = exact(layer, law=law).quantities[name]
    assert abs(mpf(known.value) - true) <= known.error, (layer, name)
    return known.error


@pytest.mark.parametrize("place", PLACES)
def test_a_jump_lies_between_neighbouring_numbers(place: float) -> None:
    for compare in (np.greater, np.greater_equal):
        (found,) = breaks(lambda x, compare=compare: compare(x, place) * 1.0, Law()).jumps
        ends = (place, float(np.nextafter(place, math.inf)), float(np.nextafter(place, -math.inf)))
        assert found in ends


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("law", [Law(), Law(0.7, 3.0, 1.0), Law(20.0, 9.0, 1.0)])
def test_a_step_that_nobody_declared(place: float, law: Law) -> None:
    with mp.workdps(40):
        p = mp.ncdf((mpf(law.x_mean) - mpf(place)) / mpf(law.x_std))
        spec = f"step:at={place!r}"
        assert holds(spec, "mean_y", p, law) < 1e-12
        holds(spec, "var_y", p * (1 - p), law)
        holds(f"step:at={place!r},height=100", "mean_y", 100 * p, law)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["kinked", "kinked_pair"])
def test_a_bend_that_nobody_declared(name: str, place: float) -> None:
    with mp.workdps(40):
        t = mpf(place)
        tail = mp.ncdf(-t)
        holds(f"{name}:at={place!r}", "mean_y", mp.npdf(t) - t * tail)
        holds(f"{name}:at={place!r}", "var_dx", tail)


@pytest.mark.slow
@pytest.mark.parametrize("case", range(16))
def test_a_quantiser(case: int) -> None:
    """All steps that are found split the quadrature; those too close have an honest bound."""
    rng = np.random.default_rng(case)
    step, offset = 10 ** rng.uniform(-3.5, 0.5), rng.uniform(-1, 1)
    with mp.workdps(25):
        # ⌊u⌋ = u − 1/2 + Σ sin(2πku)/(πk), and E[sin(aX − b)] = −e^(−a²/2)·sin b
        waves = [
            mp.exp(-2 * (mp.pi * k / step) ** 2) * mp.sin(2 * mp.pi * k * offset / step) / k
            for k in range(1, 20)
        ]
        mean = -mpf(offset) - mpf(step) / 2 - mpf(step) / mp.pi * mp.fsum(waves)
        spec = f"step={step!r},offset={offset!r}"
        error = holds(f"quantiser:{spec}", "mean_y", mean)
        holds(f"sawtooth:{spec}", "mean_y", -mean)
    if step > 0.1:
        assert error < 1e-11


def test_a_step_gets_advice_that_agrees_with_itself(layers: None) -> None:
    """Its slope is 0 exactly: nothing is to be declared, disbelieved or drawn more often for it."""
    bnstats.register(lambda x: np.where(x > 0.3, 1.0, 0.0), name="step")
    result = bnstats.compute("step", samples=2000)
    assert (result.std_dx.value, result.std_dx.exact.value, result.std_dx.exact.error) == (0, 0, 0)
    jumps, constant = result.warnings
    assert "step jumps at x = 0.3 " in jumps
    assert constant == "step is constant between its jumps: its slope and dx are 0"


@pytest.mark.parametrize("name", ["expsq", "reciprocal"])
def test_who_has_an_infinite_mean_is_not_told_to_draw_more(name: str, layers: None) -> None:
    functions = {"expsq": lambda x: np.exp(x * x / 2), "reciprocal": lambda x: 1 / np.abs(x)}
    bnstats.register(functions[name], name=name)
    with np.errstate(all="ignore"):
        told = bnstats.compute(name, samples=20_000).warnings
    assert any("no exact E[y] and σ[y]: infinite" in w for w in told), told
    assert not any("try" in w for w in told)
    assert not any("jumps" in w for w in told if name == "expsq")


SLOPES: dict[str, tuple[Callable[[Any, float], Any], Callable[[Any, float], Any]]] = {
    "tanh": (lambda x, c: np.tanh(x), lambda x, c: mp.sech(x) ** 2),
    "steep": (lambda x, c: np.tanh(20 * (x - c)), lambda x, c: 20 * mp.sech(20 * (x - c)) ** 2),
    "cubic": (lambda x, c: x**3, lambda x, c: 3 * x * x),
    "kink": (lambda x, c: np.maximum(x - c, 0) * np.exp(x / 3), lambda x, c: _grown(x, c)),
    "jump": (lambda x, c: (x > c) * np.cos(x), lambda x, c: -mp.sin(x) * (x > c)),
    "jumps": (lambda x, c: np.floor(x - c) + np.maximum(x - c, 0), lambda x, c: 1.0 * (x > c)),
}


def _grown(x: Any, c: float) -> Any:
    return mp.exp(x / 3) * (1 + (x - mp.mpf(c)) / 3) * (x > c)


@pytest.mark.slow
@pytest.mark.parametrize("law", [Law(0.4, 1.7), Law(-20.0, 0.5)])
@pytest.mark.parametrize("z", [0.25, -1.1447298858494002])
@pytest.mark.parametrize("name", SLOPES)
def test_the_mean_of_a_slope_is_within_its_error(name: str, z: float, law: Law) -> None:
    f, slope = SLOPES[name]
    c = law.x_mean + z * law.x_std
    bnstats.register(lambda x: f(x, c), name="own")
    found = bnstats.exact("own", law=law).mean_slope
    with mp.workdps(25):
        mean, std = mp.mpf(law.x_mean), mp.mpf(law.x_std)
        ends = sorted({mean + std * k for k in (-12, -4, -1, 0, 1, 4, 12)} | {mp.mpf(c)})
        ends += [mp.mpf(c) + d * std for d in (-0.2, -0.05, 0.05, 0.2)]
        true = mp.quad(lambda x: slope(x, c) * mp.npdf(x, mean, std), sorted(ends))
    assert abs(mp.mpf(found.value) - true) <= found.error
    assert found.error < 1e-10 * (1 + abs(found.value))


def activations() -> list[str]:
    """Return the elementwise layers of the table of constants."""
    inputs = {"x": Input(), "dy": Input()}
    return [spec for spec in table_specs() if parse(spec).bound.inputs == inputs]


@pytest.mark.slow
@pytest.mark.parametrize("spec", activations())
def test_all_that_is_said_of_an_activation_holds_where_nobody_declares_it(spec: str) -> None:
    """The oracle is the layer's own entry, whose slope and breakpoints are known."""
    bound, law = parse(spec).bound, Law(0.7, 2.0)
    bnstats.register(lambda x: bound.forward(numpy_backend, {"x": x, "dy": x})[0], name="own")
    known, found = exact(spec, law=law).quantities, exact("own", law=law).quantities
    assert {"mean_y", "std_y"} <= set(found)
    for name in set(found) & set(known):
        off = abs(found[name].value - known[name].value)
        assert off <= found[name].error + known[name].error, name

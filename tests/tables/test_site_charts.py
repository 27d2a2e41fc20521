"""The charts of the site: what a path of SVG says, read back as numbers."""

from __future__ import annotations

import math
import re

import pytest

from bnstats.specs.spec import parse
from bnstats.tables.site.charts import BOTTOM, LEFT, RIGHT, TOP, Axis, Chart, Line
from bnstats.tables.site.content import Variant


def points(path: str) -> list[list[tuple[float, float]]]:
    """Return the places of a path's points, a list for each unbroken part."""
    parts = [part.split("L") for part in path.removeprefix("M").split("M")]
    return [[tuple(map(float, p.split())) for p in part] for part in parts]  # type: ignore[misc]


def value(place: float, first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the number at a place, from two places whose numbers are known."""
    return first[1] + (place - first[0]) * (second[1] - first[1]) / (second[0] - first[0])


def charts(spec: str) -> list[Chart]:
    return Variant(parse(spec), {}, ()).charts


def read(chart: Chart, name: str) -> list[list[tuple[float, float]]]:
    """Return the points of a line in the numbers that are written at the ticks."""
    ticks = []
    for axis in (chart.x, chart.y):
        shown = [(t.at, float(t.text.replace("−", "-"))) for t in axis.ticks]
        if chart.log:
            shown = [(at, math.log10(number)) for at, number in shown]
        ticks.append((shown[0], shown[-1]))
    found = [
        [(value(x, *ticks[0]), value(y, *ticks[1])) for x, y in part]
        for part in points(dict(chart.paths)[name])
    ]
    return [[(10**a, 10**b) if chart.log else (a, b) for a, b in part] for part in found]


def test_a_function_is_drawn_where_it_is() -> None:
    chart, _ = charts("tanh")
    for name, f in (("f", math.tanh), ("f′", lambda x: 1 - math.tanh(x) ** 2)):
        (line,) = read(chart, name)
        assert len(line) >= 200
        assert (line[0][0], line[-1][0]) == (
            pytest.approx(-3.5, abs=0.01),
            pytest.approx(3.5, abs=0.01),
        )
        assert all(y == pytest.approx(f(x), abs=0.02) for x, y in line)


def test_no_line_is_drawn_across_a_jump() -> None:
    chart, _ = charts("hardshrink")
    left, middle, right = read(chart, "f")
    assert all(y == pytest.approx(x, abs=0.03) for x, y in (*left, *right))
    assert all(y == pytest.approx(0, abs=0.03) for _, y in middle)
    ends = [part[at][0] for part, at in ((left, -1), (middle, 0), (middle, -1), (right, 0))]
    assert ends == pytest.approx([-0.5, -0.5, 0.5, 0.5], abs=0.01)


def test_scales_are_drawn_over_that_of_x() -> None:
    _, chart = charts("relu")
    # of relu everything is proportional: E[y²] = s²/2, Var[y] = s²(1/2 − 1/2π), E[f′²] = 1/2
    factors = {"σ[y]": math.sqrt(0.5 - 0.5 / math.pi), "rms[y]": math.sqrt(0.5)}
    for name, factor in factors.items():
        (line,) = read(chart, name)
        assert line[0][0] == pytest.approx(0.1, rel=0.01)
        assert line[-1][0] == pytest.approx(10, rel=0.01)
        assert all(y == pytest.approx(factor * x, rel=0.02) for x, y in line)
    (line,) = read(chart, "σ[dx]")
    assert all(y == pytest.approx(math.sqrt(0.5), rel=0.02) for _, y in line)


def test_a_layer_of_mean_zero_has_one_scale_of_y_and_one_of_several_numbers_no_function() -> None:
    assert [line.name for line in charts("tanh")[1].lines] == ["σ[y]", "σ[dx]"]
    (chart,) = charts("dropout")
    assert chart.across == "σ[x]"
    assert charts("gumbel_softmax") == []  # no exact value of any x_std


def test_the_density_of_x_is_filled_down_to_the_axis() -> None:
    chart, _ = charts("relu")
    path = chart.shaded.removesuffix("Z")
    ((*curve, right, left),) = points(path)
    assert right == (RIGHT, BOTTOM)
    assert left == (LEFT, BOTTOM)
    middle = min(curve, key=lambda p: abs(p[0] - (LEFT + RIGHT) / 2))
    assert middle[1] == pytest.approx(TOP, abs=0.5)
    at_one = LEFT + (RIGHT - LEFT) * 4.5 / 7  # x = 1, of −3.5 to 3.5
    near = min(curve, key=lambda p: abs(p[0] - at_one))
    assert near[1] == pytest.approx(BOTTOM - (BOTTOM - TOP) * math.exp(-0.5), abs=2)


@pytest.mark.parametrize(
    ("low", "high", "log", "texts"),
    [
        (-3.5, 3.5, False, "−3 −2 −1 0 1 2 3"),
        (0.0, 1.0, False, "0 0.2 0.4 0.6 0.8 1"),
        (-0.07, 0.28, False, "−0.05 0 0.05 0.1 0.15 0.2 0.25"),
        (-3e-9, 9e-9, False, "−2e−9 0 2e−9 4e−9 6e−9 8e−9"),
        (0.1, 10, True, "0.1 1 10"),
        (0.05, 8, True, "0.05 0.1 0.2 0.5 1 2 5"),
        (1e-4, 1.0, True, "0.0001 0.001 0.01 0.1 1"),
        (1e-12, 1.0, True, "1e−12 1e−10 1e−8 1e−6 0.0001 0.01 1"),
        (0.92, 1.13, True, "0.95 1 1.05 1.1"),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, log: bool, texts: str) -> None:
    axis = Axis(low, high, 0.0, 100.0, log)
    assert " ".join(t.text for t in axis.ticks) == texts
    for tick in axis.ticks:
        number = float(tick.text.replace("−", "-"))
        share = (number - low) / (high - low)
        if log:
            share = math.log(number / low) / math.log(high / low)
        assert tick.at == pytest.approx(100 * share, abs=0.06)


def test_a_constant_has_room_around_it() -> None:
    for log in (True, False):
        chart = Chart("", "", (Line("one", (0.1, 10), (1.0, 1.0)),), log)
        (path,) = (path for _, path in chart.paths)
        assert re.fullmatch(r"M46\.0 97\.0L330\.0 97\.0", path)
        assert len(chart.y.ticks) >= 3

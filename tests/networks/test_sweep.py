"""Sweeps: what is swept, what is computed, and where a quantity has a wanted value."""

from __future__ import annotations

import csv
import io
import math

import pytest
from cli_support import Cli, read_document
from scipy import optimize, special

import bnstats
from bnstats.errors import BnstatsError
from bnstats.layers import Law
from bnstats.networks.sweep import Sweep
from bnstats.runs.solve import Solution
from bnstats.specs.names import refuse
from bnstats.specs.over import over_of

FOUR = "negative_slope=0:1:0.25"


def texts(over: object, *layers: str, points: int = 5) -> tuple[str, ...]:
    return over_of(over, layers or ("elu",), refuse, points).texts


def solutions(found: Sweep) -> tuple[Solution, ...]:
    return found.curves[0].solutions


# --- what is swept


@pytest.mark.parametrize(
    ("over", "layer", "wanted"),
    [
        ("x_std=1:3", "relu", ("1", "1.5", "2", "2.5", "3")),
        ("x_std=0.01:100:log", "relu", ("0.01", "0.1", "1", "10", "100")),
        ("alpha=0:1:0.1", "elu", ("0", *(f"0.{i}" for i in range(1, 10)), "1")),
        ("alpha=0:1:0.4", "elu", ("0", "0.4", "0.8")),
        ("alpha=2,0.5,3", "elu", ("2", "0.5", "3")),
        ("kernel_size=2:5", "max_pool2d", ("2", "3", "4", "5")),
        ("kernel_size=2:9:3", "max_pool2d", ("2", "5", "8")),
        ("kernel_size=2,3x2", "max_pool2d", ("2", "3x2")),
        ("n=2:512:log", "softmax", ("2", "8", "32", "128", "512")),
        ("approximate=none,tanh", "gelu", ("none", "tanh")),
        ({"x_mean": [-1, 0.5]}, "relu", ("-1", "0.5")),
        ("x_mean=-1:1:1", "relu", ("-1", "0", "1")),
        ("x_std=1/2:5/2", "relu", ("0.5", "1", "1.5", "2", "2.5")),
        ("alpha=1:2:1/2", "elu", ("1", "1.5", "2")),
    ],
)
def test_values(over: object, layer: str, wanted: tuple[str, ...]) -> None:
    assert texts(over, layer) == wanted


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("alpha", "no NAME=VALUES"),
        ("alpha=", "no NAME=VALUES"),
        ("alpha=1:2:3:4", "no range"),
        ("alpha=1:b", "no range"),
        ("alpha=:1", "no range"),
        ("alpha=2:1", "goes up"),
        ("alpha=0:inf", "goes up"),
        ("alpha=0:1:-1", "goes up"),
        ("alpha=0:1:0", "goes up"),
        ("x_std=1,sqrt2", "not numbers"),
        ("alpha=0:1:log", "begins above 0"),
        ("alpha=0:1:1e-9", "values"),
        ("alfa=0:1", "elu has no parameter 'alfa'"),
        ({"alpha": []}, "no values"),
        ({"alpha": [1], "x_std": [1]}, "one parameter"),
    ],
)
def test_what_is_no_sweep_is_told(over: object, said: str) -> None:
    with pytest.raises(BnstatsError, match=said):
        texts(over)


def test_an_expression_is_a_number_wherever_one_is_swept(cli: Cli) -> None:
    over = "x_std=1/2,sqrt(2),2"
    found = bnstats.sweep("tanh", over=over, find="std_y=0.7210934448671")
    assert [point.at for point in found.curves[0].points] == [0.5, math.sqrt(2), 2.0]
    there = bnstats.exact("tanh", x_std=math.sqrt(2)).std_y.value
    assert found.curves[0].points[1].record.std_y.value == there
    slopes = bnstats.sweep("leaky_relu", over="negative_slope=0,1/3,1/2", find="mean_slope=2/3")
    assert [s.value for s in solutions(slopes)] == [1 / 3]
    assert (
        cli("sweep", "tanh", "--over", over, "--format", "csv")
        .out.splitlines()[3]
        .startswith(f"tanh,{math.sqrt(2)!r},std_y,")
    )


def test_every_layer_needs_the_parameter() -> None:
    with pytest.raises(BnstatsError, match="relu has no parameter 'alpha'"):
        texts("alpha=0:1", "elu", "relu")


# --- what is computed


def test_values_are_those_of_exact() -> None:
    found = bnstats.sweep("elu", "selu", over="x_std=0.5,2", quantities=["chi", "std_dx"])
    assert [curve.layer for curve in found.curves] == ["elu", "selu"]
    for curve in found.curves:
        for point, s in zip(curve.points, (0.5, 2.0), strict=True):
            exact = bnstats.exact(curve.layer, law=Law(0.0, s))
            assert point.value("chi") == exact.chi
            assert point.value("std_dx") == exact.std_dx


def test_a_parameter_joins_those_that_are_given() -> None:
    found = bnstats.sweep("threshold:value=1", over="threshold=0,1", quantities=["mean_y"])
    layers = [point.record.layer for point in found.curves[0].points]
    assert layers == ["threshold:threshold=0,value=1", "threshold:threshold=1,value=1"]
    with pytest.raises(BnstatsError, match="given twice"):
        bnstats.sweep("elu:alpha=2", over="alpha=0,1")
    with pytest.raises(BnstatsError, match="outside"):
        bnstats.sweep("dropout", over="p=0:2:0.5")
    with pytest.raises(BnstatsError, match="x_std"):
        bnstats.sweep("relu", over="x_std=-1:1")


def test_where_nothing_is_exact_it_is_sampled() -> None:
    found = bnstats.sweep(
        "sparsemax", over="x_std=0.5,1", quantities=["std_dx", "mean_y"], samples=5000
    )
    first, _ = found.curves[0].points
    assert first.samples == 5000
    alone = bnstats.compute("sparsemax", samples=5000, law=Law(0.0, 0.5))
    assert first.value("std_dx") == alone.std_dx
    assert first.value("mean_y") == alone.mean_y.exact  # which needs no sample
    assert next(found.rows())["low"] == alone.std_dx.interval[0]
    exact = bnstats.sweep("sparsemax", over="x_std=0.5,1", quantities=["mean_y"])
    assert [point.samples for point in exact.curves[0].points] == [0, 0]


def test_a_sweep_stops_where_it_is_told() -> None:
    left = iter([False] * 3 + [True] * 99)
    found = bnstats.sweep("elu", "selu", over="x_std=1:2", should_stop=lambda: next(left))
    assert found.status == "interrupted"
    assert [len(curve.points) for curve in found.curves] == [3]


def test_a_sweep_in_a_notebook() -> None:
    found = bnstats.sweep("leaky_relu", over=FOUR, quantities=["c1"])
    assert "<th>c₁</th>" in found._repr_html_()
    assert "<td>0.16851700</td>" in found._repr_html_()
    assert repr(found) == "Sweep(leaky_relu over negative_slope from 0 to 1: c1)"
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = found.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["negative_slope"]) == [0, 0.25, 0.5, 0.75, 1]


# --- solutions


def within(found: Solution, true: float, digits: float = 1e-10) -> None:
    assert found.value is not None
    assert found.error is not None
    assert abs(found.value - true) <= found.error
    assert found.error <= digits * max(abs(true), 1)


def test_a_slope_with_a_wanted_correlation() -> None:
    """c₁ of leaky relu is (1 − a)²/(π(1 + a²))."""
    wanted = optimize.brentq(
        lambda a: (1 - a) ** 2 / math.pi / (1 + a * a) - 0.1, 0, 1, xtol=1e-15, rtol=1e-15
    )
    (found,) = solutions(bnstats.sweep("leaky_relu", over="negative_slope=0:1", find="c1=0.1"))
    within(found, wanted)


def test_the_constants_of_selu() -> None:
    """α makes the mean of elu 0, whatever λ is; then λ is its gain."""
    (alpha,) = solutions(bnstats.sweep("elu", over="alpha=1:3", find="mean_y=0"))
    # Klambauer et al. 2017, eq. 14
    wanted = -math.sqrt(2 / math.pi) / (special.erfc(math.sqrt(0.5)) * math.exp(0.5) - 1)
    within(alpha, wanted)
    gain = bnstats.exact(f"elu:alpha={alpha.value!r}").gain_y
    assert gain.value == pytest.approx(1.0507009873554805, rel=1e-13)


def test_a_scale_with_a_wanted_spread() -> None:
    (found,) = solutions(bnstats.sweep("exponential", over="x_std=0.1:2:log", find="rms_y=2"))
    within(found, math.sqrt(math.log(2)))  # E[e^2x] = e^(2s²)


def test_there_may_be_several_or_none() -> None:
    found = bnstats.sweep(
        "sin", over="x_mean=0:3", find=["mean_y=0.5", "mean_y=2", "mean_y=0"], points=7
    )
    two, none, end = (
        [s for s in solutions(found) if s.wanted == wanted] for wanted in (0.5, 2.0, 0.0)
    )
    half = math.asin(0.5 * math.exp(0.5))
    for solution, true in zip(two, (half, math.pi - half), strict=True):
        within(solution, true)
    assert [(s.value, s.why) for s in none] == [
        (None, "it is from 0.0855939 to 0.604987 for x_mean from 0 to 3")
    ] or none[0].value is None
    assert [s.value for s in end] == [0.0]


def test_a_value_that_is_jumped_over_is_none() -> None:
    def off(text: str) -> bnstats.Exact:
        return bnstats.Exact(1.0 if float(text) > 0.3 else -1.0, 1e-15, "closed form")

    from bnstats.claims.wanted import Wanted
    from bnstats.runs.solve import solve

    (found,) = solve(over_of("x_mean=0:1", ["relu"], refuse), Wanted("mean_y", "0"), off)
    assert found.value is None
    assert "jumps over it" in found.why


def test_what_is_always_so_is_no_solution() -> None:
    (found,) = solutions(bnstats.sweep("relu", over="x_std=1:2", find="chi=1", points=3))
    assert found.why == "every x_std does"


def test_whole_numbers_are_compared_one_by_one() -> None:
    found = bnstats.sweep("max_pool2d", over="kernel_size=2:4", find=["std_dx=0.5", "std_dx=0.4"])
    first, second = solutions(found)
    assert (first.value, first.error) == (2.0, 0.0)
    assert second.why == "it is from 0.25 to 0.5 for kernel_size from 2 to 4"


@pytest.mark.parametrize("find", ["c1", "c1=x", "c1=nan", "c2=1"])
def test_what_cannot_be_sought_is_told(find: str) -> None:
    with pytest.raises(BnstatsError):
        bnstats.sweep("relu", over="x_std=1:2", find=find)


def test_layers_are_named() -> None:
    for layers in ((), (math.sin,), (["relu"],)):
        with pytest.raises(BnstatsError, match="layer"):
            bnstats.sweep(*layers, over="x_std=1:2")


# --- the command


def test_the_command(cli: Cli) -> None:
    code, out, err = cli(
        "sweep", "leaky_relu", "--over", FOUR, "--quantity", "c1", "gain_y", "--find", "c1=0.1"
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[:4] == [
        "leaky_relu   negative_slope from 0 to 1",
        "",
        "  negative_slope   c₁           1/σ[y]",
        "  0                0.31830989   1.71285855",
    ]
    assert out.splitlines()[-1].startswith("  c₁ = 0.1 at negative_slope = 0.3969556206005")


def test_several_are_sought(cli: Cli) -> None:
    argv = ("--over", "x_std=1:2", "--points", 3, "--find", "std_y=1", "chi=2", "gelu", "relu")
    code, out, err = cli("sweep", *argv)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.strip()]
    assert len(lines) == 6
    assert lines[1].startswith("  σ[y] = 1 at x_std = 1.676318706133")
    assert lines[2] == "  χ = 2: none; it is from 1.04887 to 1.07203 for x_std from 1 to 2"
    assert bnstats.exact("gelu", law=Law(0.0, 2.0)).chi.value == pytest.approx(1.04887, abs=5e-6)
    assert "σ[y]  " not in out  # no table of values that nobody asked for


def test_a_sweep_as_json_and_csv(cli: Cli) -> None:
    argv = ("sweep", "elu", "softmax:n=3", "--over", "x_std=1,2", "--quantity", "chi", "std_y")
    found = read_document(cli(*argv, "--find", "chi=1", "--json").out)
    assert [r["layer"] for r in found["results"]] == ["elu", "softmax:n=3"]
    assert found["provenance"]["quantities"] == ["chi", "std_y"]
    point = found["results"][0]["points"][1]
    exact = bnstats.exact("elu", law=Law(0.0, 2.0))
    assert point["at"] == 2.0
    assert point["chi"]["exact"]["value"] == exact.chi.value
    rows = list(csv.DictReader(io.StringIO(cli(*argv, "--format", "csv").out)))
    assert len(rows) == 8
    assert float(rows[2]["x_std"]) == 2.0
    assert float(rows[2]["exact"]) == exact.chi.value
    assert "| `elu`" in cli(*argv, "--format", "markdown").out
    assert r"\texttt{softmax:n=3}" in cli(*argv, "--format", "latex").out


def test_a_sampled_sweep_as_json(cli: Cli) -> None:
    argv = ("sweep", "sparsemax", "--over", "x_std=1", "-n", 3000, "--json")
    found = read_document(cli(*argv).out)
    assert found["provenance"]["seed"] == 0
    point = found["results"][0]["points"][0]
    assert point["samples"] == 3000
    low, high = point["std_y"]["interval"]
    assert low < point["std_y"]["value"] < high


@pytest.mark.parametrize(
    "argv",
    [
        ("relu", "--over", "x_std"),
        ("relu", "--over", "y_std=1:2"),
        ("rellu", "--over", "x_std=1:2"),
        ("relu", "--over", "x_std=1:2", "--find", "chi"),
        ("relu", "--over", "x_std=1:2", "--find", "chi=1", "chi"),
        ("relu", "--over", "x_std=1:2", "--quantity", "chj"),
        ("relu", "--over", "x_std=1:2", "--plot", "a.gif"),
        ("relu", "--over", "x_std=1:2", "--points", "1"),
        ("relu", "--over", "x_std=1:2", "--x-std", "3"),
        ("elu", "--over", "x_std=1:2", "--over", "alpha=1:2"),
        ("softmax", "--over", "x_std=1:2", "--quantity", "stability"),
    ],
)
def test_wrong_input_is_told_in_a_line(cli: Cli, argv: tuple[str, ...]) -> None:
    code, out, err = cli("sweep", *argv)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_a_number_of_a_sweep_is_printed_bare(cli: Cli) -> None:
    tanh = ("sweep", "tanh", "--over", "x_std=0.1,1,10", "--quantity", "std_y")
    expected = cli("exact", "tanh", "--x-std", "0.1", "--get", "std_y.exact.value").out
    assert cli(*tanh, "--get", "x_std=0.1.std_y.exact.value").out == expected
    assert cli(*tanh, "--get", "tanh.x_std=0.1.std_y.exact.value").out == expected
    relu = ("sweep", "leaky_relu", "--over", "negative_slope=0:1", "--find", "c1=0.1")
    assert cli(*relu, "--get", "found.value").out.startswith("0.3969556")
    outcome = cli(*tanh, "--get", "x_std=0.2.std_y.exact.value")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no 'x_std=0'" in outcome.err
    assert "there is layer, x_std=0.1, x_std=1, x_std=10" in outcome.err

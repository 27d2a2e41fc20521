"""Arithmetic in the values of parameters: read, never run."""

from __future__ import annotations

import math

import pytest
from cli_support import Cli

import bnstats
from bnstats.errors import BnstatsError
from bnstats.specs.expressions import evaluate, number, parsed
from bnstats.specs.spec import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gain=5/3", 5 / 3),
        ("gain=sqrt(2)", math.sqrt(2)),
        ("gain=2**0.5", math.sqrt(2)),
        ("gain=sqrt(2/(1+0.01**2))", math.sqrt(2 / 1.0001)),
        ("gain=exp(-1)*pi", math.pi / math.e),
        ("gain=1e-3", 1e-3),
        ("gain=-(-2.5)", 2.5),
    ],
)
def test_a_number_may_be_an_expression(text: str, value: float) -> None:
    spec = parse(f"linear:init=orthogonal,{text}")
    assert spec.text == f"linear:gain={value!r},init=orthogonal".replace(".0,", ",")
    assert parse(spec.text) == spec


@pytest.mark.parametrize(
    "value",
    [
        "1/0",
        "sqrt(-1)",
        "10**400",
        "9**9**9**9",
        "__import__",
        "exec(1)",
        "pi(2)",
        "sqrt",
        "2 3",
        "1/",
        "(" * 150,
        "1+" * 150 + "1",
        "sqrt(2,3)",
        "0x10",
        "1e999",
        "log(0)",
    ],
)
def test_other_texts_are_no_numbers(value: str) -> None:
    with pytest.raises(BnstatsError) as caught:
        parse(f"linear:init=orthogonal,gain={value}")
    text = caught.value.message
    assert "is not a number" in text or "not a finite number" in text or "expected key" in text


def test_options_take_the_numbers_that_parameters_take(cli: Cli) -> None:
    assert [number(t) for t in (" 5/3", "−1e-3", "inf", ".5")] == [5 / 3, -1e-3, math.inf, 0.5]
    for text in ("nan", "1_0", "5/0", "1e999*0", "x"):
        with pytest.raises(ValueError, match=r"value|expression|arithmetic"):
            number(text)
    path = ("--quantity", "std_y", "--get", "std_y.exact.value")
    at_root = cli("exact", "tanh", "--x-std", "sqrt(2)", *path).out
    assert float(at_root) == pytest.approx(bnstats.exact("tanh", x_std=2**0.5).std_y.value, 1e-12)
    edge = cli("critical", "tanh", "--weight-std", "5/3", "--get", "bias_std.value").out
    assert float(edge) == pytest.approx(bnstats.critical("tanh", weight_std=5 / 3).bias_std.value)
    steps = ("propagate", "linear", "--width", "4", "--depth", "1", "--networks", "3", "--json")
    assert '"gain": 1.6666666666666667' in cli(*steps, "--gain", "5/3").out


def test_whole_numbers_and_sizes_are_no_expressions() -> None:
    for text in ("linear:in_features=2*3", "max_pool2d:kernel_size=6/2", "softmax:n=sqrt(4)"):
        with pytest.raises(BnstatsError):
            parse(text)


def test_ranges_hold_for_the_value() -> None:
    with pytest.raises(BnstatsError, match=r"p=3/2 is outside \[0, 1\]"):
        parse("dropout:p=3/2")
    assert parse("dropout:p=1/4").text == "dropout:p=0.25"


def test_the_errors_of_an_expression_are_two_kinds() -> None:
    for text in ("a", "1;2", "[1]", "", "1" * 201):
        with pytest.raises(ValueError, match="not an expression"):
            parsed(text)
    with pytest.raises(ArithmeticError):
        evaluate(parsed("1/0"))
    with pytest.raises(ValueError, match=r"expected|domain"):
        evaluate(parsed("sqrt(-1)"))

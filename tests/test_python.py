"""Python first: layers as objects, parameters and laws by keyword, gains, records as data."""

from __future__ import annotations

import doctest
import inspect
import json
import math
import pickle
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
from cli_support import read_document

import bnstats
from bnstats.layers import LAYERS, USER_LAYERS


def soft_step(x: Any, *, alpha: float = 1.0) -> Any:
    return np.where(x > 0, np.tanh(alpha * x), 0.1 * x)


def parabola(x: Any, scale: float = 1.0, power: int = 2) -> Any:
    return scale * x**power


def gelu(x: Any) -> Any:  # has the name of one of bnstats' own, and is none
    return 3 * x


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return self.factor * x


# --- layers as objects -------------------------------------------------------------------------


def test_a_function_is_a_layer_with_parameters() -> None:
    exact = bnstats.exact(parabola, scale=2)
    assert exact.layer == f"{__name__}:parabola:scale=2"
    assert exact.mean_y.value == pytest.approx(2)
    assert exact.std_y.value == pytest.approx(2 * math.sqrt(2))
    result = bnstats.compute(parabola, scale=2, samples=20_000)
    assert abs(result.std_dx.z or 9) < 4
    assert bnstats.exact(parabola, power=3).std_y.value == pytest.approx(math.sqrt(15))


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda x: 3 * x, "<lambda>()"),
        (Scaled(3), "Scaled()"),
        (partial(parabola, scale=3.0, power=1), "partial()"),
        (gelu, f"{__name__}:gelu"),
    ],
)
def test_whatever_takes_an_array_is_a_layer(layer: Any, name: str) -> None:
    before = dict(USER_LAYERS)
    result = bnstats.compute(layer, samples=2000)
    assert result.layer.partition(":s")[0] == name
    assert bnstats.exact(layer).std_y.value == pytest.approx(3)
    assert not result.claims
    assert before == USER_LAYERS  # nothing is registered
    assert bnstats.exact("gelu").std_y.value == pytest.approx(0.5879, abs=1e-4)


def test_a_registered_function_keeps_its_name_and_breakpoints() -> None:
    @bnstats.register(breakpoints=(0.0,), name="python_test_step")
    def step(x: Any) -> Any:
        return x * (x > 0)

    try:
        exact = bnstats.exact(step)
        assert (exact.layer, exact.warnings) == ("python_test_step", ())
    finally:
        del USER_LAYERS["python_test_step"]


def test_results_of_objects_can_be_pickled() -> None:
    known = bnstats.exact(soft_step, alpha=2)
    again = pickle.loads(pickle.dumps(known))
    assert (again.layer, again.quantities) == (known.layer, known.quantities)
    assert again.spec.under(bnstats.Law()).bound.breakpoints == (0.0,)
    assert pickle.loads(pickle.dumps(bnstats.exact("elu", alpha=2))).layer == "elu:alpha=2"


def test_torch_modules_are_layers() -> None:
    nn = pytest.importorskip("torch", reason="needs torch").nn
    result = bnstats.compute(nn.GELU(), samples=20_000)
    assert result.layer == "GELU(approximate='none')"
    assert result.std_y.exact.value == pytest.approx(bnstats.exact("gelu").std_y.value, rel=1e-9)
    one, two = (bnstats.exact(nn.LeakyReLU(a)).std_dx.value for a in (0.1, 0.5))
    assert one == pytest.approx(math.sqrt(0.505))
    assert two == pytest.approx(math.sqrt(0.625))
    assert bnstats.exact(nn.LeakyReLU, negative_slope=0.5).std_dx.value == pytest.approx(two)
    assert bnstats.exact(nn.LeakyReLU, negative_slope=0.5).layer.startswith("torch.nn:LeakyReLU:")
    two_lines = nn.Sequential(nn.Tanh(), nn.ReLU())
    assert bnstats.exact(two_lines).layer == "Sequential()"
    for module, own in [(nn.Dropout(), "dropout"), (nn.MaxPool2d(2), "max_pool2d")]:
        with pytest.raises(bnstats.BnstatsError) as caught:
            bnstats.exact(module)
        assert caught.value.hint == f"bnstats has this layer: {own}  (bnstats show {own})"


# --- parameters and laws -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "parameters", "text"),
    [
        ("elu", {"alpha": 2}, "elu:alpha=2"),
        ("elu", {"alpha": np.float32(0.5)}, "elu:alpha=0.5"),
        ("elu", {"alpha": 1.0}, "elu"),
        ("max_pool2d:stride=3", {"kernel_size": (2, 3)}, "max_pool2d:kernel_size=2x3,stride=3"),
        ("max_pool2d", {"kernel_size": [3, 3], "stride": None}, "max_pool2d:kernel_size=3"),
        ("gelu", {"approximate": "tanh"}, "gelu:approximate=tanh"),
        ("keras.layers.LeakyReLU", {"negative_slope": 0.25}, "leaky_relu:negative_slope=0.25"),
        ("max_pool2d", {"kernel_size": np.int64(3), "ceil_mode": True},
         "max_pool2d:ceil_mode=true,kernel_size=3"),
    ],
)  # fmt: skip
def test_parameters_are_keywords(layer: str, parameters: dict[str, Any], text: str) -> None:
    known = {p.name for p in LAYERS[text.partition(":")[0]].parameters}
    if not parameters.keys() <= known:
        pytest.skip(f"{layer} has no such parameters")
    assert bnstats.exact(layer, **parameters).layer == text
    assert bnstats.compute(layer, samples=500, **parameters).layer == text


@pytest.mark.parametrize(
    ("parameters", "message", "hint"),
    [
        ({"alhpa": 2}, "elu has no parameter 'alhpa'", "did you mean 'alpha'?"),
        ({"sampels": 2}, "elu has no parameter 'sampels'", "did you mean the argument samples?"),
        ({"alpha": "x"}, "elu: alpha=x is not a number", None),
        ({"alpha": "2,x=3"}, "elu: alpha=2,x=3 is not a number", None),
        ({"alpha": math.inf}, "elu: alpha=inf is not a finite number", None),
        ({"alpha": None}, "elu: alpha is None, not a number", None),
        ({"alpha": np.ones(2)}, "elu: alpha is a ndarray, not a number", None),
        ({"alpha": True}, "elu: alpha=true is not a number", None),
        ({"x_std": 0}, "x_std 0 is not a positive number", None),
        ({"x_std": "2"}, "x_std '2' is not a number", "e.g. x_std=1.0"),
        ({"law": (0, 1, 1)}, "law is a tuple, not a Law", "bnstats.Law("),
        ({"law": (0, 1, 1), "x_std": 2}, "law is a tuple, not a Law", "bnstats.Law("),
    ],
)
@pytest.mark.parametrize("function", [bnstats.exact, bnstats.compute, bnstats.gain])
def test_mistakes_name_arguments_as_python_does(
    function: Any, parameters: dict[str, Any], message: str, hint: str | None
) -> None:
    with pytest.raises(bnstats.BnstatsError) as caught:
        function("elu", **parameters)
    assert caught.value.message.startswith(message)
    assert (caught.value.hint or "").startswith(hint or "")


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(bnstats.BnstatsError, match="parameter 'alpha' is given twice"):
        bnstats.exact("elu:alpha=2", alpha=2)


def test_no_layer_has_a_parameter_that_an_argument_hides() -> None:
    for function in (bnstats.compute, bnstats.exact, bnstats.gain):
        own = set(inspect.signature(function).parameters) - {"parameters"}
        for layer in LAYERS.values():
            assert not own & {p.name for p in layer.parameters}, layer.name


def test_the_law_by_its_fields() -> None:
    wide = bnstats.exact("identity", x_std=2, x_mean=1, dy_std=3)
    assert (wide.std_y.value, wide.mean_y.value, wide.std_dx.value) == (2, 1, 3)
    assert wide.law == bnstats.Law(1, 2, 3)
    assert bnstats.exact("identity", law=bnstats.Law(1, 2, 3), x_std=5).law == (1, 5, 3)
    assert bnstats.compute("identity", samples=1000, x_std=2).law == bnstats.Law(x_std=2)


# --- gains -------------------------------------------------------------------------------------


def test_gains() -> None:
    assert float(bnstats.gain("relu")) == pytest.approx(math.sqrt(2))
    assert float(bnstats.gain("relu", direction="backward")) == pytest.approx(math.sqrt(2))
    known = 1 / math.sqrt(0.5 - 0.5 / math.pi)
    assert float(bnstats.gain("relu", mean_removed=True)) == pytest.approx(known)
    assert isinstance(bnstats.gain("relu"), bnstats.Exact)
    assert float(bnstats.gain("relu", x_std=2)) == pytest.approx(math.sqrt(2) / 2)
    assert float(bnstats.gain("leaky_relu", negative_slope=0.2)) == pytest.approx(
        math.sqrt(2 / 1.04)
    )
    assert float(bnstats.gain(parabola)) == pytest.approx(1 / math.sqrt(3))


def test_a_gain_that_nobody_knows_exactly_is_sampled() -> None:
    layer = "lp_pool1d:kernel_size=3,norm_type=4"
    assert "gain_dx" in bnstats.exact(layer).missing
    found = bnstats.gain(layer, direction="backward")
    assert isinstance(found, bnstats.Estimate)
    assert found == bnstats.compute(layer, direction="backward").gain_dx


def test_a_gain_has_a_direction() -> None:
    with pytest.raises(bnstats.ArgumentError, match="direction 'up' is not forward or backward"):
        bnstats.gain("relu", direction="up")  # type: ignore[arg-type]


# --- records as data ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result() -> bnstats.Result:
    return bnstats.compute("sigmoid", samples=20_000, x_std=2)


def test_records_are_plain_data(result: bnstats.Result, cli: Any) -> None:
    held = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    out = cli("compute", "sigmoid", "-n", "2e4", "--x-std", "2", "--json").out
    assert read_document(out)["results"] == [held]
    exact = json.loads(json.dumps(bnstats.exact("relu").to_dict()))
    assert read_document(cli("exact", "relu", "--json").out)["results"] == [exact]


def test_representations_are_short(result: bnstats.Result) -> None:
    assert repr(result).startswith("Result('sigmoid x_std=2 n=2e4', mean_y=0.")
    assert repr(bnstats.exact("relu")).startswith("Reference('relu', mean_y=0.39894228")
    check = bnstats.verify("feng2016-repost", bnstats.VerifySettings(samples=1000))[0]
    assert repr(check) == "Check(fail: relu σ[dx], 1/2)"
    verdict = check.verdict
    assert repr(verdict).startswith("Verdict('relu', 'std_dx', '1/2', wrong quantity: 0.7071")
    for record in (result, bnstats.exact("relu"), check, verdict):
        assert len(repr(record)) < 200


def test_a_notebook_shows_a_table(result: bnstats.Result) -> None:
    html = result._repr_html_()
    rows = re.findall("<tr>(.*?)</tr>", html)
    cells = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0] == ["", "estimate(SE)", "95 % interval", "exact", "z"]
    assert [row[0] for row in cells[1:]] == ["E[y]", "σ[y]", "E[dx]", "σ[dx]", "Var[dx]"]
    assert cells[2][1] == str(result.std_y)
    assert all(len(row) == 5 for row in cells)
    assert "<caption>sigmoid x_std=2 n=2e4</caption>" in html
    html = bnstats.exact(lambda x: np.abs(x))._repr_html_()
    assert "&lt;lambda&gt;()" in html  # nothing of the user's is taken for HTML
    assert "<lambda>" not in html
    assert "<p>warning: the slope of" in html


def test_pandas(result: bnstats.Result) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.index) == list(result.quantities)
    assert frame.index.name == "quantity"
    assert frame.loc["std_y", "value"] == result.std_y.value
    assert frame.loc["std_y", "low"] < result.std_y.value < frame.loc["std_y", "high"]
    exact = bnstats.exact("relu").to_pandas()
    assert list(exact.columns) == ["value", "error", "by"]
    assert exact.loc["std_dx", "value"] == bnstats.exact("relu").std_dx.value


def test_without_pandas(result: bnstats.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(bnstats.HostError) as caught:
        result.to_pandas()
    assert (caught.value.message, caught.value.hint) == (
        "pandas is not installed",
        "pip install pandas",
    )


def test_the_examples_of_the_manual_hold() -> None:
    found = doctest.testfile("manual/python.md", package=bnstats, encoding="utf-8")
    assert found.attempted > 10
    assert not found.failed

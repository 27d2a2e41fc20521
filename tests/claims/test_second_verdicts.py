"""Every verdict a second time: from the files themselves and from moments by mpmath.

Nothing here is bnstats' own but the verdict that is compared: not the reading of the files, not
that of the numbers in them, not the quadrature and not the solver.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest
from oracles import normal_points, weighted

import bnstats
from bnstats.claims import Claim, claim_set, set_names
from bnstats.claims.verdict import Verdict
from bnstats.verification.claims import verify_claims
from bnstats.verification.gate import VerifySettings
from bnstats.verification.solved import judged

pytestmark = pytest.mark.slow
SETS = Path(bnstats.__file__).parent / "claims" / "sets"
DIGITS = 25

ALPHA = mp.mpf("1.6732632423543772848170429916717")
LAMBDA = mp.mpf("1.0507009873554804934193349852946")
Function = Callable[[Any], Any]


def _logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _relu(x: Any) -> Any:
    return max(x, mp.mpf(0))


def _elu(x: Any) -> Any:
    return x if x > 0 else mp.expm1(x)


def _silu(x: Any) -> Any:
    return x * _logistic(x)


def _gelu(x: Any) -> Any:
    return x * mp.ncdf(x)


def _gelu_tanh(x: Any) -> Any:
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


def _leaky(slope: Any) -> Function:
    return lambda x: x if x > 0 else mp.mpf(slope) * x


def _selu(alpha: Any, scale: Any) -> Function:
    return lambda x: scale * (x if x > 0 else alpha * mp.expm1(x))


# Functions of one number, with the places where they are not smooth.
FUNCTIONS: dict[str, tuple[Function, tuple[float, ...]]] = {
    "identity": (lambda x: x, ()),
    "asinh": (mp.asinh, ()),
    "sigmoid": (_logistic, ()),
    "4*sigmoid": (lambda x: 4 * _logistic(x), ()),
    "0.5-sigmoid": (lambda x: mp.mpf(1) / 2 - _logistic(x), ()),
    "tanh": (mp.tanh, ()),
    "2*tanh": (lambda x: 2 * mp.tanh(x), ()),
    "lecun_tanh": (lambda x: mp.mpf("1.7159") * mp.tanh(2 * x / 3), ()),
    "relu": (_relu, (0,)),
    "rectified_power:power=2": (lambda x: _relu(x) ** 2, (0,)),
    "rectified_power:power=3": (lambda x: _relu(x) ** 3, (0,)),
    "relu6": (lambda x: min(_relu(x), mp.mpf(6)), (0, 6)),
    "abs": (abs, (0,)),
    "cos": (mp.cos, ()),
    "exponential": (mp.exp, ()),
    "leaky_relu": (_leaky("0.01"), (0,)),
    "leaky_relu:negative_slope=0.1": (_leaky("0.1"), (0,)),
    "leaky_relu:negative_slope=0.2": (_leaky("0.2"), (0,)),
    "leaky_relu:negative_slope=0.6291800290346146": (_leaky("0.6291800290346146"), (0,)),
    "leaky_relu:negative_slope=0.8761257073473065": (_leaky("0.8761257073473065"), (0,)),
    "smooth_leaky_relu": (lambda x: (3 * x + 2 * x * (2 * _logistic(x) - 1)) / 5, ()),
    "threshold:threshold=-3,value=0": (lambda x: x if x > -3 else mp.mpf(0), (-3,)),
    "elu": (_elu, (0,)),
    "celu": (_elu, (0,)),
    "selu": (_selu(ALPHA, LAMBDA), (0,)),
    "silu": (_silu, ()),
    "gelu": (_gelu, ()),
    "gelu:approximate=tanh": (_gelu_tanh, ()),
    "self_gated": (lambda x: x * _silu(x), ()),
    "self_gated:gate=gelu": (lambda x: x * _gelu(x), ()),
    "mish": (lambda x: x * mp.tanh(mp.log1p(mp.exp(x))), ()),
    "hardswish": (lambda x: x * min(max(x + 3, mp.mpf(0)), mp.mpf(6)) / 6, (-3, 3)),
    "logsigmoid": (lambda x: -mp.log1p(mp.exp(-x)), ()),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), ()),
    # a knee as narrow as 1/20 wants narrow panels
    "softplus:beta=20": (
        lambda x: mp.log1p(mp.exp(20 * x)) / 20,
        (-0.8, -0.4, -0.2, -0.1, 0, 0.1, 0.2, 0.4, 0.8),
    ),
    "1-softplus": (lambda x: 1 - mp.log1p(mp.exp(x)), ()),
    "shifted_softplus": (lambda x: mp.log1p(mp.exp(x)) - mp.log(2), ()),
    "softsign": (lambda x: x / (1 + abs(x)), (0,)),
    "2*softsign": (lambda x: 2 * x / (1 + abs(x)), (0,)),
    "hardtanh": (lambda x: min(max(x, mp.mpf(-1)), mp.mpf(1)), (-1, 1)),
}
# What is solved for within a layer, as a function of it.
FAMILIES: dict[tuple[str, str], Callable[[Any], Function]] = {
    ("selu:scale=1", "alpha"): lambda alpha: _selu(alpha, 1),
}
# y = a·gate(b) of independent a and b: E[y] = 0 and E[y²] = E[gate(b)²].
GATES = {"glu": _logistic, "swiglu": _silu}


def _cut_variance() -> Any:
    """Return the variance of a standard normal cut at ±2, integrated by parts."""
    return 1 - 4 * mp.npdf(2) / (mp.ncdf(2) - mp.ncdf(-2))


# Moments of layers with windows, masks, weights or several inputs, by hand.
BY_HAND: dict[str, Callable[[], Mapping[str, Any]]] = {
    "avg_pool2d:kernel_size=3": lambda: _of(0, mp.mpf(1) / 9, mp.mpf(1) / 81),
    "avg_pool2d:kernel_size=2": lambda: _of(0, mp.mpf(1) / 4, mp.mpf(1) / 16),
    "dropout:p=0.5,scaling=none": lambda: _of(0, mp.mpf(1) / 2, mp.mpf(1) / 2),
    "dropout:p=0.5,scaling=sqrt": lambda: _of(0, 1, 1),
    "dropout:p=0.5,scaling=inverted": lambda: _of(0, 2, 2),  # keep·(1/keep)²
    "linear:init=unit_fan_in": lambda: _of(0, 1, 1),
    "linear:init=unit_fan_out": lambda: _of(0, 1, 1),
    "truncated_normal": lambda: _of(0, _cut_variance(), 0),
    # |w|² is exponential, cut at 4: its mean is 1 − 4·e⁻⁴/(1 − e⁻⁴)
    "complex_truncated_normal": lambda: _of(0, 1 - 4 * mp.exp(-4) / (1 - mp.exp(-4)), 0),
    # far below 0 the slope is 1/a: E is ∫da/a over 3 to 8, divided by 5
    "rrelu:lower=3,upper=8,reciprocal=true": lambda: {"slope": mp.log(mp.mpf(8) / 3) / 5},
    # max(0, a·b) is |a|·|b| where the signs agree: E = E|a|²/2, E[y²] = 1/2
    "multiply..relu": lambda: _of(1 / mp.pi, mp.mpf(1) / 2, 0),
}


def _of(mean: Any, square: Any, back: Any) -> dict[str, Any]:
    """Return moments from E[y], E[y²] and E[dx²]."""
    return {"mean": mp.mpf(mean), "square": mp.mpf(square), "back": mp.mpf(back)}


class Row(NamedTuple):
    """What fixes the truth of a row."""

    layer: str
    x_mean: str
    x_std: str
    over: str
    find: str


def _number(text: str, **values: Any) -> Any:
    """Evaluate an expression in mpmath's digits, decimals as they are written."""
    written = re.sub(r"\d*\.\d+(?:[eE][+-]?\d+)?|\d+\.?", r"mpf('\g<0>')", text)
    functions = {"mpf": mp.mpf, "sqrt": mp.sqrt, "exp": mp.exp, "log": mp.log, "pi": mp.pi}
    return eval(written, functions | values)


def _moments(function: Function, breakpoints: tuple[float, ...], mean: Any, std: Any) -> Any:
    points = weighted(function, mean, std, breakpoints)
    drift = mp.mpf(0)
    places = normal_points(tuple((mp.mpf(k) - mean) / std for k in breakpoints))
    for (weight, y, slope), (z, _) in zip(points, places, strict=True):
        drift += weight * std * z * y * slope
    return {
        "mean": mp.fsum(w * y for w, y, _ in points),
        "square": mp.fsum(w * y**2 for w, y, _ in points),
        "back": mp.fsum(w * slope**2 for w, _, slope in points),
        "drift": drift,
        "var_x": std**2,
    }


def _of_maximum(count: int) -> dict[str, Any]:
    mean, square = (mp.fsum(w * x**p for x, w in normal_points((), count)) for p in (1, 2))
    return _of(mean, square, mp.mpf(1) / count)  # one of count inputs gets the gradient


def _known(layer: str, mean: Any, std: Any) -> Mapping[str, Any]:
    if layer in FUNCTIONS:
        return _moments(*FUNCTIONS[layer], mean, std)
    assert (mean, std) == (-100 if layer.startswith("rrelu") else 0, 1)
    if layer in BY_HAND:
        return BY_HAND[layer]()
    if layer in GATES:
        gate = GATES[layer]
        return _of(0, mp.fsum(w * gate(x) ** 2 for x, w in normal_points()), 0)
    name, _, size = layer.partition("=")
    assert name in ("max_pool2d:kernel_size", "maxout:k"), layer
    return _of_maximum(int(size) ** 2 if name[:4] == "max_" else int(size))


def _value(moments: Mapping[str, Any], quantity: str) -> Any:
    if quantity == "mean_slope":
        return moments["slope"]
    mean, square = moments["mean"], moments["square"]
    return {
        "mean_y": lambda: mean,
        "std_y": lambda: mp.sqrt(square - mean**2),
        "var_y": lambda: square - mean**2,
        "rms_y": lambda: mp.sqrt(square),
        "ms_y": lambda: square,
        "gain_y": lambda: 1 / mp.sqrt(square - mean**2),
        "gain_rms_y": lambda: 1 / mp.sqrt(square),
        "gain_ms_y": lambda: 1 / square,
        "mean_dx": lambda: mp.mpf(0),
        "std_dx": lambda: mp.sqrt(moments["back"]),
        "var_dx": lambda: moments["back"],
        "gain_dx": lambda: 1 / mp.sqrt(moments["back"]),
        "c1": lambda: mean**2 / square,
        "chi": lambda: moments["var_x"] * moments["back"] / square,
        "stability": lambda: moments["drift"] / square,
    }[quantity]()


@cache
def _solved(row: Row) -> tuple[Any, Mapping[str, Any]]:
    """Return the value of the parameter that is solved for, and the moments there."""
    name, _, ends = row.over.partition("=")
    quantity, _, wanted = row.find.partition("=")
    mean, std = _number(row.x_mean), _number(row.x_std)

    def at(value: Any) -> Mapping[str, Any]:
        if name == "x_std":
            return _known(row.layer, mean, value)
        return _moments(FAMILIES[row.layer, name](value), (0,), mean, std)

    low, high = (_number(end) for end in ends.split(":")[:2])

    def missed(value: Any) -> Any:
        return _value(at(value), quantity) - _number(wanted, **{name: value})

    root = mp.findroot(missed, (low, high), solver="anderson")
    return root, at(root)


@cache
def _plain(layer: str, mean: str, std: str) -> Mapping[str, Any]:
    return _known(layer, _number(mean), _number(std))


def _truth(row: Row, quantity: str) -> Any:
    if row.over:
        root, moments = _solved(row)
        return root if quantity == row.over.partition("=")[0] else _value(moments, quantity)
    return _value(_plain(row.layer, row.x_mean, row.x_std), quantity)


# --- what a printed number claims -----------------------------------------------------------------

DECIMAL = re.compile(r"(?<![\w.])(\d*\.\d+|\d+\.\d*)(?![\w.])")
ALONE = re.compile(rf"-?{DECIMAL.pattern}|sqrt\({DECIMAL.pattern}\)")


def _interval(text: str) -> tuple[Any, Any]:
    """Return the ends of what is claimed: half a unit of each decimal that claims its digits."""
    alone = ALONE.fullmatch(text)
    choices: list[tuple[str, ...]] = []
    for found in DECIMAL.findall(text):
        number = Decimal(found)
        digits = len(number.as_tuple().digits)
        half = Decimal(1).scaleb(int(number.as_tuple().exponent)) / 2
        claims = alone or (digits >= 3 and (8 * number) % 1)
        choices.append((f"{number - half:f}", f"{number + half:f}") if claims else (found,))
    values = []
    for ends in product(*choices):
        left = iter(f"({end})" for end in ends)
        values.append(_number(DECIMAL.sub(lambda _, left=left: next(left), text)))  # type: ignore[misc]
    return min(values), max(values)


def _second_verdict(fields: Mapping[str, Any]) -> str:
    """Return the verdict, or "close" where no float64 could tell."""
    row = Row(
        fields["layer"],
        fields.get("x_mean", "0"),
        fields.get("x_std", "1"),
        *(fields.get(key, "") for key in Row._fields[3:]),
    )
    with mp.workdps(DIGITS):
        truth = _truth(row, fields["quantity"])
        low, high = _interval(fields["value"])
        if "tolerance" in fields:
            middle, margin = _number(fields["value"]), _number(fields["tolerance"])
            low, high = middle - margin, middle + margin
        if low == high:  # an expression is as good as float64
            slack = mp.mpf("1e-12") * (abs(low) or 1)
            return "reproduced" if abs(truth - low) <= slack else "refuted"
        if low <= truth <= high:
            return "reproduced"
        middle = (low + high) / 2
        if len(re.sub(r"\D", "", fields["value"]).lstrip("0")) >= 8:
            nearest = mp.mpf(float(np.float32(float(truth))))
            if abs(middle - nearest) <= max((high - low) / 2, mp.mpf("1e-12")):
                return "reproduced"
        return "close" if abs(middle - truth) <= mp.mpf("1e-11") * abs(truth) else "refuted"


def verdict_on(claim: Claim) -> Verdict:
    found = judged(claim).verdict
    if found is None:  # fresh draws decide
        (check,) = verify_claims([claim], VerifySettings(samples=2_000_000))
        found = check.verdict
    assert found is not None
    return found


@pytest.mark.parametrize("name", set_names())
def test_every_verdict_is_found_a_second_way(name: str) -> None:
    written = tomllib.loads((SETS / f"{name}.toml").read_text("utf-8"))["claim"]
    claims = claim_set(name).claims
    assert len(claims) == len(written)
    for fields, claim in zip(written, claims, strict=True):
        verdict = verdict_on(claim)
        wanted = _second_verdict(fields)
        told = (fields, str(verdict))
        if "kind" in fields:  # it claims nothing, and is not right either
            assert (wanted, verdict.outcome) == ("refuted", "not a moment"), told
        elif wanted == "close":  # right to as many digits as float64 quadrature can know
            known = verdict.remark.endswith("that are known are right")
            assert known or verdict.outcome == "refuted", told
        else:
            assert verdict.outcome == wanted, told

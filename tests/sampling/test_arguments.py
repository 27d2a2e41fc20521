"""What Python code passes to compute and exact by mistake, and what it is told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bnstats


@pytest.mark.parametrize("function", [bnstats.compute, bnstats.exact])
@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        (["relu"], "a list", "one layer at a time"),
        (("relu", "tanh"), "a tuple", "one layer at a time"),
        (None, "a NoneType", "relu"),
        (3, "an int", "relu"),
    ],
)
def test_what_is_no_layer(function: Any, spec: Any, message: str, hint: str) -> None:
    with pytest.raises(bnstats.BnstatsError) as caught:
        function(spec)
    assert caught.value.message == f"a layer is a name, a function or a torch module, not {message}"
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("samples", "1e4", "samples '1e4' is not a number"),
        ("samples", [1e4], "samples [10000.0] is not a number"),
        ("samples", True, "samples True is not a number"),
        ("samples", 1.5, "samples 1.5 is not a whole number from 1 to 1e18"),
        ("max_time", "5s", "max_time '5s' is not a number"),
        ("precision", "1e-3", "precision '1e-3' is not a number"),
        ("precision", 0, "precision 0 is not a positive number"),
        ("confidence", "0.9", "confidence '0.9' is not a number"),
        ("workers", "2", "workers '2' is not a number"),
        ("workers", 0, "workers 0 is not a whole number ≥ 1"),
        ("workers", 2.5, "workers 2.5 is not a whole number ≥ 1"),
        ("workers", math.inf, "workers inf is not a whole number ≥ 1"),
        ("confidence", 1, "confidence 1 is outside (0, 1)"),
        ("sampler", "halton", "sampler 'halton' is not iid or sobol"),
        ("dtype", np.float32, "dtype '<class 'numpy.float32'>' is not float64 or float32"),
        ("direction", "up", "direction 'up' is not both, forward or backward"),
        ("direction", [], "direction '[]' is not both, forward or backward"),
        ("seed", "1", "seed 1 is not a whole number ≥ 0"),
        ("seed", np.int64(-1), "seed -1 is not a whole number ≥ 0"),
        ("law", (1, 2, 3), "law is a tuple, not a Law"),
        ("law", None, "law is a NoneType, not a Law"),
        ("law", bnstats.Law(x_mean="0"), "x_mean '0' is not a number"),  # type: ignore[arg-type]
        ("law", bnstats.Law(x_std=0), "x_std 0 is not a positive number"),
    ],
)
def test_every_argument_at_fault_is_named(argument: str, value: Any, message: str) -> None:
    with pytest.raises(bnstats.BnstatsError) as caught:
        bnstats.compute("relu", **{argument: value})
    assert caught.value.message == message


def test_numbers_of_every_kind_are_taken() -> None:
    wanted = bnstats.compute("relu", samples=1000).std_y.value
    for samples in (1e3, np.int64(1000), np.float32(1000)):
        found = bnstats.compute(
            "relu", samples=samples, max_time=np.int32(100), seed=np.int64(0), workers=np.int8(1)
        )
        assert type(found.seed) is int, "JSON knows no integers of numpy's"
        assert (found.samples, found.std_y.value) == (1000, wanted)


@pytest.mark.parametrize("share", [0, 1, -1, 2, math.nan])
def test_a_chance_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(bnstats.BnstatsError, match=r"family_error .* is outside \(0, 1\)"):
        bnstats.VerifySettings(family_error=share)


def test_no_draws_are_not_the_default_number_of_them() -> None:
    with pytest.raises(bnstats.BnstatsError, match="samples 0 is not a whole number from 1"):
        bnstats.verify("feng2016-repost", bnstats.VerifySettings(samples=0))


def test_the_same_call_gives_an_equal_result() -> None:
    one, same = (bnstats.compute("elu:alpha=2.0", samples=1000) for _ in range(2))
    assert one == same
    assert one != bnstats.compute("elu:alpha=2", samples=1000, seed=1)
    assert bnstats.exact("elu:alpha=2") == bnstats.exact("elu:alpha=2.0") != bnstats.exact("elu")

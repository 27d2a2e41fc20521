"""A number that no annotation calls a float is an int where it is written as one."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnstats
from bnstats.custom import load_typed
from bnstats.errors import BnstatsError
from bnstats.layers import USER_LAYERS, Law
from bnstats.specs.spec import parse

MODULES = """
import torch

class Sum(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.w = torch.ones(dim).sum()

    def forward(self, x):
        return x * self.w

class Learned(torch.nn.Module):
    def __init__(self, beta):
        super().__init__()
        self.beta = torch.nn.Parameter(torch.tensor(beta))

    def forward(self, x):
        return x * self.beta
"""


@pytest.fixture
def received() -> Iterator[dict[str, Any]]:
    """Register scaled_by(x, a, b=2, c=1.0, d: float = 3), and return what it was called with."""
    got: dict[str, Any] = {}

    @bnstats.register
    def scaled_by(x: Any, a, *, b=2, c=1.0, d: float = 3) -> Any:  # type: ignore[no-untyped-def]
        got.update(a=a, b=b, c=c, d=d)
        return x * (a * b * c * d)

    yield got
    del USER_LAYERS["scaled_by"]


def call(text: str) -> str:
    spec = parse(text).under(Law())
    spec.bound.forward(np, {"x": np.ones(3), "dy": np.ones(3)})
    return spec.text


@pytest.mark.parametrize(
    ("text", "values", "canonical"),
    [
        ("a=4", (4, 2, 1.0, 3), "a=4"),
        ("a=-4", (-4, 2, 1.0, 3), "a=-4"),
        ("a=4.0", (4.0, 2, 1.0, 3), "a=4.0"),
        ("a=4e0", (4.0, 2, 1.0, 3), "a=4.0"),
        ("a=0.5,b=5", (0.5, 5, 1.0, 3), "a=0.5,b=5"),
        ("a=1,b=2", (1, 2, 1.0, 3), "a=1"),
        ("a=1,b=2.0", (1, 2.0, 1.0, 3), "a=1,b=2.0"),
        ("a=1,c=5,d=6", (1, 2, 5.0, 6.0), "a=1,c=5,d=6"),
    ],
)
def test_whole_numbers_arrive_as_they_are_written(
    received: dict[str, Any], text: str, values: tuple[float, ...], canonical: str
) -> None:
    assert call(f"scaled_by:{text}") == f"scaled_by:{canonical}"
    first = dict(received)
    assert [first[k] for k in "abcd"] == list(values)
    assert [type(first[k]) for k in "abcd"] == list(map(type, values))
    again = pickle.loads(pickle.dumps(parse(f"scaled_by:{text}")))  # by its canonical text
    received.clear()
    assert call(again.text) == again.text
    assert {k: (v, type(v)) for k, v in received.items()} == {
        k: (v, type(v)) for k, v in first.items()
    }


def test_what_is_no_number_is_refused(received: dict[str, Any]) -> None:
    with pytest.raises(BnstatsError, match="a=four is not a number"):
        parse("scaled_by:a=four")


def test_a_size_of_a_torch_module_is_an_int(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "sums_of_ones.py").write_text(MODULES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "path_importer_cache", {})
    try:
        assert bnstats.exact(
            parse("sums_of_ones:Sum:dim=4", load_typed)
        ).std_y.value == pytest.approx(4)
        learned = bnstats.exact(parse("sums_of_ones:Learned:beta=2.0", load_typed))
        assert learned.std_y.value == pytest.approx(2)
        with pytest.raises(BnstatsError) as caught:
            parse("sums_of_ones:Learned:beta=2", load_typed).under(Law())
        assert caught.value.hint == "where no annotation says float, 2 is an int and 2.0 a float"
    finally:
        sys.modules.pop("sums_of_ones", None)
        for name in [name for name in USER_LAYERS if name.startswith("sums_of_ones:")]:
            del USER_LAYERS[name]

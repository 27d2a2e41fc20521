"""torch.compile, which a GPU gets: a block is one graph, and every layer is compiled anew.

Here graphs are collected, and run as torch traced them.
"""

from __future__ import annotations

from typing import Any

import pytest
from accelerator_support import namespace

from bnstats.backends import Device
from bnstats.layers import STANDARD
from bnstats.sampling.counter.draws import round_keys
from bnstats.sampling.counter.reduction import Reduction
from bnstats.sampling.run import y_pivot
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse

torch: Any = pytest.importorskip("torch")

# What torch says of Python 3.13.0, and of no later one.
pytestmark = pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")

COMPILED = [
    "relu",
    "mish",
    "rrelu",
    "swiglu",
    "max_pool2d:kernel_size=3",
    "linear:init=orthogonal",
]


def warn(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of graphs that will be compiled; each is run uncompiled."""
    found: list[Any] = []
    whole = torch.compile

    def collect(graph: Any, _: Any, **options: Any) -> Any:
        found.append(graph)
        return graph.forward

    def compile_(function: Any, **options: Any) -> Any:
        whole(function, **options)  # compiles nothing yet, but refuses options that it has not
        return whole(function, **{**options, "backend": collect})

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", compile_)
    return found


def launched(spec: str, kind: str, *, careful: bool = False, size: int = 64, draws: int = 150):
    layer, sampling = parse(spec), Sampling(dtype="float32")
    pivot = y_pivot(layer.bound, STANDARD)  # as in a run, what the layer keeps is kept by now
    block = Reduction(layer, sampling, pivot, size, 1, careful)
    xp = namespace("torch")
    device = Device(f"{kind}:0", "", None, torch.device("cpu"))
    launch = xp.launcher(lambda *a: block(xp, *a), size, device)
    return launch(round_keys(0, spec), 2**33, draws, warn)


def test_every_layer_is_one_graph_that_gives_what_eager_gives(
    graphs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More layers than torch compiles of one function before it gives up without a word."""
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 3)
    for done, spec in enumerate(COMPILED):
        assert torch.allclose(launched(spec, "cuda"), launched(spec, "cpu"), rtol=1e-12, atol=0)
        assert len(graphs) == done + 1, spec  # of three blocks: neither broken nor made anew
    launched("relu", "cuda", careful=True)
    launched("relu", "cuda", size=32)
    assert len(graphs) == len(COMPILED) + 2


def test_gradients_are_traced_in_this_thread() -> None:
    def block(x: Any) -> Any:
        found.append(torch._C._is_multithreading_enabled())
        return x + 1

    found: list[bool] = []
    namespace("torch").one_graph(block, torch.ones(2))
    assert found == [False]
    assert torch._C._is_multithreading_enabled()

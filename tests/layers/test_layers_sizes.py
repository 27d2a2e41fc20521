"""Sizes are accepted as torch accepts them, and refused before anything is laid out."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest

from bnstats.backends import numpy_backend
from bnstats.errors import BnstatsError
from bnstats.specs.spec import parse


@pytest.mark.parametrize("family", ["avg", "max"])
@pytest.mark.parametrize(
    "sizes",
    [
        "output_size=999999999,input_size=31",
        "output_size=999999999,input_size=999999998",
        "output_size=100000,input_size=31",
    ],
)
def test_sizes_beyond_all_bounds_are_refused_at_once(family: str, sizes: str) -> None:
    parse("relu")  # whatever that imports
    tracemalloc.start()
    with pytest.raises(BnstatsError, match="kinds of windows; the limit is 65,536"):
        parse(f"adaptive_{family}_pool2d:{sizes}")
    with pytest.raises(BnstatsError, match="kinds of windows"):
        parse("fractional_max_pool2d:input_size=999999937,output_size=5000000,kernel_size=2")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**6, "nothing is laid out before the limit is looked at"


def accepts(call: Any, *errors: type[Exception]) -> Any:
    try:
        return call()
    except errors:
        return None


@pytest.mark.parametrize("sides", [2, 3])
def test_fractional_pooling_takes_the_sizes_that_torch_takes(sides: int) -> None:
    torch = pytest.importorskip("torch")
    pool = getattr(torch.nn.functional, f"fractional_max_pool{sides}d")
    for size, kernel, output in itertools.product(range(1, 7), range(1, 5), range(1, 7)):
        x = torch.zeros((1, 1) + (size,) * sides)
        theirs = accepts(lambda x=x, k=kernel, o=output: pool(x, k, output_size=o), RuntimeError)
        spec = f"fractional_max_pool{sides}d:"
        spec += f"input_size={size},kernel_size={kernel},output_size={output}"
        ours = accepts(lambda spec=spec: parse(spec), BnstatsError)
        assert (ours is None) == (theirs is None), spec


def test_transposed_convolutions_take_the_sizes_that_torch_takes() -> None:
    """Where output_padding reaches beyond the stride, too: valid in torch if dilation is larger."""
    torch = pytest.importorskip("torch")
    rng, several = np.random.default_rng(0), 0
    grid = itertools.product((1, 4), (1, 2, 3), (1, 2), (0, 1), (0, 1, 2, 3), (1, 2, 4))
    for n, kernel, stride, padding, extra, dilation in grid:

        def shape(k: int = kernel, s: int = stride, p: int = padding, e: int = extra) -> Any:
            layer = torch.nn.ConvTranspose1d(2, 2, k, s, p, e, dilation=dilation, bias=False)  # noqa: B023
            return layer(torch.zeros(1, 2, n)).shape  # noqa: B023

        theirs = accepts(shape, RuntimeError, ValueError)
        spec = f"conv_transpose1d:input_size={n},kernel_size={kernel},stride={stride},"
        spec += f"padding={padding},output_padding={extra},dilation={dilation}"
        ours = accepts(lambda spec=spec: parse(spec).bound, BnstatsError)
        assert (ours is None) == (theirs is None), spec
        if ours is None:
            continue
        draws = {name: rng.normal(size=(*i.shape, 3)) for name, i in ours.inputs.items()}
        y, backward = ours.forward(numpy_backend, draws)
        assert y.shape[1] == theirs[2], spec
        step = rng.normal(size=draws["x"].shape)
        moved = ours.forward(numpy_backend, {**draws, "x": draws["x"] + step})[0] - y
        pulled = backward(draws["dy"])
        np.testing.assert_allclose(
            (moved * draws["dy"]).sum((0, 1)), (step * pulled).sum((0, 1)), rtol=1e-9, atol=1e-9
        )
        several += extra >= stride
    assert several > 10

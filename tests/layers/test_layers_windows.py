"""Pooling, convolution, linear and dropout: forward, backward, geometry and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracles
import pytest
from layer_support import DRAWS, draws_of, embedded, through

from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, STANDARD, BoundLayer, ParameterError
from bnstats.specs.spec import parse
from bnstats.statistics.exact import exact_values

# sides, kernel, stride, padding, input size: overlapping, gapped, padded, non-square
FINITE = [
    (1, (2,), (2,), (0,), (6,)),
    (1, (3,), (1,), (1,), (5,)),
    (1, (2,), (3,), (0,), (9,)),
    (1, (5,), (2,), (2,), (4,)),
    (2, (2, 2), (2, 2), (0, 0), (5, 4)),
    (2, (3, 3), (2, 2), (1, 1), (7, 8)),
    (2, (3, 2), (1, 2), (1, 0), (4, 6)),
    (2, (2, 4), (3, 1), (1, 2), (5, 5)),
    (3, (2, 2, 2), (2, 2, 2), (0, 0, 0), (4, 4, 4)),
    (3, (3, 2, 1), (2, 1, 2), (1, 1, 0), (4, 3, 5)),
]
INTERIOR = [
    (1, (2,), (2,)),
    (1, (3,), (1,)),
    (1, (3,), (2,)),
    (1, (2,), (5,)),
    (1, (5,), (3,)),
    (2, (3, 3), (2, 2)),
    (2, (2, 4), (3, 1)),
    (2, (1, 5), (1, 2)),
    (3, (2, 3, 1), (2, 2, 1)),
]
finite = pytest.mark.parametrize(("sides", "kernel", "stride", "padding", "size"), FINITE)
interior = pytest.mark.parametrize(("sides", "kernel", "stride"), INTERIOR)
POOLS = [
    ("max_pool", {}),
    ("avg_pool", {}),
    ("avg_pool", {"count_include_pad": False}),
]
pools = pytest.mark.parametrize(("pool", "options"), POOLS, ids=["max", "avg", "avg-exclude-pad"])


def pool_event(
    pool: str, kernel: tuple[int, ...], stride: tuple[int, ...], **options: Any
) -> BoundLayer:
    layer = LAYERS[f"{pool}{len(kernel)}d"]
    return layer.bind(kernel_size=kernel, stride=stride, **options)


def twin(pool: str, geometry: oracles.Map, x: Any, dy: Any, options: dict[str, Any]) -> Any:
    if pool == "max_pool":
        return oracles.max_pool_twin(geometry, x, dy)
    return oracles.avg_pool_twin(geometry, x, dy, **options)


def torch_pool(pool: str, x: Any, dy: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Return torch's y and grad of x for arrays (*map, draws); skips without torch."""
    torch = pytest.importorskip("torch")
    f = getattr(torch.nn.functional, f"{pool}{x.ndim - 1}d")
    leaf = torch.tensor(np.moveaxis(x, -1, 0)[:, None], requires_grad=True)
    y = f(leaf, *args, **options)
    y.backward(torch.tensor(np.moveaxis(dy, -1, 0)[:, None]))
    return tuple(np.moveaxis(t.detach().numpy()[:, 0], 0, -1) for t in (y, leaf.grad))


@finite
@pools
def test_pooling_equals_the_scalar_twin(pool, options, sides, kernel, stride, padding, size):
    bound = pool_event(pool, kernel, stride, padding=padding, input_size=size, **options)
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    geometry = oracles.Map(size, kernel, stride, padding)
    assert bound.inputs["x"].shape == size
    assert bound.inputs["dy"].shape == geometry.count()
    for n in range(DRAWS):
        expected = twin(pool, geometry, draws["x"][..., n], draws["dy"][..., n], options)
        np.testing.assert_allclose(y[..., n], expected[0], rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(dx[..., n], expected[1], rtol=1e-14, atol=1e-14)


@finite
@pools
def test_pooling_equals_torch(pool, options, sides, kernel, stride, padding, size):
    bound = pool_event(pool, kernel, stride, padding=padding, input_size=size, **options)
    draws = draws_of(bound)
    y, dx = through(bound, draws)
    expected = torch_pool(pool, draws["x"], draws["dy"], kernel, stride, padding, **options)
    np.testing.assert_allclose(y, expected[0], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(dx, expected[1], rtol=1e-13, atol=1e-14)


@interior
@pools
def test_the_interior_event_is_a_piece_of_a_large_map(pool, options, sides, kernel, stride):
    bound = pool_event(pool, kernel, stride, **options)
    big, small, windows, kept = embedded(bound, kernel, stride)
    assert bound.inputs["x"].shape == small["x"].shape[:-1]
    y, dx = through(bound, small)
    expected_y, expected_dx = torch_pool(pool, big["x"], big["dy"], kernel, stride, **options)
    np.testing.assert_allclose(y, expected_y[windows], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(dx, expected_dx[kept], rtol=1e-13, atol=1e-14)


@interior
def test_the_interior_event_equals_the_scalar_twin_of_a_large_map(sides, kernel, stride):
    bound = pool_event("max_pool", kernel, stride)
    big, small, windows, kept = embedded(bound, kernel, stride)
    y, dx = through(bound, small)
    geometry = oracles.Map(big["x"].shape[:-1], kernel, stride, (0,) * sides)
    expected = oracles.max_pool_twin(geometry, big["x"][..., 0], big["dy"][..., 0])
    np.testing.assert_allclose(y[..., 0], expected[0][windows], rtol=1e-14)
    np.testing.assert_allclose(dx[..., 0], expected[1][kept], rtol=1e-14, atol=1e-15)


@interior
def test_the_interior_event_holds_just_the_windows_that_reach_its_period(sides, kernel, stride):
    bound = pool_event("avg_pool", kernel, stride)
    draws = draws_of(bound, n=1)
    for window in np.ndindex(bound.inputs["dy"].shape):
        one_hot = np.zeros_like(draws["dy"])
        one_hot[window] = 1.0
        assert np.any(through(bound, {**draws, "dy": one_hot})[1] != 0), window


@pytest.mark.parametrize("seed", range(3))
def test_the_first_of_equal_elements_wins_as_in_torch(seed):
    bound = pool_event("max_pool", (3, 2), (2, 1), padding=(1, 1), input_size=(6, 5))
    draws = draws_of(bound)
    draws["x"] = np.random.default_rng(seed).integers(0, 2, draws["x"].shape).astype(float)
    y, dx = through(bound, draws)
    geometry = oracles.Map((6, 5), (3, 2), (2, 1), (1, 1))
    for n in range(DRAWS):
        expected = oracles.max_pool_twin(geometry, draws["x"][..., n], draws["dy"][..., n])
        np.testing.assert_allclose(dx[..., n], expected[1], atol=1e-15)
    torchs = torch_pool("max_pool", draws["x"], draws["dy"], (3, 2), (2, 1), (1, 1))
    np.testing.assert_allclose(y, torchs[0])
    np.testing.assert_allclose(dx, torchs[1], atol=1e-15)


def test_a_padded_maximum_of_negative_inputs_is_not_the_padding():
    bound = pool_event("max_pool", (3,), (1,), padding=(1,), input_size=(3,))
    x, dy = -np.ones((3, 1)), np.array([[1.0], [10.0], [100.0]])
    y, dx = through(bound, {"x": x, "dy": dy})
    np.testing.assert_array_equal(y, -np.ones((3, 1)))
    np.testing.assert_array_equal(dx[:, 0], [11.0, 100.0, 0.0])


def test_input_size_accepts_one_number_for_all_sides():
    square = LAYERS["max_pool2d"].bind(kernel_size=2, input_size=6)
    assert square.inputs["x"].shape == (6, 6)
    assert square.inputs["dy"].shape == (3, 3)


def test_a_size_of_the_wrong_length_is_refused():
    with pytest.raises(ParameterError, match=r"input_size=6x6x6 has 3 sides .* 2"):
        LAYERS["max_pool2d"].bind(kernel_size=2, input_size=(6, 6, 6))


@pytest.mark.parametrize(("kernel", "padding", "size"), [(1, 2, 4), (3, 5, 2), (2, 3, 1)])
def test_windows_that_lie_in_the_padding_hold_nothing(kernel, padding, size):
    spec = f"conv2d:input_size={size},kernel_size={kernel},padding={padding},init=kaiming_normal"
    exact = exact_values(parse(spec).bound, STANDARD)
    outputs = size + 2 * padding - kernel + 1
    # Of the windows' positions size² of each kernel element are real inputs, all others padding.
    held = (kernel * size / outputs) ** 2
    assert exact["var_y"].value == pytest.approx(held * 2 / kernel**2, rel=1e-12)
    assert exact["var_dx"].value == pytest.approx(2.0, rel=1e-12)  # no window is lost


def test_sizes_need_one_entry_or_one_for_each_side():
    for spec in ("max_pool1d:kernel_size=3x3", "max_pool3d:kernel_size=2x2"):
        with pytest.raises(BnstatsError, match="sides where the layer has"):
            parse(spec)
    assert parse("max_pool2d:kernel_size=3x3").text == "max_pool2d:kernel_size=3"

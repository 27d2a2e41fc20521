"""Forward and backward of every name that bnstats knows, beside the library itself.

Each layer is built with its library's defaults; only what the library or bnstats demands is said.
Both get the same x and dy, and y and dx are compared. Where a layer draws random numbers of its
own, what it drew is read off y, which must be one of the values that our formula allows; the share
of the masks, and the law of the slopes and noise, are compared as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from inspect import isclass
from typing import Any

import numpy as np
import pytest
from library_calls import in_training, options, passes, thing
from library_names import required
from scipy import stats

from bnstats.backends import numpy_backend
from bnstats.layers import LAYERS, BoundLayer
from bnstats.specs.libraries import PARAMETERS, meaning, names_of
from bnstats.specs.spec import parse

ROWS, MANY_ROWS = 24, 3000

# Layers whose names are not compared here, with the reason.
ELSEWHERE = (
    *("linear", "bilinear", "*conv*", "*_cell"),  # their weights are drawn: see tests/layers
    # they have several inputs, or noise of their own: see tests/layers/test_layers_outputs.py
    *(
        "*cross_entropy*",
        "*_loss",
        "scaled_dot_product_attention",
        "gumbel_softmax",
        "max_unpool?d",
    ),
    *("cosine_similarity", "pairwise_distance"),
    *("unfold", "fold"),  # in another order: see tests/layers/test_layers_linear_maps.py
)
# Layers of two inputs, of which keras takes a list.
MERGES = ("add", "average", "subtract", "minimum", "maxout", "multiply", "dot")
# Names that are the identity, as elements move: a shape of x and what is asked.
MOVES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "torch.nn.ChannelShuffle": ((2, 6, 3, 2), {"groups": 3}),
    "torch.nn.Flatten": ((2, 3, 4), {}),
    "torch.nn.PixelShuffle": ((2, 8, 3, 2), {"upscale_factor": 2}),
    "torch.nn.PixelUnshuffle": ((2, 2, 6, 4), {"downscale_factor": 2}),
    "torch.nn.Unflatten": ((2, 6), {"dim": 1, "unflattened_size": (2, 3)}),
    "torch.nn.functional.channel_shuffle": ((2, 6, 3, 2), {"groups": 3}),
    "torch.nn.functional.pixel_shuffle": ((2, 8, 3, 2), {"upscale_factor": 2}),
    "torch.nn.functional.pixel_unshuffle": ((2, 2, 6, 4), {"downscale_factor": 2}),
    "keras.layers.Concatenate": ((2, 5, 3), {}),
    "keras.layers.concatenate": ((2, 5, 3), {}),
    "keras.layers.Flatten": ((2, 3, 4), {}),
    "keras.layers.Permute": ((2, 3, 4), {"dims": (2, 1)}),
    "keras.layers.Reshape": ((2, 3, 4), {"target_shape": (4, 3)}),
}
# Names that cannot be called here.
ABSENT = {"torch.nn.SyncBatchNorm": "it runs on several devices"}
# What a library does otherwise than bnstats on purpose, or by a fault of its own.
DIFFERS = {
    "keras.activations.sparsemax": "its threshold is wrong up to keras 3.15.1 (keras#23425)",
}
# torch computes these with constants of float32.
ROUNDED = ("*ardsigmoid*", "*CELU", "*.celu*")

# What is said, by our names of parameters, where bnstats asks for it.
SAID: dict[str, Any] = {
    "cropping": 2,
    "input_size": 7,
    "kernel_size": 3,
    "n": 3,
    "norm_type": 2,
    "output_size": 2,
    "p": 0.4,
    "padding": 1,
    "rate": 0.4,
    "scale": -0.5,
    "size": 3,
    "stddev": 0.3,
    "threshold": 0.3,
    "value": -0.2,
}
# Sizes that have a default here, by layer.
SIZES: dict[str, dict[str, Any]] = {
    "batch_norm": {"batch_size": 16},
    "group_norm": {"num_groups": 2, "num_channels": 4, "input_size": 6},
    "layer_norm": {"normalized_shape": 10},
    "local_response_norm": {"num_channels": 10},
    "rms_norm": {"normalized_shape": 10},
    "instance_norm": {"input_size": 64},
    "avg_pool?d": {"input_size": 7},
    "max_pool?d": {"input_size": 7},
    "lp_pool?d": {"input_size": 7},
    "upsample?d": {"scale_factor": 2},
    "log*exp": {"n": 10},
    "*soft*m??": {"n": 10},
    "sparsemax": {"n": 10},
    "standardize": {"n": 64},
    "unit_normalization": {"n": 10},
}
# What the libraries ask for in words of their own, where they do.
ASKED: dict[str, dict[str, Any]] = {
    "batch_norm": {
        "num_features": ROWS,
        "running_mean": None,
        "running_var": None,
        "training": True,
    },
    "group_norm": {"num_features": 4, "groups": 2},
    "instance_norm": {"num_features": 1},
    "layer_norm": {"num_features": 10, "normalized_shape": [10]},
    "rms_norm": {"num_features": 10, "normalized_shape": [10]},
    "prelu": {"weight": np.array([0.25])},
    "zero_pad1d": {"pad": (1, 1)},
    "zero_pad2d": {"pad": (1, 1, 1, 1)},
    "zero_pad3d": {"pad": (1, 1, 1, 1, 1, 1)},
    "cropping2d": {"height": 3, "width": 3},
    "upsample2d": {"height": 14, "width": 14},
    "log*exp": {"axis": -1},
    "threshold": {"default_value": -0.2},
    "*soft*": {"dim": -1},
    "gaussian_dropout": {"rate": 0.4},
}


@dataclass(frozen=True)
class Name:
    """A library's name for one of our layers, and the parameters that it carries."""

    path: str
    layer: str
    carried: str

    def __str__(self) -> str:
        of_sides = self.layer[-2:] in ("1d", "2d", "3d")
        return f"{self.path}-{self.layer}" if of_sides else self.path

    @property
    def is_torch(self) -> bool:
        return self.path.startswith("torch.")


NAMES = [
    Name(f"{library}.{path}", layer, carried)
    for layer in LAYERS
    for library, paths in names_of(layer).items()
    for path, carried in paths.items()
    if not any(fnmatchcase(layer, pattern) for pattern in (*ELSEWHERE, *MERGES))
    and f"{library}.{path}" not in {*MOVES, *ABSENT}
]


def of_layer(table: Mapping[str, dict[str, Any]], layer: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pattern, values in table.items():
        found |= values if fnmatchcase(layer, pattern) else {}
    return found


def spec_and_keywords(name: Name, more: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a spec by the library's name, and the keyword arguments of the library's call.

    ``more`` is what the spec says besides what is asked for.
    """
    carried = {item.partition("=")[0] for item in name.carried.split(",")}
    ours = LAYERS[name.layer].parameters
    # A library may ask for what has a default here, such as a rate.
    demanded = {w for n in required(thing(name.path)) for w in PARAMETERS.get(n, (n,))} & {*SAID}
    asked = {p.name for p in ours if p.required or p.name in demanded}
    said = {n: SAID[n] for n in asked - carried} | of_layer(SIZES, name.layer)
    keywords = options(name.path, said, of_layer(ASKED, name.layer) | in_training(name.path))
    called = name.path
    if not meaning(name.path).is_one:  # flax tells dimensions by the shape
        called = f"{name.layer}:{name.carried}".removesuffix(":")
    if "window_shape" in keywords:
        keywords["window_shape"] = (keywords["window_shape"],) * int(name.layer[-2])
    texts = ",".join(f"{key}={value}" for key, value in (said | {**more}).items())
    return f"{called}{',' if ':' in called else ':'}{texts}" if texts else called, keywords


# Where the elements of an event lie in an array of the library's


def laid_out(name: Name, a: np.ndarray) -> np.ndarray:
    """Return events, one a row, as the library wants them: it has batches, channels and maps."""
    rows, sides = len(a), a.shape[1:]
    if name.layer == "batch_norm":  # a column for each event, of the elements of which it is one
        dimensions = int(name.path[-2]) if name.path[-1] == "d" else 1
        maps = {1: (16,), 2: (4, 2, 2), 3: (2, 2, 2, 2)}[dimensions]
        return np.moveaxis(a.T.reshape(*maps, rows), -1, 1)
    if name.layer == "group_norm":
        grouped = a.reshape(rows // 2, 4, 6)
        return grouped if name.is_torch else np.moveaxis(grouped, 1, 2)
    if name.layer == "instance_norm":
        dimensions = int(name.path[-2]) if name.path[-1] == "d" else 1
        sides = {1: (64,), 2: (8, 8), 3: (4, 4, 4)}[dimensions]
    elif name.path.endswith("Softmax2d") or name.layer == "local_response_norm":
        return a.reshape(rows, -1, 1, 1)
    elif not re.search(r"pool|dropout.d|feature|pad|cropping|upsample", name.layer):
        return a.reshape(rows, *(sides or (1,)))
    return a.reshape(rows, 1, *sides) if name.is_torch else a.reshape(rows, *sides, 1)


def taken_back(name: Name, theirs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a library's array as events, one a row."""
    places = laid_out(name, np.arange(math.prod(shape)).reshape(shape))
    assert [n for n in theirs.shape if n > 1] == [n for n in places.shape if n > 1]
    found = np.empty(math.prod(shape))
    found[places.ravel()] = theirs.ravel()
    return found.reshape(shape)


def both(
    name: Name, bound: BoundLayer, keywords: dict[str, Any], rows: int
) -> tuple[np.ndarray, ...]:
    """Return x, dy, and the library's y and dx, events in rows."""
    rng = np.random.default_rng(0)
    scale = 0.1 if "norm" in name.layer else 2.0  # small, so that eps counts; or both tails
    x, dy = (rng.normal(size=(rows, *bound.inputs[n].shape)) for n in ("x", "dy"))
    x = scale * np.where(np.abs(x) < 0.1, 0.37, x)
    y, dx = passes(
        name.path, keywords, laid_out(name, x), lambda shape: laid_out(name, dy).reshape(shape)
    )
    return x, dy, taken_back(name, y, dy.shape), taken_back(name, dx, x.shape)


def ours(
    bound: BoundLayer, x: np.ndarray, dy: np.ndarray, drawn: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return y and dx, events in rows."""
    draws = {"x": np.moveaxis(x, 0, -1), **{k: np.moveaxis(v, 0, -1) for k, v in drawn.items()}}
    y, backward = bound.forward(numpy_backend, draws)
    dx = backward(np.moveaxis(dy, 0, -1))
    return np.moveaxis(y, -1, 0).reshape(dy.shape), np.moveaxis(dx, -1, 0).reshape(x.shape)


# What a layer drew, read off its y; the law of it is compared here


def masks(
    bound: BoundLayer, p: float, x: np.ndarray, dy: np.ndarray, y: np.ndarray
) -> dict[str, np.ndarray]:
    rows = len(x)
    kept, dropped = (ours(bound, x, dy, {"mask": np.full(rows, m)})[0] for m in (0.0, 1 - 1e-9))
    far = [np.abs(y - v).reshape(rows, -1).max(axis=1) for v in (kept, dropped)]
    is_dropped = far[1] < far[0]
    assert abs(np.mean(is_dropped) - p) < 5 * math.sqrt(p * (1 - p) / rows)
    return {"mask": np.where(is_dropped, 1 - 1e-9, 0.0)}


def noise(factor: np.ndarray) -> dict[str, np.ndarray]:
    assert stats.kstest(factor, "norm").pvalue > 1e-6
    return {"noise": factor}


def slopes(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    share = np.where(x < 0, (y / x - 1 / 8) / (1 / 3 - 1 / 8), 0.5)
    assert stats.kstest(share[x < 0], "uniform").pvalue > 1e-6
    return {"slope": share}


def drawn_by(
    name: Name,
    bound: BoundLayer,
    said: Mapping[str, Any],
    x: np.ndarray,
    dy: np.ndarray,
    y: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the random numbers, in our terms, that a library has drawn."""
    if "mask" in bound.inputs:
        p = next((said[n] for n in ("p", "rate") if n in said), 0.5)
        return masks(bound, p, x, dy, y)
    if name.layer == "gaussian_dropout":
        return noise((y / x - 1) / math.sqrt(0.4 / 0.6))
    if name.layer == "gaussian_noise":
        return noise((y - x) / 0.3)
    return slopes(x, y) if "slope" in bound.inputs else {}


@pytest.mark.filterwarnings("ignore:.*upsample.*is deprecated:UserWarning")
@pytest.mark.parametrize("name", NAMES, ids=str)
def test_forward_and_backward_are_the_librarys(name: Name) -> None:
    compare(name)


def skip_without(path: str) -> None:
    library = path.partition(".")[0]
    if find_spec(library) is None:
        pytest.skip(f"needs {library}: pip install '.[libraries]'")


def test_every_name_that_moves_elements_is_compared() -> None:
    identity = {f"{lib}.{path}" for lib, paths in names_of("identity").items() for path in paths}
    assert set(MOVES) == identity - {name.path for name in NAMES}
    assert all(meaning(path).layers == (("identity", ""),) for path in MOVES)


@pytest.mark.parametrize("path", MOVES)
def test_what_moves_elements_changes_none(path: str) -> None:
    """y is x in another order, and dx is dy in the order before."""
    skip_without(path)
    shape, keywords = MOVES[path]
    rng = np.random.default_rng(0)
    x = rng.permutation(math.prod(shape)).reshape(shape).astype(float)
    dys: list[np.ndarray] = []

    def dy(shape: tuple[int, ...]) -> np.ndarray:
        dys.append(rng.normal(size=shape).astype(np.float32).astype(float))
        return dys[0]

    if path.endswith("oncatenate"):
        parts = (x[..., :2], x[..., 2:])
        y, dx = merged(path, parts, dy)
        x = np.concatenate([part.reshape(-1) for part in parts])
    else:
        y, dx = passes(path, keywords, x, dy)
    np.testing.assert_array_equal(np.sort(y, axis=None), np.sort(x, axis=None))
    places = np.argsort(y, axis=None)[x.reshape(-1).astype(int)]  # where each element went
    np.testing.assert_array_equal(dx.reshape(-1), dys[0].reshape(-1)[places])


def merged(
    path: str,
    parts: Sequence[np.ndarray],
    dy: Callable[[tuple[int, ...]], np.ndarray],
    **given: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Return y, and the gradients of all inputs one after another, of a merge of keras."""
    import jax

    call = thing(path)
    merge = call(**given) if isclass(call) else lambda arrays: call(arrays, **given)
    y, pull = jax.vjp(merge, [jax.numpy.asarray(part, dtype=np.float32) for part in parts])
    (found,) = pull(jax.numpy.asarray(dy(y.shape), dtype=np.float32))
    return np.asarray(y, float), np.concatenate([np.asarray(dx, float).reshape(-1) for dx in found])


@pytest.mark.parametrize(
    ("layer", "path"),
    [(layer, f"keras.{path}") for layer in MERGES for path in names_of(layer)["keras"]],
)
def test_merges_are_those_of_keras(layer: str, path: str) -> None:
    skip_without(path)
    rng = np.random.default_rng(1)
    size, given = (3, {"axes": 1}) if layer == "dot" else (1, {})
    asked = {"dot": ":n=3", "subtract": "", "multiply": ""}.get(layer, ":k=2")
    spec = f"{path}{asked}"
    parts = rng.normal(size=(2, ROWS, size))
    dy = rng.normal(size=(ROWS, 1))
    y, dx = merged(path, list(parts), lambda shape: dy.reshape(shape), **given)
    bound = parse(spec).bound
    x = parts.transpose(1, 0, 2).reshape(ROWS, *bound.inputs["x"].shape)
    dy = dy.reshape(ROWS, *bound.inputs["dy"].shape)
    found = ours(bound, x, dy, {})
    near = {"rtol": 2e-5, "atol": 2e-6}
    np.testing.assert_allclose(found[0].reshape(-1), y.reshape(-1), **near)
    theirs = dx.reshape(2, ROWS, size).transpose(1, 0, 2).reshape(x.shape)
    np.testing.assert_allclose(found[1], theirs, **near)


# What a library has other words for, or counts in another way.
FURTHER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "keras.layers.AveragePooling1D",
        {"stride": 2, "padding": 1},
        {"strides": 2, "padding": "same"},
    ),
    ("torch.nn.AvgPool1d", {"stride": 2, "padding": 1}, {"stride": 2, "padding": 1}),
    ("torch.nn.LPPool1d", {"norm_type": 2.0}, {"norm_type": 2.0}),
    ("torch.nn.functional.alpha_dropout", {"training": "true"}, {"training": True}),
    ("torch.nn.functional.feature_alpha_dropout", {"training": "true"}, {"training": True}),
    ("torch.nn.functional.rrelu", {"training": "true"}, {"training": True}),
    ("torch.nn.functional.gelu", {"approximate": "tanh"}, {"approximate": "tanh"}),
]


@pytest.mark.parametrize(("path", "said", "keywords"), FURTHER)
def test_further_parameters_mean_the_same(
    path: str, said: dict[str, Any], keywords: dict[str, Any]
) -> None:
    (name,) = (name for name in NAMES if name.path == path)
    compare(name, said, keywords)


def compare(
    name: Name, said: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None
) -> None:
    """Compare both passes of one name, with what is said of it besides its defaults."""
    skip_without(name.path)
    spec, keywords = spec_and_keywords(name, said or {})
    keywords |= more or {}
    bound = parse(spec).bound
    drawn_there = {"mask", "noise", "slope"} & {*bound.inputs}
    rows = MANY_ROWS if drawn_there else ROWS if bound.inputs["x"].shape else 400
    drawn: dict[str, np.ndarray] = {}
    if "random_samples" in bound.inputs:  # torch can be given these
        sides = bound.inputs["random_samples"].shape
        drawn = {"random_samples": np.random.default_rng(1).random((rows, *sides))}
        keywords["_random_samples"] = drawn["random_samples"][:, None, :]
    x, dy, y, dx = both(name, bound, keywords, rows)
    drawn = drawn or drawn_by(name, bound, keywords, x, dy, y)
    found = ours(bound, x, dy, drawn)
    near = tolerances(name)
    if name.path in DIFFERS:
        assert not np.allclose(found[0], y, **near), f"no longer so: {DIFFERS[name.path]}"
        return
    np.testing.assert_allclose(found[0], y, **near, err_msg="y")
    np.testing.assert_allclose(found[1], dx, **near, err_msg="dx")


def tolerances(name: Name) -> dict[str, float]:
    """Return how near numbers are to be: torch computes in float64, the others in float32."""
    if not name.is_torch:
        return {"rtol": 2e-4, "atol": 2e-5}
    rounded = any(fnmatchcase(name.path, pattern) for pattern in ROUNDED)
    return {"rtol": 1e-6, "atol": 1e-7} if rounded else {"rtol": 1e-9, "atol": 1e-12}

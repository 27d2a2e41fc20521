"""The libraries' layers: each is ours, left out with a reason, or reported as missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import coverage_of_libraries as coverage
import numpy as np
import pytest
from cli_support import environment
from coverage_of_libraries import Group, catalogue, in_our_words, resolve
from library_names import LibraryName, defaults, required

from bnstats.layers import ALIASES, LAYERS
from bnstats.specs.libraries import LIBRARIES, folded, names_of, short_names
from bnstats.specs.spec import parse

SCRIPT = Path(coverage.__file__)


def named(path: str, own: str = "", home: str = "", thing: object = None) -> LibraryName:
    return LibraryName(path, own or path.rpartition(".")[2], home or path.partition(".")[0], thing)


def test_every_layer_of_the_installed_libraries_is_accounted_for() -> None:
    absent = [library for library in LIBRARIES if find_spec(library) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}: pip install '.[libraries]'")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"],
        capture_output=True,
        encoding="utf-8",
        env=environment(PYTHONPATH=os.pathsep.join([str(SCRIPT.parents[2])])),
        timeout=300,
        check=False,
    )
    if done.returncode == 4:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


# Names


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (named("torch.nn.LeakyReLU"), ("leaky_relu",)),
        (named("torch.nn.functional.leaky_relu_"), ("leaky_relu",)),
        (named("keras.activations.leaky_relu"), ("keras.leaky_relu",)),
        (named("keras.layers.LeakyReLU"), ("keras.LeakyReLU",)),
        (named("jax.nn.leaky_relu"), ("leaky_relu",)),
        (named("flax.linen.leaky_relu", home="jax"), ("leaky_relu",)),
        (named("jax.nn.swish", own="silu"), ("silu",)),
        (named("keras.layers.Dense"), ("keras.Dense",)),
        (named("flax.linen.max_pool"), tuple(f"flax.max_pool{n}d" for n in "123")),
        (named("torch.nn.functional.threshold_of_nothing"), ()),
        (named("torch.nn.ZeLU"), ()),
        (named("keras.layers.keras"), ()),
    ],
)
def test_a_library_name_resolves(name: LibraryName, ours: tuple[str, ...]) -> None:
    assert resolve(name) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("AveragePooling2D", "avg_pool2d"),
        ("GlobalAveragePooling3D", "global_avg_pool3d"),
        ("Conv1DTranspose", "conv_transpose1d"),
        ("LayerNormalization", "layer_norm"),
        ("Convolution2D", "conv2d"),
        ("hard_tanh", "hardtanh"),
    ],
)
def test_words_of_other_libraries_are_torchs(theirs: str, ours: str) -> None:
    assert in_our_words(theirs) == in_our_words(ours) == folded(ours)


def test_a_librarys_alias_is_for_that_library_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALIASES, "jax.softmish", ("gelu", "approximate=tanh"))
    assert resolve(named("jax.nn.SoftMish")) == ("jax.softmish",)
    assert resolve(named("flax.linen.soft_mish", home="jax")) == ("jax.softmish",)
    assert resolve(named("torch.nn.Softmish")) == ()
    monkeypatch.setitem(ALIASES, "jax.soft_mish", ("relu", ""))
    assert resolve(named("jax.nn.soft_mish")) == ("jax.soft_mish",)
    assert resolve(named("jax.nn.SoftMish")) == (), "two layers have this name"


def test_names_are_ours_left_out_or_missing() -> None:
    right, wrong = named("jax.nn.identity", thing=lambda x: x), named("jax.nn.relu", thing=unlike)
    loss, new = named("jax.nn.z_loss"), named("jax.nn.zelu")
    left_out = Group("a loss", ("jax.nn.*_loss", "jax.nn.q*", "jax.nn.relu"))
    found = catalogue([right, loss, new, wrong], [left_out])
    assert found.found == {right: ("identity",), wrong: ("relu",)}
    assert found.left_out == {loss: "a loss"}
    assert found.missing == (new,)
    assert found.idle == ("jax.nn.q*", "jax.nn.relu")
    always = [
        "MISSING jax.nn.zelu: neither a layer here nor left out with a reason",
        "library_names_left_out.toml: no name needs the pattern jax.nn.q*",
        "library_names_left_out.toml: no name needs the pattern jax.nn.relu",
    ]
    differs = "jax.nn.relu: other values than relu, by 1.2"
    assert list(coverage.problems(found, [])) == [always[0], differs, *always[1:]]
    # What differs for a known reason is no problem, a reason that explains nothing is one.
    assert list(coverage.problems(found, [Group("known", ("jax.nn.relu",))])) == always
    idle = "library_names_left_out.toml: no name needs the pattern jax.nn.identity"
    excused = [Group("known", ("jax.nn.relu", "jax.nn.identity"))]
    assert list(coverage.problems(found, excused)) == [*always, idle]


def test_the_new_layer_of_a_release_is_a_missing_row() -> None:
    found = catalogue([named("jax.nn.gelu"), named("jax.nn.zelu")], [])
    text = coverage.page(found, [], [], {"jax": "9.9"})
    assert "| missing                        | 0     | 1   | 0    | 0     |" in text
    assert "\n## Missing\n\n- jax.nn.zelu\n" in text


# Defaults and values


def torch_like(x: object, alpha: float = 1.0, training: bool = True) -> object:
    return x


def twice_the_alpha(x: object, alpha: float = 2.0) -> object:
    raise AssertionError("not called")


def unlike(x: object, negative_slope: float = 0.2) -> object:
    return np.where(x > 0, x, 0.2 * x)  # type: ignore[operator]


def test_a_default_that_is_not_ours_is_named() -> None:
    def differing(thing: object, ours: str) -> list[str]:
        return list(coverage.differing_defaults(named("keras.activations.a", thing=thing), ours))

    assert differing(torch_like, "elu") == []
    assert differing(twice_the_alpha, "elu") == [
        "keras.activations.a: alpha is 2.0 by default, 1 in elu"
    ]
    assert differing(unlike, "leaky_relu")
    assert differing(unlike, "keras.leaky_relu") == []
    assert differing(lambda x, approximate=False: x, "gelu") == []
    assert differing(lambda x, approximate=True: x, "gelu")
    assert differing(lambda x, pool_size=(2, 2), padding="valid", strides=None: x, "max_pool2d")
    assert differing(lambda x, padding=(0, 0), strides=None: x, "max_pool2d") == []
    assert differing(lambda x, padding=1: x, "max_pool2d")
    assert differing(lambda x, *, negative_slope: x, "keras.leaky_relu") == [
        "keras.activations.a: negative_slope has no default, keras.leaky_relu carries one"
    ]


def test_a_value_that_is_not_ours_is_named() -> None:
    def differing(thing: object, ours: str) -> list[str]:
        return list(coverage.differing_values(named("jax.nn.a", thing=thing), ours))

    assert differing(unlike, "keras.leaky_relu") == []
    assert differing(unlike, "leaky_relu") == ["jax.nn.a: other values than leaky_relu, by 1.1"]
    assert differing(lambda x: x, "linear") == ["jax.nn.a: has no weights, linear has"]
    assert differing(lambda x: x[:, None], "identity") == []
    assert differing(lambda x: x[:3], "identity") == [
        "jax.nn.a: y has the shape (), that of identity ()"
    ]


def test_signatures_are_read_from_wherever_they_are() -> None:
    def dispatched(*args: object, **kwargs: object) -> None:
        """dispatched(input, size, alpha=1., lower=1. / 8, *, p=0.5) -> Tensor"""

    class Hidden:
        def __init__(self, size: int, alpha: float = 2.0, **kwargs: object) -> None: ...

    assert required(dispatched) == ("input", "size")
    assert dict(defaults(dispatched)) == {"alpha": 1.0, "lower": None}
    assert required(Hidden) == ("size",)
    assert dict(defaults(Hidden)) == {"alpha": 2.0}
    assert required(lambda *args: None) == ("unknown",)


# The files


def test_the_names_in_the_package_are_of_layers_that_exist() -> None:
    names = json.loads(coverage.NAMES.read_text("utf-8"))["layers"]
    assert names.keys() <= LAYERS.keys()
    for layer, libraries in names.items():
        assert list(libraries) == [library for library in LIBRARIES if library in libraries]
        assert names_of(layer) == libraries
        for carried in {c for by in libraries.values() for c in by.values() if c}:
            required_ones = [p.name for p in LAYERS[layer].parameters if p.required]
            if all(f"{name}=" in carried for name in required_ones):
                assert parse(f"{layer}:{carried}").layer.name == layer


def test_short_names_are_said_once() -> None:
    assert short_names("leaky_relu") == {
        "torch": ("leaky_relu",),
        "jax": ("leaky_relu",),
        "flax": ("leaky_relu",),
        "keras": ("leaky_relu (negative_slope=0.2)", "LeakyReLU (negative_slope=0.3)"),
    }
    assert short_names("silu")["jax"] == ("silu", "swish")
    assert short_names("no layer") == {}


def test_an_outdated_file_is_named_and_a_new_release_alone_is_not(tmp_path: Path) -> None:
    path = coverage.ROOT / "results" / "no-such-file.md"
    assert list(coverage.stale({path: "a"})) == [
        f"results/no-such-file.md: out of date; run {coverage.COMMAND}"
    ]
    text = coverage.PAGE.read_text("utf-8")
    assert list(coverage.stale({coverage.PAGE: text})) == []
    other = text.replace("Enumerated from torch ", "Enumerated from torch 9.")
    assert other != text
    assert list(coverage.stale({coverage.PAGE: other})) == []
    names = coverage.TABLE.read_text("utf-8")
    assert list(coverage.stale({coverage.TABLE: names})) == []
    assert list(coverage.stale({coverage.TABLE: names.replace("gelu", "zelu")})) != []


def test_an_older_library_is_not_judged_by_a_newer_table() -> None:
    newer = dict.fromkeys(LIBRARIES, "99.0")
    assert coverage.older_than_the_table(newer) == ""
    old = coverage.older_than_the_table(newer | {"jax": "0.4.31"})
    assert old.startswith("jax 0.4.31 is older than the page's 0.")

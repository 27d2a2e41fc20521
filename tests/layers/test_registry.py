"""What every entry of the registry keeps to: legal values, unchangeable data, a summary."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, BoundLayer, Input, Layer
from bnstats.layers._parameters import Follows, Parameter, Range, Synonyms
from bnstats.layers._registry import register
from bnstats.specs.spec import parse

# Where a parameter begins and ends to make sense: the last values inside and the first outside.
_COUNT, _TWO = (("1",), ("0",)), (("2",), ("1",))
_SIZE_FROM_ZERO = (("0",), ("-1",))
_NOT_NEGATIVE = (("0", "1e-9"), ("-1e-9",))
_POSITIVE = (("1e-9",), ("0",))
_PROBABILITY = (("0", "0.999999"), ("-1e-9", "1"))
_DROPPED = (("0", "1"), ("-1e-9", "1.000001"))  # p=1 drops all of them
DROPPING = ("dropout", "dropout1d", "dropout2d", "dropout3d", "drop_path", "alpha_dropout")
DROPPING += ("feature_alpha_dropout",)
ENDS = {
    "p": _PROBABILITY,
    **{f"{name}.p": _DROPPED for name in DROPPING},
    "rate": _PROBABILITY,
    "padding": _SIZE_FROM_ZERO,
    "output_padding": _SIZE_FROM_ZERO,
    "a": _NOT_NEGATIVE,
    "alpha": _POSITIVE,
    "b": _POSITIVE,
    "beta": _POSITIVE,
    "gain": _POSITIVE,
    "max_value": _POSITIVE,
    "eps": _NOT_NEGATIVE,
    "epsilon": _NOT_NEGATIVE,
    "lambd": _NOT_NEGATIVE,
    "negative_slope": _NOT_NEGATIVE,
    "stddev": _NOT_NEGATIVE,
    "threshold": _NOT_NEGATIVE,
    # one element has no spread, and alone it is all of a sum
    "batch_norm.batch_size": _TWO,
    "truncated_normal.lower": (("-8", "1.9"), ("-8.1",)),
    "truncated_normal.upper": (("8", "-1.9"), ("8.1",)),
    "complex_truncated_normal.upper": (("8", "1e-3"), ("0", "8.1")),
    "scale": _POSITIVE,
    "std": _POSITIVE,
    "layer_norm.normalized_shape": _TWO,
    "instance_norm.input_size": _TWO,
    "log_softmax.n": _TWO,
    "softmax.n": _TWO,
    "softmin.n": _TWO,
    "sparsemax.n": _TWO,
    "standardize.n": _TWO,
    "unit_normalization.n": _TWO,
    "cross_entropy.n": _TWO,
    "gumbel_softmax.n": _TWO,
    "logsumexp.n": _TWO,
    "logmeanexp.n": _TWO,
    "nll_loss.n": _TWO,
    "multi_margin_loss.n": _TWO,
    "cosine_similarity.n": (("3",), ("2",)),
    "add.k": _TWO,
    "average.k": _TWO,
    "minimum.k": _TWO,
    "delta": _POSITIVE,
    "var": (("1e-6",), ("9e-7",)),
    "multi_margin_loss.margin": _NOT_NEGATIVE,
    "margin_ranking_loss.margin": _NOT_NEGATIVE,
    "cropping": _SIZE_FROM_ZERO,
    "scaled_dot_product_attention.length": _TWO,
    "local_response_norm.alpha": _NOT_NEGATIVE,
    "local_response_norm.k": _POSITIVE,
    "label_smoothing": _PROBABILITY,
    "tau": _POSITIVE,
    "softplus.threshold": (("inf", "-1e9"), ("-inf",)),
    "rectified_power.power": (("1", "16"), ("0", "17")),
}
RANGED = [(layer, p.name) for layer in LAYERS.values() for p in layer.parameters if p.range]


def refused(layer: Layer, parameter: str, value: str) -> bool:
    """Whether a value lies outside the parameter's range, whatever else may be wrong with it."""
    example = (layer.examples or ("",))[0]
    items = dict(item.split("=") for item in example.split(",") if item) | {parameter: value}
    try:
        parse(f"{layer.name}:" + ",".join(f"{k}={v}" for k, v in items.items()))
    except BnstatsError as error:
        return f"{parameter}={value} is outside " in str(error)
    return False


@pytest.mark.parametrize(
    ("layer", "parameter"), RANGED, ids=[f"{layer.name}.{name}" for layer, name in RANGED]
)
def test_ranges_end_where_a_layer_does(layer, parameter):
    legal, illegal = ENDS.get(f"{layer.name}.{parameter}") or ENDS.get(parameter, _COUNT)
    for value in legal:
        assert not refused(layer, parameter, value), value
    for value in illegal:
        assert refused(layer, parameter, value), value


def test_no_range_is_given_twice_or_for_nothing():
    names = {f"{layer.name}.{name}" for layer, name in RANGED} | {name for _, name in RANGED}
    assert set(ENDS) <= names


def test_entries_of_the_registry_cannot_be_changed():
    layer = LAYERS["max_pool2d"]
    bound = parse("max_pool2d:kernel_size=2").bound
    held = [layer, layer.parameters[0], layer.parameters[0].range, bound, bound.inputs["x"]]
    held += [Follows("kernel_size"), Synonyms(())]
    kinds = [Layer, Parameter, Range, BoundLayer, Input, Follows, Synonyms]
    assert [type(thing) for thing in held] == kinds
    for thing in held:
        with pytest.raises(FrozenInstanceError):
            setattr(thing, fields(thing)[0].name, None)


def test_every_layer_has_a_summary_of_one_line():
    for layer in LAYERS.values():
        assert layer.summary.endswith("."), layer.name
        assert "\n" not in layer.summary, layer.name


@pytest.mark.parametrize(("name", "alias"), [("tanh", ()), ("silu2", ("tanh",)), ("swish", ())])
def test_a_name_is_taken_once(name, alias):
    layer = LAYERS["tanh"]
    values = {f.name: getattr(layer, f.name) for f in fields(layer)}
    with pytest.raises(ValueError, match="is taken"):
        register(Layer(**(values | {"name": name, "aliases": alias})))
    assert "silu2" not in LAYERS


def test_the_smallest_group_has_two_elements():
    bound = parse("group_norm:num_groups=4,num_channels=4,input_size=2").bound
    assert bound.inputs["x"].shape == (2,)
    with pytest.raises(BnstatsError, match="a group of one element"):
        parse("group_norm:num_groups=4,num_channels=4,input_size=1")


def test_every_layer_names_its_source():
    assert not [name for name, layer in LAYERS.items() if not layer.cite]

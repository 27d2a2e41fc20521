"""Layer specs: canonical form, round trip, and what each mistake is told."""

from __future__ import annotations

import math
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnstats.errors import BnstatsError
from bnstats.layers import ALIASES, LAYERS
from bnstats.specs.spec import example_specs, parse, value_text

SIDES = "sides are written with an x between them: 3x2"


def error_of(text: str) -> BnstatsError:
    with pytest.raises(BnstatsError) as caught:
        parse(text)
    return caught.value


def assert_safe(error: BnstatsError) -> None:
    """Assert that a message may be written to a terminal."""
    assert all(c.isprintable() for c in error.message)
    assert all(c.isprintable() or c == "\n" for c in (error.where or ""))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("relu", "relu"),
        ("swish", "silu"),
        ("logistic", "sigmoid"),
        ("dense:out_features=3", "linear:out_features=3"),
        ("leaky_relu:negative_slope=0.20", "leaky_relu:negative_slope=0.2"),
        ("leaky_relu:negative_slope=2e-1", "leaky_relu:negative_slope=0.2"),
        ("leaky_relu:negative_slope=.01", "leaky_relu"),
        ("leaky_relu:negative_slope=-0.0", "leaky_relu:negative_slope=0"),
        ("leaky_relu:negative_slope=+3.", "leaky_relu:negative_slope=3"),
        ("elu:alpha=1", "elu"),
        ("gelu:approximate=none", "gelu"),
        ("gelu:approximate=tanh", "gelu:approximate=tanh"),
        ("dropout:scaling=inverted,p=0.5", "dropout"),
        ("dropout:scaling=none,p=0.25", "dropout:p=0.25,scaling=none"),
        ("max_pool2d:stride=3,kernel_size=3x3", "max_pool2d:kernel_size=3"),
        ("max_pool2d:stride=2,kernel_size=3", "max_pool2d:kernel_size=3,stride=2"),
        ("max_pool2d:kernel_size=3x2,stride=3x2", "max_pool2d:kernel_size=3x2"),
        ("max_pool2d:kernel_size=2,padding=0", "max_pool2d:kernel_size=2"),
        ("avg_pool1d:kernel_size=2,count_include_pad=true", "avg_pool1d:kernel_size=2"),
        (
            "avg_pool1d:kernel_size=2,count_include_pad=false",
            "avg_pool1d:count_include_pad=false,kernel_size=2",
        ),
        ("avg_pool1d:kernel_size=2,count_include_pad=True", "avg_pool1d:kernel_size=2"),
        (
            "avg_pool1d:kernel_size=2,count_include_pad=False",
            "avg_pool1d:count_include_pad=false,kernel_size=2",
        ),
        ("conv2d:kernel_size=3,stride=1", "conv2d"),
    ],
)
def test_canonical_forms(text, canonical):
    assert parse(text).text == canonical
    assert parse(canonical).text == canonical


@pytest.mark.parametrize("name", LAYERS)
def test_examples_parse_and_are_canonical_after_one_round(name):
    layer = LAYERS[name]
    for example in layer.examples or ("",):
        text = parse(f"{name}:{example}" if example else name).text
        assert parse(text).text == text
        assert parse(text).layer is layer
    assert parse(example_specs(layer)[0]).layer is layer


def test_aliases_lead_to_registered_layers():
    assert not set(ALIASES) & set(LAYERS)
    for alias, (name, carried) in ALIASES.items():
        keys = {item.partition("=")[0] for item in carried.split(",")}
        example = example_specs(LAYERS[name])[0].partition(":")[2].split(",")
        example += [
            f"{p.name}={value_text(p.default)}" for p in LAYERS[name].parameters if p.assumed
        ]
        given = {item.partition("=")[0]: item for item in example if item}
        more = [item for key, item in given.items() if key not in keys]
        whole = ",".join(filter(None, (carried, *more)))
        assert parse(":".join(filter(None, (alias, ",".join(more))))).text == (
            parse(":".join(filter(None, (name, whole)))).text
        )


def test_an_alias_carries_defaults_that_a_spec_may_override():
    assert parse("keras.leaky_relu").text == "leaky_relu:negative_slope=0.2"
    assert parse("keras.leaky_relu:negative_slope=0.3").text == "leaky_relu:negative_slope=0.3"
    assert parse("keras.leaky_relu:negative_slope=0.01").text == "leaky_relu"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (0.5, "0.5"), (3.0, "3"), (7, "7"), ((3, 2), "3x2"), ("tanh", "tanh")],
)
def test_value_text(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("sigmod", "unknown layer 'sigmod'", "did you mean 'sigmoid'?"),
        ("SIGMOID", "unknown layer 'SIGMOID'", "did you mean 'sigmoid'?"),
        ("zzzzqqqq", "unknown layer 'zzzzqqqq'", "bnstats list layers"),
        ("", "unknown layer ''", "bnstats list layers"),
        (" relu", "unknown layer ' relu'", "did you mean 'relu'?"),
        ("relu\x1b[31m", r"unknown layer 'relu\x1b[31m'", "did you mean"),
        ("elu:alhpa=1", "elu has no parameter 'alhpa'", "did you mean 'alpha'?"),
        ("softmax:dim=3", "has no parameter 'dim'", "parameters: n  (bnstats show softmax)"),
        ("max_pool2d:kernel_size=(3,2)", "kernel_size=(3 is not a size", SIDES),
        ("max_pool2d:kernel_size=[3,2]", "kernel_size=[3 is not a size", SIDES),
        ("max_pool2d:kernel_size=3,2", "expected key=value", SIDES),
        ("elu:2", "elu: expected key=value", "parameters: alpha"),
        ("relu:a=1", "relu has no parameter 'a'", "relu takes no parameters"),
        ("elu:alpha=1,alpha=2", "parameter 'alpha' is given twice", None),
        ("elu:", "elu: expected key=value", "parameters: alpha"),
        ("elu:alpha", "elu: expected key=value", "parameters: alpha"),
        ("elu:alpha=", "elu: expected key=value", "parameters: alpha"),
        ("elu:alpha=1,,", "elu: expected key=value", "parameters: alpha"),
        ("max_pool2d", "max_pool2d needs kernel_size", "e.g. max_pool2d:kernel_size="),
        ("max_pool2d:stride=2", "max_pool2d needs kernel_size", "bnstats show max_pool2d"),
        ("elu:alpha=a", "elu: alpha=a is not a number", None),
        ("elu:alpha=nan", "alpha=nan is not a number", None),
        ("elu:alpha=1e999", "alpha=1e999 is not a finite number", None),
        ("elu:alpha=0x1p3", "alpha=0x1p3 is not a number", None),
        ("elu:alpha=1_0", "alpha=1_0 is not a number", None),
        ("elu:alpha=١", "alpha=١ is not a number", None),
        ("linear:in_features=2.5", "in_features=2.5 is not a whole number", None),
        ("linear:in_features=0", "in_features=0 is outside [1, inf)", None),
        ("linear:init=glorot", "init=glorot is not one of unit_fan_in, unit_fan_out", None),
        ("linear:gain=0", "gain=0 is outside (0, inf)", None),
        ("gelu:approximate=yes", "approximate=yes is not one of none, tanh", None),
        (
            "avg_pool1d:kernel_size=2,count_include_pad=TRUE",
            "count_include_pad=TRUE is not true or false",
            None,
        ),
        (
            "avg_pool1d:kernel_size=2,count_include_pad=1",
            "count_include_pad=1 is not true or false",
            None,
        ),
        ("dropout:p=1.5", "dropout: p=1.5 is outside [0, 1]", None),
        ("gaussian_dropout:rate=1", "gaussian_dropout: rate=1 is outside [0, 1)", None),
        ("dropout:p=−0.1", "dropout: p=−0.1 is outside [0, 1]", None),
        ("softplus:beta=0", "beta=0 is outside (0, inf)", None),
        ("max_pool2d:kernel_size=0", "kernel_size=0 is outside [1, inf)", None),
        ("max_pool2d:kernel_size=3x0", "kernel_size=3x0 is outside [1, inf)", None),
        ("max_pool2d:kernel_size=3,stride=0", "stride=0 is outside [1, inf)", None),
        ("max_pool2d:kernel_size=3,padding=-1", "padding=-1 is outside [0, inf)", None),
        ("max_pool2d:kernel_size=3x", "kernel_size=3x is not a size such as 3 or 3x3", None),
        ("max_pool2d:kernel_size=2.0", "kernel_size=2.0 is not a size such as 3 or 3x3", None),
        (
            "max_pool2d:kernel_size=1x2x3",
            "kernel_size=1x2x3 has 3 sides where the layer has 2",
            "bnstats show max_pool2d",
        ),
        (
            "max_pool2d:kernel_size=3,padding=2",
            "padding=2 is more than half of kernel_size=3",
            None,
        ),
        (
            "max_pool2d:kernel_size=9,input_size=5,padding=1",
            "kernel_size=9 is larger than the padded input, 7",
            None,
        ),
        ("conv2d:kernel_size=4,input_size=3", "kernel_size=4 is larger than the padded", None),
        ("max_pool3d:kernel_size=999", "the windows of one draw hold more", None),
        ("linear:in_features=999999999,out_features=9", "one draw would hold", "a smaller"),
        ("relu" * 1000, "a layer spec of 4000 characters", None),
    ],
)
def test_every_mistake_is_told(text, message, hint):
    error = error_of(text)
    assert message in error.message
    assert error.exit_code == 2
    if hint is not None:
        assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("elu:alhpa=1", "alhpa"),
        ("dropout:p=0.1,scalin=none", "scalin"),
        ("dropout:p=0.1,p=0.2", "p"),
        ("dropout:p=0.1,scaling", "scaling"),
        ("softsign:beta=1", "beta"),
    ],
)
def test_the_caret_stands_under_the_item_at_fault(text, under):
    shown, carets = error_of(text).where.splitlines()
    assert shown == text
    start, width = len(carets) - len(carets.lstrip()), carets.count("^")
    assert text[start : start + width] == under
    assert start == text.rindex(under)


def test_a_traceback_shows_the_place_and_the_hint():
    def shown(text):
        with pytest.raises(BnstatsError) as caught:
            parse(text)
        again = pickle.loads(pickle.dumps(caught.value))  # as from a worker process
        told = "".join(traceback.format_exception_only(caught.value))
        assert told == "".join(traceback.format_exception_only(again))
        return told.partition("BnstatsError: ")[2].splitlines()

    hint = "hint: did you mean 'relu'?  (bnstats list layers)"
    assert shown("relux") == ["unknown layer 'relux'", hint]
    _, text, carets, hint = shown("leaky_relu:slope=3")
    assert text == "leaky_relu:slope=3"
    assert text[carets.index("^") : carets.rindex("^") + 1] == "slope"
    assert hint == "hint: parameters: negative_slope  (bnstats show leaky_relu)"


def test_no_caret_where_escapes_would_shift_it():
    assert error_of("elu:\x07a=1").where == r"elu:\x07a=1"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("relu", 2),
        ("max_pool2d:kernel_size=1000,input_size=1000", 1_000_001),
        ("max_pool2d:kernel_size=3,padding=1,stride=2,input_size=7", 49 + 16),
        # what is left out
        ("drop_path:p=0.1", 4 + 4 + 1),
        ("feature_alpha_dropout", 4 + 4 + 1),
        ("dropout1d", 2 + 2 + 1),
        ("dropout2d", 4 + 4 + 1),
        ("dropout3d", 8 + 8 + 1),
        ("linear", 4 + 4 + 16),
        ("batch_norm", 64 + 64),
        ("layer_norm", 64 + 64),
        ("rms_norm", 64 + 64),
        ("group_norm", 64 + 64),
        ("instance_norm", 64 + 64),
        ("standardize", 64 + 64),
        ("softmax", 10 + 10),
        ("softmin", 10 + 10),
        ("log_softmax", 10 + 10),
        ("sparsemax", 10 + 10),
        ("maxout", 2 + 1),
    ],
)
def test_what_one_draw_holds(text, numbers):
    inputs = parse(text).bound.inputs
    assert sum(math.prod(i.shape) for i in inputs.values()) == numbers


def test_padding_earns_a_hint_in_the_interior_only():
    assert "padding" in parse("max_pool2d:kernel_size=3,padding=1").bound.hints[0]
    assert "padding" in parse("conv2d:padding=0x1").bound.hints[0]
    assert not parse("max_pool2d:kernel_size=3,padding=1,input_size=9").bound.hints
    assert not parse("max_pool2d:kernel_size=3").bound.hints


# --- hypothesis -------------------------------------------------------------------------------

_words = ["kernel_size", "stride", "padding", "input_size", "p", "alpha", "init", "true", "1e9"]
pieces = st.sampled_from([*LAYERS, *ALIASES, *_words, *":,=x-.e30\n\x00é"])


@settings(deadline=None)
@given(st.lists(pieces, max_size=12).map("".join))
def test_any_text_is_parsed_or_refused(text):
    try:
        spec = parse(text)
    except BnstatsError as error:
        assert_safe(error)
    else:
        assert parse(spec.text).text == spec.text


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_unicode_is_parsed_or_refused(text):
    for attempt in (text, f"elu:{text}", f"elu:alpha={text}", f"max_pool2d:kernel_size={text}"):
        try:
            parse(attempt)
        except BnstatsError as error:
            assert_safe(error)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_the_round_trip(alpha):
    text = parse(f"elu:alpha={alpha!r}").text
    assert parse(text).text == text
    if alpha != 1:
        assert float(text.partition("=")[2]) == alpha


sizes = st.integers(1, 4)


@settings(deadline=None)
@given(kernel=st.tuples(sizes, sizes), stride=st.tuples(sizes, sizes), order=st.booleans())
def test_sizes_survive_the_round_trip(kernel, stride, order):
    items = [f"kernel_size={kernel[0]}x{kernel[1]}", f"stride={stride[0]}x{stride[1]}"]
    spec = parse("max_pool2d:" + ",".join(items[:: 1 if order else -1]))
    again = parse(spec.text)
    assert again.text == spec.text
    assert again.bound.inputs == spec.bound.inputs
    assert ("stride" in spec.text) == (stride != kernel)

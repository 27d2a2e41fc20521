"""Claims files: what is read, and that every fault earns a BnstatsError and nothing else."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnstats.claims import claim_set, claim_sets, claims_on, read_claims, set_names
from bnstats.claims.claim import Claim, ClaimSet
from bnstats.claims.files import read_claims_file
from bnstats.claims.values import parse_value
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS
from bnstats.statistics.quantities import ALL_QUANTITIES

GOOD = {"layer": "sigmoid", "quantity": "std_dx", "value": "0.2123"}


def toml(*claims: dict[str, Any], head: str = "") -> bytes:
    lines = [head]
    for c in claims:
        lines += ["[[claim]]", *(f"{k} = {json.dumps(v)}" for k, v in c.items())]
    return "\n".join(lines).encode()


def assert_safe(error: Exception) -> None:
    """Assert that a message may be written to a terminal: no control characters, not endless."""
    assert all(c.isprintable() for c in str(error))
    assert len(str(error)) < 500


def error_of(content: bytes, name: str = "mine.toml") -> BnstatsError:
    with pytest.raises(BnstatsError) as caught:
        read_claims(content, name)
    assert_safe(caught.value)
    return caught.value


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", toml({**GOOD, "samples": 1000, "source": "here", "remark": "so"})),
        ("a.toml", b"\xef\xbb\xbf" + toml({**GOOD, "samples": "1e3", "source": "here",
                                         "remark": "so"})),
        ("a.json", json.dumps([{**GOOD, "samples": 1000, "source": "here", "remark": "so"}])),
        ("a.JSON", json.dumps({"claim": [{**GOOD, "samples": 1000, "source": "here",
                                          "remark": "so"}]})),
        ("a.csv", "layer,quantity,value,samples,source,remark\nsigmoid,std_dx,0.2123,1000,here,so"),
    ],
)  # fmt: skip
def test_formats_hold_the_same_claim(name, content):
    content = content.encode() if isinstance(content, str) else content
    found = read_claims(content, name)
    (c,) = found.claims
    assert found.name == c.set == "a"
    assert (c.spec.text, c.quantity, c.samples) == ("sigmoid", "std_dx", 1000)
    assert (c.source, c.remark) == ("here", "so")
    assert (c.printed.text, c.printed.value, c.printed.half_width) == ("0.2123", 0.2123, 5e-5)


def test_numbers_keep_their_printed_digits():
    content = b'[[claim]]\nlayer = "sigmoid"\nquantity = "std_y"\nvalue = 0.20830'
    assert read_claims(content, "a.toml").claims[0].printed.half_width == 5e-6
    content = b'[{"layer": "sigmoid", "quantity": "std_y", "value": 0.20830}]'
    assert read_claims(content, "a.json").claims[0].printed.half_width == 5e-6


@pytest.mark.parametrize("value", ["0.2123", "1/5", "1"])
def test_a_tolerance_takes_the_place_of_half_a_unit(value):
    content = json.dumps([{**GOOD, "value": value, "tolerance": "1/4"}]).encode()
    printed = read_claims(content, "a.json").claims[0].printed
    assert (printed.text, printed.half_width) == (value, 0.25)


def test_title_and_url():
    found = read_claims(toml(GOOD, head='title = "T"\nurl = "http://u"'), "a.toml")
    assert isinstance(found, ClaimSet)
    assert (found.title, found.url) == ("T", "http://u")


def test_layers_are_canonical_and_csv_may_leave_cells_empty():
    content = b"layer,quantity,value,samples\nswish,std_dx,0.5,\nrelu,std_dx,0.5,10"
    first, second = read_claims(content, "a.csv").claims
    assert (first.spec.text, first.samples) == ("silu", None)
    assert second.samples == 10


def test_a_file_is_read_by_its_suffix(tmp_path):
    path = tmp_path / "own.toml"
    path.write_bytes(toml(GOOD))
    found = read_claims_file(path)
    assert isinstance(found.claims[0], Claim)
    assert found.name == "own"


def test_the_sets_that_ship():
    assert {"feng2016", "feng2016-repost"} <= set(set_names())
    for claims in claim_sets():
        assert claims.name in set_names()
        assert claims.title
        for c in claims.claims:
            assert c.source, f"{claims.name}: {c.spec.text} has no source"
            assert {*re.split(r"\.\.|[-+*]", c.spec.layer.name)} & {*LAYERS}
            assert c.drawn in ALL_QUANTITIES
    assert {c.printed.text for c in claims_on("sigmoid")} >= {"0.2123", "0.2083", "1/2"}
    assert claims_on("tanh:nothing") == ()


def test_the_claims_on_a_layer_are_those_of_all_sets():
    """They are found by name without reading every set, so the sets call layers by their own."""
    every = [c for s in claim_sets() for c in s.claims]
    for spec, law in {(c.spec.text, c.law) for c in every}:
        about = [c for c in every if (c.spec.text, c.law, c.inverse) == (spec, law, None)]
        found = [replace(c, spec=a.spec) for c, a in zip(claims_on(spec, law), about, strict=True)]
        assert found == about  # a chain is made anew whenever it is read


def test_an_unknown_set():
    with pytest.raises(BnstatsError, match=r"unknown claim set 'feng2061'") as caught:
        claim_set("feng2061")
    assert "did you mean 'feng2016'" in caught.value.hint


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ([{"layer": "sigmoid", "value": "1"}], "claim 1: field 'quantity' is missing"),
        ([GOOD, {"quantity": "std_y", "value": "1"}], "claim 2: field 'layer' is missing"),
        ([{"layer": "relu", "quantity": "std_y"}], "claim 1: field 'value' is missing"),
        ([{**GOOD, "vlaue": "1"}], "claim 1: unknown field 'vlaue'"),
        ([{**GOOD, "layer": "sigmod"}], "claim 1: unknown layer 'sigmod'"),
        ([{**GOOD, "layer": "elu:alpha=x"}], "claim 1: elu: alpha=x is not a number"),
        ([{**GOOD, "quantity": "sd_dx"}], "claim 1: unknown quantity 'sd_dx'"),
        ([{**GOOD, "value": "0.21a"}], "claim 1: value '0.21a' is not a number"),
        ([{**GOOD, "value": ""}], "claim 1: value '' is not a number"),
        ([{**GOOD, "value": "1" * 300}], "claim 1: a value of 300 characters"),
        ([{**GOOD, "value": "9**9**9"}], "claim 1: value '9**9**9' is not a number"),
        ([{**GOOD, "value": [1]}], "claim 1: field 'value' is not text"),
        ([{**GOOD, "value": True}], "claim 1: field 'value' is not text"),
        ([{**GOOD, "samples": "many"}], "samples 'many' is not a positive number"),
        ([{**GOOD, "samples": 0}], "samples '0' is not a positive number"),
        ([{**GOOD, "samples": "-5"}], "samples '-5' is not a positive number"),
        ([{**GOOD, "samples": "inf"}], "samples 'inf' is not a positive number"),
        ([{**GOOD, "samples": "nan"}], "samples 'nan' is not a positive number"),
        ([{**GOOD, "tolerance": "0"}], "tolerance '0' is not a positive number"),
        ([{**GOOD, "tolerance": "-0.1"}], "tolerance '-0.1' is not a positive number"),
        ([{**GOOD, "tolerance": "1 %"}], "tolerance '1 %' is not a positive number"),
        ([{**GOOD, "tolerance": "nan"}], "tolerance 'nan' is not a positive number"),
        ([GOOD, {**GOOD, "layer": "relu"}, GOOD], "claim 3: repeats claim 1   (sigmoid, std_dx)"),
        ([GOOD, {**GOOD, "layer": "logistic"}], "claim 2: repeats claim 1"),
        ([{**GOOD, "layer": "\x1b[2J\x07"}], r"claim 1: unknown layer '\x1b[2J\x07'"),
        ([{**GOOD, "quantity": "a\nb"}], r"unknown quantity 'a\nb'"),
        ([{**GOOD, "value": "\x1b]0;x"}], r"value '\x1b]0;x' is not a number"),
        ([{**GOOD, "\x1b[2J": "x"}], r"unknown field '\x1b[2J'"),
    ],
)
def test_a_claim_at_fault_is_named(claims, message):
    assert message in error_of(json.dumps(claims).encode(), "mine.json").message


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.toml", "a.toml holds no claims"),
        (b"title = 'x'", "a.toml", "holds no claims"),
        (b"claim = 3", "a.toml", "holds no claims"),
        (b"[claim]\nlayer = 'relu'", "a.toml", "holds no claims"),
        (b"[]", "a.json", "holds no claims"),
        (b"3", "a.json", "holds no claims"),
        (b"", "a.json", "cannot be parsed"),
        (b"", "a.csv", "holds no claims"),
        (b"layer,quantity,value\n", "a.csv", "holds no claims"),
        (b"[1]", "a.json", "claim 1: not a table"),
        (b"claim = [1]", "a.toml", "claim 1: not a table"),
        (b"[[claim]]\nlayer = 'rel", "a.toml", "cannot be parsed"),
        (b"[[claim]\n", "a.toml", "cannot be parsed"),
        (b'[{"layer": "relu"', "a.json", "cannot be parsed"),
        (b'layer,quantity,value\n"relu,std_dx,1', "a.csv", "cannot be parsed"),
        (b"layr,quantity,value\nrelu,std_dx,1\nrelu,std_y,1", "a.csv", "1: unknown field 'layr'"),
        (b"relu,std_dx,1\n", "a.csv", "1: unknown field 'relu'"),
        (b"layer,quantity\nrelu,std_dx\nrelu,std_y", "a.csv", "1: field 'value' is missing"),
        (b"layer,value,value\nrelu,1,1\n", "a.csv", "1: the header has a field twice"),
        (b"layer,quantity,value\nrelu,std_dx", "a.csv", "claim 1: field 'value' is missing"),
        (b"layer,quantity,value\nrelu,std_dx,1,2,3", "a.csv", "claim 1"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "a.toml", "a.toml is not UTF-8 text"),
        (b"\xff\xfe[\x00", "a.json", "is not UTF-8 text"),
        (b"\x00\x00\x00", "a.toml", "cannot be parsed"),
        (b"\x00\x00\x00", "a.json", "cannot be parsed"),
        (b"\x00\x00\x00", "a.csv", "a.csv"),
        (b"[" * 100_000, "a.json", "cannot be parsed"),
        (b"claim = " + b"[" * 10_000, "a.toml", "cannot be parsed"),
        (b"a = " + b"1" * 10_000, "a.toml", "cannot be parsed"),
        (b"relu", "a.txt", "a claims file ends in .toml, .json, .csv or .py"),
        (b"relu", "a", "a claims file ends in .toml, .json, .csv or .py"),
    ],
)
def test_a_file_at_fault_is_named(content, name, message):
    assert message in error_of(content, name).message


@pytest.mark.parametrize("field", ["layer", "quantity", "value", "source", "samples", "junk"])
def test_a_megabyte_of_text_is_neither_echoed_nor_fatal(field):
    content = toml({**GOOD, field: "9" * 1_000_000})
    if field == "source":
        assert len(read_claims(content, "a.toml").claims[0].source) <= 200
    else:
        error = error_of(content)
        assert len(error.message) + len(error.hint or "") + len(error.where or "") < 2500


def test_sources_are_safe_on_a_terminal():
    content = json.dumps([{**GOOD, "source": "\x1b[31mred", "remark": "a\nb"}]).encode()
    (c,) = read_claims(content, "a.json").claims
    assert (c.source, c.remark) == (r"\x1b[31mred", r"a\nb")


@pytest.mark.parametrize("key", ["title", "url"])
def test_titles_are_safe_on_a_terminal(key):
    document = {"claim": [GOOD], key: "\x1b[31mred"}
    found = read_claims(json.dumps(document).encode(), "a.json")
    assert "\x1b" not in getattr(found, key)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(BnstatsError, match="no such file"):
        read_claims_file(tmp_path / "absent.toml")
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(BnstatsError, match="cannot read"):
        read_claims_file(folder)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 2_000_001)
    with pytest.raises(BnstatsError, match="larger than 2 MB"):
        read_claims_file(large)


def test_a_long_path_is_read_and_shown_by_its_end(tmp_path):
    folder = tmp_path / ("d" * 200)
    folder.mkdir()
    (folder / "own.toml").write_bytes(toml(GOOD))
    assert read_claims_file(folder / "own.toml").claims[0].place.line == 5
    (folder / "own.toml").write_bytes(b"")
    with pytest.raises(BnstatsError, match=r"^…d+/own\.toml holds no claims\n"):
        read_claims_file(folder / "own.toml")


@pytest.mark.parametrize("name", ["a\x00b.toml", "a" * 5000 + ".toml"])
def test_file_names_no_system_accepts(name):
    with pytest.raises(BnstatsError):
        read_claims_file(Path(name))


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "half_width"),
    [
        ("0.2123", 0.2123, 5e-5),
        (" 0.2123 ", 0.2123, 5e-5),
        (".7071", 0.7071, 5e-5),
        ("1.", 1.0, 0.0),
        ("-1.50", -1.5, 5e-3),
        ("+2.0", 2.0, 0.05),
        ("1.5e-3", 1.5e-3, 5e-5),
        ("1.50E2", 150.0, 0.5),
        ("2e3", 2000.0, 0.0),
        ("1", 1.0, 0.0),
        ("0", 0.0, 0.0),
        ("1/3", 1 / 3, 0.0),
        ("sqrt(1/2)", 0.5**0.5, 0.0),
        ("sqrt(1/2-1/(2*pi))", math.sqrt(0.5 - 0.5 / math.pi), 0.0),
        ("-sqrt(2)", -math.sqrt(2), 0.0),
        ("2**-3", 0.125, 0.0),
        ("exp(1) - log(2)", math.e - math.log(2), 0.0),
        ("+pi", math.pi, 0.0),
        ("2*0.5", 1.0, 0.0),
        ("−0.5838", -0.5838, 5e-5),  # with U+2212, as typeset
        ("1.07e−3", 1.07e-3, 5e-6),
        ("1−1/3", 2 / 3, 0.0),
        ("−0.5838(19)", -0.5838, 0.0038),
        ("0.58±0.01", 0.58, 0.01),
        ("-(−0.92)", 0.92, 0.0),
        ("-(-0.9213)", 0.9213, 5e-5),
        ("-(-0.9213466151411376)", 0.9213466151411376, 5e-17),  # less than half an ulp
        ("1.0010498/exp(1)", 1.0010498 / math.e, 5e-8 / math.e),
        ("(5/3*0.6518)**2", (0.6518 / 0.6) ** 2, 2 * 0.6518 / 0.36 * 5e-5),
    ],
)
def test_printed_values(text, value, half_width):
    printed = parse_value(text)
    assert printed.value == pytest.approx(value, rel=1e-15)
    assert printed.half_width == pytest.approx(half_width, rel=1e-12)
    assert printed.symbolic is (half_width == 0)
    assert printed.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "0.21a", "0,5", "1/0", "sqrt(-1)", "log(0)", "9**9**9", "9**9**9**9", "1e400",
        "nan", "inf", "-inf", "1e99999", "0.5.5", "1..2", "--", "()", "sqrt", "sqrt()", "pi()",
        "sqrt(1, 2)", "__import__('os')", "1 if 1 else 2", "x", "0x10", "1_000", "1j", "½", "１",
        "(" * 150, "-" * 199 + "1", "(" * 99 + "1" + ")" * 99, "1\n2", "True", "1 == 1",
        "sqrt(x=1)", "10**400", "exp(1e9)", "(-8)**(1/3)", "lambda: 1", "1" * 201, "1;2", "01",
        "\x00",
    ],
)  # fmt: skip
def test_what_is_not_a_value(text):
    try:
        printed = parse_value(text)
    except ValueError as error:
        assert_safe(error)
    else:  # deep but harmless nesting may be evaluated
        assert text[0] in "-("
        assert abs(printed.value) == 1


# --- fuzz -------------------------------------------------------------------------------------

fragments = st.lists(
    st.sampled_from(
        [*"0123456789.+-*/() eE", "**", "sqrt(", "exp(", "log(", "pi", "\t", "j", "_", "x", ","]
    ),
    max_size=30,
).map("".join)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.one_of(fragments, st.text(max_size=40)))
def test_any_text_is_a_finite_value_or_refused(text):
    try:
        printed = parse_value(text)
    except ValueError:
        return
    assert math.isfinite(printed.value)
    assert math.isfinite(printed.half_width)
    assert printed.half_width >= 0


words = st.one_of(
    st.sampled_from(["sigmoid", "relu", "std_dx", "std_y", "0.5", "1/2", "layer", "value", "10"]),
    st.text(max_size=10),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
)
keys = st.sampled_from(["layer", "quantity", "value", "samples", "source", "remark", "other"])
rows = st.one_of(st.dictionaries(keys, words, max_size=6), words)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.lists(rows, max_size=4), st.dictionaries(st.just("claim"), st.lists(rows))))
def test_any_json_is_read_or_refused(document):
    content = json.dumps(document).encode("utf-8", "surrogatepass")
    try:
        found = read_claims(content, "fuzz.json")
    except BnstatsError as error:
        assert_safe(error)
    else:
        assert found.claims


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda t: t.encode("utf-8"))),
    st.sampled_from(["a.toml", "a.json", "a.csv"]),
)
def test_any_bytes_are_read_or_refused(content, name):
    with pytest.raises(BnstatsError):
        read_claims(content, name)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3), st.sampled_from(["toml", "csv"]))
def test_a_spoilt_file_is_read_or_refused(at, junk, kind):
    content = {
        "toml": toml(GOOD, {**GOOD, "quantity": "std_y", "samples": 1000}),
        "csv": b"layer,quantity,value,samples\nrelu,std_dx,0.5,10\nrelu,std_y,1/2,\n",
    }[kind]
    at %= len(content)
    for spoilt in (content[:at], content[:at] + junk + content[at + 1 :]):
        try:
            read_claims(spoilt, f"a.{kind}")
        except BnstatsError as error:
            assert_safe(error)

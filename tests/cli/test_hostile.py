"""Hostile input: whatever a file holds, verify answers with a result or one printable error.

Every example runs under a limit on memory and, measured by the processor's clock, on time; what
would hang or blow up fails here.
"""

from __future__ import annotations

import csv
import faulthandler
import io
import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bnstats
from bnstats.claims import read_claims
from bnstats.claims.values import parse_value
from bnstats.errors import BnstatsError
from bnstats.layers import ALIASES, LAYERS
from bnstats.specs.spec import example_specs, parse
from bnstats.statistics.quantities import ALL_QUANTITIES
from bnstats.verification.gate import VerifySettings
from bnstats.verification.sources import verify

ROOT = Path(bnstats.__file__).parents[1]
MEMORY = 512 << 20  # bytes, on top of what the process holds already
SECONDS = 10.0  # of the processor, for one example


def fuzz(examples: int) -> settings:
    """Return the fixed profile: the same examples at every run."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,  # wall time measures the machine's load; see `bounded`
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def limits() -> Iterator[None]:
    """Bound the memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    """End a C function that never returns."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


class TooLong(BaseException):
    """Not an Exception, so that nothing under test swallows it."""


def bounded(work: Callable[[], Any]) -> Any:
    """Return what it returns or the BnstatsError or ValueError it raises, in `SECONDS` of CPU."""

    def ring(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        return work()
    except BnstatsError as error:
        assert_printable(error.message)
        assert_printable(error.hint or "")
        for line in (error.where or "").split("\n"):
            assert_printable(line, 1010)
        return error
    finally:
        left, _ = signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        assert left > 0  # also where something swallowed the alarm


def assert_printable(text: str, limit: int = 1000) -> None:
    assert text.isprintable(), ascii(text)
    assert len(text) <= limit


def read(content: bytes, name: str) -> Any:
    """Read claims; what is read must be as harmless as what is refused."""
    found = bounded(lambda: read_claims(content, name))
    if not isinstance(found, BnstatsError):
        for claim in found.claims:
            texts = (claim.set, claim.spec.text, claim.source, claim.remark, claim.printed.text)
            for text in (*texts, found.title, found.url):
                assert_printable(text)
            assert claim.drawn in ALL_QUANTITIES
            assert claim.samples is None or 1 <= claim.samples <= 10**18
            assert_number(claim.printed)
    return found


def assert_number(printed: Any) -> None:
    assert math.isfinite(printed.value)
    assert 0 <= printed.half_width < math.inf
    assert printed.symbolic is (printed.half_width == 0)


# --- what hostile text looks like -------------------------------------------------------------

GOOD = {"layer": "sigmoid", "quantity": "std_dx", "value": "0.2123"}
CONTROLS = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\r", "\x00", "\u202e", "\u200b", "\x7f"]
CODE = [
    "__import__('os').mkdir('owned')",
    "exec('owned')",
    "os:system",
    "subprocess.run",
    "antigravity:fly",
    "hostile_module:act",
    "!!python/object/apply:os.system ['owned']",
    "lambda: 0",
    "${jndi:ldap://owned}",
]
NUMBERS = [
    *("9**9**9", "1e999999999", "0e9999", "1e-400", "-" * 199 + "1", "(" * 99 + "1" + ")" * 99),
    *("1" * 5000, "0x" + "f" * 5000, "nan", "-inf", "1_0", "١٢", "0.5", "1/0", "2**0.5", "10**400"),
]
FURTHER = ["samples", "source", "over", "find", "x_std=0.1:10:log", "x_std=1e-300:1", "std_y=x_std"]
names = st.sampled_from([*LAYERS, *ALIASES])
nasty = st.sampled_from([*CONTROLS, *CODE, *NUMBERS, "x" * 1500, "[" * 50, '"' * 9, "a.b.c", ""])
words = st.one_of(
    nasty,
    st.sampled_from([*GOOD, *GOOD.values(), *ALL_QUANTITIES, "σ[y]", *FURTHER, "claim", "title"]),
    st.text(max_size=8),
)
scalars = st.one_of(words, st.integers(), st.floats(), st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from([*GOOD, "samples", "source", "remark"])
keys = st.one_of(fields, words)
rows = st.one_of(
    st.builds(lambda field, text: {**GOOD, field: text}, fields, nasty),
    st.builds(lambda row, key, value: {**row, key: value}, st.just(GOOD), keys, values),
    st.dictionaries(keys, values, max_size=6),
    values,
)
documents = st.one_of(
    st.lists(rows, max_size=3),
    st.builds(
        lambda claims, key, value: {"claim": claims, key: value},
        st.just([GOOD]) | st.lists(rows, max_size=3),
        st.one_of(st.sampled_from(["title", "url", "claim"]), words),
        st.sampled_from(NUMBERS) | values,
    ),
    values,
)


def spoilt(content: bytes, at: int, cut: int, junk: bytes) -> bytes:
    """Return a file with some bytes replaced by others."""
    at %= len(content) + 1
    return content[:at] + junk + content[at + cut :]


junk = st.one_of(words.map(lambda t: t.encode("utf-8", "surrogatepass")), st.binary(max_size=4))
damage = st.tuples(st.integers(0, 400), st.integers(0, 20), junk)


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{toml_value(str(k))} = {toml_value(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, repr(value))
    if value in NUMBERS:
        return str(value)  # bare, as a number stands in TOML
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def toml(document: Any) -> bytes:
    tables = document if isinstance(document, dict) else {"claim": document}
    lines = (f"{toml_value(str(k))} = {toml_value(v)}\n" for k, v in tables.items())
    return "".join(lines).encode("utf-8", "surrogatepass")


# --- files ------------------------------------------------------------------------------------

GOOD_TOML = b'title = "T"\n[[claim]]\nlayer = "relu"\nquantity = "std_y"\nvalue = 0.58\nsamples = 9'
GOOD_JSON = json.dumps({"title": "T", "claim": [{**GOOD, "samples": 100}, GOOD]}).encode()
GOOD_CSV = b'layer,quantity,value,samples\n"elu:alpha=2",std_dx,0.5,10\nrelu,std_y,1/2,\n'


@fuzz(300)
@given(st.one_of(documents.map(toml), damage.map(lambda d: spoilt(GOOD_TOML, *d))))
def test_any_toml_is_read_or_refused(content: bytes) -> None:
    read(content, "fuzz.toml")


@fuzz(350)
@given(
    st.one_of(
        documents.map(lambda d: json.dumps(d).encode()), damage.map(lambda d: spoilt(GOOD_JSON, *d))
    )
)
def test_any_json_is_read_or_refused(content: bytes) -> None:
    read(content, "fuzz.json")


def csv_file(table: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(table)
    return out.getvalue().encode("utf-8", "surrogatepass")


header = st.one_of(st.just([*GOOD, "samples"]), st.lists(keys.map(str), max_size=7))
table = st.builds(
    lambda head, body: csv_file([head, *body]),
    header,
    st.lists(st.lists(words, max_size=7), max_size=4),
)


@fuzz(300)
@given(st.one_of(table, damage.map(lambda d: spoilt(GOOD_CSV, *d))))
def test_any_csv_is_read_or_refused(content: bytes) -> None:
    read(content, "fuzz.csv")


# --- specs and values -------------------------------------------------------------------------

parameters = sorted({p.name for layer in LAYERS.values() for p in layer.parameters})
items = st.builds(
    "{}={}".format,
    st.one_of(st.sampled_from(parameters), words),
    st.one_of(words, st.integers().map(str), st.floats().map(str), st.just("3x3")),
)
known_specs = st.sampled_from([s for layer in LAYERS.values() for s in example_specs(layer)])


@st.composite
def own_items(draw: st.DrawFn) -> str:
    """Return a layer with some of its own parameters at any number a spec can write."""
    layer = LAYERS[draw(st.sampled_from(sorted(LAYERS)))]
    number = st.one_of(
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.integers(-9, 9).map(str),
        st.sampled_from(
            ["999999999", "1e308", "5e-324", "1e-200", "1e-20", "1x2", "1x999999999", "true"]
        ),
    )
    chosen = [p for p in layer.parameters if draw(st.booleans())]
    pairs = [
        f"{p.name}={draw(st.sampled_from(p.choices)) if p.choices else draw(number)}"
        for p in chosen
    ]
    return f"{layer.name}:{','.join(pairs)}" if pairs else layer.name


specs = st.one_of(
    own_items(),
    st.builds("{}:{}".format, names, st.lists(items, max_size=3).map(",".join)),
    st.builds("{}{}".format, known_specs, st.one_of(st.just(""), items.map(lambda i: f",{i}"))),
    st.lists(st.one_of(names, nasty, st.sampled_from(list(":,=x."))), max_size=6).map("".join),
    st.text(max_size=30),
)


@pytest.mark.slow
@fuzz(600)
@given(specs)
def test_any_spec_is_parsed_or_refused(text: str) -> None:
    found = bounded(lambda: parse(text))
    if not isinstance(found, BnstatsError):
        assert_printable(found.text)
        assert parse(found.text).text == found.text


tokens = [*"0123456789.+-*/() eE", "**", "sqrt(", "exp(", "log(", "pi", "_", "j", "9**9", "e99"]
expressions = st.lists(st.one_of(st.sampled_from(tokens), nasty), max_size=25).map("".join)
printed_numbers = st.builds(
    "{}{}.{}e{}".format,
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 999),
    st.from_regex(r"[0-9]{0,4}", fullmatch=True),
    st.integers(-9999, 9999),
)


@fuzz(600)
@given(st.one_of(expressions, printed_numbers, st.text(max_size=30)))
def test_any_value_is_a_number_or_refused(text: str) -> None:
    try:
        printed = bounded(lambda: parse_value(text))
    except ValueError as error:
        assert_printable(str(error))
    else:
        assert_number(printed)
        assert_printable(printed.text)


# --- the whole of verify ----------------------------------------------------------------------

claims = st.builds(
    lambda layer, quantity, value: {"layer": layer, "quantity": quantity, "value": value},
    own_items(),
    st.sampled_from(sorted(ALL_QUANTITIES)),
    st.sampled_from(["0.5", "0.2123", "0", "-1e300", "1e300", "1e-300", "sqrt(1/2)", "0.e0"]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.slow
@fuzz(125)
@given(claims.filter(lambda c: small(c["layer"])))
def test_any_claim_on_any_layer_is_judged(folder: Path, claim: dict[str, str]) -> None:
    path = folder / "claim.json"
    path.write_text(json.dumps([claim]))
    found = bounded(lambda: verify(path, VerifySettings(samples=100)))
    if not isinstance(found, BnstatsError):
        (check,) = found
        assert check.outcome in ("ok", "fail", "undecided")
        assert_printable(check.reason)


def small(text: str) -> bool:
    """Whether a layer is refused or one draw of it is small: 100 of the largest take seconds."""
    try:
        return parse(text).bound.numbers < 1000
    except BnstatsError:
        return False


EXACT = {"value": 0.5, "error": 1e-15, "by": "closed form"}
ENTRY = {"value": 0.5, "stderr": 1e-4, "n_eff": 1e6, "exact": EXACT}
DOCUMENT = {
    "schema": "bnstats/1",
    "results": [{"layer": "relu", "std_dx": ENTRY, "mean_y": {**ENTRY, "exact": None}}],
    "provenance": {"law": {"x_mean": 0.0, "x_std": 1.0, "dy_std": 1.0}, "seed": 0},
}
PATHS: list[tuple[Any, ...]] = [
    *[("schema",), ("results",), ("provenance",), ("provenance", "seed"), ("provenance", "law")],
    *[("provenance", "law", "x_std"), ("results", 0), ("results", 0, "layer")],
    *[("results", 0, "std_dx"), *(("results", 0, "std_dx", name) for name in ENTRY)],
    *[("results", 0, "std_dx", "exact", name) for name in EXACT],
    *[("results", 0, "mean_y", name) for name in ("value", "stderr")],
]
tampered = st.one_of(
    values, st.sampled_from([10**400, -(10**400), 1e308, -1.0, 1.0, 1, 5e-324, 2**80])
)


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at a place."""
    if not path:
        return value
    copy = list(document) if isinstance(document, list) else dict(document)
    copy[path[0]] = put(copy[path[0]], path[1:], value)
    return copy


def judge(folder: Path, document: Any) -> Any:
    path = folder / "constants.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return bounded(lambda: verify(path, VerifySettings(samples=100)))


@fuzz(200)
@given(st.sampled_from(PATHS), tampered)
def test_any_results_document_is_checked_or_refused(
    folder: Path, where: tuple[Any, ...], value: Any
) -> None:
    found = judge(folder, put(DOCUMENT, where, value))
    if not isinstance(found, BnstatsError):
        assert {c.outcome for c in found} <= {"ok", "fail", "undecided"}


# --- what once went wrong, and bombs ----------------------------------------------------------

HEX = b"0x" + b"f" * 5000
ROW = b'[[claim]]\nlayer="relu"\nquantity="std_y"\nvalue="1/2"\n'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        # str of a whole number of more than 4300 digits is a ValueError
        ("a.toml", b"title = " + HEX + b"\n" + ROW, "field 'title' is too long"),
        ("a.toml", b"url = [[1]]\n" + ROW, "field 'url' is not text"),
        ("a.toml", ROW + b"samples = " + HEX, "field 'samples' is too long"),
        ("a.toml", ROW + b"samples = 1000000000000000001e9", "is not at most 1e18"),
        # hours: tomllib's time is quadratic in the parts of a key
        ("a.toml", b"a" + b".a" * 990_000 + b" = 1", "too long a key or number"),
        ("a.toml", b'"="' + b' . "="' * 330_000 + b" = 1", "too long a key or number"),
        ("a.toml", b"'\"'" + b".'\"'" * 490_000 + b" = 1", "too long a key or number"),
        ("a.toml", (b"[a" + b".a" * 900 + b"]\n") * 1000, "too long a key or number"),
        # hours: every row cost the length of the header
        ("a.csv", b"layer,value" + b"," * 1_000_000 + b"\n" + b"a\n" * 490_000, "field twice"),
        ("a.csv", b",".join(b"%d" % i for i in range(9999)) + b"\n" + b"a\n" * 9999, "field '0'"),
        ("a.csv", b"layer,layer,quantity,value\nrelu,elu,std_y,1/2", "field twice"),
        ("a.csv", b"layer,value\n" + b"a\n" * 990_000, "more than 10,000 claims"),
        ("a.json", b"[" + b"{}," * 660_000 + b"{}]", "more than 10,000 claims"),
        # bombs that never went off
        ("a.json", b"[" * 2_000_000, "nested too deeply"),
        ("a.json", b'{"a":' * 390_000, "nested too deeply"),
        ("a.toml", b"a = " + b"[" * 1_990_000, "nested too deeply"),
        ("a.toml", b"a = " + b"{a = " * 390_000, "nested too deeply"),
        ("a.json", b'[{"value": ' + b"1" * 1_990_000 + b"}]", "'layer' is missing"),
        ("a.toml", b"a = 1e" + b"9" * 1_990_000 + b"\n" + ROW, "too long a key or number"),
        ("a.toml", b"a = 0x" + b"f" * 1_990_000 + b"\n" + ROW, "too long a key or number"),
        ("a.toml", b'a = "' + b'\\"' * 990_000, "Unterminated string"),
        ("a.toml", b"#" * 2_000_001, "larger than 2 MB"),
        ("a.csv", b'layer,value\n"' + b'""' * 990_000 + b'"', "field limit"),
    ],
    ids=range(23),
)
def test_a_file_made_to_hurt_is_refused(name: str, content: bytes, message: str) -> None:
    found = read(content, name)
    assert isinstance(found, BnstatsError)
    assert message in found.message


def test_a_key_of_many_parts_within_a_text_is_no_key() -> None:
    dots = b"see " + b" . ".join([b"1"] * 60) + b" and " + b"." * 500
    found = read(ROW + b'source = "' + dots + b'"', "a.toml")
    assert found.claims[0].source.startswith("see 1 . 1")


@pytest.mark.parametrize("text", ["0.0e+400", "1e400", "1e-400", "0.00e-322", "5e-324"])
def test_decimals_whose_last_digit_is_beyond_a_float(text: str) -> None:
    # ± inf contains every truth, and ± 0 would make a printed value a symbolic one
    with pytest.raises(ValueError, match=r"not a finite number|too small"):
        parse_value(text)
    assert parse_value("1e-320").half_width > 0
    assert parse_value("0e9999").symbolic  # a whole number, as 2e3 is


@pytest.mark.parametrize("scale", ["1e-80", "1e-300"])
def test_a_variance_whose_square_underflows(folder: Path, scale: str) -> None:
    path = folder / "tiny.json"
    layer = f"keras_relu:negative_slope=0.0,max_value={scale}"
    path.write_text(json.dumps([{"layer": layer, "quantity": "std_y", "value": "0.5"}]))
    (check,) = bounded(lambda: verify(path, VerifySettings(samples=1000)))
    assert check.outcome == "fail"
    assert check.exact is None or check.exact.value < 1e-79


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("results", 0, "std_dx", "value"), 10**400),
        (("results", 0, "std_dx", "n_eff"), "many"),
        (("provenance", "seed"), 1.0),
        (("provenance", "seed"), True),
        (("provenance", "seed"), -(10**400)),
    ],
)
def test_a_results_document_with_numbers_that_are_none(
    folder: Path, where: tuple[Any, ...], value: Any
) -> None:
    found = judge(folder, put(DOCUMENT, where, value))
    assert isinstance(found, BnstatsError)
    assert "is not a results document" in found.message
    assert not isinstance(judge(folder, DOCUMENT), BnstatsError)


def test_a_results_document_of_endless_length(folder: Path) -> None:
    path = folder / "constants.json"
    path.write_bytes(json.dumps(DOCUMENT).encode() + b" " * 16_000_000)
    with pytest.raises(BnstatsError, match="is not a results document"):
        verify(path)


# --- the program ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["toml", "json", "csv"])
@pytest.mark.parametrize("layer", ["hostile_module:act", "hostile_module:act:alpha=2"])
def test_no_file_makes_the_program_run_code(tmp_path: Path, suffix: str, layer: str) -> None:
    (tmp_path / "hostile_module.py").write_text("open('owned', 'w')\nact = abs\n")
    row = {**GOOD, "layer": layer}
    content = {
        "toml": toml([row]),
        "json": json.dumps([row]).encode(),
        "csv": csv_file([list(row), list(row.values())]),
    }[suffix]
    (tmp_path / f"a.{suffix}").write_bytes(content)
    command = [sys.executable, "-m", "bnstats", "verify", f"a.{suffix}"]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 2
    assert b"a file imports no code" in done.stderr
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("control", CONTROLS[:-1])
@pytest.mark.parametrize("key", [*GOOD, "samples", "junk", "title", "file"])
def test_no_control_character_reaches_the_terminal(
    cli: Callable[..., Outcome], tmp_path: Path, control: str, key: str
) -> None:
    text = f"a{control}b"
    row = {**GOOD, key: text} if key not in ("title", "file") else GOOD
    path = tmp_path / (f"{text}.json" if key == "file" and "\0" not in text else "a.json")
    path.write_text(json.dumps({"claim": [row], "title": text}))
    code, out, err = cli("verify", path, "-n", 1000)
    assert code == (1 if key in ("title", "file") else 2)
    for line in (out + err).splitlines():
        assert line.isprintable(), ascii(line)


def test_the_limits_bite() -> None:
    with pytest.raises(MemoryError):
        bytearray(2 * MEMORY)

    def forever() -> None:
        while True:
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "SECONDS", 0.1)
        with pytest.raises((TooLong, AssertionError)):
            bounded(forever)

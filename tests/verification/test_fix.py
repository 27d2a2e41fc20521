"""--fix changes wrong values to what is known of them, and no other byte of a user's file."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli, read_document, spawn
from hypothesis import given, settings
from hypothesis import strategies as st

from bnstats.api import compute
from bnstats.claims.corrected import corrected, instead, significant
from bnstats.claims.files import read_claims_file
from bnstats.claims.values import parse_value
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, ExactMoments
from bnstats.notation import concise
from bnstats.runs.drawing import sample
from bnstats.verification import gate
from bnstats.verification.fix import Change, corrections, rewritten, rewritten_files
from bnstats.verification.gate import VerifySettings
from bnstats.verification.sources import verify

QUICK = ("-n", "20000")

# --- where values stand ------------------------------------------------------------------------
# Files are put together from pieces, so that the place of every value is known by construction.

LAYERS_HERE = ("relu", "gelu", "max_pool2d:kernel_size=3,stride=2", "leaky_relu:negative_slope=0.2")
numbers = st.sampled_from(["0.2123", "1.5e-3", "-0.50", "12.0"])
texts = st.one_of(numbers, st.sampled_from(["1/3", "sqrt(2/(1+0.01**2))", "7", ".5"]))
Piece = tuple[str, str]  # text, and the value if it is one

TOML_BEFORE = (
    '# value = "0.2123"',
    '# """ its end is not a string',
    "title = 'value = 3' # = 0.1",
    "a = [ # it's\n  \"x = 3\", 'y' ,\n 0.2123 ]",
    'b = """\nvalue = "0.2123"\n\\""" # no end\n"""""',
    "c = '''\nvalue = 0.2123 # '' '''",
    "d = 1979-05-27 07:32:00  # value = 1",
    '"value = 0.5" = ["x=y", "= 0.2123", \'}\']',
    "",
)
TOML_AFTER = ("# [other.'value = 3']", "# value = 9")


@st.composite
def toml_files(draw: Any) -> list[Piece]:
    pieces: list[Piece] = []

    def say(text: str, value: str = "") -> None:
        pieces.append((text, value))

    newline = draw(st.sampled_from(["\n", "\r\n"]))
    for line in draw(st.lists(st.sampled_from(TOML_BEFORE), unique=True)):
        say(line.replace("\n", newline) + newline)
    inline = draw(st.booleans())
    if inline:
        say("claim = [")
    names = draw(st.lists(st.sampled_from(LAYERS_HERE), min_size=1, max_size=4, unique=True))
    for number, name in enumerate(names):
        value = draw(texts)
        quotes = ['"', "'", '"""', "'''"]
        if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value):
            quotes.append("")
        quote = draw(st.sampled_from(quotes))
        token = f"{quote}{value}{quote}"
        fields = {f'layer = "{name}"': None, "quantity = 'std_dx'": None, "value": token}
        order = draw(st.permutations(list(fields)))
        say("{" if inline else f"[[claim]] # value = 0.2123{newline}")
        for at, field in enumerate(order):
            if field == "value":
                say(draw(st.sampled_from(["value = ", "value=", '"value" =  ', "value =\t"])))
                say(token, value)
            else:
                say(field)
            if not inline:
                say(draw(st.sampled_from(["", "  # = 0.2123"])) + newline)
            elif at < 2:
                say(", ")
        if inline:
            say("}" + draw(st.sampled_from([",", " , # value = 9\n"])) * (number < len(names) - 1))
    if inline:
        say("]" + newline)
    for line in draw(st.lists(st.sampled_from(TOML_AFTER), unique=True)):
        say(line + newline)
    return pieces


def json_text(value: str) -> list[str]:
    bare = [value] if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value) else []
    return [*bare, json.dumps(value), f' "{value}"', f'"\\u{ord(value[0]):04x}{value[1:]}"']


@st.composite
def json_files(draw: Any) -> list[Piece]:
    pieces: list[Piece] = [('{"title": "\\"value\\": 0.2123", "claim"\n:[', "")]
    names = draw(st.lists(st.sampled_from(LAYERS_HERE), min_size=1, max_size=4, unique=True))
    for number, name in enumerate(names):
        value = draw(texts)
        token = draw(st.sampled_from(json_text(value)))
        before = draw(st.sampled_from(["", '"source": "value: 0.2123",\n']))
        pieces += [(f'{{{before} "layer":"{name}", "quantity" :"std_dx","value" :', "")]
        pieces += [(token, value), ("}" + ",\n" * (number < len(names) - 1), "")]
    return [*pieces, ("]}", "")]


@st.composite
def csv_files(draw: Any) -> list[Piece]:
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    columns = draw(st.permutations(["layer", "value", "source", "quantity"]))
    pieces: list[Piece] = [(",".join(columns) + newline, "")]
    names = draw(st.lists(st.sampled_from(LAYERS_HERE), min_size=1, max_size=4, unique=True))
    for name in names:
        value = draw(texts)
        cells = {
            "layer": f'"{name}"',
            "quantity": "std_dx",
            "value": draw(st.sampled_from([value, f'"{value}"'])),
            "source": draw(st.sampled_from(["", "a b", '"0.2123, ""so""\nhere"', "'0.2123"])),
        }
        for at, column in enumerate(columns):
            pieces += [("," if at else "", ""), (cells[column], value if column == "value" else "")]
        pieces.append((newline * draw(st.integers(1, 2)), ""))
    return pieces


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["toml", "json", "csv"])
@settings(max_examples=150, deadline=None)
@given(data=st.data(), mark=st.booleans())
def test_values_are_found_and_replaced_where_they_stand(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: Any, mark: bool
) -> None:
    pieces = data.draw({"toml": toml_files(), "json": json_files(), "csv": csv_files()}[suffix])
    text = "".join(piece for piece, _ in pieces)
    path = tmp_path_factory.mktemp("places") / f"a.{suffix}"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.encode())
    claims = read_claims_file(path).claims
    wanted, at = [], 0
    for piece, value in pieces:
        if value:
            start = at + len(piece) - len(piece.lstrip())
            wanted.append((start, at + len(piece), text[:start].count("\n") + 1, value))
        at += len(piece)
    found = [(c.place.start, c.place.end, c.place.line, c.printed.text) for c in claims if c.place]
    assert found == wanted
    changes = [Change(c.spec.text, c.place, c.printed.text, "4.56") for c in claims if c.place]
    ((old, new),) = rewritten_files(changes).values()
    assert old.encode() == path.read_bytes()
    plain = [re.sub(r"\\u00..", lambda m: chr(int(m[0][2:], 16)), p) if v else p for p, v in pieces]
    expected = "".join(
        p.replace(v, "4.56") if v else p for p, (_, v) in zip(plain, pieces, strict=True)
    )
    assert new == ("\ufeff" if mark else "") + expected


def test_toml_of_every_kind_around_a_value(tmp_path: Path) -> None:
    text = '''# value = "0.1"
title = "a = 3 # no"
when = 1979-05-27 07:32:00
x = [1, 2, "a = 5"] # claim
y = """
value = "9"
\\""" still""""
z = \'\'\'value = 3\'\'\'
[[claim]] # first
layer = "gelu"   # = 2
value = @ # = wrong
"quantity" = 'std_dx'
[[claim]]
  'layer' = "relu"
value=0.50
quantity = "std_y"
[claim.more]
'''.replace("[claim.more]\n", "")
    path = tmp_path / "a.toml"
    for token in ('"0.6312"', "'0.6312'", "0.6312", '"""0.6312"""', "'''0.6312'''", '" 0.6312 "'):
        path.write_text(text.replace("@", token))
        first, second = read_claims_file(path).claims
        assert first.place is not None
        assert second.place is not None
        assert (first.place.line, second.place.line) == (11, 15)
        change = Change("gelu", first.place, "0.6312", "0.6752")
        new = rewritten(path.read_text(), [change])
        assert new == text.replace("@", token.replace("6312", "6752"))


# --- which digits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "low", "high", "new"),
    [
        ("0.2123", 0.2117457, 0.2117457, "0.2117"),
        ("9.98", 10.0132, 10.0132, "10.0"),
        ("0.12", 0.125, 0.125, "0.12"),
        ("12.34", 0.58382, 0.58382, "0.5838"),  # as many digits, not as many decimals
        ("0.4983", 0.5, 0.5, "0.5"),  # the truth is 0.5
        ("0.4983", 0.4999, 0.5001, "0.500"),  # the truth is near 0.5
        ("0.4983", 0.49999, 0.50001, "0.5000"),
        ("0.62345678901234567", 0.5, 0.5000000000000002, "0.5"),
        ("0.00", 0.0131, 0.0131, "0.013"),
        ("1.5", 123.456, 123.456, "123.5"),  # a whole number would claim to be exact
        ("1.", 2.4, 2.4, "2."),
        ("1.", 0.5, 0.5, "0.5"),  # not "0.", which says nothing
        ("1.5", 0.00021, 0.00021, "0.00021"),
        ("0.0e+02", 0.97, 0.97, "0.01e+02"),  # one digit, though it carries
        ("2e3", 3456.0, 3456.0, "3e3"),
        ("6.31E-01", 0.67516, 0.67516, "6.75E-01"),
        (".7071", 0.58382, 0.58382, ".5838"),
        ("-.71", -0.5838, -0.5838, "-.58"),
        ("+1.50", 1.4, 1.4, "+1.4"),
        ("+1.50", -1.4, -1.4, "-1.4"),
        ("0.12", 0.0, 0.0, "0.0"),
        ("-0.12", -1e-18, 1e-18, "0.0"),
        ("0.2123", 0.2119, 0.2121, "0.212"),  # the fourth digit is not known
        ("0.21234", 0.19, 0.21, "0.2"),
        ("0.21", 0.02, 0.07, None),
        ("0.21", 0.012, 0.017, None),  # 0.0 would be right, and say nothing
        ("0.2", 0.2495, 0.2505, None),  # 0.2 and 0.3 are both possible
        ("0.7", 1.26, 1.7, None),
        ("0e99", 0.5, 0.5, None),
        ("0.5", -float("inf"), float("inf"), None),
    ],
)
def test_corrected(printed: str, low: float, high: float, new: str | None) -> None:
    assert corrected(parse_value(printed), low, high) == new


mantissas = st.from_regex(r"[+-]?(0|[1-9][0-9]{0,2})\.[0-9]{1,12}", fullmatch=True)
exponents = st.one_of(st.just(""), st.integers(-3, 3).map(lambda e: f"e{e:+03d}"))
bounded = st.floats(-900, 900).filter(lambda x: x == 0 or abs(x) > 1e-9)


@settings(max_examples=200, deadline=None)
@given(mantissas, exponents, bounded, st.one_of(st.just(0.0), st.floats(1e-14, 0.1)))
def test_a_corrected_value_claims_nothing_that_is_not_known(
    mantissa: str, exponent: str, middle: float, width: float
) -> None:
    low, high = middle - width, middle + width
    printed = parse_value(mantissa + exponent)
    new = corrected(printed, low, high)
    power = int(exponent[1:] or 0)
    decimals = len(mantissa.partition(".")[2])
    wanted = printed.digits or decimals  # of 0.00 its decimals

    def alike(places: int) -> bool:
        unit = Fraction(10) ** (power - places)
        return round(Fraction(low) / unit) == round(Fraction(high) / unit)

    if new is None:
        tenth = Fraction(10) ** (power - 1)
        assert not alike(1) or round(Fraction(low) / tenth) == 0  # nothing but zeros is known
        return
    assert new.endswith(exponent)
    mantissa = new.removesuffix(exponent)
    digits = mantissa.partition(".")[2]
    half = Fraction(10) ** (power - len(digits)) / 2
    value = Fraction(new)
    assert value - half <= Fraction(low) <= Fraction(high) <= value + half
    is_it = abs(float(value) - middle) <= width + 1e-15 * abs(middle)
    count = len(mantissa.lstrip("+-0.").replace(".", ""))
    assert count <= wanted or len(digits) <= 1
    if count < wanted and digits and value:  # one digit more is a zero, or is not known
        assert not alike(len(digits) + 1) or is_it
    if digits[1:].endswith("0"):  # a zero at the end says that another digit is not there
        assert high - low > 1e-11 * abs(middle) or abs(float(value) - middle) > 1e-16 * abs(middle)


def test_significant_digits() -> None:
    assert significant(0.5**0.5, 0.5**0.5, 5) == "0.70711"
    assert significant(1234.5, 1234.5, 2) == "1234.5"  # never a whole number, which claims itself
    assert significant(0.0, 0.0, 3) == "0.0"
    assert significant(0.66, 0.68, 5) == "0.7"


# --- the command -------------------------------------------------------------------------------

MINE = b"""\xef\xbb\xbf# our constants, 0.6312\r
[[claim]]\r
layer = "gelu"\r
quantity = "std_dx"\r
value = "0.6312"    # from a blog: 0.6312\r
\r
[[claim]]\r
layer = "relu"\r
quantity = "std_dx"\r
value = "2/3"\r
[[claim]]\r
layer = "tanh"\r
quantity = "std_y"\r
value = 0.62793
"""


def test_fix_changes_the_wrong_decimal_and_no_other_byte(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(MINE)
    path.chmod(0o640)
    code, out, err = cli("verify", path, "--fix", *QUICK)
    assert code == 1  # relu's is still wrong
    assert path.read_bytes() == MINE.replace(b'"0.6312"', b'"0.6752"')
    assert path.stat().st_mode & 0o777 == 0o640
    lines = out.splitlines()
    assert lines[0] == f"fixed     {path}:5:9: gelu σ[dx]: 0.6312 -> 0.6752"
    assert not lines[1].startswith("fixed")
    assert re.search(r"^ok +gelu σ\[dx\]: claimed 0.6752, ", out, re.MULTILINE)
    assert lines[-1].endswith(": 2 reproduced, 1 wrong")
    assert lines[-2] == "failed: relu σ[dx]"
    assert err.startswith("warning: relu σ[dx] stays: an expression or a whole number; --digits N ")
    code, out, err = cli("verify", path, "--fix", "--digits", "6", *QUICK)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"fixed     {path}:10:9: relu σ[dx]: 2/3 -> 0.707107"
    wanted = MINE.replace(b'"0.6312"', b'"0.6752"').replace(b"2/3", b"0.707107")
    assert path.read_bytes() == wanted
    before = path.stat()
    again = cli("verify", path, "--fix", "--digits", "6", *QUICK)
    assert (again.code, "fixed" in again.out) == (0, False)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        (
            "a.json",
            '[ {"layer":"gelu","quantity":"std_dx",\t"value":0.6312, "remark":"0.6312"} ]',
            '[ {"layer":"gelu","quantity":"std_dx",\t"value":0.6752, "remark":"0.6312"} ]',
        ),
        (
            "a.csv",
            'value,layer,quantity,remark\r\n"0.6312",gelu,std_dx,0.6312\r\n\r\n0.5,relu,var_dx,x',
            'value,layer,quantity,remark\r\n"0.6752",gelu,std_dx,0.6312\r\n\r\n0.5,relu,var_dx,x',
        ),
    ],
)
def test_fix_in_json_and_csv(
    cli: Cli, tmp_path: Path, name: str, content: str, wanted: str
) -> None:
    (tmp_path / "real").mkdir()
    real, path = tmp_path / "real" / name, tmp_path / name
    real.write_bytes(content.encode())
    path.symlink_to(real)
    assert cli("verify", path, "--fix", *QUICK).code == 0
    assert real.read_bytes() == wanted.encode()
    assert path.is_symlink()


def test_other_formats_keep_stdout_to_themselves(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(MINE)
    code, out, err = cli("verify", path, "--fix", "--digits", "4", "--json", *QUICK)
    assert code == 0
    document = read_document(out)
    wanted = [c["wanted"] for r in document["results"] for c in r["checks"]]
    assert wanted == ["0.6752", "0.7071", "0.62793"]
    assert [line.split(": ", 1)[1] for line in err.splitlines()] == [
        "gelu σ[dx]: 0.6312 -> 0.6752",
        "relu σ[dx]: 2/3 -> 0.7071",
    ]


def test_a_diff_is_one_that_git_applies(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("mine.json")
    content = b'[{"layer": "gelu",\n "quantity": "std_dx",\r\n "value": "0.6312"}]'  # no last \n
    path.write_bytes(content)
    code, out, err = cli("verify", path, "--diff", *QUICK)
    assert code == 1
    assert path.read_bytes() == content
    assert err == "1 constant of 1 layer: 1 wrong\n"
    subprocess.run(["git", "apply", "-"], input=out.encode(), check=True)
    assert path.read_bytes() == content.replace(b"0.6312", b"0.6752")
    assert cli("verify", path, "--diff", *QUICK).out == ""


def test_a_diff_has_the_encoding_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    content = '[[claim]]\nlayer = "gelu"\nquantity = "std_dx"\nvalue = "0.6312"  # σ\n'
    path.write_text(content, encoding="utf-8")
    argv = ("verify", "mine.toml", "--diff", *QUICK)
    plain = spawn(*argv, cwd=tmp_path).out
    assert "# σ" in plain
    assert spawn(*argv, cwd=tmp_path, PYTHONIOENCODING="cp1252", PYTHONUTF8="0").out == plain


def test_a_file_on_another_drive_keeps_its_path(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def relpath(path: object) -> str:  # as on Windows, where no relative path leads there
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    path = tmp_path / "mine.json"
    path.write_text('[{"layer": "gelu", "quantity": "std_dx", "value": "0.6312"}]', "utf-8")
    monkeypatch.setattr("os.path.relpath", relpath)
    code, out, _ = cli("verify", path, "--diff", *QUICK)
    assert code == 1
    assert out.startswith(f"--- a/{path.as_posix()}\n+++ b/{path.as_posix()}\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--digits", "3"], "--digits goes with --fix or --diff"),
        (["--diff", "--json"], "--diff does not go with --format json"),
    ],
)
def test_options_that_do_not_go_together(cli: Cli, argv: list[str], message: str) -> None:
    code, _, err = cli("verify", "feng2016", *argv)
    assert (code, err.splitlines()[0]) == (2, f"error: {message}")


# --- what stays --------------------------------------------------------------------------------


def write(path: Path, value: str, layer: str = "gelu", **more: str) -> bytes:
    fields = {"layer": layer, "quantity": "std_dx", "value": value, **more}
    path.write_text(json.dumps([fields]))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("value", "argv", "code", "says"),
    [
        # 18 decimals are more than the exact value's error bound lets anybody judge.
        ("0.675167287158736100", QUICK, 0, ""),
        ("0.6312", ("-n", "50"), 1, "the draws are too few to bear witness; try a larger -n"),
        ("2", QUICK, 1, "an expression or a whole number; --digits N replaces it by N digits"),
    ],
)
def test_what_nobody_knows_stays(
    cli: Cli, tmp_path: Path, value: str, argv: tuple[str, ...], code: int, says: str
) -> None:
    path = tmp_path / "a.json"
    content = write(path, value)
    outcome = cli("verify", path, "--fix", *argv)
    assert outcome.code == code
    assert outcome.err == (f"warning: gelu σ[dx] stays: {says}\n" if says else "")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("layer", "quantity", "value", "says"),
    [
        ("relu", "gain_y", "1.4142", '1.4142 is 1/rms[y], not 1/σ[y]: quantity = "gain_rms_y"?'),
        ("silu", "gain_y", "1.6765", '1.6765 is 1/rms[y], not 1/σ[y]: quantity = "gain_rms_y"?'),
        ("relu", "std_dx", "1/2", '1/2 is Var[dx], not σ[dx]: quantity = "var_dx"?'),
        # Whose σ is known by its draws alone.
        ("sparsemax", "std_dx", "0.23", '0.23 is σ[y], not σ[dx]: quantity = "std_y"?'),
    ],
)
def test_the_value_of_another_quantity_is_not_replaced(
    cli: Cli, tmp_path: Path, layer: str, quantity: str, value: str, says: str
) -> None:
    path = tmp_path / "a.json"
    content = write(path, value, layer, quantity=quantity)
    outcome = cli("verify", path, "--fix", "--digits", "5", *QUICK)
    assert outcome.code == 1
    assert outcome.err.startswith("warning: ")
    assert outcome.err.endswith(f" stays: {says}\n")
    assert path.read_bytes() == content
    content = write(path, value, layer, quantity=says.split('"')[1])
    assert cli("verify", path, *QUICK).code == 0  # as the warning says


def test_a_value_stays_where_draws_contradict_the_formula(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stray(*args: Any, **options: Any) -> Any:
        result = sample(*args, **options)
        entries = {k: replace(e, z=9.0) for k, e in result.quantities.items()}
        return replace(result, quantities=entries)

    monkeypatch.setattr(gate, "sample", stray)
    path = tmp_path / "a.json"
    content = write(path, "0.6312")
    outcome = cli("verify", path, "--fix", *QUICK)
    assert outcome.code == 1
    assert outcome.err == "warning: gelu σ[dx] stays: the draws disagree with the exact value\n"
    assert path.read_bytes() == content


def test_shipped_sets_and_results_stay(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("verify", "feng2016-repost", "--fix", "--digits", "3", *QUICK)
    assert outcome.code == 1
    assert outcome.err.count("stays: not in a file of yours") == 3
    record = json.loads(cli("compute", "relu", *QUICK, "--json").out)
    record["results"][0]["std_dx"]["exact"]["value"] = 0.5
    path = tmp_path / "constants.json"
    path.write_text(json.dumps(record))
    content = path.read_bytes()
    outcome = cli("verify", path, "--fix", "--digits", "3", *QUICK)
    assert (outcome.code, path.read_bytes()) == (1, content)
    assert outcome.err == "warning: relu σ[dx] stays: bnstats table regenerates results\n"


def test_a_sampled_value_gets_the_digits_its_interval_holds(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = LAYERS["gelu"]

    def bind(**values: Any) -> Any:
        return replace(layer.bind(**values), moments=lambda law, expect: ExactMoments())

    monkeypatch.setitem(LAYERS, "gelu", replace(layer, bind=bind))
    path = tmp_path / "a.json"
    write(path, "0.56123456", quantity="std_y")
    assert cli("verify", path, "--fix", "-n", "4e6").code == 0
    value = json.loads(path.read_text())[0]["value"]
    estimate = compute("gelu", samples=4 * 10**6, seed=1).std_y
    assert estimate.exact is None
    interval = estimate.interval_at(4.8916)  # Φ⁻¹(1 − 10⁻⁶/2)
    assert interval is not None
    decimals = len(value.partition(".")[2])
    assert 2 <= decimals < 8, concise(estimate.value, estimate.stderr)
    assert {f"{end:.{decimals}f}" for end in interval} == {value}
    assert len({f"{end:.{decimals + 1}f}" for end in interval}) == 2


@pytest.mark.parametrize(
    ("stderr", "others", "new"),
    # Φ⁻¹(1 − 10⁻⁶/2) = 4.89, and 6.11 where it is shared by 1000 claims.
    [(1.00e-3, 0, "0.59"), (1.05e-3, 0, "0.6"), (0.80e-3, 999, "0.59"), (0.85e-3, 999, "0.6")],
)
def test_the_interval_is_that_of_all_claims_of_a_file(
    tmp_path: Path, stderr: float, others: int, new: str
) -> None:
    path = tmp_path / "a.json"
    write(path, "0.561", quantity="std_y")
    (check,) = verify(path, VerifySettings(samples=20_000))
    assert check.estimate is not None
    estimate = replace(check.estimate, value=0.59, stderr=stderr, log_scale=False)
    wrong = replace(check, estimate=estimate, exact=None)
    checks = [wrong, *[replace(check, outcome="ok")] * others]
    ((change,), _) = corrections(checks, 1e-6)
    assert change.new == new


def test_a_file_that_changed_meanwhile_stays(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    text = "layer,quantity,value\ngelu,std_y,0.6312\ngelu,std_dx,0.6312\n"
    path.write_text(text)

    def meanwhile(*args: Any) -> Any:
        path.write_text(text[:-3] + "3\n")  # the second of two wrong values
        return corrections(*args)

    monkeypatch.setattr("bnstats.cli.fixing.corrections", meanwhile)
    code, _, err = cli("verify", path, "--fix", *QUICK)
    assert (code, path.read_text()) == (2, text[:-3] + "3\n")
    assert err.startswith(f"error: {path} changed while it was verified; nothing is rewritten\n")


def test_a_file_that_cannot_be_written_is_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = write(path, "0.6312")
    change = Change("gelu", read_claims_file(path).claims[0].place, "0.6312", "0.67")  # type: ignore[arg-type]
    path.unlink()
    with pytest.raises(BnstatsError, match="no such file"):
        rewritten_files([change])
    path.write_bytes(content)
    assert list(rewritten_files([change])) == [path]
    assert os.listdir(tmp_path) == ["a.json"]


# --- tolerance ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "tolerance", "code"),
    [
        ("0.6757", "0.0006", 0),  # the truth is 0.67516729
        ("0.6757", "0.0005", 1),
        ("0.675", "1e-4", 1),
        ("27/40", "1/5000", 0),
        ("27/40", "1/7000", 1),
    ],
)
def test_a_tolerance_replaces_half_a_unit(
    cli: Cli, tmp_path: Path, value: str, tolerance: str, code: int
) -> None:
    path = tmp_path / "a.json"
    write(path, value, tolerance=tolerance)
    assert cli("verify", path, *QUICK).code == code


@pytest.mark.parametrize(
    ("text", "truth", "new"),
    [
        ("0.6312", 0.67516728, "0.6752"),
        ("1/2", 0.7071067811865, "0.7071"),
        ("2**0.75", 1.62331, "1.623"),  # what claims no digits is replaced as a whole
        ("sqrt(2.0)", 1.6765324703311, "sqrt(2.8)"),  # 1.6765² is 2.8108
        ("1/0.5838", 1 / 0.67516728, "1/0.6752"),
        ("-(-0.9213466151411376)", 0.92134661512867, "-(-0.92134661512867)"),
        ("exp(-0.301)", 0.75, "exp(-0.288)"),  # ln 0.75 is −0.28768
        ("1.0010498/exp(1)", math.exp(-1), "1.0/exp(1)"),
        ("0.333*0.25+0.125", 0.31, "0.31"),  # of several decimals none is the wrong one
        ("0.7071(3)", 0.70809, "0.7081"),
        ("sqrt(1.55)", -1.0, "-1.0"),  # no root is negative
    ],
)
def test_what_to_print_instead(text: str, truth: float, new: str) -> None:
    error = 1e-15 * abs(truth)
    found = instead(parse_value(text), truth - error, truth + error)
    assert found == new


@given(
    st.floats(0.01, 100), st.floats(0.5, 2), st.sampled_from(["sqrt({})", "1/{}", "-({})", "{}"])
)
def test_the_value_instead_is_reproduced(value: float, off: float, form: str) -> None:
    """What is printed instead claims the truth, in every form."""
    printed = parse_value(form.format(f"{value:.6f}"))
    truth = parse_value(form.format(f"{value * off:.17g}")).value
    error = 1e-15 * abs(truth)
    new = instead(printed, truth - error, truth + error)
    assert new is not None
    claimed = parse_value(new)
    slack = 1e-12 * abs(truth)
    assert abs(claimed.value - truth) <= claimed.half_width + slack

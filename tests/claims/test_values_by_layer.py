"""Values by layer, in a dict of Python's or an object of JSON's, and all errors at once."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

import pytest
from cli_support import Cli, read_document
from hypothesis import given, settings
from hypothesis import strategies as st

import bnstats
from bnstats.claims.files import read_claims_file
from bnstats.claims.literals import read_dict
from bnstats.claims.parsing import ParsingError
from bnstats.errors import BnstatsError
from bnstats.verification.gate import VerifySettings

QUICK = ("-n", "20000")

GAINS = '''"""Gains: "σ" is one."""
import math
import re
raise SystemExit("this file is never run")
OTHER = {"gelu": 9.9}
GAINS: dict[str, float] = {
    'relu': math.sqrt(2), "gelu": 1.5335,   # σσ
    "σ" "ilu"[1:]: 3.0,
    "tanh": 5/3, "elu:alpha=2": +1.20, "silu": (1 / 0.5595),
    "sigmoid": "1.8462",
    "softplus": 2**0.5,
}
'''
GOOD = GAINS.replace('    "σ" "ilu"[1:]: 3.0,\n', "")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dict_is_read_as_it_is_written(here: Path) -> None:
    Path("gains.py").write_text(GOOD, encoding="utf-8")
    claims = read_claims_file(Path("gains.py"), "gain_rms_y", "GAINS").claims
    found = {c.spec.text: (c.printed.text, c.printed.digits) for c in claims}
    assert found == {
        "relu": ("math.sqrt(2)", None),
        "gelu": ("1.5335", 5),
        "tanh": ("5/3", None),
        "elu:alpha=2": ("+1.20", 3),
        "silu": ("1 / 0.5595", 4),
        "sigmoid": ("1.8462", 5),
        "softplus": ("2**0.5", None),
    }
    assert {c.quantity for c in claims} == {"gain_rms_y"}
    assert claims[0].printed.value == math.sqrt(2)
    lines = GOOD.splitlines()
    for c in claims:
        assert c.place is not None
        token = GOOD[c.place.start : c.place.end]
        assert token.strip('"') == c.printed.text
        assert lines[c.place.line - 1][c.place.column - 1 :].startswith(token)  # type: ignore[operator]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_fix_changes_a_dict(here: Path, cli: Cli, newline: str, mark: str) -> None:
    path = Path("gains.py")
    text = mark + GOOD.replace("1.5335", "1.5345").replace("\n", newline)
    path.write_bytes(text.encode())
    code, out, _ = cli(
        "verify", "gains.py:GAINS", "--quantity", "gain_rms_y", "--fix", "--digits", "5", *QUICK
    )
    assert code == 1  # what is 1/σ[y] stays
    assert "fixed     gains.py:7:35: gelu 1/rms[y]: 1.5345 -> 1.5335" in out
    new = path.read_bytes().decode()
    assert '"gelu": 1.5335,   # σσ' in new
    for before, after in {
        "1.5345": "1.5335",
        "5/3": "1.5925",
        "+1.20": "+0.962",
        "2**0.5": "1.0419",
    }.items():
        text = text.replace(before, after)
    assert new == text


@pytest.mark.parametrize(
    ("text", "part", "message"),
    [
        ("A = {}", "A", "holds no claims"),
        ("A = 3", "A", "no dict 'A' is assigned in it"),
        ("def f():\n    A = {'relu': 1}", "A", "no dict 'A' is assigned in it"),
        ("A = {'relu': 1.0}", "", "name the dict in it"),
        ("A = {'relu': 1.0}", "B", "no dict 'B' is assigned in it"),
        ("A = {'relu': 1.0}\nA = {'relu': 2.0}", "A", "a.py:2:1 cannot be parsed: A is changed"),
        ("A = {'relu': 1.0}\nA['relu'] = 2.0", "A", "a.py:2:1 cannot be parsed: A is changed"),
        ("A = {'relu': 1.0}\ndel A['relu']", "A", "A is changed"),
        ("A = {'relu': 1.0}\nA |= {'relu': 2.0}", "A", "A is changed"),
        ("A = {'relu': 1.0}\nA.update(relu=2.0)", "A", "A is changed"),
        ("if 1:\n  pass\nA = {'relu': 1.0}\nfor A in 3: pass", "A", "A is changed"),
        ("A = {'relu': 1.0", "A", "a.py:1:5 cannot be parsed: '{' was never closed"),
        ("A = " + "(" * 10_000, "A", "cannot be parsed"),
        ("\0", "A", "cannot be parsed"),
        ("A = {'relu': X}", "A", "a.py:1:14: value 'X' is not a number"),
        ("A = {'relu': __import__('os').getpid()}", "A", "a.py:1:14: value '__import__("),
        ("A = {'relu': os.pi}", "A", "a.py:1:14: value 'os.pi' is not a number"),
        ("A = {'relu': {'gain_y': 1}}", "A", "a.py:1:14: value"),
        ("A = {**B}", "A", "a.py:1:8: unknown layer '**B'"),
        ("A = {X: 1.0}", "A", "a.py:1:6: unknown layer 'X'"),
        ("A = {'relu': 1.0, 'relu': 2.0}", "A", "a.py:1:19: repeats claim 1"),
        ("A = dict(relu=1.0, rleu=2.0)", "A", "a.py:1:20: unknown layer 'rleu'"),
        ("A = {'relu': 1.0, 'os:getpid': 2.0}", "A", "os:getpid is not loaded"),
    ],
)
def test_what_is_no_dict_of_numbers_is_told(here: Path, text: str, part: str, message: str) -> None:
    Path("a.py").write_text(text)
    with pytest.raises(BnstatsError) as caught:
        read_claims_file(Path("a.py"), "gain_y", part)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "A = dict(relu=1.0, elu=2)",
        "A: Final = MappingProxyType({'relu': 1.0, 'elu': 2})",
        "B = A = types.MappingProxyType(dict(relu=1.0, elu=2))",
        "A = {'relu': 1.0, 'elu': 2}\nB = A['relu']\nA.get('relu')\nC = {**A}",
    ],
)
def test_dicts_are_written_in_several_ways(text: str) -> None:
    entries = read_dict(text, "A")
    assert [(e.key, e.value) for e in entries] == [("relu", "1.0"), ("elu", "2")]
    for entry in entries:
        assert text[slice(*entry.value_span)] == entry.value
        assert text[slice(*entry.key_span)].strip("'") == entry.key


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(
    ["A", "=", "{", "}", "'relu'", ":", "1.0", ",", "**", "(", ")", "\n", "dict", "σ", "[", "]"]
)).map("".join)))  # fmt: skip
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        entries = read_dict(text, "A")
    except ParsingError:
        return
    assert len(entries) == len(ast.parse(text).body) or entries is not None


def test_a_flat_object_of_json(here: Path, cli: Cli) -> None:
    Path("gains.json").write_text(
        '{"title": "mine",\n "relu": 1.4142, "gelu": "1.5335",\n "elu": 9}'
    )
    document = read_document(
        cli("verify", "gains.json", "--quantity", "gain_rms_y", "--json", *QUICK).out
    )
    checks = [(r["layer"], c) for r in document["results"] for c in r["checks"]]
    found = [(layer, c["wanted"], c["outcome"], c["line"], c["column"]) for layer, c in checks]
    assert found == [
        ("relu", "1.4142", "ok", 2, 10),
        ("gelu", "1.5335", "ok", 2, 26),
        ("elu", "9", "fail", 3, 9),
    ]
    code, _, err = cli("verify", "gains.json")
    assert code == 2
    assert err.splitlines() == [
        "error: gains.json holds values by layer, and does not say which quantity they are",
        "hint:  e.g. --quantity gain_y",
    ]
    (check, *_) = bnstats.verify(
        "gains.json", VerifySettings(samples=20_000), quantity="gain_rms_y"
    )
    assert check.outcome == "ok"
    code, _, err = cli("verify", "gains.json", "--quantity", "gain-y")
    assert (code, err.splitlines()[0]) == (2, "error: unknown quantity 'gain-y'")


def test_a_project_names_a_dict_and_its_quantity(here: Path, cli: Cli) -> None:
    (here / "lib").mkdir()
    (here / "lib" / "gains.py").write_text('G = {"relu": 1.4142}')
    (here / "pyproject.toml").write_text(
        '[tool.bnstats]\nclaims = ["lib/gains.py:G"]\nquantity = "gain_rms_y"\nsamples = "2e4"\n'
    )
    assert cli("verify").code == 0
    assert cli("verify", "--quantity", "std_y").code == 1


# --- all errors at once ------------------------------------------------------------------------

WRONG = """[[claim]]
layer = "rleu"
quantity = "std_y"
value = 1.0
[[claim]]
layer = "relu"
quantity = "sdt_y"
value = 1.0
[[claim]]
quantity = "std_y"
value = 1.0
[[claim]]
layer = "elu"
quantity = "std_y"
value = "1,0"
[[claim]]
layer = "gelu"
quantity = "std_y"
value = 1.0
x_std = "-2"
"""


def test_every_error_of_a_file_is_told_with_its_place(here: Path, cli: Cli) -> None:
    Path("a.toml").write_text(WRONG)
    code, out, err = cli("verify", "a.toml")
    assert (code, out) == (2, "")
    first, *lines = err.splitlines()
    assert first == "error: a.toml: 5 of 5 claims are wrong"
    places = [line.strip().split(": ")[:2] for line in lines]
    assert places == [
        ["a.toml:2:9", "unknown layer 'rleu'; did you mean 'relu'?  (bnstats list layers)"],
        ["a.toml:7:12", places[1][1]],
        ["a.toml:10:12", "field 'layer' is missing"],
        ["a.toml:15:9", "value '1,0' is not a number   (layer = \"elu\")"],
        ["a.toml:20:9", "x_std"],
    ]
    Path("b.toml").write_text(WRONG.partition('[[claim]]\nlayer = "relu"')[0])
    assert cli("verify", "b.toml").err.splitlines() == [
        "error: b.toml:2:9: unknown layer 'rleu'",
        "hint:  did you mean 'relu'?  (bnstats list layers)",
    ]


@pytest.mark.slow
def test_a_thousand_errors_are_counted(here: Path) -> None:
    Path("a.csv").write_text("layer,quantity,value\n" + "rleu,std_y,1.0\n" * 1000)
    with pytest.raises(BnstatsError) as caught:
        read_claims_file(Path("a.csv"))
    assert caught.value.message == "a.csv: 1000 of 1000 claims are wrong"
    lines = (caught.value.where or "").splitlines()
    assert (len(lines), lines[-1]) == (21, "and 980 more")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.toml", "[[claim]]\nlayer = rel\n", "a.toml:2:9"),
        ("a.json", '[{"layer": "relu",\n "value" 3}]', "a.json:2:10"),
        ("a.csv", 'layer,quantity,value\n"relu,std_dx,1', "a.csv:2"),
    ],
)
def test_text_that_cannot_be_parsed_has_a_place(
    here: Path, name: str, content: str, place: str
) -> None:
    Path(name).write_text(content)
    with pytest.raises(BnstatsError) as caught:
        read_claims_file(Path(name))
    assert caught.value.message.startswith(f"{place} cannot be parsed: ")


# --- laws and sources --------------------------------------------------------------------------


def test_a_claim_is_of_its_own_law(here: Path, cli: Cli) -> None:
    Path("a.csv").write_text(
        "layer,quantity,value,x_std,dy_std,x_mean\n"
        "gelu,std_y,1.1919,2,,\n"
        "gelu,std_y,0.5879,,,\n"
        "identity,std_dx,3.0,,3,\n"
        "identity,mean_y,-1.5,,,-3/2\n"
        "gelu,std_y,0.5879,3,,\n"
    )
    code, out, _ = cli("verify", "a.csv", *QUICK)
    assert code == 1
    lines = [line for line in out.splitlines() if line.startswith(("ok", "FAIL", "hint"))]
    assert [line.partition(":")[0].split()[0] for line in lines] == [*["ok"] * 4, "FAIL", "hint"]
    assert lines[0].startswith("ok        gelu σ[y] at x_std = 2: claimed 1.1919, exact 1.191876")
    assert "gelu σ[y] at x_std = 3: claimed 0.5879" in lines[4]
    assert lines[5] == "hint:     bnstats exact gelu --x-std 3.0 --quantity std_y"
    assert cli(*lines[5].split()[2:]).code == 0
    document = read_document(cli("verify", "a.csv", "--json", *QUICK).out)
    laws = [c["law"]["x_std"] for r in document["results"] for c in r["checks"]]
    assert sorted(laws) == [1, 1, 1, 2, 3]


def test_two_sources_may_claim_one_number(here: Path, cli: Cli) -> None:
    head = "layer,quantity,value,source\n"
    Path("a.csv").write_text(head + "gelu,gain_y,1.7009,one\ngelu,gain_y,1.7015,two\n")
    code, out, _ = cli("verify", "a.csv", *QUICK)
    assert (code, [line.split()[0] for line in out.splitlines()[:2]]) == (1, ["ok", "FAIL"])
    code, out, _ = cli("verify", "a.csv", "--fix", *QUICK)
    assert code == 0
    assert Path("a.csv").read_text() == head + "gelu,gain_y,1.7009,one\ngelu,gain_y,1.7009,two\n"
    Path("a.csv").write_text(head + "gelu,gain_y,1.7009,one\ngelu,gain_y,1.7015,one\n")
    assert "a.csv:3:1: repeats claim 1" in cli("verify", "a.csv").err


# --- what is printed ---------------------------------------------------------------------------


def test_failures_alone_and_silence(here: Path, cli: Cli) -> None:
    head = "layer,quantity,value\n"
    Path("good.csv").write_text(head + "gelu,gain_y,1.7009\n")
    Path("bad.csv").write_text(head + "relu,var_dx,0.5\ngelu,gain_y,1.7015\n")
    assert cli("-q", "verify", "good.csv", *QUICK) == (0, "", "")
    summary = "1 constant of 1 layer: 1 reproduced\n"
    assert cli("verify", "good.csv", "--only-failures", *QUICK) == (0, summary, "")
    whole = cli("verify", "bad.csv", *QUICK).out.splitlines()
    assert whole[0].startswith("ok ")
    assert whole[-2] == "failed: gelu 1/σ[y]"
    for argv in (("-q", "verify"), ("verify", "--only-failures")):
        code, out, err = cli(*argv, "bad.csv", *QUICK)
        assert (code, out.splitlines(), err) == (1, [*whole[1:-2], whole[-1]], "")


# --- the manual --------------------------------------------------------------------------------


def test_the_files_of_the_manual_run_when_copied(here: Path, cli: Cli) -> None:
    page = (Path(bnstats.__file__).parent / "manual" / "ci.md").read_text("utf-8")
    blocks = dict(re.findall(r"^```\w+\n# (\w+\.(?:toml|py))\b.*\n((?:.*\n)*?)```$", page, re.M))
    assert set(blocks) == {"constants.toml", "scales.toml", "gains.py"}
    for name, text in blocks.items():
        Path(name).write_text(text, encoding="utf-8")
    assert cli("verify", "constants.toml", *QUICK).code == 0
    assert cli("verify", "scales.toml", *QUICK).code == 1
    code, out, _ = cli("verify", "gains.py:GAINS", "--quantity", "gain_rms_y", *QUICK)
    assert code == 1
    assert "failed: silu 1/rms[y], tanh 1/rms[y]" in out

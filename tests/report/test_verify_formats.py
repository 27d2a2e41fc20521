"""Formats of verify: GitHub's workflow commands and summary, JUnit XML, JSON and text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cli_support import Cli, read_document, spawn
from hypothesis import given
from hypothesis import strategies as st

from bnstats.claims.places import Place
from bnstats.report.checks import github
from bnstats.report.checks.github import command
from bnstats.report.checks.junit import junit
from bnstats.verification.check import Check
from bnstats.verification.gate import VerifySettings
from bnstats.verification.sources import verify

QUICK = ("-n", "20000")

# One that is right, two wrong, one that cannot be decided: as far off as float64 can tell.
MINE = """\
# ours
[[claim]]
layer = "sigmoid"
quantity = "std_y"
value = "0.2083"

[[claim]]
layer = "sigmoid"
quantity = "std_dx"
value = "0.2123"
[[claim]]
layer = "max_pool2d:kernel_size=3,stride=2"
quantity = "std_dx"
value = "1/3"
[[claim]]
layer = "max_pool2d:kernel_size=3,stride=2"
quantity = "var_dx"
value = "1/4 + 2.5e-13"
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of claims in the working directory, as in a checkout on GitHub."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.toml").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    return Path("sub/mine.toml")


def test_z_is_the_same_number_everywhere_and_of_the_exact_value(cli: Cli, mine: Path) -> None:
    """(draws − exact)/standard error, however far a claim is from either."""
    argv = ("verify", mine, "-n", "1e5")
    code, out, _ = cli(*argv)
    assert code == 1
    rows = read_document(cli(*argv, "--json").out)["results"]
    checks = {c["line"]: c for row in rows for c in row["checks"]}
    found = re.search(
        r"^FAIL +sub/mine\.toml:14:9: max_pool2d:kernel_size=3,stride=2 σ\[dx\]: claimed 1/3, "
        r"exact 0\.5, sampled (\d+\.\d+)\((\d+)\), z = (\S+)$",
        out,
        re.MULTILINE,
    )
    assert found
    z, check = float(found[3].replace("−", "-")), checks[14]
    assert z == pytest.approx(check["z"], abs=0.0051)
    assert z == pytest.approx((check["value"] - 0.5) / check["stderr"], abs=0.03)
    assert check["z_wanted"] is None
    shown = re.findall(r"z = (\S+?)(?:;|$)", out, re.MULTILINE)
    assert len(shown) == len(checks)
    assert all(abs(float(z.replace("−", "-"))) < 4.5 for z in shown)


def test_where_there_is_no_exact_value_the_distance_from_the_claim_is_called_that(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("layer,quantity,value,tolerance\nsparsemax:n=5,std_y,0.75,0.3\n")
    (line, why, *_) = cli("verify", "a.csv", "-n", "20000").out.splitlines()
    assert "claimed 0.75 ± 0.3, sampled 0.31" in line
    assert "z =" not in line
    (row,) = read_document(cli("verify", "a.csv", "-n", "20000", "--json").out)["results"]
    (check,), (claim,) = row["checks"], row["claims"]
    assert check["z"] is None
    assert f"{abs(check['z_wanted']):.3g}" in line
    assert line.endswith(" standard errors from that")
    assert (claim["tolerance"], claim["grade"], claim["verdict"]) == (0.3, "wrong", "refuted")
    assert why.strip().startswith("wrong: sampled 0.31")


def test_a_rule_of_thumb_is_a_note_and_fails_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    claims = (
        "layer,quantity,value,kind\ntanh,gain_rms_y,5/3,rule of thumb\nrelu,std_dx,1/2,moment\n"
    )
    Path("a.csv").write_text(claims.replace("relu,std_dx,1/2,moment\n", ""))
    for format_, part in (
        ("text", "note      a.csv:2:17: tanh 1/rms[y]: claimed 5/3, exact 1.59253742"),
        ("github", "1 constant of 1 layer: 1 not a moment"),
        ("junit", '<testsuite name="bnstats verify" tests="1" failures="0"'),
        ("json", '"grade": "not a moment"'),
    ):
        code, out, err = cli("verify", "a.csv", *QUICK, "--format", format_)
        assert (code, err) == (0, "")
        assert part in out
    Path("a.csv").write_text(claims)
    code, out, _ = cli("verify", "a.csv", *QUICK)
    assert code == 1
    assert out.splitlines()[-1].endswith(": 1 wrong quantity, 1 not a moment")
    Path("a.csv").write_text(claims.replace("rule of thumb", "rule of tumb"))
    code, _, err = cli("verify", "a.csv", *QUICK)
    assert code == 2
    assert err.startswith("error: a.csv:2:21: unknown kind 'rule of tumb'")
    assert "did you mean 'rule of thumb'?" in err


def test_a_file_with_semicolons_is_told_so(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("layer;quantity;value\nrelu;std_y;0,58\n")
    assert cli("verify", "a.csv") == (
        2,
        "",
        "error: a.csv: the fields are separated by semicolons\n"
        "hint:  commas separate fields, and a point decimals: relu,std_y,0.58\n",
    )


def test_text_says_where_each_value_stands_that_did_not_pass(cli: Cli, mine: Path) -> None:
    Path("other.toml").write_text(MINE.replace("0.2123", "0.2124").replace("1/4 + 2.5e-13", "0.25"))
    out = cli("verify", mine, "other.toml", *QUICK).out
    heads = [" ".join(line.split()[:2]) for line in out.splitlines()[:-2] if line[0] != " "]
    assert [head for head in heads if not head.startswith("hint:")] == [
        "ok sigmoid",
        "FAIL sub/mine.toml:10:9:",
        "FAIL sub/mine.toml:14:9:",
        "undecided sub/mine.toml:18:9:",
        "ok sigmoid",
        "FAIL other.toml:10:9:",
        "FAIL other.toml:14:9:",
        "ok max_pool2d:kernel_size=3,stride=2",
    ]


def test_an_error_too_small_for_the_draws_is_shown_by_the_exact_value(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("layer,quantity,value\nmax_pool2d:kernel_size=2,mean_y,1.0291\n")
    out = cli("verify", "a.csv", *QUICK).out.splitlines()
    assert out[0].startswith("FAIL      a.csv:2:33: max_pool2d:kernel_size=2 E[y]: claimed 1.0291")
    assert out[2] == "hint:     bnstats exact max_pool2d:kernel_size=2 --quantity mean_y"
    assert "1.02937" in cli(*out[2].split()[2:]).out


def test_json_says_where(cli: Cli, mine: Path) -> None:
    document = read_document(cli("verify", mine, "--json", *QUICK).out)
    places = {(c["file"], c["line"]) for row in document["results"] for c in row["checks"]}
    assert places == {("sub/mine.toml", line) for line in (5, 10, 14, 18)}
    document = read_document(cli("verify", "feng2016-repost", "--json", *QUICK).out)
    places = {(c["file"], c["line"]) for row in document["results"] for c in row["checks"]}
    assert places == {(None, None)}


# --- GitHub ------------------------------------------------------------------------------------


def read_command(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as the runner does: properties up to the next ::, %-escapes last."""
    match = re.fullmatch(r"::(\w+)(?: ([^\r\n]*?))?::([^\r\n]*)", line)
    assert match, line
    pairs = [pair.split("=", 1) for pair in (match[2] or "").split(",") if pair]
    return match[1], {key: unescaped(value) for key, value in pairs}, unescaped(match[3])


def unescaped(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")):
        text = text.replace(code, character)
    return text.replace("%25", "%")


@given(st.text(), st.dictionaries(st.sampled_from(["file", "title"]), st.text()))
def test_a_workflow_command_is_one_line_that_reads_back(
    text: str, properties: dict[str, str]
) -> None:
    line = command("error", text, properties)
    assert "\n" not in line
    assert "\r" not in line
    level, found, body = read_command(line)
    assert level == "error"
    # %0A in the text itself is written as %250A; the runner's naive order reads both back.
    if "%" not in text + "".join(properties.values()):
        assert body == text
        assert found == properties


def test_a_percent_sign_is_escaped_before_the_others() -> None:
    assert command("error", "5 %\n%0A", {"file": "a:b,c%\r"}) == (
        "::error file=a%3Ab%2Cc%25%0D::5 %25%0A%250A"
    )


def test_github_annotates_the_line_of_each_value_that_did_not_pass(cli: Cli, mine: Path) -> None:
    code, out, err = cli("verify", mine, "--format", "github", "--seed", "3", *QUICK)
    assert (code, err) == (1, "")
    *lines, last = out.splitlines()
    assert last == "4 constants of 2 layers: 1 reproduced, 2 wrong, 1 undecided"
    commands = [read_command(line) for line in lines]
    heads = [(level, p["file"], p["line"], p["title"]) for level, p, _ in commands]
    assert heads == [
        ("error", "sub/mine.toml", "10", "sigmoid std_dx: wrong"),
        (
            "error",
            "sub/mine.toml",
            "14",
            "max_pool2d:kernel_size=3,stride=2 std_dx: wrong",
        ),
        ("warning", "sub/mine.toml", "18", "max_pool2d:kernel_size=3,stride=2 var_dx: undecided"),
    ]
    assert re.fullmatch(
        r"sigmoid σ\[dx\]: claimed 0\.2123, exact 0\.21174570, sampled 0\.21\d+\(\d+\), "
        # z is that of the exact value: 20,000 draws do not see an error of 0.3 %
        r"z = \+1\.\d\d; "
        r"wrong: 0\.2117; 3 digits right; to reproduce: bnstats exact sigmoid --quantity std_dx",
        commands[0][2],
    )
    assert "is not known to enough digits" in commands[2][2]


def test_github_looks_for_files_from_the_root_of_the_repository(
    cli: Cli, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path.cwd()
    monkeypatch.chdir("sub")
    for workspace, wanted in ((str(root), "sub/mine.toml"), ("/elsewhere", "mine.toml")):
        monkeypatch.setenv("GITHUB_WORKSPACE", workspace)
        out = cli("verify", "mine.toml", "--format", "github", *QUICK).out
        assert read_command(out.splitlines()[0])[1]["file"] == wanted


def cells(row: str) -> list[str]:
    """Return the cells of a Markdown table's row; an escaped | is part of a cell."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def test_the_summary_is_appended_to_what_other_steps_wrote(
    cli: Cli, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    cli("verify", mine, *QUICK)
    assert path.read_text() == "# before\n"  # text is not for GitHub
    cli("verify", mine, "--format", "github", *QUICK)
    cli("verify", mine, "--format", "github", "-n", "1e5")
    text = path.read_text("utf-8")
    assert text.startswith("# before\n## bnstats verify\n")
    assert text.count("## bnstats verify\n\n4 constants of 2 layers: 1 reproduced, 2 wrong,") == 2
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 * 5
    assert {len(cells(row)) for row in table} == {9}
    header, _, first, second, third = table[:5]
    row = dict(zip(cells(header), cells(first), strict=True))
    assert (row[""], row["layer"], row["quantity"]) == ("wrong", "`sigmoid`", "σ[dx]")
    assert (row["wanted"], row["exact"]) == ("`0.2123`", "0.21174570")
    assert row["reproduce"] == "`bnstats exact sigmoid --quantity std_dx`"
    assert cells(second)[0] == "wrong"
    assert cells(third)[0] == "undecided"


def test_a_summary_stays_below_what_github_accepts(tmp_path: Path) -> None:
    check = Check("relu", "std_dx", "fail", "0.5", reason="a|b " * 40, command="bnstats compute x")
    text = github.markdown([check] * 5000)
    assert len(text.encode()) < 2**20
    assert "and 4,000 rows more, in the log" in text
    assert {len(cells(line)) for line in text.splitlines() if line.startswith("|")} == {9}
    assert "rows more" not in github.markdown([check] * 1000)


def test_a_summary_that_cannot_be_written_is_the_machines_fault(
    cli: Cli, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    code, out, err = cli("verify", mine, "--format", "github", *QUICK)
    assert (code, err) == (4, f"error: cannot write {tmp_path}: Is a directory\n")
    assert out.splitlines()[-1].startswith("::error title=bnstats::error: cannot write ")


# --- JUnit -------------------------------------------------------------------------------------

# The structure that CI systems agree on (Jenkins' junit-10.xsd, its required attributes).
ATTRIBUTES = {
    "testsuites": set(),
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "testcase": {"classname", "name"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "skipped"},
}


def read_junit(text: str) -> list[tuple[str, str, str, str]]:
    """Validate JUnit XML and return each case: class, name, what became of it and what it says."""
    assert text.startswith("<?xml version='1.0' encoding='us-ascii'?>\n")
    root = ElementTree.fromstring(text.encode("ascii"))
    assert root.tag == "testsuites"
    (suite,) = root
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    found = []
    for case in suite:
        assert len(case) <= 1
        kind, body = (case[0].tag, case[0].text or "") if len(case) else ("", "")
        found.append((case.attrib["classname"], case.attrib["name"], kind, body))
    assert int(suite.attrib["tests"]) == len(found)
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[attribute]) == sum(row[2] == kind for row in found)
    return found


@pytest.mark.parametrize(
    ("argv", "doubt", "code"), [((), "error", 1), (("--allow-undecided",), "skipped", 1)]
)
def test_junit_of_a_file(cli: Cli, mine: Path, argv: Sequence[str], doubt: str, code: int) -> None:
    outcome = cli("verify", mine, "--format", "junit", *argv, *QUICK)
    assert (outcome.code, outcome.err) == (code, "")
    cases = read_junit(outcome.out)
    assert [case[:3] for case in cases] == [
        ("sub/mine.toml", "sigmoid std_y", ""),
        ("sub/mine.toml", "sigmoid std_dx", "failure"),
        ("sub/mine.toml", "max_pool2d:kernel_size=3,stride=2 std_dx", "failure"),
        ("sub/mine.toml", "max_pool2d:kernel_size=3,stride=2 var_dx", doubt),
    ]
    assert cases[1][3].startswith("sub/mine.toml:10: sigmoid σ[dx]: claimed 0.2123, exact 0.2117")
    assert cases[1][3].endswith("; to reproduce: bnstats exact sigmoid --quantity std_dx")


def test_junit_of_a_set_and_of_an_ascii_terminal() -> None:
    argv = ("verify", "feng2016-repost", "--format", "junit", *QUICK)
    outcome = spawn(*argv, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert outcome.code == 1
    cases = read_junit(outcome.out)
    assert [case[0] for case in cases] == ["feng2016-repost"] * 3
    assert "relu σ[dx]: claimed 1/2" in cases[0][3]


@pytest.fixture(scope="module")
def refuted() -> Check:
    return verify("feng2016-repost", VerifySettings(samples=1000))[0]


@given(
    plain=st.text(),
    nasty=st.text(alphabet=[*map(chr, range(0x20)), "\x7f", "\ud800", "\ufffe", "\uffff"]),
)
def test_junit_holds_whatever_xml_forbids(refuted: Check, plain: str, nasty: str) -> None:
    text = f"<&\"']]>{plain}{nasty}"
    place = Place(Path("a" + text.replace("\0", "")), 3)
    check = replace(refuted, reason=text, wanted=text, place=place)
    ((classname, _, kind, body),) = read_junit(junit([check]))
    assert kind == "failure"
    wanted = "".join(c if legal(c) else repr(c)[1:-1] for c in text)
    # XML readers turn every end of a line into \n.
    assert re.sub("\r\n?", "\n", wanted) in body
    assert classname.startswith("a<&\"']]>")


def legal(c: str) -> bool:
    """Whether XML 1.0 allows a character, by its production [2] Char."""
    number = ord(c)
    ranges = ((0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    return number in (9, 10, 13) or any(low <= number <= high for low, high in ranges)


@pytest.mark.parametrize(
    ("character", "written"),
    [("\x1b", "\\x1b"), ("\x00", "\\x00"), ("\ufffe", "\\ufffe"), ("\ud800", "\\ud800")],
)
def test_a_character_that_xml_forbids_is_spelt_out(character: str, written: str) -> None:
    check = Check("relu", "std_dx", "fail", "1", reason=f"a{character}b\U0001f600\t")
    assert f"a{written}b\U0001f600\t" in read_junit(junit([check]))[0][3]


# --- errors ------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_said_in_every_format(cli: Cli, mine: Path) -> None:
    mine.write_text(MINE.replace("0.2123", "0.21a"))
    said = "sub/mine.toml:10:9: value '0.21a' is not a number   (layer = \"sigmoid\")"
    code, out, err = cli("verify", mine, "--format", "github")
    assert (code, err) == (2, f"error: {said}\n")
    assert [read_command(line) for line in out.splitlines()] == [
        ("error", {"title": "bnstats"}, f"error: {said}")
    ]
    code, out, err = cli("verify", mine, "--format=junit")
    assert (code, err) == (2, f"error: {said}\n")
    assert read_junit(out) == [("bnstats", "verify", "error", f"error: {said}")]

"""Bad input: its message, its hint, its exit code, and never a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from cli_support import COMMAND, Cli, environment, read_document

from bnstats import api
from bnstats.cli import exact_, list_
from bnstats.cli.interrupt import interruptible
from bnstats.cli.main import main, wants_json
from bnstats.runs import drawing

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


NEEDS_KERNEL = """\
error: max_pool2d needs kernel_size
hint:  e.g. max_pool2d:kernel_size=2  (bnstats show max_pool2d)
"""
NO_KERNAL = """\
error: max_pool2d has no parameter 'kernal_size'
       max_pool2d:kernal_size=3
                  ^^^^^^^^^^^
hint:  did you mean 'kernel_size'?  parameters: kernel_size, stride, padding, dilation, ceil_mode, input_size, region  (bnstats show max_pool2d)
"""  # noqa: E501
COUNT = "is not a count such as 1e7, 10M or 2**24"
SAMPLES = "Invalid value for '-n' / '--samples'"
HELP = "hint:  bnstats compute --help\n"

# Options; the whole of stderr.
TABLE: list[tuple[str, list[str], str]] = [
    (
        "unknown command",
        ["comptue", "relu"],
        "error: unknown command 'comptue'\nhint:  did you mean 'compute'?\n",
    ),
    (
        "no such command",
        ["xyz"],
        "error: unknown command 'xyz'\n"
        "hint:  commands: compute, exact, sweep, critical, propagate, table, verify, merge, "
        "list, show, completion, help, version\n",
    ),
    (
        "control characters",
        ["\x1b[31mred"],
        "error: unknown command '\\x1b[31mred'\n"
        "hint:  commands: compute, exact, sweep, critical, propagate, table, verify, merge, "
        "list, show, completion, help, version\n",
    ),
    (
        "unknown layer",
        ["compute", "sigmiod"],
        "error: unknown layer 'sigmiod'\nhint:  did you mean 'sigmoid'?  (bnstats list layers)\n",
    ),
    (
        "nothing like a layer",
        ["exact", "qqq"],
        "error: unknown layer 'qqq'\nhint:  bnstats list layers\n",
    ),
    ("no layer", ["compute"], f"error: Missing argument 'SPEC...'\n{HELP}"),
    ("empty layer", ["compute", ""], "error: unknown layer ''\nhint:  bnstats list layers\n"),
    ("missing parameter", ["compute", "max_pool2d"], NEEDS_KERNEL),
    ("unknown parameter", ["compute", "max_pool2d:kernal_size=3"], NO_KERNAL),
    (
        "parameter of a layer without any",
        ["exact", "sigmoid:beta=1"],
        "error: sigmoid has no parameter 'beta'\n       sigmoid:beta=1\n               ^^^^\n"
        "hint:  sigmoid takes no parameters\n",
    ),
    (
        "no value",
        ["exact", "elu:alpha"],
        "error: elu: expected key=value\n       elu:alpha\n           ^^^^^\n"
        "hint:  parameters: alpha  (bnstats show elu)\n",
    ),
    (
        "twice",
        ["compute", "elu:alpha=1,alpha=2"],
        "error: elu: parameter 'alpha' is given twice\n       elu:alpha=1,alpha=2\n"
        "                   ^^^^^\n",
    ),
    (
        "not a size",
        ["compute", "max_pool2d:kernel_size=a"],
        "error: max_pool2d: kernel_size=a is not a size such as 3 or 3x3\n",
    ),
    ("not a number", ["compute", "elu:alpha=x"], "error: elu: alpha=x is not a number\n"),
    (
        "not a whole number",
        ["compute", "linear:in_features=2.5"],
        "error: linear: in_features=2.5 is not a whole number below 10^9\n",
    ),
    (
        "not a choice",
        ["compute", "gelu:approximate=erf"],
        "error: gelu: approximate=erf is not one of none, tanh\n",
    ),
    (
        "not true or false",
        ["compute", "avg_pool2d:kernel_size=2,count_include_pad=1"],
        "error: avg_pool2d: count_include_pad=1 is not true or false\n",
    ),
    ("p = 1.5", ["compute", "dropout:p=1.5"], "error: dropout: p=1.5 is outside [0, 1]\n"),
    (
        "rate = 1",
        ["exact", "gaussian_dropout:rate=1"],
        "error: gaussian_dropout: rate=1 is outside [0, 1)\n",
    ),
    (
        "stride = 0",
        ["compute", "max_pool2d:kernel_size=2,stride=0"],
        "error: max_pool2d: stride=0 is outside [1, inf)\n",
    ),
    (
        "padding beyond torch's",
        ["compute", "max_pool2d:kernel_size=3,padding=2"],
        "error: max_pool2d: padding=2 is more than half of kernel_size=3\n"
        "       max_pool2d:kernel_size=3,padding=2\nhint:  bnstats show max_pool2d\n",
    ),
    (
        "kernel beyond the input",
        ["exact", "avg_pool2d:kernel_size=5,input_size=2"],
        "error: avg_pool2d: kernel_size=5 is larger than the padded input, 2\n"
        "       avg_pool2d:kernel_size=5,input_size=2\nhint:  bnstats show avg_pool2d\n",
    ),
    (
        "a long spec",
        ["compute", "relu:" + "a" * 2000],
        "error: a layer spec of 2005 characters; the limit is 1000\n",
    ),
    *(
        (f"-n {text}", ["compute", "relu", "-n", text], f"error: {SAMPLES}: {why}\n{HELP}")
        for text, why in [
            ("0", "'0' is outside 1 to 1e18"),
            ("-1", "'-1' is outside 1 to 1e18"),
            ("1e30", "'1e30' is outside 1 to 1e18"),
            ("1e999", "'1e999' is outside 1 to 1e18"),
            ("abc", f"'abc' {COUNT}"),
            ("1.5", f"'1.5' {COUNT}"),
            ("", f"'' {COUNT}"),
            ("nan", f"'nan' {COUNT}"),
            ("9**99", "'9**99' is outside 1 to 1e18"),
            ("٣", f"'٣' {COUNT}"),
        ]
    ),
    *(
        (
            f"--confidence {text}",
            ["compute", "relu", "--confidence", text],
            f"error: Invalid value for '--confidence': {shown} is not in the range 0<x<1\n{HELP}",
        )
        for text, shown in [("0", "0.0"), ("1", "1.0"), ("2", "2.0"), ("nan", "nan")]
    ),
    *(
        (
            f"{command} --x-std {text}",
            [command, "relu", "--x-std", text],
            f"error: x-std {shown} is not a positive number\n",
        )
        for command in ("compute", "exact")
        for text, shown in [("0", "0.0"), ("-1", "-1.0"), ("1/3-1/3", "0.0"), ("inf", "inf")]
    ),
    *(
        (
            f"exact {option} {text}",
            ["exact", "relu", option, text],
            f"error: Invalid value for '{option}': '{text}' is not a number such as 0.5 or "
            "sqrt(2)\nhint:  bnstats exact --help\n",
        )
        for option, text in [("--x-std", "nan"), ("--x-mean", "5/0"), ("--dy-std", "sqrt2")]
    ),
    (
        "--dy-std",
        ["compute", "relu", "--dy-std=-2"],
        "error: dy-std -2.0 is not a positive number\n",
    ),
    ("--x-mean", ["exact", "relu", "--x-mean", "inf"], "error: x-mean inf is not finite\n"),
    *(
        (
            f"--seed {text}",
            ["compute", "relu", "--seed", text],
            f"error: Invalid value for '--seed': '{text}' is not a whole number ≥ 0, "
            f"nor 'random'\n{HELP}",
        )
        for text in ("-1", "1.5", "abc", "")
    ),
    (
        "--workers 0",
        ["compute", "relu", "--workers", "0"],
        f"error: Invalid value for '--workers': 0 is not in the range 1<=x<=1024\n{HELP}",
    ),
    (
        "unknown option",
        ["compute", "relu", "--sampels", "3"],
        "error: no such option '--sampels'\nhint:  did you mean '--samples'?\n",
    ),
    *(
        (
            f"a name taken for options: {name}",
            ["compute", "relu", "--x-mean=-1.5", name],
            f"error: no such option '{name}'\n"
            "hint:  a name that begins with - stands after options and --:  "
            f"bnstats compute -- {name}\n",
        )
        for name in ("-relu", "-my.acts:f", "-vq-a", "--my.acts:f")
    ),
    *(
        (
            f"no name: {option}",
            ["compute", "relu", "--x-mean=-1.5", option],
            f"error: no such option '{option}'\n{HELP}",
        )
        for option in ("-x", "--zzzzzzzz")
    ),
    (
        "option of other commands",
        ["propagate", "linear", "relu", "--backend", "torch"],
        "error: no such option '--backend'\n"
        "hint:  it is an option of compute and verify  (bnstats propagate --help)\n",
    ),
    (
        "unknown format",
        ["compute", "relu", "--format", "yaml"],
        "error: Invalid value for '--format': 'yaml' is not one of "
        f"'text', 'json', 'csv', 'markdown', 'latex'\n{HELP}",
    ),
    (
        "export to a missing directory",
        ["compute", "relu", "--export", "no/x.json"],
        "error: cannot write no/x.json: no such directory: no\n",
    ),
    (
        "export to a directory",
        ["exact", "relu", "--export", "dir.json"],
        "error: cannot write dir.json: it is a directory\n",
    ),
    (
        "export below a file",
        ["exact", "relu", "--export", "file.txt/x.json"],
        "error: cannot write file.txt/x.json: no such directory: file.txt\n",
    ),
    (
        "export of no known kind",
        ["compute", "relu", "--export", "x.pdf"],
        "error: cannot tell the format of 'x.pdf'\n"
        "hint:  a file ends in .txt, .json, .csv, .md, .tex\n",
    ),
    (
        "no results here",
        ["verify"],
        "error: nothing to verify: no pyproject.toml names claims, no results/constants.json is "
        'here\nhint:  bnstats verify FILE, or [tool.bnstats] claims = ["FILE"] in pyproject.toml\n',
    ),
    (
        "no tables here",
        ["table", "constants", "--check", "--out", "a b"],
        "error: no a b/constants.json here\nhint:  bnstats table --out 'a b' makes one\n",
    ),
    (
        "no directory for tables",
        ["table", "constants", "-n", "10", "--out", "/dev/null/tables"],
        "error: cannot make the directory /dev/null/tables: Not a directory\n",
    ),
    (
        "unknown table",
        ["table", "constant"],
        "error: unknown table 'constant'\nhint:  tables: constants, published, networks\n",
    ),
    (
        "unknown claim set",
        ["verify", "feng2061"],
        "error: unknown claim set 'feng2061'\n"
        "hint:  did you mean 'feng2016'?  (bnstats list claims)\n",
    ),
    (
        "--family-error nan",
        ["verify", "feng2016", "--family-error", "nan"],
        "error: Invalid value for '--family-error': nan is not in the range 0<x<1\n"
        "hint:  bnstats verify --help\n",
    ),
    (
        "unknown page",
        ["show", "sigmod"],
        "error: unknown layer 'sigmod'\nhint:  did you mean 'sigmoid'?  (bnstats list layers)\n",
    ),
    (
        "nearly a claim set",
        ["show", "feng"],
        "error: no layer or claim set 'feng'\nhint:  did you mean 'feng2016'?\n",
    ),
    (
        "unknown shell",
        ["completion", "tcsh"],
        "error: Invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'\n"
        "hint:  bnstats completion --help\n",
    ),
    (
        "no shell",
        ["completion"],
        "error: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\n"
        "hint:  bnstats completion --help\n",
    ),
    (
        "a layer in place of a claim set",
        ["verify", "relu"],
        "error: unknown claim set 'relu'\n"
        "hint:  it is a layer, of which bnstats show relu tells the claims\n",
    ),
    (
        "a file to import",
        ["compute", "relu", "--import", "acts.py"],
        "error: 'acts.py' names a file\nhint:  name the module: acts\n",
    ),
]
IDS = [name for name, _, _ in TABLE]


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir.json").mkdir()
    (tmp_path / "file.txt").touch()


def fails(cli: Cli, *argv: str, code: int = 2) -> str:
    """Return stderr of a call that fails, after the same call with --json."""
    outcome = cli(*argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert "Traceback" not in outcome.err
    again = cli(*argv, "--json")
    found = read_document(again.out)
    assert (again.code, found["status"]) == (found["error"]["exit_code"], "failed")
    assert found["provenance"]["argv"] == [*argv, "--json"]
    assert found["results"] == []
    if argv[0] in ("compute", "exact", "verify"):  # the others have no --json
        lines = again.err.splitlines()
        assert again.code == code
        assert again.err == outcome.err or code == 70  # each bug has a file of its own
        assert f"error: {found['error']['message']}" == lines[0]
        hint = [line.removeprefix("hint:  ") for line in lines if line.startswith("hint:")]
        assert hint == ([found["error"]["hint"]] if found["error"]["hint"] else [])
    return outcome.err


@pytest.mark.parametrize(("argv", "stderr"), [row[1:] for row in TABLE], ids=IDS)
def test_bad_input(cli: Cli, argv: list[str], stderr: str) -> None:
    assert fails(cli, *argv) == stderr
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["dir.json", "file.txt"]


@pytest.mark.parametrize(
    ("command", "option", "format_"),
    [
        ("exact", "--format", "csv"),
        ("compute", "--format", "latex"),
        ("verify", "--format", "junit"),
    ],
)
def test_two_formats_at_once(cli: Cli, command: str, option: str, format_: str) -> None:
    code, out, err = cli(command, "relu", f"{option}={format_}", "--json")
    message = f"--json does not go with {option} {format_}"
    assert (code, err) == (2, f"error: {message}\nhint:  bnstats {command} --help\n")
    assert read_document(out)["error"]["message"] == message
    again = cli("exact", "relu", "--format=json", "--json")
    assert again.code == 0


def test_an_option_without_its_value_names_the_commands_help(cli: Cli) -> None:
    code, out, err = cli("verify", "feng2016", "--import")
    assert (code, out) == (2, "")
    assert err == "error: Option '--import' requires an argument\nhint:  bnstats verify --help\n"


def test_no_arguments_at_all_are_a_cry_for_help(cli: Cli) -> None:
    code, out, err = cli()
    assert (code, err) == (2, "")
    assert out == cli("--help").out
    # The examples stay as they are typed.
    assert "\n    bnstats compute sigmoid\n    bnstats compute max_pool2d:" in out


CLAIM = '[[claim]]\nlayer = "sigmoid"\nquantity = "std_dx"\nvalue = "0.2117"\n'
FIELDS = (
    "hint:  fields: layer, quantity, value, tolerance, samples, kind, source, copies, remark, "
    "x_mean, x_std, dy_std, over, find\n"
)
SIGMOID = '   (layer = "sigmoid")\n'


@pytest.mark.parametrize(
    ("name", "content", "stderr"),
    [
        ("a.toml", None, "no such file: a.toml\nhint:  bnstats list claims\n"),
        (
            "a.toml",
            b"",
            'a.toml holds no claims\nhint:  e.g. claim = [{layer = "sigmoid", quantity = "std_dx", '
            'value = "0.21175"}]\n',
        ),
        ("a.json", b"[]", "a.json holds no claims\n"),
        ("a.csv", b"layer,quantity,value\n", "a.csv holds no claims\n"),
        ("a.csv", b"\x7fELF\x00\xff\xfe\x80", "a.csv is not UTF-8 text\n"),
        ("a.yaml", b"a: 1", "a.yaml: a claims file ends in .toml, .json, .csv or .py\n"),
        (
            "a.toml",
            CLAIM.encode()[:-10],
            "a.toml cannot be parsed: Invalid value (at end of document)\n",
        ),
        (
            "a.toml",
            (CLAIM + CLAIM.replace("sigmoid", "logistic")).encode(),
            "a.toml:6:9: repeats claim 1   (sigmoid, std_dx)\n"
            "hint:  keep one of them, or name the source of each\n",
        ),
        (
            "a.toml",
            CLAIM.replace("std_dx", "sdt_dx").encode(),
            f"a.toml:3:12: unknown quantity 'sdt_dx'{SIGMOID}"
            "hint:  did you mean std_dx, σ[dx]?  (bnstats help quantities)\n",
        ),
        (
            "a.toml",
            CLAIM.replace("0.2117", "0.21a").encode(),
            f"a.toml:4:9: value '0.21a' is not a number{SIGMOID}",
        ),
        (
            "a.toml",
            CLAIM.replace("sigmoid", "sigmiod").encode(),
            "a.toml:2:9: unknown layer 'sigmiod'\n"
            "hint:  did you mean 'sigmoid'?  (bnstats list layers)\n",
        ),
        (
            "a.toml",
            (CLAIM + "colour = 3\n").encode(),
            f"a.toml:5:10: unknown field 'colour'\n{FIELDS}",
        ),
        # What would be ignored, and so never checked.
        (
            "a.toml",
            (CLAIM + CLAIM.replace("[claim]", "[claims]")).encode(),
            "a.toml: unknown key 'claims'\n"
            "hint:  did you mean 'claim'?  keys: claim, title, url, convention\n",
        ),
        (
            "a.toml",
            (CLAIM + CLAIM.replace("[[claim]]", "[Claim]")).encode(),
            "a.toml: unknown key 'Claim'\n"
            "hint:  did you mean 'claim'?  keys: claim, title, url, convention\n",
        ),
        (
            "a.json",
            b'{"claim": [{"layer": "relu", "quantity": "std_y", "value": "0.9"}], "claim": []}',
            "a.json cannot be parsed: 'claim' stands twice in one object\n",
        ),
        (
            "a.json",
            b'[{"layer": "relu", "quantity": "std_dx", "value": "0.9", "value": "0.7071"}]',
            "a.json cannot be parsed: 'value' stands twice in one object\n",
        ),
        (
            "a.json",
            b'[{"layer": "relu", "quantity": "std_y"}]',
            "a.json:1:12: field 'value' is missing\n",
        ),
    ],
)
def test_bad_claims_file(cli: Cli, name: str, content: bytes | None, stderr: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert fails(cli, "verify", name) == f"error: {stderr}"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": "bnstats/1", "results": [{}]}', b"\xff\x00"]
)
def test_bad_results_document(cli: Cli, content: bytes) -> None:
    Path("results").mkdir()
    Path("results/constants.json").write_bytes(content)
    wanted = (
        "error: results/constants.json is not a results document of bnstats\n"
        "hint:  bnstats table makes one\n"
    )
    assert fails(cli, "verify") == wanted
    assert cli("table", "constants", "--check") == (2, "", wanted)


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["compute", "x", "--json"], True),
        (["compute", "x", "--format", "json"], True),
        (["compute", "x", "--format=json"], True),
        (["verify", "--format", "json"], True),
        (["compute", "x", "--format", "csv"], False),
        (["compute", "json"], False),
    ],
)
def test_what_counts_as_asking_for_json(cli: Cli, argv: list[str], wanted: bool) -> None:
    assert wants_json(argv) == wanted


# Bugs


def boom(*args: object, **kwargs: object) -> None:
    raise RuntimeError("boom")


def test_an_internal_error_leaves_a_traceback_in_a_file_only(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(logs))
    monkeypatch.setattr(api, "exact", boom)
    err = fails(cli, "exact", "relu", code=70)
    first, second = err.splitlines()
    assert first == "error: internal error, a bug in bnstats"
    assert second.startswith("hint:  the traceback is in ")
    log = Path(second.removeprefix("hint:  the traceback is in "))
    assert log.parent == logs
    assert log.read_text().splitlines()[0] == "Traceback (most recent call last):"
    assert log.read_text().splitlines()[-1] == "RuntimeError: boom"
    verbose = cli("-v", "exact", "relu")
    assert verbose.code == 70
    assert "Traceback" in verbose.err
    assert "RuntimeError: boom" in verbose.err


def test_an_internal_error_is_told_where_no_file_can_be_left(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("no usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(api, "exact", boom)
    err = fails(cli, "exact", "relu", code=70)
    assert err.splitlines()[1] == "hint:  bnstats -v … shows the traceback"


def test_out_of_memory_is_the_machine_s(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(drawing, "sample", full)
    code, out, err = cli("compute", "relu")
    assert (code, out) == (4, "")
    assert err.startswith("error: out of memory\nhint:  fewer --workers")


# Interrupts; the first Ctrl-C of a running program is in test_cli_compute.py.


def test_the_second_ctrl_c_leaves_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as pressed:
        assert not pressed()
        os.kill(os.getpid(), signal.SIGINT)
        assert pressed()
        assert "once more to leave at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


class _InterruptedWhileWriting(io.FileIO):
    def write(self, data: ReadableBuffer) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return super().write(data)


def test_ctrl_c_while_the_progress_bar_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stderr"
    raw = _InterruptedWhileWriting(file, "w")
    stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", stream)
    with interruptible() as pressed:
        print("the bar", file=sys.stderr, flush=True)
        assert pressed()
    monkeypatch.undo()
    raw.close()
    written = file.read_text(encoding="utf-8")
    assert "the bar" in written
    assert "once more to leave at once" in written


def test_leaving_at_once_is_130_and_still_one_document(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*args: object, **kwargs: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still here")

    monkeypatch.setattr(drawing, "sample", twice)
    code, out, err = cli("compute", "relu")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    code, out, _ = cli("compute", "relu", "--json")
    assert code == 130
    assert read_document(out)["status"] == "interrupted"


@pytest.mark.parametrize("argv", [["compute", "relu"], ["compute", "relu", "--get", "std_y.value"]])
def test_interrupted_before_the_first_chunk(
    cli: Cli, argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = drawing.sample

    def at_once(*args: object, **kwargs: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return true(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(drawing, "sample", at_once)
    code, out, err = cli(*argv, "-n", "1e12")
    assert (code, out) == (130, "")
    assert "interrupted" in err
    if len(argv) == 2:
        assert read_document(cli(*argv, "-n", "1e12", "--json").out)["status"] == "interrupted"


@pytest.mark.parametrize(
    "argv", [["verify", "feng2016"], ["table", "constants", "--check"], ["table"]]
)
def test_long_work_over_many_layers_can_be_interrupted(
    cli: Cli, argv: list[str], few_claims: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnstats.tables import constants
    from bnstats.verification import gate

    Path("results").mkdir()
    monkeypatch.setattr(constants, "table_specs", lambda: ("relu", "tanh"))
    assert cli("table", "constants", "-n", "1000").code == 0
    files = {p.name: p.read_bytes() for p in Path("results").iterdir()}
    true = gate.sample
    calls: list[object] = []

    def once(*args: object, **kwargs: object) -> object:
        calls.append(args)
        os.kill(os.getpid(), signal.SIGINT)
        return true(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "sample", once)
    monkeypatch.setattr(constants, "sample", once)
    code, _, err = cli(*argv, "-n", "1000")
    assert (code, len(calls)) == (130, 1)
    assert err.splitlines()[-1].startswith("interrupted: ")
    assert {p.name: p.read_bytes() for p in Path("results").iterdir()} == files
    if argv[0] == "verify":
        assert read_document(cli(*argv, "-n", "1000", "--json").out)["status"] == "interrupted"


# Streams


def call(*argv: str, **streams: object) -> tuple[int, bytes]:
    """Run the program with odd streams; return its exit code and stderr."""
    done = subprocess.run(
        [*COMMAND, *argv],
        env=environment(),
        timeout=60,
        check=False,
        stderr=subprocess.PIPE,
        **streams,  # type: ignore[call-overload]
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["list"],
        ["--help"],
        ["compute", "relu", "-n", "1000"],
        ["compute", "relu", "-n", "1000", "--json"],
        ["completion", "bash"],
    ],
)
def test_a_closed_pipe_is_141_and_silent(argv: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert call(*argv, stdout=writing) == (141, b"")
    finally:
        os.close(writing)


def test_a_closed_pipe_while_failing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code, err = call("compute", "nope", "--json", stdout=writing)
    finally:
        os.close(writing)
    assert code == 141
    assert err == b"error: unknown layer 'nope'\nhint:  bnstats list layers\n"


@pytest.mark.parametrize(("windows", "code"), [(True, 141), (False, 70)])
def test_a_closed_pipe_of_windows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, windows: bool, code: int
) -> None:
    def refuse(*args: object, **options: object) -> None:
        if not options.get("err"):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # of the log of a bug
    monkeypatch.setattr("click.echo", refuse)
    monkeypatch.setattr("bnstats.cli.main._abandon_stdout", lambda: None)
    if windows:
        monkeypatch.setattr("bnstats.cli.main._PIPE_ERRORS", {errno.EPIPE, errno.EINVAL})
    assert main(["exact", "relu"]) == code


def test_a_reader_that_leaves_early() -> None:
    script = '"$@" | head -n 1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, "exact", *["relu"], "--json"],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (done.returncode in (0, 141), done.stdout, done.stderr) == (True, b"{\n", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_4() -> None:
    with Path("/dev/full").open("wb") as full:
        code, err = call("compute", "relu", "-n", "1000", stdout=full)
    assert (code, err) == (4, b"error: cannot write to stdout: No space left on device\n")


def test_closed_streams_break_nothing() -> None:
    script = '"$@" >&- 2>&-'
    for argv, code in ((["compute", "relu", "-n", "100"], 0), (["compute", "nope"], 2)):
        done = subprocess.run(
            ["bash", "-c", script, "bash", *COMMAND, *argv],
            env=environment(),
            timeout=60,
            check=False,
        )
        assert done.returncode == code


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-16"])
@pytest.mark.parametrize(
    "argv", [("compute", "sigmoid", "-n", "1e4"), ("list", "layers"), ("show", "gelu"), ("verify",)]
)
def test_what_an_encoding_lacks_is_spelt(
    monkeypatch: pytest.MonkeyPatch, encoding: str, argv: tuple[str, ...]
) -> None:
    monkeypatch.chdir("/")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding))
    main(list(argv))
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in (sys.stdout, sys.stderr))
    assert "?" not in out + err
    if argv[0] == "compute":
        assert "[-0." in out or "[−0." in out
        (std,) = (line for line in out.splitlines() if "0.20827634 " in line)
        (mean,) = (line for line in out.splitlines() if "E[y]  " in line and "exact" not in line)
        assert std.split()[0] == ("σ[y]" if encoding in ("cp437", "utf-16") else "sigma[y]")
        assert mean.index("0.5 ") == std.index("0.2082763"), "columns are still straight"


def test_a_user_function_that_prints_spoils_nothing(cli: Cli, tmp_path: Path) -> None:
    Path("talks.py").write_text("def f(x):\n    print('hello')\n    return 2 * x\n")
    Path("a.csv").write_text("layer,quantity,value\ntalks:f,std_dx,2.0\n")
    for argv in (
        ("exact", "talks:f", "--get", "std_dx.exact.value"),
        ("compute", "talks:f", "-n", "2000", "--get", "samples"),
    ):
        code, out, err = cli(*argv)
        assert (code, err.count("hello") > 0) == (0, True)
        float(out)
    for format_ in ("json", "csv"):
        code, out, _ = cli("compute", "talks:f", "-n", "2000", "--format", format_)
        assert (code, "hello" in out) == (0, False)
    for argv in (("--json",), ("--format", "junit"), ("--diff",)):
        code, out, err = cli("verify", "a.csv", "--import", "talks:f", *argv, "-n", "2000")
        assert (code, "hello" in out, "hello" in err) == (0, False, True)
    sys.modules.pop("talks")


@pytest.mark.parametrize(
    ("argv", "encodings"),
    [
        (("list", "--json"), ("cp1252",)),
        (("exact", "nöpe:√=𝜎", "--json"), ("cp1252", "ascii", "utf-16")),
    ],
)
def test_json_is_utf_8_where_stdout_is_not(
    argv: tuple[str, ...], encodings: tuple[str, ...]
) -> None:
    def printed(encoding: str) -> bytes:
        return subprocess.run(
            [*COMMAND, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
            timeout=60,
            check=False,
        ).stdout

    wanted = printed("utf8")
    assert not wanted.isascii()
    for encoding in encodings:
        assert printed(encoding) == wanted


def test_commands_return_codes_and_do_not_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    # main is called from Python, too: it returns and never raises SystemExit.
    for module in (exact_, list_):
        assert isinstance(module.command, click.Command)
    monkeypatch.setattr(sys, "argv", ["bnstats", "exact", "nope"])
    assert main() == 2
    assert main(["--version"]) == 0
    assert main(["compute", "--help"]) == 0


def test_odd_paths_are_refused_at_once(cli: Cli) -> None:
    os.mkfifo("pipe.toml")
    long = "x" * 300
    for argv in (
        ("verify", "pipe.toml"),
        ("verify", f"{long}.toml"),
        ("table", "constants", "--out", long),
        ("compute", "relu", "-n", 10, "--export", f"{long}.json"),
        ("verify", "/dev/zero"),
    ):
        code, out, err = cli(*argv)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")


def test_a_document_without_samples_is_no_table(cli: Cli, few_claims: None) -> None:
    cli("exact", "sigmoid", "--export", "constants.json")
    code, _, err = cli("table", "constants", "--check", "--out", ".", "-n", 2000)
    assert code == 2
    shown = "mean_y, std_y, mean_dx, std_dx, var_dx, gain_y, gain_dx"
    assert err == f"error: constants.json does not hold sampled rows of {shown}\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d["results"][0]["std_y"].update(exact=5),
        lambda d: d["results"][0]["std_y"].update(value="a"),
        lambda d: d["results"][0].update(layer=5),
        lambda d: d.update(provenance=[]),
        lambda d: d.update(results=[{"layer": "relu"}]),
        lambda d: d["provenance"].update(seed="x"),
    ],
)
def test_a_damaged_results_document_is_refused(cli: Cli, damage: Any) -> None:
    cli("compute", "relu", "-n", 2000, "--export", "r.json")
    document = json.loads(Path("r.json").read_text("utf-8"))
    damage(document)
    Path("r.json").write_text(json.dumps(document), "utf-8")
    code, out, err = cli("verify", "r.json", "-n", 2000)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: r.json is not a results document of bnstats"


def test_a_results_document_with_a_key_twice_is_refused(cli: Cli) -> None:
    cli("compute", "relu", "-n", 2000, "--export", "r.json")
    text = Path("r.json").read_text("utf-8")
    Path("r.json").write_text(text.replace('"std_y":', '"std_y": {}, "std_y":'), "utf-8")
    code, out, err = cli("verify", "r.json", "-n", 2000)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: r.json is not a results document of bnstats"


def test_documents_of_another_law_are_checked_under_it(cli: Cli) -> None:
    cli("compute", "sigmoid", "--x-std", 2, "-n", 20_000, "--export", "law.json")
    assert cli("verify", "law.json", "-n", 20_000).code == 0


def test_a_trusting_tolerance_does_not_pass(cli: Cli) -> None:
    cli("exact", "sigmoid", "--export", "r.json")
    document = json.loads(Path("r.json").read_text("utf-8"))
    document["results"][0]["std_dx"]["exact"] = {"value": 0.3, "error": 1.0, "by": "quadrature"}
    Path("r.json").write_text(json.dumps(document), "utf-8")
    code, out, _ = cli("verify", "r.json", "-n", 20_000)
    assert code == 1
    assert "the committed exact value is wrong" in out


def test_claims_on_a_layer_that_overflows_stay_undecided(cli: Cli) -> None:
    Path("c.toml").write_text(
        'claim = [{layer = "elu:alpha=1e200", quantity = "std_y", value = "2.0"}]', "utf-8"
    )
    code, out, _ = cli("verify", "c.toml", "-n", 2000)
    assert code == 3
    assert "undecided" in out

"""What a pull request has written does not become a command in a workflow's log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import COMMAND, Outcome, environment, read_document

Cli = Callable[..., Outcome]

CLAIM = '[[claim]]\nlayer = "relu"\nquantity = "std_dx"\nvalue = "0.8"\n'
NAMES = ["##[error]a.toml", "a\n::error::b.toml", "a\r::error::b.toml", "a\u202eb\u2066.toml"]


def commands_in(text: str) -> list[str]:
    """Return what the runner takes for commands: see ActionCommand.cs, TryParseV2 and TryParse."""
    lines = re.split("\r\n|\r|\n", text)
    return [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format_", ["text", "github", "junit", "json"])
@pytest.mark.parametrize("content", [CLAIM, CLAIM.replace("0.8", "##[x]"), "no claims"])
def test_a_name_of_a_file_is_no_command(
    cli: Cli,
    name: str,
    format_: str,
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(content)
    code, out, err = cli("verify", name, "--format", format_, "-n", "2000")
    assert code == (1 if content == CLAIM else 2)
    assert commands_in(err) == []
    assert not re.search("[\u202e\u2066]", err)
    if format_ != "github":
        assert commands_in(out) == []
        assert not re.search("[\u202e\u2066]", out)
    else:
        (command,) = commands_in(out)
        assert command.startswith("::error ")
        assert command == next(line for line in out.splitlines() if line.startswith("::"))


@pytest.mark.parametrize("text", ["##[error]x", "a\u202eb", "a\n::error::b"])
def test_a_mistake_in_a_file_is_no_command(
    cli: Cli, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quoted = '"' + text.replace("\n", "\\n") + '"'
    mistakes = [
        CLAIM.replace('"relu"', quoted),
        CLAIM.replace('"relu"', f'"no:{text[:0]}" # ').replace('"no:"', quoted),
        CLAIM.replace('"std_dx"', quoted),
        CLAIM.replace('"0.8"', quoted),
        CLAIM + f"{quoted} = 1\n",
        f"[{quoted}]\n{CLAIM}",
    ]
    for mistake in mistakes:
        Path("a.toml").write_text(mistake)
        code, out, err = cli("verify", "a.toml")
        assert (code, out) == (2, "")
        assert commands_in(err) == []
        assert "\u202e" not in err
    for table in ("claims = [{}]", "import = [{}]", "{} = 1", "samples = {}"):
        Path("pyproject.toml").write_text(f"[tool.bnstats]\n{table.format(quoted)}\n")
        code, out, err = cli("verify")
        assert (code, out) == (2, "")
        assert commands_in(err) == []
        assert "\u202e" not in err


@pytest.mark.slow
def test_a_diff_in_a_log_is_shown_but_not_obeyed(tmp_path: Path) -> None:
    """Lines of context begin with a space, which the runner strips."""
    path = tmp_path / "a.toml"
    path.write_text(CLAIM + "remark = '''\n::error::owned\n##[error]'''\n")
    argv = [*COMMAND, "verify", "a.toml", "--diff", "-n", "2000"]
    env = environment(GITHUB_ACTIONS="true")
    done = subprocess.run(
        argv, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    first, *diff, last = done.stdout.splitlines()
    token = first.removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert last == f"::{token}::"
    assert " ::error::owned" in diff
    with (tmp_path / "patch").open("w+b") as patch:  # a file holds the patch alone
        subprocess.run(argv, cwd=tmp_path, env=env, stdout=patch, stderr=sys.stdout, check=False)
        patch.seek(0)
        assert patch.read().decode().splitlines() == diff
    applied = subprocess.run(
        ["git", "apply", "-"], cwd=tmp_path, input=done.stdout.encode(), check=False
    )
    assert applied.returncode == 0
    assert 'value = "0.7"' in path.read_text()


@pytest.mark.slow
def test_json_spells_odd_characters_and_arguments_that_are_no_text(tmp_path: Path) -> None:
    """The document reads back as it was, whatever encoding its reader takes it for."""
    for name in ("##[error]\u202e", os.fsdecode(b"\xff\xfe")):
        done = subprocess.run(
            [*COMMAND, "verify", os.fsencode(name) + b".toml", "--json"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2
        assert commands_in(done.stdout.decode()) == []
        document = read_document(done.stdout.decode())
        assert document["provenance"]["argv"] == ["verify", f"{name}.toml", "--json"]
        assert document["error"]["message"].startswith("no such file: ")

"""Options that may stand anywhere, examples of every command, and what a pipe is told."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import pytest
from cli_support import Cli, read_document, spawn

from bnstats.cli.everywhere import EXAMPLES
from bnstats.cli.main import cli as program

COMPUTE = ("compute", "relu", "-n", "1000")


def test_quiet_may_stand_anywhere(cli: Cli) -> None:
    loud = cli("compute", "exponential", "-n", "1000")
    assert "warning: " in loud.err
    quiet = [
        cli("-q", "compute", "exponential", "-n", "1000"),
        cli("compute", "-q", "exponential", "-n", "1000"),
        cli("compute", "exponential", "-n", "1000", "--quiet"),
    ]
    assert [q.err for q in quiet] == [""] * 3


def test_colour_may_stand_anywhere_and_the_last_wins(cli: Cli) -> None:
    first, last = cli("--color", "always", *COMPUTE), cli(*COMPUTE, "--color", "always")
    assert "\x1b[" in first.out
    assert first.out.splitlines()[:8] == last.out.splitlines()[:8]
    assert "\x1b[" not in cli("--color", "always", *COMPUTE, "--color", "never").out


def test_ascii_spells_what_it_lacks() -> None:
    outcome = spawn(*COMPUTE, "--ascii")
    assert outcome.out.isascii()
    assert "  sigma[dx] " in outcome.out
    document = spawn("list", "relu6", "--ascii", "--json").out
    assert json.loads(document)["layers"][0]["gradient"].startswith("dx = dy·[")


@pytest.mark.parametrize("form", ["text", "json", "csv", "markdown", "latex"])
def test_output_goes_to_a_file_whole(cli: Cli, tmp_path: Path, form: str) -> None:
    path = tmp_path / "found"
    outcome = cli("exact", "relu", "--format", form, "-o", path)
    assert outcome == (0, "", "")
    there, here = path.read_text("utf-8"), cli("exact", "relu", "--format", form).out
    if form == "json":  # the arguments are in it
        there, here = (read_document(text)["results"] for text in (there, here))
    assert there == here


def test_a_check_of_constants_may_go_to_a_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    argv = ["verify", "feng2016-repost", "-n", "1e4", "--format", "junit"]
    outcome = cli(*argv, "--output", path)
    assert (outcome.code, outcome.out) == (1, "")
    assert path.read_text("utf-8") == cli(*argv).out


def test_an_output_that_cannot_be_written_is_told_before_anything_is_drawn(cli: Cli) -> None:
    outcome = cli("compute", "relu", "-n", "1e12", "-o", "/nowhere/x.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: cannot write /nowhere/x.txt: no such directory: /nowhere\n"


def test_an_error_leaves_the_file_of_output_as_it_was(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("kept")
    assert cli("exact", "sigmiod", "-o", path).code == 2
    assert path.read_text() == "kept"


def test_versions_are_those_that_run(cli: Cli) -> None:
    import numpy

    assert cli("-V") == cli("--version")
    lines = cli("version").out.splitlines()
    assert lines[0] == cli("--version").out.strip()
    assert f"numpy {numpy.__version__}" in lines


@pytest.mark.parametrize("name", program.list_commands(click.Context(program)))
def test_examples_of_a_command_can_be_typed(name: str) -> None:
    assert EXAMPLES[name]
    command = program.get_command(click.Context(program), name)
    assert command is not None
    for example in EXAMPLES[name]:
        line = example.partition("  ")[0].partition(" >")[0]
        first, *rest = shlex.split(line)
        assert first == name
        command.make_context(name, rest, parent=program.make_context("bnstats", [name]))


def test_blanks_after_commas_do_no_harm(cli: Cli) -> None:
    whole = cli("exact", "max_pool2d:kernel_size=3,stride=2").out
    assert cli("exact", "max_pool2d:kernel_size=3,", "stride=2").out == whole
    assert cli("exact", "max_pool2d:kernel_size=3, stride=2").out == whole


@pytest.mark.slow
def test_a_pipe_is_told_of_a_long_run_and_of_the_exact_value() -> None:
    outcome = spawn("compute", "relu", "-n", "1e12", "--max-time", "3s", "--workers", 1)
    (note,) = (line for line in outcome.err.splitlines() if line.startswith("note: "))
    assert note.startswith("note: relu takes ")
    assert note.endswith("; σ is exact by: bnstats exact relu")
    assert (
        "note: "
        not in spawn("compute", "relu", "-n", "1e12", "--max-time", "3s", "--workers", 1, "-q").err
    )

"""bnstats help: commands and topics, piped and on a terminal."""

from __future__ import annotations

import re

import pytest
from cli_support import Cli, Terminal

from bnstats.manual import text, topics


def test_help_lists_every_command_and_topic(cli: Cli) -> None:
    outcome = cli("help")
    listed = {line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ")}
    assert outcome.code == 0
    assert {"compute", "verify", "help", *topics()} <= listed


def test_the_help_of_a_command_is_what_its_option_prints(cli: Cli) -> None:
    assert cli("help", "compute") == cli("compute", "--help")


@pytest.mark.parametrize("topic", topics())
def test_a_piped_topic_is_its_markdown(topic: str, cli: Cli) -> None:
    assert cli("help", topic).out == text(topic)
    title = text(topic).partition("\n")[0]
    assert title.startswith("# ")
    assert title == f"# {topics()[topic]}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("conventoins", "did you mean 'conventions'?"),
        ("comptue", "did you mean 'compute'?"),
        ("relu", "bnstats show relu"),
        ("nfnets", "bnstats show nfnets"),
        ("qqqq", "bnstats help lists them"),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str, cli: Cli) -> None:
    outcome = cli("help", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: no command or topic '{name}'\nhint:  {hint}\n"


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_gets_rendered_text_that_fits(columns: int) -> None:
    run = Terminal("help", "exit-codes", stdout=True, COLUMNS=str(columns), NO_COLOR="1")
    code, _ = run.finish()
    shown = re.sub(r"\x1b\[[\d;]*m", "", run.screen)
    assert code == 0
    assert "|--:|" not in shown
    assert "130" in shown
    assert max(map(len, shown.splitlines())) <= columns

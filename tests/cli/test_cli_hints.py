"""What help, notes and hints promise holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import Cli

import bnstats
from bnstats.report.options import as_options


def help_of(cli: Cli, command: str) -> str:
    return " ".join(cli(command, "--help").out.split())


@pytest.mark.parametrize("command", ["compute", "exact"])
def test_the_number_that_help_names_is_there(cli: Cli, command: str) -> None:
    path = re.search(r"Print one bare number, e.g. (\S+)", help_of(cli, command))
    assert path is not None
    size = ["-n", "2000"] if command == "compute" else []
    code, out, err = cli(command, "sigmoid", "--get", path[1], *size)
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(0.2117, rel=0.1)


def test_help_tells_the_default_of_n_where_something_else_ends_a_run(cli: Cli) -> None:
    more = "1e7 for an activation; with --precision or --max-time, as many as needed]"
    assert more in help_of(cli, "compute")
    assert "1e7 for an activation]" in help_of(cli, "table")  # which has no such option
    assert "activation; up to ten times as many if an error of 1 %" in help_of(cli, "verify")


@pytest.mark.parametrize(
    ("asked", "drawn", "noted"),
    [(5, 131_072, True), (65_535, 131_072, True), (65_536, 131_072, False), (None, 0, False)],
)
def test_many_more_sobol_points_than_asked_for_are_noted(
    cli: Cli, asked: int | None, drawn: int, noted: bool
) -> None:
    count = ["-n", asked] if asked else []
    code, out, err = cli("compute", "relu", "--sampler", "sobol", *count)
    assert code == 0
    assert f"{drawn:,} samples" in out or asked is None
    note = f"note: {drawn:,} samples, not {asked or 0:,}: sobol has no fewer\n"
    assert err == (note if noted else "")


def test_help_says_how_many_points_sobol_has(cli: Cli) -> None:
    assert "131,072 or a power of two times that" in help_of(cli, "compute")
    out = cli("compute", "relu", "--sampler", "sobol", "-n", 131_073).out
    assert "262,144 samples" in out


def test_a_word_alone_is_looked_for_among_layers(cli: Cli) -> None:
    for word in ("leaky", "torch.nn.SiLU", "LeakyReLU"):
        assert cli("list", word) == cli("list", "layers", word)
    assert "  leaky_relu  " in cli("list", "leaky").out


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ["nfnets"],
            "'nfnets' is in none of the layers",
            "bnstats show nfnets, or bnstats list claims nfnets",
        ),
        (["geluu"], "'geluu' is in none of the layers", "did you mean 'gelu'?"),
        (["x\x1b"], r"'x\x1b' is in none of the layers", "bnstats list layers"),
        (["a", "b"], "'a' is not one of layers, claims, backends", "bnstats list layers b"),
    ],
)
def test_what_is_in_no_list_is_told_how(cli: Cli, words: list[str], error: str, hint: str) -> None:
    assert cli("list", *words) == (2, "", f"error: {error}\nhint:  {hint}\n")


def test_one_claim_is_one_claim(cli: Cli) -> None:
    lines = cli("list", "claims").out.splitlines()
    (line,) = (line for line in lines if line.startswith("  e3nn  "))
    assert line.endswith("  1 claim    e3nn: second-moment normalisation of SiLU")
    assert all(re.match(r"  \S+ +(1 claim |\d+ claims)   \S", line) for line in lines)


def test_a_source_within_another_is_told_once(cli: Cli) -> None:
    out = cli("show", "nfnets").out
    assert out.count("deepmind-research nfnets/base.py") == 1
    assert "timm/models/nfnet.py" in out
    assert cli("show", "feng2016-repost").out.count("Back-Propagation that lost the root") == 3


def test_what_a_module_imports_is_not_suggested(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few_acts.py").write_text("import numpy as np\n\ndef npe(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "no_acts.py").write_text("import numpy as np\nnp_ = 3\n")
    assert "hint:  did you mean 'npe'?" in cli("exact", "few_acts:nope").err
    assert f"hint:  it is {tmp_path / 'no_acts.py'}" in cli("exact", "no_acts:nope").err


def texts_of_errors() -> Iterator[str]:
    """Yield what the package raises, and its hints, with an x for each number in it."""
    for path in Path(bnstats.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
                for part in (*node.args, *(k.value for k in node.keywords)):
                    pieces = getattr(part, "values", [part])
                    yield "".join(str(getattr(piece, "value", "x")) for piece in pieces)


def test_an_argument_in_an_error_is_an_option_on_the_command_line() -> None:
    """In Python errors name arguments in backticks, which no shell has."""
    named = [text for text in texts_of_errors() if re.search(r"`[a-z_]+(=[^`]*)?`", text)]
    assert len(named) > 20
    assert not [text for text in named if "`" in as_options(text)]

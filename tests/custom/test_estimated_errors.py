"""Of a function that nobody has declared an error is an estimate, and every output says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from cli_support import Outcome

from bnstats.cli.main import cli as program
from bnstats.layers import USER_LAYERS

Cli = Callable[..., Outcome]

ACTS = "import numpy as np\ndef mine(x, *, a=1.0): return np.tanh(a * x)\n"
CLAIMS = """
[[claim]]
layer = "LAYER"
quantity = "std_y"
value = "0.6279"
[[claim]]
layer = "LAYER"
over = "x_std=0.1:10:log"
find = "std_y=0.5"
quantity = "x_std"
value = "0.6563"
"""
# What each command is asked of a layer; those that show no exact value are left out.
CALLS = {
    "compute": [("compute", "LAYER", "-n", "2000")],
    "exact": [("exact", "LAYER"), ("exact", "LAYER", "--quantity", "chi", "std_y")],
    "sweep": [
        ("sweep", "LAYER", "--over", "x_std=0.5:1:0.5", "--find", "std_y=0.5"),
        ("sweep", "LAYER", "--over", "x_std=0.1,1", "--quantity", "std_dx"),
    ],
    "critical": [
        ("critical", "LAYER", "--bias-std", "0.2"),
        ("critical", "LAYER", "--weight-std", "1.5", "--bias-std", "0.1"),
    ],
    "propagate": [("propagate", "linear", "LAYER", "--width", "8", "--depth", "4")],
    "verify": [("verify", "claims.toml", "--import", "LAYER", "-n", "2000", "--no-cache")],
    "merge": [("merge", "part.json")],
    "show": [("show", "LAYER")],
}
LEFT_OUT = {"table", "list", "completion", "help", "version"}
FORMATS = {
    **dict.fromkeys(("compute", "exact", "sweep"), ("csv", "markdown", "latex", "json")),
    "critical": ("json",),
    "propagate": ("json",),
    "verify": ("json", "junit", "github"),
    "merge": ("csv", "markdown", "latex", "json"),
    "show": (),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(ACTS)
    yield tmp_path
    USER_LAYERS.pop("mine:mine", None)
    sys.modules.pop("mine", None)


def bounded(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every number of a document that has an error which is not 0."""
    if isinstance(node, dict):
        if "value" in node and node.get("error"):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from bounded(item)


def test_no_command_is_forgotten() -> None:
    assert set(CALLS) | LEFT_OUT == set(program.list_commands(click.Context(program)))
    assert set(FORMATS) == set(CALLS)


@pytest.mark.slow
@pytest.mark.parametrize("command", CALLS)
def test_an_error_is_called_what_it_is(cli: Cli, home: Path, command: str) -> None:
    said = ""
    for layer, word in (("mine:mine", "about"), ("tanh", "below")):
        (home / "claims.toml").write_text(CLAIMS.replace("LAYER", layer))
        if command == "merge":
            cli("compute", layer, "-n", "2000", "--part", "1/1", "--export", home / "part.json")
        for call in CALLS[command]:
            argv = [a.replace("LAYER", layer) for a in call]
            if command == "verify" and layer == "tanh":
                argv = [a for a in argv if a not in ("--import", layer)]
            whole = ""
            for format_ in ("text", *FORMATS[command]):
                options = ["--json"] if format_ == "json" else ["--format", format_]
                code, out, err = cli(*argv, *([] if format_ == "text" else options))
                assert code == 0, err
                whole += out
                if format_ == "json":
                    numbers = list(bounded(json.loads(out)))
                    assert all(("error_is_estimate" in n) == (word == "about") for n in numbers)
                    said += f"{len(numbers)} numbers of {layer}; " if numbers else ""
            assert f"error {'below' if word == 'about' else 'about'}" not in whole
            said += f"error {word}; " if f"error {word}" in whole else ""
    if command in ("exact", "sweep", "critical"):
        assert "error about" in said
        assert "error below" in said
    if command not in ("propagate", "show"):
        assert "numbers of mine:mine" in said
        assert "numbers of tanh" in said

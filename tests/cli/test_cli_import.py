"""--import makes the layers known that a module registers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import Cli, read_document

from bnstats.layers import USER_LAYERS

MODULE = """
import bnstats

@bnstats.register(breakpoints=(0.0,), formula="y = max(0, x)²")
def squared_relu(x, *, alpha=1.0):
    return alpha * x * x * (x > 0)
"""


@pytest.fixture(autouse=True)
def _registering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "registering.py").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("registering", None)
    USER_LAYERS.pop("squared_relu", None)


@pytest.mark.parametrize("command", ["compute", "exact", "show"])
def test_a_registered_layer_is_reachable_once_its_module_is_imported(
    cli: Cli, command: str
) -> None:
    code, _, err = cli(command, "squared_relu")
    assert code == 2
    assert "unknown layer 'squared_relu'" in err
    few = ("-n", 20_000) if command == "compute" else ()
    code, out, err = cli(command, "squared_relu:alpha=2", "--import", "registering", *few)
    assert (code, err) == (0, "")
    assert "y = max(0, x)²" in out


def test_its_exact_value(cli: Cli) -> None:
    outcome = cli("exact", "squared_relu", "--import", "registering", "--json")
    (result,) = read_document(outcome.out)["results"]
    assert result["layer"] == "squared_relu"
    assert result["mean_y"]["exact"]["value"] == pytest.approx(0.5, rel=1e-13)


def test_the_command_that_verify_names_imports_it_too(cli: Cli) -> None:
    Path("c.toml").write_text(
        """claim = [
  {layer = "squared_relu", quantity = "std_y", value = "2.0"},
  {layer = "relu", quantity = "std_y", value = "2.0"},
]""",
        "utf-8",
    )
    out = cli("verify", "c.toml", "--import", "registering", "-n", 20_000).out
    hints = [line.split()[2:] for line in out.splitlines() if line.startswith("hint:")]
    named = ["--quantity", "std_y"]
    squared = ["exact", "squared_relu", "--import", "registering", *named]
    assert hints == [squared, ["exact", "relu", *named]]
    assert cli(*hints[0]).code == 0
    right = Path("c.toml").read_text("utf-8").replace("2.0", "1.118", 1)
    Path("c.toml").write_text(right, "utf-8")
    out = cli("verify", "c.toml", "--import", "registering", "-n", 20).out  # too few to tell
    assert "hint:     bnstats compute squared_relu --import registering -n 20 --seed 1\n" in out


@pytest.mark.parametrize("command", ["compute", "exact", "show", "verify"])
def test_a_module_that_is_not_there_is_called_a_module(cli: Cli, command: str) -> None:
    code, out, err = cli(command, "feng2016" if command == "verify" else "relu", "--import", "nope")
    assert (code, out) == (2, "")
    assert err.startswith("error: no module 'nope'\n")
    assert "\nhint:  it is looked for as by python -m nope" in err

"""bnstats verify on an accelerator, and the command with which a failure can be repeated."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from accelerator_support import each, namespace
from cli_support import Cli, read_document

from bnstats.layers import STANDARD, Law
from bnstats.specs.spec import parse
from bnstats.verification.gate import FreshDraws, VerifySettings


def claims(path: Path, layer: str, quantity: str, value: str, samples: int | None = None) -> Path:
    claim = {"layer": layer, "quantity": quantity, "value": value, "samples": samples}
    path.write_text(json.dumps([{k: v for k, v in claim.items() if v is not None}]))
    return path


@each
def test_an_error_of_a_hundredth_fails_and_can_be_repeated(cli: Cli, tmp_path: Path, name: str):
    namespace(name)
    options = ("-n", "200000", "--seed", 3, "--backend", name, "--device", "cpu")
    value = 0.211745699721
    right = claims(tmp_path / "right.json", "sigmoid", "std_dx", f"{value:.6f}")
    code, out, err = cli("verify", right, *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "1 constant of 1 layer: 1 reproduced"

    wrong = claims(tmp_path / "wrong.json", "sigmoid", "std_dx", f"{1.01 * value:.6f}")
    code, out, err = cli("verify", wrong, *options)
    assert (code, err) == (1, "")
    assert "hint:     bnstats exact sigmoid --quantity std_dx\n" in out

    wrong = claims(tmp_path / "wrong.json", "sparsemax", "std_dx", "0.392")  # 0.380, by draws alone
    options = ("-n", "20000", *options[2:])  # of ten numbers each
    code, out, err = cli("verify", wrong, *options)
    assert (code, err) == (1, "")
    (hint,) = [line for line in out.splitlines() if line.startswith("hint:")]
    command = hint.split("bnstats ")[1]
    assert command.endswith(f" --backend {name} --device cpu")
    document = read_document(cli(*shlex.split(command), "--json").out)
    (again,) = document["results"]
    (row,) = read_document(cli("verify", wrong, *options, "--json").out)["results"]
    assert row["checks"][0]["value"] == again["std_dx"]["value"]
    assert document["provenance"]["backend"] == name


@each
@pytest.mark.parametrize(("planted", "outcome"), [(1.0, "ok"), (1.01, "fail")])
def test_fresh_draws_alone_tell_an_error_of_a_hundredth(name: str, planted: float, outcome: str):
    namespace(name)
    settings = VerifySettings(samples=200_000, seed=4, backend=name)
    draws = FreshDraws(parse("sigmoid"), settings, tests=1)
    wanted = planted * 0.211745699721
    found = draws.gate("std_dx", lambda e: (e.value - wanted) / e.stderr)
    assert found.outcome == outcome
    assert (abs(found.z) < 4) == (outcome == "ok")
    seed, count = (4, "2e5") if outcome == "ok" else (5, "8e5")
    assert found.command == f"bnstats compute sigmoid -n {count} --seed {seed} --backend {name}"


def test_the_command_tells_the_law_where_it_is_not_the_standard_one(cli: Cli):
    for law, options in [
        (STANDARD, ""),
        (Law(0.5, 2.0, 0.25), " --x-mean 0.5 --x-std 2.0 --dy-std 0.25"),
        (Law(x_std=1e-3), " --x-std 0.001"),
    ]:
        draws = FreshDraws(parse("relu"), VerifySettings(samples=1000, seed=2), tests=1, law=law)
        found = draws.gate("std_dx", lambda e: 0.0)
        assert found.command == f"bnstats compute relu -n 1000 --seed 2{options}"
        (again,) = read_document(cli(*shlex.split(found.command)[1:], "--json").out)["results"]
        assert again["std_dx"]["value"] == found.estimate.value

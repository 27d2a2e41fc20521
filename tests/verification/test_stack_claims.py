"""Claims, and committed constants, about what a layer does in a stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import Cli, read_document

CLAIM = '[[claim]]\nlayer = "{}"\nquantity = "{}"\nvalue = "{}"\n'


def verified(cli: Cli, path: Path, *claims: tuple[str, str, str]) -> tuple[int, list]:
    path.write_text("".join(CLAIM.format(*claim) for claim in claims))
    code, out, _ = cli("verify", path, "-n", 200_000, "--json")
    return code, [check for row in read_document(out)["results"] for check in row["checks"]]


def test_claims_are_judged_and_witnessed(cli: Cli, tmp_path: Path) -> None:
    right = [
        ("relu", "c1", "1/pi"),
        ("relu", "stability", "1"),
        ("gelu", "chi", "1.0720"),
        ("max_pool2d:kernel_size=2", "c1", "0.6830"),
        ("tanh", "c1", "0"),
    ]
    code, checks = verified(cli, tmp_path / "a.toml", *right)
    assert code == 0
    assert [check["outcome"] for check in checks] == ["ok"] * 5
    assert all(check["value"] is not None for check in checks)


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("linear_share", "0.9405"), ("chi", "1.19"), ("mean_degree", "1.1"), ("c1", "0.01")],
)
def test_a_wrong_claim_fails(cli: Cli, tmp_path: Path, quantity: str, value: str) -> None:
    code, (check,) = verified(cli, tmp_path / "a.toml", ("tanh", quantity, value))
    assert (code, check["outcome"]) == (1, "fail")
    assert not check["reason"].startswith(("reproduced", "undecided"))


def test_without_an_exact_value_the_draws_decide(cli: Cli, tmp_path: Path) -> None:
    claims = [("sparsemax", "chi", "2.34"), ("sparsemax:n=5", "chi", "2.34")]
    _, checks = verified(cli, tmp_path / "a.toml", *claims)
    assert [check["outcome"] for check in checks] == ["undecided", "fail"]
    assert "--quantity chi" in checks[1]["command"]


def test_committed_estimates_are_drawn_again(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "constants.json"
    asked = ("--quantity", "chi", "linear_share", "stability", "c1")
    assert cli("compute", "relu", "-n", 100_000, *asked, "--export", path).code == 0
    assert cli("verify", path, "-n", 100_000).code == 0
    found = json.loads(path.read_text())
    entry = found["results"][0]["linear_share"]
    entry["value"] += 9 * entry["stderr"]
    path.write_text(json.dumps(found))
    code, out, _ = cli("verify", path, "-n", 100_000)
    assert code == 1
    assert "linear share" in out


def test_what_every_draw_has_is_witnessed_without_a_spread(cli: Cli, tmp_path: Path) -> None:
    """Far below 0 selu is −λα in every draw: right where that is claimed, wrong where it is not."""
    path = tmp_path / "a.toml"
    far = CLAIM.format("selu", "mean_y", "{}") + "x_mean = -100\n"
    for value, outcome in (("-1.7581", "ok"), ("-1.7582", "fail")):
        path.write_text(far.format(value))
        code, out, _ = cli("verify", path, "-n", 10_000, "--json")
        (check,) = read_document(out)["results"][0]["checks"]
        assert (code, check["outcome"]) == (int(outcome == "fail"), outcome)

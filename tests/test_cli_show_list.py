"""list, show and completion: every layer and claim set has its page."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import COMMAND, Outcome, environment

from bnstats.claims import claim_set, set_names
from bnstats.layers import ALIASES, LAYERS, find
from bnstats.spec import example_specs, parse

Cli = Callable[..., Outcome]


def test_list_names_every_layer_under_its_family(cli: Cli) -> None:
    code, out, err = cli("list")
    assert (code, err) == (0, "")
    assert cli("list", "layers").out == out
    family, found, columns = "", {}, set()
    for line in out.splitlines():
        if line.startswith("  "):
            name, formula = re.fullmatch(r"  (\w+) +(y.*)", line).groups()  # type: ignore[union-attr]
            found[name] = family
            columns.add(line.index(formula))
            assert LAYERS[name].formula.startswith(formula)
        else:
            family = line
    assert found == {name: layer.family for name, layer in LAYERS.items()}
    assert len(columns) == 1


def test_list_plain_is_for_scripts(cli: Cli) -> None:
    names = cli("list", "--plain").out.splitlines()
    assert sorted(names) == sorted(LAYERS)
    assert cli("list", "claims", "--plain").out.splitlines() == list(set_names())


def test_list_claims_counts_them(cli: Cli) -> None:
    lines = cli("list", "claims").out.splitlines()
    found = [re.fullmatch(r"  (\S+) +(\d+) claims   (.+)", line) for line in lines]
    assert [(m[1], int(m[2]), m[3]) for m in found if m] == [
        (name, len(claim_set(name).claims), claim_set(name).title) for name in set_names()
    ]
    assert {"feng2016", "feng2016-repost", "nfnets", "torch"} <= set(set_names())
    assert not any(find(name) for name in set_names()), "show could not tell them from layers"


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_page(cli: Cli, name: str) -> None:
    layer = LAYERS[name]
    code, out, err = cli("show", name)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{name} — {layer.summary}"
    assert f"  forward    {layer.formula}" in lines
    assert f"  backward   {layer.gradient}" in lines
    assert (f"  also       {', '.join(layer.aliases)}" in lines) == bool(layer.aliases)
    for p in layer.parameters:
        (line,) = (line for line in lines if line.startswith(f"    {p.name} "))
        assert ("required" in line) == p.required
        assert p.range is None or p.range.text in line
        assert " | ".join(p.choices) in line
    at = lines.index(f"  one draw of {parse(example_specs(layer)[0]).text}")
    assert [lines[at + i].split()[0] for i in (1, 2)] == ["x", "dy"]
    # What the page says to type can be typed.
    examples = [line.split()[-1] for line in lines if line.startswith("    bnstats compute ")]
    assert examples
    assert all(parse(text).layer is layer for text in examples)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_shows_the_layer(cli: Cli, alias: str) -> None:
    name, carried = ALIASES[alias]
    spec = f"{name}:{carried}" if carried else name
    assert cli("show", alias).out == cli("show", spec).out


def test_show_of_a_spec_shows_that_draw(cli: Cli) -> None:
    out = cli("show", "conv2d:stride=2,in_channels=3").out
    assert "  one draw of conv2d:in_channels=3,stride=2\n    x        3x5x5, normal\n" in out
    assert cli("show", "conv2d:stride=0").code == 2
    kinks = "  kinks      not smooth at x = 5\n"
    assert kinks in cli("show", "softplus:beta=2,threshold=10").out


def test_show_lists_what_is_published(cli: Cli) -> None:
    out = cli("show", "sigmoid").out
    assert "    sigmoid  std_dx = 0.2123  (feng2016)\n" in out
    out = cli("show", "leaky_relu").out
    assert "    leaky_relu:negative_slope=0.2  gain_rms_y = sqrt(2)  (stylegan3)\n" in out
    assert "published" not in cli("show", "mish").out


@pytest.mark.parametrize("name", set_names())
def test_every_claim_set_has_a_page_with_verdicts(cli: Cli, name: str) -> None:
    claims = claim_set(name)
    code, out, err = cli("show", name)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{name} — {claims.title}"
    assert (f"  {claims.url}" in lines) == bool(claims.url)
    rows = [
        line.split() for line in lines if re.search(r"  (reproduced|refuted|undecided)  ", line)
    ]
    assert [row[:3] for row in rows] == [
        [c.spec.text, c.quantity, c.printed.text] for c in claims.claims
    ]
    assert f"  convention: {claims.convention}"[:60] in out
    refuted = [row[:3] for row in rows if row[3] == "refuted"]
    wanted = {
        "feng2016": [
            ["max_pool2d:kernel_size=2", "mean_y", "1.0291"],
            ["max_pool2d:kernel_size=2", "std_y", "0.7010"],
            ["sigmoid", "std_dx", "0.2123"],
        ],
        "feng2016-repost": [["relu", "std_dx", "1/2"], ["dropout", "std_dx", "1"]],
    }
    assert refuted == wanted.get(name, refuted)
    assert "  sources" in lines


def test_the_reposts_half_is_named_as_the_variance(cli: Cli) -> None:
    (line,) = (x for x in cli("show", "feng2016-repost").out.splitlines() if "relu" in x)
    assert line.endswith("refuted  0.7071; 1/2 is Var[dx]")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli: Cli, shell: str) -> None:
    code, out, err = cli("completion", shell)
    assert (code, err) == (0, "")
    assert f"_BNSTATS_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("bnstats ver", {"verify"}),
        ("bnstats ", {"compute", "exact", "table", "verify", "list", "show", "completion"}),
        ("bnstats list ", {"layers", "claims"}),
        ("bnstats compute relu --direc", {"--direction"}),
        ("bnstats compute relu --dtype ", {"float64", "float32"}),
    ],
)
def test_completion_offers(words: str, offered: set[str]) -> None:
    count = len(words.split(" ")) - 1
    done = subprocess.run(
        COMMAND,
        capture_output=True,
        encoding="utf-8",
        env=environment(_BNSTATS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count)),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered


def test_the_bash_script_is_bash(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "complete.sh"
    path.write_text(cli("completion", "bash").out)
    done = subprocess.run(["bash", "-n", path], capture_output=True, env=os.environ, check=False)
    assert (done.returncode, done.stderr) == (0, b"")

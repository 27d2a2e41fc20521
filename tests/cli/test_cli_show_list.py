"""list, show and completion: every layer and claim set has its page."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from cli_support import COMMAND, Cli, environment, read_document

from bnstats.claims import claim_set, set_names
from bnstats.claims.grades import GRADES, OUTCOMES
from bnstats.cli.main import main
from bnstats.layers import ALIASES, LAYERS, find
from bnstats.specs.libraries import names_of
from bnstats.specs.spec import example_specs, parse


def unfolded(text: str) -> str:
    """Return a text in one line, with single spaces."""
    return " ".join(text.split())


def test_a_bare_list_names_every_layer_in_two_screens(cli: Cli) -> None:
    code, out, err = cli("list")
    assert (code, err) == (0, "")
    assert cli("list", "layers").out == out
    lines = out.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    names = re.findall(r"\w+", out)
    assert set(LAYERS) <= set(names)
    # common ones first: all four libraries have gelu, none has bentid
    assert names.index("leaky_relu") < names.index("bentid") < names.index("swiglu")


def test_list_names_every_layer_under_its_family(cli: Cli) -> None:
    code, out, err = cli("list", "--long")
    assert (code, err) == (0, "")
    family, found, columns, called = "", {}, set(), dict[str, str]()
    for line in out.splitlines():
        if row := re.fullmatch(r"  (\w+) +(y.*)", line):
            name, formula = row.groups()
            found[name] = family
            columns.add(line.index(formula))
            assert LAYERS[name].formula.startswith(formula)
        elif line.startswith("  "):
            assert len(line) <= 80
            assert len(line) - len(line.lstrip()) in columns
            called[name] = f"{called.get(name, '')} {line.strip()}".strip()
        else:
            family = line
    assert found == {name: layer.family for name, layer in LAYERS.items()}
    assert len(columns) == 1
    assert called["leaky_relu"] == (
        "torch, jax, flax: leaky_relu; keras: leaky_relu (negative_slope=0.2), "
        "LeakyReLU (negative_slope=0.3)"
    )
    assert called["sigmoid"] == "torch, jax, flax, keras: sigmoid; also logistic"
    assert called["silu"] == "torch: silu; jax, flax, keras: silu, swish; also quick_gelu"
    assert called.keys() >= {name for name in LAYERS if names_of(name)}


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("leaky", "the name"),
        ("LOGISTIC", "an alias, whatever the case"),
        ("AveragePooling2D", "what a library calls it"),
        ("keras.layers.Dense", "a library's name in full"),
        ("self-normalising", "the summary"),
        ("tanh(√(2/π)", "the formula"),
    ],
)
def test_a_word_keeps_the_layers_that_hold_it(cli: Cli, word: str, says: str) -> None:
    code, out, _ = cli("list", "layers", word, "--plain")
    expected = {
        "leaky": "leaky_relu",
        "LOGISTIC": "sigmoid",
        "AveragePooling2D": "avg_pool2d",
        "keras.layers.Dense": "linear",
        "self-normalising": "selu",
        "tanh(√(2/π)": "gelu",
    }[word]
    assert (code, expected in out.split()) == (0, True), says
    assert len(out.split()) < len(LAYERS) / 2
    assert "relu6" not in out


def test_families_add_up_and_a_word_narrows_them(cli: Cli) -> None:
    def names(*options: str) -> list[str]:
        return cli("list", "layers", "--plain", *options).out.split()

    def of(*families: str) -> list[str]:
        return [n for n, layer in sorted(LAYERS.items()) if layer.family in families]

    assert sorted(names("--family", "smooth")) == of("smooth")
    assert sorted(names("--family", "smooth", "--family", "linear")) == of("smooth", "linear")
    both = names("linear", "--family", "rectifiers")
    assert set(both) == set(names("linear")) & set(of("rectifiers"))
    assert "relu" in both
    assert "linear" not in both


def test_what_finds_nothing_is_an_error_with_a_hint(cli: Cli) -> None:
    families = ", ".join(sorted({layer.family for layer in LAYERS.values()}))
    assert cli("list", "--family", "smoth") == (
        2,
        "",
        f"error: unknown family 'smoth'\nhint:  did you mean 'smooth'?  families: {families}\n",
    )
    assert cli("list", "layers", "sigmiod") == (
        2,
        "",
        "error: 'sigmiod' is in none of the layers\nhint:  did you mean 'sigmoid'?\n",
    )
    assert cli("list", "layers", "qqq\x1b", "--family", "smooth").err == (
        "error: 'qqq\\x1b' is in none of the layers of smooth\nhint:  bnstats list layers\n"
    )
    assert cli("list", "claims", "--family", "smooth").err == (
        "error: claims have no family: bnstats list layers --family NAME\n"
        "hint:  bnstats list --help\n"
    )


def test_list_json_is_one_document(cli: Cli) -> None:
    document = json.loads(cli("list", "--json").out)
    assert document["schema"] == "bnstats-list/1"
    entries = {entry["name"]: entry for entry in document["layers"]}
    assert entries.keys() == LAYERS.keys()
    leaky = entries["leaky_relu"]
    assert leaky["family"] == "rectifiers"
    assert leaky["aliases"]["keras.LeakyReLU"] == "negative_slope=0.3"
    assert leaky["libraries"]["keras"]["layers.LeakyReLU"] == "negative_slope=0.3"
    assert leaky["libraries"]["torch"]["nn.LeakyReLU"] == ""
    (slope,) = leaky["parameters"]
    assert slope == {
        "name": "negative_slope",
        "kind": "float",
        "required": False,
        "default": 0.01,
        "follows": None,
        "choices": [],
        "range": None,
    }
    stride = {p["name"]: p for p in entries["max_pool2d"]["parameters"]}["stride"]
    assert (stride["default"], stride["follows"]) == (None, "kernel_size")
    choices = {p["name"]: p for p in entries["gelu"]["parameters"]}["approximate"]["choices"]
    assert choices == ["none", "tanh"]
    (pool,) = json.loads(cli("list", "layers", "nn.MaxPool3d", "--json").out)["layers"]
    assert pool["name"] == "max_pool3d"
    sets = json.loads(cli("list", "claims", "--json").out)["claims"]
    assert [s["name"] for s in sets] == list(set_names())
    assert [s["claims"] for s in sets] == [len(claim_set(n).claims) for n in set_names()]
    failed = cli("list", "layers", "qqq", "--json")
    assert (failed.code, read_document(failed.out)["status"]) == (2, "failed")


def test_show_names_the_layer_in_every_library(cli: Cli) -> None:
    lines = cli("show", "leaky_relu").out.splitlines()
    at = lines.index(
        "  torch      nn.LeakyReLU, nn.functional.leaky_relu, nn.functional.leaky_relu_"
    )
    assert lines[at + 1 : at + 5] == [
        "  jax        nn.leaky_relu",
        "  flax       linen.leaky_relu, nnx.leaky_relu",
        "  keras      activations.leaky_relu (negative_slope=0.2), layers.LeakyReLU",
        "             (negative_slope=0.3)",
    ]


def test_list_plain_is_for_scripts(cli: Cli) -> None:
    names = cli("list", "--plain").out.splitlines()
    assert sorted(names) == sorted(LAYERS)
    assert cli("list", "claims", "--plain").out.splitlines() == list(set_names())


def test_list_claims_counts_them(cli: Cli) -> None:
    lines = cli("list", "claims").out.splitlines()
    found = [re.fullmatch(r"  (\S+) +(\d+) (?:claims|claim )   (.+)", x) for x in lines]
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
    known = f"forward {layer.formula} backward {layer.gradient} family {layer.family} "
    known += f"also {', '.join(layer.aliases)} " if layer.aliases else ""
    assert unfolded(out).startswith(unfolded(f"{name} — {layer.summary} {known}"))
    assert ("  also  " in out) == bool(layer.aliases)
    told = out.partition("\n  parameters\n")[2].partition("\n\n")[0]
    rows = [unfolded(row) for row in re.split(r"\n(?=    \S)", told)]
    for p in layer.parameters:
        (line,) = (row for row in rows if row.startswith(f"{p.name} "))
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
    breakpoints = "  not smooth at x = 5\n"
    assert breakpoints in cli("show", "softplus:beta=2,threshold=10").out


def test_show_lists_what_is_published(cli: Cli) -> None:
    out = cli("show", "sigmoid").out
    assert "    sigmoid  std_dx = 0.2123  (feng2016)\n" in out
    out = cli("show", "leaky_relu").out
    assert "    leaky_relu:negative_slope=0.2  gain_rms_y = sqrt(2)  (stylegan3)\n" in out
    assert "published" not in cli("show", "bentid").out


@pytest.mark.slow
@pytest.mark.parametrize("name", set_names())
def test_every_claim_set_has_a_page_with_verdicts(cli: Cli, name: str) -> None:
    claims = claim_set(name)
    code, out, err = cli("show", name)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert unfolded(out).startswith(unfolded(f"{name} — {claims.title} {claims.url} "))
    assert (f"  {claims.url}" in lines) == bool(claims.url)
    rows, text, at = [], " ".join(out.split()), 0
    for c in claims.claims:
        facts = [c.spec.text, c.quantity, c.printed.claimed]
        said = "|".join((*GRADES, "no exact value"))
        layer, quantity, value = map(re.escape, facts)
        where = r"(?: at \S+)*(?: where \S+)?"
        row = re.compile(f"{layer} {quantity}{where} {value} ({said})").search(text, at)
        assert row, facts
        rows.append([*facts, row[1]])
        at = row.end()
    assert f"  convention: {claims.convention}"[:60] in out
    refuted = [row[:3] for row in rows if OUTCOMES.get(row[3]) == "refuted"]
    wanted = {
        "feng2016": [
            ["max_pool2d:kernel_size=2", "mean_y", "1.0291"],
            ["max_pool2d:kernel_size=2", "std_y", "0.7010"],
            ["sigmoid", "std_dx", "0.2123"],
        ],
        "feng2016-repost": [
            ["relu", "std_dx", "1/2"],
            ["relu", "mean_y", "1/(2*pi)"],
            ["dropout", "std_dx", "1"],
        ],
    }
    assert refuted == wanted.get(name, refuted)
    assert "  sources" in lines


def test_the_reposts_half_is_named_as_the_variance(cli: Cli) -> None:
    lines = cli("show", "feng2016-repost").out.splitlines()
    line, command, *_ = (x for x in lines if "relu " in x)
    assert command == "      bnstats exact relu --quantity std_dx"
    assert line.endswith("wrong quantity  print 0.7071: 1/2 is Var[dx]")


def test_a_page_gives_for_each_claim_a_command_that_reproduces_it(cli: Cli) -> None:
    commands = [x.strip() for x in cli("show", "torch-24991").out.splitlines()]
    commands = [x for x in commands if x.startswith("bnstats exact ")]
    claims = claim_set("torch-24991").claims
    assert len(commands) == len(claims)
    shown = cli("show", "torch-24991", "--json").out
    for claim, command, entry in zip(claims, commands, json.loads(shown)["claims"], strict=True):
        assert entry["command"] == command
        out = cli(*shlex.split(command)[1:], "--json").out
        (row,) = read_document(out)["results"]
        assert row["layer"] == claim.spec.text
        exact = row[claim.quantity]["exact"]
        # The value to print instead is that value, to no digit more than is known of it.
        instead = Decimal(entry["instead"])
        unit = Decimal(1).scaleb(instead.as_tuple().exponent)
        assert abs(instead - Decimal(exact["value"])) <= unit / 2 + Decimal(exact["error"])
        assert unit >= 2 * Decimal(exact["error"]) or instead == 1
        assert entry["grade"] in ("wrong", "last digits are noise")


def test_a_patch_has_the_old_and_the_new_value_of_each_wrong_claim(cli: Cli) -> None:
    code, out, err = cli("show", "feng2016", "--patch")
    assert code == 0
    assert "verify FILE --diff" in err
    lines = out.splitlines()
    old = [x.split("#")[0].split() for x in lines if x.startswith("- ")]
    new = [x.split("#")[0].split() for x in lines if x.startswith("+ ")]
    # True to the digits printed: mission of the audit, by mpmath elsewhere
    assert old == [["-", "1.0291"], ["-", "0.7010"], ["-", "0.2123"]]
    assert new == [["+", "1.0294"], ["+", "0.7012"], ["+", "0.2117"]]
    (source,) = {c.source for c in claim_set("feng2016").claims if c.printed.text == "0.2123"}
    assert lines.index(source) == lines.index(next(x for x in lines if "0.2123" in x)) - 1
    entries = json.loads(cli("show", "feng2016", "--patch", "--json").out)["claims"]
    assert [e["instead"] for e in entries] == ["1.0294", "0.7012", "0.2117"]


def test_what_claims_no_moment_is_left_alone_by_a_patch(cli: Cli) -> None:
    assert cli("show", "torch", "--patch") == (
        0,
        "",
        "note: nothing of torch is to be replaced: 6 claims, 3 reproduced, 3 not a moment\n",
    )
    document = json.loads(cli("show", "torch", "--patch", "--json").out)
    assert (document["schema"], document["set"], document["claims"]) == (
        "bnstats-claims/1",
        "torch",
        [],
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "nfnet",
            "unknown claim set 'nfnet'\nhint:  did you mean 'nfnets'?  (bnstats list claims)",
        ),
        (
            "relu",
            "unknown claim set 'relu'\n"
            "hint:  it is a layer, of which bnstats show relu tells the claims",
        ),
    ],
)
def test_only_a_claim_set_has_a_patch(cli: Cli, name: str, said: str) -> None:
    assert cli("show", name, "--patch") == (2, "", f"error: {said}\n")
    code, out, err = cli("show", name, "--json")
    assert (code, err) == (2, f"error: {said}\n")
    assert read_document(out)["error"]["message"] == said.partition("\n")[0]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli: Cli, shell: str) -> None:
    code, out, err = cli("completion", shell)
    assert (code, err) == (0, "")
    assert f"_BNSTATS_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("bnstats ver", {"verify", "version"}),
        (
            "bnstats ",
            {
                "compute",
                "exact",
                "critical",
                "sweep",
                "propagate",
                "table",
                "verify",
                "merge",
                "list",
                "show",
                "completion",
                "help",
                "version",
            },
        ),
        ("bnstats list ", {"layers", "claims", "backends"}),
        ("bnstats compute relu --direc", {"--direction"}),
        ("bnstats compute relu --dtype ", {"float64", "float32"}),
        ("bnstats compute max_p", {"max_pool1d", "max_pool2d", "max_pool3d"}),
        ("bnstats exact hards", {"hardshrink", "hardsigmoid", "hardswish"}),
        ("bnstats show al", {"alpha_dropout", "alf"}),
        ("bnstats verify feng", {"feng2016", "feng2016-repost"}),
        ("bnstats compute elu:al", {"elu:alpha="}),
        ("bnstats show avg_pool2d:ceil_mode=t", {"avg_pool2d:ceil_mode=true"}),
        ("bnstats compute gelu:approximate=", {"gelu:approximate=none", "gelu:approximate=tanh"}),
        ("bnstats exact torch.nn.Si", {"torch.nn.SiLU", "torch.nn.Sigmoid"}),
        ("bnstats exact SiL", {"SiLU"}),
        ("bnstats list le", {"leaky_relu", "lecun_tanh"}),
        ("bnstats help sob", {"sobol"}),
        ("bnstats compute relu --dtype=float6", {"--dtype=float64"}),
        ("bnstats compute relu --quantity gain_", {"gain_y", "gain_rms_y", "gain_ms_y", "gain_dx"}),
        ("bnstats exact relu --quantity E[", {"E[y]", "E[dx]", "E[y²]", "E[f′]"}),
        ("bnstats sweep relu --find std_", {"std_y=", "std_dx="}),
        ("bnstats verify consta", {"consta"}),  # a file, which the shell completes
    ],
)
def test_completion_offers(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    offered: set[str],
) -> None:
    monkeypatch.setenv("_BNSTATS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    out, err = capsys.readouterr()
    assert not err
    assert {line.partition(",")[2] for line in out.splitlines()} == offered


def test_a_line_for_each_command_is_whole(cli: Cli) -> None:
    commands = cli("--help").out.partition("Commands:\n")[2].splitlines()
    assert len(commands) == 13
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("bnstats comp", ["compute", "completion"]),
        ("bnstats compute elu:al", ["alpha="]),  # bash completes what follows the colon
        ("bnstats compute gelu:approximate=t", ["tanh"]),
        ("bnstats compute linear:in_features=3,out", ["3,out_features="]),
        ("bnstats compute relu --dtype=float6", ["float64"]),
        ("bnstats compute relu --dtype float6", ["float64"]),
        ("bnstats exact torch.nn.SiL", ["torch.nn.SiLU"]),
        ("bnstats help sob", ["sobol"]),
    ],
)
def test_bash_is_offered_what_may_follow(
    cli: Cli, tmp_path: Path, line: str, replies: list[str]
) -> None:
    (tmp_path / "bnstats").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (tmp_path / "bnstats").chmod(0o755)
    script = f"""
        compopt() {{ :; }}
        COMP_LINE="$1" COMP_POINT=${{#1}}
        {cli("completion", "bash").out}
        _bnstats_completion bnstats
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "-c", script, "bash", line], capture_output=True, text=True, env=env, check=False
    )
    assert (done.stdout.split("\n")[:-1], done.stderr) == (replies, "")


def test_show_says_where_the_code_of_a_users_layer_stands(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shown_acts.py").write_text(
        "import numpy as np\n\n\ndef bend(x):\n"
        '    """A bend of mine.\n\n    More."""\n    return np.abs(x)\n'
    )
    monkeypatch.chdir(tmp_path)
    out = cli("show", "shown_acts:bend").out
    assert out.startswith("shown_acts:bend — A bend of mine.\n")
    assert "  source     shown_acts.py:4\n" in out

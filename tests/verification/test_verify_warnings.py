"""verify tells what the layer and the backend had to say, and judges what it cannot draw."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerator_support import each, namespace, small_memory
from cli_support import Cli, read_document

from bnstats.sampling import iid as sampling
from bnstats.sampling.counter import devices

KINK = "the slope of leaky jumps at x = 0 (detected; declare breakpoints=(0.0,))"
FORMATS = ["text", "json", "github", "junit"]
WIDE = "linear:in_features=10000,out_features=10000"  # 1e8 weights


def claims(*rows: tuple[str, str, str], path: str = "c.toml") -> Path:
    keys = ("layer", "quantity", "value")
    tables = (zip(keys, row, strict=True) for row in rows)
    text = "".join("[[claim]]\n" + "".join(f'{k} = "{v}"\n' for k, v in table) for table in tables)
    Path(path).write_text(text, "utf-8")
    return Path(path)


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.mark.parametrize("format_", FORMATS)
def test_what_was_found_of_a_users_layer_is_told_once_in_every_format(
    cli: Cli, user_modules: Path, format_: str
) -> None:
    path = claims(("acts:leaky", "std_y", "0.5"), ("acts:leaky", "std_dx", "0.7"))
    options = ("--import", "acts", "-n", 2000, "--format", format_)
    code, out, err = cli("verify", path, *options)
    assert code == 1
    assert err == f"warning: {KINK}\n"
    quiet = cli("-q", "verify", path, *options)
    assert (quiet.code, quiet.err) == (code, "")
    if format_ == "json":
        (row,) = read_document(out)["results"]
        assert row["warnings"] == [KINK]


def test_of_several_layers_a_warning_names_its_own(cli: Cli, user_modules: Path) -> None:
    path = claims(("relu", "std_dx", "0.7071"), ("acts:leaky", "std_dx", "0.7"))
    _, out, err = cli("verify", path, "--import", "acts", "-n", 2000, "--json")
    assert err == f"warning: acts:leaky: {KINK}\n"
    found = {row["layer"]: row["warnings"] for row in read_document(out)["results"]}
    assert found == {"relu": [], "acts:leaky": [KINK]}


@each
def test_memory_that_ran_out_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    namespace(name)
    monkeypatch.setitem(devices._BLOCK_NUMBERS, "cpu", 1024)
    small_memory(monkeypatch, name, 128)
    path = claims(("relu", "std_dx", "0.7071"))
    code, out, err = cli("verify", path, "--backend", name, "-n", 5000, "--json")
    devices._launch.cache_clear()
    told = [f"cpu:0 ran out of memory: went on with blocks of {size} draws" for size in (256, 128)]
    assert (code, err) == (0, "".join(f"warning: {text}\n" for text in told))
    assert read_document(out)["results"][0]["warnings"] == told


def test_doubts_about_the_draws_are_the_gates_and_no_warnings(cli: Cli) -> None:
    path = claims(("relu", "std_dx", "0.7071"))
    code, out, err = cli("verify", path, "-n", 20)  # too few effective draws for any interval
    assert (code, err) == (3, "")
    assert "too few effective draws" in out
    assert out.endswith("1 constant of 1 layer: 1 undecided\n")  # though its digits are right


def test_a_layer_too_wide_to_be_drawn_is_judged_by_its_exact_value(cli: Cli) -> None:
    path = claims((WIDE, "std_y", "1.0000"), (WIDE, "mean_y", "0.01"), ("relu", "std_dx", "0.7071"))
    code, out, err = cli("verify", path, "-n", 20_000)
    assert (code, err) == (1, "")
    not_sampled = "not sampled: too wide to be drawn"
    first, wrong, why, hint, last, failed, summary = out.splitlines()
    assert first == f"ok        {WIDE} σ[y]: claimed 1.0000, exact 1, {not_sampled}"
    assert wrong == f"FAIL      c.toml:8:9: {WIDE} E[y]: claimed 0.01, exact 0, {not_sampled}"
    assert why == "          wrong: 0; 0 is exact"
    assert hint == f"hint:     bnstats exact {WIDE} --quantity mean_y"
    assert "relu σ[dx]: claimed 0.7071, exact 0.70710678, sampled 0.7" in last
    assert failed == f"failed: {WIDE} E[y]"
    assert summary == "3 constants of 2 layers: 2 reproduced, 1 wrong"

    (wide, relu) = read_document(cli("verify", path, "--json", "-n", 20_000).out)["results"]
    for check, outcome in zip(wide["checks"], ("ok", "fail"), strict=True):
        assert check["outcome"] == outcome
        name = check["quantity"]
        assert [check[key] for key in ("value", "stderr", "z")] == [None] * 3
        assert check["command"] == f"bnstats exact {WIDE} --quantity {name}"
        assert check["exact"]["by"] == "closed form"
    assert relu["checks"][0]["value"] is not None
    github = cli("verify", path, "--format", "github", "-n", 20_000).out
    assert f"{not_sampled}; wrong: 0; 0 is exact; to reproduce: bnstats exact" in github
    junit = cli("verify", path, "--format", "junit", "-n", 20_000).out
    assert f"exact 0, {not_sampled}" in junit
    assert "sampled 0" not in junit

    before = path.read_text("utf-8")
    _, _, err = cli("verify", path, "--fix", "-n", 20_000)
    assert err == (
        f"warning: {WIDE} E[y] stays: "
        "too wide to be drawn: no sample bears witness to the exact value\n"
    )
    assert path.read_text("utf-8") == before


def test_a_wide_layer_without_an_exact_value_is_an_error_before_any_draw(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MAX_NUMBERS", 10)

    def draw(*args: object, **kwargs: object) -> None:
        raise AssertionError("it was drawn")

    monkeypatch.setattr("bnstats.verification.gate.sample", draw)
    path = claims(("relu", "std_dx", "0.7071"), ("sparsemax", "std_dx", "0.38"))
    code, out, err = cli("verify", path)
    assert (code, out) == (2, "")
    assert "sparsemax: one draw would hold 20 random numbers, more than 10" in err

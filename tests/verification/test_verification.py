"""verify and table: what is right passes, what is planted is caught and named, nothing flakes."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli, Terminal, read_document

from bnstats.claims import claim_sets
from bnstats.documents.read import CONSTANTS, read_constants
from bnstats.errors import BnstatsError
from bnstats.layers import LAYERS, ExactMoments
from bnstats.report.json import render
from bnstats.runs.drawing import default_samples, sample
from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.quantities import QUANTITIES
from bnstats.tables import constants
from bnstats.tables.constants import table_specs
from bnstats.tables.published.data import DATA
from bnstats.tables.published.page import PAGE as PUBLISHED
from bnstats.tables.published.page import PLOT
from bnstats.tables.reference import PAGE as CONSTANTS_TABLE
from bnstats.verification import gate
from bnstats.verification.check import Check
from bnstats.verification.gate import VerifySettings
from bnstats.verification.results import verify_constants
from bnstats.verification.sources import verify

Document = dict[str, Any]

QUICK = ("-n", "20000")
NUMBERS = ("relu", "sigmoid", "max_pool2d:kernel_size=2")


def outcomes(checks: tuple[Check, ...]) -> dict[tuple[str, str], str]:
    return {(c.layer, c.quantity): c.outcome for c in checks}


# Claims


REFUTED = {
    ("sigmoid", "std_dx"),
    ("max_pool2d:kernel_size=2", "mean_y"),
    ("max_pool2d:kernel_size=2", "std_y"),
}


def test_feng2016_has_three_wrong_values(cli: Cli) -> None:
    checks = verify("feng2016", VerifySettings(samples=20_000))
    assert len(checks) == 24
    found = outcomes(checks)
    assert {key for key, outcome in found.items() if outcome == "fail"} == REFUTED
    assert set(found.values()) == {"ok", "fail"}
    code, out, err = cli("verify", "feng2016", *QUICK)
    assert (code, err) == (1, "")
    assert len(re.findall(r"^FAIL ", out, re.MULTILINE)) == 3
    assert len(re.findall(r"^ok ", out, re.MULTILINE)) == 21
    last = out.splitlines()[-1]
    assert last == "24 constants of 10 layers: 21 reproduced, 3 last digits are noise"


def test_a_failure_says_what_was_claimed_what_is_true_and_how_to_see_it(cli: Cli) -> None:
    out = cli("verify", "feng2016", "-n", "20000", "--seed", 9).out
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if "sigmoid σ[dx]" in line)
    first = r"FAIL +sigmoid σ\[dx\]: claimed 0\.2123, exact 0\.21174570, sampled 0\.21\d+\(\d+\)"
    assert re.match(first, lines[at])
    reason = (
        " last digits are noise: 0.2117; 3 digits right, within the error of its own 100,000 draws"
    )
    assert lines[at + 1].endswith(reason)
    assert re.fullmatch(r"hint: +bnstats exact sigmoid --quantity std_dx", lines[at + 2])
    command = lines[at + 2].split("bnstats ")[1].split()
    again = read_document(cli(*command, "--json").out)["results"][0]["std_dx"]["exact"]
    checks = read_document(cli("verify", "feng2016", *QUICK, "--seed", 9, "--json").out)
    (check,) = (
        c
        for r in checks["results"]
        for c in r["checks"]
        if (r["layer"], c["quantity"]) == ("sigmoid", "std_dx")
    )
    assert check["exact"]["value"] == again["value"]
    assert (check["outcome"], check["wanted"]) == ("fail", "0.2123")


FILES = {
    "mine.toml": """
title = "Mine"
[[claim]]
layer = "gelu"
quantity = "std_dx"
value = "0.6752"
[[claim]]
layer = "leaky_relu:negative_slope=0.2"
quantity = "rms_y"
value = 0.7211
[[claim]]
layer = "relu"
quantity = "gain_rms_y"
value = "sqrt(2)"
""",
    "mine.json": '[{"layer": "swish", "quantity": "mean_y", "value": 0.207, "samples": 1e5}]',
    "mine.csv": 'layer,quantity,value\n"max_pool2d:stride=2,kernel_size=3",std_y,0.59779037\n',
}


@pytest.mark.parametrize("name", FILES)
def test_a_correct_file_passes(cli: Cli, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    checks = verify(path, VerifySettings(samples=2000))
    assert {c.outcome for c in checks} == {"ok"}
    code, out, err = cli("verify", path, *QUICK)
    assert (code, err) == (0, "")
    assert f": {len(checks)} reproduced\n" in out
    document = read_document(cli("verify", path, *QUICK, "--format", "json").out)
    assert document["status"] == "complete"
    found = [claim for result in document["results"] for claim in result["claims"]]
    assert {(c["set"], c["verdict"]) for c in found} == {("mine", "reproduced")}


def write_claim(path: Path, value: str, layer: str = "sigmoid", quantity: str = "std_dx") -> Path:
    path.write_text(json.dumps([{"layer": layer, "quantity": quantity, "value": value}]))
    return path


def write_undecided(path: Path) -> Path:
    """Write a claim of more digits than a few draws of a layer without an exact value can tell."""
    return write_claim(path, "0.5340", "lp_pool1d:kernel_size=3,norm_type=4")


@pytest.mark.parametrize(
    ("value", "options", "code", "word"),
    [
        ("0.21174570", [], 0, "ok "),
        ("0.21174571", [], 1, "FAIL "),
        ("0.21174571", ["--allow-undecided"], 1, "FAIL "),
        ("0.21174571", ["--exit-zero"], 0, "FAIL "),
        ("0.211745699720665900", [], 0, "ok "),  # as far as anybody knows
        (None, [], 3, "undecided "),
        (None, ["--allow-undecided"], 0, "undecided "),
        (None, ["--exit-zero"], 0, "undecided "),
    ],
)
def test_exit_codes(
    cli: Cli, tmp_path: Path, value: str | None, options: list[str], code: int, word: str
) -> None:
    path = tmp_path / "a.json"
    write_claim(path, value) if value else write_undecided(path)
    outcome = cli("verify", path, *QUICK, *options)
    assert (outcome.code, outcome.err) == (code, "")
    assert outcome.out.startswith(word)
    again = cli("verify", path, *QUICK, *options, "--json")
    assert again.code == code
    check = read_document(again.out)["results"][0]["checks"][0]
    assert check["outcome"] == word.strip().lower()


def test_several_things_at_once_and_the_worst_of_them_counts(cli: Cli, tmp_path: Path) -> None:
    good = write_claim(tmp_path / "good.json", "0.2117")
    bad = write_claim(tmp_path / "bad.json", "0.2118", layer="logistic")
    undecided = write_undecided(tmp_path / "u.json")
    assert cli("verify", good, undecided, *QUICK).code == 3
    code, out, _ = cli("verify", bad, good, undecided, *QUICK)
    assert code == 1
    assert out.splitlines()[-1].endswith(": 1 reproduced, 1 wrong, 1 undecided")


def test_a_name_that_is_neither_set_nor_file() -> None:
    with pytest.raises(BnstatsError, match="unknown claim set 'feng'"):
        verify("feng")
    with pytest.raises(BnstatsError, match="no such file"):
        verify(Path("feng2016"))


# The gate


class Draws:
    """1000 draws with the z that a test wants, by seed, and the error of those asked."""

    def __init__(self, quantity: str, z: dict[int, float]) -> None:
        self.quantity, self.z = quantity, z
        self.asked: list[tuple[int, int]] = []

    def __call__(self, spec: Any, sampling: Sampling, *rest: object) -> Any:
        assert (sampling.backend, sampling.device) == ("numpy", None)
        samples, seed = sampling.samples, sampling.seed
        self.asked.append((seed, samples))
        result = sample(spec, replace(sampling, samples=1000))
        entry = replace(result.quantities[self.quantity], z=self.z[seed])
        calm = {k: replace(e, z=0.0) for k, e in result.quantities.items()}
        found = {
            k: replace(e, stderr=e.stderr and e.stderr * math.sqrt(1000 / samples))
            for k, e in {**calm, self.quantity: entry}.items()
        }
        return replace(result, quantities=found, samples=samples)


@pytest.mark.parametrize(
    ("first", "second", "outcome", "stages"),
    [
        (3.9, 99.0, "ok", 1),
        (-3.9, 99.0, "ok", 1),
        (4.1, 0.5, "ok", 2),
        (4.1, -9.0, "ok", 2),
        (-9.0, 9.0, "ok", 2),
        (4.1, 9.0, "fail", 2),
        (-9.0, -9.0, "fail", 2),
    ],
)
@pytest.mark.parametrize("what", ["claim", "constant"])
def test_a_row_fails_only_when_two_independent_samples_agree(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tables: Path,
    what: str,
    first: float,
    second: float,
    outcome: str,
    stages: int,
) -> None:
    fake = Draws("std_dx", {7: first, 8: second})
    monkeypatch.setattr(gate, "sample", fake)
    settings = VerifySettings(samples=5000, seed=7)
    if what == "claim":
        checks = verify(write_claim(tmp_path / "a.json", "0.2117"), settings)
    else:
        document = dict(read_constants(tables / CONSTANTS))
        document["results"] = [r for r in document["results"] if r["layer"] == "sigmoid"]
        checks = verify_constants(document, settings)
    check = {c.quantity: c for c in checks}["std_dx"]
    assert {c.outcome for c in checks if c is not check} <= {"ok"}
    assert (check.outcome, check.z) == (outcome, second if stages == 2 else first)
    assert ("disagree" in check.reason) == (outcome == "fail")
    # Second stage: another stream, four times as long, and drawn only when it is needed.
    assert fake.asked == [(7, 5000), (8, 20_000)][:stages]
    sampled = "-n 2e4 --seed 8" if stages == 2 else "-n 5e3 --seed 7"
    assert check.command.replace("5000", "5e3") == f"bnstats compute sigmoid {sampled}"


@pytest.mark.parametrize(
    ("family_error", "second", "outcome"),
    [(1e-6, 4.0, "fail"), (1e-12, 4.0, "ok"), (1e-12, 6.5, "fail"), (0.5, 0.1, "fail")],
)
def test_the_family_error_sets_the_second_threshold(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    family_error: float,
    second: float,
    outcome: str,
) -> None:
    monkeypatch.setattr(gate, "sample", Draws("std_dx", {1: 4.1, 2: second}))
    path = write_claim(tmp_path / "a.json", "0.2117")
    assert verify(path, VerifySettings(family_error=family_error))[0].outcome == outcome
    code = cli("verify", path, "--family-error", family_error).code
    assert code == (1 if outcome == "fail" else 0)


def test_several_sources_share_the_family_error(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Of one test 4.1 and then 2.3 is one in 7e-7, of each of two it is not rare enough.
    monkeypatch.setattr(gate, "sample", Draws("std_dx", {1: 4.1, 2: 2.3}))
    path = write_claim(tmp_path / "a.json", "0.2117")
    assert cli("verify", path).code == 1
    assert cli("verify", path, path).code == 0


@pytest.mark.parametrize(
    ("layer", "times"),
    [
        ("relu", 1),
        ("avg_pool2d:kernel_size=2", 1),
        ("elu", 3),  # E[y] = 0.16 and σ[y] = 0.79: ten standard errors in 1 % need 2.4e7 draws
        ("elu:alpha=1.6", 10),  # E[y] = 0.018 would need 4e9
        ("tanh", 1),  # E[y] = 0 needs none
    ],
)
def test_default_draws_resolve_an_error_of_one_per_cent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, layer: str, times: int
) -> None:
    fake = Draws("std_y", {1: 0.0})
    monkeypatch.setattr(gate, "sample", fake)
    verify(write_claim(tmp_path / "a.json", "0.5", layer, "std_y"))
    default = default_samples(parse(layer).bound)
    assert fake.asked == [(1, default // 100), (1, times * default)]


@pytest.mark.parametrize(
    ("name", "value", "stderr", "exact", "wanted"),
    [
        ("std_y", 2.0, 0.1, None, 0.05),
        ("mean_y", -2.0, 0.1, None, 0.05),
        ("std_y", 2.0, 0.1, Exact(4.0, 0.01, ""), 0.025),  # of the value that is known
        ("mean_y", 0.05, 0.1, None, 0.0),  # which may be 0
        ("mean_y", 0.05, 0.01, Exact(0.001, 0.01, ""), 0.0),
        ("var_y", 2.0, 0.1, None, 0.0),  # σ tells it
        ("gain_y", 2.0, 0.1, None, 0.0),
        ("chi", 2.0, 0.1, None, 0.0),  # of a stack
        ("std_y", 2.0, None, None, 0.0),
    ],
)
def test_the_error_that_the_first_stage_is_planned_by(name, value, stderr, exact, wanted):
    estimate = Estimate(value, stderr, None, 1e3, exact)
    assert gate._relative_error(name, estimate) == pytest.approx(wanted)


# Tables


@pytest.fixture(scope="module")
def built() -> Document:
    """A document of a few layers, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "table_specs", lambda: NUMBERS)
        document = constants.build(Sampling(20_000))
    assert document
    return document


@pytest.fixture
def tables(
    built: Document, few_claims: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return the small tables, complete as far as `table --check` is concerned."""
    monkeypatch.setattr(constants, "table_specs", lambda: NUMBERS)
    directory = tmp_path / "results"
    directory.mkdir()
    for name, text in constants.files(built).items():
        (directory / name).write_text(text, "utf-8")
    return directory


def edit(directory: Path, layer: str, change: Callable[[Document], object]) -> None:
    """Change a layer's row in constants.json, and the tables that are made from it."""
    document = json.loads((directory / CONSTANTS).read_text("utf-8"))
    change(next(row for row in document["results"] if row["layer"] == layer))
    for name, text in constants.files(document).items():
        (directory / name).write_text(text, "utf-8")


def off_by(factor: float) -> Callable[[Document], object]:
    def change(row: Document) -> None:
        row["std_dx"]["value"] *= factor

    return change


def other_exact(row: Document) -> None:
    row["std_dx"]["exact"]["value"] += 1e-12


def other_verdict(row: Document) -> None:
    next(c for c in row["claims"] if c["verdict"] == "refuted")["grade"] = "reproduced"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (off_by(1.2), "sigmoid std_dx: the committed estimate is not a sample of this layer"),
        (off_by(1 / 1.2), "sigmoid std_dx: the committed estimate is not a sample of this layer"),
        (off_by(-1.0), "sigmoid std_dx: the committed estimate is not a sample of this layer"),
        (other_exact, "sigmoid std_dx: the committed exact value is wrong"),
        (lambda r: r["std_y"].update(exact=None), "sigmoid std_y: no exact value is committed"),
        (other_verdict, "sigmoid: published claims or their verdicts differ"),
        (lambda r: r["claims"].pop(), "sigmoid: published claims or their verdicts differ"),
        (
            lambda r: r["claims"][0].update(printed="0.5"),
            "sigmoid: published claims or their verdicts differ",
        ),
    ],
)
def test_check_names_a_planted_row(
    cli: Cli, tables: Path, change: Callable[[Document], object], says: str
) -> None:
    edit(tables, "sigmoid", change)
    code, out, err = cli("table", "constants", "--check", "--out", tables, *QUICK)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert f"FAIL   constants.json: {says}" in lines
    assert lines[-1].endswith(f"checked, {len(lines) - 1} rows differ")
    assert all(line.startswith("FAIL   constants.json: sigmoid") for line in lines[:-1])
    if "claims" not in says:  # verify looks at numbers, not at verdicts
        found = cli("verify", tables, *QUICK)
        assert found.code == 1
        assert re.search(r"^FAIL +\S+constants\.json: sigmoid σ\[", found.out)
        assert len(found.out.splitlines()) in (3, 4)


def test_check_names_missing_and_superfluous_rows(
    cli: Cli, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "table_specs", lambda: ("relu", "sigmoid", "tanh"))
    code, out, _ = cli("table", "constants", "--check", "--out", tables, *QUICK)
    assert code == 1
    assert out.splitlines()[:-1] == [
        "FAIL   constants.json: tanh: row is missing",
        "FAIL   constants.json: max_pool2d:kernel_size=2: no such layer now",
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        (CONSTANTS_TABLE, "0.70710678", "0.70710679", "constants.md: relu"),
        (PUBLISHED, "| −25 %", "| −24 %", "published.md: selu 1/rms[y]"),
        (DATA, ",0.2123,", ",0.2132,", "published.csv: last digits are noise,feng2016,sigmoid"),
        (DATA, "wrong quantity,", "reproduced,", "published.csv: "),
        (CONSTANTS_TABLE, "# Constants", "# constants", "constants.md: # Constants"),
    ],
)
def test_check_names_an_edited_line(
    cli: Cli, tables: Path, name: str, old: str, new: str, says: str
) -> None:
    path = tables / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    code, out, _ = cli("table", "constants", "--check", "--out", tables, *QUICK)
    assert code == 1
    problems = out.splitlines()[:-1]
    assert problems
    assert any(line.startswith(f"FAIL   {says}") for line in problems)
    assert all(line.startswith(f"FAIL   {name}: ") for line in problems)
    assert all(line.endswith("row differs") for line in problems)
    assert path.read_text("utf-8") == text.replace(old, new, 1)


def test_check_names_a_line_too_many(cli: Cli, tables: Path) -> None:
    with (tables / PUBLISHED).open("a", encoding="utf-8") as file:
        file.write("| `sigmoid` | E[y] | made up |\n")
    code, out, _ = cli("table", "constants", "--check", "--out", tables, *QUICK)
    assert code == 1
    assert out.splitlines()[:-1] == ["FAIL   published.md: sigmoid E[y]: row differs"]


def test_check_sees_swapped_lines_and_a_missing_file(cli: Cli, tables: Path) -> None:
    path = tables / DATA
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:-2], lines[-1], lines[-2]]), "utf-8")
    (tables / CONSTANTS_TABLE).unlink()
    code, out, _ = cli("table", "constants", "--check", "--out", tables, *QUICK)
    assert code == 1
    assert out.splitlines()[:-1] == [
        "FAIL   constants.md: missing or unreadable",
        "FAIL   published.csv: rows are out of order or repeated",
    ]


def test_tables_that_hold_pass_and_are_not_touched(cli: Cli, tables: Path) -> None:
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tables.iterdir()}
    wanted = f"{len(QUANTITIES) * len(NUMBERS)} constants checked, 0 rows differ\n"
    assert cli("table", "constants", "--check", "--out", tables, *QUICK) == (0, wanted, "")
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tables.iterdir()} == before
    for where in (tables, tables / CONSTANTS):
        code, out, _ = cli("verify", where, *QUICK)
        assert code == 0
        assert out == "39 constants of 3 layers: 39 verified\n"


def test_too_few_draws_decide_nothing(cli: Cli, tables: Path) -> None:
    argv = ("verify", tables, "-n", "50")
    code, out, _ = cli(*argv)
    assert code == 3
    assert out.splitlines()[-1].endswith(": 39 undecided")
    assert cli(*argv, "--allow-undecided").code == 0
    edit(tables, "sigmoid", other_exact)
    assert cli(*argv, "--allow-undecided").code == 1


def test_fresh_draws_are_not_the_committed_ones(
    cli: Cli, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((tables / CONSTANTS).read_text("utf-8"))
    document["provenance"]["seed"] = 1  # as verify's own
    (tables / CONSTANTS).write_text(json.dumps(document), "utf-8")
    seeds = []

    def spy(spec: Any, sampling: Sampling, *rest: Any) -> Any:
        seeds.append(sampling.seed)
        return sample(spec, sampling, *rest)

    monkeypatch.setattr(gate, "sample", spy)
    cli("verify", tables, *QUICK)
    assert set(seeds) == {2}
    cli("table", "constants", "--check", "--out", tables, *QUICK)
    assert set(seeds) == {2}
    cli("verify", tables, *QUICK, "--seed", 7)
    assert set(seeds) == {2, 7}
    seeds.clear()
    cli("verify", tables, *QUICK, "--seed", 0)  # whose second stage would be the table's seed
    assert set(seeds) == {2}


def plant(monkeypatch: pytest.MonkeyPatch, *, sampled_only: bool) -> None:
    """Scale sigmoid's slope by 1.01, everywhere or in the sampled path alone."""
    layer = LAYERS["sigmoid"]

    def bind(**values: Any) -> Any:
        bound = layer.bind(**values)

        def forward(xp: Any, draws: Any) -> Any:
            y, backward = bound.forward(xp, draws)
            return y, lambda dy: 1.01 * backward(dy)

        def moments(law: Any, expect: Any) -> Any:
            known = bound.moments(law, expect)
            return replace(known, ms_dx=1.01**2 * known.ms_dx, m4_dx=1.01**4 * known.m4_dx)

        return replace(bound, forward=forward, moments=bound.moments if sampled_only else moments)

    monkeypatch.setitem(LAYERS, "sigmoid", replace(layer, bind=bind))


@pytest.mark.parametrize("sampled_only", [True, False])
def test_an_error_of_one_per_cent_in_a_formula_is_caught(
    cli: Cli, tables: Path, monkeypatch: pytest.MonkeyPatch, sampled_only: bool
) -> None:
    document = read_constants(tables / CONSTANTS)
    settings = VerifySettings(samples=400_000, seed=1)
    assert set(outcomes(verify_constants(document, settings)).values()) == {"ok"}
    plant(monkeypatch, sampled_only=sampled_only)
    checks = [c for c in verify_constants(document, settings) if c.outcome != "ok"]
    dx = {"std_dx", "var_dx", "rms_dx", "gain_dx"}
    assert {(c.layer, c.quantity) for c in checks} == {("sigmoid", name) for name in dx}
    assert {c.outcome for c in checks} == {"fail"}
    bug = "fresh draws disagree with the exact value: a bug in a formula or backend"
    stale = "the committed exact value is wrong"
    assert {c.reason for c in checks} == {bug if sampled_only else stale}
    claims = outcomes(verify("feng2016", settings))
    assert claims["sigmoid", "std_dx"] == "fail"
    assert claims["sigmoid", "std_y"] == "ok"
    code, out, _ = cli("table", "constants", "--check", "--out", tables, "-n", "4e5")
    assert code == 1
    assert "FAIL   constants.json: sigmoid std_dx: " in out


def test_the_committed_estimate_decides_where_nothing_is_exact(tables: Path) -> None:
    # A layer without exact values: the committed estimate is held against fresh draws.
    layer = LAYERS["tanh"]
    with pytest.MonkeyPatch.context() as patch:

        def bind(**values: Any) -> Any:
            return replace(layer.bind(**values), moments=lambda law, expect: ExactMoments())

        patch.setitem(LAYERS, "tanh", replace(layer, bind=bind))
        patch.setattr(constants, "table_specs", lambda: ("tanh",))
        document = constants.build(Sampling(100_000))
        assert document
        row = document["results"][0]
        assert row["std_y"]["exact"] is None
        settings = VerifySettings(samples=100_000, seed=1)
        assert set(outcomes(verify_constants(document, settings)).values()) == {"ok"}
        row["std_y"]["value"] *= 1.05
        checks = [c for c in verify_constants(document, settings) if c.outcome != "ok"]
        assert [(c.quantity, c.outcome) for c in checks] == [("std_y", "fail")]
        assert checks[0].reason == "fresh draws disagree with the committed estimate"


@pytest.mark.slow
def test_the_whole_table_is_made_twice_alike_and_holds(cli: Cli, tmp_path: Path) -> None:
    contents = []
    for name, workers in (("a", 1), ("b", 2)):
        out = tmp_path / name
        out.mkdir()
        code, said, err = cli("table", "constants", "--out", out, "-n", 5000, "--workers", workers)
        names = [CONSTANTS, CONSTANTS_TABLE, PUBLISHED, DATA]
        if find_spec("matplotlib"):
            names.append(PLOT)
        else:
            assert err.startswith("note: matplotlib is not installed")
            err = ""
        assert (code, err) == (0, "")
        assert said == "".join(f"wrote {out / file}\n" for file in names)
        assert sorted(p.name for p in out.iterdir()) == sorted(names)
        contents.append([(out / file).read_bytes() for file in names])
    assert contents[0] == contents[1]
    document = read_document(contents[0][0].decode())
    assert [row["layer"] for row in document["results"]] == list(table_specs())
    assert document["provenance"]["argv"] == ["table", "--samples=5000"]
    published = contents[0][2].decode()
    claims = sum(len(s.claims) for s in claim_sets())
    assert f"{claims} claims of " in published
    # So few draws leave a few values undecided, and no row differs.
    checked = cli("table", "constants", "--check", "--out", out, "-n", 5000)
    assert checked.code in (0, 3)
    assert ", 0 rows differ" in checked.out


def test_published_renders_what_is_there(cli: Cli, tables: Path) -> None:
    names = (CONSTANTS_TABLE, PUBLISHED, DATA)
    wanted = {name: (tables / name).read_bytes() for name in names}
    before = (tables / CONSTANTS).stat()
    for name in wanted:
        (tables / name).write_text("old")
    code, out, _ = cli("table", "published", "--out", tables)
    assert (code, "constants.json" in out) == (0, False)
    after = (tables / CONSTANTS).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert {name: (tables / name).read_bytes() for name in wanted} == wanted


def test_an_interrupted_table_leaves_the_files_as_they_were(
    cli: Cli, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.read_bytes() for p in tables.iterdir()}

    def second(spec: Any, *how: Any) -> Any:
        if spec.text == NUMBERS[1]:
            os.kill(os.getpid(), signal.SIGINT)
        return sample(spec, *how)

    monkeypatch.setattr(constants, "sample", second)
    code, out, err = cli("table", "constants", "--out", tables, "-n", 1000)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted: the tables are as they were"
    assert {p.name: p.read_bytes() for p in tables.iterdir()} == before


def test_the_bar_of_a_table_shows_the_layer_and_its_rate(tmp_path: Path) -> None:
    run = Terminal("table", "constants", "-n", "1e12", "--out", tmp_path, "--workers", 1)
    first = constants.table_specs()[0]
    run.wait_for(rf"table .*0%.*{first} at \d[\d.e+]*/s")
    run.process.send_signal(signal.SIGINT)
    code, _ = run.finish()
    assert code == 130
    assert "interrupted: the tables are as they were\r\n" in run.screen


def test_verify_reads_the_results_of_the_working_directory(
    cli: Cli, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tables.parent)
    plain = cli("verify", *QUICK)
    assert plain.code == 0
    assert cli("verify", "results", *QUICK) == plain
    document = read_document(cli("verify", *QUICK, "--json").out)
    assert [row["layer"] for row in document["results"]] == list(NUMBERS)
    assert all(len(row["checks"]) == len(QUANTITIES) for row in document["results"])
    assert {c["outcome"] for row in document["results"] for c in row["checks"]} == {"ok"}


def test_stopping_within_a_layer_keeps_the_layers_done(tables: Path) -> None:
    document = read_constants(tables / CONSTANTS)
    told: list[tuple[str, int, int]] = []
    settings = VerifySettings(
        samples=2000,
        on_layer=lambda layer, done, total: told.append((layer, done, total)),
        should_stop=lambda: len(told) == 2,
    )
    checks = verify_constants(document, settings)
    assert {c.layer for c in checks} == set(NUMBERS[:1])
    assert told == [(NUMBERS[0], 0, 3), (NUMBERS[1], 1, 3)]
    assert render(document) + "\n" == (tables / CONSTANTS).read_text("utf-8")


def test_a_gain_of_what_does_not_vary_is_nothing_to_check(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.json"
    cli("compute", "orthogonal", "tanh", "-n", "20000", "--export", path)
    code, out, _ = cli("verify", path, "-n", "20000", "--json")
    assert code == 0
    checks = {
        (r["layer"], c["quantity"]) for r in read_document(out)["results"] for c in r["checks"]
    }
    assert ("tanh", "gain_dx") in checks
    assert ("orthogonal", "std_dx") in checks
    assert ("orthogonal", "gain_dx") not in checks

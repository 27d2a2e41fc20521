"""compute and exact on the command line: text, documents, formats, numbers, files, terminals."""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_support import VALIDATOR, Cli, Terminal, read_document, spawn

from bnstats.notation import bounds, concise
from bnstats.runs import drawing
from bnstats.statistics.quantities import GAINS, ON_SCREEN, QUANTITIES, STACK_QUANTITIES
from bnstats.tables.constants import table_specs

SHOWN = (*ON_SCREEN, *GAINS)
SYMBOLS = [QUANTITIES[name].symbol for name in SHOWN]
ESTIMATE = r"−?\d+(?:\.\d+)?\((?:\d+(?:\.\d+)?|\?)\)"
INTERVAL = r"\[−?\d+(?:\.\d+)?, −?\d+(?:\.\d+)?\]"
EXACT = r"−?\d+(?:\.\d+)?"
ROW = re.compile(rf"  (\S+) +({ESTIMATE}) +({INTERVAL}) +({EXACT}) +([+−]\d+\.\d\d)")
ESCAPE = "\x1b["


def document(cli: Cli, *argv: object) -> dict[str, Any]:
    outcome = cli(*argv, "--json")
    assert outcome.code == 0
    return read_document(outcome.out)


# Text


def test_text_has_heading_table_claims_and_footer(cli: Cli) -> None:
    code, out, err = cli("compute", "sigmoid", "-n", 100_000)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "sigmoid   y = 1/(1 + e^-x)   dx = dy·y·(1 − y)   x, dy ~ N(0, 1)"
    assert lines[2].split("  ")[-1].strip() == "z"
    assert re.fullmatch(r" +estimate\(SE\) +95 % interval +exact +z", lines[2])
    rows = [ROW.fullmatch(line) for line in lines[3:11]]
    assert all(rows)
    assert [row[1] for row in rows if row] == SYMBOLS
    exact = ["0.5", "0.20827634", "0", "0.21174570", "0.04483624"]
    assert [row[4] for row in rows if row] == [*exact, "4.80131337", "1.84622855", "4.72264609"]
    (claim,) = (line for line in lines if line.startswith("  published (feng2016)"))
    assert claim.endswith("σ[dx] = 0.2123")
    below = " ".join(" ".join(lines[lines.index(claim) + 1 :]).split())
    assert below.startswith(
        "last digits are noise: 0.2117; 3 digits right, within the error of its own 100,000 draws"
    )
    _, found, right = " ".join(out.split()).partition(" published and reproduced ")
    assert found
    assert right.startswith("1/rms[y] = sqrt(3.41) (alf)")
    for claimed in ("E[y] = 0.5000000 (anyinit), 1/2 (feng2016)", "; σ[y] = 0.2083 (feng2016)"):
        assert claimed in right
    footer = r"  100,000 samples · iid · float64 · numpy · seed 0 · \d+\.\d s"
    assert re.fullmatch(footer, lines[-1])
    # The columns line up: estimates by their sign, the rest at their first character.
    for title, group in (("95 %", 3), ("exact", 4)):
        assert {row.start(group) for row in rows if row} == {lines[2].index(title)}
    assert {row.start(5) for row in rows if row} == {lines[2].rindex("z") - 1}


def test_text_shows_the_digits_of_the_document(cli: Cli) -> None:
    argv = ("compute", "relu", "-n", 50_000, "--seed", 7, "--confidence", 0.5)
    result = document(cli, *argv)["results"][0]
    text = cli(*argv).out
    assert "50 % interval" in text
    rows = [row for row in map(ROW.fullmatch, text.splitlines()) if row]
    for row, name in zip(rows, SHOWN, strict=True):
        value, error = row[2].replace("−", "-").rstrip(")").split("(")
        unit = 10.0 ** -len(value.partition(".")[2])
        assert float(value) == pytest.approx(result[name]["value"], abs=0.51 * unit)
        assert float(error) * unit == pytest.approx(result[name]["stderr"], rel=0.06)
        low, high = (float(end) for end in row[3].replace("−", "-")[1:-1].split(","))
        assert [low, high] == pytest.approx(result[name]["interval"], abs=0.51 * unit)
        assert float(row[5].replace("−", "-")) == pytest.approx(result[name]["z"], abs=0.0051)


def test_several_layers_are_separate_blocks_and_repetitions_are_one(cli: Cli) -> None:
    out = cli("compute", "silu", "tanh", "swish", "-n", 1000).out
    blocks = re.split(r"\n\n(?=\w)", out)
    heads = [block.split()[0] for block in blocks]
    assert all(re.search(r" · seed 0 · \d+\.\d s$", block.rstrip()) for block in blocks)
    assert heads == ["silu", "tanh"]
    found = document(cli, "compute", "silu", "tanh", "swish", "-n", 1000)
    assert [r["layer"] for r in found["results"]] == ["silu", "tanh"]


@pytest.mark.parametrize("command", ["compute", "exact"])
def test_eighty_columns_suffice(cli: Cli, command: str) -> None:
    size = ["-n", 2000] if command == "compute" else []
    specs = sorted(table_specs(), key=len)[-60:]  # long names are what a line may not hold
    code, out, _ = cli(command, *specs, *size)
    assert code == 0
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


def test_a_law_is_named_and_has_no_published_claims(cli: Cli) -> None:
    law = ("--x-mean", -1, "--x-std", 0.5, "--dy-std", 3)
    head, *_ = cli("compute", "identity", "-n", 1000, *law).out.splitlines()
    assert head.endswith("x ~ N(−1, 0.5²), dy ~ N(0, 3²)")
    found = document(cli, "compute", "identity", "-n", 200_000, *law)
    assert found["provenance"]["law"] == {"x_mean": -1.0, "x_std": 0.5, "dy_std": 3.0}
    result = found["results"][0]
    for name, value in (("mean_y", -1), ("std_y", 0.5), ("mean_dx", 0), ("std_dx", 3)):
        assert result[name]["exact"]["value"] == pytest.approx(value, abs=1e-13)
        assert abs(result[name]["z"]) < 5
    assert document(cli, "compute", "sigmoid", "-n", 1000, *law)["results"][0]["claims"] == []
    assert document(cli, "exact", "sigmoid", *law)["results"][0]["claims"] == []


# Documents


SAMPLED_KEYS = ["status", "samples", "chunk", "n_eff", "nonfinite"]
RESULT_KEYS = ["layer", "parameters", *SAMPLED_KEYS, *QUANTITIES, "warnings", "claims"]
PROVENANCE_KEYS = ["bnstats", "numpy", "scipy", "python", "platform", "argv", "law"]
SAMPLED_PROVENANCE = ["backend", "device", "sampler", "dtype", "seed", "confidence"]


def test_a_document_is_complete_ordered_and_anonymous(cli: Cli) -> None:
    argv = ("compute", "sigmoid", "max_pool2d:stride=3,kernel_size=3x3", "-n", 2000, "--seed", 5)
    found = document(cli, *argv)
    assert list(found) == ["schema", "status", "results", "provenance"]
    assert (found["schema"], found["status"]) == ("bnstats/1", "complete")
    assert [r["layer"] for r in found["results"]] == ["sigmoid", "max_pool2d:kernel_size=3"]
    for result in found["results"]:
        assert list(result) == RESULT_KEYS
        assert result["samples"] == 2000
        entry = result["std_dx"]
        assert list(entry) == ["value", "stderr", "interval", "n_eff", "reliable", "exact", "z"]
        assert entry["interval"][0] < entry["value"] < entry["interval"][1]
    # No host, no user, no path, no time: these keys and nothing else.
    assert list(found["provenance"]) == [*PROVENANCE_KEYS, *SAMPLED_PROVENANCE]
    assert found["provenance"]["argv"] == [*map(str, argv), "--json"]
    assert found["provenance"]["seed"] == 5
    claims = found["results"][0]["claims"]
    (claim,) = (c for c in claims if (c["set"], c["quantity"]) == ("feng2016", "std_dx"))
    assert (claim["printed"], claim["verdict"]) == ("0.2123", "refuted")
    assert (claim["digits_right"], claim["digits_printed"], claim["note"]) == (3, 4, "")
    # 1e7 draws have a standard error of 5.20e-5; 0.2123 is 5.543e-4 off
    assert claim["equal_error_samples"] == pytest.approx(1e7 * (5.20e-5 / 5.543e-4) ** 2, rel=0.01)


def test_exact_has_the_same_shape_without_the_sampled_fields(cli: Cli) -> None:
    found = document(cli, "exact", "sigmoid")
    result = found["results"][0]
    shown = [*QUANTITIES, *STACK_QUANTITIES]
    assert list(result) == ["layer", "parameters", *shown, "warnings", "claims"]
    assert all(list(result[name]) == ["exact"] for name in shown)
    assert result["std_dx"]["exact"]["value"] == 0.21174569972066581
    assert list(found["provenance"]) == PROVENANCE_KEYS


def test_a_call_repeated_gives_the_same_bytes(cli: Cli) -> None:
    argv = ("compute", "sigmoid", "dropout", "-n", 300_000, "--json")
    first = cli(*argv, "--workers", 2)
    assert cli(*argv, "--workers", 2) == first
    for workers in ("1", "5"):
        other = cli(*argv, "--workers", workers).out
        assert other.replace(f'--workers",\n   "{workers}"', '--workers",\n   "2"') == first.out
    assert cli(*argv, "--seed", 1).out != first.out


@pytest.mark.parametrize(
    ("direction", "there"),
    [("both", {"y", "dx"}), ("forward", {"y"}), ("backward", {"dx"})],
)
def test_direction_leaves_the_other_one_out(cli: Cli, direction: str, there: set[str]) -> None:
    argv = ("compute", "tanh", "-n", 4000)
    result = document(cli, *argv, "--direction", direction)["results"][0]
    wanted = [name for name, q in QUANTITIES.items() if q.direction in there]
    assert [name for name in QUANTITIES if name in result] == wanted
    both = document(cli, *argv)["results"][0]
    assert all(result[name] == both[name] for name in wanted)
    text = cli(*argv, "--direction", direction).out
    assert ("  σ[y]" in text, "  σ[dx]" in text) == ("y" in there, "dx" in there)


def test_dtype_changes_digits_and_nothing_else(cli: Cli) -> None:
    double, single = (
        document(cli, "compute", "gelu", "-n", 100_000, "--dtype", dtype)
        for dtype in ("float64", "float32")
    )
    assert single["provenance"]["dtype"] == "float32"
    for name in ON_SCREEN:
        entry = single["results"][0][name]
        assert entry["value"] != double["results"][0][name]["value"]
        assert abs(entry["z"]) < 5


def test_confidence_widens_the_interval(cli: Cli) -> None:
    width = {}
    for confidence in (0.5, 0.99):
        found = document(cli, "compute", "tanh", "-n", 5000, "--confidence", confidence)
        assert found["provenance"]["confidence"] == confidence
        low, high = found["results"][0]["mean_y"]["interval"]
        width[confidence] = high - low
    assert width[0.99] / width[0.5] == pytest.approx(2.575829 / 0.674490, rel=1e-5)


def test_seed_random_prints_what_it_chose(cli: Cli) -> None:
    code, out, err = cli("compute", "relu", "-n", 1000, "--seed", "random", "--json")
    assert code == 0
    chosen = re.fullmatch(r"seed (\d+)\n", err)
    assert chosen
    again = document(cli, "compute", "relu", "-n", 1000, "--seed", chosen[1])
    assert read_document(out)["results"] == again["results"]
    assert again["provenance"]["seed"] == int(chosen[1])


@pytest.mark.parametrize(
    ("text", "count"),
    [("2**10", 1024), ("1e3", 1000), ("1.5e3", 1500), ("2k", 2000), ("1_000", 1000), ("+7", 7)],
)
def test_ways_to_write_a_count(cli: Cli, text: str, count: int) -> None:
    assert document(cli, "compute", "tanh", "-n", text)["results"][0]["samples"] == count


def test_million_and_the_default(cli: Cli) -> None:
    assert cli("compute", "identity", "-n", "1M", "--get", "samples").out == "1000000\n"
    # 2e7 random numbers: 9 + 1 of each draw of a 3x3 pooling window.
    argv = ("compute", "avg_pool2d:kernel_size=3", "--get", "samples")
    assert cli(*argv).out == "2000000\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("status"),
        lambda d: d.update(status="done"),
        lambda d: d.update(status="failed"),
        lambda d: d.update(host="here"),
        lambda d: d["provenance"].update(user="me"),
        lambda d: d["results"][0].update(std_z={"exact": None}),
        lambda d: d["results"][0].pop("n_eff"),
        lambda d: d["results"][0]["std_y"].update(value="0.2"),
        lambda d: d["results"][0]["std_y"].pop("interval"),
        lambda d: d["results"][0]["std_y"].update(interval=[1.0]),
        lambda d: d["results"][0]["std_y"]["exact"].update(error=-1.0),
        lambda d: d["results"][0]["claims"][0].update(verdict="maybe"),
    ],
)
def test_the_schema_refuses_other_documents(
    cli: Cli, change: Callable[[dict[str, Any]], object]
) -> None:
    found = document(cli, "compute", "sigmoid", "-n", 1000)
    change(found)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(found)


# Warnings


def test_warnings_say_what_to_do_and_stand_in_the_document(cli: Cli) -> None:
    outcome = cli("compute", "sigmoid", "-n", 50, "--json")
    lines = outcome.err.splitlines()
    assert outcome.code == 0
    assert lines
    assert all(re.match(r"warning: .*effective draws.*-n \d", line) for line in lines)
    assert read_document(outcome.out)["results"][0]["warnings"] == [
        line.removeprefix("warning: ") for line in lines
    ]
    assert cli("-q", "compute", "sigmoid", "-n", 50).err == ""
    two = cli("compute", "sigmoid", "tanh", "-n", 50).err.splitlines()
    assert {line.split(": ")[1] for line in two} == {"sigmoid", "tanh"}


def test_values_that_are_not_finite_are_counted_and_never_dropped_in_silence(cli: Cli) -> None:
    # Below 0 the fourth power of y overflows.
    outcome = cli("compute", "elu:alpha=1e200", "-n", 1000, "--json")
    assert outcome.code == 0
    result = read_document(outcome.out)["results"][0]
    left_out = result["nonfinite"]["y"]
    assert 400 < left_out < 600
    assert f"{left_out} of 1,000 draws of y are not finite" in outcome.err
    assert result["std_y"]["reliable"] is False
    text = cli("compute", "elu:alpha=1e200", "-n", 1000).out
    assert re.search(r"  σ\[y\] .*unreliable", text)


def test_an_estimate_far_from_the_exact_value_is_a_bug_and_is_called_so(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = drawing.known_quantities

    def off(*given: Any) -> dict[str, Any]:
        values = true(*given)
        return values | {"std_y": replace(values["std_y"], value=values["std_y"].value * 1.1)}

    monkeypatch.setattr(drawing, "known_quantities", off)
    err = cli("compute", "tanh", "-n", 100_000).err
    assert re.match(
        r"warning: σ\[y\] is \d+\.\d standard errors from its exact value: if another", err
    )
    assert len(err.splitlines()) == 1


# Formats


def test_csv_holds_every_quantity_unrounded(cli: Cli) -> None:
    argv = ("compute", "sigmoid", "leaky_relu:negative_slope=0.2", "-n", 2000)
    results = document(cli, *argv)["results"]
    rows = list(csv.DictReader(io.StringIO(cli(*argv, "--format", "csv").out)))
    assert len(rows) == 2 * len(QUANTITIES)
    for row, (result, name) in zip(
        rows, [(r, name) for r in results for name in QUANTITIES], strict=True
    ):
        entry = result[name]
        assert (row["layer"], row["quantity"]) == (result["layer"], name)
        assert float(row["value"]) == entry["value"]
        assert float(row["stderr"]) == entry["stderr"]
        assert [float(row["low"]), float(row["high"])] == entry["interval"]
        assert float(row["exact"]) == entry["exact"]["value"]
        assert float(row["exact_error"]) == entry["exact"]["error"]
        assert float(row["z"]) == entry["z"]
        assert int(row["samples"]) == 2000
        assert row["reliable"] == str(entry["reliable"]).lower()
        slope = "" if result["layer"] == "sigmoid" else "0.2"
        assert (row["negative_slope"], row["seed"], row["sampler"]) == (slope, "0", "iid")
        assert [row[name] for name in ("x_mean", "x_std", "dy_std")] == ["0.0", "1.0", "1.0"]
    exact = list(csv.DictReader(io.StringIO(cli("exact", "sigmoid", "--format", "csv").out)))
    law = ["x_mean", "x_std", "dy_std"]
    assert list(exact[0]) == ["layer", "quantity", "exact", "exact_error", *law]
    assert [r["quantity"] for r in exact] == [*QUANTITIES, *STACK_QUANTITIES]
    assert float(exact[3]["exact"]) == 0.21174569972066581


def test_csv_has_every_parameter_in_a_column_of_its_own(cli: Cli) -> None:
    """Defaults as well; a parameter that is called as a column is has a name of its own."""
    layers = ("max_pool2d:kernel_size=3x2", "threshold:threshold=0.1,value=2", "elu", "relu")
    argv = ("--x-std", 2, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(cli("exact", *layers, *argv).out)))
    of = {row["layer"].partition(":")[0]: row for row in rows}
    pool = of["max_pool2d"]
    names = ("kernel_size", "stride", "padding", "ceil_mode", "input_size", "alpha", "x_std")
    assert [pool[name] for name in names] == ["3x2", "3x2", "0", "false", "", "", "2.0"]
    assert (of["threshold"]["threshold"], of["threshold"]["param_value"]) == ("0.1", "2.0")
    assert (of["elu"]["alpha"], of["relu"]["alpha"]) == ("1.0", "")


def table_cells(text: str) -> list[list[str]]:
    """Return the cells of a Markdown or a LaTeX table, formulas without their dollars."""
    lines = [line.strip("| ") for line in text.splitlines() if "|" in line or "&" in line]
    split = (re.split(r" *[|&] *", line.removesuffix(r" \\")) for line in lines)
    return [[cell.strip("$` ") for cell in row] for row in split if set(row[0]) != {"-"}]


@pytest.mark.parametrize("command", ["compute", "exact"])
@pytest.mark.parametrize("format_", ["markdown", "latex"])
def test_of_several_layers_a_table_has_layers_as_rows(cli: Cli, command: str, format_: str) -> None:
    argv = (command, "relu", "gelu", *(["-n", 3000] if command == "compute" else []))
    header, *rows = table_cells(cli(*argv, "--format", format_).out)
    results = document(cli, *argv)["results"]
    names = ("mean_y", "std_y", "std_dx", *GAINS)
    assert len(header) == 1 + len(names)
    if format_ == "markdown":
        assert header == ["layer", *(QUANTITIES[name].symbol for name in names)]
    assert [row[0].replace(r"\texttt{", "").rstrip("}") for row in rows] == ["relu", "gelu"]
    for row, result in zip(rows, results, strict=True):
        for cell, name in zip(row[1:], names, strict=True):
            entry = result[name]
            value = entry["exact"]["value"] if command == "exact" else entry["value"]
            tolerance = 5e-9 if command == "exact" else entry["stderr"] / 10
            assert float(cell.partition("(")[0]) == pytest.approx(value, abs=tolerance)
            assert ("(" in cell) == (command == "compute")


@pytest.mark.parametrize("command", ["compute", "exact"])
def test_markdown_and_latex_are_tables_of_the_text_cells(cli: Cli, command: str) -> None:
    argv = (command, "max_pool2d:kernel_size=2", *(["-n", 3000] if command == "compute" else []))
    lines = cli(*argv, "--format", "markdown").out.splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert len({len(row) for row in cells}) == 1
    assert set("".join(cells[1])) == {"-"}
    assert [row[1] for row in cells[2:]] == SYMBOLS
    assert {row[0] for row in cells[2:]} == {"`max_pool2d:kernel_size=2`"}
    where = cells[0].index("exact")
    assert [row[where] for row in cells[2:]] == [
        *("1.02937537", "0.70122410", "0", "0.5", "0.25"),
        *("1.42607763", "0.80287523", "2"),
    ]

    latex = cli(*argv, "--format", "latex").out.splitlines()
    columns = 4 if command == "compute" else 3
    assert latex[1] == rf"\begin{{tabular}}{{{'l' * columns}}}"
    assert latex[-1] == r"\end{tabular}"
    body = [line for line in latex if line.count("&") == columns - 1 and line.endswith(r" \\")]
    assert len(body) == 9
    assert r"\texttt{max\_pool2d:kernel\_size=2}" in body[1]
    assert all(
        line.split(" & ")[-1] == f"${row[where]}$ \\\\"
        for line, row in zip(body[1:], cells[2:], strict=True)
    )
    assert "−" not in "".join(latex)
    if command == "compute":
        text = cli(*argv).out
        for row in cells[2:]:
            assert all(cell and cell in text for cell in row[1:])
            assert f"${row[2].replace('−', '-')}$" in "".join(latex)


def test_a_table_marks_what_cannot_be_believed(cli: Cli) -> None:
    for count, marks in ((20, 8), (2000, 0)):
        argv = ("compute", "sigmoid" if marks == 0 else "relu", "-n", count, "--format")
        assert cli(*argv, "latex").out.count("$ unreliable & ") == marks
        assert cli(*argv, "markdown").out.count("] unreliable") == marks
        rows = csv.DictReader(io.StringIO(cli(*argv, "csv").out))
        assert {row["reliable"] for row in rows} == {"false" if marks else "true"}


# --get


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("std_dx.value", ["std_dx", "value"]),
        ("sigmoid.std_dx.value", ["std_dx", "value"]),
        ("sigmoid.std_dx.interval.low", ["std_dx", "interval", 0]),
        ("mean_y.interval.high", ["mean_y", "interval", 1]),
        ("sigmoid.var_dx.exact.value", ["var_dx", "exact", "value"]),
        ("sigmoid.var_dx.exact.by", ["var_dx", "exact", "by"]),
        ("gain_dx.z", ["gain_dx", "z"]),
        ("n_eff", ["n_eff"]),
        ("nonfinite.dx", ["nonfinite", "dx"]),
    ],
)
def test_get_prints_one_bare_value(cli: Cli, path: str, keys: list[Any]) -> None:
    node: Any = document(cli, "compute", "sigmoid", "-n", 2000)["results"][0]
    for key in keys:
        node = node[key]
    out = cli("compute", "sigmoid", "-n", 2000, "--get", path).out
    if isinstance(node, float):
        assert float(out) == pytest.approx(node, rel=0.01, abs=0.005)
    else:
        assert out == f"{node}\n"


def test_get_prints_the_digits_that_are_known_and_no_others(cli: Cli) -> None:
    """Those of the concise form, in which the standard error has two; of an exact value, all."""
    argv = ("compute", "gelu", "-n", 100_000)
    entry = document(cli, *argv)["results"][0]["gain_y"]

    def got(path: str) -> str:
        return cli(*argv, "--get", f"gelu.gain_y.{path}").out.strip()

    assert got("value") == concise(entry["value"], entry["stderr"]).partition("(")[0]
    assert len(got("value")) == len("1.7032")
    low, high = bounds(entry["interval"])[1:-1].split(", ")
    assert (got("interval.low"), got("interval.high")) == (low, high)
    assert re.fullmatch(r"0\.00\d\d", got("stderr"))
    assert re.fullmatch(r"-?\d\.\d\d", got("z"))
    exact = cli("exact", "gelu", "--get", "gain_y.exact.value").out.strip()
    assert exact == "1.7009262433633"  # known to 2e-14
    assert cli("exact", "gelu", "--get", "gain_y.exact.error").out == "2e-14\n"
    small = cli(*argv, "--x-std", "1e-9", "--get", "std_y.value").out.strip()
    assert re.fullmatch(r"[45]\.\d{3}e-10", small)


@pytest.mark.parametrize(
    "specs",
    [("leaky_relu", "leaky_relu:negative_slope=0.2"), ("elu:alpha=0", "elu:alpha=0.5")],
)
def test_get_tells_apart_specs_that_hold_dots(cli: Cli, specs: tuple[str, str]) -> None:
    results = document(cli, "compute", *specs, "-n", 2000)["results"]
    for spec, result in zip(specs, results, strict=True):
        out = cli("compute", *specs, "-n", 2000, "--get", f"{spec}.std_y.value").out
        assert float(out) == pytest.approx(result["std_y"]["value"], rel=1e-3)
    alone = cli("exact", specs[1], "--get", f"{specs[1]}.std_y.exact.value").out
    assert float(alone) == pytest.approx(results[1]["std_y"]["exact"]["value"], rel=1e-13)


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("std_dz.value", "no 'std_dz'", "there is layer, parameters, status, samples, "),
        (
            "std_dx",
            "not a single number",
            "add one of value, stderr, interval, n_eff, reliable, exact, z",
        ),
        ("std_dx.interval", "not a single number", "add one of low, high"),
        ("std_dx.interval.mid", "no 'mid'", "there is low, high"),
        ("std_dx.value.low", "no 'low'", "there is nothing further"),
        ("", "no ''", "there is layer, parameters, status, samples, "),
    ],
)
def test_get_of_a_wrong_path(cli: Cli, path: str, message: str, hint: str) -> None:
    code, out, err = cli("compute", "sigmoid", "-n", 2000, "--get", path)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first == f"error: --get {path}: {message}"
    assert second.startswith(f"hint:  {hint}")


def test_get_must_name_one_of_several_layers(cli: Cli) -> None:
    code, out, err = cli("exact", "relu", "tanh", "--get", "std_dx.exact.value")
    assert (code, out) == (2, "")
    hint = "of several layers, PATH begins with one: relu, tanh"
    assert err == f"error: --get std_dx.exact.value: no such layer\nhint:  {hint}\n"
    code, _, err = cli("compute", "sigmoid", "-n", 1, "--get", "std_y.z")
    assert (code, err.splitlines()[-1]) == (
        2,
        "error: --get std_y.z: there is no such value for this layer",
    )


# --export


def test_exports_are_what_stdout_would_show(cli: Cli, tmp_path: Path) -> None:
    formats = {"json": "json", "csv": "csv", "md": "markdown", "TEX": "latex", "txt": "text"}
    argv = ["compute", "sigmoid", "tanh", "-n", "2000"]
    exports = [f"--export={tmp_path / f'out.{suffix}'}" for suffix in formats]
    code, shown, err = cli(*argv, *exports)
    assert (code, err) == (0, "")
    assert shown.startswith("sigmoid")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"out.{s}" for s in formats)
    for suffix, name in formats.items():
        content = (tmp_path / f"out.{suffix}").read_text("utf-8")
        printed = cli(*argv, "--format", name).out
        if name == "json":
            found = read_document(content)
            assert found["results"] == read_document(printed)["results"]
            assert found["provenance"]["argv"] == [*argv, *exports]
        else:  # a file does not tell how long it took
            assert content == re.sub(r" · \d+\.\d s$", "", printed, flags=re.MULTILINE)


def test_an_export_replaces_a_file_whole_or_not_at_all(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o640)

    def full(self: Path, target: Path) -> Path:
        assert target.read_text() == "old"
        assert self.parent == target.parent
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        code, out, err = cli("exact", "relu", "--export", path)
    assert code == 4
    assert "0.707106781186548" in out
    assert err == f"error: cannot write {path}: No space left on device\n"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.csv", "old")]
    assert cli("exact", "relu", "--export", path).code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text().startswith("layer,quantity,")


def test_an_export_that_cannot_be_written_stops_before_the_work(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("sampled before the path was checked")

    monkeypatch.setattr(drawing, "sample", never)
    assert cli("compute", "relu", "--export", tmp_path / "no" / "x.json").code == 2


# Colour


@pytest.mark.parametrize(
    ("options", "variables", "terminal", "coloured"),
    [
        ((), {}, False, False),
        ((), {}, True, True),
        ((), {"NO_COLOR": "1"}, True, False),
        ((), {"NO_COLOR": ""}, True, True),
        ((), {"TERM": "dumb"}, True, False),
        ((), {"FORCE_COLOR": "1"}, False, True),
        ((), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        (("--color", "always"), {"NO_COLOR": "1"}, False, True),
        (("--color", "always"), {"TERM": "dumb"}, False, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    variables: dict[str, str],
    terminal: bool,
    coloured: bool,
) -> None:
    plain = cli("exact", "sigmoid").out
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    out = cli(*options, "exact", "sigmoid").out
    assert (ESCAPE in out) == coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", out) == plain
    if coloured:
        assert f"{ESCAPE}1msigmoid{ESCAPE}0m" in out
        assert f"{ESCAPE}32mreproduced{ESCAPE}0m" in out
    assert ESCAPE not in cli(*options, "exact", "sigmoid", "--json").out


def test_piped_text_is_the_same_whatever_the_terminal(cli: Cli) -> None:
    piped = spawn("exact", "sigmoid", COLUMNS="20", TERM="xterm-256color")
    assert piped == (0, cli("exact", "sigmoid").out, "")


# Terminals


def test_progress_on_a_terminal_then_ctrl_c_prints_the_partial_result() -> None:
    run = Terminal("compute", "sigmoid", "-n", "1e12", "--workers", 1)
    # Name, bar, share, time left, rate, running estimate.
    run.wait_for(r"sigmoid .*0%.*\d+:\d\d.*\d/s.*σ\[dx\] 0\.21\d+\(\d+\)")
    run.process.send_signal(signal.SIGINT)
    code, out = run.finish()
    assert code == 130
    assert "interrupted: finishing the chunk" in run.screen
    assert "interrupted: what was drawn so far is above" in run.screen
    assert "Traceback" not in run.screen
    assert ESCAPE not in out
    assert out.startswith("sigmoid   y = ")
    drawn = re.search(r"^  ([\d,]+) samples · ", out, re.MULTILINE)
    assert drawn
    assert 0 < int(drawn[1].replace(",", "")) < 10**12


def test_ctrl_c_with_json_marks_the_document(tmp_path: Path) -> None:
    export = tmp_path / "out.json"
    run = Terminal("compute", "relu", "tanh", "-n", "1e12", "--json", "--export", export)
    run.wait_for("relu .*%")
    run.process.send_signal(signal.SIGINT)
    code, out = run.finish()
    assert code == 130
    found = read_document(out)
    assert found["status"] == "interrupted"
    (result,) = found["results"]
    assert result["layer"] == "relu"
    assert 0 < result["samples"] < 10**12
    assert abs(result["std_y"]["z"]) < 6
    assert json.loads(export.read_text()) == found


def test_a_terminal_gets_colour_and_a_short_run_no_progress() -> None:
    run = Terminal("compute", "sigmoid", "-n", "1000", stdout=True)
    code, _ = run.finish()
    assert code == 0
    assert f"{ESCAPE}33mlast digits are noise{ESCAPE}0m" in run.screen
    assert "\r\x1b" not in run.screen
    assert "━" not in run.screen


@pytest.mark.parametrize(
    ("options", "variables"),
    [(("-q",), {}), ((), {"TERM": "dumb"}), ((), {"piped": "FORCE_COLOR"})],
)
def test_when_there_is_no_progress(
    options: tuple[str, ...], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnstats.cli.console import Console

    monkeypatch.setattr(sys.stderr, "isatty", lambda: "piped" not in variables)
    if "piped" in variables:
        monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", variables.get("TERM", "xterm"))
    assert not Console.of(quiet="-q" in options).progress


def test_a_wrong_path_is_found_before_years_of_sampling(cli: Cli) -> None:
    code, out, err = cli("compute", "sigmoid", "-n", "1e15", "--get", "std_dz.value")
    assert (code, out) == (2, "")
    assert "no 'std_dz'" in err


# Quantities by name


def test_quantities_are_shown_by_name(cli: Cli) -> None:
    asked = ("--quantity", "chi", "gain_y", "c1", "--quantity=std_y", "std_dx")
    argv = ("compute", "relu", "-n", 20_000, *asked)
    out = cli(*argv).out
    rows = [row[1].strip() for row in map(ROW.fullmatch, out.splitlines()) if row]
    assert rows == ["χ", "1/σ[y]", "c₁", "σ[y]", "σ[dx]"]
    found = document(cli, *argv)
    assert found["provenance"]["quantities"] == ["chi", "gain_y", "c1", "std_y", "std_dx"]
    assert list(found["results"][0]) == [*RESULT_KEYS[:-2], "chi", "c1", "warnings", "claims"]
    chi = found["results"][0]["chi"]
    assert abs(float(cli(*argv, "--get", "chi.value").out) - chi["value"]) < 0.1 * chi["stderr"]
    for format_ in ("csv", "markdown", "latex"):
        text = cli(*argv, "--format", format_).out
        assert "var_dx" not in text
        assert "Var[dx]" not in text
        assert text.count("\n") >= 5
    assert "quantities" not in document(cli, "compute", "relu", "-n", 1000)["provenance"]


def test_quantities_are_typed_by_either_name(cli: Cli) -> None:
    names = ["std_y", "std_dx", "ms_y", "gain_ms_y", "c1", "linear_share"]
    for symbols in (
        ["σ[y]", "σ[dx]", "E[y²]", "1/E[y²]", "c₁", "linear share"],
        ["sigma[y]", "sigma[ dx ]", "E[y^2]", "1/E[y**2]", "c1", "linear_share"],
    ):
        found = document(cli, "exact", "relu", "--quantity", *symbols)
        assert found["provenance"]["quantities"] == names
    for path in ("σ[dx].exact.value", "relu.sigma[dx].exact.value"):
        assert cli("exact", "relu", "--get", path).out == "0.7071067811865\n"
    found = document(cli, "sweep", "relu", "--over", "x_std=1:2", "--find", "E[y^2]=1", "σ[y]=2")
    assert [f["quantity"] for f in found["results"][0]["found"]] == ["ms_y", "std_y"]
    # sqrt(2) by hand: E[y²] of the relu is half of E[x²]
    assert found["results"][0]["found"][0]["value"] == pytest.approx(2**0.5, rel=1e-12)
    argv = ("propagate", "linear", "relu", "--depth", 2, "--width", 16)
    for wanted, code in (("σ[y] in 0.5..2", 0), ("sigma[y] in 5..6", 1), ("rms[y] in 0.5..2", 2)):
        assert cli(*argv, "--require", wanted).code == code
    _, _, err = cli("exact", "relu", "--quantity", "sigma[z]")
    assert "did you mean std_y, σ[y]?" in err


def test_a_name_that_is_no_quantity_is_a_layer(cli: Cli) -> None:
    found = document(cli, "compute", "--quantity", "chi", "std_y", "tanh", "elu", "-n", 1000)
    assert [r["layer"] for r in found["results"]] == ["tanh", "elu"]


def test_exact_shows_quantities_by_name(cli: Cli) -> None:
    out = cli("exact", "max_pool2d:kernel_size=2", "--quantity", "chi", "c1").out
    assert re.search(r"^  χ    0\.161152158473801 ", out, re.MULTILINE)
    assert "σ[y]  " not in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("compute", "relu", "--quantity", "chy"), "unknown quantity 'chy'"),
        (("exact", "relu", "--quantity", "chy"), "unknown quantity 'chy'"),
        (("compute", "softmax", "--quantity", "stability"), "softmax has no stability"),
        (("exact", "softmax", "--quantity", "stability"), "softmax has no stability"),
        (("compute", "relu", "--quantity", "chi", "--direction", "forward"), "--direction both"),
        (("compute", "relu", "--quantity", "std_dx", "--direction", "forward"), "std_dx"),
        (("compute", "relu", "--quantity", "chi", "--backend", "torch"), "--backend numpy"),
    ],
)
def test_quantities_that_are_not_there_are_told(cli: Cli, argv: tuple, said: str) -> None:
    code, out, err = cli(*argv)
    assert (code, out) == (2, "")
    assert said in err

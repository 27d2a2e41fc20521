"""Text is folded for the terminal, and a table that does not fit lacks its least column."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from cli_support import Cli, Terminal, spawn

from bnstats.api import compute, exact
from bnstats.claims import set_names
from bnstats.documents.write import document
from bnstats.layers import LAYERS, Law
from bnstats.report.page import PIPED, Page
from bnstats.report.text import render


def on_terminal(columns: int, *argv: object, expected: int = 0) -> list[str]:
    terminal = Terminal(*argv, stdout=True, COLUMNS=str(columns), NO_COLOR="1")
    code, _ = terminal.finish()
    assert code == expected
    # The progress on stderr ends where the text begins.
    return re.sub(r"\x1b\[[\d;?]*\w", "", terminal.screen).replace("\r", "\n").split("\n")


def shown(records: list[Any], page: Page = PIPED, seconds: tuple[float, ...] = ()) -> str:
    return render(document(records), records, page, seconds)


def words(lines: list[str]) -> list[str]:
    return " ".join(lines).split()


def test_eighty_columns_hold_a_long_name_the_share_the_time_left_and_the_estimate() -> None:
    layer = "max_pool2d:kernel_size=3,stride=2"
    run = Terminal("compute", layer, "-n", "1e9", "--workers", 1, COLUMNS="80", NO_COLOR="1")
    run.wait_for(r"max_pool2d\S* [━╸╺ ]+ 0% \d+:\d\d\S* \S+ at \S+/s  σ\[dx\] 0\.\d+\(\d+\)")
    run.process.send_signal(signal.SIGINT)
    assert run.finish()[0] == 130


@pytest.mark.slow
@pytest.mark.parametrize("columns", [50, 60, 100])
def test_show_fits_the_terminal_and_loses_nothing(cli: Cli, columns: int) -> None:
    for name in ("linear", "nfnets"):
        lines = on_terminal(columns, "show", name)
        # An address, a command, an alias and a number's row of its own stay whole.
        whole = r"  https:| {4,6}bnstats |  \S+  +\w+_y  \d| +\S+:\S+$"
        text = [x for x in lines if not re.match(whole, x)]
        assert columns - 25 < max(map(len, text)) <= columns
        assert words(lines) == cli("show", name).out.split()


@pytest.mark.slow
def test_what_is_piped_is_folded_for_eighty_columns_whatever_the_terminal(cli: Cli) -> None:
    for name in (*LAYERS, *set_names()):
        lines = cli("show", name).out.splitlines()
        wide = [line for line in lines if len(line) > 80]
        assert all(re.match("  https:| {4,6}bnstats ", line) for line in wide), name
    narrow = spawn("show", "linear", COLUMNS="50").out
    assert narrow == cli("show", "linear").out


def test_a_narrow_terminal_drops_the_interval_and_keeps_z() -> None:
    lines = on_terminal(60, "compute", "sigmoid", "-n", 20_000, "--backend", "numpy")
    (header,) = (line for line in lines if "estimate(SE)" in line)
    assert header.split() == ["estimate(SE)", "exact", "z"]
    (row,) = (line for line in lines if line.startswith("  σ[dx]  "))
    assert re.fullmatch(r"  σ\[dx\] +0\.21\d+\(\d+\) +0\.21174570 +[+−]\d\.\d\d", row)
    assert max(map(len, lines[lines.index(header) :])) <= 60
    wide = on_terminal(80, "compute", "sigmoid", "-n", 20_000)
    assert any("estimate(SE)   95 % interval" in line for line in wide)


def test_names_under_a_layer_are_folded_for_the_terminal() -> None:
    lines = on_terminal(50, "list", "layers", "leaky_relu")
    names = [line for line in lines if line.startswith(" " * 14)]
    assert len(names) > 2
    assert max(map(len, names)) <= 50


@pytest.mark.slow
@pytest.mark.parametrize("columns", [50, 80])
def test_verify_fits_the_terminal_and_is_a_line_for_each_constant_where_it_is_piped(
    cli: Cli, columns: int
) -> None:
    call = ("verify", "feng2016", "-n", 2000)
    piped = cli(*call).out
    lines = on_terminal(columns, *call, expected=1)
    lines = lines[next(i for i, line in enumerate(lines) if re.match("ok|FAIL|undecided", line)) :]
    text = [line for line in lines if not line.startswith("hint: ")]
    assert columns - 25 < max(map(len, text)) <= columns
    assert words(lines) == piped.split()
    assert max(map(len, piped.splitlines())) > columns
    assert spawn(*call, COLUMNS=str(columns)).out == piped


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80, 120])
def test_all_text_fits_where_tables_do(width: int) -> None:
    sampled, known = compute("sigmoid", samples=2000), exact("max_pool2d:kernel_size=3")
    for record, least in ((sampled, "95 % interval"), (known, "error below   by")):
        whole, text = shown([record]), shown([record], Page(width))
        table = max(len(line) for line in whole.splitlines() if re.match(r"  \S+\[", line))
        assert (least in text) == (table <= width)
        longest = max(map(len, text.splitlines()))
        assert longest <= max(width, 53), "a table without its least column is 53 wide"
        if width >= 80:
            assert text == whole or width > 80
    assert shown([sampled], Page(80)) == shown([sampled])


def test_a_table_too_wide_for_any_terminal_stays_whole() -> None:
    record = compute("sigmoid", samples=2000, law=Law(x_mean=30.0))
    text = shown([record], Page(80))
    assert "95 % interval" in text
    assert max(map(len, text.splitlines())) > 80
    assert "95 % interval" not in shown([record], Page(79))


def test_a_status_is_coloured_after_folding() -> None:
    record = compute("relu", samples=2000, precision=1e-9)
    marked = Page(style=lambda text, kind: f"<{text}>" if kind == "undecided" else text)
    styled = shown([record], marked)
    assert styled.splitlines()[-1].endswith("seed 0 · <target not met>")
    for width in range(40, 81):
        lines = shown([record], Page(width)).splitlines()
        told = " ".join(line.strip() for line in lines[-2:])
        assert told.endswith("· seed 0 · target not met")
        coloured = shown([record], Page(width, lambda text, kind: f"<{text}>"))
        assert "<target not met>" in coloured


def test_seconds_are_of_each_layer() -> None:
    records = [compute("relu", samples=2000), compute("tanh", samples=2000)]
    lines = [line for line in shown(records, seconds=(1.25, 3.0)).splitlines() if "seed" in line]
    assert [line.rpartition(" · ")[2] for line in lines] == ["1.2 s", "3.0 s"]
    assert "1.2 s" not in shown(records)


def test_further_lines_begin_below_the_first_or_at_an_indent() -> None:
    assert Page(11).folded("  a  ", "bb cc dd") == ["  a  bb cc", "     dd"]
    assert Page(11).folded("  a  ", "bb cc dd", indent=1) == ["  a  bb cc", " dd"]
    assert Page(6).folded("  ", "long-word arXiv:1") == ["  long-word", "  arXiv:1"]
    assert Page(20).folded("  also  ", "") == []

"""The pages in results/: what they begin with, and that they are made of their data alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import benchmarks_report
import bias
import faults_report
import gate_report
import interval_coverage_report
import mutation_report
import propagation_report
import pytest
import scale_report
import training_report
import unknown_tails_report

RESULTS = Path(__file__).parents[2] / "results"
PAGES = sorted(path.name for path in RESULTS.glob("*.md"))
Report = Callable[[dict[str, Any]], str]
# What a study's record becomes, without the study. Tables of bnstats have commands that check them.
REPORTS: dict[str, tuple[str, Report]] = {
    "benchmarks.md": ("benchmarks.json", benchmarks_report.markdown),
    "bias.md": ("bias.json", bias.markdown),
    "coverage.md": ("coverage.json", interval_coverage_report.markdown),
    "coverage.csv": ("coverage.json", interval_coverage_report.by_layer),
    "faults.md": ("faults.json", faults_report.markdown),
    "gate.md": ("gate.json", gate_report.markdown),
    "gate.csv": ("gate.json", gate_report.table_csv),
    "mutation.md": ("mutation.json", mutation_report.markdown),
    "propagation.md": ("propagation.json", propagation_report.page),
    "scale.md": ("scale.json", scale_report.markdown),
    "tails.md": ("tails.json", lambda record: unknown_tails_report.markdown(record["cells"])),
    "training.md": ("training.json", training_report.markdown),
}
MOST_LINES, MOST_ROWS = 5, 60
REFERENCE = ("constants.md",)  # whose table is what it is for


@pytest.mark.parametrize("name", REPORTS)
def test_what_a_study_shows_is_made_of_its_record(name: str) -> None:
    record, report = REPORTS[name]
    found = report(json.loads((RESULTS / record).read_text("utf-8")))
    assert found == (RESULTS / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_its_verdict(name: str) -> None:
    title, first, *_ = (RESULTS / name).read_text("utf-8").split("\n\n")
    assert re.fullmatch("# .+", title)
    assert first.startswith("**")
    assert len(first.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", PAGES)
def test_a_long_table_is_data_and_no_page_to_scroll(name: str) -> None:
    lines = (RESULTS / name).read_text("utf-8").splitlines()
    tables = [
        len(list(group)) for is_row, group in groupby(lines, lambda x: x[:1] == "|") if is_row
    ]
    if name in REFERENCE:
        assert max(tables) > MOST_ROWS  # else it is no exception
    else:
        assert max(tables, default=0) <= MOST_ROWS


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file(name: str) -> None:
    text = (RESULTS / name).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)
    assert not [link for link in links if not (RESULTS / link).exists()]

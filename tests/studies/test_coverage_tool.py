"""The coverage study: it counts what the public API returns, and it can fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import interval_coverage
import interval_coverage_rates
import pytest
import replication
from scipy.stats import chisquare, norm

from bnstats import compute
from bnstats.claims import claims_on
from bnstats.specs.spec import parse
from bnstats.tables.constants import table_specs

pytestmark = pytest.mark.studies


@pytest.fixture(scope="module")
def tool() -> SimpleNamespace:
    return SimpleNamespace(
        study=interval_coverage,
        replication=replication,
        interval_coverage_rates=interval_coverage_rates,
    )


@pytest.fixture
def ran(tool: SimpleNamespace, tmp_path: Path) -> Callable[..., tuple[dict[str, Any], str]]:
    def call(*arguments: str) -> tuple[dict[str, Any], str]:
        tool.study.main([*arguments, "--workers", "1", "--out", str(tmp_path)])
        record = json.loads((tmp_path / "coverage.json").read_text(encoding="utf-8"))
        files = (tmp_path / f"coverage.{suffix}" for suffix in ("md", "csv"))
        return record, "\n".join(file.read_text(encoding="utf-8") for file in files)

    return call


LAYERS = ("relu", "max_pool1d:kernel_size=2")
IID = ("--quick", "--sampler", "iid", "relu")


def rates(tool: SimpleNamespace, record: dict[str, Any]) -> list[Any]:
    return [r for cell in tool.interval_coverage_rates.cells_of(record["rows"]) for r in cell.rates]


def test_counts_both_samplers(ran, tool):
    record, text = ran("--quick", "--replications", "30", *LAYERS)
    assert [(row["layer"], row["sampler"]) for row in record["rows"]] == [
        (layer, sampler) for layer in LAYERS for sampler in ("iid", "sobol")
    ]
    for row in record["rows"]:
        sizes = {"iid": {"4096": 240, "32768": 30}, "sobol": {"131072": 30}}[row["sampler"]]
        assert {n: c["std_dx"]["trusted"] for n, c in row["counts"].items()} == sizes
        for count in (c for by_name in row["counts"].values() for c in by_name.values()):
            assert sum(count["bins"]) == count["trusted"]
    for sampler, n, count in (("iid", 32768, 30), ("sobol", 131072, 30)):
        assert re.search(rf"^relu,{sampler},\d+,{n},std_dx,{count},0,0\.", text, re.MULTILINE)
    assert "Made with --quick" in text


@pytest.mark.parametrize(("sampler", "samples"), [("iid", 4096), ("sobol", 32 << 12)])
def test_counts_what_compute_returns(tool, sampler, samples):
    # iid: the first chunk of every seed; sobol: the replications of one study are its seeds.
    job, seeds = tool.replication.Job, range(60, 100)
    found = [compute("relu", sampler=sampler, samples=samples, seed=s) for s in seeds]
    parts = (
        [job("relu", "iid", s, samples, range(1)) for s in seeds]
        if sampler == "iid"
        else [
            job("relu", "sobol", 0, samples, range(60, 80)),
            job("relu", "sobol", 0, samples, range(80, 100)),
        ]
    )
    counts = [tool.replication.replicate(part)[0][samples] for part in parts]
    for name in ("mean_y", "std_y", "mean_dx", "std_dx"):
        total = counts[0][name]
        for count in counts[1:]:
            total += count[name]
        own = [r.quantities[name] for r in found]
        assert total.low[0] == sum(e.interval[1] < e.exact.value for e in own)
        assert total.high[0] == sum(e.interval[0] > e.exact.value for e in own)
        bins = [int(20 * norm.cdf(e.z)) for e in own]
        assert total.bins == [bins.count(i) for i in range(20)]


def test_a_larger_replication_holds_the_smaller_ones(tool):
    job = tool.replication.Job("relu", "iid", 0, 2**18, range(3, 4))
    found = list(tool.replication.tallies(job))
    assert [n for n, _ in found].count(2**12) == [n for n, _ in found].count(2**15) == 8
    assert found[-1][0] == 2**18
    for small, large in ((2**12, 2**15), (2**15, 2**18)):
        parts = [tally["dx"] for n, tally in found if n == small]
        (whole, *_) = [tally["dx"] for n, tally in found if n == large]
        assert whole.points == large
        assert whole.mean_b == pytest.approx(sum(m.mean_b for m in parts) / 8, rel=1e-12)
        assert len({m.mean_b for m in parts}) == 8


def test_no_two_chunks_share_a_stream(tool, monkeypatch):
    units = []
    right = tool.replication.chunk_tally

    def watched(spec: Any, sampling: Any, pivot: float, chunk: Any) -> Any:
        units.append(chunk.unit)
        return right(spec, sampling, pivot, chunk)

    monkeypatch.setattr(tool.replication, "chunk_tally", watched)
    list(tool.replication.tallies(tool.replication.Job("relu", "iid", 0, 2**18, range(3))))
    assert len(set(units)) == len(units) == 3 * 15


def test_good_intervals_are_within_the_bars(ran, tool):
    record, text = ran(*IID)
    assert not [r for r in rates(tool, record) if r.outside]
    assert min(cell.pit.p for cell in tool.interval_coverage_rates.cells_of(record["rows"])) > 1e-4
    assert "rates of 1 layer 0 show too low and 0 too high a coverage" in " ".join(text.split())


@pytest.mark.parametrize(("factor", "side"), [(0.9, "too low"), (1.6, "too high")])
def test_intervals_of_a_wrong_length_are_outside(ran, tool, monkeypatch, factor, side):
    right = tool.replication.quantile
    monkeypatch.setattr(tool.replication, "quantile", lambda c, m: factor * right(c, m))
    record, text = ran(*IID)
    at_95 = [r for r in rates(tool, record) if r.confidence == 0.95 and r.of > 1000]
    assert len(at_95) == 4
    assert sum(r.outside == side for r in at_95) >= 3
    assert f"{side.capitalize()}, with the misses in %:" in text


@pytest.fixture
def exact_values(tool, monkeypatch) -> Iterator[Callable[[Any], None]]:
    """Give a function that changes the exact values the tool finds."""
    right = tool.replication.exact_values

    def patch(change: Any) -> None:
        monkeypatch.setattr(tool.replication, "exact_values", lambda *given: change(right(*given)))
        tool.replication.bound.cache_clear()

    yield patch
    tool.replication.bound.cache_clear()


def test_a_wrong_exact_value_leaves_z_uneven(ran, tool, exact_values):
    exact_values(lambda e: {k: replace(v, value=1.01 * v.value + 0.005) for k, v in e.items()})
    wrong = tool.interval_coverage_rates.cells_of(ran(*IID)[0]["rows"])
    assert max(cell.pit.p for cell in wrong if cell.n == 4096) < 1e-6


def test_names_what_has_no_exact_value(ran, exact_values):
    exact_values(lambda e: {k: v for k, v in e.items() if k == "mean_dx"})
    record, text = ran(*IID, "--replications", "20")
    assert record["rows"][0]["unknown"] == ["mean_y", "std_y", "std_dx"]
    assert list(record["rows"][0]["counts"]["4096"]) == ["mean_dx"]
    assert "not judged: `relu` (E[y], σ[y], σ[dx])" in text


def test_unreliable_estimates_are_counted_apart(ran, tool):
    record, text = ran("--quick", "--sampler", "iid", "--replications", "20", "dropout:p=0.97")
    small, large = record["rows"][0]["counts"].values()
    assert (small["std_dx"]["trusted"], small["std_dx"]["apart"]) == (0, 160)  # n_eff 42
    assert (large["std_dx"]["trusted"], large["std_dx"]["apart"]) == (20, 0)  # n_eff 330
    assert small["std_dx"]["bins"] == [0] * 20
    assert small["std_dx"]["n_eff"] / 160 == pytest.approx(4096 * 0.03 / 3, rel=0.15)
    n_eff = f"{small['std_dx']['n_eff'] / 160:.0f}"
    assert f"| `dropout:p=0.97` | iid | 2¹² | σ[dx] | {n_eff} " in text


def test_takes_up_where_it_stopped(ran, tool, monkeypatch, tmp_path):
    arguments = ("--quick", "--replications", "10", "--sampler", "iid", *LAYERS)
    record, _ = ran(*arguments, "--max-time", "-1")
    assert (record["rows"], record["not_reached"]) == ([], list(LAYERS))
    whole, _ = ran(*arguments)
    assert not whole["not_reached"]

    counted: list[str] = []
    replicate = tool.study.replicate

    def watched(job: Any) -> Any:
        counted.append(job.layer)
        return replicate(job)

    monkeypatch.setattr(tool.study, "replicate", watched)
    assert ran(*arguments)[0]["rows"] == whole["rows"]
    assert not counted
    whole["rows"][1]["first"] = "0.5"  # as an engine that drew other digits would have left it
    (tmp_path / "coverage.json").write_text(json.dumps(whole), encoding="utf-8")
    other, _ = ran(*arguments[:-1])  # dropped even where it is not asked for
    assert [row["layer"] for row in other["rows"]] == [LAYERS[0]]
    assert not counted
    again, _ = ran(*arguments)
    assert set(counted) == {LAYERS[1]}
    assert [row["counts"] for row in again["rows"]] == [row["counts"] for row in whole["rows"]]
    counted.clear()
    ran(*arguments, "--seed", "1")
    assert set(counted) == set(LAYERS)


def test_says_what_is_left_out(ran):
    record, text = ran("relu", "max_pool2d:input_size=16,kernel_size=3", "--budget", "1e-6")
    small, large = (row for row in record["rows"] if row["sampler"] == "iid")
    assert not small["counts"]
    assert list(small["left_out"]) == list(large["left_out"]) == ["4096", "32768", "262144"]
    said = " ".join(text[text.index("## What it took") :].split())
    assert "281 coordinates; sobol has 256" in said
    assert "iid, 2¹²: left out of 2 layers" in said


def test_digits_do_not_depend_on_workers(ran, tmp_path):
    arguments = ["--quick", "--replications", "25", "relu"]
    one, _ = ran(*arguments)
    out = tmp_path / "two"
    command = [sys.executable, interval_coverage.__file__, *arguments]
    subprocess.run([*command, "--workers", "2", "--out", str(out)], check=True, capture_output=True)
    two = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    assert [r["counts"] for r in one["rows"]] == [r["counts"] for r in two["rows"]]


def test_every_layer_of_the_table_is_measured(tool):
    specs = tool.study.default_specs()
    assert set(table_specs()) < set(specs)
    assert len(specs) == len(set(specs))
    published = [bool(claims_on(text)) for text in specs]
    first = published.index(False)
    assert not any(published[first:])
    for part in (specs[:first], specs[first:]):
        numbers = [parse(text).bound.numbers for text in part]
        assert numbers == sorted(numbers)


def test_the_histogram_is_tested_as_scipy_does(tool):
    bins = (102, 95, 130, 88, 99)
    pit = tool.interval_coverage_rates.Pit(bins)
    assert pit.p == pytest.approx(chisquare(bins).pvalue, rel=1e-12)
    assert pit.deviation == pytest.approx(100 * (130 / 514 - 0.2))


def test_a_rare_selection_is_not_judged(tool):
    count = {"trusted": 2, "apart": 98, "low": [2, 0], "high": [0, 0], "bins": [0] * 20}
    cell = tool.interval_coverage_rates.Cell("dropout", "iid", 4096, "std_dx", count)
    assert not cell.judged
    assert replace(cell, count=count | {"trusted": 20, "apart": 80}).judged


def test_bars_leave_two_standard_errors(tool):
    rate = tool.interval_coverage_rates.Rate
    assert rate(0.95, 350, 350, 10_000).outside == "too low"
    assert rate(0.95, 320, 320, 10_000).outside == ""  # 6.4 ± 0.24
    assert rate(0.95, 80, 80, 10_000).outside == "too high"
    assert rate(0.95, 90, 90, 10_000).outside == ""
    assert rate(0.999, 20, 25, 10_000).outside == "too low"
    assert rate(0.999, 20, 20, 10_000).outside == ""
    assert [rate(0.95, n, n, 10_000).beyond for n in (301, 300, 100, 99)] == [
        True,
        False,
        False,
        True,
    ]
    assert rate(0.999, 0, 0, 10_000).outside == ""
    assert rate(0.999, 0, 0, 10_000).error == pytest.approx(0.01, rel=1e-3)

"""Intervals hold as often as they say: a small run of the study that counts them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import propagation_coverage
import propagation_speed
import pytest
from propagation_coverage import Coverage, counted, cover, drawn, main
from propagation_report import error, misses, rate, write

FAR = 4.0
SIZES = {"width": 256, "depth": 30}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    def run(kind: str, width: int, depth: int, networks: int) -> Coverage:
        monkeypatch.setattr(propagation_coverage, "DEPTHS", (depth,))
        monkeypatch.setattr(propagation_coverage, "NETWORKS", (networks,))
        return cover(kind, width, depth, drawn(kind, width, 1000, 1)[depth])

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["relu", "linear"])
@pytest.mark.parametrize(
    ("width", "depth", "networks"), [(16, 10, 10), (64, 30, 100), (512, 30, 400)]
)
def test_a_typical_network_is_covered_as_often_as_is_said(
    run, kind: str, width: int, depth: int, networks: int
) -> None:
    """By Student's t on ln M, also of few, narrow and deep networks."""
    held, among = run(kind, width, depth, networks).typical
    assert among == 1000
    assert abs(held / among - 0.95) < FAR * math.sqrt(0.95 * 0.05 / among)


def test_an_ensemble_is_covered_where_it_is_called_reliable_and_not_elsewhere(run) -> None:
    wide, narrow = run("relu", 512, 10, 400), run("relu", 16, 30, 400)
    held, among = wide.reliable
    assert among == 1000
    assert abs(held / among - 0.95) < FAR * math.sqrt(0.95 * 0.05 / among)
    held, among = narrow.unreliable
    assert among == 1000
    assert held / among < 0.8, "the gate is there for a reason"


def test_who_is_called_reliable_by_chance_is_covered_as_well(run) -> None:
    """Where the rule passes some samples and not others; were it their own, 65 to 90 % held."""
    some = [run("linear", 64, 10, 100), run("linear", 512, 10, 30), run("linear", 16, 1, 100)]
    held, among = (sum(c.reliable[i] for c in some) for i in (0, 1))
    assert 300 < among < 2700
    assert abs(held / among - 0.945) < FAR * math.sqrt(0.95 * 0.05 / among)


def test_the_study_writes_rates_with_binomial_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert error((0, 10)) == pytest.approx(0.1)
    assert rate((90, 100)) == "90.0 ± 3.0"
    assert [misses((held, 100), (0.93, 0.97)) for held in (70, 90, 95, 100)] == [True] + 3 * [False]
    assert counted(iter([(0.5, 2.0), (1.5, 2.0), None]), 1.0) == (1, 3)
    for name, values in (("WIDTHS", (16, 512)), ("DEPTHS", (1,)), ("NETWORKS", (10, 200))):
        monkeypatch.setattr(propagation_coverage, name, values)
    main(["--replications", "50", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "propagation.json").read_text())["coverage"]
    assert [row["networks"] for row in found["rows"]] == 4 * [10, 200]
    lines = (tmp_path / "propagation.md").read_text().splitlines()
    assert lines[2].startswith("**Nominal 95 % intervals of the typical network hold in ")
    assert sum(line.startswith("| relu | ") for line in lines) == 2


def test_ratios_are_of_medians_and_told_beside_their_bars(tmp_path: Path) -> None:
    record = {
        "processors": 2,
        "load": [0.5, 1.25],
        "rounds": 3,
        "start": {"one network": 1.0, "all networks": 1.25, "networks": 400} | SIZES,
        "matrices": {"bnstats": 2.0, "numpy loop": 1.0, "networks": 40} | SIZES,
        "resnet18": {"bnstats": 6.0, "torch loop": 5.0, "networks": 20},
        "megabytes": {"1000": 80.0, "20000": 90.0},
    }
    write(tmp_path, "speed", record)
    (told, *_, row, _, _) = (tmp_path / "propagation.md").read_text().splitlines()[2:]
    assert "take 0.25 CPU seconds more than one (bar 0.3: kept); with matrices 2.00 of" in told
    assert "(bar 1.0: missed); a watched resnet18 1.20 of a bare torch loop (bar 1.3: kept)" in told
    assert row == "| resnet18: torch loop | 5.000 |"
    seconds = {"a": iter([1.0, 9.0, 2.0]), "b": iter([3.0, 3.0, 3.0])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(propagation_speed, "seconds", lambda run: run())
        found = propagation_speed.medians({k: v.__next__ for k, v in seconds.items()}, 3)
    assert found == {"a": 2.0, "b": 3.0}


def test_a_fourth_of_the_networks_decides_and_is_no_part_of_the_mean() -> None:
    """The estimate does not change when they do, unless they vary too much."""
    from bnstats.networks.estimates import sides
    from bnstats.networks.reduce import Direction

    ln = np.random.default_rng(3).normal(0.0, 0.1, (400, 1))
    none = [math.nan]
    (before,) = sides(Direction.of(ln, [0]), (none, none), 0.95)
    ln[3::4] *= 30.0
    (after,) = sides(Direction.of(ln, [0]), (none, none), 0.95)
    assert before.ensemble.reliable
    assert not after.ensemble.reliable
    assert after.ensemble.interval == before.ensemble.interval
    others = np.delete(ln, np.s_[3::4])
    assert after.ensemble.value == pytest.approx(math.sqrt(np.exp(others).mean()))

"""Intervals hold as often as they say: a small run of the study that counts them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from propagation_coverage import Coverage, counted, cover, main, rate

FAR = 4.0


def run(kind: str, width: int, depth: int, networks: int) -> Coverage:
    generator = np.random.Generator(np.random.SFC64([1, width, depth, networks]))
    return cover(kind, width, depth, networks, 1000, generator)


@pytest.mark.parametrize("kind", ["relu", "linear"])
@pytest.mark.parametrize(
    ("width", "depth", "networks"), [(16, 10, 10), (64, 30, 100), (512, 30, 400)]
)
def test_a_typical_network_is_covered_as_often_as_is_said(
    kind: str, width: int, depth: int, networks: int
) -> None:
    """By Student's t on ln M, also of few, narrow and deep networks."""
    held, among = run(kind, width, depth, networks).typical
    assert among == 1000
    assert abs(held / among - 0.95) < FAR * math.sqrt(0.95 * 0.05 / among)


def test_an_ensemble_is_covered_where_it_is_called_reliable_and_not_elsewhere() -> None:
    wide, narrow = run("relu", 512, 10, 400), run("relu", 16, 30, 400)
    held, among = wide.reliable
    assert among == 1000
    assert abs(held / among - 0.95) < FAR * math.sqrt(0.95 * 0.05 / among)
    held, among = narrow.unreliable
    assert among == 1000
    assert held / among < 0.8, "the gate is there for a reason"


def test_the_study_prints_rates_with_binomial_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert rate((0, 0)) == "–"
    assert rate((90, 100)) == "90.0 ± 3.0"
    assert counted(iter([(0.5, 2.0), (1.5, 2.0), None]), 1.0) == (1, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("propagation_coverage.WIDTHS", (16,))
        patch.setattr("propagation_coverage.DEPTHS", (1,))
        patch.setattr("propagation_coverage.NETWORKS", (10,))
        main(["--replications", "50"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| relu | 16 | 1 | 10 | ")

"""Numbers with errors: what they convert to, and the errors of their differences."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import bnstats
from bnstats.statistics.estimate import Estimate
from bnstats.statistics.exact import Exact
from bnstats.statistics.uncertain import Difference, Uncertain


def estimate(value: float, stderr: float | None, stream: str = "") -> Estimate:
    return Estimate(value, stderr, None, 1e3, stream=stream)


def test_they_convert_and_format() -> None:
    one = estimate(0.2116763, 0.0000523)
    assert (float(one), f"{one:.3f}", f"{one}", repr(one)) == (
        0.2116763,
        "0.212",
        "0.211676(52)",
        "Estimate(0.211676(52))",
    )
    exact = Exact(0.5, 1e-15, "closed form")
    assert (float(exact), f"{exact:.3f}", f"{exact}", repr(exact)) == (
        0.5,
        "0.500",
        "0.5",
        "Exact(0.5)",
    )
    assert math.sqrt(exact) == 0.5**0.5  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "right", "value", "stderr", "error"),
    [
        (estimate(3.0, 0.3, "a"), estimate(1.0, 0.4, "b"), 2.0, 0.5, 0.0),
        (estimate(3.0, 0.3, "a"), estimate(1.0, 0.4, "a"), 2.0, 0.7, 0.0),  # the same draws
        (estimate(3.0, 0.3), estimate(1.0, 0.4), 2.0, 0.7, 0.0),  # nobody knows
        (estimate(3.0, 0.3, "a"), estimate(1.0, 0.4), 2.0, 0.7, 0.0),
        (estimate(3.0, None, "a"), estimate(1.0, 0.4, "b"), 2.0, None, 0.0),
        (estimate(3.0, 0.3, "a"), Exact(1.0, 0.25, ""), 2.0, 0.3, 0.25),
        (Exact(1.0, 0.25, ""), estimate(3.0, 0.3, "a"), -2.0, 0.3, 0.25),
        (Exact(1.0, 0.25, ""), Exact(0.5, 0.5, ""), 0.5, 0.0, 0.75),
        (estimate(3.0, 0.3, "a"), 1, 2.0, 0.3, 0.0),
        (1.0, estimate(3.0, 0.3, "a"), -2.0, 0.3, 0.0),
        (np.float64(1.0), estimate(3.0, 0.3, "a"), -2.0, 0.3, 0.0),
        (estimate(3.0, 0.3, "a"), np.float64(1.0), 2.0, 0.3, 0.0),
        (Difference(2.0, 0.3, 0.1, frozenset("ab")), estimate(1.0, 0.4, "c"), 1.0, 0.5, 0.1),
        (Difference(2.0, 0.3, 0.1, frozenset("ab")), estimate(1.0, 0.4, "b"), 1.0, 0.7, 0.1),
    ],
)
def test_differences(
    left: object, right: object, value: float, stderr: float | None, error: float
) -> None:
    found = left - right  # type: ignore[operator]
    assert isinstance(found, Difference)
    assert float(found) == pytest.approx(value)
    assert found.stderr == (None if stderr is None else pytest.approx(stderr))
    assert found.error == pytest.approx(error)
    scale = None if stderr is None else math.hypot(stderr, error)
    assert found.z == (pytest.approx(value / scale) if scale else None)


def test_a_difference_remembers_the_streams_of_both() -> None:
    both = estimate(3.0, 0.3, "a") - estimate(1.0, 0.4, "b")
    assert both.streams == {"a", "b"}
    assert (both - estimate(1.0, 0.5, "b")).stderr == pytest.approx(1.0)  # no longer apart


def test_a_difference_without_an_error_has_no_z() -> None:
    assert (Exact(1.0, 0.0, "") - Exact(0.5, 0.0, "")).z is None
    assert Difference(2.0, 0.0, 2.0**-1000).z == 2.0**1001


def test_a_difference_prints_with_its_error() -> None:
    found = estimate(3.0, 0.03, "a") - estimate(1.0, 0.04, "b")
    assert (str(found), repr(found), f"{found:.1f}") == (
        "2.000(50)",
        "Difference(2.000(50))",
        "2.0",
    )
    assert json.loads(json.dumps(found.to_dict())) == {
        "value": 2.0,
        "stderr": pytest.approx(0.05),
        "error": 0.0,
        "z": pytest.approx(40.0),
    }
    assert str(Exact(1.5, 1e-13, "") - Exact(1.0, 1e-13, "")) == "0.5"


def test_a_difference_prints_both_of_its_errors() -> None:
    assert str(Difference(2.0, 0.03, 0.04)) == "2.000(50)"
    assert str(Difference(2.0, None, 0.04)) == "2(?)"
    assert str(Difference(0.012345678901234567)) == "0.0123456789012346"


def test_a_difference_of_nothing_sampled_has_no_error_and_does_not_change() -> None:
    found = Difference(2.0)
    assert (found.stderr, found.error, found.streams) == (0.0, 0.0, frozenset())
    with pytest.raises(FrozenInstanceError):
        found.stderr = 1.0  # type: ignore[misc]


def test_a_number_has_no_error_but_what_its_class_tells() -> None:
    class Pi(Uncertain):
        value = math.pi

    found = Pi() - estimate(3.0, 0.25, "a")
    assert (found.stderr, found.error, found.streams) == (0.25, 0.0, {"a"})


@pytest.mark.parametrize("other", ["1", None, True, [1.0], 1j])
def test_what_is_no_number_is_not_subtracted(other: object) -> None:
    with pytest.raises(TypeError):
        estimate(1.0, 0.1) - other  # type: ignore[operator]
    with pytest.raises(TypeError):
        other - estimate(1.0, 0.1)  # type: ignore[operator]


def test_runs_know_whether_they_share_draws() -> None:
    def std_y(layer: str, **more: object) -> Estimate:
        return bnstats.compute(layer, samples=2000, **more).std_y  # type: ignore[return-value]

    gelu = std_y("gelu")
    assert gelu.stderr is not None
    for other in (std_y("silu"), std_y("gelu", seed=1), std_y("gelu", sampler="sobol")):
        assert other.stderr is not None
        assert (gelu - other).stderr == pytest.approx(math.hypot(gelu.stderr, other.stderr))
    for other in (std_y("gelu"), std_y("gelu", x_std=2), std_y("gelu", dtype="float32")):
        assert other.stderr is not None
        assert (gelu - other).stderr == pytest.approx(gelu.stderr + other.stderr)


def test_the_error_of_a_difference_is_that_of_many() -> None:
    """Independent runs: z is standard normal, and of shared draws it is no wider."""
    apart, shared = [], []
    for seed in range(60):
        a = bnstats.compute("relu", samples=2000, seed=seed)
        b = bnstats.compute("relu", samples=2000, seed=seed + 1000)
        apart.append((a.std_y - b.std_y).z)
        shared.append((a.std_y - 1.4634 * a.mean_y.value).z)
    spread = math.sqrt(sum(z * z for z in apart) / len(apart))  # χ²(60) is within 0.65 to 1.35
    assert 0.65 < spread < 1.35

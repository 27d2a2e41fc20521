"""Joint moments of draws against numpy's covariances, with weights and of whole replicates."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, astuple

import numpy as np
import pytest

from bnstats.backends import numpy_backend as xp
from bnstats.statistics.joint import Drawn, Joint, joint_of

X = np.random.default_rng(0).normal(size=40)


def drawn(weights: np.ndarray | None = None, slope: float = 2.0) -> Drawn:
    """Return draws of a straight line."""
    y = slope * X + 1
    return Drawn(y, slope**2 + 0 * X, X, X * y * slope, slope + 0 * X, weights)


def columns(pivot: float) -> np.ndarray:
    v = 2 * X + 1 - pivot
    return np.stack([v, v * v, 4 + 0 * X, X, X * X, X * v, X * (2 * X + 1) * 2, 2 + 0 * X])


def test_nothing_has_moments_of_zero_which_do_not_change() -> None:
    assert astuple(Joint()) == (0.0,) * 7
    with pytest.raises(FrozenInstanceError):
        Joint().count = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("pivot", [0.0, 0.75])
def test_moments_are_those_of_numpy(pivot: float) -> None:
    m = joint_of(xp, drawn(), pivot)
    assert (m.count, m.points, m.nonfinite, m.pivot) == (40.0, 40.0, 0.0, pivot)
    assert m.mean == pytest.approx(columns(pivot).mean(axis=1), rel=1e-13)
    wanted = np.cov(columns(pivot)) * 39
    assert m.between == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    assert m.within == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_weights_count_in_every_moment() -> None:
    repeats = np.arange(40) % 3
    weights = repeats * (40 / repeats.sum())
    m = joint_of(xp, drawn(weights), 0.75)
    repeated = np.repeat(columns(0.75), repeats, axis=1)
    assert m.mean == pytest.approx(repeated.mean(axis=1), rel=1e-13)
    assert m.within / 40 == pytest.approx(np.cov(repeated, bias=True), rel=1e-12, abs=1e-12)


def test_weights_of_what_is_left_out_are_left_out() -> None:
    weights = np.where(np.arange(40) % 2 == 0, 0.5, 1.5)
    spoilt = drawn(weights)
    spoilt.y[:2] = np.inf
    kept = Drawn(*(part[2:] for part in drawn(weights)))
    found, wanted = joint_of(xp, spoilt, 0.75), joint_of(xp, kept, 0.75)
    assert (found.count, found.nonfinite) == (38.0, 2.0)
    assert found.mean == pytest.approx(wanted.mean, rel=1e-13)
    assert found.within == pytest.approx(wanted.within, rel=1e-12, abs=1e-12)


def test_a_unit_has_no_spread_even_where_its_points_have_none() -> None:
    m = joint_of(xp, drawn(), 0.0)
    unit = m.as_unit().as_unit()  # of units as of draws
    assert (unit.count, unit.points) == (1.0, 40.0)
    assert not unit.between.any()
    assert np.array_equal(unit.within, m.within)
    assert Joint().as_unit() == Joint()
